// Once open, a socket carries every byte in both directions, unchanged and in order.
import { once } from 'node:events'
import { createServer } from 'node:http'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { link, listen, startGateway } from '../stage.ts'
import {
  accepting,
  binary,
  bodyOf,
  close,
  closeWith,
  continuation,
  frame,
  headOf,
  heard,
  masked,
  ping,
  pong,
  record,
  said,
  startSockets,
  wire,
} from './peer.ts'

t.test('frames of every kind, both ways', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '200kb' })
  const long = 'x'.repeat(70_000)
  const rows: readonly (readonly [string, string, object?])[] = [
    ['text', 'hello'],
    ['text past ASCII', 'grüße 😀'],
    ['no payload', ''],
    ['binary', '\x00\xff\x80', { opcode: binary }],
    ['125 bytes', 'x'.repeat(125)],
    ['126 bytes', 'x'.repeat(126)],
    ['65535 bytes', 'x'.repeat(65_535)],
    ['65536 bytes', 'x'.repeat(65_536)],
    ['a longer length than need be', 'hello', { lengthBytes: 2 }],
    ['a much longer length than need be', 'hello', { lengthBytes: 8 }],
    ['a first fragment', 'hel', { fin: false }],
    ['a ping between fragments', 'are you there', { opcode: ping }],
    ['a fragment', long, { opcode: continuation, fin: false }],
    ['a pong between fragments', 'I am', { opcode: pong }],
    ['the last fragment', 'lo', { opcode: continuation }],
    ['an empty ping', '', { opcode: ping }],
    ['a ping of 125', 'x'.repeat(125), { opcode: ping }],
    ['an unasked pong', 'x', { opcode: pong }],
    ['text that is not UTF-8', '\xff', { opcode: binary }],
    ['a reserved bit', 'hello', { rsv: 4 }],
    ['every reserved bit', 'hello', { rsv: 7 }],
    ['an unknown opcode', 'hello', { opcode: 3 }],
    ['an unknown control', 'hello', { opcode: 11 }],
  ]
  const { client, upstream } = await stage.pair()
  for (const [name, payload, options] of rows) {
    const [up, down] = [masked(payload, options), frame(payload, options)]
    const [before, behind] = [upstream.bytes().length, client.bytes().length]
    client.socket.write(up)
    upstream.socket.write(down)
    const there = await upstream.until((bytes) =>
      bytes.length < before + up.length ? null : bytes,
    )
    const back = await client.until((bytes) => (bytes.length < behind + down.length ? null : bytes))
    t.ok(there.subarray(before).equals(up), `${name}, to the upstream`)
    t.ok(back.subarray(behind).equals(down), `${name}, to the client`)
  }
})

t.test('frames an upstream would not take are its own to judge', async (t) => {
  const stage = await startSockets(t)
  const { client, upstream } = await stage.pair()
  const unmasked = frame('a client must mask')
  client.socket.write(unmasked)
  t.ok((await upstream.until((b) => (b.length < unmasked.length ? null : b))).equals(unmasked))
})

t.test('close codes and reasons, both ways', async (t) => {
  const stage = await startSockets(t)
  const rows: readonly (readonly [number, string])[] = [
    [1000, ''],
    [1000, 'bye'],
    [1001, 'going away'],
    [1003, ''],
    [1008, 'of the upstream’s own'],
    [1011, 'x'.repeat(123)],
    [1012, ''],
    [3000, ''],
    [4999, 'a code of one’s own'],
    // Codes that must not be sent: not the gateway's business.
    [1005, ''],
    [0, ''],
    [65_535, ''],
  ]
  for (const [code, reason] of rows) {
    for (const first of ['client', 'upstream'] as const) {
      const { client, upstream } = await stage.pair()
      const [mine, theirs] = first === 'client' ? [client, upstream] : [upstream, client]
      const asked = closeWith(code, reason, { mask: first === 'client' })
      const answered = closeWith(code, reason, { mask: first !== 'client' })
      mine.socket.write(asked)
      const start = first === 'client' ? 0 : (headOf(client.bytes())?.length ?? 0)
      const got = await theirs.until((b) => (b.length < start + asked.length ? null : b))
      t.ok(got.subarray(start).equals(asked), `${code} ${reason} of the ${first}`)
      theirs.socket.end(answered)
      const rest = await mine.ended
      t.ok(rest.subarray(rest.length - answered.length).equals(answered), 'and its answer')
      mine.socket.end()
      await Promise.all([client.ended, upstream.ended])
      t.equal(upstream.bytes().length, (first === 'client' ? asked : answered).length)
      t.equal(bodyOf(client.bytes()).length, (first === 'client' ? answered : asked).length)
    }
  }
})

t.test('an empty close frame', async (t) => {
  const { client, upstream } = await (await startSockets(t)).pair()
  upstream.socket.write(frame('', { opcode: close }))
  t.same(await said({ client }, 1), ['close'])
  client.socket.end(masked('', { opcode: close }))
  t.same(await heard({ upstream }, 1), ['close'])
  upstream.socket.end()
  await client.ended
})

