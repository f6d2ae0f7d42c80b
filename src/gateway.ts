import { randomUUID } from 'node:crypto'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  METHODS,
  ServerResponse,
  STATUS_CODES,
} from 'node:http'
import httpProxy from '@fastify/http-proxy'
import underPressure from '@fastify/under-pressure'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { type AccessRequest, claimedBy, decide, type Gate, hasUrlToken } from './access/access.ts'
import {
  type Decision,
  type Grant,
  nobody,
  type Reason,
  type Subject,
  type Ticket,
} from './access/decision.ts'
import { isOwn } from './access/paths.ts'
import { parseQuery } from './access/query.ts'
import { hash, type Session } from './access/session.ts'
import { parseTarget } from './access/target.ts'
import type { Keyring } from './access/token.ts'
import { type Client, clientReader, originOf } from './client.ts'
import type { Channels } from './forward/channels.ts'
import { type Carrier, type ClaimedBy, Exchange } from './forward/exchange.ts'
import { framedBy, indexSources } from './forward/frame-ancestors.ts'
import { isHandshake, type Upgrade } from './forward/handshake.ts'
import { HashedAssets } from './forward/hashed-assets.ts'
import { InFlight } from './forward/in-flight.ts'
import type { OpenExchanges } from './forward/open.ts'
import { createRewriter } from './forward/rewrite.ts'
import { createUpstream, hostFor } from './forward/upstream.ts'
import { createKeyring, type PublishedKeys } from './keys/keyring.ts'
import type { Audit } from './observe/audit.ts'
import type { Observations } from './observe/observations.ts'
import type { Tracing } from './observe/tracing.ts'
import { addOwnPages } from './own-pages.ts'
import { countsAsRefusal, refusal } from './refusal.ts'
import type { Config } from './settings/config.ts'
import type { Refusals } from './state/refusals.ts'
import type { Revocations, Revoked } from './state/revocations.ts'
import type { UsedTokens } from './state/used-tokens.ts'

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange | null
  }
}

/** What outlives a gateway: the next one goes on with it. */
export interface Shared {
  readonly open: OpenExchanges
  readonly channels: Channels
  readonly revocations: Revocations
  readonly usedTokens: UsedTokens
  readonly refusals: Refusals
  readonly audit: Audit
  /** Null where nobody traces. */
  readonly tracing: Tracing | null
  readonly publishedKeys: PublishedKeys
  /** By the settings of the gateway that serves. */
  readonly claimedBy: ClaimedBy
  /** No key verifies a token of this contact center's link, or, with null, of one that may be anybody's. */
  readonly keyWanted: (contactCenter: string | null) => void
  /** A browser has logged out. `before`: when its session was opened at the latest, in ms since the epoch. */
  readonly logOut: (revoked: Revoked, before: number) => void
  readonly observations: Pick<Observations, 'seen' | 'tokenVerified'>
}

/** A gateway without a listener: requests and upgrades come in, and nothing in it ever changes. */
export interface Gateway {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  /** `admitted`: whether the connection is not one too many. */
  readonly upgrade: (request: IncomingMessage, upgrade: Upgrade, admitted: boolean) => void
  /** Answers a request that can't be routed. */
  readonly refuseUnrouted: (request: IncomingMessage, response: ServerResponse) => void
  /** Answers a request on a connection too many. */
  readonly refuseOverloaded: (request: IncomingMessage, response: ServerResponse) => void
  /** Answers a request whose rest is no HTTP; false where its answer had begun. */
  readonly refuseRest: (response: ServerResponse) => boolean
  /** The HTTP/1.1 answer to bytes that never became a request; `ip` is the connection's, `said` what is known of them. */
  readonly refuseUnread: (reason: Reason, ip: string, said: IncomingHttpHeaders) => string
  /** Whether it would let the session in. */
  readonly honours: (session: Session) => boolean
  readonly claimedBy: ClaimedBy
  readonly keyring: Keyring
  /** What it decides by. */
  readonly gate: Gate
  /** Lets go of everything, once the last request in flight has its answer. */
  readonly close: () => Promise<void>
}

// CONNECT makes tunnels and TRACE shows one's own cookies to scripts: neither is carried.
const methods = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')

/**
 * Builds a gateway from its settings. Hooks and routes stand in the order a request meets them.
 * `probeDelay`: for how many ms the upstream may be silent before it is asked for a sign of life.
 */
