import { EventEmitter, on, once } from 'node:events'
import { Agent, type IncomingMessage, request as startRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Writable } from 'node:stream'
import t from 'tap'
import {
  answersIn,
  ask,
  auditOf,
  exchange,
  link,
  startGateway,
  startSocketUpstream,
  startUpstream,
} from '../stage.ts'

const mb = 2 ** 20
const chunk = Buffer.alloc(mb, 'x')

/** Resolves when a socket is closed, in whatever way. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve))
}

/** Writes as much as is asked for, as fast as it is taken; tells how much so far. */
function pour(
  socket: Writable,
  size: number,
  done: () => void = () => {},
): { readonly sent: () => number } {
  let sent = 0
  const more = (): void => {
    while (sent < size && !socket.destroyed) {
      sent += mb
      if (!socket.write(chunk)) return void socket.once('drain', more)
    }
    done()
  }
  more()
  return { sent: () => sent - socket.writableLength }
}

/** A head, with Host and what else is given. */
function head(line: string, ...lines: readonly string[]): string {
  return `${[`${line} HTTP/1.1`, 'Host: gateway.example', ...lines].join('\r\n')}\r\n\r\n`
}

t.test('who does not read is not written for', async (t) => {
  const size = 64 * mb
  let stuck = { sent: () => 0 }
  const upstream = await startUpstream(t, (request, response) => {
    const isStuck = request.url?.startsWith('/stuck')
    request.on('error', () => {})
    if (request.method === 'POST') {
      if (!isStuck) request.resume()
      request.on('end', () => response.end())
      return
    }
    response.setHeader('Content-Length', size)
    const poured = pour(response, size, () => response.end())
    if (isStuck) stuck = poured
  })
  const gateway = await startGateway(t, upstream.origin, { BODY_LIMIT: '1000mb' })

  const lazy = connect(gateway.port, '127.0.0.1')
  lazy.pause()
  lazy.write(head(`GET ${link({}, '/stuck')}`))
  const full = connect(gateway.port, '127.0.0.1')
  full.write(head(`GET ${link({}, '/read')}`, 'Connection: close'))
  full.resume()
  await closed(full)
  // A whole download went by in the time.
  t.ok(stuck.sent() < 32 * mb, `${stuck.sent() / mb} MB of 64 MB were taken from the upstream`)
  lazy.destroy()

  const writer = connect(gateway.port, '127.0.0.1')
  writer.on('error', () => {})
  writer.write(head(`POST ${link({}, '/stuck')}`, `Content-Length: ${size}`))
  const written = pour(writer, size)
  const other = connect(gateway.port, '127.0.0.1')
  other.write(head(`POST ${link({}, '/read')}`, `Content-Length: ${size}`, 'Connection: close'))
  pour(other, size)
  other.resume()
  await closed(other)
  t.ok(written.sent() < 32 * mb, `${written.sent() / mb} MB of 64 MB were taken from the client`)
  writer.destroy()
})

t.test('both ways at once, piece by piece', async (t) => {
  const upstream = await startUpstream(t, (request, response) => request.pipe(response))
  const gateway = await startGateway(t, upstream.origin)
  for (const headers of [{}, { 'Content-Length': 5 }]) {
    const request = startRequest(`${gateway.origin}${link()}`, { method: 'POST', headers })
    request.write('0')
    const [response] = await once(request, 'response')
    const got: string[] = []
    for await (const [piece] of on(response, 'data', { close: ['end'] })) {
      got.push(String(piece))
      if (got.length < 5) request.write(String(got.length))
      else request.end()
    }
    t.strictSame(got, ['0', '1', '2', '3', '4'], JSON.stringify(headers))
  }
})

