// What wants the connection for itself may come behind a request that has no answer yet: nobody else
// is to notice.
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { until } from '../process/operated.ts'
import { ask, link, startGateway, startUpstream } from '../stage.ts'

const refused = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const slow = `GET ${link({}, '/slow')} HTTP/1.1\r\nHost: a\r\n\r\n`
const webSocket = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const tunnel = 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'
const cleartext =
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n'

const rows: readonly (readonly [string, readonly string[]])[] = [
  ['a WebSocket behind a refusal, in one piece', [refused + webSocket]],
  ['a tunnel behind a refusal, in one piece', [refused + tunnel]],
  ['HTTP/2 behind a refusal, in one piece', [refused + cleartext]],
  ['a WebSocket while the workspace is asked', [slow, webSocket]],
]

for (const [name, pieces] of rows) {
  t.test(name, async (t) => {
    const upstream = await startUpstream(t, (request, response) => {
      if (request.url?.startsWith('/slow')) setTimeout(() => response.end('ok'), 300)
      else response.end('ok')
    })
    const gateway = await startGateway(t, upstream.origin)
    const socket = connect(gateway.port, '127.0.0.1')
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    for (const piece of pieces) {
      socket.write(piece)
      await wait(50)
    }
    await Promise.race([gateway.audited(2), wait(10_000, null, { ref: false })])
    await until(() => text !== '')
    socket.destroy()
    t.match(text, /^HTTP\/1\.1 (?:200|401) /, 'the first has its answer')
    t.equal((await ask(gateway.origin, link())).status, 200, 'and others go on')
    const lines = await Promise.race([gateway.audited(3), wait(10_000, [], { ref: false })])
    t.equal(lines.length, 3, 'a line each')
  })
}

t.test('a client that leaves meanwhile is noticed, and each request has one line', async (t) => {
  const asked = Promise.withResolvers<void>()
  const cancelled = Promise.withResolvers<void>()
  const upstream = await startUpstream(t, (request, response) => {
    if (request.url?.startsWith('/slow')) {
      asked.resolve()
      response.on('close', () => cancelled.resolve())
    } else {
      response.end('ok')
    }
  })
  const gateway = await startGateway(t, upstream.origin)
  const fast = `GET ${link({}, '/fast')} HTTP/1.1\r\nHost: a\r\n\r\n`
  const socket = connect(gateway.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(slow + fast + slow + webSocket)
  await asked.promise
  await until(() => upstream.seen.length === 3)
  socket.destroy()
  await cancelled.promise
  const lines = await gateway.audited(3)
  t.equal((await ask(gateway.origin, link())).status, 200)
  await gateway.audited(4)
  t.strictSame(
    gateway.lines.filter(({ event }) => event === 'access').map(({ status }) => status),
    [499, 200, 499, 200],
  )
  t.equal(new Set(lines.map(({ requestId }) => requestId)).size, 3)
})
