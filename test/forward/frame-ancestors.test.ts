import fc from 'fast-check'
import t from 'tap'
import {
  framedBy,
  indexSources,
  isLoopback,
  parseFrameAncestors,
} from '../../src/forward/frame-ancestors.ts'

t.test('sources are made exact', (t) => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['an origin', 'https://cc.example', ['https://cc.example']],
    ['no scheme: https', 'cc.example', ['https://cc.example']],
    ['a lone trailing slash', 'https://cc.example/', ['https://cc.example']],
    ['a port', 'cc.example:8443', ['https://cc.example:8443']],
    ['a port with leading zeros', 'cc.example:0443', ['https://cc.example:443']],
    ['any port', 'https://cc.example:*', ['https://cc.example:*']],
    ['subdomains', '*.cc.example', ['https://*.cc.example']],
    ['subdomains, with scheme and port', 'https://*.cc.example:1', ['https://*.cc.example:1']],
    ['upper case', 'HTTPS://CC.Example', ['https://cc.example']],
    ['IDN', 'https://*.bücher.example', ['https://*.xn--bcher-kva.example']],
    ['a single label', 'intranet', ['https://intranet']],
    ['an address', '192.0.2.1:8443', ['https://192.0.2.1:8443']],
    ['loopback, as written', 'http://localhost:3000', ['http://localhost:3000']],
    ['loopback over https', 'https://localhost', ['https://localhost']],
    ['loopback without scheme: http', 'localhost:3000', ['http://localhost:3000']],
    ['a name under localhost', 'http://cc.localhost', ['http://cc.localhost']],
    ['all names under localhost', '*.localhost:*', ['http://*.localhost:*']],
    ['a loopback address', 'http://127.0.0.2', ['http://127.0.0.2']],
    ["'self', in any case", "'Self'", ["'self'"]],
    [
      'several, by space, comma or both',
      "a.example,b.example ,\n 'self'",
      ['https://a.example', 'https://b.example', "'self'"],
    ],
    ['one twice', 'a.example https://A.example/', ['https://a.example']],
    ["'none'", "'none'", []],
    ["'none', in any case", " 'NONE' ", []],
  ]
  for (const [name, text, sources] of rows)
    t.strictSame(parseFrameAncestors(text), { sources }, name)
  t.end()
})

t.test('what would let the wrong page frame is refused', (t) => {
  const anyone = 'would let any site frame: name a host'
  const shape = 'is no host source: write https://host, https://*.host or https://host:port'
  const path = 'must have no path, query or fragment'
  const secure = 'must be https (http is for loopback only)'
  const semicolon = 'holds a semicolon: separate sources by white space or commas'
  const quotes = 'must stand without double quotes'
  const rows: readonly (readonly [string, string])[] = [
    ['*', anyone],
    ['*:443', anyone],
    ['https://*', anyone],
    ['https://*:443', anyone],
    ['https:', anyone],
    ['data:', anyone],
    ['https://', anyone],
    ['//cc.example', anyone],
    ['*.com', 'covers a whole top-level domain: name the domain below it'],
    ['https://*.com:443', 'covers a whole top-level domain: name the domain below it'],
    ['http://cc.example', secure],
    ['http://*.cc.example', secure],
    ['http://127.evil.example', secure],
    ['http://localhost.evil.example', secure],
    ['http://notlocalhost', secure],
    ['wss://cc.example', secure],
    ['https://cc.example/desk', path],
    ['cc.example/desk', path],
    ['https://cc.example//', path],
    ['https://cc.example?x', path],
    ['https://cc.example#x', path],
    ['https://a.*.example', shape],
    ['https://a*.example', shape],
    ['https://*.*.example', shape],
    ['https://user@cc.example', shape],
    ['https://user:secret@cc.example', shape],
    ['https://cc.example:', shape],
    ['https://cc.example:0', shape],
    ['https://cc.example:65536', shape],
    ['https://cc.example:port', shape],
    ['https://cc..example', shape],
    ['https://.cc.example', shape],
    ['https://cc.example.', shape],
    ['https://cc_1.example', shape],
    ['https://%63c.example', shape],
    ["https://cc.example'", shape],
    ['https://cc.example\\', shape],
    ['https://cc\u0000.example', shape],
    ['127.1', shape],
    ['0x7f.0.0.1', shape],
    ['300.1.1.1', shape],
    ['*.127.0.0.1', shape],
    ["'unsafe-inline'", shape],
    ["'nonce-abc'", shape],
    ['[::1]', 'is an IPv6 address, which CSP does not know'],
    ['http://[::1]:3000', 'is an IPv6 address, which CSP does not know'],
    ['self', 'must be in single quotes'],
    ['NONE', 'must be in single quotes'],
  ]
  for (const [text, why] of rows) {
    t.strictSame(parseFrameAncestors(text), { problem: `${JSON.stringify(text)} ${why}` }, text)
  }
  for (const [name, text, problem] of [
    ['a semicolon', 'a.example;b.example', `"a.example;b.example" ${semicolon}`],
    ['a directive', 'https://a.example;script-src', `"https://a.example;script-src" ${semicolon}`],
    ['double quotes', '"https://a.example"', `"https://a.example" ${quotes}`],
    [
      'double quotes around all',
      '"https://a.example https://b.example"',
      `"https://a.example" ${quotes}; "https://b.example" ${quotes}`,
    ],
  ] as const) {
    t.strictSame(parseFrameAncestors(text), { problem }, name)
  }
  t.strictSame(
    parseFrameAncestors("'none' https://cc.example * *"),
    { problem: `"'none'" must stand alone; "*" ${anyone}` },
    'each wrong source is named, once',
  )
  t.strictSame(parseFrameAncestors(' , '), {
    problem: "names no source: write 'none' if no page may frame",
  })
  t.end()
})

