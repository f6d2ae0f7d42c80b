// A links API that closes answers what is on its way, and waits for nobody else.
import t from 'tap'
import { dial } from '../websocket/peer.ts'
import { basic, byIds, call, startLinks } from './stage.ts'

const text = JSON.stringify(byIds)
const head = [
  'POST /links HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/json',
  `Authorization: ${basic().Authorization}`,
  `Content-Length: ${text.length}`,
  '\r\n',
].join('\r\n')

t.test('a request that is there is answered, and then it is closed', async (t) => {
  const { origin, close } = await startLinks(t, 'https://gateway.example', { DRAIN_TIMEOUT: '1h' })
  const port = Number(new URL(origin).port)
  const [idle, asking] = [await dial(t, port), await dial(t, port)]
  asking.socket.write(head + text.slice(0, 1))
  // Once this is answered, that has begun.
  await call(origin, '/links', byIds)
  const closed = close()
  await idle.ended
  asking.socket.write(text.slice(1))
  t.match(String(await asking.ended), /^HTTP\/1.1 200 OK\r\n.*"url":"https:/s)
  await closed
})

t.test('one that never ends is not waited for past DRAIN_TIMEOUT', async (t) => {
  const { origin, close } = await startLinks(t, 'https://gateway.example', {
    DRAIN_TIMEOUT: '50ms',
  })
  const { socket, ended } = await dial(t, Number(new URL(origin).port))
  socket.write(head)
  await call(origin, '/links', byIds)
  await close()
  t.equal(String(await ended), '')
})
