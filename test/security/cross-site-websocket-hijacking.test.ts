// An upgrade comes from the gateway's own page: no other page's script opens a socket with a cookie.
import t, { type Test } from 'tap'
import { ids, jwt, link, type Stage, startGateway, startUpstream } from '../stage.ts'
import { accepting, dial, handshake, headOf, sessionCookie } from '../websocket/peer.ts'

type Changes = Readonly<Record<string, string | readonly string[] | null>>

const refusedOrigins: readonly (readonly [string, (stage: Stage) => string | readonly string[]])[] =
  [
    ['another site', () => 'https://evil.example'],
    ['the contact center', () => 'https://cc.example'],
    ['null', () => 'null'],
    ['empty', () => ''],
    ['https instead of http', ({ port }) => `https://127.0.0.1:${port}`],
    ['another port', ({ port }) => `http://127.0.0.1:${port + 1}`],
    ['no port', () => 'http://127.0.0.1'],
    ['a name of the same machine', ({ port }) => `http://localhost:${port}`],
    ['a subdomain', ({ port }) => `http://a.127.0.0.1:${port}`],
    ['the own origin as a prefix', ({ origin }) => `${origin}.evil.example`],
    ['the own origin as a path', ({ origin }) => `https://evil.example/${origin}`],
    ['the own origin as user', ({ port }) => `http://127.0.0.1:${port}@evil.example`],
    ['a slash behind', ({ origin }) => `${origin}/`],
    ['a path behind', ({ origin }) => `${origin}/ws`],
    ['two in one line', ({ origin }) => `${origin}, https://evil.example`],
    ['two apart', ({ origin }) => [origin, 'https://evil.example']],
    ['the own one twice', ({ origin }) => [origin, origin]],
    ['the foreign one first', ({ origin }) => ['https://evil.example', origin]],
    ['another scheme', ({ port }) => `ws://127.0.0.1:${port}`],
    ['the upstream', () => 'upstream'],
  ]

t.test('where Host says who the gateway is', async (t) => {
  const upstream = await startUpstream(t, undefined, (request, socket) =>
    socket.end(accepting(request)),
  )
  const gateway = await startGateway(t, upstream.origin)
  const cookie = await sessionCookie(t, gateway.port)
  const seen = upstream.seen.length
  let audited = (await gateway.audited(1)).length

  const withCookie = { Cookie: cookie }
  const withToken = link({}, '/ws')
  for (const [name, originOf] of refusedOrigins) {
    const given = originOf(gateway)
    const Origin = given === 'upstream' ? upstream.origin : given
    for (const [credential, target, changes] of [
      ['a cookie', '/ws', { ...withCookie, Origin }],
      ['a cookie at the backend', '/socket.io/?EIO=4', { ...withCookie, Origin }],
      ['a token', withToken, { Origin }],
      ['both', withToken, { ...withCookie, Origin }],
    ] as const) {
      t.equal(await ask(t, gateway, target, changes), 403, `${name}, ${credential}`)
      audited += 1
      const lines = await gateway.audited(audited)
      t.match(lines.at(-1), { reason: 'origin-refused', status: 403, transport: 'websocket' })
      t.equal(lines.length, audited)
    }
  }
  t.equal(await ask(t, gateway, '/ws', withCookie), 403, 'a cookie and no Origin')
  t.equal(upstream.seen.length, seen, 'nothing reached the upstream')

  const own = { Origin: gateway.origin }
  const ended = jwt({ userId: ids.userId, sessionId: ids.sessionId, exp: 1 })
  const over = link({ auth: ended }, '/ws')
  t.equal(await ask(t, gateway, '/ws', { ...withCookie, ...own }), 101, 'a cookie, own origin')
  t.equal(await ask(t, gateway, withToken, own), 101, 'a token, own origin')
  t.equal(await ask(t, gateway, withToken), 101, 'a token and no Origin: no browser')
  t.equal(await ask(t, gateway, withToken, withCookie), 101, 'a token beside a cookie, no Origin')
  t.equal(
    await ask(t, gateway, over, { ...withCookie, ...own }),
    101,
    'an ended token, cookie, own origin',
  )
  const passed = upstream.seen.slice(seen)
  t.equal(passed.length, 5)
  t.notMatch(passed.at(-1)?.url ?? '', /auth/, 'the ended token went no further')
  t.equal(
    await ask(t, gateway, over, withCookie),
    403,
    'an ended token counts as absent: a cookie needs an Origin',
  )
  t.equal(
    await ask(t, gateway, over, { ...withCookie, 'Sec-Fetch-Site': 'same-origin' }),
    403,
    'nor does Fetch Metadata replace it',
  )
  t.equal(await ask(t, gateway, over, own), 401, 'an ended token alone')
  const elsewhere = {
    Host: `localhost:${gateway.port}`,
    Origin: `http://localhost:${gateway.port}`,
  }
  t.equal(await ask(t, gateway, '/ws', { ...withCookie, ...elsewhere }), 101, 'another name for it')
  t.equal(upstream.seen.length, seen + 6)
})

t.test('where PUBLIC_URL says who the gateway is', async (t) => {
  const upstream = await startUpstream(t, undefined, (request, socket) =>
    socket.end(accepting(request)),
  )
  const gateway = await startGateway(t, upstream.origin, {
    PUBLIC_URL: 'https://gateway.example https://GW.example:8443/',
  })
  const cookie = { Cookie: await sessionCookie(t, gateway.port) }
  const rows: readonly (readonly [string, string, number])[] = [
    ['the first', 'https://gateway.example', 101],
    ['the second', 'https://gw.example:8443', 101],
    ['the second without its port', 'https://gw.example', 403],
    ['http', 'http://gateway.example', 403],
    ['the default port, which browsers leave out', 'https://gateway.example:443', 403],
    ['the Host', gateway.origin, 403],
  ]
  for (const [name, Origin, status] of rows) {
    t.equal(await ask(t, gateway, '/ws', { ...cookie, Origin }), status, name)
  }
})

t.test('TLS that ends before the gateway is hinted at', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const Origin = `https://127.0.0.1:${gateway.port}`
  t.equal(await ask(t, gateway, link({}, '/ws'), { Origin }), 403)
  const [line] = await gateway.audited(1)
  t.match(JSON.stringify(line), /PUBLIC_URL/)
  t.same(upstream.seen, [])
})

async function ask(
  t: Test,
  gateway: Stage,
  target: string,
  changes: Changes = {},
): Promise<number> {
  const client = await dial(t, gateway.port)
  client.socket.write(handshake(gateway.port, target, changes))
  const { status } = await client.until(headOf)
  client.socket.destroy()
  return status
}
