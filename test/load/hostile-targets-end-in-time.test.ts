// A target that answers without end, or with what takes for ever to read, is told as a failure: the run
// ends in time, and holds no more than it needs.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { openChannel } from '../../src/load/channel.ts'
import { listen, startUpstream } from '../stage.ts'
import { type Found, play } from './run.ts'

const html = { 'Content-Type': 'text/html' }

async function run(
  t: Parameters<typeof startUpstream>[0],
  answer: (response: ServerResponse) => void,
): Promise<{ readonly how: 'ended' | 'goes on'; readonly found: Found }> {
  const { origin } = await startUpstream(t, (_, response) => {
    response.on('error', () => {})
    answer(response)
  })
  const interrupt = new AbortController()
  const target = {
    url: new URL(origin),
    addresses: [{ address: '127.0.0.1', family: 4 }],
    deadline: 1000,
  }
  const playing = play(origin, { chats: 1 }, { target, signal: interrupt.signal })
  const how = await Promise.race([
    playing.then(() => 'ended' as const),
    wait(20_000, 'goes on' as const, { ref: false }),
  ])
  interrupt.abort()
  return { how, found: await playing }
}

t.test('a body that drips for ever', async (t) => {
  const { how, found } = await run(t, (response) => {
    response.writeHead(200, html)
    const timer = setInterval(() => response.write('x'), 100)
    response.on('close', () => clearInterval(timer))
  })
  t.equal(how, 'ended')
  t.match(found.failures, { timeout: 1 })
  t.ok((found.total.latency?.max ?? 0) >= 1000, 'who waited in vain is counted with the wait')
})

t.test('a body that pours for ever', async (t) => {
  let poured = 0
  const piece = Buffer.alloc(2 ** 20, 'x')
  await run(t, (response) => {
    response.writeHead(200, html)
    const pour = (): void => {
      if (response.destroyed || poured >= 300) return
      poured += 1
      if (response.write(piece)) setImmediate(pour)
      else response.once('drain', pour)
    }
    pour()
  })
  t.ok(poured < 100, `${poured} MiB were taken in`)
})

t.test('a page of tags that never end', async (t) => {
  // Read once for each of them it would take a minute.
  const page = '<script '.repeat(100_000)
  const { how } = await run(t, (response) => response.writeHead(200, html).end(page))
  t.equal(how, 'ended')
})

/** A channel whose other end does this with its socket. */
async function openTo(t: Parameters<typeof startUpstream>[0], act: (socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    act(socket)
  })
  const socket = connect(await listen(server), '127.0.0.1')
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'connect')
  return { socket, channel: openChannel(socket, null, 1000, () => {}) }
}

t.test('pings whose answers nobody reads', async (t) => {
  const ping = Buffer.concat([Buffer.from([0x89, 126, 0xff, 0xff]), Buffer.alloc(0xffff)])
  const { socket, channel } = await openTo(t, (socket) => {
    const pour = (): unknown =>
      socket.destroyed ? null : socket.write(ping, () => setImmediate(pour))
    pour()
  })
  await t.rejects(channel.connected, { message: 'timeout' })
  t.ok(socket.writableLength < 2 ** 20, `${socket.writableLength} bytes wait`)
})

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** Bytes that buffers hold, all in all. */
function buffered(): number {
  if (typeof collect !== 'function') throw new Error('no garbage collection')
  collect()
  return process.memoryUsage().arrayBuffers
}

/** The head of an unmasked frame. */
function head(first: number, length: number): Buffer {
  const bytes = Buffer.from([first, 127, 0, 0, 0, 0, 0, 0, 0, 0])
  bytes.writeBigUInt64BE(BigInt(length), 2)
  return bytes
}

t.test('a large message that never ends is not kept', async (t) => {
  const piece = Buffer.alloc(2 ** 20)
  const { socket, channel } = await openTo(t, (socket) => {
    socket.write(head(0x82, 16 * piece.length))
    for (let i = 1; i < 16; i += 1) socket.write(piece)
  })
  channel.connected.catch(() => {})
  while (socket.bytesRead < 15 * piece.length) await once(socket, 'data')
  // What is let go is given back some time later.
  let kept = buffered()
  for (let tries = 0; tries < 50 && kept > 8 * piece.length; tries += 1) {
    await wait(20)
    kept = buffered()
  }
  t.ok(kept <= 8 * piece.length, `${kept} bytes are kept`)
})

t.test('a message that comes byte by byte, behind a large one', async (t) => {
  const size = 100_000
  const small = Buffer.from('\x81\x00\x81\x7e\x00\x0344!', 'latin1')
  const { channel } = await openTo(t, async (socket) => {
    socket.setNoDelay().write(Buffer.concat([head(0x81, size), Buffer.alloc(size, '42')]))
    for (const byte of small) {
      await wait(1)
      socket.write(Buffer.from([byte]))
    }
  })
  await t.rejects(channel.connected, { message: 'CONNECT refused' })
})
