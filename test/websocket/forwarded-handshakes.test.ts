// What the upstream sees of an upgrade is what was checked, and nothing that is the gateway's own.
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { ids, jwt, link as linkOf, type Stage, startGateway, startUpstream } from '../stage.ts'
import {
  accepting,
  bodyOf,
  dial,
  handshake,
  headOf,
  key,
  type SocketStage,
  sessionCookie,
  startSockets,
  wire,
} from './peer.ts'

// One token, so that what went in and what came out can be compared.
const auth = jwt()
const link: typeof linkOf = (changes, path) => linkOf({ auth, ...changes }, path)

type Changes = Readonly<Record<string, string | readonly string[] | null>>

async function forwarded(
  stage: SocketStage,
  target: string,
  changes: Changes = {},
): Promise<IncomingMessage> {
  const client = await stage.ask(target, changes)
  const { request, socket } = await Promise.race([
    stage.next(),
    client.ended.then((bytes) => Promise.reject(new Error(`refused: ${bytes}`))),
  ])
  socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
  await client.ended
  return request
}

t.test('paths and queries, byte for byte', async (t) => {
  const stage = await startSockets(t)
  const odd = '/a;b=1/%C3%A9/~!$&\'()*+,:@/"<>[]^`{|}/'
  const rows: readonly (readonly [string, string, string?])[] = [
    ['as it is', link({}, '/ws')],
    ['every character there is', link({}, odd)],
    ['other parameters', `${link({}, '/ws')}&a=b&a=c&&d&=e&f=%C3%A9+g;h&i?j`],
    ['an encoded id', link({}, '/ws').replace('agent-7', '%61gent%2D7')],
    ['an empty parameter behind', `${link({}, '/ws')}&`],
    [
      'without copilotSession',
      `${link({}, '/ws')}&copilotSession=a.b.c&z=1`,
      `${link({}, '/ws')}&z=1`,
    ],
  ]
  for (const [name, target, expected = target] of rows) {
    t.equal((await forwarded(stage, target)).url, expected, name)
  }
})

t.test('the token goes along, unless FORWARD_AUTH says otherwise', async (t) => {
  const stage = await startSockets(t)
  const bearer = `Bearer ${jwt()}`
  const bare = link({ auth: null }, '/ws')
  t.equal((await forwarded(stage, link({}, '/ws'))).url, link({}, '/ws'))
  const inHeader = await forwarded(stage, bare, { Authorization: bearer })
  t.equal(inHeader.headers.authorization, bearer)
  const basic = { Authorization: 'Basic YTpi' }
  t.equal((await forwarded(stage, link({}, '/ws'), basic)).headers.authorization, 'Basic YTpi')

  const keeping = await startSockets(t, { FORWARD_AUTH: 'false' })
  t.equal((await forwarded(keeping, link({}, '/ws'))).url, bare)
  t.equal((await forwarded(keeping, `${link({}, '/ws')}&z=1`)).url, `${bare}&z=1`)
  const kept = await forwarded(keeping, bare, { Authorization: bearer })
  t.equal(kept.headers.authorization, undefined)
  t.equal(
    (await forwarded(keeping, link({}, '/ws'), basic)).headers.authorization,
    'Basic YTpi',
    'what is none of the gateway’s passes',
  )
})

t.test('a token that has ended is not forwarded beside the cookie it opened', async (t) => {
  const stage = await startSockets(t)
  const { port, origin } = stage.gateway
  const cookie = { Cookie: await sessionCookie(t, port), Origin: origin }
  const ended = jwt({ userId: ids.userId, sessionId: ids.sessionId, exp: 1 })
  const bare = link({ auth: null }, '/ws')
  const inQuery = await forwarded(stage, link({ auth: ended }, '/ws'), cookie)
  t.equal(inQuery.url, bare)
  const inHeader = await forwarded(stage, bare, { ...cookie, Authorization: `Bearer ${ended}` })
  t.equal(inHeader.headers.authorization, undefined)
  t.equal(inHeader.url, bare)
})

