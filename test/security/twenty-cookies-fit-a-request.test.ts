import t from 'tap'
import {
  ask,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  ownCookies,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const claims = { userId: ids.userId, sessionId: ids.sessionId }
const now = (): number => Math.floor(Date.now() / 1000)

t.test('twenty cookies at most, and 6 kB, the oldest going first', async (t) => {
  const size = (cookies: Iterable<string>): number =>
    [...cookies].reduce((sum, cookie) => sum + cookie.length, 0)
  for (const [length, most] of [
    [6, 20],
    [400, 12],
  ] as const) {
    const jar = new Map<string, string>()
    const order: string[] = []
    for (let i = 0; i < 24; i += 1) {
      const sessionId = `${i}`.padStart(length, 's')
      const auth = jwt({ ...claims, sessionId, exp: inAnHour() })
      const headers = { Cookie: [...jar].map((pair) => pair.join('=')).join('; ') }
      const answer = await ask(gateway.origin, link({ sessionId, auth }), { headers })
      t.equal(answer.status, 200)
      for (const { name, value, attributes } of ownCookies(answer.headers['set-cookie'])) {
        t.match(attributes, { Path: '/', Secure: true, Partitioned: true }, 'as a browser needs it')
        if (Number(attributes['Max-Age']) > 0) {
          jar.set(name, value)
          order.push(name)
        } else {
          t.ok(jar.delete(name), 'one that the browser has')
        }
      }
    }
    t.ok(jar.size <= most && jar.size > 3, `${jar.size} cookies`)
    t.ok(size([...jar].map((pair) => pair.join('='))) <= 6 * 1024, 'within 6 kB')
    t.ok(jar.has(order.at(-1) ?? ''), 'the newest is there')
  }
})

t.test('the cookies that go are the oldest', async (t) => {
  const cookies: string[] = []
  for (let i = 0; i < 20; i += 1) {
    const sessionId = `s${i}`
    cookies.push(
      await openSession(gateway, {
        sessionId,
        auth: jwt({ ...claims, sessionId, exp: inAnHour() }),
      }),
    )
  }
  const before = now()
  // Whole seconds are what a session is dated by.
  while (now() === before) await ask(gateway.origin, '/')
  const second = await openSession(gateway, {
    sessionId: 'late',
    auth: jwt({ ...claims, sessionId: 'late', exp: inAnHour() }),
  })
  const headers = { Cookie: [second, ...cookies].join('; ') }
  const answer = await ask(gateway.origin, link(), { headers })
  const gone = ownCookies(answer.headers['set-cookie']).filter(({ value }) => value === '')
  t.equal(gone.length, 2)
  const names = cookies.map((cookie) => cookie.slice(0, cookie.indexOf('=')))
  t.ok(gone.every(({ name }) => names.includes(name)))
})
