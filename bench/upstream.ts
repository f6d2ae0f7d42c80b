// The workspace as a program: what nginx can't be for it, and all of it where there is no nginx.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { accepting } from '../test/websocket/peer.ts'
import { asset, assets, immutable, page, rewrittenPage } from './site.ts'
import { answered, event, eventPause, messageLength } from './words.ts'

const pages = new Map([page, rewrittenPage, asset, ...assets].map((one) => [one.path, one]))
const streams = new Set<ServerResponse>()

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const path = request.url?.split('?')[0] ?? ''
  if (request.method === 'POST') return receive(request, response)
  if (path === '/events') return stream(response)
  const found = pages.get(path)
  if (found === undefined) {
    response.writeHead(404).end()
    return
  }
  const caching = path.startsWith('/assets/') ? { 'cache-control': immutable } : {}
  response.writeHead(200, {
    'content-type': found.type,
    'content-length': found.body.length,
    ...caching,
  })
  response.end(found.body)
})
server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
  let bytes = 0
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  // Answers as many whole messages as have arrived.
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    for (; bytes >= messageLength; bytes -= messageLength) socket.write(answered)
  })
  socket.write(accepting(request))
})
setInterval(() => {
  for (const response of streams) response.write(event)
}, eventPause)
server.listen(Number(process.env['PORT']), '127.0.0.1')

/** Takes all of the body, and says how much it was. */
function receive(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => {
    const body = String(bytes)
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length })
    response.end(body)
  })
}

function stream(response: ServerResponse): void {
  // nginx buffers what does not say this.
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
  response.flushHeaders()
  streams.add(response)
  response.on('close', () => streams.delete(response))
}
