import { request as startRequest } from 'node:http'
import t from 'tap'
import { ask, exchange, jwt, link, startGateway, startUpstream, valuesOf } from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const { host } = new URL(gateway.origin)
type Lines = Readonly<Record<string, string | readonly string[]>>

/** The header lines, names and values in turn, that went upstream. */
async function sent(
  headers: Lines,
  target = link({}, '/api/x'),
  method = 'GET',
): Promise<readonly string[]> {
  upstream.seen.length = 0
  const { status } = await ask(gateway.origin, target, { method, headers })
  if (status !== 200 || upstream.seen.length !== 1) throw new Error(`${status}, not forwarded`)
  return upstream.seen[0]?.rawHeaders ?? []
}

function namesIn(raw: readonly string[]): string[] {
  return raw.filter((_, i) => i % 2 === 0)
}

const spellings = (name: string): string[] => [
  ...new Set([
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    name.replaceAll('-', '_'),
    name.replaceAll('-', '_').toUpperCase(),
    name.replace('-', '_'),
    name.replace(/-(?=[^-]*$)/, '_'),
  ]),
]

t.test("what is the workspace's goes on as it came", async (t) => {
  const rows: readonly (readonly [string, string | readonly string[]])[] = [
    ['Accept', 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'],
    ['Accept-Encoding', 'gzip, deflate, br, zstd'],
    ['Accept-Language', 'de-DE,de;q=0.9'],
    ['Access-Control-Request-Method', 'POST'],
    ['Authorization', 'Basic dTpw'],
    ['Cache-Control', 'no-cache'],
    ['Content-Type', 'text/plain'],
    ['Cookie', 'a=b; c="d e"; f'],
    ['DNT', '1'],
    ['If-Match', '"a", "b"'],
    ['If-Modified-Since', 'Sat, 29 Oct 1994 19:43:31 GMT'],
    ['If-None-Match', 'W/"abc"'],
    ['If-Range', '"abc"'],
    ['Last-Event-ID', '42'],
    ['Max-Forwards', '10'],
    ['Prefer', 'respond-async'],
    ['Priority', 'u=1, i'],
    ['Range', 'bytes=5-'],
    ['Save-Data', 'on'],
    ['Sec-CH-UA', '"Chromium";v="156"'],
    ['Sec-Fetch-Mode', 'navigate'],
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-GPC', '1'],
    ['Traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
    ['Via', '1.1 proxy.example'],
    ['X-Requested-With', 'XMLHttpRequest'],
    ['X-Custom', 'value with  two  spaces'],
    ['X-Empty', ''],
    ['X-Twice', ['one', 'two']],
    ['X-Latin-1', 'fran\u00e7ais \u00ff'],
    ['X-Odd', '!#$%&\'*+-.^_`|~ "quoted" (comment) \\ {x}'],
    ['x_custom', 'an underscore is no crime'],
    ['X-Long', 'y'.repeat(8000)],
    ['X-Copilot', 'only what begins with it and a dash'],
    ['X-Copilots', '1'],
    ['XCopilot-User', '1'],
    ['X-Forwardeds', '1'],
    ['X-Request', '1'],
    ['X-Request-Ids', '1'],
    ['constructor', 'a name that objects have'],
    ['toString', '1'],
    ['__proto__', '1'],
  ]
  for (const [name, value] of rows) {
    const raw = await sent({ [name]: value })
    t.ok(namesIn(raw).includes(name), `${name}, in its spelling`)
    t.strictSame(valuesOf(raw, name), [value].flat(), name)
  }
})

t.test('their order and number stay', async (t) => {
  const lines = Array.from({ length: 200 }, (_, i) => [`X-${i % 50}`, String(i)] as const)
  const grouped = new Map<string, string[]>()
  for (const [name, value] of lines) grouped.set(name, [...(grouped.get(name) ?? []), value])
  const raw = await sent(Object.fromEntries(grouped))
  for (const [name, values] of grouped) t.strictSame(valuesOf(raw, name), values, name)
})

t.test('what is never forwarded is not, however it is spelled', async (t) => {
  const names = [
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Copilot-User-Id',
    'X-Copilot-Session-Id',
    'X-Copilot-Contact-Center',
    'X-Copilot-Anything-Else',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'HTTP2-Settings',
  ]
  for (const name of names.flatMap(spellings)) {
    const raw = await sent({ [name]: 'canary' })
    t.notMatch(JSON.stringify(raw), 'canary', name)
  }
  const all = Object.fromEntries(
    names.flatMap(spellings).map((name) => [name, ['canary', 'canary']]),
  )
  t.notMatch(JSON.stringify(await sent(all)), 'canary', 'all at once, twice each')
})

t.test('trailers of requests are neither announced nor forwarded', async (t) => {
  upstream.seen.length = 0
  const lines = [
    'Connection: close',
    'TE: trailers',
    'Trailer: X-Sum',
    'Transfer-Encoding: chunked',
  ]
  const head = [`POST ${link()} HTTP/1.1`, `Host: ${host}`, ...lines].join('\r\n')
  const text = await exchange(gateway.port, `${head}\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n`)
  t.match(text, /^HTTP\/1\.1 200 /)
  t.equal(upstream.seen.length, 1)
  t.notMatch(JSON.stringify(upstream.seen), /trailer|"te"|x-sum/i)
})

t.test("what the gateway says itself, the client doesn't", async (t) => {
  const names = [
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'Forwarded',
    'X-Request-Id',
  ]
  const forged = [
    'canary',
    '192.0.2.66',
    'for=192.0.2.66;host=canary;proto=https',
    'for=canary, for=canary',
    '',
  ]
  const requests = names
    .flatMap(spellings)
    .flatMap((name) => forged.map((value) => ({ [name]: [value, value] })))
  for (const headers of [{}, ...requests]) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, link(), { headers })
    const raw = upstream.seen[0]?.rawHeaders
    const label = JSON.stringify(headers)
    t.notMatch(JSON.stringify(raw), /canary|192\.0\.2\.66/, label)
    t.strictSame(valuesOf(raw, 'x-forwarded-for'), ['127.0.0.1'], label)
    t.strictSame(valuesOf(raw, 'x-forwarded-host'), [host], label)
    t.strictSame(valuesOf(raw, 'x-forwarded-proto'), ['http'], label)
    t.strictSame(valuesOf(raw, 'x-request-id'), [answer.headers['x-request-id']], label)
    const forwarded = valuesOf(raw, 'forwarded')
    t.equal(forwarded.length, 1, label)
    t.strictSame(elements(forwarded[0]), { for: '127.0.0.1', host, proto: 'http' }, label)
    const similar = namesIn(raw ?? []).filter((name) =>
      /^(?:x[-_])?(?:forwarded|request)[-_]?/i.test(name),
    )
    t.equal(similar.length, 5, `${label}: no look-alike beside them`)
  }
})

