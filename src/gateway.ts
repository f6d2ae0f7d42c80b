import { randomUUID } from 'node:crypto'
import { type IncomingMessage, METHODS, ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import httpProxy from '@fastify/http-proxy'
import underPressure from '@fastify/under-pressure'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { type AccessRequest, decide, type Gate } from './access/access.ts'
import type { Decision, Reason, Subject } from './access/decision.ts'
import { isOwn } from './access/paths.ts'
import { type Client, clientReader, originOf } from './client.ts'
import { Channels } from './forward/channels.ts'
import { type Carrier, Exchange } from './forward/exchange.ts'
import { framedBy } from './forward/frame-ancestors.ts'
import { awaitUpgrade, isHandshake, type Upgrade } from './forward/handshake.ts'
import { OpenExchanges } from './forward/open.ts'
import { pairs } from './forward/request-headers.ts'
import { createRewriter } from './forward/rewrite.ts'
import { createUpstream, hostFor } from './forward/upstream.ts'
import { createKeys } from './keys.ts'
import { createAudit } from './observe/audit.ts'
import { addOwnPages } from './own-pages.ts'
import { countsAsRefusal, refusal } from './refusal.ts'
import type { Config, ContactCenter } from './settings/config.ts'
import { createRefusals } from './state/refusals.ts'
import { createRevocations, isRevokedBy, type Revoked } from './state/revocations.ts'

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange | null
  }
}

/** A gateway without a listener: requests and upgrades come in, all state is its own. */
export interface Gateway {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  /** `admitted`: whether the connection is not one too many. */
  readonly upgrade: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    admitted: boolean,
  ) => void
  /** Answers a request that can't be routed. */
  readonly refuseUnrouted: (request: IncomingMessage, response: ServerResponse) => void
  /** Answers a request on a connection too many. */
  readonly refuseOverloaded: (request: IncomingMessage, response: ServerResponse) => void
  /** Answers a request whose rest is no HTTP; false where its answer had begun. */
  readonly refuseRest: (response: ServerResponse) => boolean
  /** The HTTP/1.1 answer to bytes that never became a request; `ip` is the connection's. */
  readonly refuseUnread: (reason: Reason, ip: string) => string
  /** Ends sessions before their time: those that are open within a second, later requests at once. */
  readonly revoke: (revoked: Revoked) => void
  /** Ends what is under way, after at most `timeout` ms. */
  readonly close: (timeout: number) => Promise<void>
}

// CONNECT makes tunnels and TRACE shows one's own cookies to scripts: neither is carried.
const methods = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')

/**
 * Builds a gateway from its settings. Hooks and routes stand in the order a request meets them.
 * `probeDelay`: for how many ms the upstream may be silent before it is asked for a sign of life.
 */
