// A gateway that stops answers what is on its way on a connection that it had kept.
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { answersIn, link, startGateway, startUpstream } from '../stage.ts'

t.test('a request that crosses the end of its idle connection', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { DRAIN_TIMEOUT: '60s' })
  const request = `GET ${link()} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`
  const socket = connect(gateway.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  const closed = once(socket, 'close')
  socket.write(request)
  await gateway.audited(1)
  socket.write(request)
  await gateway.close()
  await closed
  const [first, second] = answersIn(text.replace(/(?=HTTP\/1\.1)/g, ''))
  t.match(first, { status: 200 })
  t.match(second, { status: 200, headers: { connection: 'close' } })
})
