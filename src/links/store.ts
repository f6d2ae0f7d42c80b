import type { Logger } from 'pino'
import { connectRedis, prefix, type RedisConnection } from '../state/redis.ts'

/** What is kept for a while, each under a key. */
export interface Store {
  /** Puts it there, over what was. `full`: the contact center has as much there as it may. */
  readonly keep: (key: string, entry: Entry) => Promise<'kept' | 'full' | 'unreachable'>
  /** Uses it once; null where nothing is there, or no more. */
  readonly take: (key: string) => Promise<string | null | 'unreachable'>
  readonly close: () => Promise<void>
}

export interface Entry {
  readonly text: string
  readonly contactCenter: string
  /** How often it may be taken; null: any number of times. */
  readonly uses: number | null
  /** How long it is kept, in ms. */
  readonly lasts: number
}

/** Entries of one contact center: 30 MB at the most, as long as their ids may be, and none takes the room of another's. */
const most = 20_000

/** Memory, or with a Redis URL that of all replicas, which resolves once Redis is known to be up or away. */
export async function createStore(redisUrl: string | null, log: Logger): Promise<Store> {
  if (redisUrl === null) return createMemoryStore()
  const redis = connectRedis(
    new URL(redisUrl),
    log.child({ listener: 'links' }),
    async (client) => {
      await client.ping()
    },
  )
  await redis.known
  return createRedisStore(redis)
}

export function createMemoryStore(now: () => number = Date.now): Store {
  const entries = new Map<string, Entry & { left: number; readonly until: number }>()
  const counts = new Map<string, number>()

  function drop(key: string): void {
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    counts.set(entry.contactCenter, (counts.get(entry.contactCenter) ?? 0) - 1)
  }
  function has(contactCenter: string): number {
    return counts.get(contactCenter) ?? 0
  }
  return {
    async keep(key, entry) {
      const { contactCenter, uses, lasts } = entry
      drop(key)
      if (has(contactCenter) >= most) {
        for (const [other, { until }] of entries) if (until <= now()) drop(other)
      }
      if (has(contactCenter) >= most) return 'full'
      counts.set(contactCenter, has(contactCenter) + 1)
      const left = uses ?? Number.POSITIVE_INFINITY
      entries.set(key, { ...entry, left, until: now() + lasts })
      return 'kept'
    },
    async take(key) {
      const entry = entries.get(key)
      if (entry === undefined) return null
      entry.left -= 1
      const isOver = entry.until <= now()
      if (isOver || entry.left < 1) drop(key)
      return isOver ? null : entry.text
    },
    close: async () => {},
  }
}

// Each in one step, so that of several replicas that take the last use one gets it.
const keepScript = `
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if not redis.call('ZSCORE', KEYS[2], KEYS[1]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'text', ARGV[4], 'left', ARGV[5], 'of', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ttl)
redis.call('ZADD', KEYS[2], now + ttl, KEYS[1])
if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], ttl) end
return 1`

const takeScript = `
local entry = redis.call('HMGET', KEYS[1], 'text', 'left', 'of')
if not entry[1] then return false end
if entry[2] ~= '' and redis.call('HINCRBY', KEYS[1], 'left', -1) < 1 then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', entry[3], KEYS[1])
end
return entry[1]`

function createRedisStore({ client, close }: RedisConnection): Store {
  const nameOf = (key: string): string => `${prefix}link:${key}`
  return {
    async keep(key, { text, contactCenter, uses, lasts }) {
      const list = `${prefix}links:${contactCenter}`
      const args = [Date.now(), lasts, most, text, uses ?? '']
      try {
        return (await client.eval(keepScript, 2, nameOf(key), list, ...args)) === 1
          ? 'kept'
          : 'full'
      } catch {
        return 'unreachable'
      }
    },
    async take(key) {
      try {
        const text: unknown = await client.eval(takeScript, 1, nameOf(key))
        return typeof text === 'string' ? text : null
      } catch {
        return 'unreachable'
      }
    },
    close,
  }
}