t.test('an origin matches as in browsers', (t) => {
  const own = 'https://gateway.example'
  const rows: readonly (readonly [string, boolean, string, string, (string | null)?])[] = [
    ['the origin itself', true, 'https://cc.example', 'https://cc.example'],
    ['another host', false, 'https://cc.example', 'https://evil.example'],
    ['a host that ends alike', false, 'https://cc.example', 'https://xcc.example'],
    ['a host that begins alike', false, 'https://cc.example', 'https://cc.example.evil'],
    ['a subdomain', false, 'https://cc.example', 'https://a.cc.example'],
    ['another port', false, 'https://cc.example', 'https://cc.example:8443'],
    ['the named port', true, 'https://cc.example:8443', 'https://cc.example:8443'],
    ['the default port, named', true, 'https://cc.example:443', 'https://cc.example'],
    ['another than the named port', false, 'https://cc.example:8443', 'https://cc.example'],
    ['any port', true, 'https://cc.example:*', 'https://cc.example:1'],
    ['http where https is asked', false, 'https://cc.example', 'http://cc.example'],
    ['https where http is asked', true, 'http://localhost', 'https://localhost'],
    ['http where http is asked', true, 'http://localhost:80', 'http://localhost'],
    ['another scheme', false, 'https://cc.example', 'ftp://cc.example'],
    ['below a wildcard', true, 'https://*.cc.example', 'https://a.cc.example'],
    ['far below a wildcard', true, 'https://*.cc.example', 'https://a.b.cc.example'],
    ['the wildcard itself', false, 'https://*.cc.example', 'https://cc.example'],
    ['beside a wildcard', false, 'https://*.cc.example', 'https://acc.example'],
    ["'self'", true, "'self'", own],
    ["'self', another host", false, "'self'", 'https://cc.example'],
    ["'self', another port", false, "'self'", `${own}:8443`],
    ["'self' unknown", false, "'self'", own, null],
    ["'self' on http, page on https", true, "'self'", own, 'http://gateway.example'],
    ["'self' on https, page on http", false, "'self'", 'http://gateway.example'],
    ["'self' that is no origin", false, "'self'", own, 'gateway.example'],
    ['an opaque origin', false, 'https://cc.example', 'null'],
    ['a URL', false, 'https://cc.example', 'https://cc.example/'],
    ['an unserialized origin', false, 'https://cc.example', 'https://CC.example'],
    ['an extension', false, 'https://cc.example', 'chrome-extension://cc.example'],
    ['nothing', false, 'https://cc.example', ''],
    ['a source that was never parsed', false, '*', 'https://cc.example'],
  ]
  for (const [name, expected, source, origin, ownOrigin = own] of rows) {
    t.equal(framedBy(['https://other.example', source], origin, ownOrigin), expected, name)
  }
  t.equal(framedBy([], 'https://cc.example', own), false, "'none'")
  t.end()
})

t.test('loopback is this machine only', (t) => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'a.localhost',
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '[::1]',
  ]) {
    t.ok(isLoopback(host), host)
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '127.evil.example',
    'localhost.evil',
    'xlocalhost',
    '128.0.0.1',
  ]) {
    t.notOk(isLoopback(host), host)
  }
  t.end()
})

t.test('of a thousand sources, the few that are found tell as much as all', (t) => {
  const labels = fc.array(fc.constantFrom('a', 'b', 'localhost'), {
    minLength: 1,
    maxLength: 3,
  })
  const host = fc.oneof(
    labels.map((all) => all.join('.')),
    fc.constantFrom('127.0.0.1', '192.0.2.1', 'a.', 'xn--bcher-kva.example', 'gateway.example'),
  )
  const port = fc.constantFrom('', ':443', ':80', ':8443')
  const scheme = fc.constantFrom('https://', 'http://')
  const written = fc.oneof(
    fc.constant("'self'"),
    fc
      .tuple(scheme, fc.constantFrom('', '*.'), host, fc.oneof(port, fc.constant(':*')))
      .map((parts) => parts.join('')),
  )
  const page = fc.oneof(
    fc.tuple(scheme, host, port).map((parts) => parts.join('')),
    fc.constantFrom('null', 'https://[::1]', 'https://a..b', 'data:', ''),
  )
  const many = Array.from({ length: 1000 }, (_, i) => `https://cc-${i}.example`)
  let framed = 0
  let runs = 0
  fc.assert(
    fc.property(
      fc.array(written, { minLength: 10, maxLength: 30 }),
      page,
      fc.nat(29),
      (texts, other, at) => {
        const sources = texts.flatMap((text) => {
          const parsed = parseFrameAncestors(text)
          return 'sources' in parsed ? parsed.sources : []
        })
        const near = sources[at]?.replace('*.', 'a.').replace(':*', ':8443')
        const origin = near === undefined ? other : (URL.parse(near)?.origin ?? other)
        const all = [...many, ...sources]
        const found = indexSources(all)(origin)
        const expected = framedBy(all, origin, 'https://gateway.example')
        runs += 1
        if (expected) framed += 1
        return (
          found.length <= sources.length &&
          framedBy(found, origin, 'https://gateway.example') === expected
        )
      },
    ),
    { numRuns: 1500 },
  )
  t.ok(framed > runs / 20, `${framed} of ${runs} may frame`)
  t.same(indexSources(many)('https://cc-7.example'), ['https://cc-7.example'], 'one of a thousand')
  t.end()
})
