import { prefix, type RedisConnection } from './redis.ts'
import type { Share } from './refusals.ts'

// In one step: a count without an end would refuse an address for ever. What was counted while Redis
// was away, or before it lost its memory, is made up for.
const script = `
local refusals = redis.call('INCR', KEYS[1])
local known = tonumber(ARGV[1])
if refusals < known then refusals = redis.call('INCRBY', KEYS[1], known - refusals) end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {refusals, redis.call('PTTL', KEYS[1])}`

/** So many may be without an answer: a server that hangs is told no more. */
const mostUnanswered = 1000

/** Counts refusals for all replicas; null where Redis can't be asked. */
export function shareRefusals({ client, state }: RedisConnection): Share {
  let unanswered = 0
  return async (network, refusals, window) => {
    if (!state().up || unanswered >= mostUnanswered) return null
    unanswered += 1
    try {
      const key = `${prefix}refusals:${network}`
      const answer: unknown = await client.eval(script, 1, key, refusals, window)
      const [all, left]: unknown[] = Array.isArray(answer) ? answer : []
      return typeof all === 'number' && typeof left === 'number' ? { refusals: all, left } : null
    } catch {
      return null
    } finally {
      unanswered -= 1
    }
  }
}
