import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { request as startRequest } from 'node:https'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { pourAnswer } from '../sinks.ts'
import {
  auditOf,
  exchange,
  ids,
  link,
  startGateway,
  startSocketUpstream,
  startUpstream,
  valuesOf,
} from '../stage.ts'

const folder = t.testdir({ mine: {}, theirs: {} })
const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
for (const name of ['mine', 'theirs']) {
  const args = [script, '--out', join(folder, name), '--client', 'agent']
  execFileSync('bash', args, { stdio: 'ignore' })
}
const path = (name: string): string => join(folder, name)
const read = (name: string): string => readFileSync(path(name), 'utf8')
const ca = read('mine/ca.pem')
const tls = { TLS_CERT_FILE: path('mine/server.pem'), TLS_KEY_FILE: path('mine/server-key.pem') }

const upstream = await startUpstream(t, (request, response) => {
  const what = request.url?.split(/[/?]/)[1]
  request.on('error', () => {})
  if (what === 'echo') {
    request.pipe(response)
  } else if (what === 'count') {
    let bytes = 0
    request.on('data', (data: Buffer) => {
      bytes += data.length
    })
    request.on('end', () => response.end(String(bytes)))
  } else if (what === 'silent') {
    request.resume()
  } else if (what === 'events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: 0\n\n')
    let count = 0
    request.socket.on('next', () => {
      count += 1
      if (count < 4) response.write(`data: ${count}\n\n`)
      else response.end()
    })
  } else if (what === 'trailers') {
    response.writeHead(200, { Trailer: 'X-Sum' })
    response.write('body')
    response.addTrailers({ 'X-Sum': '4' })
    response.end()
  } else if (what === 'status') {
    const status = Number(request.url?.split(/[/?]/)[2])
    response.writeHead(status, { ETag: '"x"', ...(status === 304 ? { 'Content-Length': 7 } : {}) })
    response.end()
  } else {
    response.setHeader('Set-Cookie', ['a=1', 'b=2'])
    response.setHeader('X-Latin-1', '\u00e9\u00ff')
    response.setHeader('Content-Length', 2)
    // Beside a text Node writes its headers in UTF-8.
    response.end(Buffer.from('ok'))
  }
})
const gateway = await startGateway(t, upstream.origin, { ...tls, BODY_LIMIT: '4mb' })
const authority = new URL(gateway.origin).host.replace('127.0.0.1', 'localhost')
const origin = `https://${authority}`

function session(t: Scope, options = {}, url = origin): ClientHttp2Session {
  const client = connectHttp2(url, { ca, ...options })
  client.on('error', () => {})
  t.teardown(() => client.destroy())
  return client
}
interface Scope {
  teardown(done: () => unknown): void
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders
  readonly interim: readonly IncomingHttpHeaders[]
  /** Why the stream was reset; 0 where it was not. */
  readonly reset: number
}

/** All that comes back on a stream. */
async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders = {}
  let body = ''
  const interim: IncomingHttpHeaders[] = []
  stream.on('error', () => {})
  stream.on('headers', (more) => interim.push(more))
  stream.on('response', (got) => {
    headers = got
  })
  stream.on('trailers', (got) => {
    trailers = got
  })
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
  })
  await new Promise((resolve) => stream.once('close', resolve))
  pourAnswer(Number(headers[':status']), headers, body)
  return { headers, body, trailers, interim, reset: stream.rstCode ?? 0 }
}

function get(
  client: ClientHttp2Session,
  target: string,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Answer> {
  const stream = client.request({ ':path': target, ...headers }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

interface Answer1 {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly rawTrailers: readonly string[]
}

/** The same over HTTP/1.1. */
function get1(target: string, options = {}, body = ''): Promise<Answer1> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(origin)
    const request = startRequest({
      host: 'localhost',
      port,
      path: target,
      ca,
      agent: false,
      ...options,
    })
    request.on('error', reject)
    request.on('response', async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      const { statusCode: status, headers, rawTrailers } = response
      resolve({ status, headers, body: text, rawTrailers })
    })
    request.end(body)
  })
}