t.test('a limit to bodies', async (t) => {
  const bodies: { bytes: number; whole: boolean }[] = []
  let ended: () => void = () => {}
  const upstream = await startUpstream(t, (request, response) => {
    const body = { bytes: 0, whole: false }
    bodies.push(body)
    request.on('data', (data: Buffer) => {
      body.bytes += data.length
    })
    request.on('end', () => {
      body.whole = request.complete
      response.end('ok')
    })
    request.on('error', () => {})
    request.on('close', () => ended())
  })
  const gateway = await startGateway(t, upstream.origin, { BODY_LIMIT: '64kb' })
  const limit = 64 * 1024
  const chunked = { 'Transfer-Encoding': 'chunked' }
  const rows: readonly (readonly [string, number, Record<string, string>, number])[] = [
    ['a length within', limit - 1, {}, 200],
    ['a length at the limit', limit, {}, 200],
    ['a length past it', limit + 1, {}, 413],
    ['chunks within', limit - 1, chunked, 200],
    ['chunks at the limit', limit, chunked, 200],
    ['chunks past it', limit + 1, chunked, 413],
    ['chunks far past it', limit * 8, chunked, 413],
    ['nothing', 0, {}, 200],
  ]
  for (const [name, size, headers, status] of rows) {
    for (const method of ['POST', 'GET', 'DELETE']) {
      bodies.length = 0
      const over = new Promise<void>((resolve) => {
        ended = resolve
      })
      const body = Buffer.alloc(size)
      const answer = await ask(gateway.origin, link(), { method, headers, body })
      t.equal(answer.status, status, `${method}, ${name}`)
      const known = !('Transfer-Encoding' in headers)
      if (status === 200) {
        t.strictSame(bodies, [{ bytes: size, whole: true }], `${method}, ${name}: all of it`)
      } else if (known) {
        t.strictSame(bodies, [], `${method}, ${name}: the upstream is not asked`)
      } else {
        // It may have been too much before the upstream was asked at all.
        if (bodies.length > 0) await over
        t.notOk(bodies[0]?.whole, `${method}, ${name}: never looks whole`)
        t.ok((bodies[0]?.bytes ?? 0) <= limit, `${method}, ${name}: no more than the limit`)
      }
      if (status === 413) {
        const line = await auditOf(gateway, answer.headers['x-request-id'])
        t.match(line, { decision: 'deny', reason: 'body-too-large', status: 413, method })
      }
    }
  }
  const huge = await ask(gateway.origin, link(), {
    method: 'POST',
    headers: { 'Content-Length': String(2 ** 53) },
  }).catch(() => null)
  t.ok(huge === null || huge.status === 413 || huge.status === 400, 'a length beyond numbers')
})

t.test('a body that grows past the limit on its way cancels the upstream request', async (t) => {
  const arrived = new EventEmitter()
  const upstream = await startUpstream(t, (request) => {
    request.on('error', () => {})
    request.once('data', () => arrived.emit('data'))
    request.on('close', () => arrived.emit('close', request.complete))
  })
  const gateway = await startGateway(t, upstream.origin, { BODY_LIMIT: '64kb' })
  const data = once(arrived, 'data')
  const close = once(arrived, 'close')
  const request = startRequest(`${gateway.origin}${link()}`, { method: 'POST' })
  request.write('x')
  await data
  request.end(Buffer.alloc(64 * 1024))
  const [response] = await once(request, 'response')
  t.equal(response.statusCode, 413)
  t.strictSame(await close, [false])
  response.resume()
  await once(response, 'end')
})

t.test('an upload may be slow, but must not stop', async (t) => {
  const wholes: boolean[] = []
  const upstream = await startUpstream(t, (request, response) => {
    request.resume()
    request.on('error', () => {})
    request.on('end', () => response.end('ok'))
    request.on('close', () => wholes.push(request.complete))
  })
  const gateway = await startGateway(t, upstream.origin, { IDLE_TIMEOUT: '1s' })
  for (const framing of ['Content-Length: 100000', 'Transfer-Encoding: chunked']) {
    wholes.length = 0
    let stoppedEnded = false
    const slow = startRequest(`${gateway.origin}${link()}`, { method: 'POST' })
    const timer = setInterval(() => {
      if (stoppedEnded) slow.end()
      else slow.write('x')
    }, 50)
    const answered = once(slow, 'response')
    slow.write('x')

    const stopped = connect(gateway.port, '127.0.0.1')
    const bytes = framing.includes('chunked') ? '1\r\nx\r\n' : 'x'
    stopped.write(`${head(`POST ${link({}, '/stopped')}`, framing, 'Connection: close')}${bytes}`)
    let text = ''
    stopped.on('data', (data: Buffer) => {
      text += data.toString('latin1')
    })
    await closed(stopped)
    const [answer] = answersIn(text)
    t.equal(answer?.status, 408, framing)
    const line = await auditOf(gateway, answer?.headers['x-request-id'])
    t.match(line, { decision: 'deny', reason: 'request-timeout', status: 408, path: '/stopped' })
    // By now the slow one has been under way for longer than the stopped one was let.
    stoppedEnded = true
    const [response] = await answered
    clearInterval(timer)
    t.equal(response.statusCode, 200, 'the slow one is let finish')
    response.resume()
    await once(response, 'close')
    t.strictSame(wholes.toSorted(), [false, true], 'and the upstream knows which is whole')
  }
})

