// By how much is for `node test/security/flood.ts` to say.
import { existsSync } from 'node:fs'
import t from 'tap'
import { startArena } from './flood.ts'

const skip = existsSync('/proc/self/stat') ? false : 'needs /proc'
t.test('the agent beside 64 attackers is served, every time', { skip }, async (t) => {
  const arena = await startArena(t, { RATE_LIMIT: '30/1h' })
  const { failures, statuses } = await arena.round('both', 50)
  t.equal(failures, 0, 'every request of the agent’s')
  const { 401: refused, 429: limited = 0, ...others } = statuses
  t.equal(refused, 30, 'the attackers hear 401 as often as RATE_LIMIT says')
  t.ok(limited > 0, `then ${limited} are told no more than that there are too many`)
  t.same(others, {})
})
