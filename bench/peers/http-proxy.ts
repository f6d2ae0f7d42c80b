// @fastify/http-proxy, bare: nothing is checked, nothing is logged.
import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'

const app = fastify()
await app.register(httpProxy, {
  upstream: `http://${process.env['UPSTREAM']}`,
  websocket: true,
  wsServerOptions: { perMessageDeflate: false },
})
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) })
