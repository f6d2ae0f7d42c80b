// What the upstream hands to browsers is changed on its way: no API token, no way past the gateway.
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import {
  ask,
  auditOf,
  exchange,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  type Stage,
  startGateway,
  startSocketUpstream,
  startUpstream,
} from '../stage.ts'

const apiToken = 'f00dfeed-the-real-api-token'
const api = 'https://api.copilot.example'
const env = { COPILOT_API_URL: api, COPILOT_API_TOKEN: apiToken } as const
const config = `window.serverConfig = ${JSON.stringify({
  accessTokenSecret: apiToken,
  agentAssistAPIUrl: `${api}/`,
})}`
const page = '<!doctype html><script src="./config.js"></script>'
const script = 'text/javascript; charset=utf-8'

const files: Readonly<Record<string, readonly [type: string, body: string]>> = {
  '/': ['text/html', page],
  '/config.js': [script, config],
  '/assets/app.js': [script, 'import "./x.js"'],
  '/assets/leaky.js': [script, `const t = "${apiToken}"`],
  '/state.json': ['application/json', JSON.stringify({ token: apiToken, api })],
  '/notes.txt': ['text/plain', `a text of ${api}`],
}

/** A static server as there are many: conditions, ranges, and compression for whoever accepts it. */
async function startAll(t: Test, settings: Readonly<Record<string, string>> = env) {
  const upstream = await startUpstream(t, (request, response) => {
    const [type, body] = files[request.url?.split('?')[0] ?? ''] ?? ['text/plain', 'none']
    response.setHeader('content-type', type)
    response.setHeader('etag', '"e"')
    response.setHeader('last-modified', 'Thu, 01 Jan 2026 00:00:00 GMT')
    response.setHeader('cache-control', 'public, max-age=60')
    response.setHeader('accept-ranges', 'bytes')
    response.setHeader('digest', 'sha-256=x')
    if (request.headers['if-none-match'] === '"e"') {
      response.writeHead(304).end()
    } else if (request.headers.range !== undefined) {
      response.writeHead(206, { 'content-range': 'bytes 0-3/9' }).end(body.slice(0, 4))
    } else if (request.headers['accept-encoding']?.includes('gzip')) {
      response.setHeader('content-encoding', 'gzip')
      response.end(gzipSync(body))
    } else {
      response.end(body)
    }
  })
  const gateway = await startGateway(t, upstream.origin, settings)
  return { upstream, gateway, cookie: await openSession(gateway) }
}

