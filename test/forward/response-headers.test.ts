import t from 'tap'
import { util } from 'undici'
import {
  type Framing,
  type Headers,
  isForwarded,
  type Mapping,
  ownHeaders,
  responseHeaders,
} from '../../src/forward/response-headers.ts'

const framing: Framing = {
  frameAncestors: 'https://cc.example',
  requestId: 'request-1',
  secure: true,
}
const mapping: Mapping = {
  setCookies: [],
  origin: 'https://gateway.example',
  upstreamOrigins: ['http://copilot.internal:8080', 'http://api.internal'],
  basePath: '',
  isPublic: false,
}
const own = {
  'content-security-policy': 'frame-ancestors https://cc.example',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'x-request-id': 'request-1',
  'strict-transport-security': 'max-age=31536000',
}
const session =
  '__Host-copilot-a=b; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=9'

type Lines = readonly (readonly [name: string, value: string])[]

function made(lines: Lines, changes: Partial<Mapping & Framing> = {}): Headers {
  return responseHeaders(
    util.parseHeaders(lines.flat()),
    { ...framing, ...changes },
    { ...mapping, ...changes },
  )
}

/** One header's values, as Node will write them: a line each. */
function valuesOf(headers: Headers, name: string): string[] {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return value === undefined ? [] : [value].flat()
}

t.test('every answer carries the gateway’s own headers, once each', (t) => {
  const flat = (headers: Headers): object =>
    Object.fromEntries(
      Object.keys(headers).map((name) => [name, valuesOf(headers, name).join('|')]),
    )
  t.strictSame(flat(made([])), own)
  t.strictSame(flat({ ...ownHeaders(framing) }), own)
  const upstream = Object.entries(own).flatMap(
    ([name]): Lines => [
      [name.toUpperCase(), 'unsafe-url'],
      [name, 'another'],
    ],
  )
  const { 'content-security-policy': _, ...rest } = own
  t.match(flat(made(upstream)), rest, 'in place of the upstream’s')
  const { 'strict-transport-security': hsts, ...plain } = own
  t.match(hsts, /^max-age=[1-9]\d{6,}/, 'for months at least')
  t.strictSame(flat(made(upstream.slice(8), { secure: false })), plain, 'HSTS over TLS only')
  t.equal(made([['X-Frame-Options', 'DENY']])['x-frame-options'], undefined)
  const nobody = made([], { frameAncestors: "'none'" })
  t.strictSame(valuesOf(nobody, 'content-security-policy'), ["frame-ancestors 'none'"])
  t.end()
})

t.test('CSP is merged over all of its headers, and Report-Only left alone', (t) => {
  const headers = made([
    ['Content-Security-Policy', "default-src 'self'"],
    ['content-security-policy-report-only', "frame-ancestors 'none'; report-uri /a"],
    ['CONTENT-SECURITY-POLICY', "frame-ancestors 'none', script-src x; frame-ancestors *"],
  ])
  t.strictSame(valuesOf(headers, 'content-security-policy'), [
    "default-src 'self'",
    'frame-ancestors https://cc.example, script-src x; frame-ancestors https://cc.example',
  ])
  t.strictSame(valuesOf(headers, 'content-security-policy-report-only'), [
    "frame-ancestors 'none'; report-uri /a",
  ])
  t.end()
})

t.test('what leads past the gateway or tells of the upstream is removed', (t) => {
  const names = [
    'Server',
    'X-Powered-By',
    'X-Frame-Options',
    'Alt-Svc',
    'Access-Control-Allow-Origin',
    'Access-Control-Allow-Credentials',
    'Access-Control-Allow-Headers',
    'Access-Control-Allow-Methods',
    'Access-Control-Allow-Private-Network',
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authenticate',
    'TE',
    'Transfer-Encoding',
    'Upgrade',
  ]
  for (const name of names) {
    for (const spelt of [name, name.toLowerCase(), name.toUpperCase()]) {
      const headers = made([
        [spelt, 'x'],
        ['A', 'b'],
        [spelt, 'x'],
      ])
      t.strictSame(valuesOf(headers, name.toLowerCase()), [], spelt)
      t.equal(headers['a'], 'b', `${spelt}: others stay`)
    }
    t.notOk(isForwarded(name.toLowerCase()), `${name} as a trailer`)
  }
  t.ok(isForwarded('x-checksum'))
  t.end()
})