t.test('the gateway’s cookies stay with it, all others go on', async (t) => {
  const stage = await startSockets(t)
  const { port, origin } = stage.gateway
  const own = await sessionCookie(t, port)
  const forged = '__Host-copilot-AAAAAAAAAAAAAAAA=x'
  const rows: readonly (readonly [string, string | readonly string[], string | undefined])[] = [
    ['alone', own, undefined],
    ['first', `${own}; a=1; b="2 3"`, 'a=1; b="2 3"'],
    ['in the middle', `a=1; ${own}; b=2`, 'a=1; b=2'],
    ['last', `a=1; b=2; ${own}`, 'a=1; b=2'],
    ['without space', `a=1;${own};b=2`, 'a=1; b=2'],
    ['in a line of its own', ['a=1', own, 'b=2'], 'a=1; b=2'],
    ['beside a forged one', `${forged}; ${own}; a=1`, 'a=1'],
    ['in another case', `${own}; __HOST-COPILOT-x=1; a=1`, 'a=1'],
    ['with a name alone', `${own}; __Host-copilot-x; a=1`, 'a=1'],
  ]
  for (const [name, Cookie, expected] of rows) {
    const request = await forwarded(stage, '/ws?a=1', { Cookie, Origin: origin })
    t.equal(request.headers.cookie, expected, name)
  }
  const stranger = await forwarded(stage, link({}, '/ws'), { Cookie: 'a=1; c="x;y"; =z; q' })
  t.match(stranger.headers.cookie, /a=1.*q/, 'what is not the gateway’s is not its business')
})

t.test('headers: what goes on, what stays, what is the gateway’s own', async (t) => {
  const stage = await startSockets(t)
  const { origin } = stage.upstream
  const { port } = stage.gateway
  const request = await forwarded(stage, link({}, '/ws'), {
    Origin: stage.gateway.origin,
    Connection: ['keep-alive, Upgrade, X-Hop', 'x-other-hop'],
    'Keep-Alive': 'timeout=5',
    'Proxy-Connection': 'keep-alive',
    'Proxy-Authorization': 'Basic YTpi',
    TE: 'trailers',
    Trailer: 'X-Sum',
    'X-Hop': '1',
    'X-Other-Hop': '1',
    'X-Real-IP': '1.2.3.4',
    'X-Original-URL': '/admin',
    'X-Rewrite-URL': '/admin',
    'X-HTTP-Method': 'DELETE',
    'X-HTTP-Method-Override': 'DELETE',
    'X-Copilot-User-Id': 'other',
    'X-Copilot-Anything': 'other',
    'X-Forwarded-For': '1.2.3.4',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Prefix': '/evil',
    Forwarded: 'for=1.2.3.4',
    'X-Request-Id': 'theirs',
    X_Forwarded_For: '1.2.3.4',
    'X-Forwarded_Proto': 'https',
    X_Real_IP: '1.2.3.4',
    x_copilot_user_id: 'other',
    X_Original_URL: '/admin',
    X_HTTP_Method_Override: 'DELETE',
    X_Request_Id: 'theirs',
    Referer: 'https://cc.example/desk?auth=secret#x',
    'User-Agent': 'test/1',
    'Accept-Language': 'de',
    'Sec-WebSocket-Protocol': 'a, b',
    'X-Own': ['1', '2'],
    'X-Latin': 'caf\xe9',
  })
  const { 'x-request-id': requestId, forwarded: element, ...headers } = request.headers
  t.same(headers, {
    host: origin.slice('http://'.length),
    origin,
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    'sec-websocket-protocol': 'a, b',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': `127.0.0.1:${port}`,
    'x-forwarded-proto': 'http',
    referer: 'https://cc.example/',
    'user-agent': 'test/1',
    'accept-language': 'de',
    'x-own': '1, 2',
    'x-latin': 'caf\xe9',
  })
  t.equal(element, `for=127.0.0.1;host="127.0.0.1:${port}";proto=http`)
  t.match(requestId, /^[\w-]{20,}$/)
  t.match(await stage.gateway.audited(1), [{ requestId }])
})

t.test('Connection cannot take away what the gateway or the handshake need', async (t) => {
  const stage = await startSockets(t)
  const { port } = stage.gateway
  const named =
    'X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Request-Id, Host'
  const { headers } = await forwarded(stage, link({}, '/ws'), { Connection: `Upgrade, ${named}` })
  t.match(headers, {
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': `127.0.0.1:${port}`,
    'x-forwarded-proto': 'http',
    forwarded: /^for=127/,
    'x-request-id': /./,
    host: stage.upstream.origin.slice(7),
  })
})

