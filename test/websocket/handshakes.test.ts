// The client's 101 is the upstream's: not before it, not without it, and not another one.
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { ids, link } from '../stage.ts'
import {
  acceptFor,
  accepting,
  bodyOf,
  dial,
  frame,
  handshake,
  headOf,
  key,
  type SocketStage,
  said,
  startSockets,
  stopClock,
  type Wire,
  wire,
} from './peer.ts'

t.test('no 101 before the upstream has said it', async (t) => {
  const stage = await startSockets(t)
  const client = await stage.ask()
  const { request, socket } = await stage.next()
  const upstream = wire(socket)
  const head = accepting(request)
  for (const piece of [head.slice(0, 10), head.slice(10, -30), head.slice(-30, -1)]) {
    socket.write(piece)
    await roundTrip(t, stage)
    t.equal(client.bytes().length, 0)
  }
  t.equal((await stage.gateway.audited(0)).filter(isSocket).length, 0, 'nothing is open yet')
  socket.write(head.slice(-1))
  t.equal((await client.until(headOf)).status, 101)
  socket.write(frame('hello'))
  t.same(await said({ client }, 1), ['text hello'])
  t.equal(upstream.bytes().length, 0)
})

t.test('a refusal of the upstream is passed on as it is', async (t) => {
  const stage = await startSockets(t, { IDLE_TIMEOUT: '3s' })
  const { origin } = stage.upstream
  const rows: readonly (readonly [answer: string, body: string, headers?: object])[] = [
    [
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="up"\r\nContent-Length: 2\r\n\r\nno',
      'no',
      { 'www-authenticate': ['Basic realm="up"'] },
    ],
    [
      'HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nnope',
      'nope',
      {
        'x-why': ['because'],
      },
    ],
    ['HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', ''],
    ['HTTP/1.1 404 Nowhere At All\r\nContent-Length: 0\r\n\r\n', ''],
    ['HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nuntil the end', 'until the end'],
    [
      'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n',
      '',
      { 'sec-websocket-version': ['13'] },
    ],
    ['HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok', 'ok'],
    [
      'HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok',
      'ok',
    ],
    ['HTTP/1.1 204 No Content\r\n\r\n', ''],
    [
      `HTTP/1.1 302 Found\r\nLocation: ${origin}/login?next=/\r\nContent-Length: 0\r\n\r\n`,
      '',
      { location: [`${stage.gateway.origin}/login?next=/`] },
    ],
    [
      'HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n',
      '',
      { location: ['https://login.example/'] },
    ],
    ['HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nstack', 'stack'],
    [
      'HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n',
      '',
      {
        'retry-after': ['7'],
      },
    ],
    [`HTTP/1.1 403 Forbidden\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(3e5)}`, 'x'.repeat(3e5)],
    ['HTTP/1.0 403 Forbidden\r\n\r\nold', 'old'],
    [
      'HTTP/1.1 403 Forbidden\r\nServer: nginx/1.2\r\nX-Powered-By: Express\r\n' +
        'X-Frame-Options: DENY\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n',
      '',
      {
        server: undefined,
        'x-powered-by': undefined,
        'x-frame-options': undefined,
        'access-control-allow-origin': undefined,
      },
    ],
    [
      "HTTP/1.1 403 Forbidden\r\nContent-Security-Policy: default-src 'none'\r\nContent-Length: 0\r\n\r\n",
      '',
      { 'content-security-policy': ["default-src 'none'; frame-ancestors https://cc.example"] },
    ],
    [
      'HTTP/1.1 401 Unauthorized\r\nSet-Cookie: a=1; Domain=up.example\r\nContent-Length: 0\r\n\r\n',
      '',
      {
        'set-cookie': ['a=1; Secure; SameSite=None; Partitioned'],
      },
    ],
    [
      'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno',
      'no',
    ],
  ]
  for (const [index, [answer, body, headers = {}]] of rows.entries()) {
    const name = `${answer.slice(9, answer.indexOf('\r\n'))} (${index})`
    const client = await stage.ask()
    const { socket } = await stage.next()
    const upstream = wire(socket)
    if (/^HTTP\/1\.0|Connection: close/.test(answer)) socket.end(answer)
    else socket.write(answer)
    const bytes = await client.ended
    const final = answer.slice(answer.lastIndexOf('HTTP/1.'))
    const head = headOf(bytes.subarray(bytes.lastIndexOf('HTTP/1.1')))
    t.equal(head?.text.split('\r\n')[0], final.split('\r\n')[0]?.replace('1.0', '1.1'), name)
    t.match(head?.headers, {
      'content-security-policy': [/frame-ancestors https:\/\/cc\.example$/],
      'x-content-type-options': ['nosniff'],
      'referrer-policy': ['same-origin'],
      'x-request-id': [/./],
    })
    t.has(head?.headers, headers, `${name}: headers`)
    t.equal(head?.headers['upgrade'], undefined)
    t.ok(decoded(bytes) === body, `${name}: body`)
    const lines = await stage.gateway.audited(index + 1)
    t.equal(lines.length, index + 1, `${name}: one line`)
    t.match(lines.at(-1), {
      decision: 'allow',
      status: head?.status,
      transport: 'websocket',
      path: '/ws',
      requestId: head?.headers['x-request-id']?.[0],
    })
    await upstream.ended
  }
})