t.test('all else goes on as it came', (t) => {
  const rows: Lines = [
    ['Content-Type', 'application/json'],
    ['Content-Length', '12'],
    ['Content-Encoding', 'gzip'],
    ['ETag', 'W/"abc"'],
    ['Last-Modified', 'Thu, 01 Jan 2026 00:00:00 GMT'],
    ['Vary', 'Accept-Encoding'],
    ['Accept-Ranges', 'bytes'],
    ['Content-Range', 'bytes 0-1/2'],
    ['WWW-Authenticate', 'Basic realm="x"'],
    ['Retry-After', '120'],
    ['Link', '</a>; rel=preload'],
    ['Date', 'Thu, 01 Jan 2026 00:00:00 GMT'],
    ['Trailer', 'X-Checksum'],
    ['Access-Control-Expose-Headers', 'X-A'],
    ['Access-Control-Max-Age', '60'],
    ['Cross-Origin-Opener-Policy', 'unsafe-none'],
    ['X-Latin-1', 'J\xfcrgen'],
    ['X-Empty', ''],
    ['Constructor', 'a name that every object has'],
    ['__proto__', 'another'],
    ['hasOwnProperty', 'a third'],
  ]
  // HTTP/2 could not say them twice, and browsers differ in which of two they take.
  const once = /^(?:Content-(?:Type|Length|Range)|ETag|Last-Modified|Retry-After|Date)$/
  for (const [name, value] of rows) {
    const headers = made([[name, value]])
    t.strictSame(valuesOf(headers, name.toLowerCase()), [value], name)
    const twice = made([
      [name, value],
      [name.toUpperCase(), `${value}2`],
    ])
    const both = once.test(name)
      ? [value]
      : name === 'Content-Encoding'
        ? [`${value}, ${value}2`]
        : [value, `${value}2`]
    t.strictSame(valuesOf(twice, name.toLowerCase()), both, `${name}, twice`)
  }
  const added = Object.keys(made([])).filter((name) =>
    /cross-origin|permissions|expect-ct/.test(name),
  )
  t.strictSame(added, [], 'no CORP, COEP or COOP: they broke tiles')
  t.notMatch(JSON.stringify(made([])), /frame-src|child-src/)
  t.end()
})

t.test('what the upstream’s Connection names does not go on', (t) => {
  const headers = made([
    ['Connection', 'close, X-One,x-two'],
    ['X-One', '1'],
    ['X-TWO', '2'],
    ['x_three', '3'],
    ['X-Four', '4'],
    ['connection', 'x_three'],
  ])
  for (const name of ['x-one', 'x-two', 'x_three']) t.strictSame(valuesOf(headers, name), [], name)
  t.equal(headers['x-four'], '4')
  const mine = made([['Connection', Object.keys(own).join(', ')]])
  for (const name of Object.keys(own)) t.equal(valuesOf(mine, name).length, 1, `${name} stays`)
  const opened = made([['Connection', 'set-cookie, cache-control']], { setCookies: [session] })
  t.strictSame(valuesOf(opened, 'set-cookie'), [session])
  t.strictSame(valuesOf(opened, 'cache-control'), ['no-store'])
  t.end()
})

t.test('a document and what opens a session is kept by no cache', (t) => {
  const html = [
    'text/html',
    'text/html; charset=utf-8',
    'TEXT/HTML',
    'Text/Html;charset=utf-8',
    ' text/html',
    'text/html ; a=b',
    'application/xhtml+xml',
  ]
  for (const type of html) {
    for (const cache of [null, 'public, max-age=60', 'private', 'max-age=31536000, immutable']) {
      const lines: Lines = [
        ['Content-Type', type],
        ...(cache ? [['Cache-Control', cache] as const] : []),
      ]
      t.strictSame(valuesOf(made(lines), 'cache-control'), ['no-store'], `${type}, ${cache}`)
    }
  }
  const script: Lines = [
    ['Content-Type', 'text/javascript'],
    ['Cache-Control', 'public, max-age=60'],
  ]
  const opened = made(script, { setCookies: [session] })
  t.strictSame(valuesOf(opened, 'cache-control'), ['no-store'], 'with our cookie')
  t.end()
})

