// On Copilot's channel a socket speaks for its own session: over frames of every shape, and polls.
import { createServer } from 'node:http'
import { gzipSync } from 'node:zlib'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import {
  ask,
  auditOf,
  ids,
  inAnHour,
  jwt,
  link,
  listen,
  openSession,
  type Stage,
  startGateway,
  startUpstream,
} from '../stage.ts'
import {
  binary,
  bodyOf,
  close,
  closeWith,
  continuation,
  frame,
  heard,
  inWords,
  masked,
  ping,
  pong,
  type SocketStage,
  said,
  startSockets,
} from './peer.ts'

const channel = link({}, '/socket.io/')
const mismatch = 'close 1008 session-mismatch'
const own = `42${JSON.stringify(['join', { userId: ids.userId }])}`
const foreign = `42${JSON.stringify(['join', { userId: 'agent-8' }])}`
const large = `42${JSON.stringify(['x', 'y'.repeat(70_000)])}`
const attached = '451-["x",{"_placeholder":true,"num":0}]'
const part = { fin: false }
const more = { opcode: continuation, fin: false }
const last = { opcode: continuation }

/** A text cut into fragments of so many bytes. */
function fragments(text: string, size: number): Buffer[] {
  const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
    text.slice(index * size, (index + 1) * size),
  )
  return pieces.map((piece, index) => {
    const opcode = index === 0 ? 1 : continuation
    return masked(piece, { opcode, fin: index === pieces.length - 1 })
  })
}

t.test('what may pass goes on frame by frame, as it came', async (t) => {
  const stage = await startSockets(t)
  const rows: readonly (readonly [string, readonly Buffer[]])[] = [
    ['one event', [masked(own)]],
    ['several in a chunk', [masked(own), masked('2'), masked(own)]],
    ['an extended length', [masked(large)]],
    ['a longer length than need be', [masked(own, { lengthBytes: 8 })]],
    ['fragments', fragments(own, 10)],
    ['fragments of a byte', fragments(own, 1)],
    ['an empty fragment first', [masked('', part), masked(own, last)]],
    ['an empty fragment last', [masked(own, part), masked('', last)]],
    ['a character cut in two', cut('42["ü"]', 5)],
    ['an attachment', [masked(attached), masked(Buffer.from([0, 255]), { opcode: binary })]],
    [
      'an attachment in fragments',
      [masked(attached), masked('a', { opcode: binary, fin: false }), masked('b', last)],
    ],
    ['control frames', [masked('p', { opcode: ping }), masked('q', { opcode: pong }), masked('')]],
  ]
  for (const [name, frames] of rows.slice(0, -1)) {
    for (const [how, pieces] of shapes(frames)) {
      const { client, upstream } = await stage.pair(channel)
      const bytes = Buffer.concat(frames)
      client.socket.setNoDelay(true)
      for (const piece of pieces) client.socket.write(piece)
      const got = await upstream.until((b) => (b.length < bytes.length ? null : b))
      t.ok(got.equals(bytes), `${name}, ${how}`)
      client.socket.destroy()
      upstream.socket.destroy()
    }
  }
})

function cut(text: string, at: number): Buffer[] {
  const bytes = Buffer.from(text)
  return [masked(bytes.subarray(0, at), part), masked(bytes.subarray(at), last)]
}

function shapes(frames: readonly Buffer[]): readonly (readonly [string, readonly Buffer[]])[] {
  const all = Buffer.concat(frames)
  return [
    ['at once', [all]],
    ['frame by frame', frames],
    ['byte by byte', all.length > 500 ? [all] : [...all].map((byte) => Buffer.from([byte]))],
  ]
}

