// A target that answers without end, or with what takes for ever to read, is told as a failure: the run
// ends in time, and holds no more than it needs.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { openChannel } from '../../src/load/channel.ts'
import { listen, startUpstream } from '../stage.ts'
import { type Found, play } from './run.ts'

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** Bytes that buffers and strings hold, all in all, once they are `few` or have had their time to become so. */
async function heldAtLast(few: number): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    if (typeof collect !== 'function') throw new Error('no garbage collection')
    collect()
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    const held = arrayBuffers + heapUsed
    if (held <= few || tries === 50) return held
    await wait(20)
  }
}

/** What is held where nothing large is, and some room. */
const few = (await heldAtLast(0)) + 8 * 2 ** 20

const html = { 'Content-Type': 'text/html' }

async function run(
  t: Parameters<typeof startUpstream>[0],
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  deadline = 1000,
): Promise<{ readonly how: 'ended' | 'goes on'; readonly found: Found }> {
  const { origin } = await startUpstream(t, (request, response) => {
    response.on('error', () => {})
    answer(response, request)
  })
  const interrupt = new AbortController()
  const target = {
    url: new URL(origin),
    addresses: [{ address: '127.0.0.1', family: 4 }],
    deadline,
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

/** A page that names so many files. */
function pageOf(files: number): string {
  return Array.from({ length: files }, (_, i) => `<script src="/${i}.js"></script>`).join('')
}

t.test('a page of very many files', async (t) => {
  let asked = 0
  const answer: Parameters<typeof run>[1] = (response, { url }) => {
    if (url?.startsWith('/?')) return response.writeHead(200, html).end(pageOf(5000))
    asked += 1
    return response.end()
  }
  const { how, found } = await run(t, answer, 15_000)
  t.equal(how, 'ended')
  t.equal(asked, 500)
  t.match(found.kinds.asset, { count: 501, failed: 1 })
  t.match(found.failures, { 'too many files': 1 })
})

t.test('files that never come', async (t) => {
  let asked = 0
  const { how, found } = await run(t, (response, { url }) => {
    if (url?.startsWith('/?')) response.writeHead(200, html).end(pageOf(200))
    else asked += 1
  })
  t.equal(how, 'ended')
  t.match(found.kinds.asset, { count: 200, failed: 200 })
  t.equal(found.failures['timeout'], 200)
  t.ok(
    asked < 100,
    `${asked} were asked for: who waits for a connection has no more time than others`,
  )
  t.ok((found.kinds.asset.latency?.min ?? 0) >= 990, 'and is counted with all of the wait')
})

t.test('more cookies than a browser keeps, and larger ones', async (t) => {
  const names = Array.from({ length: 300 }, (_, i) => `c${i}=x`)
  let sent: readonly string[] = []
  await run(t, (response, { url, headers: { cookie = '' } }) => {
    const isPage = url?.startsWith('/?')
    if (!isPage) sent = cookie.split('; ')
    response.setHeader('set-cookie', isPage ? [...names, `large=${'x'.repeat(4096)}`] : [])
    response.writeHead(200, html).end(isPage ? pageOf(1) : '')
  })
  t.strictSame(sent, names.slice(-180), 'the youngest')
})

t.test('large pages, files and configurations are not kept while a chat goes on', async (t) => {
  const size = 10 * 2 ** 20
  let opened = (_: string): void => {}
  const connected = new Promise<string>((resolve) => {
    opened = resolve
  })
  const server = new WebSocketServer({ noServer: true })
  const { origin } = await startUpstream(
    t,
    ({ url }, response) => {
      const page = url?.startsWith('/?') ? pageOf(4) : ''
      response.writeHead(200, html)
      response.end(`${page}accessTokenSecret:"${'x'.repeat(size)}"`)
    },
    (request, socket, head) =>
      server.handleUpgrade(request, socket, head, (client) => {
        client.on('message', (message) => opened(String(message)))
        client.send('0{"sid":"a"}')
      }),
  )
  const interrupt = new AbortController()
  const playing = play(origin, { chats: 1 }, { signal: interrupt.signal })
  t.equal(await connected, '40{}', 'a token of that size is none')
  const held = await heldAtLast(few)
  t.ok(held <= few, `${held} bytes are kept`)
  interrupt.abort()
  await playing
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
  const held = await heldAtLast(few)
  t.ok(held <= few, `${held} bytes are kept`)
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
