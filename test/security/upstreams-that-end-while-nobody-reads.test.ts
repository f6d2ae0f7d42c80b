// An upstream may end its connection behind an answer that still waits for its client: the process goes
// on, and the answer comes whole (https://github.com/nodejs/undici/issues/5360).
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { answersIn, ask, link, startGateway, startSocketUpstream } from '../stage.ts'

const framings: readonly (readonly [name: string, head: (size: number) => string])[] = [
  [
    'Connection: close',
    (size) => `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${size}`,
  ],
  ['no length', () => 'HTTP/1.1 200 OK'],
  ['HTTP/1.0', (size) => `HTTP/1.0 200 OK\r\nContent-Length: ${size}`],
]
const endings: readonly (readonly [name: string, end: (socket: Socket) => void])[] = [
  ['FIN', (socket) => socket.end()],
  ['reset', (socket) => setTimeout(() => socket.resetAndDestroy(), 20)],
]
// Which of them end in the very moment of a pause depends on how reads happen to fall.
const sizes = Array.from({ length: 12 }, (_, i) => 66_000 + i * 3000)

for (const [framing, head] of framings) {
  for (const [ending, end] of endings) {
    t.test(`${framing}, ${ending}`, async (t) => {
      const slow = new Set<Socket>()
      const { origin } = await startSocketUpstream(t, (socket, asked) => {
        const size = Number(/\/of-(\d+)/.exec(asked)?.[1] ?? 0)
        if (asked.startsWith('GET /slow')) slow.add(socket)
        else if (size === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        else socket.write(`${head(size)}\r\n\r\n${'x'.repeat(size)}`, () => end(socket))
      })
      const gateway = await startGateway(t, origin)
      const request = (path: string, more = ''): string =>
        `GET ${link({}, path)} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
      const clients = sizes.map((size) => {
        const client = connect(gateway.port, '127.0.0.1')
        client.on('error', () => {})
        // Behind an answer that is not there yet this one has to wait.
        client.write(request('/slow') + request(`/of-${size}`, 'Connection: close\r\n'))
        return text(client)
      })
      // What waits has all come by then, and its connection has ended.
      while (slow.size < sizes.length) await wait(10)
      await wait(200)
      for (const socket of slow) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      const answers = await Promise.all(clients)
      // What a reset cuts takes its connection along.
      for (const [i, got] of ending === 'FIN' ? answers.entries() : []) {
        const [first, second] = answersIn(got)
        t.match(first, { status: 200, body: 'ok' })
        t.equal(second?.body.match(/x/g)?.length, sizes[i])
      }
      t.equal((await ask(gateway.origin, link())).status, 200, 'others go on')
    })
  }
}