t.test('each client gets the protocol that it asks for', async (t) => {
  const rows: readonly (readonly [string[] | undefined, string | false])[] = [
    [['h2'], 'h2'],
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [undefined, false],
  ]
  for (const [ALPNProtocols, expected] of rows) {
    const options = { port: gateway.port, host: '127.0.0.1', ca, servername: 'localhost' }
    const socket = connectTls({ ...options, ...(ALPNProtocols ? { ALPNProtocols } : {}) })
    await once(socket, 'secureConnect')
    t.equal(socket.alpnProtocol, expected, `${ALPNProtocols}`)
    socket.destroy()
  }
  const old = connectTls({
    port: gateway.port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  })
  t.match(await once(old, 'error'), [{ code: /^(ERR_SSL|ECONNRESET|EPROTO)/ }], 'TLS 1.1')
})

t.test('a navigation', async (t) => {
  for (const protocol of ['HTTP/2', 'HTTP/1.1']) {
    upstream.seen.length = 0
    const target = link()
    const { headers, body } =
      protocol === 'HTTP/2' ? await get(session(t), target) : await get1(target)
    t.equal(body, 'ok', protocol)
    t.equal(headers['x-latin-1'], '\u00e9\u00ff', protocol)
    t.match(headers['strict-transport-security'], /max-age=\d+/, protocol)
    const names = headers['set-cookie']?.map((line) => line.split('=')[0])
    t.match(names, ['a', 'b', /^__Host-copilot-/], protocol)
    t.equal(headers['cache-control'], 'no-store', protocol)
    const [asked] = upstream.seen
    t.equal(asked?.url, target, protocol)
    t.strictSame(valuesOf(asked?.rawHeaders, 'host'), [new URL(upstream.origin).host], protocol)
    t.match(
      asked?.headers,
      { 'x-forwarded-proto': 'https', 'x-forwarded-host': authority },
      protocol,
    )
    t.notMatch(JSON.stringify(asked?.rawHeaders), /":|http2/, `${protocol}: no pseudo-header`)
    const line = await auditOf(gateway, headers['x-request-id'])
    t.match(line, {
      decision: 'allow',
      status: 200,
      path: '/',
      transport: 'http',
      ip: '127.0.0.1',
      ...subject,
    })
  }
})

const subject = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }

t.test('methods and their bodies', async (t) => {
  const client = session(t)
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']) {
    upstream.seen.length = 0
    const sent = { ':method': method }
    t.equal((await get(client, link({}, '/echo'), sent, 'body')).body, 'body', method)
    t.equal(upstream.seen[0]?.method, method)
    const sized = { ...sent, 'content-length': 4 }
    t.equal((await get(client, link({}, '/echo'), sized, 'body')).body, 'body', `${method}, sized`)
    t.equal(upstream.seen[1]?.headers['content-length'], '4')
    const empty = await get(client, link({}, '/echo'), sent)
    t.equal(empty.body, '', `${method}, none`)
    t.notOk('transfer-encoding' in (upstream.seen[2]?.headers ?? {}), `${method}: no body at all`)
  }
  const head = await get(client, link(), { ':method': 'HEAD' })
  t.match(head.headers, { ':status': 200, 'content-length': '2' })
  t.equal(head.body, '')
  t.equal(head.reset, 0)
})

t.test('a large body each way', async (t) => {
  const client = session(t)
  const body = Buffer.alloc(4 * 2 ** 20, 'x')
  t.equal(
    (await get(client, link({}, '/count'), { ':method': 'POST' }, body)).body,
    String(body.length),
  )
  const echoed = await get(client, link({}, '/echo'), { ':method': 'POST' }, body)
  t.equal(echoed.body.length, body.length)
  t.equal(echoed.reset, 0)
})

t.test('both ways at once', async (t) => {
  const stream = session(t).request({ ':path': link({}, '/echo'), ':method': 'POST' })
  const got: string[] = []
  stream.write('0')
  for await (const chunk of stream) {
    got.push(String(chunk))
    if (got.length < 5) stream.write(String(got.length))
    else stream.end()
  }
  t.strictSame(got, ['0', '1', '2', '3', '4'])
})

t.test('trailers of answers', async (t) => {
  const { trailers, body } = await get(session(t), link({}, '/trailers'))
  t.equal(body, 'body')
  t.equal(trailers['x-sum'], '4')
  const { rawTrailers } = await get1(link({}, '/trailers'))
  t.strictSame(valuesOf(rawTrailers, 'x-sum'), ['4'])
})

