// Slowloris, by its three ways to hold a connection without asking for much: a head, a body and a
// handshake that come byte by byte or not at all.
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { ask, link, startGateway } from '../stage.ts'
import { handshake } from '../websocket/peer.ts'
import { openDoors } from './doors.ts'

const {
  gateway: overTls,
  upstream,
  doors,
} = await openDoors(t, { HEADERS_TIMEOUT: '500ms' }, (request, response) =>
  request.resume().on('end', () => response.end('ok')),
)
const gateway = await startGateway(t, upstream.origin, {
  HEADERS_TIMEOUT: '500ms',
  IDLE_TIMEOUT: '500ms',
})
const { host } = new URL(gateway.origin)
const head = (line: string, ...lines: readonly string[]): string =>
  [`${line} HTTP/1.1`, `Host: ${host}`, ...lines, '', ''].join('\r\n')

type Row = readonly [
  name: string,
  port: number,
  bytes: string,
  drips: boolean,
  status: number | null,
]
const rows: readonly Row[] = [
  ['a head that stops', gateway.port, head(`GET ${link()}`).slice(0, -2), false, 408],
  ['a head that drips', gateway.port, `GET ${link()} HTTP/1.1\r\nHost: ${host}\r\nX: `, true, 408],
  ['a first line that drips', gateway.port, 'GET /', true, 408],
  ['an upgrade that stops', gateway.port, handshake(gateway.port, link()).slice(0, -2), false, 408],
  ['an upgrade that drips', gateway.port, handshake(gateway.port, link()).slice(0, -2), true, 408],
  [
    'a body that stops',
    gateway.port,
    `${head(`POST ${link()}`, 'Content-Length: 9')}x`,
    false,
    408,
  ],
  [
    'a body that never starts',
    gateway.port,
    head(`POST ${link()}`, 'Content-Length: 9'),
    false,
    408,
  ],
  ['a refused body that stops', gateway.port, head('POST /', 'Content-Length: 9'), false, 401],
  [
    'a chunk that stops',
    gateway.port,
    `${head(`POST ${link()}`, 'Transfer-Encoding: chunked')}5\r\nx`,
    false,
    408,
  ],
  ['a TLS handshake that never starts', overTls.port, '', false, null],
  ['a TLS handshake that stops', overTls.port, '\x16\x03\x01\x02\x00', false, null],
  [
    'a TLS handshake that drips',
    overTls.port,
    '\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03',
    true,
    null,
  ],
]

t.test('each is let go, and agents are served all the while', async (t) => {
  const held = rows.map(([, port, bytes, drips]) => hold(t, port, bytes, drips))
  for (let i = 0; i < 10; i += 1) t.equal((await ask(gateway.origin)).status, 200, 'an agent')
  for (const { knock, open, name } of doors) t.equal((await knock()).status, open, name)
  for (const [i, [name, , , , status]] of rows.entries()) {
    const told = (await held[i]) ?? ''
    if (status === null) t.notMatch(told, 'HTTP/', `${name}: nothing is said in plain text`)
    else t.match(told, new RegExp(`^HTTP/1\\.1 ${status} `), name)
  }
})

/** All that comes back until the gateway lets go of a client that never says more than it must. */
function hold(
  t: { teardown(done: () => void): void },
  port: number,
  bytes: string,
  drips: boolean,
) {
  const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const drip = setInterval(() => drips && socket.writable && socket.write('x'), 50)
  t.teardown(() => {
    clearInterval(drip)
    socket.destroy()
  })
  let told = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    told += chunk.toString('latin1')
  })
  socket.write(bytes, 'latin1')
  return new Promise<string>((resolve) => {
    socket.on('end', () => {
      clearInterval(drip)
      socket.end()
    })
    socket.on('close', () => {
      clearInterval(drip)
      resolve(told)
    })
  })
}
