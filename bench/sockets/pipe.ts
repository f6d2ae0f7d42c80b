// The least that Node can do for two sockets: pipes both ways, nothing looked at.
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

const [upstream = '', cert = '', key = ''] = process.argv.slice(2)
const relay = (client: Socket): void => {
  const server = connect({ port: Number(upstream), host: '127.0.0.1', noDelay: true })
  client.pipe(server).pipe(client)
  client.on('error', () => server.destroy())
  server.on('error', () => client.destroy())
}
const listener =
  cert === ''
    ? createServer({ noDelay: true }, relay)
    : createTlsServer({ cert: readFileSync(cert), key: readFileSync(key), noDelay: true }, relay)
listener.listen(0, '127.0.0.1', () => {
  const address: AddressInfo | string | null = listener.address()
  console.log(address instanceof Object ? address.port : '')
})