t.test('an answer that is no 101 to this handshake is 502', async (t) => {
  const stage = await startSockets(t)
  const switching = 'HTTP/1.1 101 Switching Protocols\r\n'
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  const right = `Sec-WebSocket-Accept: ${acceptFor(key)}\r\n`
  const deflate = 'Sec-WebSocket-Extensions: permessage-deflate\r\n'
  const rows: readonly (readonly [string, string, string?])[] = [
    ['no accept', `${switching}${upgrade}\r\n`],
    [
      'the accept of another key',
      `${switching}${upgrade}Sec-WebSocket-Accept: ${acceptFor('x')}\r\n\r\n`,
    ],
    ['the key itself', `${switching}${upgrade}Sec-WebSocket-Accept: ${key}\r\n\r\n`],
    ['the accept in another case', `${switching}${upgrade}${right.toUpperCase()}\r\n`],
    ['two accepts', `${switching}${upgrade}${right}Sec-WebSocket-Accept: x\r\n\r\n`],
    ['no Upgrade', `${switching}Connection: Upgrade\r\n${right}\r\n`],
    ['no Connection', `${switching}Upgrade: websocket\r\n${right}\r\n`],
    ['neither', `${switching}${right}\r\n`],
    ['another protocol', `${switching}Connection: Upgrade\r\nUpgrade: h2c\r\n${right}\r\n`],
    [
      'bytes behind a wrong accept',
      `${switching}${upgrade}\r\n${frame('early').toString('latin1')}`,
    ],
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n'],
    ['a line without a colon', `${switching}${upgrade}${right}broken\r\n\r\n`],
    ['a status that is none', `HTTP/1.1 abc\r\n\r\n`],
    ['a head past all bounds', `${switching}${upgrade}${right}X: ${'x'.repeat(2e5)}\r\n\r\n`],
    ['an extension on /socket.io/', `${switching}${upgrade}${right}${deflate}\r\n`, '/socket.io/'],
    [
      'an unknown extension on /socket.io/',
      `${switching}${upgrade}${right}Sec-WebSocket-Extensions: x-own\r\n\r\n`,
      '/socket.io/',
    ],
  ]
  for (const [index, [name, answer, path = '/ws']] of rows.entries()) {
    const client = await stage.ask(link({}, path), {
      'Sec-WebSocket-Extensions': 'permessage-deflate',
    })
    const { socket } = await stage.next()
    const upstream = wire(socket)
    socket.write(answer, 'latin1')
    await checkUnreachable(t, stage, client, index, name)
    await upstream.ended
  }
})

t.test('an upstream that leaves without an answer is 502', async (t) => {
  const stage = await startSockets(t)
  const half = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConn'
  const rows: readonly (readonly [string, (socket: Duplex) => void])[] = [
    ['closes', (socket) => socket.end()],
    ['resets', reset],
    ['closes inside its head', (socket) => socket.end(half)],
    ['resets inside its head', (socket) => socket.write(half, () => reset(socket))],
  ]
  for (const [index, [name, leave]] of rows.entries()) {
    const client = await stage.ask()
    leave((await stage.next()).socket)
    await checkUnreachable(t, stage, client, index, name)
  }
  t.equal(stage.upstream.seen.length, rows.length, 'nothing was tried again')
})

