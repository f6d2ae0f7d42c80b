import { on, once } from 'node:events'
import { request as startRequest } from 'node:http'
import { connect } from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import {
  ask,
  exchange,
  link,
  openSession,
  startGateway,
  startSocketUpstream,
  startUpstream,
  valuesOf,
} from '../stage.ts'

/** What the upstream answers, byte for byte; it closes afterwards where it is told to. */
let bytes = ''
let closes = false
const upstream = await startSocketUpstream(t, (socket) => {
  if (closes) socket.end(bytes, 'latin1')
  else socket.write(bytes, 'latin1')
})
const gateway = await startGateway(t, upstream.origin, { UPSTREAM_TIMEOUT: '10s' })
const host = new URL(gateway.origin).host
const cookie = await (async () => {
  bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
  return openSession(gateway)
})()

/** An answer of the upstream: a line, header lines, and a body with its length. */
function answer(line: string, lines: readonly string[] = [], body: string | null = ''): string {
  const length = body === null ? [] : [`Content-Length: ${body.length}`]
  return [`HTTP/1.1 ${line}`, ...lines, ...length, '', body ?? ''].join('\r\n')
}

t.test('the status and its phrase', async (t) => {
  const lines = [
    '200 OK',
    '200 Bravo!',
    '200 ',
    '201 Created',
    '203 Non-Authoritative Information',
    '205 Reset Content',
    '207 Multi-Status',
    '226 IM Used',
    '299 whatever "you" like; (really)',
    '300 Multiple Choices',
    '303 See Other',
    '305 Use Proxy',
    '308 Permanent Redirect',
    '400 Bad Request',
    '401 Unauthorized',
    '402 Payment Required',
    '407 Proxy Authentication Required',
    '409 Conflict',
    '418 I am a teapot',
    '421 Misdirected Request',
    '429 Too Many Requests',
    '431 Request Header Fields Too Large',
    '451 Unavailable For Legal Reasons',
    '499 Nobody Knows',
    '500 Internal Server Error',
    '502 Bad Gateway',
    '503 Service Unavailable',
    '504 Gateway Timeout',
    '511 Network Authentication Required',
    '599 Nobody Knows',
  ]
  for (const line of lines) {
    bytes = answer(line, ['X-Mark: upstream'], 'body')
    for (const method of ['GET', 'POST']) {
      const got = await ask(gateway.origin, link({}, '/x'), { method })
      t.equal(`${got.status} ${got.message}`, line, `${method} ${line}`)
      t.equal(got.headers['x-mark'], 'upstream', `${method} ${line}: is the upstream's own`)
      t.equal(got.body, 'body', `${method} ${line}: body`)
    }
  }
})

t.test('a phrase that is not ASCII costs the phrase at most', async (t) => {
  for (const phrase of ['Sch\u00f6n', '\u00c3\u00b6', '\u00e5\u00ae\u008c', '\u00ff']) {
    bytes = answer(`201 ${phrase}`, [], 'body')
    const { status, body } = await ask(gateway.origin, link({}, '/x'))
    t.equal(status, 201, JSON.stringify(phrase))
    t.equal(body, 'body')
  }
})