t.test('what a shared cache could give to the next agent becomes private', (t) => {
  const directives = (...values: string[]): string[] => {
    const lines = values.map((value) => ['Cache-Control', value] as const)
    const headers = made([['Content-Type', 'text/javascript'], ...lines])
    return valuesOf(headers, 'cache-control')
      .join(',')
      .split(',')
      .map((directive) => directive.trim())
      .sort()
  }
  const rows: readonly (readonly [readonly string[], readonly string[]])[] = [
    [['public'], ['private']],
    [['PUBLIC'], ['private']],
    [['Public , max-age=60'], ['max-age=60', 'private']],
    [['max-age=60,public'], ['max-age=60', 'private']],
    [['public, max-age=31536000, immutable'], ['immutable', 'max-age=31536000', 'private']],
    [
      ['max-age=60', 'public'],
      ['max-age=60', 'private'],
    ],
    [['public', 'public'], ['private']],
    [['public, private'], ['private']],
    [['no-cache, public'], ['no-cache', 'private']],
    [['s-maxage=60'], ['private']],
    [['public, S-MaxAge=60, max-age=5'], ['max-age=5', 'private']],
  ]
  for (const [values, expected] of rows) {
    t.strictSame([...new Set(directives(...values))], expected, values.join(' | '))
  }
  const untouched = ['private', 'no-store', 'no-cache', 'max-age=60, immutable', 'must-revalidate']
  for (const value of untouched) {
    const headers = made([
      ['Content-Type', 'image/png'],
      ['Cache-Control', value],
    ])
    t.strictSame(valuesOf(headers, 'cache-control'), [value], value)
  }
  const other = made([['Cache-Control', 'publicity=1, x-public']])
  t.strictSame(
    valuesOf(other, 'cache-control'),
    ['publicity=1, x-public'],
    'names that begin alike',
  )
  t.equal(made([['Content-Type', 'image/png']])['cache-control'], undefined, 'none stays none')
  t.end()
})

t.test('an absolute Location on the upstream becomes the gateway’s', (t) => {
  const gateway = 'https://gateway.example'
  const rows: readonly (readonly [string, string, string])[] = [
    ['on the workspace', 'http://copilot.internal:8080/a?b=c#d', `${gateway}/a?b=c#d`],
    ['its root', 'http://copilot.internal:8080', `${gateway}/`],
    ['on the backend', 'http://api.internal/a', `${gateway}/a`],
    ['with its default port', 'http://api.internal:80/a', `${gateway}/a`],
    ['in upper case', 'HTTP://COPILOT.INTERNAL:8080/A', `${gateway}/A`],
    ['with credentials', 'http://user:secret@copilot.internal:8080/a', `${gateway}/a`],
    ['without a scheme', '//copilot.internal:8080/a', `${gateway}/a`],
    ['encoded', 'http://api.internal/a%2Fb?c=%20', `${gateway}/a%2Fb?c=%20`],
    ['on another port', 'http://copilot.internal/a', 'http://copilot.internal/a'],
    ['by another scheme', 'https://copilot.internal:8080/a', 'https://copilot.internal:8080/a'],
    ['elsewhere', 'https://login.example/?next=http://api.internal/', ''],
    ['of a name that begins alike', 'http://api.internal.evil.example/', ''],
    ['relative to the root', '/a?b=c#d', ''],
    ['relative', 'a/b?c', ''],
    ['relative, upwards', '../a', ''],
    ['of a query', '?a=b', ''],
    ['of a fragment', '#a', ''],
    ['empty', '', ''],
    ['not a URL', 'http://[', ''],
    ['another scheme', 'mailto:a@b.example', ''],
  ]
  for (const [name, location, expected] of rows) {
    const headers = made([['Location', location]])
    t.strictSame(valuesOf(headers, 'location'), [expected || location], name)
  }
  const twice = made([
    ['Location', 'http://api.internal/a'],
    ['location', 'http://copilot.internal:8080/b'],
  ])
  t.notMatch(JSON.stringify(twice), /internal/, 'one given twice')
  t.end()
})

t.test('the upstream’s base path is the gateway’s root', (t) => {
  const base = { basePath: '/base' }
  const gateway = 'https://gateway.example'
  const rows: readonly (readonly [string, string])[] = [
    ['http://copilot.internal:8080/base/a?b', `${gateway}/a?b`],
    ['http://copilot.internal:8080/base', `${gateway}/`],
    ['http://copilot.internal:8080/base/', `${gateway}/`],
    ['http://copilot.internal:8080/basement', `${gateway}/basement`],
    ['/base/a', '/a'],
    ['/base', '/'],
    ['/base/?a=b#c', '/?a=b#c'],
    ['/basement', '/basement'],
    ['a/b', 'a/b'],
    ['https://elsewhere.example/base/a', 'https://elsewhere.example/base/a'],
  ]
  for (const [location, expected] of rows) {
    t.strictSame(valuesOf(made([['Location', location]], base), 'location'), [expected], location)
  }
  const path = (text: string): string | undefined =>
    valuesOf(made([['Set-Cookie', `a=b; Path=${text}`]], base), 'set-cookie')[0]
  t.match(path('/base/a'), /; Path=\/a;/)
  t.match(path('/base'), /; Path=\/;/)
  t.match(path('/basement'), /; Path=\/basement;/)
  t.match(path('/'), /; Path=\/;/)
  t.end()
})

