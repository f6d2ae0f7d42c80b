import type { IncomingMessage } from 'node:http'
import { STATUS_CODES } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { addressOf } from '../client.ts'
import type { Explanation } from '../explain/explain.ts'
import type { NoLink } from '../explain/link.ts'
import { listeningAt } from '../listener.ts'
import type { Overview, Scope } from '../observe/overview.ts'
import { createRefusals } from '../state/refusals.ts'
import type { Revoked } from '../state/revocations.ts'
import { createEvents } from './events.ts'
import { readDashboard } from './files.ts'
import { type Access, createGuard, type Denied } from './guard.ts'
import { Invalid, isMalformed, readParameters } from './parameters.ts'
import { readRevocation } from './revocation.ts'
import { makeRoom } from './room.ts'

export interface AdminSettings {
  readonly host: string
  readonly port: number
  /** null: whoever may connect may read. */
  readonly token: string | null
}

/** What the admin listener asks of the processes that serve. */
export interface Sources {
  readonly overview: Overview
  /** Ends sessions, and resolves to how far that reaches once it is done. */
  readonly revoke: (revoked: Revoked) => Promise<Scope>
  /** What would be said of a link, its values masked; `page` is the one that would frame it, or ''. */
  readonly explain: (link: string, page: string) => Promise<Explanation | NoLink>
  /** Where the dashboard's files are; beside this file unless said. */
  readonly dashboard?: string
}

export interface Admin {
  /** Where it listens, as an origin. */
  readonly address: string
  /** Asks for another token from now on; null: for none. */
  readonly changeToken: (token: string | null) => void
  /** Ends event streams and connections, and is done. */
  readonly close: () => Promise<void>
}

const most = { connections: 200, listed: 1000, listedByDefault: 100, link: 64 * 1024 }
/** Tokens that were not it, by address, of which past the rate each is logged no more and waits, in ms. */
const guesses = { count: 10, window: 60_000, delay: 1000 }

const notText = 'must be text'

