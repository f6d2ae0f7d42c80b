// Whoever leaves, whenever and however: the other side is let go, and the gateway goes on serving.
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { link, startGateway, startUpstream } from '../stage.ts'
import {
  accepting,
  bodyOf,
  close,
  closeWith,
  dial,
  frame,
  handshake,
  headOf,
  heard,
  inWords,
  masked,
  type Pair,
  type SocketStage,
  said,
  startSockets,
  stopClock,
  type Wire,
  wire,
} from './peer.ts'

/** Ways to go. */
const ways: Readonly<Record<string, (socket: Duplex) => void>> = {
  'a FIN': (socket) => socket.end(),
  'a FIN and no more reading': (socket) => socket.destroy(),
  'a reset': (socket) => {
    if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') {
      socket.resetAndDestroy()
    }
  },
}

t.test('a client that leaves before its head is whole', async (t) => {
  const stage = await startSockets(t)
  const head = handshake(stage.gateway.port, link({}, '/ws'))
  for (const sent of [0, 1, 20, head.indexOf('\r\n') + 2, head.length - 2, head.length - 1]) {
    for (const [way, leave] of Object.entries(ways)) {
      const client = await dial(t, stage.gateway.port)
      await new Promise((resolve) => client.socket.write(head.slice(0, sent), resolve))
      leave(client.socket)
      await gone(client)
      await serves(t, stage, `${way} after ${sent} bytes`)
    }
  }
  t.ok(stage.upstream.seen.every(({ url }) => url.startsWith('/serves')))
  await letGo(stage)
})

t.test('a client that leaves while the upstream thinks', async (t) => {
  const stage = await startSockets(t, { UPSTREAM_TIMEOUT: '1s' })
  const half = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: web'
  const phases: readonly (readonly [string, Buffer, string])[] = [
    ['silence', Buffer.alloc(0), ''],
    ['early bytes', masked('early'), ''],
    ['half an answer', Buffer.alloc(0), half],
    ['a hint', Buffer.alloc(0), 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'],
  ]
  let lines = 0
  for (const [phase, early, answer] of phases) {
    for (const [way, leave] of Object.entries(ways)) {
      const name = `${phase}, ${way}`
      const client = await stage.ask(undefined, {}, early)
      const { socket } = await stage.next()
      const upstream = wire(socket)
      if (answer !== '') await new Promise((resolve) => socket.write(answer, resolve))
      leave(client.socket)
      await upstream.ended
      socket.end()
      await gone(client)
      lines += 1
      const audited = await stage.gateway.audited(lines)
      t.equal(audited.length, lines, `${name}: one line`)
      t.match(audited.at(-1), { transport: 'websocket', path: '/ws' })
      t.not(audited.at(-1)?.['status'], 504, `${name}: the upstream is let go at once`)
      t.not(audited.at(-1)?.['status'], 101)
      await serves(t, stage, name)
      lines += 2
    }
  }
  await letGo(stage)
})

t.test('a client that has half closed before its 101 does not stay open for ever', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t)
  const client = await stage.ask()
  const { request, socket } = await stage.next()
  const upstream = wire(socket)
  client.socket.end()
  await serves(t, stage, 'meanwhile')
  socket.write(accepting(request))
  await client.until(headOf).catch(() => null)
  await serves(t, stage, 'and then')
  forward(24 * 3_600_000)
  const bytes = await upstream.ended
  t.same(inWords(bytes), [], 'it was not its session’s end that ended it')
  socket.end()
  await gone(client)
})

t.test('clients that reset at once, answered or not', async (t) => {
  const upgraded: Promise<Buffer>[] = []
  const upstream = await startUpstream(t, undefined, (request, socket) => {
    const { ended } = wire(socket)
    upgraded.push(ended)
    if (request.url?.startsWith('/last') || upgraded.length % 2 === 0)
      socket.end(accepting(request))
    else ended.then(() => socket.end())
  })
  const gateway = await startGateway(t, upstream.origin)
  const head = handshake(gateway.port, link({}, '/ws'))
  for (let i = 0; i < 100; i++) {
    const client = await dial(t, gateway.port)
    client.socket.write(head)
    if (i % 3 === 0) await new Promise(setImmediate)
    if (i % 4 === 3) client.socket.destroy()
    else client.socket.resetAndDestroy()
  }
  const last = await dial(t, gateway.port)
  last.socket.write(handshake(gateway.port, link({}, '/last')))
  t.equal((await last.until(headOf)).status, 101, 'it serves')
  last.socket.end()
  await Promise.all(upgraded)
})

t.test('a client that leaves an open socket', async (t) => {
  const stage = await startSockets(t)
  const large = frame(Buffer.alloc(500_000, 'x'))
  const phases: readonly (readonly [string, (pair: Pair) => Promise<unknown> | undefined])[] = [
    ['at rest', () => undefined],
    [
      'inside its own frame',
      async ({ client, upstream }) => {
        client.socket.write(masked('abc').subarray(0, 7))
        await upstream.until((b) => (b.length === 7 ? true : null))
      },
    ],
    [
      'inside the upstream’s frame',
      async ({ client, upstream, head }) => {
        upstream.socket.write(large.subarray(0, 300_000))
        await client.until((b) => (b.length < head.length + 300_000 ? null : true))
      },
    ],
    [
      'after its close',
      async (pair) => {
        pair.client.socket.write(closeWith(1000, 'bye', { mask: true }))
        await heard(pair, 1)
      },
    ],
    [
      'after the upstream’s close',
      async (pair) => {
        pair.upstream.socket.write(closeWith(1000, 'bye'))
        await said(pair, 1)
      },
    ],
    [
      'after the gateway’s close',
      async (pair) => {
        pair.client.socket.write(masked('', { says: 2 ** 40 }))
        await said(pair, 1)
      },
    ],
  ]
  let lines = 0
  for (const [phase, arrive] of phases) {
    for (const [way, leave] of Object.entries(ways)) {
      const pair = await stage.pair()
      await arrive(pair)
      leave(pair.client.socket)
      await pair.upstream.ended
      pair.upstream.socket.end()
      await gone(pair.client)
      lines += 2
      await checkLines(t, stage, lines, `${phase}, ${way}`)
      await serves(t, stage, `${phase}, ${way}`)
      lines += 2
    }
  }
  await letGo(stage)
})

