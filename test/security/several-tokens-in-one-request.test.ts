import t from 'tap'
import { ids, inAnHour, jwt, link } from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, upstream } = await openDoors(t)
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
const good = jwt(claims)
const victims = jwt({ ...claims, userId: 'VICTIM' })
const forged = jwt({ ...claims, userId: 'VICTIM' }, { key: 'another-secret-of-256-bits-as-text' })
const bearer = (...tokens: readonly string[]) => tokens.map((token) => `Bearer ${token}`)
const linked = link({ auth: good })

type Row = readonly [
  name: string,
  target: string,
  authorization: readonly string[],
  passes: boolean,
]
const rows: readonly Row[] = [
  ['one', linked, [], true],
  ['the same, twice', linked, bearer(good), true],
  ['a password beside it', linked, ['Basic YTpi'], true],
  ['a Bearer that is no JWT beside it', linked, bearer('opaque'), true],
  ['another user’s as a Bearer', linked, bearer(victims), false],
  ['a forged one as a Bearer', linked, bearer(forged), false],
  ['one of no signature as a Bearer', linked, bearer(`${good.replace(/[^.]*$/, '')}`), false],
  ['a forged one in the link', link({ auth: forged }), bearer(good), false],
  ['none in the link, but its name', link({ auth: '' }), bearer(good), false],
  ['auth twice', `${linked}&auth=${victims}`, [], false],
  ['auth twice, the same', `${linked}&auth=${good}`, [], false],
  ['Auth beside auth', `${linked}&Auth=${victims}`, [], false],
  ['auth[] beside auth', `${linked}&auth[]=${victims}`, [], false],
  ['auth behind a semicolon', `${linked}&x;auth=${victims}`, [], false],
]
// Node’s HTTP/2 client sends no two of these.
const twice: readonly Row[] = [
  ['two Bearers', link({ auth: null }), bearer(good, victims), false],
  ['two Bearers, the same', link({ auth: null }), bearer(good, good), false],
  ['a password and a Bearer', link({ auth: null }), ['Basic YTpi', `Bearer ${good}`], false],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    for (const [name, target, authorization, passes] of [
      ...rows,
      ...(door === 'HTTP/2' ? [] : twice),
    ]) {
      const headers = authorization.length > 0 ? { Authorization: authorization } : {}
      const { status } = await knock({ target, headers })
      t.equal(status, passes ? open : 400, name)
      const seen = upstream.seen.splice(0)
      t.equal(seen.length, passes ? 1 : 0, `${name}: what goes on`)
      t.notMatch(JSON.stringify(seen), victims, `${name}: nothing of another’s`)
    }
  })
}