t.test('an upstream that cuts its refusal short is not passed on as whole', async (t) => {
  const stage = await startSockets(t)
  const client = await stage.ask()
  const { socket } = await stage.next()
  socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf')
  const bytes = await client.ended
  t.match(headOf(bytes), { status: 403, headers: { 'content-length': ['100'] } })
  t.equal(`${bodyOf(bytes)}`, 'half')
  t.equal((await stage.gateway.audited(1)).length, 1)
})

t.test('an upstream that never answers is 504 after UPSTREAM_TIMEOUT', async (t) => {
  const stage = await startSockets(t, { UPSTREAM_TIMEOUT: '10s' })
  const forward = stopClock(t)
  for (const [index, [name, said]] of (
    [
      ['silent', ''],
      ['half a head', 'HTTP/1.1 101 Switching Protocols\r\nUpg'],
      ['a hint only', 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'],
    ] as const
  ).entries()) {
    const client = await stage.ask()
    const { socket } = await stage.next()
    const upstream = wire(socket)
    if (said !== '') socket.write(said)
    await roundTrip(t, stage)
    t.equal(client.bytes().length, 0, name)
    forward(10_001)
    const head = headOf(await client.ended)
    t.equal(head?.status, 504, name)
    await upstream.ended
    const lines = (await stage.gateway.audited(2 * index + 2)).filter(isSocket)
    t.equal(lines.length, index + 1, `${name}: one line`)
    t.match(lines.at(-1), { decision: 'deny', reason: 'upstream-timeout', status: 504 })
  }
})

t.test('a refusal whose body never ends is cut, at both ends', async (t) => {
  const stage = await startSockets(t, { UPSTREAM_TIMEOUT: '10s' })
  const forward = stopClock(t)
  const client = await stage.ask()
  const upstream = wire((await stage.next()).socket)
  upstream.socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf')
  await client.until((bytes) => (bodyOf(bytes).length === 4 ? true : null))
  forward(10_001)
  await Promise.all([client.ended, upstream.ended])
  t.equal((await stage.gateway.audited(1)).length, 1)
})

t.test('the 101, line by line', async (t) => {
  const stage = await startSockets(t)
  const own = (id: readonly string[] | undefined): string[] => [
    'content-security-policy: frame-ancestors https://cc.example',
    'x-content-type-options: nosniff',
    'referrer-policy: same-origin',
    `x-request-id: ${id}`,
  ]
  const offers = 'permessage-deflate; client_max_window_bits, x-own'
  const protocols = 'chat.v2, chat.v1'
  const rows: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
    ['nothing chosen', '/ws', [], []],
    [
      'a sub-protocol',
      '/ws',
      ['Sec-WebSocket-Protocol: chat.v1'],
      ['sec-websocket-protocol: chat.v1'],
    ],
    [
      'one that was not offered',
      '/ws',
      ['Sec-WebSocket-Protocol: other'],
      ['sec-websocket-protocol: other'],
    ],
    [
      'an extension',
      '/ws',
      ['Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover'],
      ['sec-websocket-extensions: permessage-deflate; server_no_context_takeover'],
    ],
    [
      'a sub-protocol on /socket.io/',
      '/socket.io/',
      ['Sec-WebSocket-Protocol: chat.v2'],
      ['sec-websocket-protocol: chat.v2'],
    ],
    [
      'what an upstream adds',
      '/ws',
      ['Server: up/1', 'X-Powered-By: up', 'X-Request-Id: theirs', 'X-Own: kept', 'Keep-Alive: 5'],
      ['x-own: kept'],
    ],
    ['a length, which a 101 has none of (RFC 9110 §8.6)', '/ws', ['Content-Length: 0'], []],
    [
      'cookies of the upstream',
      '/ws',
      ['Set-Cookie: io=1; HttpOnly', 'Set-Cookie: __Host-copilot-AAAAAAAAAAAAAAAA=forged; Secure'],
      ['set-cookie: io=1; HttpOnly; Secure; SameSite=None; Partitioned'],
    ],
  ]
  for (const [index, [name, path, lines, expected]] of rows.entries()) {
    const client = await stage.ask(link({}, path), {
      'Sec-WebSocket-Protocol': protocols,
      'Sec-WebSocket-Extensions': offers,
    })
    const { request, socket } = await stage.next()
    t.match(request.headers, {
      'sec-websocket-key': key,
      'sec-websocket-version': '13',
      'sec-websocket-protocol': protocols,
      connection: /^upgrade$/i,
      upgrade: 'websocket',
    })
    const offered = path === '/ws' ? offers : undefined
    t.equal(request.headers['sec-websocket-extensions'], offered, `${name}: offered`)
    socket.write(accepting(request, ...lines))
    const head = await client.until(headOf)
    const [status, ...headers] = head.text.slice(0, -4).split('\r\n')
    t.equal(status, 'HTTP/1.1 101 Switching Protocols')
    t.same(
      headers.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase())).sort(),
      [
        'connection: Upgrade',
        'upgrade: websocket',
        `sec-websocket-accept: ${acceptFor(key)}`,
        ...own(head.headers['x-request-id']),
        ...expected,
      ].sort(),
      name,
    )
    t.match(head.headers['x-request-id'], [/^[\w-]{20,}$/])
    const audited = await stage.gateway.audited(2 * index + 1)
    t.match(audited.at(-1), { requestId: head.headers['x-request-id']?.[0] })
    client.socket.destroy()
    socket.end()
    await stage.gateway.audited(2 * index + 2)
  }
})