t.test('answers without a body', async (t) => {
  const client = session(t)
  for (const status of [204, 304]) {
    const answer = await get(client, link({}, `/status/${status}`))
    t.equal(answer.headers[':status'], status)
    t.equal(answer.reset, 0, `${status} ends well`)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.match(line, { decision: 'allow', status })
    t.notOk('ended' in line, `${status} was not broken off`)
  }
})

t.test('event streams, as they come', async (t) => {
  const stream = session(t).request({ ':path': link({}, '/events') })
  const got: string[] = []
  for await (const chunk of stream) {
    got.push(String(chunk))
    for (const socket of upstream.sockets) socket.emit('next')
  }
  t.strictSame(got, ['data: 0\n\n', 'data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n'])
})

t.test('who cancels a stream cancels its request and no other', async (t) => {
  const client = session(t)
  const before = new Set(upstream.sockets)
  const other = client.request({ ':path': link({}, '/echo'), ':method': 'POST' })
  other.write('0')
  await once(other, 'data')
  for (const [name, target] of [
    ['before the head', link({}, '/silent')],
    ['after the head', link({}, '/events')],
  ] as const) {
    const count = upstream.seen.length
    const stream = client.request({ ':path': target })
    stream.on('error', () => {})
    stream.resume()
    if (name === 'after the head') await once(stream, 'response')
    else while (upstream.seen.length === count) await get(client, link())
    const mine = [...upstream.sockets].filter((socket) => !before.has(socket))
    const gone = Promise.race(
      mine.map((socket) => new Promise((done) => socket.once('close', done))),
    )
    stream.close(constants.NGHTTP2_CANCEL)
    await gone
    t.pass(name)
  }
  other.end('1')
  const { reset, body } = await answerOf(other)
  t.equal(reset, 0)
  t.equal(body, '1', 'the other goes on')
})

t.test('a session that is gone takes its requests with it', async (t) => {
  const client = session(t)
  const count = upstream.seen.length
  const stream = client.request({ ':path': link({}, '/silent') })
  stream.on('error', () => {})
  while (upstream.seen.length === count) await get(session(t), link())
  const lines = (await gateway.audited(0)).length
  client.destroy()
  const line = (await gateway.audited(lines + 1)).slice(lines)
  t.match(line, [{ decision: 'allow', path: '/silent' }])
})

t.test('refusals', async (t) => {
  const client = session(t)
  const rows: readonly (readonly [string, number, string, OutgoingHttpHeaders, string?])[] = [
    ['no token', 401, '/', {}],
    ['a token of nobody', 401, link({ auth: 'a.b.c' }), {}],
    ['another user', 403, link({ userId: 'x' }), {}],
    ['a look-alike', 400, '/?userid=x', {}],
    ['dot segments', 400, `/../${link()}`, {}],
    ['two slashes', 400, `//evil.example${link()}`, {}],
    ['a fragment', 400, `/#${link()}`, {}],
    ['a backslash', 400, `/\\evil${link()}`, {}],
    ['an asterisk', 400, '*', { ':method': 'OPTIONS' }],
    ['TRACE', 400, link(), { ':method': 'TRACE' }],
    ['a method that nobody knows', 400, link(), { ':method': 'BREW' }],
    ['a method in lower case', 400, link(), { ':method': 'get' }],
    ['a body', 401, '/', { ':method': 'POST' }, 'body'],
  ]
  upstream.seen.length = 0
  for (const [name, status, target, headers, body] of rows) {
    for (const accept of ['text/html', '*/*']) {
      const answer = await get(client, target, { ...headers, accept }, body)
      t.equal(answer.headers[':status'], status, name)
      if (answer.reset !== 0) continue
      const type = accept === '*/*' ? 'application/problem+json' : 'text/html'
      t.match(answer.headers['content-type'], type, name)
      t.match(answer.headers, {
        'cache-control': 'no-store',
        'content-security-policy': /frame-ancestors /,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'strict-transport-security': /max-age=\d/,
      })
      t.equal(
        answer.headers['www-authenticate'],
        status === 401 ? 'Bearer realm="copilot"' : undefined,
      )
      const id = String(answer.headers['x-request-id'])
      t.match(answer.body, id, `${name}: tells its request id`)
      t.match(await auditOf(gateway, id), { decision: 'deny', status }, name)
    }
  }
  // What HTTP/2 itself forbids is reset, and no request.
  const forbidden = [`/a b${link().slice(1)}`, `/\t${link()}`, `/\u00fc${link()}`, '']
  for (const target of [...forbidden, `http://evil.example${link()}`, `x${link()}`, '*']) {
    const { headers } = await get(session(t), target)
    const name = JSON.stringify(target).slice(0, 9)
    t.ok(!(':status' in headers) || Number(headers[':status']) === 400, name)
  }
  t.strictSame(upstream.seen, [], 'nothing goes on')
  t.equal((await get(client, link())).body, 'ok', 'the session is well')
})

