// A WebSocket's close frame holds 123 bytes of reason: proxies that put an upstream's error text
// into one were ended by a longer text.
import t from 'tap'
import { ask, link, startGateway, startSocketUpstream } from '../stage.ts'
import { bodyOf, dial, handshake, headOf } from '../websocket/peer.ts'

const long = 'x'.repeat(124)
const rows: readonly (readonly [name: string, answer: string, status: number])[] = [
  ['a phrase of 124 bytes', `HTTP/1.1 500 ${long}\r\nContent-Length: 0\r\n\r\n`, 500],
  [
    'a phrase of 10,000 bytes',
    `HTTP/1.1 503 ${'x'.repeat(10_000)}\r\nContent-Length: 0\r\n\r\n`,
    503,
  ],
  [
    'a header of 10,000 bytes',
    `HTTP/1.1 401 No\r\nX-Error: ${'x'.repeat(10_000)}\r\nContent-Length: 0\r\n\r\n`,
    401,
  ],
  ['a body of 124 bytes', `HTTP/1.1 500 No\r\nContent-Length: 124\r\n\r\n${long}`, 500],
  [
    'a body of a megabyte',
    `HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1_000_000)}`,
    500,
  ],
  [
    'a phrase in UTF-8',
    `HTTP/1.1 500 ${'\u00c3\u00a9'.repeat(62)}\r\nContent-Length: 0\r\n\r\n`,
    500,
  ],
  ['no answer, but a text', `${long}\r\n\r\n`, 502],
]

t.test('its client is told, and the gateway lives', async (t) => {
  let bytes = ''
  const upstream = await startSocketUpstream(t, (socket) => {
    socket.end(bytes, 'latin1')
  })
  const gateway = await startGateway(t, upstream.origin)
  for (const [name, answer, status] of rows) {
    for (const path of ['/ws', '/socket.io/']) {
      bytes = answer
      const client = await dial(t, gateway.port)
      client.socket.write(handshake(gateway.port, link({}, path)))
      const told = await client.ended
      client.socket.end()
      t.equal(headOf(told)?.status, status, `${name}, ${path}`)
      const body = answer.split('\r\n\r\n')[1] ?? ''
      if (status !== 502) t.equal(bodyOf(told).length, body.length, `${name}: whole`)
    }
  }
  bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  t.equal((await ask(gateway.origin)).body, 'ok', 'the next request is served')
})