t.test('a client that reads no more and resets, with much on its way to it', async (t) => {
  const stage = await startSockets(t)
  const pair = await stage.pair()
  pair.client.socket.pause()
  const block = frame(Buffer.alloc(1_000_000, 'x'))
  let flows = true
  while (flows) {
    const written = new Promise((resolve) => pair.upstream.socket.write(block, resolve))
    const stuck = serves(t, stage, 'beside a client that does not read').then(() => 'stuck')
    flows = (await Promise.race([written, stuck])) !== 'stuck'
    await stuck
  }
  pair.client.socket.resetAndDestroy()
  await pair.upstream.closed
  await letGo(stage)
})

t.test('an upstream that leaves an open socket', async (t) => {
  const stage = await startSockets(t)
  const phases: readonly (readonly [string, (pair: Pair) => Promise<unknown> | undefined])[] = [
    ['at rest', () => undefined],
    [
      'inside its own frame',
      async ({ client, upstream, head }) => {
        upstream.socket.write(frame('abc').subarray(0, 4))
        await client.until((b) => (b.length < head.length + 4 ? null : true))
      },
    ],
    [
      'inside the client’s frame',
      async ({ client, upstream }) => {
        client.socket.write(masked('abc').subarray(0, 7))
        await upstream.until((b) => (b.length === 7 ? true : null))
      },
    ],
    [
      'after its close',
      async (pair) => {
        pair.upstream.socket.write(frame('', { opcode: close }))
        await said(pair, 1)
      },
    ],
    [
      'after the client’s close',
      async (pair) => {
        pair.client.socket.write(masked('', { opcode: close }))
        await heard(pair, 1)
      },
    ],
  ]
  let lines = 0
  for (const [phase, arrive] of phases) {
    for (const [way, leave] of Object.entries(ways)) {
      const pair = await stage.pair()
      await arrive(pair)
      const before = bodyOf(pair.client.bytes()).length
      leave(pair.upstream.socket)
      const bytes = bodyOf(await pair.client.ended)
      t.equal(bytes.length, before, `${phase}, ${way}: nothing is made up`)
      pair.client.socket.end()
      await gone(pair.client)
      lines += 2
      await checkLines(t, stage, lines, `${phase}, ${way}`)
    }
  }
  await serves(t, stage, 'still')
  await letGo(stage)
})

t.test('what was said before leaving arrives', async (t) => {
  const stage = await startSockets(t)
  const large = Buffer.alloc(900_000, 'x')
  const one = await stage.pair()
  one.client.socket.end(Buffer.concat([masked(large), masked('last')]))
  t.same(inWords(await one.upstream.ended), ['text (900000)', 'text last'], 'of the client')
  one.upstream.socket.end(frame('and mine'))
  t.same(inWords(bodyOf(await one.client.ended)), ['text and mine'], 'and an answer to it')

  const other = await stage.pair()
  other.upstream.socket.end(Buffer.concat([frame(large), frame('last')]))
  t.same(inWords(bodyOf(await other.client.ended)), ['text (900000)', 'text last'], 'upstream')
  other.client.socket.end()
  await other.upstream.closed
})

t.test('a side that stays when the other has left is let go', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t)
  const one = await stage.pair()
  one.client.socket.end()
  await one.upstream.ended
  const other = await stage.pair()
  other.upstream.socket.end()
  await other.client.ended
  await checkLines(t, stage, 2, 'neither is over yet')
  forward(60_000)
  await one.client.ended
  await other.upstream.closed
  await checkLines(t, stage, 4, 'now both are')
})

async function checkLines(t: Test, stage: SocketStage, count: number, name: string): Promise<void> {
  const lines = await stage.gateway.audited(count)
  t.equal(lines.length, count, `${name}: two lines`)
  t.match(lines.at(-1), { status: 101, transport: 'websocket', decision: 'allow' })
}

/** A socket opens, carries both ways and closes. */
async function serves(t: Test, stage: SocketStage, name: string): Promise<void> {
  const target = link({}, '/serves')
  const pair = await stage.pair(target)
  pair.client.socket.write(masked('hello'))
  pair.upstream.socket.write(frame('hello'))
  const both = await Promise.all([heard(pair, 1), said(pair, 1)])
  t.same(both, [['text hello'], ['text hello']], `${name}: it serves`)
  pair.client.socket.end()
  await pair.upstream.ended
  pair.upstream.socket.end()
  await pair.client.ended
}

/** The gateway has closed its end. */
async function gone(client: Wire<Socket>): Promise<void> {
  await client.ended
  client.socket.end()
  await client.closed
}

/** No connection to the upstream is left. */
async function letGo({ upstream }: SocketStage): Promise<void> {
  await Promise.all([...upstream.sockets].map((socket) => once(socket, 'close')))
}
