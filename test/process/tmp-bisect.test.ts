// Whatever peers do to their connections, in whatever phase: the process lives, serves, and says so.
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { link, listen, startUpstream } from '../stage.ts'
import {
  accepting,
  dial,
  frame,
  handshake,
  headOf,
  masked,
  type Wire,
  wire,
} from '../websocket/peer.ts'
import { type Served, start } from './child.ts'

const rounds = Number(process.env['R'] ?? 15)
const head = (port: number, target: string, more = ''): string =>
  `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${more}\r\n`

t.test('clients that reset in every phase', async (t) => {
  const upstream = await startUpstream(
    t,
    (request, response) => {
      if (request.url?.startsWith('/silent')) return
      if (request.url?.startsWith('/half')) response.write('half')
      else if (request.url?.startsWith('/large')) response.end(Buffer.alloc(3_000_000))
      else request.resume().on('end', () => response.end('ok'))
    },
    (request, socket) => {
      wire(socket).ended.then(() => socket.end())
      if (request.url?.startsWith('/silent')) return
      socket.write(accepting(request))
      if (request.url?.startsWith('/flood')) socket.write(frame(Buffer.alloc(3_000_000)))
    },
  )
  const gateway = await start(t, upstream.origin, {DRAIN_TIMEOUT: '1s'})
  const { port } = gateway
  const upgrade = (path: string): string => handshake(port, link({}, path))
  const post = `Content-Length: 100000\r\n`
  const phases: readonly (readonly [string, string, ('sent' | 'answered')?])[] = [
    ['connected', ''],
    ['in the first line', 'GE'],
    ['in the head', head(port, link()).slice(0, 80)],
    ['after the head', head(port, link())],
    ['after a head that is refused', head(port, '/')],
    ['after a head that cannot be read', 'NO HTTP AT ALL\r\n\r\n'],
    ['while the upstream thinks', head(port, link({}, '/silent'))],
    ['in a body', head(port, link(), post).replace('GET', 'POST') + 'x'.repeat(500)],
    ['in a body that is refused', head(port, '/', post).replace('GET', 'POST') + 'x'.repeat(500)],
    ['in an answer', head(port, link({}, '/half')), 'answered'],
    ['in a large answer', head(port, link({}, '/large')), 'answered'],
    ['pipelining', head(port, link()).repeat(5)],
    ['in an upgrade’s head', upgrade('/ws').slice(0, 100)],
    ['after an upgrade', upgrade('/ws')],
    ['after an upgrade that is refused', handshake(port, '/ws')],
    ['while an upgrade waits', upgrade('/silent')],
    ['with bytes behind an upgrade', `${upgrade('/silent')}${'x'.repeat(100_000)}`],
    ['in an open socket', upgrade('/ws'), 'answered'],
    ['in an open socket with much on its way', upgrade('/flood'), 'answered'],
    [
      'in an open socket, in a frame',
      upgrade('/ws') + masked('x'.repeat(20)).toString('latin1', 0, 9),
      'answered',
    ],
    ['CONNECT', handshake(port, '', {}, 'CONNECT a:1 HTTP/1.1')],
  ]
  for (const [phase, bytes, until = 'sent'] of phases.slice(Number(process.env['A']), Number(process.env['B']))) {
 console.error(phase)
    for (let round = 0; round < rounds; round++) {
      const client = await dial(t, port)
      await new Promise((resolve) => client.socket.write(bytes, 'latin1', resolve))
      if (until === 'answered') await client.until(headOf)
      if (round % 3 === 2) await serves(t, gateway)
      if (round % 5 === 4) client.socket.destroy()
      else client.socket.resetAndDestroy()
    }
    t.ok(await serves(t, gateway), phase)
  }
  gateway.kill('SIGTERM')
  const { code, stderr, lines } = await gateway.ended
console.error(code, stderr.slice(0,60))
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.notOk(
    lines.some(({ level }) => Number(level) >= 50),
    'nothing went wrong inside',
  )
})

async function serves(t: Test, { port }: Served): Promise<boolean> {
  const client = await dial(t, port)
  client.socket.write(head(port, link({}, '/serves'), 'Connection: close\r\n'))
  return headOf(await client.ended)?.status === 200
}