const withSession = (cookie: string, headers: Readonly<Record<string, string>> = {}) => ({
  headers: { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin', ...headers },
})

/** The `copilotSession` that some text holds. */
function sessionIn(text: string): string {
  const [, found = ''] = /[?;]copilotSession=([\w.-]+)/.exec(text) ?? []
  return found
}

t.test('config.js names the gateway, a credential for it, and no token', async (t) => {
  const { gateway, cookie } = await startAll(t)
  const { status, body, headers } = await ask(gateway.origin, '/config.js', withSession(cookie))
  t.equal(status, 200)
  t.notMatch(body, apiToken)
  t.notMatch(body, 'api.copilot.example')
  const serverConfig = JSON.parse(body.slice(body.indexOf('{')))
  t.equal(serverConfig.accessTokenSecret, 'copilot-gateway')
  const address = new URL(serverConfig.agentAssistAPIUrl)
  t.equal(address.origin, gateway.origin)
  t.equal(address.pathname, '/', 'a path would be a namespace')
  t.strictSame([...address.searchParams.keys()], ['copilotSession'])

  t.equal(headers['cache-control'], 'no-store')
  t.equal(Number(headers['content-length']), body.length)
  for (const name of ['etag', 'last-modified', 'digest', 'accept-ranges', 'content-encoding']) {
    t.equal(headers[name], undefined, name)
  }
})

t.test('nothing that is read holds the token', async (t) => {
  const { gateway, cookie } = await startAll(t)
  for (const path of ['/assets/leaky.js', '/state.json']) {
    for (const encoding of [{}, { 'Accept-Encoding': 'gzip' }]) {
      const answer = await ask(gateway.origin, path, withSession(cookie, encoding))
      t.equal(answer.status, 200, path)
      t.match(answer.body, 'copilot-gateway', path)
      t.notMatch(`${answer.rawHeaders.join('\n')}${answer.body}`, apiToken, path)
      t.equal(answer.headers['cache-control'], 'no-store', path)
      t.equal(answer.headers['content-encoding'], undefined, path)
    }
  }
  const state = JSON.parse((await ask(gateway.origin, '/state.json', withSession(cookie))).body)
  t.equal(state.api, gateway.origin, 'nor the backend’s address')
})

t.test('conditions and ranges are not asked of what is read', async (t) => {
  const { upstream, gateway, cookie } = await startAll(t)
  const rows: readonly Readonly<Record<string, string>>[] = [
    { 'If-None-Match': '"e"' },
    { 'If-Modified-Since': 'Thu, 01 Jan 2026 00:00:00 GMT' },
    { Range: 'bytes=0-3' },
    { Range: 'bytes=0-3', 'If-Range': '"e"' },
    { 'Accept-Encoding': 'gzip, br' },
  ]
  for (const headers of rows) {
    for (const path of ['/config.js', '/?x']) {
      upstream.seen.length = 0
      const answer = await ask(gateway.origin, path, withSession(cookie, headers))
      t.equal(answer.status, 200, `${path} ${Object.keys(headers)}`)
      t.notMatch(answer.body, apiToken)
      const [seen] = upstream.seen
      for (const name of ['if-none-match', 'if-modified-since', 'range', 'if-range']) {
        t.equal(seen?.headers[name], undefined, name)
      }
      t.equal(seen?.headers['accept-encoding'], 'identity')
    }
  }
  const kept = await ask(gateway.origin, '/notes.txt', withSession(cookie, { Range: 'bytes=0-3' }))
  t.equal(kept.status, 206, 'of other files they are')
  t.equal(kept.body, 'a te')
  const [head] = [
    await ask(gateway.origin, '/config.js', { ...withSession(cookie), method: 'HEAD' }),
  ]
  t.equal(head?.headers['content-length'], undefined, 'HEAD does not know the length')
  t.equal(head?.headers['etag'], undefined)
})

t.test('a script in which nothing has to change stays as it came', async (t) => {
  const { gateway, cookie } = await startAll(t)
  const plain = await ask(gateway.origin, '/assets/app.js', withSession(cookie))
  t.equal(plain.body, 'import "./x.js"')
  t.equal(plain.headers['etag'], '"e"')
  t.equal(plain.headers['cache-control'], 'private, max-age=60')
  const packed = await ask(gateway.origin, '/assets/app.js', {
    ...withSession(cookie, { 'Accept-Encoding': 'gzip' }),
  })
  t.equal(packed.headers['content-encoding'], 'gzip', 'packed')
  t.ok(Buffer.from(packed.body, 'latin1').equals(gzipSync('import "./x.js"')))
})

t.test('the document leads to a config.js of its own session', async (t) => {
  const { gateway, cookie } = await startAll(t)
  const opened = await ask(gateway.origin, link())
  const credential = sessionIn(opened.body)
  t.match(credential, /^[\w-]+\.[\w-]+\.[\w-]+$/)
  t.equal(opened.body, page.replace('config.js', `config.js?copilotSession=${credential}`))
  t.equal(opened.headers['cache-control'], 'no-store')
  t.notMatch(JSON.stringify(gateway.lines), credential, 'and the log has none of it')

  const again = await ask(gateway.origin, '/', withSession(cookie))
  t.match(sessionIn(again.body), /./, 'a reload too')

  const second = { userId: ids.userId, sessionId: 'session-2' }
  const sibling = await openSession(gateway, {
    ...second,
    auth: jwt({ ...second, exp: inAnHour() }),
  })
  const both = withSession(`${cookie}; ${sibling}`)
  t.equal((await ask(gateway.origin, '/', both)).body, page, 'one of two is none')
  const named = await ask(gateway.origin, `/?sessionId=session-2`, both)
  t.match(sessionIn(named.body), /./, 'but where it is named')
  const first = await ask(gateway.origin, '/config.js', both)
  t.notMatch(first.body, /copilotSession|api\.copilot|f00dfeed/, 'config.js, too')
})

t.test(
  'without cookies, its credential opens config.js and the socket, and nothing else',
  async (t) => {
    const { gateway, upstream, cookie } = await startAll(t, { COPILOT_API_TOKEN: apiToken })
    const credential = sessionIn((await ask(gateway.origin, link())).body)
    const config = await ask(gateway.origin, `/config.js?copilotSession=${credential}`)
    t.equal(config.status, 200)
    upstream.seen.length = 0
    const poll = `/socket.io/?EIO=4&transport=polling&copilotSession=${credential}`
    t.equal((await ask(gateway.origin, poll)).status, 200)
    t.equal(upstream.seen[0]?.url, '/socket.io/?EIO=4&transport=polling', 'which is not forwarded')

    const rows: readonly (readonly [string, string, number, string | undefined])[] = [
      ['another path', `/assets/app.js?copilotSession=${credential}`, 401, 'token-missing'],
      ['the document', `/?copilotSession=${credential}`, 401, 'token-missing'],
      ['as a token', `/config.js?auth=${credential}`, 401, 'token-invalid'],
      ['none', '/config.js?copilotSession=', 401, 'token-invalid'],
      ['changed', `/config.js?copilotSession=${credential}A`, 401, 'token-invalid'],
      ['a token', `/config.js?copilotSession=${jwt()}`, 401, 'token-invalid'],
      ['a cookie’s', `/config.js?copilotSession=${cookie.split('=')[1]}`, 401, 'token-invalid'],
      [
        'twice',
        `/config.js?copilotSession=${credential}&copilotSession=${credential}`,
        400,
        undefined,
      ],
      ['a look-alike', `/config.js?copilotsession=${credential}`, 400, undefined],
      ['for another session', `${poll}&sessionId=session-2`, 403, 'claim-mismatch'],
      ['for its own', `${poll}&sessionId=session-1`, 200, undefined],
    ]
    for (const [name, target, status, reason] of rows) {
      const { headers, ...answer } = await ask(gateway.origin, target)
      t.equal(answer.status, status, name)
      const line = await auditOf(gateway, headers['x-request-id'])
      if (reason !== undefined) t.equal(line['reason'], reason, name)
    }
    const name = cookie.split('=')[0]
    const asCookie = await ask(gateway.origin, '/', withSession(`${name}=${credential}`))
    t.equal(asCookie.status, 401, 'it is no cookie')
    const beside = await ask(gateway.origin, '/config.js?copilotSession=x', withSession(cookie))
    t.equal(beside.status, 401, 'an invalid one is refused beside a good cookie')
  },
)

t.test('a token in two pieces is found', async (t) => {
  const upstream = await startSocketUpstream(t, (socket) => {
    const [one, two] = [config.slice(0, 50), config.slice(50)]
    const head = `HTTP/1.1 200 OK\r\nContent-Type: ${script}\r\nTransfer-Encoding: chunked\r\n\r\n`
    socket.write(`${head}${one.length.toString(16)}\r\n${one}\r\n`, () => {
      setImmediate(() => socket.write(`${two.length.toString(16)}\r\n${two}\r\n0\r\n\r\n`))
    })
  })
  t.ok(config.indexOf(apiToken) < 50 && config.indexOf(apiToken) + apiToken.length > 50)
  const gateway = await startGateway(t, upstream.origin, { COPILOT_API_TOKEN: apiToken })
  const { status, body } = await ask(gateway.origin, link({}, '/config.js'))
  t.equal(status, 200)
  t.match(body, '"accessTokenSecret":"copilot-gateway"')
})

t.test(
  'what can’t be read whole is 502 where there is a token to keep, else it passes',
  async (t) => {
    const megabytes = 4 * 2 ** 20
    const json = 'Content-Type: application/json'
    const sized = (body: Buffer | string, ...lines: string[]): Buffer =>
      Buffer.concat([
        Buffer.from(
          ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...lines, '\r\n'].join('\r\n'),
        ),
        Buffer.from(body),
      ])
    const chunked = (size: number): Buffer =>
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\n`),
        Buffer.from(`${size.toString(16)}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`),
      ])
    const rows: readonly (readonly [string, Buffer, boolean])[] = [
      ['4 MiB', sized('x'.repeat(megabytes), json), true],
      ['one byte more', sized('x'.repeat(megabytes + 1), json), false],
      ['4 MiB, no length', chunked(megabytes), true],
      ['one byte more, no length', chunked(megabytes + 1), false],
      [
        'a bomb',
        sized(gzipSync(Buffer.alloc(megabytes + 1)), json, 'Content-Encoding: gzip'),
        false,
      ],
      ['an unknown coding', sized('abc', json, 'Content-Encoding: dcb'), false],
      ['no gzip', sized('abc', json, 'Content-Encoding: gzip'), false],
      ['UTF-16', sized('a\0b\0', 'Content-Type: text/html; charset=utf-16le'), false],
      [
        'a part nobody asked for',
        Buffer.from(
          `${sized('abc', json, 'Content-Range: bytes 0-2/9')}`.replace('200 OK', '206 OK'),
        ),
        false,
      ],
    ]
    let bytes: Buffer = Buffer.alloc(0)
    const upstream = await startSocketUpstream(t, (socket) => {
      socket.write(bytes)
    })
    const strict = await startGateway(t, upstream.origin, { COPILOT_API_TOKEN: apiToken })
    const lax = await startGateway(t, upstream.origin)
    for (const [name, answer, readable] of rows) {
      bytes = answer
      const kept = await ask(strict.origin, link({}, '/x.json'))
      t.equal(kept.status, readable ? 200 : 502, name)
      const line = await auditOf(strict, kept.headers['x-request-id'])
      t.equal(line['reason'], readable ? undefined : 'upstream-unreadable', name)
      const passed = await ask(lax.origin, link({}, '/x.json'))
      t.ok(passed.status < 300 && passed.complete, `${name}, passed`)
      const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4)
      const sent = answer.includes('chunked') ? body.subarray(8, -7) : body
      t.ok(Buffer.from(passed.body, 'latin1').equals(sent), `${name}, as it was`)
    }
  },
)

t.test('an answer that is cut short is no whole one', async (t) => {
  const upstream = await startSocketUpstream(t, (socket) => {
    socket.end(`HTTP/1.1 200 OK\r\nContent-Type: ${script}\r\nContent-Length: 999\r\n\r\n${config}`)
  })
  const gateway = await startGateway(t, upstream.origin, { COPILOT_API_TOKEN: apiToken })
  const { status, body } = await ask(gateway.origin, link({}, '/config.js'))
  t.equal(status, 502)
  t.notMatch(body, 'serverConfig')
})

t.test('a config.js that names another backend is told of in the log', async (t) => {
  const { gateway, cookie } = await startAll(t, { COPILOT_API_TOKEN: apiToken })
  const { headers, body } = await ask(gateway.origin, '/config.js', withSession(cookie))
  t.match(body, api)
  const line = await auditOf(gateway, headers['x-request-id'])
  t.match(line['hint'], /COPILOT_API_URL/)
})

t.test('twenty frames that share a browser’s cache get a config.js each', async (t) => {
  const { gateway } = await startAll(t)
  const credentials = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const named = { userId: ids.userId, sessionId: `session-${index}` }
      const auth = jwt({ ...named, exp: inAnHour() })
      const opened = await ask(gateway.origin, link({ ...named, auth }))
      const target = `/config.js?copilotSession=${sessionIn(opened.body)}`
      const { headers, body } = await ask(gateway.origin, target)
      t.equal(headers['cache-control'], 'no-store')
      t.equal(headers['etag'], undefined)
      return sessionIn(body)
    }),
  )
  t.equal(new Set(credentials).size, 20)
})

t.test('public paths are for anyone, but what had to be changed is not', async (t) => {
  const settings = { ...env, PUBLIC_PATHS: '/assets/* /config.js /notes.txt' }
  const { upstream, gateway, cookie } = await startAll(t, settings)
  const rows: readonly (readonly [string, number, string, string?])[] = [
    ['a file of the folder', 200, '/assets/app.js'],
    ['with a query of its own', 200, '/assets/app.js?v=1'],
    ['one that is named', 200, '/notes.txt'],
    ['HEAD', 200, '/assets/app.js', 'HEAD'],
    ['POST', 401, '/assets/app.js', 'POST'],
    ['OPTIONS', 401, '/assets/app.js', 'OPTIONS'],
    ['the document', 401, '/'],
    ['the folder’s name alone', 401, '/assets'],
    ['another case', 401, '/Assets/app.js'],
    ['another spelling', 401, '/%61ssets/app.js'],
    ['out of the folder', 400, '/assets/../config.js'],
    ['longer than what is named', 401, '/notes.txt/x'],
    ['a script with the token in it', 401, '/assets/leaky.js'],
    ['config.js', 401, '/config.js'],
    ['config.js, spelled otherwise', 401, '/config.j%73'],
    ['somebody’s id', 401, '/assets/app.js?userId=agent-8'],
    ['a wrong token', 401, '/assets/app.js?auth=x'],
    ['a look-alike', 400, '/assets/app.js?UserId=x'],
  ]
  for (const [name, status, target, method = 'GET'] of rows) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, target, { method })
    t.equal(answer.status, status, name)
    t.notMatch(answer.body, apiToken)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['userId'], undefined)
  }
  const shared = await ask(gateway.origin, '/assets/app.js')
  t.equal(shared.headers['cache-control'], 'public, max-age=60', 'caches may share it')
  t.equal(shared.headers['set-cookie'], undefined)
  const crossSite = { headers: { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' } }
  t.equal((await ask(gateway.origin, '/assets/app.js', crossSite)).status, 200, 'from any page')
  t.equal(
    (await ask(gateway.origin, '/config.js', withSession(cookie))).status,
    200,
    'with a session',
  )
  const upgrade = `GET /assets/app.js HTTP/1.1\r\nHost: ${new URL(gateway.origin).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  t.match(await exchange(gateway.port, upgrade), /^HTTP\/1\.1 401 /, 'no upgrade')
  await pathsAreRaw(t, gateway)
})

async function pathsAreRaw(t: Test, gateway: Stage): Promise<void> {
  for (const path of ['/assets//app.js', '/assets/;/app.js']) {
    const { headers } = await ask(gateway.origin, path)
    const line = await auditOf(gateway, headers['x-request-id'])
    t.equal(line['path'], path, 'what is forwarded is the path that was compared')
  }
}
