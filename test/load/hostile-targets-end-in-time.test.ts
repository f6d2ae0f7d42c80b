// A target that answers without end, or with what takes for ever to read, is told as a failure: the run
// ends in time, and holds no more than it needs.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
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

t.test('pings whose answers nobody reads', async (t) => {
  const ping = Buffer.concat([Buffer.from([0x89, 126, 0xff, 0xff]), Buffer.alloc(0xffff)])
  const server = createServer((socket) => {
    socket.on('error', () => {})
    const pour = (): unknown =>
      socket.destroyed ? null : socket.write(ping, () => setImmediate(pour))
    pour()
  })
  const socket = connect(await listen(server), '127.0.0.1')
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  await once(socket, 'connect')
  const channel = openChannel(socket, null, 1000, () => {})
  await t.rejects(channel.connected, { message: 'timeout' })
  t.ok(socket.writableLength < 2 ** 20, `${socket.writableLength} bytes wait`)
})