t.test('header lines, byte for byte', async (t) => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['Content-Type', ['application/vnd.x+json; charset="utf-8"']],
    ['Content-Disposition', ['attachment; filename="r\u00e9sum\u00e9.pdf"']],
    ['Content-Language', ['de']],
    ['ETag', ['W/"a\u00e9"']],
    ['Last-Modified', ['Sat, 29 Oct 1994 19:43:31 GMT']],
    ['Date', ['Sat, 29 Oct 1994 19:43:31 GMT']],
    ['Expires', ['0']],
    ['Age', ['17']],
    ['Vary', ['Accept, Origin', 'Cookie']],
    ['Link', ['</a.css>; rel=preload', '</b.js>; rel=preload']],
    ['WWW-Authenticate', ['Basic realm="a, b"', 'Bearer']],
    ['Retry-After', ['120']],
    ['Accept-Ranges', ['bytes']],
    ['Allow', ['GET, HEAD']],
    ['Content-Location', ['/there']],
    ['Refresh', ['5; url=/x']],
    ['Server-Timing', ['db;dur=53']],
    ['SourceMap', ['/x.map']],
    ['Via', ['1.1 inner']],
    ['Warning', ['299 - "old"']],
    ['X-Latin-1', ['\u00e9\u00df\u00ff \u00a0\u0080\u009f']],
    ['X-UTF-8', ['\u00c3\u00a9']],
    ['X-Tab', ['a\tb']],
    ['X-Spaces', ['a  b']],
    ['X-Empty', ['']],
    ['X-Odd', ['!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~']],
    ['X-Twice', ['one', 'two', 'one']],
    ['X_Under', ['1']],
    ['X-Long', ['y'.repeat(20_000)]],
    ['constructor', ['1']],
    ['toString', ['1']],
    ['valueOf', ['1', '2']],
    ['hasOwnProperty', ['1']],
    ['__proto__', ['1']],
    ["!#$%&'*+-.^_`|~0", ['1']],
  ]
  for (const [name, values] of rows) {
    bytes = answer(
      '200 OK',
      values.map((value) => `${name}: ${value}`),
      'x',
    )
    const got = await ask(gateway.origin, link({}, '/x'))
    t.equal(got.status, 200, name)
    t.strictSame(valuesOf(got.rawHeaders, name), values, name)
  }

  const many = Array.from({ length: 500 }, (_, i) => `X-${i}: ${i}`)
  bytes = answer('200 OK', many)
  const { headers } = await ask(gateway.origin, link({}, '/x'))
  t.strictSame(
    many.filter((_, i) => headers[`x-${i}`] !== String(i)),
    [],
    'five hundred',
  )
})

t.test('space around a value is no part of it', async (t) => {
  bytes = answer('200 OK', ['X-A:\t b \t', 'X-B:c'])
  const { headers } = await ask(gateway.origin, link())
  t.match(headers, { 'x-a': 'b', 'x-b': 'c' })
})

t.test('two cookies are two lines', async (t) => {
  bytes = answer('200 OK', [
    'Set-Cookie: a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT',
    'set-cookie: b=2',
  ])
  const { rawHeaders } = await ask(gateway.origin, '/x', { headers: { Cookie: cookie } })
  t.strictSame(
    valuesOf(rawHeaders, 'set-cookie').map((line) => line.split(';')[0]),
    ['a=1', 'b=2'],
  )
})

t.test('bodies, however they are framed', async (t) => {
  const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
  const chunked = 'Transfer-Encoding: chunked'
  const rows: readonly (readonly [string, string, string, boolean?])[] = [
    ['a length', answer('200 OK', [], all), all],
    ['no body', answer('200 OK'), ''],
    ['large', answer('200 OK', [], all.repeat(4000)), all.repeat(4000)],
    ['chunks', `${answer('200 OK', [chunked], null)}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n`, 'abcde'],
    ['no chunks', `${answer('200 OK', [chunked], null)}0\r\n\r\n`, ''],
    ['to the end', `${answer('200 OK', [], null)}${all}`, all, true],
    ['HTTP/1.0', `${answer('200 OK', [], null).replace('1.1', '1.0')}${all}`, all, true],
    ['HTTP/1.0 with a length', answer('200 OK', [], all).replace('1.1', '1.0'), all, true],
    ['closing', answer('200 OK', ['Connection: close'], all), all, true],
    ['an answer with a type nobody knows', answer('200 OK', ['Content-Type: x'], all), all],
    ['an encoding', answer('200 OK', ['Content-Encoding: br'], all), all],
  ]
  for (const [name, sent, body, end = false] of rows) {
    bytes = sent
    closes = end
    const got = await ask(gateway.origin, link())
    t.equal(got.status, 200, name)
    t.ok(got.complete, `${name}: is whole`)
    t.ok(got.body === body, name)
    const length = /Content-Length: (\d+)/.exec(sent)?.[1]
    t.equal(got.headers['content-length'], length, `${name}: length`)
    const old = await exchange(gateway.port, `GET ${link()} HTTP/1.0\r\nHost: ${host}\r\n\r\n`)
    const head = old.slice(0, old.indexOf('\r\n\r\n') + 4)
    t.ok(old.slice(head.length) === body, `${name}: to an HTTP/1.0 client`)
    t.notMatch(head, /transfer-encoding/i, `${name}: HTTP/1.0 knows no chunks`)
  }
  closes = false
})

