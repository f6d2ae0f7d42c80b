import t from 'tap'
import {
  answersIn,
  ask,
  exchange,
  inAnHour,
  jwt,
  link,
  startGateway,
  startUpstream,
  valuesOf,
} from '../stage.ts'

const sources = 'https://cc.example https://*.desk.example'
let status = 200
let policies: readonly string[] = []
let more: Readonly<Record<string, string>> = {}
const upstream = await startUpstream(t, (_, response) => {
  const lines = policies.flatMap((value) => ['Content-Security-Policy', value])
  response.writeHead(status, [...lines, ...Object.entries(more).flat()])
  response.end()
})
const gateway = await startGateway(t, upstream.origin, { FRAME_ANCESTORS: sources })

type Policy = readonly (readonly [name: string, value: string])[]

/** As browsers read it (CSP3 §2.2): the first directive of a name counts, others are ignored. */
function read(values: readonly string[]): Policy[] {
  return values
    .flatMap((value) => value.split(','))
    .map((policy) => {
      const directives = new Map<string, string>()
      for (const text of policy.split(';')) {
        const trimmed = text.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, '')
        const [, name = '', value = ''] = /^([^\t\n\f\r ]*)[\t\n\f\r ]*(.*)$/.exec(trimmed) ?? []
        // Anything that is not ASCII makes browsers skip the directive.
        if (name === '' || /[^\0-\x7f]/.test(trimmed)) continue
        if (!directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), value)
      }
      return [...directives]
    })
    .filter((policy) => policy.length > 0)
}

function framing(policies: readonly Policy[]): string[] {
  return policies.flatMap((policy) =>
    policy.flatMap(([name, value]) => (name === 'frame-ancestors' ? [value] : [])),
  )
}

function others(policies: readonly Policy[]): Policy[] {
  return policies
    .map((policy) => policy.filter(([name]) => name !== 'frame-ancestors'))
    .filter((policy) => policy.length > 0)
}

const rows: readonly (readonly [name: string, policies: readonly string[], framed: number])[] = [
  ['none', [], 1],
  ['an empty header', [''], 1],
  ['nothing but space', ['  '], 1],
  ['nothing but separators', [' ; ,; '], 1],
  ['one without', ["default-src 'self'"], 1],
  ['one without, ended', ["default-src 'self'; "], 1],
  ['one without, ended twice', ["default-src 'self';;"], 1],
  ['one with', ["frame-ancestors 'self'"], 1],
  ['one with *', ['frame-ancestors *'], 1],
  ["one with 'none'", ["default-src 'self'; frame-ancestors 'none'; img-src *"], 1],
  ['one with several sources', ['frame-ancestors https://a.example https://b.example'], 1],
  ['one without a value', ['frame-ancestors'], 1],
  ['one without a value, among others', ["default-src 'self';frame-ancestors;img-src *"], 1],
  ['first of several', ['frame-ancestors *; img-src *'], 1],
  ['no space', ["img-src *;frame-ancestors *;script-src 'self'"], 1],
  ['much space', ["  img-src   * ;   frame-ancestors    *   ;  script-src 'self'  "], 1],
  ['tabs', ["\timg-src\t*\t;\tframe-ancestors\t*\t;\tscript-src\t'self'\t"], 1],
  ['upper case', ['IMG-SRC *; FRAME-ANCESTORS *'], 1],
  ['mixed case', ['Frame-Ancestors https://evil.example'], 1],
  ['twice in one policy', ['frame-ancestors *; img-src *; frame-ancestors https://b.example'], 1],
  ['twice, other case', ['Frame-Ancestors *; frame-ancestors https://b.example'], 1],
  ['two policies without', ["default-src 'self', img-src *"], 1],
  ['two policies, first with', ["frame-ancestors *, default-src 'self'"], 1],
  ['two policies, second with', ["default-src 'self', frame-ancestors *"], 1],
  ['two policies with', ['frame-ancestors *; img-src *,script-src *; frame-ancestors *'], 2],
  ['three policies', ['frame-ancestors *,frame-ancestors *,FRAME-ancestors'], 3],
  ['an empty policy first', [", default-src 'self'"], 1],
  ['an empty policy last', ["default-src 'self',"], 1],
  ['two headers without', ["default-src 'self'", 'img-src *'], 1],
  ['two headers, first with', ['frame-ancestors *', 'img-src *'], 1],
  ['two headers, second with', ['img-src *', "frame-ancestors 'none'"], 1],
  ['two headers with', ["frame-ancestors 'none'", 'img-src *; frame-ancestors *'], 2],
  ['an empty header first', ['', 'img-src *'], 1],
  [
    'two headers of two policies',
    ['frame-ancestors *, img-src *', "font-src 'self', frame-ancestors *"],
    2,
  ],
  ['a name that ends alike', ['x-frame-ancestors *'], 1],
  ['a name that begins alike', ['frame-ancestors-x *; frame-ancestor *'], 1],
  ['the name as a value', ['img-src frame-ancestors; script-src frame-ancestors *'], 1],
  ['the name in a report URI', ['report-uri /csp?frame-ancestors;img-src *'], 1],
  ['sandbox', ["sandbox allow-scripts; default-src 'none'"], 1],
  ['a nonce', ["script-src 'nonce-YWJj' 'strict-dynamic' 'sha256-abc='"], 1],
  ['directives twice', ["img-src 'none'; img-src *"], 1],
  ['directives without a value', ['upgrade-insecure-requests; block-all-mixed-content'], 1],
  ['what is not ASCII', ['img-src https://\u00e9.example'], 1],
  ['not ASCII in it', ['frame-ancestors https://\u00e9.example'], 1],
  ['a hard space before it', ['\u00a0frame-ancestors *'], 1],
  ['a hard space behind it', ['frame-ancestors\u00a0*'], 1],
  ['a hard space before it, beside one', ['\u00a0frame-ancestors *; img-src *'], 1],
  ['a hard space in a policy of its own', ['\u00a0, img-src *'], 1],
  ['a long one', [`img-src ${'https://host.example '.repeat(300)}; frame-ancestors *`], 1],
]

