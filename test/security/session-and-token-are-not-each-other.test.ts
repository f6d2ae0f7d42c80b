import t from 'tap'
import { ids, inAnHour, jwt, link, openSession, startGateway, startUpstream } from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, upstream, host, gateway } = await openDoors(t)
const plain = await startGateway(t, (await startUpstream(t)).origin)
const [name = '', session = ''] = (await openSession(plain)).split(/=(.*)/)
const token = jwt()
// What a session says, signed by whoever knows the shared secret but not the key derived from it.
const later = Date.now() + 3_600_000
const claims = { u: ids.userId, s: ids.sessionId, t: 'x'.repeat(22), i: 1, e: later }
const forged = jwt(claims)
const both = jwt({ ...claims, userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() })
const own = { Origin: `https://${host}`, 'Sec-Fetch-Site': 'same-origin' }
const cookie = (value: string) => ({ ...own, Cookie: `${name}=${value}` })
const bearer = (value: string) => ({ Authorization: `Bearer ${value}` })

type Headers = Readonly<Record<string, string>>
const rows: readonly (readonly [name: string, target: string, headers: Headers])[] = [
  ['a session as auth', link({ auth: session }), {}],
  ['a session as a Bearer', link({ auth: null }), bearer(session)],
  ['a session as both', link({ auth: session }), cookie(session)],
  ['a session as copilotSession', link({ auth: null, copilotSession: session }), {}],
  ['a token as a session', '/', cookie(token)],
  ['a token as a session, with its ids', link({ auth: null }), cookie(token)],
  ['a token as copilotSession', link({ auth: null, copilotSession: token }), {}],
  ['a session signed by the secret itself', '/', cookie(forged)],
  ['a token and a session in one', '/', cookie(both)],
  ['a session without its signature', '/', cookie(session.replace(/[^.]*$/, ''))],
]

for (const { name, knock, open } of doors) {
  t.test(`over ${name}`, async (t) => {
    t.equal((await knock()).status, open, 'the token as a token')
    t.equal((await knock({ target: '/', headers: cookie(session) })).status, open, 'the session')
    upstream.seen.length = 0
    for (const [name, target, headers] of rows) {
      t.equal((await knock({ target, headers })).status, 401, name)
      t.strictSame(upstream.seen.splice(0), [], `${name}: nothing goes on`)
    }
  })
}

t.test('a gateway with another secret knows neither', async (t) => {
  const other = await openDoors(t, { JWT_SECRET: 'another-secret-of-256-bits-as-text' })
  for (const { name, knock } of other.doors) {
    t.equal((await knock()).status, 401, `${name}: the token`)
    const headers = { ...cookie(session), Origin: `https://${other.host}` }
    t.equal((await knock({ target: '/', headers })).status, 401, `${name}: the session`)
  }
  t.ok(gateway.port !== other.gateway.port)
})