t.test('a refused upload harms nothing else of its session', async (t) => {
  const client = session(t)
  const other = client.request({ ':path': link({}, '/echo'), ':method': 'POST' })
  other.write('0')
  await once(other, 'data')
  const large = Buffer.alloc(6 * 2 ** 20)
  for (const [status, target] of [
    [401, '/'],
    [413, link({}, '/silent')],
    [403, link({ userId: 'x' }, '/silent')],
  ] as const) {
    const { headers } = await get(client, target, { ':method': 'POST' }, large)
    t.equal(headers[':status'], status)
  }
  other.end('1')
  const { body, reset } = await answerOf(other)
  t.equal(body, '1')
  t.equal(reset, 0)
  t.equal((await get(client, link())).body, 'ok')
})

t.test('an answer that comes before the upload is through ends both', async (t) => {
  const client = session(t)
  for (let i = 0; i < 3; i += 1) {
    // This one is answered without being read.
    const early = await get(client, link(), { ':method': 'POST' }, Buffer.alloc(3 * 2 ** 20))
    t.match(early.headers, { ':status': 200 })
    t.equal(early.body, 'ok')
    t.equal(early.reset, constants.NGHTTP2_NO_ERROR, 'RFC 9113 §8.1')
  }
  const next = await get(client, link({}, '/count'), { ':method': 'POST' }, Buffer.alloc(2 ** 20))
  t.equal(next.body, String(2 ** 20), 'the next upload finds room')
})

t.test('cookies in crumbs are one header', async (t) => {
  const client = session(t)
  const { headers } = await get(client, link())
  const own = headers['set-cookie']?.find((line) => line.startsWith('__Host-'))?.split(';')[0]
  const crumbs: readonly (readonly [string[], string | undefined])[] = [
    [[`${own}`], undefined],
    [['x=1', `${own}`, 'y=2'], 'x=1; y=2'],
    [['x=1; y=2', `${own}; z=3`], 'x=1; y=2; z=3'],
    [Array.from({ length: 100 }, (_, i) => `c${i}=1`).concat(`${own}`), undefined],
  ]
  for (const [cookie, expected] of crumbs) {
    upstream.seen.length = 0
    const answer = await get(client, '/x', { cookie })
    t.equal(answer.headers[':status'], 200)
    t.notMatch(JSON.stringify(upstream.seen), /__Host-copilot/)
    const [line, ...more] = valuesOf(upstream.seen[0]?.rawHeaders, 'cookie')
    t.strictSame(more, [])
    if (expected !== undefined) t.equal(line, expected)
    if (cookie.length > 50) t.match(line, /^c0=1; c1=1; .*; c99=1$/)
  }
})

t.test('one host, by either name', async (t) => {
  const client = session(t)
  const rows: readonly (readonly [string, OutgoingHttpHeaders, string | null])[] = [
    ['both the same', { ':authority': authority, host: authority }, authority],
    ['an authority alone', { ':authority': 'gateway.example' }, 'gateway.example'],
    ['a host that differs', { ':authority': authority, host: 'evil.example' }, null],
    ['an authority that differs', { ':authority': 'evil.example', host: authority }, null],
    ['a user', { ':authority': `user@${authority}` }, null],
    ['a path', { ':authority': `${authority}/x` }, null],
    ['two in one', { ':authority': `${authority}, evil.example` }, null],
  ]
  for (const [name, headers, host] of rows) {
    upstream.seen.length = 0
    const answer = await get(client, link(), headers)
    // What is no authority at all, HTTP/2 resets.
    const expected = host === null ? [400, undefined] : [200]
    t.ok(expected.includes(Number(answer.headers[':status']) || undefined), name)
    const told = valuesOf(upstream.seen[0]?.rawHeaders, 'x-forwarded-host')
    t.strictSame(told, host === null ? [] : [host], name)
  }
})

