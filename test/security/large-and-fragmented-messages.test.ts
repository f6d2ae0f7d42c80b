// A client's message over WS_MAX_PAYLOAD closes its socket with 1009, before it has cost anything.
import { once } from 'node:events'
import { createServer } from 'node:http'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { link, listen, startGateway } from '../stage.ts'
import {
  binary,
  bodyOf,
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
} from '../websocket/peer.ts'

const limit = 1024
const x = (count: number): string => 'x'.repeat(count)
const part = (count: number): Buffer => masked(x(count), { fin: false })
const more = (count: number): Buffer => masked(x(count), { opcode: continuation, fin: false })
const last = (count: number): Buffer => masked(x(count), { opcode: continuation })
const between = [masked(x(125), { opcode: ping }), masked(x(125), { opcode: pong })]

const within: readonly (readonly [string, readonly Buffer[]])[] = [
  ['the limit exactly', [masked(x(limit))]],
  ['binary', [masked(x(limit), { opcode: binary })]],
  ['a length of eight bytes', [masked(x(limit), { lengthBytes: 8 })]],
  ['fragments that sum up to it', [part(600), more(400), last(24)]],
  ['a last fragment of nothing', [part(limit), last(0)]],
  ['controls do not count', [part(1000), ...between, ...between, last(24), ...between]],
  ['a message after a message', [masked(x(limit)), masked(x(limit)), part(limit), last(0)]],
  ['fragments, each message anew', [part(600), last(424), part(600), last(424)]],
  ['a thousand fragments', [part(1), ...Array.from({ length: 1022 }, () => more(1)), last(1)]],
]

const over: readonly (readonly [string, readonly Buffer[]])[] = [
  ['one more', [masked(x(limit + 1))]],
  ['binary', [masked(x(limit + 1), { opcode: binary })]],
  ['a length of eight bytes', [masked(x(limit + 1), { lengthBytes: 8 })]],
  ['fragments that sum up to more', [part(600), last(425)]],
  ['an endless message', [part(600), more(400), more(25)]],
  ['controls between', [part(600), ...between, more(400), ...between, last(25)]],
  ['after a message within it', [masked(x(limit)), masked(x(limit + 1))]],
  ['after a fragmented message within it', [part(600), last(424), part(600), last(425)]],
  ['a thousand fragments', [part(1), ...Array.from({ length: 1024 }, () => more(1))]],
  ['an announcement of 100 MB', [masked('', { says: 100 * 2 ** 20 })]],
  ['an announcement of 2³² bytes', [masked('', { says: 2 ** 32 })]],
  ['an announcement of 2⁵³ + 1 bytes', [masked('', { says: 2n ** 53n + 1n })]],
  ['an announcement of 2⁶³ bytes', [masked('', { says: 2n ** 63n })]],
  ['an announcement of 2⁶⁴ - 1 bytes', [masked('', { says: 2n ** 64n - 1n })]],
  ['in a first fragment', [masked('', { fin: false, says: 2 ** 40 })]],
  ['lengths that overflow together', [part(1), masked('', { opcode: 0, says: 2n ** 64n - 1n })]],
  ['in a fragment', [part(1), masked('', { opcode: continuation, fin: false, says: 2000 })]],
  ['an unknown opcode', [masked(x(limit + 1), { opcode: 3 })]],
  ['in a frame without a mask', [frame(x(limit + 1))]],
  ['in a ping, which cannot be that long', [masked('', { opcode: ping, says: 2 ** 30 })]],
  ['in an unknown control', [masked('', { opcode: 11, says: 2 ** 30 })]],
]

t.test('up to the limit', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  for (const [name, frames] of within) {
    const { client, upstream } = await stage.pair()
    const bytes = Buffer.concat(frames)
    client.socket.write(bytes)
    const got = await upstream.until((b) => (b.length < bytes.length ? null : b))
    t.ok(got.equals(bytes), name)
    upstream.socket.write(frame('still open'))
    t.same(await said({ client }, 1), ['text still open'])
    client.socket.destroy()
    upstream.socket.destroy()
  }
})