const wrong: readonly (readonly [string, readonly Buffer[], string])[] = [
  ['another’s event', [masked(foreign)], mismatch],
  ['in fragments', fragments(foreign, 9), mismatch],
  ['in fragments of a byte', fragments(foreign, 1), mismatch],
  [
    'with a ping between',
    [
      masked(foreign.slice(0, 20), part),
      masked('', { opcode: ping }),
      masked(foreign.slice(20), last),
    ],
    mismatch,
  ],
  ['after a good one', [masked(own), masked(foreign)], mismatch],
  ['with an extended length', [masked(foreign, { lengthBytes: 8 })], mismatch],
  ['with attachments', [masked(foreign.replace('42', '451-'))], mismatch],
  ['as binary', [masked(foreign, { opcode: binary })], mismatch],
  ['as base64', [masked(`b${Buffer.from(foreign).toString('base64')}`)], mismatch],
  ['binary for nothing', [masked('x', { opcode: binary })], mismatch],
  ['text of no packet', [masked('hello')], mismatch],
  ['an empty message', [masked('')], mismatch],
  ['no UTF-8', [masked(Buffer.from([0x34, 0x32, 0xff]))], mismatch],
  ['compressed', [masked(foreign, { rsv: 4 })], 'close 1002 reserved-bit'],
  [
    'compressed in fragments',
    [masked('4', { fin: false, rsv: 4 }), masked('2', last)],
    'close 1002 reserved-bit',
  ],
  [
    'a reserved bit on a later fragment',
    [masked('4', part), masked('2', { ...last, rsv: 1 })],
    'close 1002 reserved-bit',
  ],
  ['a reserved bit on a ping', [masked('', { opcode: ping, rsv: 2 })], 'close 1002 reserved-bit'],
  ['no mask', [frame(own)], 'close 1002 protocol-error'],
  ['no mask on a ping', [frame('', { opcode: ping })], 'close 1002 protocol-error'],
  ['an unknown opcode', [masked(own, { opcode: 3 })], 'close 1002 protocol-error'],
  ['an unknown control', [masked('', { opcode: 11 })], 'close 1002 protocol-error'],
  ['a continuation of nothing', [masked(own, last)], 'close 1002 protocol-error'],
  ['a message in a message', [masked('4', part), masked('2')], 'close 1002 protocol-error'],
  ['a ping in fragments', [masked('', { opcode: ping, fin: false })], 'close 1002 protocol-error'],
  ['a long ping', [masked('x'.repeat(126), { opcode: ping })], 'close 1002 protocol-error'],
  [
    'too many fragments',
    [masked('4', part), ...Array.from({ length: 1024 }, () => masked('', more))],
    'close 1009 message-too-large',
  ],
  ['a large announcement', [masked('', { says: 2 ** 40 })], 'close 1009 message-too-large'],
  [
    'fragments that sum up',
    [masked('4'.repeat(2 ** 20), part), masked('', { ...last, says: 1 })],
    'close 1009 message-too-large',
  ],
]

t.test('what may not pass closes the socket, and nothing of it goes on', async (t) => {
  const stage = await startSockets(t)
  for (const [name, frames, expected] of wrong) {
    for (const [how, pieces] of shapes(frames)) {
      const { client, upstream } = await stage.pair(channel)
      client.socket.setNoDelay(true)
      for (const piece of pieces) client.socket.write(piece)
      const words = await client.until((b) => {
        const found = inWords(bodyOf(b))
        return found.length > 0 ? found : null
      })
      t.same(words, [expected], `${name}, ${how}`)
      client.socket.end(closeWith(1008, '', { mask: true }))
      const passed = inWords(await upstream.ended)
      const allowed = [`text ${own}`, 'ping', expected]
      t.ok(
        passed.every((word) => allowed.includes(word)),
        `${name}, ${how}: ${passed}`,
      )
      upstream.socket.end()
    }
  }
  const closed = stage.gateway.lines.filter((line) => line['socket'] === 'close')
  const errors = new Set(closed.map((line) => `${line['ended']} ${line['error'] ?? ''}`.trim()))
  t.strictSame([...errors].sort(), [
    'message-too-large',
    'protocol-error',
    'session-mismatch foreign-event',
    'session-mismatch unreadable-event',
  ])
  t.notMatch(JSON.stringify(stage.gateway.lines), /agent-8/, 'whom it named is not logged')
})

t.test('a control frame inside a message does not wait for its end', async (t) => {
  const stage = await startSockets(t)
  const pair = await stage.pair(channel)
  pair.client.socket.write(
    Buffer.concat([masked(own.slice(0, 9), part), masked('now', { opcode: ping })]),
  )
  t.same(await heard(pair, 1), ['ping now'])
  pair.client.socket.write(masked(own.slice(9), last))
  t.same(await heard(pair, 3), [
    'ping now',
    `text… ${own.slice(0, 9)}`,
    `continuation ${own.slice(9)}`,
  ])
  pair.client.socket.write(Buffer.concat([masked('42["half', part), masked('', { opcode: close })]))
  t.same((await heard(pair, 4)).at(-1), 'close', 'nor does a close')
  pair.client.socket.destroy()
  pair.upstream.socket.destroy()
})

t.test('the channel is read however its path is spelled', async (t) => {
  const stage = await startSockets(t)
  for (const path of ['/socket.io', '/socket.io/x', '/%73ocket.io/']) {
    const { client, upstream } = await stage.pair(link({}, path))
    client.socket.write(masked(foreign))
    t.same(await said({ client }, 1), [mismatch], path)
    client.socket.destroy()
    upstream.socket.destroy()
  }
})

