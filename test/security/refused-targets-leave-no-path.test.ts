import t from 'tap'
import { auditOf, ids, jwt, link } from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, gateway, upstream } = await openDoors(t, { LOG_LEVEL: 'trace' })
const auth = jwt()
const query = link({ auth }).slice(2)

const refused: readonly (readonly [name: string, target: string])[] = [
  ['a fragment', `/canary#?${query}`],
  ['a fragment that holds the link', `/#${query}`],
  ['a dot segment', `/canary/../?${query}`],
  ['an encoded slash', `/canary%2f${query}`],
  ['an encoded line end', `/canary%0d%0a${query}`],
  ['an encoding cut short', `/canary%?${query}`],
  ['two slashes', `//canary/${query}`],
  ['an encoding cut short in the query', `/canary?${query}&x=%`],
]
// These are canonical: their path is told, up to where the link begins in it.
const mangled: readonly (readonly [name: string, target: string, path: string])[] = [
  ['a link behind &', `/canary&${query}`, '/canary&…'],
  ['a link behind an encoded ?', `/canary%3F${query}`, '/canary?…'],
  ['a link encoded as a whole', `/canary%3F${encodeURIComponent(query)}`, '/canary?…'],
  ['a token in the path', `/canary/${auth}`, '/canary/…'],
  ['a token encoded in the path', `/canary/${auth.replaceAll('e', '%65')}`, '/canary/…'],
  ['a parameter of another case', `/canary/USERID=${ids.userId}`, '/canary/…'],
]

for (const { name: door, knock } of doors) {
  t.test(`over ${door}`, async (t) => {
    for (const [name, target] of refused) {
      const { status, headers } = await knock({ target })
      t.equal(status, 400, name)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.equal(line['reason'], 'target-invalid', name)
      t.notOk('path' in line, `${name}: no path`)
      t.notMatch(JSON.stringify(line), /canary|eyJ|f38791ae/, `${name}: nothing of it`)
    }
    for (const [name, target, path] of mangled) {
      const { status, headers } = await knock({ target })
      t.equal(status, 401, name)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.equal(line['path'], path, name)
    }
    t.strictSame(upstream.seen, [])
  })
}

t.test('no line beside the audit line tells it either', async (t) => {
  t.notMatch(JSON.stringify(gateway.lines), /eyJ|f38791ae|auth=/)
})