t.test('a client that leaves cancels the upstream request', async (t) => {
  type Open = { readonly request: IncomingMessage; readonly gone: Promise<unknown> }
  const arrived: ((open: Open) => void)[] = []
  const upstream = await startUpstream(t, (request, response) => {
    const gone = new Promise((resolve) => request.socket.once('close', resolve))
    request.on('error', () => {})
    request.on('data', () => {})
    if (request.url?.startsWith('/head')) response.write('x')
    arrived.shift()?.({ request, gone })
  })
  const gateway = await startGateway(t, upstream.origin)
  const post = 'Content-Length: 1000\r\nX: y'
  const rows: readonly (readonly [string, string, string])[] = [
    ['before the head', head(`GET ${link({}, '/none')}`), ''],
    ['after the head', head(`GET ${link({}, '/head')}`), ''],
    ['in its body, before the head', head(`POST ${link({}, '/none')}`, post), 'x'.repeat(99)],
    ['in its body, after the head', head(`POST ${link({}, '/head')}`, post), 'x'.repeat(99)],
    [
      'in its chunks',
      head(`POST ${link({}, '/none')}`, 'Transfer-Encoding: chunked'),
      '1\r\nx\r\n',
    ],
    ['after its body', head(`POST ${link({}, '/none')}`, 'Content-Length: 1'), 'x'],
  ]
  let lines = 0
  for (const [name, bytes, body] of rows) {
    for (const leave of ['destroy', 'resetAndDestroy'] as const) {
      const asked = new Promise<Open>((resolve) => arrived.push(resolve))
      const socket = connect(gateway.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(bytes + body)
      const { request, gone } = await asked
      if (name.includes('after the head')) await once(socket, 'data')
      socket[leave]()
      await gone
      const hasBody = bytes.includes('Content-Length: 1000') || bytes.includes('chunked')
      if (hasBody) t.notOk(request.complete, `${name}, ${leave}: a body cut short is not whole`)
      lines += 1
      const line = (await gateway.audited(lines)).at(-1)
      t.match(line, { decision: 'allow', transport: 'http' }, `${name}, ${leave}: one line`)
    }
  }
  // Whether the upstream is asked before a body begins is left open.
  for (const rest of ['', 'Transfer-Encoding: chunked', 'Content-Length: 9']) {
    const socket = connect(gateway.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.end(head(`POST ${link({}, '/none')}`, rest || 'X: y') + (rest === '' ? '' : '1'))
    await closed(socket)
    lines += 1
    await gateway.audited(lines)
  }
  t.equal((await gateway.audited(lines)).length, lines)
})

t.test('a client that leaves an upstream that is not there yet', async (t) => {
  const gateway = await startGateway(t, 'http://127.0.0.1:1')
  const socket = connect(gateway.port, '127.0.0.1')
  socket.write(head(`GET ${link()}`))
  socket.destroy()
  const next = await ask(gateway.origin, link())
  t.equal(next.status, 502, 'costs nobody else anything')
})

t.test('Expect: 100-continue', async (t) => {
  const upstream = await startUpstream(t, async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    response.end(text)
  })
  const gateway = await startGateway(t, upstream.origin, { BODY_LIMIT: '1kb' })
  const expecting = (target: string, length: number | null, version = '1.1'): Promise<string[]> =>
    new Promise((resolve) => {
      const socket = connect(gateway.port, '127.0.0.1')
      const framing = length === null ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
      const lines = ['Expect: 100-continue', framing, 'Connection: close']
      socket.write(head(`POST ${target}`, ...lines).replace('HTTP/1.1', `HTTP/${version}`))
      let text = ''
      socket.on('data', (data: Buffer) => {
        if (text === '' && String(data).startsWith('HTTP/1.1 100 ')) {
          socket.write(length === null ? '3\r\nabc\r\n0\r\n\r\n' : 'x'.repeat(length))
        }
        text += data.toString('latin1')
      })
      socket.on('close', () => {
        resolve(
          answersIn(text).map(({ status, body }) => `${status} ${status === 200 ? body : ''}`),
        )
      })
    })
  t.strictSame(await expecting(link(), 3), ['100 ', '200 xxx'])
  t.match((await expecting(link(), null)).join(), /^100 ,200 .*abc/s, 'chunks')
  const ancient = `POST ${link()} HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`
  const [first] = answersIn(await exchange(gateway.port, ancient))
  t.match(first, { status: 200, body: 'abc' }, 'HTTP/1.0 has no 100 (RFC 9110 §10.1.1)')
  upstream.seen.length = 0
  t.strictSame(await expecting('/', 3), ['401 '], 'what is refused is not asked for')
  t.strictSame(await expecting(link({ userId: 'x' }), 3), ['403 '])
  t.strictSame(await expecting(link(), 1025), ['413 '], 'what is too large neither')
  t.strictSame(upstream.seen, [])
  t.notMatch(JSON.stringify(upstream.seen), /expect/i)
})

t.test('an upload that is refused lets its client read why', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  for (const [size, framing] of [
    [100_000, 'length'],
    [mb, 'length'],
    [8 * mb, 'length'],
    [8 * mb, 'chunks'],
  ] as const) {
    const name = `${size} bytes by ${framing}`
    const answer = await ask(gateway.origin, '/', {
      method: 'POST',
      body: Buffer.alloc(size),
      headers: framing === 'chunks' ? { 'Transfer-Encoding': 'chunked' } : {},
    })
    t.equal(answer.status, 401, name)
    t.ok(answer.complete, name)

    // One that looks for an answer only once all is sent.
    const socket = connect(gateway.port, '127.0.0.1')
    socket.pause()
    let error = ''
    socket.on('error', ({ message }) => {
      error = message
    })
    const chunked = framing === 'chunks'
    const lines = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`
    socket.write(head('POST /', lines))
    if (chunked) socket.write(`${size.toString(16)}\r\n`)
    await new Promise((resolve) => {
      socket.once('close', resolve)
      socket.write(Buffer.alloc(size))
      socket.write(chunked ? '\r\n0\r\n\r\n' : '', resolve)
    })
    let text = ''
    socket.on('data', (data: Buffer) => {
      text += data
    })
    socket.resume()
    if (!socket.destroyed) await Promise.race([once(socket, 'data'), closed(socket)])
    t.equal(error, '', `${name}, sent first`)
    t.match(text, /^HTTP\/1\.1 401 /, `${name}, sent first`)
    socket.destroy()
  }
  t.strictSame(upstream.seen, [])
})

t.test('what follows a refused upload on its connection is answered', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  for (let i = 0; i < 3; i += 1) {
    const refused = await ask(gateway.origin, '/', { agent, method: 'POST', body: 'x'.repeat(99) })
    t.equal(refused.status, 401)
    t.equal((await ask(gateway.origin, link(), { agent })).status, 200)
  }
})

t.test('an upload that its client gives up once it is refused is over', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { BODY_LIMIT: '1kb' })
  for (const [target, length] of [
    ['/', 9],
    [link({ userId: 'x' }), 9],
    [link(), 1025],
  ] as const) {
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(head(`POST ${target}`, `Content-Length: ${length}`))
    await once(socket, 'data')
    socket.destroy()
  }
  await gateway.audited(3)
  await gateway.close()
  t.strictSame(upstream.seen, [], 'nothing is under way any more')
})

t.test('an answer that comes before the upload is through', async (t) => {
  const answer = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\nX-Mark: 1\r\n'
  type Act = (socket: Socket) => void
  const rows: readonly (readonly [string, Act])[] = [
    ['reads on', (socket) => socket.write(`${answer}\r\nearly`)],
    [
      'reads no more',
      (socket) => {
        socket.write(`${answer}\r\nearly`)
        socket.pause()
      },
    ],
    ['closes', (socket) => socket.end(`${answer}Connection: close\r\n\r\nearly`)],
  ]
  let act: Act = () => {}
  const upstream = await startSocketUpstream(t, (socket) => act(socket))
  const gateway = await startGateway(t, upstream.origin)
  for (const [name, row] of rows) {
    act = row
    const request = startRequest(`${gateway.origin}${link()}`, {
      method: 'POST',
      headers: { 'Content-Length': 4 * mb, Connection: 'close' },
    })
    request.on('error', () => {})
    request.write(chunk)
    const [response] = await once(request, 'response')
    t.equal(response.statusCode, 403, name)
    t.equal(response.headers['x-mark'], '1', name)
    let text = ''
    for await (const piece of response) text += piece
    t.equal(text, 'early', name)
    request.destroy()
  }
  act = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  t.equal((await ask(gateway.origin, link())).body, 'ok', 'and the next is well')
})