t.test('elsewhere nothing is read', async (t) => {
  const stage = await startSockets(t)
  const pair = await stage.pair(link({}, '/ws'))
  pair.client.socket.write(masked(foreign))
  t.same(await heard(pair, 1), [`text ${foreign}`])
  pair.client.socket.destroy()
  pair.upstream.socket.destroy()
})

t.test('what the server says is not read', async (t) => {
  const stage = await startSockets(t)
  const pair = await stage.pair(channel)
  pair.upstream.socket.write(Buffer.concat([frame(foreign), frame('hello')]))
  t.same(await said(pair, 2), [`text ${foreign}`, 'text hello'])
  pair.client.socket.destroy()
  pair.upstream.socket.destroy()
})

type Chat = Readonly<Record<keyof typeof ids, string>>
const second: Chat = { userId: ids.userId, sessionId: 'session-2', URLToken: 'other' }
const join = ({ sessionId, URLToken }: Omit<Chat, 'userId'>): string =>
  `42${JSON.stringify(['join', { sessionId, URLToken }])}`

/** The cookies of an agent with two chats. */
async function twoChats(stage: Pick<SocketStage, 'gateway'>): Promise<string> {
  const { userId, sessionId } = second
  const auth = jwt({ userId, sessionId, exp: inAnHour() })
  const cookies = [
    await openSession(stage.gateway),
    await openSession(stage.gateway, { ...second, auth }),
  ]
  return cookies.join('; ')
}

t.test('with the cookies of two chats, the first event decides', async (t) => {
  const stage = await startSockets(t)
  const headers = { Cookie: await twoChats(stage), Origin: stage.gateway.origin }
  const rows: readonly (readonly [Chat, Chat])[] = [
    [ids, second],
    [second, ids],
  ]
  for (const [mine, other] of rows) {
    const pair = await stage.pair('/socket.io/', headers)
    pair.client.socket.write(masked(join(mine)))
    t.same(await heard(pair, 1), [`text ${join(mine)}`])
    pair.client.socket.write(masked(join(other)))
    t.same(await said(pair, 1), [mismatch])
    pair.client.socket.end(closeWith(1008, '', { mask: true }))
    pair.upstream.socket.end()
    await pair.upstream.closed
  }
  const closing = await until(stage.gateway, 'close', 2)
  t.strictSame(
    closing.map((line) => line['sessionId']),
    [ids.sessionId, second.sessionId],
    'whose session it was is in the log',
  )
  const mixed = await stage.pair('/socket.io/', headers)
  mixed.client.socket.write(masked(join({ ...ids, URLToken: second.URLToken })))
  t.same(await said(mixed, 1), [mismatch], 'ids of both are of neither')
  mixed.client.socket.destroy()
  mixed.upstream.socket.destroy()
})

async function until(gateway: Stage, socket: string, count: number) {
  for (let least = count; ; least += 1) {
    const lines = await gateway.audited(least)
    const found = lines.filter((line) => line['socket'] === socket)
    if (found.length >= count) return found
  }
}

