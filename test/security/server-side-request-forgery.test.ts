import t from 'tap'
import { link, startUpstream } from '../stage.ts'
import { type Knock, openDoors } from './doors.ts'

const { doors, upstream, host } = await openDoors(t)
// Who must not be asked: what an attacker would reach from the gateway's network.
const inner = await startUpstream(t)
const { host: victim } = new URL(inner.origin)
const query = link().slice(1)

const rows: readonly (readonly [name: string, knock: Knock])[] = [
  ['absolute-form', { target: `${inner.origin}/${query}` }],
  [
    'absolute-form, with its Host',
    { target: `${inner.origin}/${query}`, headers: { Host: victim } },
  ],
  ['absolute-form of another scheme', { target: `gopher://${victim}/${query}` }],
  ['two slashes', { target: `//${victim}/${query}` }],
  ['a slash and a backslash', { target: `/\\${victim}/${query}` }],
  ['two backslashes', { target: `\\\\${victim}/${query}` }],
  ['an encoded slash', { target: `/%2f${victim}/${query}` }],
  ['no slash', { target: `${victim}/${query}` }],
  ['a user', { target: `@${victim}/${query}` }],
  ['authority-form', { target: victim }],
  ['a Host with a user', { headers: { Host: `${host}@${victim}` } }],
  ['a Host with a path', { headers: { Host: `${victim}/` } }],
]
const harmless: readonly (readonly [name: string, knock: Knock])[] = [
  ['a Host', { headers: { Host: victim } }],
  ['X-Forwarded-Host', { headers: { 'X-Forwarded-Host': victim } }],
  ['Forwarded', { headers: { Forwarded: `host="${victim}"` } }],
  ['X-Original-URL', { headers: { 'X-Original-URL': `${inner.origin}/` } }],
  ['X-Rewrite-URL', { headers: { 'X-Rewrite-URL': `${inner.origin}/` } }],
  ['X-Host', { headers: { 'X-Host': victim } }],
  ['a URL in the path', { target: `/a:${new URL(inner.origin).port}/@${victim}/${query}` }],
  ['a URL in the query', { target: `${link()}&url=${encodeURIComponent(inner.origin)}` }],
  ['a user in the path', { target: `/@${victim}/${query}` }],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    for (const [name, asked] of rows) {
      const { status } = await knock(asked)
      // HTTP/2 itself resets a stream whose :path or :authority is none.
      t.equal(status === 0 && door === 'HTTP/2' ? 400 : status, 400, name)
      t.strictSame(upstream.seen.splice(0), [], `${name}: nothing goes on`)
    }
    for (const [name, asked] of harmless) {
      t.equal((await knock(asked)).status, open, name)
      const [seen] = upstream.seen.splice(0)
      t.equal(seen?.headers.host, new URL(upstream.origin).host, `${name}: the workspace is asked`)
    }
    t.strictSame(inner.seen, [], 'nobody else was asked')
    t.equal(inner.sockets.size, 0)
  })
}

t.test('no tunnel', async (t) => {
  const [http1] = doors
  const told = await http1?.knock({ method: 'CONNECT', target: victim, headers: { Host: victim } })
  t.equal(told?.status, 400)
  t.strictSame(inner.seen, [])
})