t.test('over the limit', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  let lines = 0
  for (const [name, frames] of over) {
    for (const [how, pieces] of [
      ['at once', [Buffer.concat(frames)]],
      ['byte by byte', [...Buffer.concat(frames)].map((byte) => Buffer.from([byte]))],
    ] as const) {
      lines += 2
      t.same(await closesWith(stage, pieces), ['close 1009 message-too-large'], `${name}, ${how}`)
      const audited = await stage.gateway.audited(lines)
      t.equal(audited.length, lines, 'two lines')
      t.match(audited.at(-1), { status: 101, transport: 'websocket', decision: 'allow' })
    }
  }
})

t.test('what was said before goes on, and nothing of what is too much', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  for (const [name, pieces] of [
    ['in one write', [Buffer.concat([masked('before'), masked(x(limit + 1))])]],
    ['in two', [masked('before'), masked(x(limit + 1))]],
  ] as const) {
    const { client, upstream } = await stage.pair()
    for (const piece of pieces) client.socket.write(piece)
    t.same(await said({ client }, 1), ['close 1009 message-too-large'], name)
    client.socket.end()
    upstream.socket.end()
    const got = inWords(await upstream.ended)
    t.same(got.slice(0, 1), ['text before'], `${name}: what was whole and small enough arrives`)
    t.notMatch(got.join(), /\(\d+\)|xx/, `${name}: the rest does not`)
  }
})

t.test('a close of the client’s own before it is heard', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  const { client, upstream } = await stage.pair()
  client.socket.write(Buffer.concat([masked('a'), closeWith(1000, 'bye', { mask: true })]))
  t.same(await heard({ upstream }, 2), ['text a', 'close 1000 bye'])
  upstream.socket.end(closeWith(1000, 'bye'))
  t.same(inWords(bodyOf(await client.ended)), ['close 1000 bye'])
})

t.test('the limit is the client’s: servers may send what they like', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  const { client, upstream } = await stage.pair()
  upstream.socket.write(Buffer.concat([frame(x(3_000_000)), frame('end')]))
  t.same(await said({ client }, 2), ['text (3000000)', 'text end'])
})

t.test('the limit is 1 MiB unless WS_MAX_PAYLOAD says otherwise', async (t) => {
  const http = createServer()
  const server = new WebSocketServer({ server: http })
  const port = await listen(http)
  const gateway = await startGateway(t, `http://127.0.0.1:${port}`)
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    http.close()
  })
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', (data) => socket.send(String(data).length))
  })
  const client = new WebSocket(gateway.origin.replace('http', 'ws') + link({}, '/ws'))
  client.on('error', () => {})
  await once(client, 'open')
  client.send(x(2 ** 20))
  t.equal(`${await once(client, 'message')}`, `${2 ** 20},false`)
  client.send(x(2 ** 20 + 1))
  const [code, reason] = await once(client, 'close')
  t.equal(`${code} ${reason}`, '1009 message-too-large')
})

/** What the gateway says to a client that sends this, once both ends are gone. */
async function closesWith(
  stage: SocketStage,
  pieces: readonly Buffer[],
  target?: string,
): Promise<string[]> {
  const { client, upstream } = await stage.pair(target)
  client.socket.setNoDelay(true)
  for (const piece of pieces) client.socket.write(piece)
  const all = Buffer.concat(pieces)
  const passed = upstream.until((b) => (b.subarray(0, all.length).equals(all) ? 'passed' : null))
  const ended = client.ended.then((bytes) => inWords(bodyOf(bytes)))
  const words = await Promise.race([ended, passed.then((word) => [word]).catch(() => ended)])
  client.socket.end(closeWith(1009, '', { mask: true }))
  await upstream.ended
  upstream.socket.end()
  return words
}