t.test('what Connection names stays, cookies and credentials too', async (t) => {
  const stage = await startSockets(t)
  const { headers } = await forwarded(stage, link({}, '/ws'), {
    Connection: 'Upgrade, Cookie, Authorization, Accept-Language',
    Cookie: 'a=1',
    Authorization: 'Basic YTpi',
    'Accept-Language': 'de',
  })
  t.equal(headers['accept-language'], undefined)
  t.equal(headers.cookie, undefined)
  t.equal(headers.authorization, undefined)
})

t.test('no Origin is made up for a client that sends none', async (t) => {
  const stage = await startSockets(t)
  t.equal((await forwarded(stage, link({}, '/ws'))).headers.origin, undefined)
})

t.test('forwarding headers of a trusted proxy are believed', async (t) => {
  const stage = await startSockets(t, {
    TRUST_PROXY: '127.0.0.1',
    PUBLIC_URL: 'https://gw.example',
  })
  const { headers } = await forwarded(stage, link({}, '/ws'), {
    'X-Forwarded-For': '203.0.113.9',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'gw.example',
    'X-Request-Id': 'edge-1',
    Origin: 'https://gw.example',
  })
  t.match(headers, {
    'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'gw.example',
    'x-request-id': 'edge-1',
    origin: stage.upstream.origin,
  })
  t.match(await stage.gateway.audited(1), [{ ip: '203.0.113.9', requestId: 'edge-1' }])
})

t.test('/socket.io/ goes to the backend, all else to the page’s host and base path', async (t) => {
  const answer = (): Parameters<typeof startUpstream>[2] => (request, socket) =>
    socket.end(accepting(request))
  const page = await startUpstream(t, undefined, answer())
  const api = await startUpstream(t, undefined, answer())
  const gateway = await startGateway(t, `${page.origin}/base`, { COPILOT_API_URL: api.origin })
  const rows: readonly (readonly [string, typeof page, string])[] = [
    ['/socket.io/', api, '/socket.io/'],
    ['/socket.io/x/y', api, '/socket.io/x/y'],
    ['/socket.io', page, '/base/socket.io'],
    ['/socket.iox/', page, '/base/socket.iox/'],
    ['/x/socket.io/', page, '/base/x/socket.io/'],
    ['/', page, '/base/'],
    ['/ws', page, '/base/ws'],
  ]
  for (const [path, upstream, expected] of rows) {
    const [before, other] = [upstream.seen.length, upstream === api ? page : api]
    const others = other.seen.length
    t.equal(await statusOf(gateway, link({}, path)), 101, path)
    t.equal(upstream.seen.length, before + 1, `${path} reaches its host`)
    t.equal(upstream.seen.at(-1)?.url, link({}, expected), expected)
    t.equal(upstream.seen.at(-1)?.headers.host, upstream.origin.slice(7))
    t.equal(other.seen.length, others, 'and no other')
  }

  async function statusOf(gateway: Stage, target: string): Promise<number> {
    const client = await dial(t, gateway.port)
    client.socket.write(handshake(gateway.port, target))
    const { status } = await client.until(headOf)
    client.socket.destroy()
    return status
  }
})

t.test('what the client sends before its 101 arrives, in order and once', async (t) => {
  const stage = await startSockets(t)
  const early = Buffer.from([...'early bytes with the head'].map((c) => c.charCodeAt(0)))
  const client = await stage.ask(undefined, {}, early)
  const { request, socket } = await stage.next()
  t.notMatch(JSON.stringify(request.rawHeaders), /early/)
  client.socket.write(' and more while waiting')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.write(accepting(request))
  await client.until(headOf)
  client.socket.end(' and after')
  await once(socket, 'end')
  t.equal(
    `${Buffer.concat(received)}`,
    'early bytes with the head and more while waiting and after',
  )
  socket.end()
  t.equal(`${bodyOf(await client.ended)}`, '')
})

t.test('many early bytes arrive too', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '100mb' })
  const large = Buffer.alloc(5_000_000, 'early')
  const client = await stage.ask(undefined, {}, large)
  const { request, socket } = await stage.next()
  const upstream = wire(socket)
  socket.write(accepting(request))
  t.ok((await upstream.until((b) => (b.length < large.length ? null : b))).equals(large))
  client.socket.end()
  await upstream.ended
  socket.end()
})
