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

t.test('a request id is new each time', async (t) => {
  const seen = new Set<string>()
  for (let i = 0; i < 20; i += 1) {
    const { headers } = await ask(gateway.origin, link())
    seen.add(String(headers['x-request-id']))
  }
  t.equal(seen.size, 20)
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
