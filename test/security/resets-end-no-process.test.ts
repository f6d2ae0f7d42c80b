// Whatever peers do to their connections, in whatever phase: the process lives, serves, and says so.
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { type Served, start } from '../process/child.ts'
import { link, listen, startGateway, startUpstream } from '../stage.ts'
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

const rounds = 15
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
  const gateway = await start(t, upstream.origin)
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
  for (const [phase, bytes, until = 'sent'] of phases) {
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
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.notOk(
    lines.some(({ level }) => Number(level) >= 50),
    'nothing went wrong inside',
  )
})

t.test('upstreams that reset in every phase', async (t) => {
  const answers: readonly (readonly [string, string])[] = [
    ['at once', ''],
    ['in the head', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['after the head', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n'],
    ['in the body', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc'],
    ['with an answer that is none', 'SSH-2.0\r\n'],
    ['after a hint', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['after a 101 to nothing', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    [
      'after a 101 that is wrong',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nx',
    ],
    ['after a refusal', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'],
  ]
  let answer = ''
  let way: (socket: Duplex) => void = () => {}
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (chunk: Buffer) => {
      if (`${chunk}`.startsWith('GET /serves')) {
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
      } else {
        socket.write(answer, () => way(socket))
      }
    })
  })
  const gateway = await start(t, `http://127.0.0.1:${await listen(server)}`)
  t.teardown(() => server.close())
  const { port } = gateway
  for (const [phase, bytes] of answers) {
    answer = bytes
    for (const leave of [
      (socket: Duplex) => {
        if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') {
          socket.resetAndDestroy()
        }
      },
      (socket: Duplex) => void socket.end(),
    ]) {
      way = leave
      for (const request of [
        head(port, link({}, '/x')),
        `${head(port, link({}, '/x'), 'Content-Length: 3\r\n').replace('GET', 'POST')}abc`,
        handshake(port, link({}, '/ws')),
      ]) {
        const client: Wire = await dial(t, port)
        client.socket.write(request)
        const ended = client.until((b) => (headOf(b)?.headers['content-length'] ? b : null))
        await Promise.race([ended.catch(() => null), client.ended])
        client.socket.destroy()
      }
    }
    t.ok(await serves(t, gateway), phase)
  }
  gateway.kill('SIGTERM')
  const { code, stderr, lines } = await gateway.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.notOk(
    lines.some(({ level }) => Number(level) >= 50),
    'nothing went wrong inside',
  )
  const access = lines.filter(({ event, path }) => event === 'access' && path !== '/serves')
  t.equal(access.length, answers.length * 6, 'each request has its one line')
})

t.test('a request is answered once and logged once, however its client leaves', async (t) => {
  const upstream = await startUpstream(t)
  const post = 'Content-Length: 100\r\n'
  const requests: readonly (readonly [string, number, (port: number) => string])[] = [
    ['a refused body', 401, (port) => head(port, '/', post).replace('GET', 'POST')],
    ['half a refused body', 401, (port) => `${head(port, '/', post).replace('GET', 'POST')}half`],
    [
      'half a refused chunk',
      401,
      (port) => `${head(port, '/', 'Transfer-Encoding: chunked\r\n')}a\r\nhalf`,
    ],
    ['no body', 401, (port) => head(port, '/')],
    ['one that is let in', 200, (port) => head(port, link())],
    ['a refused upgrade', 401, (port) => handshake(port, '/ws')],
    ['a body too large', 413, (port) => head(port, link(), `Content-Length: ${2 ** 40}\r\n`)],
  ]
  for (const [name, status, request] of requests) {
    for (const way of ['FIN', 'reset'] as const) {
      const gateway = await startGateway(t, upstream.origin)
      const client = await dial(t, gateway.port)
      client.socket.write(request(gateway.port))
      t.equal((await client.until(headOf)).status, status, name)
      await gateway.audited(1)
      if (way === 'FIN') client.socket.end()
      else client.socket.resetAndDestroy()
      const bytes = `${await client.ended}`
      client.socket.destroy()
      await gateway.close()
      t.equal(bytes.split('HTTP/1.1 ').length - 1, 1, `${name}, ${way}: one answer`)
      t.equal((await gateway.audited(1)).length, 1, `${name}, ${way}: one line`)
    }
  }
})

async function serves(t: Test, { port }: Served): Promise<boolean> {
  const client = await dial(t, port)
  client.socket.write(head(port, link({}, '/serves'), 'Connection: close\r\n'))
  return headOf(await client.ended)?.status === 200
}