t.test('the only effective frame-ancestors is the contact center’s', async (t) => {
  for (const [name, values, framed] of rows) {
    policies = values
    const { rawHeaders } = await ask(gateway.origin, link({}, '/x'))
    const got = read(valuesOf(rawHeaders, 'content-security-policy'))
    t.strictSame(
      framing(got),
      Array.from({ length: framed }, () => sources),
      `${name}: framing`,
    )
    t.strictSame(others(got), others(read(values)), `${name}: all else is as it was`)
  }
  policies = []
})

t.test('where it goes when the upstream has none', async (t) => {
  const of = async (...values: string[]): Promise<string[]> => {
    policies = values
    const { rawHeaders } = await ask(gateway.origin, link())
    return valuesOf(rawHeaders, 'content-security-policy')
  }
  t.strictSame(await of(), [`frame-ancestors ${sources}`], 'a header of its own')
  const first = await of("default-src 'self'", 'img-src *')
  t.strictSame(framing(read(first.slice(0, 1))), [sources], 'to the first')
  t.strictSame(first.slice(1), ['img-src *'], 'and not to the second')
  const [one = '', ...rest] = await of("default-src 'self', img-src *")
  t.strictSame(rest, [])
  t.strictSame(framing(read(one.split(',').slice(0, 1))), [sources], 'to the first policy')
  policies = []
})

t.test('policies that only report are left alone', async (t) => {
  const reportOnly = "frame-ancestors 'none'; report-uri /csp"
  more = { 'Content-Security-Policy-Report-Only': reportOnly }
  const { headers } = await ask(gateway.origin, link())
  t.equal(headers['content-security-policy-report-only'], reportOnly)
  t.equal(headers['content-security-policy'], `frame-ancestors ${sources}`)
  more = {}
})

t.test('on every status, type and method', async (t) => {
  policies = ['frame-ancestors *; img-src *']
  for (const code of [
    200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 416, 500, 503, 599,
  ]) {
    status = code
    more = { Location: '/elsewhere', 'Content-Type': 'application/json', ETag: '"x"' }
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
      const answer = await ask(gateway.origin, link({}, '/x'), { method })
      t.equal(answer.status, code)
      const got = valuesOf(answer.rawHeaders, 'content-security-policy')
      t.strictSame(framing(read(got)), [sources], `${method} ${code}`)
    }
  }
  status = 200
  more = {}
  policies = []
})

t.test("'none' where no page may frame", async (t) => {
  const closed = await startGateway(t, upstream.origin, { FRAME_ANCESTORS: "'none'" })
  const unset = await startGateway(t, upstream.origin, { FRAME_ANCESTORS: '' })
  policies = ['frame-ancestors *']
  for (const gateway of [closed, unset]) {
    for (const target of [link(), '/']) {
      const headers = { Referer: 'https://cc.example/' }
      const answer = await ask(gateway.origin, target, { headers })
      const got = valuesOf(answer.rawHeaders, 'content-security-policy')
      t.strictSame(framing(read(got)), ["'none'"], `${answer.status}`)
    }
  }
  policies = []
})