t.test('what an upstream sends with its 101 arrives behind it', async (t) => {
  const stage = await startSockets(t)
  const client = await stage.ask()
  const { request, socket } = await stage.next()
  wire(socket)
  const early = Buffer.concat([frame('first'), frame('x'.repeat(200_000)), frame('last')])
  socket.write(Buffer.concat([Buffer.from(accepting(request)), early]))
  t.same(await said({ client }, 3), ['text first', 'text (200000)', 'text last'])
  t.ok(bodyOf(client.bytes()).equals(early))
})

t.test('an upstream may close with its 101', async (t) => {
  const stage = await startSockets(t)
  const client = await stage.ask()
  const { request, socket } = await stage.next()
  const upstream = wire(socket)
  socket.end(Buffer.concat([Buffer.from(accepting(request)), closeWith(4401, 'go away')]))
  t.same(await said({ client }, 1), ['close 4401 go away'])
  client.socket.end(closeWith(4401, '', { mask: true }))
  await Promise.all([client.ended, upstream.ended])
  t.equal((await stage.gateway.audited(2)).length, 2)
})

t.test('random frames, split at random places', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = generator(seed)
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '100mb' })
  const { client, upstream, head } = await stage.pair()
  const up = randomFrames(random, 300, true)
  const down = randomFrames(random, 300, false)
  const sent = [pour(random, client.socket, up), pour(random, upstream.socket, down)]
  const there = await upstream.until((b) => (b.length < up.length ? null : b))
  const back = await client.until((b) => (b.length < head.length + down.length ? null : b))
  await Promise.all(sent)
  t.ok(there.equals(up), `to the upstream (seed ${seed})`)
  t.ok(back.subarray(head.length).equals(down), `to the client (seed ${seed})`)
})

t.test('an honest client and an honest server', async (t) => {
  const http = createServer()
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => [...offered].at(-1) ?? false,
  })
  const port = await listen(http)
  const gateway = await startGateway(t, `http://127.0.0.1:${port}`)
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    http.close()
  })
  const url = gateway.origin.replace('http', 'ws')

  for (const [path, deflate] of [
    ['/ws', 'permessage-deflate'],
    ['/socket.io/', ''],
  ] as const) {
    const connected = once(server, 'connection')
    const client = new WebSocket(`${url}${link({}, path)}`, ['a', 'b'], {
      perMessageDeflate: { threshold: 0 },
    })
    const events = record(client)
    await once(client, 'open')
    const [accepted] = await connected
    if (!(accepted instanceof WebSocket)) throw new Error('no socket')
    const heard = record(accepted)
    t.equal(client.protocol, 'b', `${path}: the sub-protocol is the upstream's choice`)
    t.equal(client.extensions, deflate, `${path}: extensions`)
    t.equal(accepted.extensions, deflate)
    const large = Buffer.alloc(600_000, 'compressible ')
    client.send('42["text"]')
    client.send('452-["binary",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    client.send(Buffer.from([0, 1, 255]))
    client.send(large)
    client.ping('p1')
    client.send('42["frag', { fin: false })
    client.send('mented"]', { fin: true })
    accepted.send('text back')
    accepted.send(Buffer.from([255, 0]))
    accepted.send(large)
    accepted.ping('p2')
    // Behind the answer to p2, and so behind all that was said.
    await once(accepted, 'pong')
    client.close(4001, 'enough')
    await Promise.all([once(client, 'close'), once(accepted, 'close')])
    t.same(heard, [
      '42["text"]',
      '452-["binary",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
      '<0001ff>',
      '<600000 bytes>',
      'ping p1',
      '42["fragmented"]',
      'pong p2',
      'close 4001 enough',
    ])
    t.same(
      events.filter((event) => event !== 'pong p1'),
      ['text back', '<ff00>', '<600000 bytes>', 'ping p2', 'close 4001 enough'],
    )
    t.ok(events.includes('pong p1'))
  }
})

/** mulberry32: a seed that failed can be tried again. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function randomFrames(random: () => number, count: number, mask: boolean): Buffer {
  const lengths = [0, 1, 125, 126, 127, 4000, 65_535, 65_536, 100_000]
  const frames: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const control = random() < 0.2
    const most = control ? 125 : (lengths[Math.floor(random() * lengths.length)] ?? 0)
    const payload = Buffer.alloc(Math.floor(random() * (most + 1)))
    for (let at = 0; at + 4 <= payload.length; at += 4)
      payload.writeUInt32LE(random() * 2 ** 32, at)
    const opcode = control ? (random() < 0.5 ? ping : pong) : Math.floor(random() * 3)
    frames.push(frame(payload, { opcode, fin: control || random() < 0.6, mask }))
  }
  return Buffer.concat(frames)
}

/** Writes in pieces of random size, most of them small, each in a turn of its own. */
async function pour(
  random: () => number,
  socket: { write(chunk: Buffer): boolean; once(event: string, listener: () => void): unknown },
  bytes: Buffer,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const size = Math.ceil(random() ** 4 * 80_000)
    const more = socket.write(bytes.subarray(at, at + size))
    at += size
    await new Promise<void>((resolve) => {
      if (more) setImmediate(resolve)
      else socket.once('drain', resolve)
    })
  }
}
