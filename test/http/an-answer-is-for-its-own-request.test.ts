// An upstream that speaks out of turn, or says too much: nobody else gets to see it, and what is
// held of it is bounded.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ask, link, listen, startGateway } from '../stage.ts'
import { dial } from '../websocket/peer.ts'

const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

interface Told {
  readonly origin: string
  /** What is done on the next connection, before and after its first request. */
  onConnection: (socket: Socket) => void
  onRequest: (socket: Socket) => void
  readonly sockets: Socket[]
}

async function startUpstream(t: Test): Promise<Told> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    told.onConnection(socket)
    socket.on('data', () => told.onRequest(socket))
  })
  const told: Told = {
    origin: `http://127.0.0.1:${await listen(server)}`,
    onConnection: () => {},
    onRequest: (socket) => socket.write(ok),
    sockets,
  }
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return told
}

t.test('an answer on a connection that idles is nobody’s', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  for (const [name, bytes] of [
    ['whole', evil],
    ['half', evil.slice(0, 20)],
    ['a timeout', 'HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n'],
    ['a hint', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['a 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['no HTTP', 'what?'],
  ] as const) {
    t.equal((await ask(gateway.origin, link())).body, 'ok', `${name}: before`)
    const socket = upstream.sockets.at(-1)
    if (socket === undefined) throw new Error('no connection')
    const gone = once(socket, 'close')
    socket.write(bytes)
    await gone
    t.equal((await ask(gateway.origin, link())).body, 'ok', `${name}: the next`)
  }
})

t.test('nor where the next request is there as soon as it', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const request = `GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`
  for (let i = 0; i < 50; i += 1) {
    const client = await dial(t, gateway.port)
    client.socket.write(request)
    await client.until((bytes) => (/ok$/.test(`${bytes}`) ? true : null))
    // Both are there before the gateway looks.
    upstream.sockets.at(-1)?.write(evil)
    client.socket.write(request)
    const text = await client.until((bytes) => /ok.*(?:ok|EVIL|\})$/s.exec(`${bytes}`)?.[0] ?? null)
    t.notMatch(text, 'EVIL')
    client.socket.destroy()
  }
})

t.test('interim answers without end are not waited for', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { UPSTREAM_TIMEOUT: '1s' })
  const hint = Buffer.from(
    'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'.repeat(100),
  )
  upstream.onRequest = (socket) => {
    const more = (): void => {
      if (!socket.destroyed) socket.write(hint, () => setImmediate(more))
    }
    more()
  }
  const answer = await ask(gateway.origin, link())
  t.equal(answer.status, 504)
  upstream.onRequest = (socket) => socket.write(ok)
  t.equal((await ask(gateway.origin, link())).body, 'ok', 'and the next is well')
})

t.test('a head, a size or trailers without end are cut', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { UPSTREAM_TIMEOUT: '1s' })
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n'
  for (const [name, start, more, status] of [
    ['a head', 'HTTP/1.1 200 OK\r\n', 'X: y\r\n'.repeat(1000), 502],
    ['a header line', 'HTTP/1.1 200 OK\r\nX: ', 'x'.repeat(10_000), 502],
    ['a status line', 'HTTP/1.1 200 ', 'x'.repeat(10_000), 504],
    ['a chunk’s extension', `${chunked}1;`, 'x'.repeat(10_000), 200],
    ['trailers', `${chunked}0\r\n`, 'X: y\r\n'.repeat(1000), 200],
  ] as const) {
    const closed = new Promise<void>((resolve) => {
      upstream.onRequest = (socket) => {
        socket.once('close', () => resolve())
        const pour = (): void => {
          if (!socket.destroyed) socket.write(more, () => setImmediate(pour))
        }
        socket.write(start, pour)
      }
    })
    const answer = await ask(gateway.origin, link())
    await closed
    t.equal(answer.status, status, name)
    if (status === 200) t.notOk(answer.complete, `${name}: does not look whole`)
    upstream.onRequest = (socket) => socket.write(ok)
    t.equal((await ask(gateway.origin, link())).body, 'ok', `${name}: and the next is well`)
  }
})