export async function createGateway(
  config: Config,
  shared: Shared,
  log: Logger,
  probeDelay: number,
): Promise<Gateway> {
  const app = fastify({
    // Fastify's own lines carry URLs, and the URL carries the token.
    logger: false,
    exposeHeadRoutes: false,
    // The query is read once, by the checks.
    routerOptions: { querystringParser: () => ({}) },
    frameworkErrors: (_, request, reply) => refuseUnrouted(request.raw, reply.raw),
  })
  const { listener } = config
  const { open, audit, refusals, revocations } = shared
  // An app of its own: Fastify readies scopes one inside the other, and a thousand overflow its stack.
  const keyring = await createKeyring(fastify(), config, shared.publishedKeys, (names) => {
    for (const contactCenter of names) log.warn({ event: 'jwks', contactCenter, state: 'shared' })
  })
  const framers = indexSources(
    config.contactCenters.flatMap(({ frameAncestors }) => frameAncestors),
  )
  const ancestors = new Map(
    config.contactCenters.map(({ name, frameAncestors }) => [
      name,
      { sources: new Set(frameAncestors), policy: frameAncestors.join(' ') || "'none'" },
    ]),
  )
  const gate: Gate = { ...config, keyring, isRevoked: revocations.has }
  const readClient = clientReader(config.trustedProxies, listener.tls ? 'https' : 'http')
  const upstream = createUpstream(config.upstream, probeDelay)
  const inFlight = new InFlight()
  const pressure = await watchPressure(app)
  const carrier: Carrier = {
    upstream,
    keyring,
    isRevoked: revocations.has,
    claimedBy: shared.claimedBy,
    open,
    inFlight,
    audit,
    tracing: shared.tracing,
    refusals,
    rewriter: createRewriter(config.upstream.api, config.upstream.apiToken),
    channels: shared.channels,
    assets: new HashedAssets(),
    apiToken: config.upstream.apiToken,
    identityHeaders: config.identityHeaders,
    bodyLimit: listener.bodyLimit,
    messageLimit: listener.webSocketLimit,
    idleTimeout: listener.idleTimeout,
    upstreamTimeout: config.upstream.timeout,
  }

  app.decorateRequest('exchange', null)
  app.addHook('onRequest', (request, reply, done) => {
    const { exchange, decision } = begin(request.raw, reply.raw, null)
    request.exchange = exchange
    settle(exchange, decision, (settled) => {
      if (settled.allow) return done()
      reply.hijack()
      exchange.refuse(settled.reason)
    })
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
    keyring,
    onRenewed: (session) => open.renew(session),
    // A link that is opened later opens a session of its own.
    onLoggedOut: ({ contactCenter, userId, sessionId, start }, now) =>
      // Another replica's clock may be ahead of this one's.
      shared.logOut({ contactCenter, userId, sessionId }, Math.max(now, start + 1)),
  })
  // The short way: http-proxy reads three URLs before it calls its handler.
  app.route({
    method: ['GET', 'HEAD'],
    url: '/*',
    handler({ exchange }, reply) {
      reply.hijack()
      if (exchange !== null) carry(exchange, exchange.decision)
    },
  })
  const proxy = {
    undici: upstream.dispatcher,
    httpMethods: methods.filter((method) => method !== 'GET' && method !== 'HEAD'),
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
    refuseRest: (response) => open.refuseRest(response),
    upgrade(request, upgrade, admitted) {
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(request.socket)
      response.on('finish', () => request.socket.destroySoon())
      upgrade.answerWith(response)
      const { exchange, decision } = begin(request, response, upgrade)
      if (!admitted) exchange.refuse('overloaded')
      else if (!decision.allow) exchange.refuse(decision.reason)
      else if (isOwn(decision.path)) exchange.refuse('not-found')
      else if (!isHandshake(request)) exchange.refuse('request-malformed')
      else settle(exchange, decision, (settled) => carry(exchange, settled))
    },
    honours(session) {
      const { keyId, contactCenter } = session
      if (keyId !== '') return keyring.sessionKey(keyId) !== null && hasUrlToken(session, keyring)
      return (keyring.contactCenters.get(contactCenter) ?? config).enforcement === 'report'
    },
    claimedBy: (contactCenter, named, now) => claimedBy(gate, contactCenter, named, now),
    keyring,
    gate,
    async close() {
      await inFlight.done()
      await app.close()
      await upstream.dispatcher.destroy()
    },
  }

  function carry(exchange: Exchange, decision: Decision): void {
    if (!decision.allow) exchange.refuse(decision.reason)
    else exchange.forward(hostFor(upstream, decision.path).basePath + decision.path)
  }

  /** The one step that may have to be awaited: a token that opens one session only is used up. */
  function settle(
    exchange: Exchange,
    decision: Decision,
    onSettled: (settled: Decision) => void,
  ): void {
    if (!decision.allow || decision.ticket === null) onSettled(decision)
    else useUp(exchange, decision, decision.ticket).then(onSettled)
  }

  async function useUp(exchange: Exchange, grant: Grant, ticket: Ticket): Promise<Decision> {
    const verdict = await shared.usedTokens.use(ticket.id, ticket.until)
    if (verdict === 'first') return grant
    const settled = verdict === 'used' ? ticket.otherwise : ticket.unreachable
    exchange.revise(settled)
    return settled
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
    const key = decision.keyId === null ? null : keyring.key(decision.keyId)
    if (key !== null) shared.observations.tokenVerified(key.contactCenter.name, key)
    const refused = decision.allow ? decision.reported : decision.reason
    if (refused === 'token-invalid' && key === null) shared.keyWanted(ownerOfLink(facts.target))
    if (decision.allow && decision.session !== null) shared.observations.seen(decision.session)
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
          ? framingHint(request, decision.subject, origin)
          : originHint(decision.reason, facts, client)),
      page: () => foreignPage(request, own),
    })
    return { exchange, decision }
  }

  function ownerOfLink(target: string): string | null {
    const query = parseQuery(parseTarget(target)?.query ?? null)
    return query?.URLToken ? keyring.ownerOf(hash(query.URLToken)) : null
  }

  /** A request that the router could not read: its target is no better for the checks. */
  function refuseUnrouted(request: IncomingMessage, response: ServerResponse): void {
    const { exchange, decision } = begin(request, response, null)
    exchange.refuse(decision.allow ? 'request-malformed' : decision.reason)
  }

  function refuseUnread(unread: Reason, ip: string, said: IncomingHttpHeaders): string {
    const wait = countsAsRefusal(unread) ? refusals.count(ip, Date.now()) : 0
    const reason = wait > 0 ? 'rate-limited' : unread
    const requestId = randomUUID()
    const secure = config.publicOrigins?.[0]?.startsWith('https:') ?? listener.tls !== null
    const own = config.publicOrigins?.[0] ?? ''
    const framing = { frameAncestors: frameAncestors(nobody, said.referer, own), requestId, secure }
    const { status, headers, body } = refusal(reason, framing, said.accept, wait)
    const lines = Object.entries({ ...headers, connection: 'close' }).map((line) => line.join(': '))
    const client = {
      ip,
      addresses: ip,
      scheme: 'http',
      host: '',
      requestId,
      trusted: false,
    } as const
    audit({ decision: 'deny', reason, status, transport: 'http' }, client, nobody, Date.now())
    return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n')
  }

  /** A frame that the browser will keep shut looks like any other answer from here. */
  function framingHint(
    { headers }: IncomingMessage,
    { contactCenter }: Subject,
    own: string,
  ): string | null {
    if (headers['sec-fetch-dest'] !== 'iframe') return null
    const page = pageOf(headers.referer)
    if (page === null) return null
    const sources = ancestors.get(contactCenter ?? '')?.sources ?? new Set()
    const isFramed = sources.has(page) || framedBy([...sources], page, own)
    return isFramed ? null : `FRAME_ANCESTORS does not name ${page}`
  }

  /** Who may frame an answer: its contact center's pages, else the one that asks if it is allowed. */
  function frameAncestors(subject: Subject, referer: string | undefined, own: string): string {
    const policy = ancestors.get(subject.contactCenter ?? '')?.policy
    if (policy !== undefined) return policy
    const page = pageOf(referer)
    return page !== null && framedBy(framers(page), page, own) ? page : "'none'"
  }
}