t.test('gzip is untouched', async (t) => {
  const zipped = gzipSync('window.x = 1\n'.repeat(500))
  bytes = answer(
    '200 OK',
    ['Content-Encoding: gzip', 'Vary: Accept-Encoding'],
    zipped.toString('latin1'),
  )
  const got = await ask(gateway.origin, link({}, '/a.js'))
  t.match(got.headers, { 'content-encoding': 'gzip', vary: 'Accept-Encoding' })
  t.ok(Buffer.from(got.body, 'latin1').equals(zipped))
  t.equal(gunzipSync(Buffer.from(got.body, 'latin1')).length, 6500)
})

t.test('what has no body has none, and keeps its length', async (t) => {
  const rows: readonly (readonly [string, string, readonly string[], string | undefined])[] = [
    ['HEAD', '200 OK', ['Content-Length: 5000000'], '5000000'],
    ['HEAD', '200 OK', ['Content-Length: 0'], '0'],
    ['HEAD', '200 OK', ['Transfer-Encoding: chunked'], undefined],
    ['HEAD', '200 OK', [], undefined],
    ['HEAD', '404 Not Found', ['Content-Length: 9'], '9'],
    ['HEAD', '206 Partial Content', ['Content-Length: 2', 'Content-Range: bytes 0-1/9'], '2'],
    ['GET', '204 No Content', [], undefined],
    ['GET', '304 Not Modified', ['ETag: "x"'], undefined],
    ['GET', '304 Not Modified', ['ETag: "x"', 'Content-Length: 7'], '7'],
    ['GET', '304 Not Modified', ['Content-Length: 0'], '0'],
    ['HEAD', '304 Not Modified', ['Content-Length: 7'], '7'],
    ['POST', '204 No Content', [], undefined],
    ['DELETE', '204 No Content', [], undefined],
  ]
  for (const [method, line, lines, length] of rows) {
    const name = `${method} ${line} ${lines}`
    bytes = answer(line, lines, null)
    const sent = `${method} ${link()} HTTP/1.1\r\nHost: ${host}\r\n`
    const text = await exchange(
      gateway.port,
      `${sent}Content-Length: 0\r\nConnection: close\r\n\r\n`,
    )
    t.ok(text.startsWith(`HTTP/1.1 ${line}\r\n`), name)
    t.equal(/^content-length: (.*)\r/im.exec(text)?.[1], length, `${name}: length`)
    t.equal(text.slice(text.indexOf('\r\n\r\n') + 4), '', `${name}: body`)
    // On one connection, the next answer has to begin where this one ends.
    bytes = answer(line, lines, null)
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(`${sent}Content-Length: 0\r\n\r\n`)
    const [first] = await once(socket, 'data')
    t.match(String(first), line, `${name}: kept alive`)
    bytes = answer('200 OK', [], 'next')
    socket.write(`GET ${link()} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    let rest = ''
    for await (const chunk of socket) rest += chunk
    t.match(rest, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nnext$/s, `${name}: the next one`)
  }
})

t.test('ranges', async (t) => {
  const multipart = '--x\r\nContent-Range: bytes 0-0/9\r\n\r\na\r\n--x--\r\n'
  const rows = [
    answer('206 Partial Content', ['Content-Range: bytes 2-4/9'], 'cde'),
    answer('206 Partial Content', ['Content-Type: multipart/byteranges; boundary=x'], multipart),
    answer('416 Range Not Satisfiable', ['Content-Range: bytes */9']),
  ]
  for (const sent of rows) {
    bytes = sent
    const got = await ask(gateway.origin, link({}, '/x'), { headers: { Range: 'bytes=2-4' } })
    const [head = '', body] = sent.split(/\r\n\r\n(.*)/s)
    t.ok(head.startsWith(`HTTP/1.1 ${got.status}`))
    t.equal(got.body, body)
    const range = /Content-Range: (.*)/.exec(head.split('--x')[0] ?? '')?.[1]
    t.equal(got.headers['content-range'], range)
    t.match(upstream.heads.at(-1), /\r\nRange: bytes=2-4\r\n/i)
  }
})

t.test('trailers', async (t) => {
  const start =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n'
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['one', ['X-Sum: 1']],
    ['several', ['X-Sum: 1', 'Server-Timing: a;dur=1', 'Digest: sha-256=x=']],
    ['empty', ['X-Sum: ']],
    ['Latin-1', ['X-Sum: \u00e9\u00ff']],
    ['twice', ['X-Sum: 1', 'X-Sum: 2']],
    ['a name that objects have', ['constructor: 1']],
  ]
  for (const [name, lines] of rows) {
    bytes = `${start}${lines.map((line) => `${line}\r\n`).join('')}\r\n`
    const got = await ask(gateway.origin, link())
    t.ok(got.complete, `${name}: whole`)
    t.equal(got.body, 'abc', name)
    for (const line of lines) {
      const [key = '', value = ''] = line.split(/: (.*)/)
      t.ok(valuesOf(got.rawTrailers, key).join(', ').includes(value), `${name}: ${key}`)
    }
  }
  const forbidden = [
    'Content-Length: 9',
    'Transfer-Encoding: chunked',
    'Set-Cookie: a=b',
    'Content-Security-Policy: frame-ancestors *',
    'Connection: close',
    'Server: x',
    'X-Powered-By: x',
    'Access-Control-Allow-Origin: *',
  ]
  for (const line of forbidden) {
    bytes = `${start}X-Sum: 1\r\n${line}\r\n\r\n`
    const got = await ask(gateway.origin, link())
    if (got.status === 502) continue
    t.equal(got.body, 'abc', line)
    t.strictSame(
      valuesOf(got.rawTrailers, line.split(':')[0] ?? ''),
      [],
      `${line}: not as a trailer`,
    )
  }
})

t.test('1xx', async (t) => {
  const final = answer('200 OK', [], 'final')
  const link1 = '</a.css>; rel=preload; as=style'
  const link2 = '</b.js>; rel=preload; as=script'
  const rows: readonly (readonly [string, string, readonly number[], string | undefined])[] = [
    ['102', 'HTTP/1.1 102 Processing\r\n\r\n', [102], undefined],
    ['103', `HTTP/1.1 103 Early Hints\r\nLink: ${link1}\r\n\r\n`, [103], link1],
    [
      '103 with two lines',
      `HTTP/1.1 103 Early Hints\r\nLink: ${link1}\r\nLink: ${link2}\r\n\r\n`,
      [103],
      `${link1}, ${link2}`,
    ],
    [
      '103 with two in a line',
      `HTTP/1.1 103 Early Hints\r\nLink: ${link1}, ${link2}\r\n\r\n`,
      [103],
      `${link1}, ${link2}`,
    ],
    [
      '102, then 103',
      `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: ${link1}\r\n\r\n`,
      [102, 103],
      link1,
    ],
  ]
  for (const [name, before, statuses, hints] of rows) {
    bytes = before + final
    const got = await ask(gateway.origin, link())
    t.equal(got.status, 200, name)
    t.equal(got.body, 'final', name)
    t.strictSame(
      got.interim.map(({ status }) => status),
      statuses,
      name,
    )
    t.equal(got.interim.at(-1)?.headers['link'], hints, `${name}: hints`)
    const old = await exchange(gateway.port, `GET ${link()} HTTP/1.0\r\nHost: ${host}\r\n\r\n`)
    t.match(old, /^HTTP\/1\.[01] 200 /, `${name}: not to an HTTP/1.0 client`)
  }
  // Hints that can't be said may be left out, but the answer may not.
  const odd = [
    'HTTP/1.1 103 Early Hints\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: garbage\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink:\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </\u00e9>; rel="\u00e9"\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>; title="a,<b>;c"; rel=preload\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: <>; rel=x, <a\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nServer: x\r\n\r\n',
    'HTTP/1.1 110 Nobody Knows\r\n\r\n',
    'HTTP/1.1 199 Nobody Knows\r\nX: y\r\n\r\n',
    'HTTP/1.1 102 Processing\r\n\r\n'.repeat(20),
  ]
  for (const before of odd) {
    bytes = before + final
    const got = await ask(gateway.origin, link())
    const name = JSON.stringify(before).slice(0, 80)
    t.equal(got.status, 200, name)
    t.equal(got.body, 'final', name)
    t.notMatch(JSON.stringify(got.interim), /set-cookie|server/i, name)
  }
})

t.test('an absolute Location on the upstream becomes one on the gateway', async (t) => {
  const up = upstream.origin
  const own = gateway.origin
  const rows: readonly (readonly [string, string, string])[] = [
    ['absolute', `${up}/a/b?c=d#e`, `${own}/a/b?c=d#e`],
    ['the root', `${up}/`, `${own}/`],
    ['without a path', up, `${own}/`],
    ['a query alone', `${up}?a=b`, `${own}/?a=b`],
    ['another case', up.replace('http', 'HTTP'), `${own}/`],
    ['without a scheme', `${up.slice(5)}/a`, `${own}/a`],
    ['a user', `${up.replace('//', '//u:p@')}/a`, `${own}/a`],
    ['an encoded path', `${up}/a%2Fb%20c?x=%26`, `${own}/a%2Fb%20c?x=%26`],
    ['relative', '/a?b', '/a?b'],
    ['relative to the path', 'a/b', 'a/b'],
    ['relative, upwards', '../a', '../a'],
    ['a query', '?a=b', '?a=b'],
    ['a fragment', '#a', '#a'],
    ['empty', '', ''],
    ['another host', 'https://login.example/?next=1', 'https://login.example/?next=1'],
    ['another port', `http://127.0.0.1:1/a`, 'http://127.0.0.1:1/a'],
    ['another scheme', `${up.replace('http', 'https')}/a`, `${up.replace('http', 'https')}/a`],
    [
      'the upstream in a query',
      `https://login.example/?next=${up}`,
      `https://login.example/?next=${up}`,
    ],
    ['a host that begins alike', `${up}0.evil.example/`, `${up}0.evil.example/`],
    ['no URL', 'http://[', 'http://['],
    ['an app', 'app:open', 'app:open'],
  ]
  for (const [name, location, expected] of rows) {
    for (const status of ['302 Found', '201 Created', '200 OK']) {
      bytes = answer(status, [`Location: ${location}`])
      const { headers } = await ask(gateway.origin, link())
      t.equal(headers.location, expected, `${name}, ${status}`)
    }
  }
})

t.test('Location names the gateway as it is known outside', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    PUBLIC_URL: 'https://gateway.example https://second.example',
  })
  bytes = answer('302 Found', [`Location: ${upstream.origin}/a`])
  for (const [host, origin] of [
    ['second.example', 'https://gateway.example'],
    ['127.0.0.1', 'https://gateway.example'],
  ] as const) {
    const { headers } = await ask(gateway.origin, link(), { headers: { Host: host } })
    t.equal(headers.location, `${origin}/a`, host)
  }
})