t.test('a refusal can be seen where the workspace could be', async (t) => {
  const mismatch = link({ userId: 'VICTIM' })
  const expired = link({
    auth: jwt({ userId: 'agent-7', sessionId: 'session-1', exp: inAnHour() - 9999 }),
  })
  type Row = readonly [name: string, target: string, referer: string | null, framed: string]
  const refusals: readonly Row[] = [
    ['nothing known', '/', null, "'none'"],
    ['a page that may frame', '/', 'https://cc.example/', 'https://cc.example'],
    ['its path and query', '/', 'https://cc.example/desk?case=1', 'https://cc.example'],
    ['an origin without a slash', '/', 'https://cc.example', 'https://cc.example'],
    ['the default port', '/', 'https://cc.example:443/', 'https://cc.example'],
    ['one of many', '/', 'https://emea.desk.example/', 'https://emea.desk.example'],
    ['below one of many', '/', 'https://a.b.desk.example/x', 'https://a.b.desk.example'],
    ['the parent of many', '/', 'https://desk.example/', "'none'"],
    ['another page', '/', 'https://evil.example/', "'none'"],
    ['another port', '/', 'https://cc.example:8443/', "'none'"],
    ['another scheme', '/', 'http://cc.example/', "'none'"],
    ['a name that begins alike', '/', 'https://cc.example.evil.example/', "'none'"],
    ['a name that ends alike', '/', 'https://evilcc.example/', "'none'"],
    ['a user that looks alike', '/', 'https://cc.example@evil.example/', "'none'"],
    ['a query that looks alike', '/', 'https://evil.example/?https://cc.example/', "'none'"],
    ['a semicolon', '/', 'https://cc.example;x/', "'none'"],
    ['a directive in a name', '/', 'https://evil.example;a.desk.example/', "'none'"],
    ['a policy in a name', '/', 'https://evil.example,a.desk.example/', "'none'"],
    ['a quote in a name', '/', "https://'self'.desk.example/", "'none'"],
    ['a wildcard in a name', '/', 'https://*.desk.example/', "'none'"],
    ['garbage', '/', 'garbage', "'none'"],
    ['nothing', '/', '', "'none'"],
    ['null', '/', 'null', "'none'"],
    ['two pages', '/', 'https://cc.example/, https://evil.example/', 'https://cc.example'],
    ['a token of nobody', link({ auth: 'a.b.c' }), 'https://cc.example/', 'https://cc.example'],
    ['a token of nobody, elsewhere', link({ auth: 'a.b.c' }), 'https://evil.example/', "'none'"],
    ['a target refused', '/../', 'https://cc.example/', 'https://cc.example'],
    ['a query refused', '/?UserId=x', 'https://cc.example/', 'https://cc.example'],
    ['a contact center known', mismatch, null, sources],
    ['a contact center known, elsewhere', mismatch, 'https://evil.example/', sources],
    ['a contact center known, over', expired, null, sources],
  ]
  for (const [name, target, referer, framed] of refusals) {
    for (const accept of ['text/html', 'application/json']) {
      const headers = { Accept: accept, ...(referer === null ? {} : { Referer: referer }) }
      const answer = await ask(gateway.origin, target, { headers })
      t.ok(answer.status >= 400 && answer.status < 500, name)
      const got = read(valuesOf(answer.rawHeaders, 'content-security-policy'))
      t.strictSame(framing(got), [framed], `${name}, ${accept}`)
    }
  }
})

t.test("'self' is the gateway as it was reached", async (t) => {
  const gateway = await startGateway(t, upstream.origin, { FRAME_ANCESTORS: "'self' cc.example" })
  const framedFor = async (referer: string): Promise<string[]> => {
    const headers = { Referer: referer, Accept: 'text/html' }
    const { rawHeaders } = await ask(gateway.origin, '/', { headers })
    return framing(read(valuesOf(rawHeaders, 'content-security-policy')))
  }
  t.strictSame(await framedFor(`${gateway.origin}/x`), [gateway.origin])
  t.strictSame(await framedFor('http://127.0.0.1:1/'), ["'none'"])
  t.strictSame(await framedFor('https://cc.example/'), ['https://cc.example'])
  const { rawHeaders } = await ask(gateway.origin, link())
  t.strictSame(framing(read(valuesOf(rawHeaders, 'content-security-policy'))), [
    "'self' https://cc.example",
  ])
})

t.test('on answers to what is no request', async (t) => {
  const large = `GET / HTTP/1.1\r\nX-Large: ${'x'.repeat(64 * 1024)}\r\n\r\n`
  for (const bytes of [
    'GARBAGE\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    large,
    'GET /\0 HTTP/1.1\r\n\r\n',
  ]) {
    const [answer] = answersIn(await exchange(gateway.port, bytes))
    const got = read([answer?.headers['content-security-policy'] ?? ''])
    t.strictSame(framing(got), ["'none'"], `${answer?.status}`)
  }
})

t.test('on failures of the upstream', async (t) => {
  const gateway = await startGateway(t, 'http://127.0.0.1:1', { FRAME_ANCESTORS: sources })
  for (const accept of ['text/html', '*/*']) {
    const answer = await ask(gateway.origin, link(), { headers: { Accept: accept } })
    t.equal(answer.status, 502)
    const got = valuesOf(answer.rawHeaders, 'content-security-policy')
    t.strictSame(framing(read(got)), [sources])
  }
})