/** The page that led here; null where that is the workspace's own. */
function foreignPage({ headers }: IncomingMessage, own: readonly string[]): string | null {
  const page = pageOf(headers.referer)
  return page === null || own.includes(page) ? null : page
}

/** The origin of the page that led to a request; null where it does not say. */
function pageOf(referer: string | undefined): string | null {
  const url = referer === undefined ? null : URL.parse(referer)
  return url === null || !/^https?:$/.test(url.protocol) ? null : url.origin
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

/** What is decided on, from the header lines as they came: Node drops or joins repeated ones. */
function accessRequest(
  request: IncomingMessage,
  own: readonly string[],
  upgrade: boolean,
): AccessRequest {
  const hosts: string[] = []
  const authorizations: string[] = []
  const cookies: string[] = []
  const { headers, rawHeaders } = request
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const lowered = rawHeaders[i]?.toLowerCase()
    const value = rawHeaders[i + 1] ?? ''
    // RFC 9113 §8.3.1: a Host beside :authority says the same.
    if (lowered === ':authority' || (lowered === 'host' && hosts[0] !== value)) hosts.push(value)
    else if (lowered === 'host' && !('stream' in request)) hosts.push(value)
    else if (lowered === 'authorization') authorizations.push(value)
    else if (lowered === 'cookie') cookies.push(value)
  }
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