export async function createGateway(
  config: Config,
  log: Logger,
  probeDelay: number,
): Promise<Gateway> {
  const app = fastify({
    // Fastify's own lines carry URLs, and the URL carries the token.
    logger: false,
    exposeHeadRoutes: false,
    frameworkErrors: (_, request, reply) => refuseUnrouted(request.raw, reply.raw),
  })
  const { listener, contactCenter } = config
  const keys = await createKeys(app, contactCenter)
  const revocations = createRevocations()
  const gate: Gate = { ...config, keys, isRevoked: revocations.has }
  const readClient = clientReader(config.trustedProxies, listener.tls ? 'https' : 'http')
  const upstream = createUpstream(config.upstream, probeDelay)
  const open = new OpenExchanges()
  const pressure = await watchPressure(app)
  const carrier: Carrier = {
    upstream,
    open,
    audit: createAudit(log),
    refusals: createRefusals(config.rateLimit),
    rewriter: createRewriter(config.upstream.api, config.upstream.apiToken),
    channels: new Channels(),
    apiToken: config.upstream.apiToken,
    identityHeaders: config.identityHeaders,
    bodyLimit: listener.bodyLimit,
    messageLimit: listener.webSocketLimit,
    idleTimeout: listener.idleTimeout,
    upstreamTimeout: config.upstream.timeout,
  }

  const exchanges = new WeakMap<ServerResponse, Exchange>()

  app.decorateRequest('exchange', null)
  app.addHook('onRequest', (request, reply, done) => {
    const { exchange, decision } = begin(request.raw, reply.raw, null)
    request.exchange = exchange
    if (decision.allow) return done()
    reply.hijack()
    exchange.refuse(decision.reason)
  })
  app.setNotFoundHandler((request, reply) => {
    reply.hijack()
    request.exchange?.refuse('request-malformed')
  })
  app.setErrorHandler((error, request, reply) => {
    const refused =
      error instanceof Error && 'statusCode' in error && Number(error.statusCode) < 500
    if (!refused) log.error({ event: 'internal-error', err: error })
    reply.hijack()
    request.exchange?.refuse(refused ? 'request-malformed' : 'internal-error')
  })

  // To Fastify no method has a body: bodies are carried, never parsed.
  for (const method of methods) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  }
  addOwnPages(app, methods, {
    keys,
    onRenewed: (session) => open.renew(session),
    // A link that is opened later opens a session of its own.
    onLoggedOut: ({ key, userId, sessionId }, before) =>
      revoke({ contactCenter: key.contactCenter.name, userId, sessionId }, before),
  })
  const proxy = {
    undici: upstream.dispatcher,
    httpMethods: methods,
    handler(request: FastifyRequest, reply: FastifyReply, path: string): void {
      reply.hijack()
      request.exchange?.forward(path)
    },
  }
  await app.register(httpProxy, {
    ...proxy,
    upstream: config.upstream.api.href,
    routes: ['/socket.io/', '/socket.io/*'],
  })
  await app.register(httpProxy, { ...proxy, upstream: config.upstream.page.href })
  await app.ready()

  return {
    handle(request, response) {
      // Fastify answers a method that no parser knows past all hooks; HTTP/2 lets one through.
      if (METHODS.includes(request.method ?? '')) app.routing(request, response)
      else refuseUnrouted(request, response)
    },
    refuseUnrouted,
    refuseOverloaded: (request, response) =>
      begin(request, response, null).exchange.refuse('overloaded'),
    refuseUnread,
    refuseRest: (response) => exchanges.get(response)?.refuseRest() ?? false,
    upgrade(request, socket, head, admitted) {
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(request.socket)
      response.on('finish', () => request.socket.destroySoon())
      const { exchange, decision } = begin(request, response, awaitUpgrade(socket, head, response))
      if (!admitted) exchange.refuse('overloaded')
      else if (!decision.allow) exchange.refuse(decision.reason)
      else if (isOwn(decision.path)) exchange.refuse('not-found')
      else if (!isHandshake(request)) exchange.refuse('request-malformed')
      else exchange.forward(hostFor(upstream, decision.path).basePath + decision.path)
    },
    revoke,
    async close(timeout) {
      await open.drain(timeout)
      await app.close()
      await upstream.dispatcher.destroy()
    },
  }

  /** `before`: when the last session was opened that this ends, in ms since the epoch. */
  function revoke(revoked: Revoked, before = Number.POSITIVE_INFINITY): void {
    const until = Date.now() + config.sessions.maxAge
    const revocation = { ...revoked, before, until }
    revocations.add(revocation)
    open.revoke((session) => isRevokedBy(revocation, session))
  }

  /** From the request's bytes to the decision, for HTTP and upgrades alike. */
  function begin(
    request: IncomingMessage,
    response: ServerResponse,
    upgrade: Upgrade | null,
  ): { readonly exchange: Exchange; readonly decision: Decision } {
    const client = readClient(request)
    const reached = originOf(client)
    const own = config.publicOrigins ?? [reached]
    const facts = accessRequest(request, own, upgrade !== null)
    const decided = decide(facts, gate, Date.now())
    const isOver = decided.allow && decided.isNew && pressure()
    const decision: Decision = isOver ? { ...decided, allow: false, reason: 'overloaded' } : decided
    const origin = own.includes(reached) ? reached : (own[0] ?? reached)
    const exchange = new Exchange(carrier, request, response, upgrade, {
      decision,
      client,
      origin,
      framing: {
        frameAncestors: frameAncestors(decision.subject, request.headers.referer, origin),
        requestId: client.requestId,
        secure: origin.startsWith('https:'),
      },
      hint:
        decision.hint ??
        (decision.allow
          ? framingHint(request, origin)
          : originHint(decision.reason, facts, client)),
    })
    exchanges.set(response, exchange)
    return { exchange, decision }
  }

  /** A request that the router could not read: its target is no better for the checks. */
  function refuseUnrouted(request: IncomingMessage, response: ServerResponse): void {
    const { exchange, decision } = begin(request, response, null)
    exchange.refuse(decision.allow ? 'request-malformed' : decision.reason)
  }

  function refuseUnread(unread: Reason, ip: string): string {
    const wait = countsAsRefusal(unread) ? carrier.refusals.count(ip, Date.now()) : 0
    const reason = wait > 0 ? 'rate-limited' : unread
    const requestId = randomUUID()
    const secure = config.publicOrigins?.[0]?.startsWith('https:') ?? listener.tls !== null
    const framing = { frameAncestors: "'none'", requestId, secure }
    const { status, headers, body } = refusal(reason, framing, undefined, wait)
    const lines = Object.entries({ ...headers, connection: 'close' }).map((line) => line.join(': '))
    const client = { ip, addresses: ip, scheme: 'http', host: '', requestId } as const
    carrier.audit(
      { decision: 'deny', reason, status, transport: 'http' },
      client,
      { contactCenter: null, userId: null, sessionId: null },
      Date.now(),
    )
    return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n')
  }

  /** A frame that the browser will keep shut looks like any other answer from here. */
  function framingHint({ headers }: IncomingMessage, own: string): string | null {
    const { referer } = headers
    if (headers['sec-fetch-dest'] !== 'iframe' || !referer || !URL.canParse(referer)) return null
    const { origin } = new URL(referer)
    return framedBy(contactCenter.frameAncestors, origin, own)
      ? null
      : `FRAME_ANCESTORS does not name ${origin}`
  }

  /** Who may frame an answer: its contact center's pages, else the one that asks if it is allowed. */
  function frameAncestors(subject: Subject, referer: string | undefined, own: string): string {
    if (subject.contactCenter !== null) return sources(subject.contactCenter)
    if (referer === undefined || !URL.canParse(referer)) return "'none'"
    const { origin } = new URL(referer)
    return framedBy(contactCenter.frameAncestors, origin, own) ? origin : "'none'"
  }
}

