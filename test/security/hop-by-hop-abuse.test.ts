import t from 'tap'
import { ask, link, startGateway, startUpstream, valuesOf } from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
type Lines = Readonly<Record<string, string | readonly string[]>>

/** The header lines, names and values in turn, that went upstream. */
async function sent(headers: Lines, target = link(), method = 'GET'): Promise<readonly string[]> {
  upstream.seen.length = 0
  const { status } = await ask(gateway.origin, target, { method, headers })
  if (status !== 200 || upstream.seen.length !== 1) throw new Error(`${status}, not forwarded`)
  return upstream.seen[0]?.rawHeaders ?? []
}

t.test('what Connection names stays on its connection', async (t) => {
  const rows: readonly (readonly [string, Lines, readonly string[]])[] = [
    ['one name', { Connection: 'X-Hop', 'X-Hop': 'canary' }, []],
    ['beside close', { Connection: 'close, X-Hop', 'X-Hop': 'canary' }, []],
    ['no space', { Connection: 'close,X-Hop,x', 'X-Hop': 'canary' }, []],
    ['odd space', { Connection: ' close ,\tX-Hop\t, ', 'X-Hop': 'canary' }, []],
    ['other case', { Connection: 'x-HOP', 'X-Hop': 'canary' }, []],
    ['in a second line', { Connection: ['close', 'X-Hop'], 'X-Hop': 'canary' }, []],
    ['a header of several lines', { Connection: 'X-Hop', 'X-Hop': ['canary', 'canary'] }, []],
    ['before the name', { 'X-Hop': 'canary', Connection: 'X-Hop' }, []],
    ['a look-alike of the name', { Connection: 'X-Hop', X_Hop: 'canary' }, []],
    ['a name with an underscore', { Connection: 'x_hop', x_hop: 'canary' }, []],
    ['a dash for an underscore', { Connection: 'x_hop', 'X-Hop': 'canary' }, []],
    ['cookies', { Connection: 'Cookie', Cookie: 'a=canary' }, []],
    ['Authorization', { Connection: 'Authorization', Authorization: 'Basic canary' }, []],
    [
      "the gateway's own",
      {
        Connection: 'X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Request-Id',
      },
      ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-request-id'],
    ],
    ['Host', { Connection: 'Host' }, ['host']],
    ['what does not exist', { Connection: 'X-None', 'X-Other': 'kept' }, ['x-other']],
    ['no name at all', { Connection: ', ,', 'X-Other': 'kept' }, ['x-other']],
  ]
  for (const [name, headers, kept] of rows) {
    const raw = await sent(headers)
    t.notMatch(JSON.stringify(raw), 'canary', name)
    for (const one of kept) t.equal(valuesOf(raw, one).length, 1, `${name}: ${one} is there`)
    t.notMatch(valuesOf(raw, 'connection').join(), /close|hop|none/i, `${name}: Connection itself`)
  }
})

t.test('a body that Connection names the length of keeps its end', async (t) => {
  upstream.seen.length = 0
  const { status } = await ask(gateway.origin, link(), {
    method: 'POST',
    headers: { Connection: 'Content-Length' },
    body: 'abc',
  })
  t.equal(status, 200)
  t.equal(upstream.seen.length, 1)
})

t.test('Upgrade without a connection for it is no upgrade', async (t) => {
  for (const upgrade of ['h2c', 'websocket', 'TLS/1.0']) {
    const raw = await sent({ Upgrade: upgrade })
    t.notMatch(JSON.stringify(raw), /upgrade/i, upgrade)
  }
})