t.test('cookies of the workspace live in a third-party frame', (t) => {
  const attributes = (line: string): { pair: string; rest: string[] } => {
    const [first = ''] = valuesOf(made([['Set-Cookie', line]]), 'set-cookie')
    const [pair = '', ...rest] = first.split(';').map((part) => part.trim())
    return { pair, rest: rest.sort() }
  }
  const third = ['Partitioned', 'SameSite=None', 'Secure']
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['a=b', 'a=b', []],
    ['a=b; Path=/', 'a=b', ['Path=/']],
    ['a=b; Path=/x; HttpOnly; Max-Age=60', 'a=b', ['HttpOnly', 'Max-Age=60', 'Path=/x']],
    [
      'a=b; Expires=Thu, 01 Jan 2026 00:00:00 GMT',
      'a=b',
      ['Expires=Thu, 01 Jan 2026 00:00:00 GMT'],
    ],
    ['a=b; Domain=copilot.internal', 'a=b', []],
    ['a=b; DOMAIN = .internal ;Path=/', 'a=b', ['Path=/']],
    ['a=b;domain', 'a=b', []],
    ['a=b; SameSite=Lax', 'a=b', []],
    ['a=b; SameSite=Strict; Secure', 'a=b', []],
    ['a=b; samesite=none; secure; partitioned', 'a=b', []],
    ['a=b; SECURE=x; Partitioned=1', 'a=b', []],
    ['a=b; Secure; Secure; SameSite=Lax; SameSite=Strict', 'a=b', []],
    ['a=b;', 'a=b', []],
    ['a=', 'a=', []],
    ['a=b=c', 'a=b=c', []],
    ['a="b c"; Path=/', 'a="b c"', ['Path=/']],
    ['domain=secure; Priority=High', 'domain=secure', ['Priority=High']],
    ['__Host-x=1; Path=/; Secure', '__Host-x=1', ['Path=/']],
    ['__Host-copilot=1; Path=/', '__Host-copilot=1', ['Path=/']],
    ['copilot-a=1', 'copilot-a=1', []],
    ['a=__Host-copilot-a', 'a=__Host-copilot-a', []],
  ]
  for (const [line, pair, kept] of rows) {
    t.strictSame(attributes(line), { pair, rest: [...kept, ...third].sort() }, line)
  }
  t.end()
})

t.test('no cookie of the upstream passes for one of the gateway’s', (t) => {
  const rows = [
    '__Host-copilot-a=b',
    '__Host-copilot-a=b; Path=/; Secure',
    '__host-copilot-a=b',
    '__HOST-COPILOT-A=b',
    ' __Host-copilot-a=b',
    '__Host-copilot-a =b',
    '\t__Host-copilot-a\t=b',
    '__Host-copilot-=b',
    '__Host-copilot-a=; Max-Age=0',
    // A cookie without a name: browsers send its value back as if it were a pair.
    '=__Host-copilot-a=b',
    ' = __Host-copilot-a=b',
    '__Host-copilot-a',
  ]
  for (const line of rows) {
    const headers = made(
      [
        ['Set-Cookie', line],
        ['Set-Cookie', 'x=y'],
      ],
      { setCookies: [session] },
    )
    const [first = '', second, ...more] = valuesOf(headers, 'set-cookie')
    t.match(first, /^x=y;/, line)
    t.equal(second, session, `${line}: our own, to the byte`)
    t.strictSame(more, [], `${line}: and no other`)
    t.equal(made([['Set-Cookie', line]])['set-cookie'], undefined, `${line} alone`)
  }
  const two = made(
    [
      ['set-cookie', 'a=1'],
      ['SET-COOKIE', 'b=2'],
    ],
    { setCookies: [session, 'z'] },
  )
  t.match(valuesOf(two, 'set-cookie'), [/^a=1;/, /^b=2;/, session, 'z'], 'a line each, in order')
  t.end()
})