t.test('two audit lines a socket', async (t) => {
  const stage = await startSockets(t)
  const { client, upstream, head } = await stage.pair()
  const [open] = await stage.gateway.audited(1)
  const common = {
    event: 'access',
    decision: 'allow',
    status: 101,
    method: 'GET',
    path: '/ws',
    transport: 'websocket',
    userId: ids.userId,
    sessionId: ids.sessionId,
    requestId: head.headers['x-request-id']?.[0],
    ip: '127.0.0.1',
    contactCenter: String,
    durationMs: Number,
  }
  t.match(open, common)
  client.socket.end()
  upstream.socket.end()
  const lines = await stage.gateway.audited(2)
  t.equal(lines.length, 2)
  t.match(lines[1], common)
  t.notSame(lines[0], lines[1], 'which tell apart the opening and the end')
  t.equal(open?.['reason'], undefined)
  t.notMatch(JSON.stringify(stage.gateway.lines), ids.URLToken)
  t.notMatch(JSON.stringify(stage.gateway.lines), /eyJ/)
})

t.test('a 101 that nobody asked for is none', async (t) => {
  const stage = await startSockets(t)
  const client = await dial(t, stage.gateway.port)
  const plain = handshake(stage.gateway.port, link({}, '/ws'), { Connection: 'close' })
  client.socket.write(plain)
  t.not(headOf(await client.ended)?.status, 101, 'Upgrade without Connection is no upgrade')
  t.match(stage.upstream.seen, [{ headers: { upgrade: undefined } }])
})

function isSocket(line: Record<string, unknown>): boolean {
  return line['transport'] === 'websocket'
}

/** By when it is back, the gateway has done all that it had to do before. */
async function roundTrip(t: Test, { gateway }: SocketStage): Promise<void> {
  const client = await dial(t, gateway.port)
  const target = link({}, '/page')
  client.socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  t.equal(headOf(await client.ended)?.status, 200)
}

function reset(socket: Duplex): void {
  if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') {
    socket.resetAndDestroy()
  }
}

/** The body of an HTTP/1.1 answer, chunked or not. */
function decoded(bytes: Buffer): string {
  const answer = bytes.subarray(bytes.lastIndexOf('HTTP/1.1'))
  const head = headOf(answer)
  let rest = `${bodyOf(answer)}`
  if (head?.headers['transfer-encoding'] === undefined) return rest
  let body = ''
  for (;;) {
    const size = Number.parseInt(rest, 16)
    const start = rest.indexOf('\r\n') + 2
    if (!(size > 0)) return body
    body += rest.slice(start, start + size)
    rest = rest.slice(start + size + 2)
  }
}

async function checkUnreachable(
  t: Test,
  stage: SocketStage,
  client: Wire,
  index: number,
  name: string,
): Promise<void> {
  const { status, headers } = await client.until(headOf)
  t.equal(status, 502, name)
  if (status !== 502) client.socket.destroy()
  t.match(headers, { 'content-type': ['application/problem+json'], connection: ['close'] })
  t.notMatch(`${await client.ended}`, /early/)
  const lines = await stage.gateway.audited(index + 1)
  t.equal(lines.length, index + 1, `${name}: one line`)
  t.match(lines.at(-1), {
    decision: 'deny',
    reason: 'upstream-unreachable',
    status: 502,
    transport: 'websocket',
  })
}