t.test('cookies act for its own https origin', async (t) => {
  const client = session(t)
  const { headers } = await get(client, link())
  const cookie = headers['set-cookie']?.find((line) => line.startsWith('__Host-'))?.split(';')[0]
  for (const [from, status] of [
    [origin, 200],
    [origin.replace('https', 'http'), 403],
    ['https://evil.example', 403],
    [gateway.origin, 403],
  ] as const) {
    const sent = { ':method': 'POST', cookie, origin: from }
    t.equal((await get(client, '/x', sent, '')).headers[':status'], status, from)
  }
})

t.test('TE is not passed on, what HTTP/2 forbids is no request', async (t) => {
  const client = session(t)
  upstream.seen.length = 0
  t.equal((await get(client, link(), { te: 'trailers' })).body, 'ok')
  t.notMatch(JSON.stringify(upstream.seen), /"te"/i)
})

t.test('early hints', async (t) => {
  const hint = '</a.css>; rel=preload; as=style'
  const raw = await startSocketUpstream(t, (socket, head) => {
    if (head.startsWith('GET /cut')) {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort')
      return
    }
    if (head.startsWith('GET /chunks')) {
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n')
      return
    }
    socket.write(
      `HTTP/1.1 103 Early Hints\r\nLink: ${hint}\r\n\r\nHTTP/1.1 200 Bravo\r\nContent-Length: 2\r\n\r\nok`,
    )
  })
  const gateway = await startGateway(t, raw.origin, tls)
  const client = session(t, {}, gateway.origin.replace('127.0.0.1', 'localhost'))
  const { interim, body } = await get(client, link())
  t.match(interim, [{ ':status': 103, link: hint }])
  t.equal(body, 'ok')
  for (const path of ['/cut', '/chunks']) {
    const cut = await get(client, link({}, path))
    t.equal(cut.headers[':status'], 200)
    t.not(cut.reset, 0, `${path}: an answer cut short does not look whole`)
  }
  t.equal((await get(client, link())).body, 'ok', 'and the session is well')
})

t.test('headers of 32 kB are accepted', async (t) => {
  const client = session(t)
  upstream.seen.length = 0
  const large = await get(client, link(), { 'x-large': 'x'.repeat(32 * 1024 - 1000) })
  t.equal(large.headers[':status'], 200)
  t.equal(upstream.seen[0]?.headers['x-large']?.length, 32 * 1024 - 1000)
  upstream.seen.length = 0
  const other = session(t)
  const tooLarge = await get(other, link(), { 'x-large': 'x'.repeat(64 * 1024) })
  t.not(Number(tooLarge.headers[':status'] ?? 0), 200, '64 kB are not')
  t.strictSame(upstream.seen, [])
  t.equal((await get(session(t), link())).body, 'ok', 'and nobody else is harmed')
})

t.test('streams opened and reset at once cost nobody else anything', async (t) => {
  const client = session(t)
  for (let i = 0; i < 500 && !client.destroyed; i += 1) {
    const stream = client.request({ ':path': link({}, '/silent') })
    stream.on('error', () => {})
    stream.close(constants.NGHTTP2_CANCEL)
  }
  t.equal((await get(session(t), link())).body, 'ok')
})

t.test('bytes that are no TLS harm nobody', async (t) => {
  t.notMatch(await exchange(gateway.port, `GET ${link()} HTTP/1.1\r\nHost: x\r\n\r\n`), ' 200 ')
  await exchange(gateway.port, Buffer.from('16030100ff01', 'hex').toString('latin1').repeat(99))
  t.equal((await get1(link())).body, 'ok')
})

t.test('client certificates', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    ...tls,
    TLS_CLIENT_CA_FILE: path('mine/ca.pem'),
  })
  const { port } = gateway
  const pair = (name: string): object => ({
    cert: read(`${name}.pem`),
    key: read(`${name}-key.pem`),
  })
  upstream.seen.length = 0
  for (const [name, options, allowed] of [
    ['ours', pair('mine/client'), true],
    ['none', {}, false],
    ['of another CA', pair('theirs/client'), false],
  ] as const) {
    const over1 = await get1(link(), { port, ...options }).catch(() => null)
    t.equal(over1?.status, allowed ? 200 : undefined, `${name}, HTTP/1.1`)
    const client = session(t, options, `https://localhost:${port}`)
    const { headers } = await get(client, link())
    t.equal(Number(headers[':status'] ?? 0), allowed ? 200 : 0, `${name}, HTTP/2`)
  }
  t.equal(upstream.seen.length, 2, 'nothing of the others goes on')
})