t.test('Cache-Control keeps shared caches out', async (t) => {
  const html = 'Content-Type: text/html; charset=utf-8'
  const js = 'Content-Type: text/javascript'
  type Row = readonly [string, readonly string[], readonly string[] | undefined]
  const rows: readonly Row[] = [
    ['HTML', [html], ['no-store']],
    ['HTML, cacheable', [html, 'Cache-Control: public, max-age=600'], ['no-store']],
    ['HTML in upper case', ['Content-Type: TEXT/HTML'], ['no-store']],
    ['HTML, no parameters', ['Content-Type: text/html'], ['no-store']],
    ['HTML with space', ['Content-Type:   text/html ;charset=x'], ['no-store']],
    [
      'HTML in two lines',
      [html, 'Cache-Control: public', 'Cache-Control: max-age=9'],
      ['no-store'],
    ],
    ['nothing said', [js], undefined],
    ['public', [js, 'Cache-Control: public'], ['private']],
    [
      'hashed assets',
      [js, 'Cache-Control: public, max-age=31536000, immutable'],
      ['private', 'max-age=31536000', 'immutable'],
    ],
    ['public last', [js, 'Cache-Control: max-age=60,public'], ['private', 'max-age=60']],
    ['PUBLIC', [js, 'cache-control: PUBLIC , Max-Age=60'], ['private', 'Max-Age=60']],
    [
      'public in a second line',
      [js, 'Cache-Control: max-age=60', 'Cache-Control: public'],
      ['private', 'max-age=60'],
    ],
    ['private', [js, 'Cache-Control: private, max-age=60'], ['private', 'max-age=60']],
    ['private and public', [js, 'Cache-Control: public, private'], ['private']],
    ['no-cache', [js, 'Cache-Control: no-cache'], ['no-cache']],
    ['no-store', [js, 'Cache-Control: no-store'], ['no-store']],
    ['max-age', [js, 'Cache-Control: max-age=60'], ['max-age=60']],
    ['a word that begins alike', [js, 'Cache-Control: publicity=1'], ['publicity=1']],
    ['almost HTML', ['Content-Type: text/html5', 'Cache-Control: max-age=1'], ['max-age=1']],
    [
      'JSON that names HTML',
      ['Content-Type: application/json; x=text/html', 'Cache-Control: max-age=1'],
      ['max-age=1'],
    ],
  ]
  for (const [name, lines, expected] of rows) {
    for (const status of ['200 OK', '404 Not Found']) {
      bytes = answer(status, lines, 'x')
      const headers = { Cookie: cookie }
      const got = await ask(gateway.origin, '/x', { headers })
      const directives = got.headers['cache-control']?.split(/ *, */).sort()
      t.strictSame(directives, expected?.toSorted(), `${name}, ${status}`)
    }
  }
  bytes = answer('200 OK', [js, 'Cache-Control: public, max-age=60'], 'x')
  const { headers } = await ask(gateway.origin, link({}, '/x.js'))
  t.equal(headers['cache-control'], 'no-store', 'whatever sets our cookie')
})

