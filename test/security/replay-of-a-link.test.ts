// What a link that leaked is good for: its own session, for its own time. That it opens one only
// once is the business of one-time tokens.
import t from 'tap'
import { ask, ids, inAnHour, jwt, link, startGateway, startUpstream, valuesOf } from '../stage.ts'
import { stopClock } from '../websocket/peer.ts'

const minute = 60_000
const claims = { userId: ids.userId, sessionId: ids.sessionId }
/** When a session ends, by the cookie that holds it. */
const maxAge = (line = ''): number => Number(/Max-Age=(\d+)/.exec(line)?.[1])

t.test('it is good for no other session', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  for (const changes of [
    { userId: 'VICTIM' },
    { sessionId: 'VICTIM' },
    { auth: jwt({ ...claims, URLToken: ids.URLToken }), URLToken: '0a7e91c4b2' },
  ]) {
    t.equal((await ask(gateway.origin, link(changes))).status, 403, Object.keys(changes).join())
  }
  t.strictSame(upstream.seen, [])
})

t.test('its time is over when its exp, or its greatest age, says so', async (t) => {
  const pass = stopClock(t)
  const upstream = await startUpstream(t)
  const now = Math.floor(Date.now() / 1000)
  const rows = [
    ['exp', {}, jwt({ ...claims, exp: now + 600 })],
    ['TOKEN_MAX_AGE', { TOKEN_MAX_AGE: '10m' }, jwt({ ...claims, iat: now, exp: now + 86_400 })],
  ] as const
  const gateways = await Promise.all(
    rows.map(([, env]) => startGateway(t, upstream.origin, { CLOCK_TOLERANCE: '0s', ...env })),
  )
  const statuses = (): Promise<number[]> =>
    Promise.all(
      rows.map(async ([, , auth], i) => {
        const answer = await ask(gateways[i]?.origin ?? '', link({ auth }))
        return answer.status
      }),
    )
  t.strictSame(await statuses(), [200, 200], 'fresh')
  pass(9 * minute)
  t.strictSame(await statuses(), [200, 200], 'a minute before')
  pass(minute)
  t.strictSame(await statuses(), [401, 401], 'over')
})

t.test('a replay does not prolong the session beyond the token', async (t) => {
  const pass = stopClock(t)
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { CLOCK_TOLERANCE: '0s' })
  const auth = jwt({ ...claims, exp: Math.floor(Date.now() / 1000) + 600 })
  const ends: number[] = []
  for (const wait of [0, minute, 5 * minute, 3 * minute]) {
    pass(wait)
    const { rawHeaders } = await ask(gateway.origin, link({ auth }))
    ends.push(Date.now() + 1000 * maxAge(valuesOf(rawHeaders, 'set-cookie')[0]))
  }
  t.equal(new Set(ends).size, 1, 'all end with the token')
})

t.test('one without an end can be refused', async (t) => {
  const upstream = await startUpstream(t)
  const endless = link({ auth: jwt(claims) })
  const strict = await startGateway(t, upstream.origin, { REQUIRE_EXP: 'true' })
  t.equal((await ask(strict.origin, endless)).status, 401)
  t.equal(
    (await ask(strict.origin, link({ auth: jwt({ ...claims, exp: inAnHour() }) }))).status,
    200,
  )
  const lenient = await startGateway(t, upstream.origin)
  const { status, rawHeaders } = await ask(lenient.origin, endless)
  t.equal(status, 200)
  t.equal(maxAge(valuesOf(rawHeaders, 'set-cookie')[0]), 12 * 3600, 'its session ends anyway')
})
