import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { startUpstream } from '../stage.ts'
import { play } from './run.ts'

/** Ms that the workspace stands still. */
const stall = 1000

/** A workspace that lets everyone in, and takes so long over what `stalls` says. */
async function startWorkspace(t: Parameters<typeof startUpstream>[0], stalls: 'join' | 'document') {
  const server = new WebSocketServer({ noServer: true })
  const heard: string[] = []
  let atFirstAnswer: number | undefined
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
    server.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (message) => {
        const packet = String(message)
        heard.push(packet)
        if (packet.startsWith('40')) client.send('40{"sid":"b"}')
        if (packet.startsWith('420')) {
          setTimeout(() => client.send('430[]'), stalls === 'join' ? stall : 0)
        }
      })
      client.send('0{"sid":"a"}')
      // Asked after as engine.io does, and left without an answer it would close.
      client.send('2')
    })
  let began: number | undefined
  const upstream = await startUpstream(
    t,
    (_, response) => {
      began ??= Date.now()
      const left = stalls === 'document' ? began + stall - Date.now() : 0
      setTimeout(
        () => {
          atFirstAnswer ??= upstream.seen.length
          response.end()
        },
        Math.max(0, left),
      )
    },
    upgrade,
  )
  return { origin: upstream.origin, heard, askedAtFirstAnswer: () => atFirstAnswer }
}

t.test('messages that wait for a slow join count from when they were due', async (t) => {
  const { origin, heard } = await startWorkspace(t, 'join')
  const found = await play(origin, { chats: 1, pause: 50, duration: 2 * stall })
  const { message, join } = found.kinds
  t.strictSame(found.failures, {})
  t.equal(message.count, 39, 'none was left out')
  t.equal(heard.filter((packet) => packet.includes('sendMessage')).length, 39)
  t.ok(heard.includes('3'), 'the ping was answered')
  t.ok(Number(join.latency?.min) >= stall - 5)
  // The first was due 50 ms after the chat was opened, the tenth 500.
  t.ok(Number(message.latency?.p99) >= stall - 100, `${message.latency?.p99}`)
  t.ok(Number(message.latency?.p90) >= stall / 2, `${message.latency?.p90}`)
})

t.test('agents arrive when they are due, whoever is still waiting', async (t) => {
  const { origin, askedAtFirstAnswer } = await startWorkspace(t, 'document')
  const plan = { agents: 20, ramp: stall, duration: 2 * stall, chats: 1, pause: 10_000 }
  const found = await play(origin, plan)
  const { document } = found.kinds
  t.strictSame(found.failures, {})
  t.equal(document.count, 20)
  t.ok(Number(askedAtFirstAnswer()) > 10, 'all but the last were due before the first answer')
  t.ok(Number(document.latency?.p90) >= stall / 2, `${document.latency?.p90}`)
  t.ok(Number(document.latency?.p50) >= stall / 4, `${document.latency?.p50}`)
})