/** Tells whether the process is overloaded; sessions already in go on, new ones have to wait. */
async function watchPressure(app: FastifyInstance): Promise<() => boolean> {
  const scopes: FastifyInstance[] = []
  // A scope of its own: requests are not its business, the gateway asks when one opens a session.
  await app.register(async (scope) => {
    await scope.register(underPressure, {
      maxEventLoopDelay: 1000,
      sampleInterval: 1000,
      pressureHandler: () => {},
    })
    scopes.push(scope)
  })
  return () => scopes.some((scope) => scope.isUnderPressure())
}

function sources({ frameAncestors }: ContactCenter): string {
  return frameAncestors.length > 0 ? frameAncestors.join(' ') : "'none'"
}

/** What is decided on, from the header lines as they came: Node drops or joins repeated ones. */
function accessRequest(
  request: IncomingMessage,
  own: readonly string[],
  upgrade: boolean,
): AccessRequest {
  const hosts: string[] = []
  const authorizations: string[] = []
  const cookies: string[] = []
  for (const [name, value] of pairs(request.rawHeaders)) {
    const lowered = name.toLowerCase()
    // RFC 9113 §8.3.1: a Host beside :authority says the same.
    if (lowered === ':authority' || (lowered === 'host' && hosts[0] !== value)) hosts.push(value)
    else if (lowered === 'host' && !('stream' in request)) hosts.push(value)
    else if (lowered === 'authorization') authorizations.push(value)
    else if (lowered === 'cookie') cookies.push(value)
  }
  const { headers } = request
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    upgrade,
    hosts,
    authorizations,
    cookie: cookies.join('; '),
    origin: headers.origin,
    fetchSite: text(headers['sec-fetch-site']),
    fetchMode: text(headers['sec-fetch-mode']),
    own,
  }
}

function text(header: string | string[] | undefined): string | undefined {
  return header?.toString()
}

/** TLS that ends before the gateway is the usual cause of a refused origin. */
function originHint(reason: Reason, { origin, own }: AccessRequest, client: Client): string | null {
  const behindTls = origin === originOf({ ...client, scheme: 'https' })
  return reason === 'origin-refused' && behindTls
    ? `PUBLIC_URL should name ${origin}; it is ${own.join(' ')} now`
    : null
}