t.test('an answer goes on chunk by chunk, as it comes', async (t) => {
  const types = ['text/event-stream', 'text/plain', 'application/octet-stream']
  for (const type of types) {
    const upstream = await startUpstream(t, (request, response) => {
      response.writeHead(200, { 'Content-Type': type })
      response.write('0')
      let count = 0
      request.socket.on('next', () => {
        count += 1
        if (count < 5) response.write(String(count))
        else response.end()
      })
    })
    const gateway = await startGateway(t, upstream.origin)
    const request = startRequest(`${gateway.origin}${link()}`)
    request.end()
    const [response] = await once(request, 'response')
    t.match(response.headers['content-type'], type)
    const got: string[] = []
    for await (const [chunk] of on(response, 'data', { close: ['end'] })) {
      got.push(String(chunk))
      for (const socket of upstream.sockets) socket.emit('next')
    }
    t.strictSame(got, ['0', '1', '2', '3', '4'], type)
  }
})

t.test('a head goes on before its body comes', async (t) => {
  const upstream = await startUpstream(t, (request, response) => {
    response.writeHead(200, { 'X-Mark': '1' })
    response.flushHeaders()
    request.socket.on('next', () => response.end('body'))
  })
  const gateway = await startGateway(t, upstream.origin)
  const request = startRequest(`${gateway.origin}${link()}`)
  request.end()
  const [response] = await once(request, 'response')
  t.equal(response.headers['x-mark'], '1')
  for (const socket of upstream.sockets) socket.emit('next')
  let body = ''
  for await (const chunk of response) body += chunk
  t.equal(body, 'body')
})

t.test('an event stream may be silent for longer than any other answer', async (t) => {
  const upstream = await startUpstream(t, (request, response) => {
    const type = request.url?.startsWith('/events')
      ? 'Text/Event-Stream; charset=utf-8'
      : 'text/plain'
    response.writeHead(200, { 'Content-Type': type })
    response.write('data: 1\n\n')
    request.socket.on('next', () => response.end('data: 2\n\n'))
  })
  const gateway = await startGateway(t, upstream.origin, {
    UPSTREAM_TIMEOUT: '500ms',
    IDLE_TIMEOUT: '500ms',
  })
  const stream = startRequest(`${gateway.origin}${link({}, '/events')}`)
  stream.end()
  const [events] = await once(stream, 'response')
  let text = ''
  events.on('data', (chunk: Buffer) => {
    text += chunk
  })
  await once(events, 'data')
  // Asked for later, cut off for its silence: by then the stream has been silent for longer.
  const plain = await ask(gateway.origin, link({}, '/plain'))
  t.equal(plain.complete, false)
  t.equal(events.destroyed, false)
  for (const socket of upstream.sockets) socket.emit('next')
  await once(events, 'end')
  t.equal(text, 'data: 1\n\ndata: 2\n\n')
})