t.test('a request id is new each time', async (t) => {
  const seen = new Set<string>()
  for (let i = 0; i < 20; i += 1) {
    const { headers } = await ask(gateway.origin, link())
    seen.add(String(headers['x-request-id']))
  }
  t.equal(seen.size, 20)
})

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

t.test('Host is the upstream’s', async (t) => {
  for (const name of ['gateway.example', 'GATEWAY.example:8443', '[::1]:80', host]) {
    const raw = await sent({ Host: name })
    t.strictSame(valuesOf(raw, 'host'), [new URL(upstream.origin).host], name)
    t.strictSame(valuesOf(raw, 'x-forwarded-host'), [name], name)
    const forwarded = elements(valuesOf(raw, 'forwarded')[0])
    t.equal(forwarded['host'], name, `${name}: Forwarded`)
  }
})

t.test('Origin is the upstream’s, where there is one', async (t) => {
  t.strictSame(valuesOf(await sent({}), 'origin'), [])
  const origins = [gateway.origin, 'https://cc.example', 'null', 'https://evil.example', 'garbage']
  for (const origin of origins) {
    for (const method of ['GET', 'POST']) {
      const raw = await sent({ Origin: origin }, link(), method)
      t.strictSame(valuesOf(raw, 'origin'), [upstream.origin], `${method} ${origin}`)
    }
  }
})

t.test('a Referer tells the origin and nothing else', async (t) => {
  const rows: readonly (readonly [string, string | readonly string[], readonly string[]])[] = [
    ['a link', `${gateway.origin}${link()}`, [gateway.origin]],
    ['a path', 'https://cc.example/desk/case/7', ['https://cc.example']],
    ['a query', 'https://cc.example?canary=1', ['https://cc.example']],
    ['a fragment', 'https://cc.example/#canary', ['https://cc.example']],
    ['a path without a slash', 'https://cc.example', ['https://cc.example']],
    ['a port', 'https://cc.example:8443/canary', ['https://cc.example:8443']],
    ['a user', 'https://user:canary@cc.example/', ['https://cc.example']],
    ['a relative one', '/canary?auth=canary', []],
    ['a relative one without a slash', 'canary?auth=canary', []],
    ['without a scheme', '//cc.example/canary', []],
    ['about:', 'about:canary', []],
    ['data:', 'data:text/html,canary', []],
    ['blob:', `blob:${gateway.origin}/canary`, []],
    ['garbage', 'http://[canary', []],
    ['nothing', '', []],
    ['two', ['https://cc.example/canary', 'https://cc.example/?canary'], ['https://cc.example']],
  ]
  for (const [name, referer, expected] of rows) {
    for (const header of ['Referer', 'REFERER']) {
      const raw = await sent({ [header]: referer })
      const values = valuesOf(raw, 'referer').map((value) => value.replace(/\/$/, ''))
      // A form of its own that names the origin alone is as good as none.
      t.notMatch(JSON.stringify(valuesOf(raw, 'referer')), /canary|auth|userId/, name)
      t.ok(
        values.every((value) => [...expected, gateway.origin].includes(value)),
        `${name}: ${values}`,
      )
      if (expected.length > 0) t.ok(values.length > 0, `${name}: the origin goes on`)
    }
  }
})