t.test('the upstream has to prove who it is', async (t) => {
  const { createServer } = await import('node:https')
  const seen: string[] = []
  const start = async (name: string, host: string, options = {}): Promise<string> => {
    const server = createServer(
      { cert: read(`${name}.pem`), key: read(`${name}-key.pem`), ...options },
      (request, response) => {
        seen.push(`${request.method} ${request.headers.host}`)
        response.end('ok')
      },
    )
    server.on('tlsClientError', () => {})
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    t.teardown(() => {
      server.close()
      server.closeAllConnections()
    })
    const address = server.address()
    return `https://${host}:${typeof address === 'object' ? address?.port : ''}`
  }
  const mine = await start('mine/server', '127.0.0.1')
  const wrongName = await start('mine/server', '127.0.0.2')
  const theirs = await start('theirs/server', '127.0.0.1')
  const mutual = await start('mine/server', '127.0.0.1', {
    ca,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const trust = { UPSTREAM_CA_FILE: path('mine/ca.pem') }
  const shown = {
    ...trust,
    UPSTREAM_CERT_FILE: path('mine/client.pem'),
    UPSTREAM_KEY_FILE: path('mine/client-key.pem'),
  }
  const rows: readonly (readonly [string, string, Record<string, string>, number])[] = [
    ['a CA that is trusted', mine, trust, 200],
    ['no CA named', mine, {}, 502],
    ['another CA', theirs, trust, 502],
    ['another name', wrongName, trust, 502],
    ['plain HTTP to TLS', mine.replace('https', 'http'), {}, 502],
    ['TLS to plain HTTP', upstream.origin.replace('http', 'https'), trust, 502],
    ['a client certificate', mutual, shown, 200],
    ['no client certificate', mutual, trust, 502],
  ]
  for (const [name, url, settings, status] of rows) {
    seen.length = 0
    const gateway = await startGateway(t, url, { ...settings, ...tls })
    const { port } = gateway
    const answer = await get1(link(), { port })
    // Node answers plain HTTP on a port for TLS with a 400 of its own, or hangs up.
    if (name === 'plain HTTP to TLS') t.ok([400, 502].includes(answer.status ?? 0), name)
    else t.equal(answer.status, status, name)
    t.strictSame(seen, status === 200 ? [`GET ${new URL(url).host}`] : [], `${name}: asked`)
    t.notMatch(
      answer.body,
      /cert|CERT|altname|self|issuer|127\.0\.0|ERR_/,
      `${name}: tells nothing`,
    )
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    if (status === 502 && answer.status === 502)
      t.equal(line['reason'], 'upstream-unreachable', name)
  }
})

t.test('who reads slowly, and reads, gets the whole of what is there at once', async (t) => {
  const size = 2 ** 20
  const headers = { 'Content-Type': 'image/png', 'Cache-Control': 'public, max-age=60, immutable' }
  const files = await startUpstream(t, (_, response) =>
    response.writeHead(200, { ...headers, 'Content-Length': size }).end(Buffer.alloc(size)),
  )
  const gateway = await startGateway(t, files.origin, { ...tls, IDLE_TIMEOUT: '1s' })
  const session = connectHttp2(gateway.origin, { ca })
  t.teardown(() => session.destroy())
  const cookie = await new Promise<string>((resolve) => {
    const page = session.request({ ':path': link(), 'sec-fetch-mode': 'navigate' })
    page.on('response', (head) => resolve([head['set-cookie']].flat()[0]?.split(';')[0] ?? ''))
    page.resume()
  })
  for (const from of ['the upstream', 'memory']) {
    const file = session.request({
      ':path': '/assets/index-B3k2hJ9a.png',
      cookie,
      'sec-fetch-site': 'same-origin',
    })
    let bytes = 0
    let due = 0
    file.on('data', (data: Buffer) => {
      bytes += data.length
      if (bytes < due) return
      due = bytes + 100_000
      file.pause()
      setTimeout(() => file.resume(), 250)
    })
    await once(file, 'close')
    t.equal(bytes, size, from)
  }
  t.equal(files.seen.length, 2, 'the page, and the file once')
})