t.test('a poll speaks for its own session', async (t) => {
  const bodies: string[] = []
  const upstream = await startUpstream(t, (request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      response.end('ok')
    })
  })
  const gateway = await startGateway(t, upstream.origin, {
    COPILOT_API_TOKEN: 'the-real-api-token',
    WS_MAX_PAYLOAD: '1kb',
  })
  const session = { Cookie: await openSession(gateway), Origin: gateway.origin }
  const poll = (sid: string): string => `/socket.io/?EIO=4&transport=polling&sid=${sid}`
  const post = async (body: string | Buffer, headers = {}, target = poll('a')) => {
    bodies.length = 0
    const asked = { method: 'POST', headers: { ...session, ...headers }, body }
    const { status, headers: answered } = await ask(gateway.origin, target, asked)
    const line = await auditOf(gateway, answered['x-request-id'])
    return { status, reason: line['reason'], error: line['error'], bodies: [...bodies] }
  }
  const passes = { status: 200, reason: undefined }
  const refused = { status: 403, reason: 'session-mismatch', bodies: [] }
  t.match(await post(own), { ...passes, bodies: [own] })
  t.match(await post(`${own}\x1e2\x1e${own}`), { ...passes, bodies: [`${own}\x1e2\x1e${own}`] })
  t.match(await post(own, { 'Transfer-Encoding': 'chunked' }), { ...passes, bodies: [own] })
  t.match(await post('40{"token":"copilot-gateway"}'), {
    ...passes,
    bodies: ['40{"token":"the-real-api-token"}'],
  })
  t.match(await post(`40{"token":"copilot-gateway"}\x1e42["grüße"]`), {
    ...passes,
    bodies: ['40{"token":"the-real-api-token"}\x1e42["grüße"]'],
  })
  const rows: readonly (readonly [string, string | Buffer, object?, string?])[] = [
    ['another’s event', foreign],
    ['in the last packet', `${own}\x1e${foreign}`],
    ['in an ack', foreign.replace('42["join",', '431[')],
    ['the length in front of it', `${foreign.length}:${foreign}`],
    ['a form', `d=${encodeURIComponent(foreign)}`],
    ['a form in a pong', `3&d=${encodeURIComponent(foreign)}`],
    ['packed', gzipSync(foreign), { 'Content-Encoding': 'gzip' }],
    ['said to be packed', own, { 'Content-Encoding': 'identity' }],
    ['UTF-16', Buffer.from(foreign, 'utf16le')],
    ['no UTF-8', Buffer.from('42["\xff"]', 'latin1')],
    ['nothing', ''],
    ['JSONP', own, {}, `${poll('a')}&j=0`],
    ['the older protocol', own, {}, poll('a').replace('EIO=4', 'EIO=3')],
    ['no protocol', own, {}, '/socket.io/?transport=polling&sid=a'],
    ['both protocols', own, {}, `${poll('a')}&EIO=3`],
  ]
  for (const [name, body, headers, target] of rows) {
    const { length } = Buffer.from(body)
    const got = await post(body, { 'Content-Length': String(length), ...headers }, target)
    if (length === 0) t.match(got, passes, 'a body of nothing is none')
    else t.match(got, refused, name)
  }
  t.match(await post('x'.repeat(1025)), { status: 413, reason: 'body-too-large', bodies: [] })

  const both = { Cookie: await twoChats({ gateway }) }
  t.match(await post(join(second), both, poll('b')), passes, 'of two chats the one it names')
  t.match(await post(join(second), both, poll('b')), passes)
  t.match(await post(join(ids), both, poll('b')), refused, 'and never the other')
  t.match(await post(join(ids), both, poll('c')), passes, 'over a connection of its own it may')
  const alone = await ask(gateway.origin, poll('b'), { headers: session })
  t.equal(alone.status, 403, 'nor does the other’s cookie alone open the poll')
})

t.test('Copilot’s own client: joins its session over every transport, and no other', async (t) => {
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    await t.test(transports.join(', then '), async (t) => {
      const { gateway, joined } = await startBackend(t)
      const headers = { Cookie: await openSession(gateway) }
      const socket = connect(t, gateway, transports, headers)
      t.equal(await socket.emitWithAck('join', ids), 'joined', 'let in with the real token')
      t.equal(await socket.emitWithAck('upload', Buffer.from([1, 2, 3])), '010203')
      const gone = new Promise((resolve) => socket.once('disconnect', resolve))
      socket.emit('join', { ...ids, sessionId: 'session-2' })
      await gone
      t.strictSame(joined, [ids.sessionId])
    })
  }
})

async function startBackend(t: Test) {
  const apiToken = 'the-real-api-token-of-the-backend'
  const http = createServer((_, response) => response.end('ok'))
  const server = new Server(http)
  const joined: unknown[] = []
  server.use((socket, next) =>
    next(
      socket.handshake.auth['token'] === apiToken ? undefined : new Error('Authentication error'),
    ),
  )
  server.on('connection', (socket) => {
    socket.on('join', ({ sessionId }, done) => {
      joined.push(sessionId)
      done?.('joined')
    })
    socket.on('upload', (bytes: Buffer, done) => done(bytes.toString('hex')))
  })
  const port = await listen(http)
  t.teardown(() => server.close())
  const gateway = await startGateway(t, `http://127.0.0.1:${port}`, { COPILOT_API_TOKEN: apiToken })
  return { gateway, joined }
}

function connect(
  t: Test,
  gateway: Stage,
  transports: string[],
  extraHeaders: Record<string, string>,
): Socket {
  const socket = io(gateway.origin, {
    auth: { token: 'copilot-gateway' },
    transports,
    extraHeaders: { ...extraHeaders, Origin: gateway.origin },
    forceNew: true,
    reconnection: false,
  })
  t.teardown(() => socket.disconnect())
  return socket
}