t.test("the gateway's cookies stay here, others go on as they came", async (t) => {
  const own = '__Host-copilot-0123456789abcdef=canary'
  const rows: readonly (readonly [string, string | readonly string[], string])[] = [
    ['none of ours', 'a=1; b=2', 'a=1; b=2'],
    ['ours alone', own, ''],
    ['ours first', `${own}; a=1`, 'a=1'],
    ['ours last', `a=1; ${own}`, 'a=1'],
    ['ours between', `a=1; ${own}; b=2`, 'a=1; b=2'],
    ['several of ours', `${own}; ${own}2; a=1; ${own}3`, 'a=1'],
    ['no space', `a=1;${own};b=2`, 'a=1; b=2'],
    ['much space', `a=1 ;  ${own} ;\tb=2`, 'a=1; b=2'],
    ['other case', `__host-COPILOT-x=canary; a=1`, 'a=1'],
    ['space around the name', `a=1; \t__Host-copilot-x =canary`, 'a=1'],
    ['without a value', 'a=1; __Host-copilot-canary', 'a=1'],
    ['an equals sign in the value', `a=b=c; ${own}=x=y`, 'a=b=c'],
    ['in a line of its own', ['a=1', own, 'b=2'], 'a=1; b=2'],
    ['a name that ends alike', 'x__Host-copilot-x=1; a=1', 'x__Host-copilot-x=1; a=1'],
    [
      'a name that begins alike',
      '__Host-copilots=1; __Host-other=2',
      '__Host-copilots=1; __Host-other=2',
    ],
    ['Latin-1', `a=\u00e9; ${own}`, 'a=\u00e9'],
    ['quotes', `a="1, 2"; ${own}`, 'a="1, 2"'],
    ['nothing', '', ''],
  ]
  for (const [name, cookie, expected] of rows) {
    const raw = await sent({ Cookie: cookie })
    t.notMatch(JSON.stringify(raw), 'canary', name)
    t.equal(valuesOf(raw, 'cookie').join('; '), expected, name)
  }
})

t.test('a token reaches the upstream where the client put it, and nowhere else', async (t) => {
  const auth = jwt()
  const raw = await sent({ Referer: `${gateway.origin}${link({ auth })}` }, link({ auth }))
  t.notMatch(JSON.stringify(raw), auth)
  t.notMatch(JSON.stringify(raw), 'f38791ae')
})

t.test('what the client leaves out is not invented', async (t) => {
  const expected = [
    'connection',
    'forwarded',
    'host',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-request-id',
  ]
  t.strictSame(
    namesIn(await sent({}))
      .map((name) => name.toLowerCase())
      .sort(),
    expected,
  )
})

t.test('HTTP/1.0 is told like any other', async (t) => {
  upstream.seen.length = 0
  const text = await exchange(gateway.port, `GET ${link()} HTTP/1.0\r\nHost: ${host}\r\n\r\n`)
  t.match(text, /^HTTP\/1\.[01] 200 /)
  t.match(upstream.seen[0]?.headers, { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': host })
})

t.test('an expectation is met here and not passed on', async (t) => {
  upstream.seen.length = 0
  const { hostname, port } = new URL(gateway.origin)
  const request = startRequest({
    host: hostname,
    port,
    method: 'POST',
    path: link(),
    headers: { Expect: '100-continue', 'Content-Length': 3 },
  })
  request.on('continue', () => request.end('abc'))
  const status = await new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode)
    })
  })
  t.equal(status, 200)
  t.notMatch(JSON.stringify(upstream.seen), /expect/i)
  t.notMatch(JSON.stringify(await sent({ Expect: 'something-else' })), /expect/i)
})

/** The parameters of one Forwarded element (RFC 7239 §4). */
function elements(forwarded = ''): Record<string, string> {
  return Object.fromEntries(
    forwarded.split(';').map((pair) => {
      const [name = '', value = ''] = pair.split(/=(.*)/)
      return [name.trim().toLowerCase(), value.replace(/^"(.*)"$/, '$1')]
    }),
  )
}
