// What one would write first: @fastify/jwt in a hook, @fastify/http-proxy, Fastify's own log.
import httpProxy from '@fastify/http-proxy'
import jwt from '@fastify/jwt'
import fastify from 'fastify'

const app = fastify({ logger: true })

interface Ids {
  readonly userId?: string
  readonly sessionId?: string
  readonly auth?: string
}
const isIds = (query: unknown): query is Ids => typeof query === 'object'

await app.register(jwt, {
  secret: process.env['JWT_SECRET'] ?? '',
  verify: {
    algorithms: ['HS256'],
    requiredClaims: ['exp'],
    extractToken: ({ query, headers }) =>
      (isIds(query) ? query.auth : undefined) ??
      /(?:^|; )auth=([^;]*)/.exec(headers.cookie ?? '')?.[1],
  },
})
app.addHook<{ Querystring: Ids }>('onRequest', async (request, reply) => {
  const claims = await request.jwtVerify<Ids>().catch(() => null)
  if (claims === null) return reply.code(401).send({ error: 'Unauthorized' })
  const { query } = request
  for (const name of ['userId', 'sessionId'] as const) {
    if (query[name] === undefined && query.auth === undefined) continue
    if (query[name] !== claims[name]) return reply.code(403).send({ error: 'Forbidden' })
  }
})
await app.register(httpProxy, {
  upstream: `http://${process.env['UPSTREAM']}`,
  websocket: true,
  wsServerOptions: { perMessageDeflate: false },
})
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) })