const securityHeaders = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** Opens the admin listener; rejects where the address can't be had. */
export async function createAdmin(
  settings: AdminSettings,
  { overview, revoke, explain, dashboard }: Sources,
  log: Logger,
): Promise<Admin> {
  const { host, port } = settings
  let { token } = settings
  const guard = createGuard(host, () => token)
  const failures = createRefusals(guesses)
  const events = createEvents(overview)
  const app = fastify({
    logger: false,
    // What is no HTTP or comes too slowly is Node's to answer: nobody but operators gets this far.
    connectionTimeout: 0,
    requestTimeout: 10_000,
    keepAliveTimeout: 75_000,
    bodyLimit: 1,
    forceCloseConnections: true,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1000, maxHeaderSize: 32 * 1024 },
    // A target that the router can't read meets no hook.
    frameworkErrors: async (_, request, reply) =>
      (await refuse(request, reply)) ?? malformed(request, reply),
  })
  makeRoom(app.server, most.connections)
  app.addHook('onRequest', refuse)
  app.setNotFoundHandler((_, reply) => problem(reply, 404))
  app.setErrorHandler((error, _, reply) => {
    const status = error instanceof Error ? Number(Reflect.get(error, 'statusCode') ?? 500) : 500
    if (status >= 500) log.error({ event: 'internal-error', err: error })
    problem(reply, status)
  })

  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', async (_, reply) => {
    await overview.upstreamsKnown()
    const { draining, hanging, ready, redis, upstreams } = overview.readiness()
    if (draining) return reply.code(503).send({ status: 'draining' })
    if (hanging) return reply.code(503).send({ status: 'hanging' })
    if (!ready) {
      const unreachable = upstreams
        .filter(({ up }) => up !== true)
        .map(({ name, error }) => ({ name, error }))
      return reply.code(503).send({ status: 'upstream-unreachable', upstreams: unreachable })
    }
    return redis?.up === false ? { status: 'degraded', redis: 'unreachable' } : { status: 'ready' }
  })
  app.get('/metrics', async (_, reply) => {
    reply.type('text/plain; version=0.0.4; charset=utf-8')
    return overview.metrics()
  })
  app.get('/events', (request, reply) => {
    reply.hijack()
    for (const [name, value] of Object.entries(securityHeaders)) reply.raw.setHeader(name, value)
    if (request.method === 'HEAD') {
      reply.raw.writeHead(200, { 'Content-Type': 'text/event-stream' }).end()
    } else if (!events.send(reply.raw)) {
      const body = JSON.stringify(problemOf(503, { detail: 'Too many are reading.' }))
      reply.raw.writeHead(503, { 'Content-Type': 'application/problem+json', 'Retry-After': '30' })
      reply.raw.end(body)
    }
  })
  app.get('/sessions', async (request, reply) => {
    const values = readParameters(request.url.split('?')[1] ?? '', ['search', 'limit'])
    if (values instanceof Invalid) return problem(reply, 400, values)
    const limit = values.get('limit') ?? String(most.listedByDefault)
    if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > most.listed) {
      return problem(reply, 400, { field: 'limit', detail: `must be 1 to ${most.listed}` })
    }
    const { scope } = await overview.status()
    return { scope, ...(await overview.sessions(values.get('search') ?? '', Number(limit))) }
  })
  for (const url of ['/sessions', '/sessions/*']) {
    app.delete(url, async (request, reply) => {
      const { contactCenters } = await overview.status()
      const names = contactCenters.map(({ name }) => name)
      const revoked = readRevocation(request.url, names)
      if (revoked instanceof Invalid) return problem(reply, 400, revoked)
      const scope = await revoke(revoked)
      overview.revoked(revoked)
      log.info({ event: 'revocation', scope, ...revoked, ip: addressOf(request.raw.socket) })
      return { scope, revoked }
    })
  }
  // A link lets in: it comes in a body, which no log and no history keeps.
  app.post('/explain', { bodyLimit: most.link }, async (request, reply) => {
    const { link, page = '' }: Readonly<Record<string, unknown>> = Object(request.body)
    if (typeof link !== 'string') return problem(reply, 400, { field: 'link', detail: notText })
    if (typeof page !== 'string') return problem(reply, 400, { field: 'page', detail: notText })
    const explanation = await explain(link, page)
    return 'problem' in explanation
      ? problem(reply, 400, { field: explanation.field, detail: explanation.problem })
      : explanation
  })
  for (const [path, { type, body }] of readDashboard(dashboard)) {
    app.get(path, (_, reply) => reply.type(type).send(body))
  }

  await app.listen({ host, port })
  return {
    address: listeningAt(app.server, 'http'),
    changeToken(changed) {
      token = changed
    },
    async close() {
      events.close()
      await app.close()
    },
  }

  /** Answers a request that may get no other answer. */
  async function refuse(
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply | undefined> {
    reply.headers(securityHeaders)
    const denied = guard(request.raw, accessTo(request.raw))
    if (denied === null) return undefined
    await tellOf(denied, request.raw)
    if (denied.status === 401) {
      reply.header('www-authenticate', 'Bearer realm="copilot-gateway admin"')
    }
    return problem(reply, denied.status, { detail: denied.detail })
  }

  /** Who guesses tokens is seen, and slow. */
  async function tellOf({ status, detail }: Denied, request: IncomingMessage): Promise<void> {
    const ip = addressOf(request.socket)
    const isOver = failures.count(ip, Date.now()) > 0
    if (!isOver) log.warn({ event: 'admin', status, detail, method: request.method, ip })
    else if (status === 401) await delay(guesses.delay, undefined, { ref: false })
  }
}

function accessTo({ method = '', url = '' }: IncomingMessage): Access {
  const [path = ''] = url.split('?', 1)
  if (method !== 'GET' && method !== 'HEAD') return 'change'
  const isOpen = path === '/' || path === '/healthz' || path === '/readyz'
  return isOpen || path.startsWith('/assets/') ? 'open' : 'read'
}

function malformed({ url }: FastifyRequest, reply: FastifyReply): FastifyReply {
  const field = url.startsWith('/sessions/') ? { field: 'sessionId' } : {}
  return problem(reply, 400, { ...field, detail: isMalformed })
}

interface Said {
  readonly field?: string
  readonly detail: string
}

/** RFC 9457 */
function problem(reply: FastifyReply, status: number, said?: Said): FastifyReply {
  return (
    reply
      .code(status)
      .type('application/problem+json')
      // To text Fastify would add a charset, of which RFC 8259 knows none.
      .send(Buffer.from(JSON.stringify(problemOf(status, said))))
  )
}

function problemOf(status: number, said?: Said): Readonly<Record<string, unknown>> {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? '', status, ...said }
}
