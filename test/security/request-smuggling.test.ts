import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { answersIn, exchange, jwt, link, startGateway, startUpstream } from '../stage.ts'

const bodies: string[] = []
const upstream = await startUpstream(t, (request, response) => {
  let text = ''
  request.on('error', () => {})
  request.on('data', (data: Buffer) => {
    text += data.toString('latin1')
  })
  request.on('end', () => {
    bodies.push(text)
    response.end('ok')
  })
})
const gateway = await startGateway(t, upstream.origin, { HEADERS_TIMEOUT: '300ms' })
const { host } = new URL(gateway.origin)
const good = link()
const smuggled = `GET ${link({}, '/smuggled')} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

/** All that reached the upstream since last asked. */
function reached(): string[] {
  bodies.length = 0
  return upstream.seen.splice(0).map(({ method, url }) => `${method} ${url.split('?')[0]}`)
}

const get = `GET ${good} HTTP/1.1\r\nHost: ${host}\r\n`
const post = `POST ${good} HTTP/1.1\r\nHost: ${host}\r\n`

t.test('what is no request is refused, and nothing of it goes on', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['garbage', 'GARBAGE\r\n\r\n'],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a mail client', 'EHLO evil.example\r\n'],
    ['zero bytes', '\0\0\0\0\r\n\r\n'],
    ['an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['a line without a version', `GET ${good}\r\nHost: ${host}\r\n\r\n`],
    ['HTTP/0.9', `GET ${good}\r\n`],
    ['HTTP/1', `GET ${good} HTTP/1\r\nHost: ${host}\r\n\r\n`],
    ['HTTP/1.2', `GET ${good} HTTP/1.2\r\nHost: ${host}\r\n\r\n`],
    ['HTTP/2.0', `GET ${good} HTTP/2.0\r\nHost: ${host}\r\n\r\n`],
    ['HTTP/9.9', `GET ${good} HTTP/9.9\r\nHost: ${host}\r\n\r\n`],
    ['HTTP/11.1', `GET ${good} HTTP/11.1\r\nHost: ${host}\r\n\r\n`],
    ['a version in lower case', `GET ${good} http/1.1\r\nHost: ${host}\r\n\r\n`],
    ['space behind the version', `GET ${good} HTTP/1.1 \r\nHost: ${host}\r\n\r\n`],
    ['a third word', `GET ${good} x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['a tab for a space', `GET\t${good}\tHTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['an unknown method', `BREW ${good} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['a method in lower case', `get ${good} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['a method that begins alike', `GETX ${good} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
    ['a space in a name', `${get}X Y: 1\r\n\r\n`],
    ['a space before the colon', `${get}X-Y : 1\r\n\r\n`],
    ['Host with a space', `GET ${good} HTTP/1.1\r\nHost : ${host}\r\n\r\n`],
    ['Content-Length with a space', `${post}Content-Length : 3\r\n\r\nabc`],
    ['a space before the name', `GET ${good} HTTP/1.1\r\n Host: ${host}\r\n\r\n`],
    ['a line without a colon', `${get}X-Y\r\n\r\n`],
    ['an empty name', `${get}: 1\r\n\r\n`],
    ['a zero byte in a name', `${get}X\0Y: 1\r\n\r\n`],
    ['a zero byte in a value', `${get}X: 1\0\r\n\r\n`],
    ['a name that is not ASCII', `${get}X-\u00e9: 1\r\n\r\n`],
    ['a control character in a value', `${get}X: a\x01b\r\n\r\n`],
    ['a delete in a value', `${get}X: a\x7fb\r\n\r\n`],
    ['a bare CR in a value', `${get}X: a\rY: b\r\n\r\n`],
    ['a folded header', `${get}X: a\r\n b\r\n\r\n`],
    ['a folded header by a tab', `${get}X: a\r\n\tb\r\n\r\n`],
    ['a folded Host', `GET ${good} HTTP/1.1\r\nHost:\r\n ${host}\r\n\r\n`],
    ['a folded Content-Length', `${post}Content-Length:\r\n 3\r\n\r\nabc`],
    ['a folded Transfer-Encoding', `${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['line feeds alone', `GET ${good} HTTP/1.1\nHost: ${host}\n\n`],
    ['a line feed behind the line', `GET ${good} HTTP/1.1\nHost: ${host}\r\n\r\n`],
    ['a line feed behind a header', `${get}X: a\nY: b\r\n\r\n`],
    ['a line feed at the end', `${get}\n`],
    ['a CR alone at the end', `${get}\r\rX`],
    [
      'a length and chunks',
      `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunks and a length',
      `${post}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
    ],
    ['two lengths', `${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`],
    ['one length twice', `${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
    ['two lengths in a line', `${post}Content-Length: 3, 4\r\n\r\nabc`],
    ['one length twice in a line', `${post}Content-Length: 3, 3\r\n\r\nabc`],
    ['an empty length', `${post}Content-Length:\r\n\r\nabc`],
    ['a negative length', `${post}Content-Length: -1\r\n\r\nabc`],
    ['a signed length', `${post}Content-Length: +3\r\n\r\nabc`],
    ['a length in hex', `${post}Content-Length: 0x3\r\n\r\nabc`],
    ['a length with a fraction', `${post}Content-Length: 3.0\r\n\r\nabc`],
    ['a length with words', `${post}Content-Length: 3 bytes\r\n\r\nabc`],
    ['a length beyond all', `${post}Content-Length: 99999999999999999999\r\n\r\nabc`],
    ['an unknown coding', `${post}Transfer-Encoding: gzip\r\n\r\nabc`],
    ['identity', `${post}Transfer-Encoding: identity\r\n\r\nabc`],
    ['chunks before another coding', `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['chunks twice', `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
    [
      'chunks in two lines',
      `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n`,
    ],
    ['almost chunked', `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['chunked in quotes', `${post}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
    ['an empty coding', `${post}Transfer-Encoding:\r\n\r\n0\r\n\r\n`],
  ]
  for (const [name, bytes] of rows) {
    const before = (await gateway.audited(0)).length
    const text = await exchange(gateway.port, bytes + smuggled)
    const got = reached()
    t.notOk(got.includes('GET /smuggled'), `${name}: what follows is not read`)
    t.strictSame(got, [], `${name}: nothing goes on`)
    const answers = answersIn(text)
    t.strictSame(
      answers.map(({ status }) => status),
      [400],
      name,
    )
    t.match(answers[0]?.headers['content-type'], 'application/problem+json', name)
    const lines = (await gateway.audited(before + 1)).slice(before)
    t.equal(lines.length, 1, `${name}: one line`)
    t.match(lines, [
      { decision: 'deny', status: 400, reason: /^(request-malformed|target-invalid)$/ },
    ])
  }
})

t.test('chunks that are none end the request', async (t) => {
  const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`
  const rows: readonly (readonly [string, string])[] = [
    ['no size', 'xyz\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size beyond all', 'fffffffffffffffff\r\nabc'],
    ['a size with a sign', '+3\r\nabc\r\n0\r\n\r\n'],
    ['a size in 0x', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['space in a size', '3 3\r\nabc\r\n0\r\n\r\n'],
    ['too long', '3\r\nabcd\r\n0\r\n\r\n'],
    ['line feeds', '3\nabc\n0\n\n'],
    ['a line feed behind a size', '3\nabc\r\n0\r\n\r\n'],
    ['a line feed behind the data', '3\r\nabc\n0\r\n\r\n'],
    ['a bare CR behind a size', '3\rabc\r\n0\r\n\r\n'],
    ['a zero byte in an extension', '3;\0\r\nabc\r\n0\r\n\r\n'],
    ['a line feed in an extension', '3;x\nabc\r\n0\r\n\r\n'],
    ['extensions without end', `3;${'x'.repeat(70_000)}\r\nabc\r\n0\r\n\r\n`],
  ]
  for (const [name, chunks] of rows) {
    reached()
    const before = (await gateway.audited(0)).length
    const text = await exchange(gateway.port, chunked + chunks + smuggled)
    t.strictSame(bodies, [], `${name}: the body is never whole`)
    t.notOk(reached().includes('GET /smuggled'), `${name}: what follows is not read`)
    t.match(text, /^HTTP\/1\.1 400 /, `${name}: is told`)
    const line = (await gateway.audited(before + 1)).slice(before)
    t.match(line, [{ decision: 'deny', reason: 'request-malformed', status: 400 }], name)
  }
  const fine = `${chunked}3;a=b;c="d"\r\nabc\r\n000\r\nX-Trailer: 1\r\n\r\n`
  const text = await exchange(gateway.port, fine.replace('Host:', 'Connection: close\r\nHost:'))
  t.match(text, /^HTTP\/1\.1 200 /, 'extensions, leading zeros and trailers are chunks still')
  t.strictSame(bodies, ['abc'])
  reached()
})

t.test('a body is never read as a request', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    [
      'refused by credential',
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
    [
      'refused by target',
      `POST /../ HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
    [
      'GET refused',
      `GET / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
    [
      'OPTIONS *',
      `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
    [
      'TRACE',
      `TRACE ${good} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
    ['let through', `${post}Content-Length: ${smuggled.length}\r\n\r\n`],
    ['GET let through', `${get}Content-Length: ${smuggled.length}\r\n\r\n`],
    [
      'HEAD let through',
      `HEAD ${good} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
    ],
  ]
  for (const [name, start] of rows) {
    reached()
    const end = `GET ${link({}, '/end')} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    const text = await exchange(gateway.port, start + smuggled + end)
    const got = reached()
    t.notOk(got.includes('GET /smuggled'), name)
    t.ok(got.includes('GET /end') || !name.includes('let'), `${name}: what follows is a request`)
    t.match(text, /^HTTP\/1\.1 /, name)
  }
})

t.test('what is pipelined is answered in turn, each by its own check', async (t) => {
  reached()
  const bad = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  const last = `GET ${link({}, '/last')} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  const text = await exchange(gateway.port, `${get}\r\n${bad}${get}\r\n${bad}${bad}${last}`)
  t.strictSame(
    answersIn(text).map(({ status }) => status),
    [200, 401, 200, 401, 401, 200],
  )
  t.strictSame(reached(), ['GET /', 'GET /', 'GET /last'])

  const refused = await exchange(gateway.port, `${bad}GARBAGE\r\n\r\n${smuggled}`)
  t.strictSame(reached(), [])
  t.match(refused, /^HTTP\/1\.1 40[01] /)
  const broken = await exchange(gateway.port, `${get}\r\nGARBAGE\r\n\r\n${smuggled}`)
  t.notOk(reached().includes('GET /smuggled'))
  t.notMatch(broken, /HTTP\/1\.1 200 .*HTTP\/1\.1 200 /s)
})

t.test('two heads never mix', async (t) => {
  reached()
  const token = jwt({ userId: 'agent-8', sessionId: 'session-8' })
  const other = link({ userId: 'agent-8', sessionId: 'session-8', auth: token }, '/other')
  const socket = connect(gateway.port, '127.0.0.1')
  const bytes = `${get}X-A: 1\r\n\r\nGET ${other} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  for (const byte of bytes) socket.write(byte)
  socket.resume()
  await once(socket, 'close')
  // Pipelined requests go upstream side by side.
  t.strictSame(
    new Map(upstream.seen.map(({ url, headers }) => [url, headers['x-a']])),
    new Map([
      [good, '1'],
      [other, undefined],
    ]),
  )
  const lines = (await gateway.audited(1)).slice(-2)
  t.strictSame(lines.map(({ userId }) => userId).sort(), ['agent-7', 'agent-8'])
  reached()
})

t.test('a head of 32 kB is accepted, one of 64 kB is not', async (t) => {
  const sized = (total: number, lines: (room: number) => string): string => {
    const start = `${get}Connection: close\r\n`
    return `${start}${lines(total - start.length - 2)}\r\n`
  }
  const one = (room: number): string => `X: ${'x'.repeat(room - 5)}\r\n`
  const many = (room: number): string => {
    const line = `X-Name: ${'v'.repeat(90)}\r\n`
    const count = Math.floor(room / line.length) - 1
    return line.repeat(count) + one(room - count * line.length)
  }
  const cookies = (room: number): string =>
    `Cookie: ${'a=b; '.repeat(Math.floor(room / 5) - 3)}c=d\r\n`
  for (const [name, lines] of [
    ['one line', one],
    ['many lines', many],
    ['cookies', cookies],
  ] as const) {
    reached()
    const text = await exchange(gateway.port, sized(32 * 1024, lines))
    t.match(text, /^HTTP\/1\.1 200 /, `32 kB, ${name}`)
    t.equal(reached().length, 1, `32 kB, ${name}`)
    const large = await exchange(gateway.port, sized(64 * 1024, lines) + smuggled)
    t.match(large, /^HTTP\/1\.1 431 /, `64 kB, ${name}`)
    t.strictSame(reached(), [], `64 kB, ${name}`)
  }
  const long = `${good}&x=${'y'.repeat(30 * 1024)}`
  const lines = `Host: ${host}\r\nConnection: close\r\n\r\n`
  t.match(await exchange(gateway.port, `GET ${long} HTTP/1.1\r\n${lines}`), /^HTTP\/1\.1 200 /)
  t.equal(upstream.seen[0]?.url, long, 'a target of 30 kB')
  reached()
  const longer = `${good}&x=${'y'.repeat(64 * 1024)}`
  const answer = await exchange(gateway.port, `GET ${longer} HTTP/1.1\r\n${lines}`)
  t.match(answer, /^HTTP\/1\.1 4(31|14) /, 'a target of 64 kB')
  t.strictSame(reached(), [])
  const endless = `GET / HTTP/1.1\r\nX: ${'x'.repeat(1024 * 1024)}`
  t.match(await exchange(gateway.port, endless), /^(HTTP\/1\.1 431 |$)/, 'one without end')
})

t.test('a slow head is answered with 408', async (t) => {
  const starts = [
    'G',
    'GET ',
    'GET / HTTP/1.1\r\n',
    `GET ${good} HTTP/1.1\r\nHost: ${host}\r\n`,
    `GET ${good} HTTP/1.1\r\nHost: ${host}\r\nX-Slow: `,
    `${get}\r\n${get}`,
  ]
  reached()
  await Promise.all(
    starts.map(async (bytes) => {
      const text = await exchange(gateway.port, bytes)
      const statuses = answersIn(text).map(({ status }) => status)
      t.equal(statuses.at(-1), 408, JSON.stringify(bytes).slice(0, 60))
    }),
  )
  t.strictSame(reached(), ['GET /'], 'but for the one that was whole')
})

t.test('a head that comes drop by drop has no more time', async (t) => {
  const socket = connect(gateway.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\n')
  const timer = setInterval(() => socket.write('X: y\r\n'), 50)
  let text = ''
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1')
  })
  await once(socket, 'close')
  clearInterval(timer)
  t.match(text, /^HTTP\/1\.1 408 /)
  t.strictSame(reached(), [])
})

t.test('HTTP/1.0', async (t) => {
  for (const lines of [`Host: ${host}\r\n`, `Host: ${host}\r\nConnection: keep-alive\r\n`]) {
    const end = `GET ${link({}, '/end')} HTTP/1.0\r\nHost: ${host}\r\n\r\n`
    const more = lines.includes('keep-alive') ? end : ''
    const text = await exchange(gateway.port, `GET ${good} HTTP/1.0\r\n${lines}\r\n${more}`)
    t.match(text, /^HTTP\/1\.[01] 200 /)
    t.strictSame(reached(), more === '' ? ['GET /'] : ['GET /', 'GET /end'])
  }
  const hostless = await exchange(gateway.port, `GET ${good} HTTP/1.0\r\n\r\n`)
  t.match(hostless, /^HTTP\/1\.[01] 400 /, 'without Host too there is one Host')
  t.strictSame(reached(), [])
  for (const connection of ['', 'Connection: keep-alive\r\n']) {
    const chunks = `POST ${good} HTTP/1.0\r\nHost: ${host}\r\n${connection}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
    const text = await exchange(gateway.port, chunks + smuggled)
    t.match(text, /^HTTP\/1\.1 400 /, 'RFC 9112 §6.1')
    t.strictSame(reached(), [])
  }
})

t.test('methods', async (t) => {
  const rows: readonly (readonly [string, string, number, boolean])[] = [
    ['PROPFIND', good, 200, true],
    ['M-SEARCH', good, 200, true],
    ['PURGE', good, 200, true],
    ['QUERY', good, 200, true],
    ['OPTIONS', good, 200, true],
    ['OPTIONS', '*', 400, false],
    ['TRACE', good, 400, false],
    ['TRACE', '/', 401, false],
    ['CONNECT', 'evil.example:443', 400, false],
    ['CONNECT', good, 400, false],
    ['CONNECT', host, 400, false],
    ['GET', `http://${host}${good}`, 400, false],
    ['GET', `http://evil.example${good}`, 400, false],
  ]
  for (const [method, target, status, passes] of rows) {
    reached()
    const lines = `Host: ${host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
    const text = await exchange(gateway.port, `${method} ${target} HTTP/1.1\r\n${lines}`)
    const name = `${method} ${target.split('?')[0]}`
    t.strictSame(
      answersIn(text).map((answer) => answer.status),
      [status],
      name,
    )
    t.equal(reached().length, passes ? 1 : 0, name)
  }
})

t.test('a line end before a request is forgiven (RFC 9112 §2.2)', async (t) => {
  const lines = `Host: ${host}\r\nConnection: close\r\n\r\n`
  const text = await exchange(gateway.port, `\r\nGET ${good} HTTP/1.1\r\n${lines}`)
  t.match(text, /^HTTP\/1\.1 200 /)
  reached()
})

t.test('who connects and says nothing gets no line of the log', async (t) => {
  const before = (await gateway.audited(0)).length
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const socket = connect(gateway.port, '127.0.0.1')
    await once(socket, 'connect')
    socket[leave]()
    await new Promise((resolve) => socket.once('close', resolve))
  }
  await exchange(gateway.port, 'GARBAGE\r\n\r\n')
  t.equal((await gateway.audited(before + 1)).length, before + 1)
})
