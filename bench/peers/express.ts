// Express with http-proxy-middleware and jsonwebtoken.
import { Agent, type IncomingMessage, ServerResponse } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import jsonwebtoken from 'jsonwebtoken'

/** 200, or the status of the refusal. */
function verdict(request: IncomingMessage): number {
  const query = new URL(request.url ?? '', 'http://workspace').searchParams
  const cookie = /(?:^|; )auth=([^;]*)/.exec(request.headers.cookie ?? '')?.[1]
  const token = query.get('auth') ?? cookie ?? ''
  try {
    const secret = process.env['JWT_SECRET'] ?? ''
    const claims = jsonwebtoken.verify(token, secret, { algorithms: ['HS256'] })
    if (typeof claims === 'string' || claims.exp === undefined) return 401
    for (const name of ['userId', 'sessionId']) {
      if (!query.has(name) && !query.has('auth')) continue
      if (query.get(name) !== claims[name]) return 403
    }
    return 200
  } catch {
    return 401
  }
}

const app = express()
const proxy = createProxyMiddleware({
  target: `http://${process.env['UPSTREAM']}`,
  agent: new Agent({ keepAlive: true }),
})
app.use((request, response, next) => {
  const status = verdict(request)
  if (status === 200) next()
  else response.status(status).json({ error: 'Refused' })
})
app.use(proxy)
const server = app.listen(Number(process.env['PORT']), '127.0.0.1')
server.on('upgrade', (request, _, head) => {
  const { socket } = request
  const status = verdict(request)
  if (status === 200) {
    proxy.upgrade(request, socket, head)
    return
  }
  const response = new ServerResponse(request)
  response.assignSocket(socket)
  response.writeHead(status, { connection: 'close' }).end()
  socket.end()
})
