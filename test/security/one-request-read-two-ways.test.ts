import t from 'tap'
import { auditOf, link } from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, gateway, upstream, host } = await openDoors(t)
const good = link()
const query = good.slice(2)
const victim = 'userId=VICTIM'

// As reproduced against other gateways; the full tables are in test/access and test/http.
const targets: readonly (readonly [name: string, target: string, reason: string])[] = [
  ['a query in a fragment', `/#${query}&x=?${victim}`, 'target-invalid'],
  ['a query after a fragment', `/#?${query}&${victim}`, 'target-invalid'],
  ['a fragment after the query', `${good}#?${victim}`, 'target-invalid'],
  ['a fragment in a path', `/a#/../b?${query}`, 'target-invalid'],
  ['an array', `${good}&userId[]=VICTIM`, 'query-ambiguous'],
  ['an index', `${good}&userId[0]=VICTIM`, 'query-ambiguous'],
  ['another case', `${good}&UserId=VICTIM`, 'query-ambiguous'],
  ['NUL after the name', `${good}&userId%00=VICTIM`, 'query-ambiguous'],
  ['a semicolon', `${good}&x=1;${victim}`, 'query-ambiguous'],
  ['an encoded name', `${good}&%75serId=VICTIM`, 'query-ambiguous'],
  ['twice', `${good}&${victim}`, 'query-ambiguous'],
  ['twice, the other first', `/?${victim}&${query}`, 'query-ambiguous'],
  ['a dot segment', `/./a?${query}`, 'target-invalid'],
  ['two dots', `/a/../b?${query}`, 'target-invalid'],
  ['a backslash', `/a\\b?${query}`, 'target-invalid'],
  ['encoded twice', `/%252e%252e/?${query}`, 'target-invalid'],
  ['an encoded slash', `/a%2fb?${query}`, 'target-invalid'],
  ['two slashes', `//${good}`, 'target-invalid'],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    t.equal((await knock()).status, open, 'an honest link passes')
    upstream.seen.length = 0
    for (const [name, target, reason] of targets) {
      const { status, headers } = await knock({ target })
      t.equal(status, 400, name)
      t.strictSame(upstream.seen.splice(0), [], `${name}: nothing goes on`)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.equal(line['reason'], reason, `${name}: reason`)
    }
  })
}

t.test('a request for two hosts, or for none, over HTTP/1.1', async (t) => {
  const [http1, , upgrade] = doors
  for (const door of [http1, upgrade]) {
    for (const Host of [[host, host], [host, 'evil.example'], []]) {
      const told = await door?.knock({ headers: { Host } })
      t.equal(told?.status, 400, `${door?.name}: ${Host.length} hosts`)
    }
  }
  t.strictSame(upstream.seen.splice(0), [])
})

t.test('and one beside another :authority, over HTTP/2', async (t) => {
  const told = await doors[1]?.knock({ headers: { Host: host, host: 'evil.example' } })
  t.equal(told?.status, 400)
  t.strictSame(upstream.seen.splice(0), [])
})

t.test('OPTIONS * asks for no page', async (t) => {
  t.equal((await doors[0]?.knock({ method: 'OPTIONS', target: '*' }))?.status, 400)
  t.strictSame(upstream.seen.splice(0), [])
})
