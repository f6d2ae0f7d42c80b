import { once } from 'node:events'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { listen } from '../stage.ts'

/** The first bytes of a TLS client. */
export async function clientHello(): Promise<Buffer> {
  const server = createServer()
  const port = await listen(server)
  const client = connect({ port, host: '127.0.0.1', servername: 'localhost' })
  client.on('error', () => {})
  const [socket] = await once(server, 'connection')
  const [hello] = await once(socket, 'data')
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}
