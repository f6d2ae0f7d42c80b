import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import type { Reason } from './access/decision.ts'
import { addressOf } from './client.ts'
import { Channels } from './forward/channels.ts'
import { OpenExchanges } from './forward/open.ts'
import { createGateway, type Gateway, type Shared } from './gateway.ts'
import { createPublishedKeySets, type Times } from './keys/published-keys.ts'
import { createListener, renewListener } from './listener.ts'
import { createAudit } from './observe/audit.ts'
import { createObservations, type Facts, type Observations } from './observe/observations.ts'
import type { Tracing } from './observe/tracing.ts'
import type { Config } from './settings/config.ts'
import { isRevokedBy, type Revocation, type Revoked } from './state/revocations.ts'
import { createState, type State } from './state/state.ts'

export interface Serving extends Pick<Observations, 'report' | 'reloaded'> {
  /** Where the gateway listens, as origins. */
  readonly addresses: readonly string[]
  /**
   * Ends sessions before their time: those that are open within a second, later requests at once,
   * until the last of them would have ended.
   */
  readonly revoke: (revoked: Revoked) => void
  /** Of the same kind, from another process of this gateway. */
  readonly hearRevocation: (revocation: Revocation) => void
  readonly onRevoked: State['onRevoked']
  readonly scope: State['scope']
  /**
   * Puts a gateway with other settings in the place of the one that serves, which finishes what it is
   * at. Rejects, and nothing has changed, where that can't be.
   */
  readonly reload: (config: Config, warnings?: readonly string[]) => Promise<void>
  /** Stops listening, ends what is under way within DRAIN_TIMEOUT, and is done. */
  readonly close: () => Promise<void>
}

export interface ServeOptions {
  /** What is doubtful about the settings, for operators. */
  readonly warnings?: readonly string[]
  /** How many lines the log has lost. */
  readonly linesDropped?: () => number
  /** null: nobody traces. */
  readonly tracing?: Tracing | null
  readonly probeDelay?: number
  /** How often published keys are fetched. */
  readonly keySetTimes?: Partial<Times>
}

/**
 * How long a connection is silent before TCP asks its peer for a sign of life, in ms. One that gives
 * none, ten times in ten seconds, is gone without a FIN: a pulled cable, a machine that fell over.
 */
const defaultProbeDelay = 60_000

/** Opens the public listener in front of a gateway; rejects where the address can't be had. */
export async function serve(
  initial: Config,
  log: Logger,
  {
    probeDelay = defaultProbeDelay,
    linesDropped = () => 0,
    tracing = null,
    ...options
  }: ServeOptions = {},
): Promise<Serving> {
  const inTurn = oneAtATime()
  let config = initial
  let warnings = options.warnings ?? []
  /** The longest that any session of this process may last. */
  let longest = config.sessions.maxAge
  const open = new OpenExchanges()
  const state = await createState(config, log)
  const observations = createObservations(facts)
  state.onRevoked((revocation) => {
    open.revoke((session) => isRevokedBy(revocation, session))
    observations.revoked(revocation, false)
  })
  const revoke = (revoked: Revoked, before = Number.POSITIVE_INFINITY): void =>
    state.revocations.add({ ...revoked, before, until: Date.now() + longest })
  const keySets = createPublishedKeySets(log, renewKeys, options.keySetTimes)
  const channels = new Channels()
  const audit = createAudit(log, observations.observe)
  const build = (next: Config): Promise<Gateway> => {
    const shared: Shared = {
      open,
      channels,
      audit,
      tracing,
      observations,
      revocations: state.revocations,
      usedTokens: state.usedTokens,
      refusals: state.refusals(next.rateLimit),
      claimedBy: (...claim) => gateway.claimedBy(...claim),
      publishedKeys: keySets.keysOf,
      keyWanted: keySets.wanted,
      logOut(revoked, before) {
        observations.revoked(revoked, true)
        revoke(revoked, before)
      },
    }
    return createGateway(next, shared, log, probeDelay)
  }
  // What comes until the first gateway is built, that one knows.
  let renewing = true
  let closing = false
  await keySets.follow(config.contactCenters)
  renewing = false
  const retiring = new Set<Promise<void>>()
  let gateway = await inTurn(() => build(config))
  const server = createListener(config, log, probeDelay, observations.handshakeFailed)
  const connections = track(server, () => gateway, config.listener.maxConnections)
  const { host, port } = config.listener
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    closing = true
    await keySets.close()
    await inTurn(() => gateway.close())
    await state.close()
    throw error
  }
  return {
    addresses: [originOf(server, config.listener.tls ? 'https' : 'http')],
    report: observations.report,
    reloaded: observations.reloaded,
    revoke: (revoked) => revoke(revoked),
    hearRevocation: state.revocations.add,
    onRevoked: state.onRevoked,
    scope: state.scope,
    reload: (next, doubts = []) =>
      inTurn(async () => {
        if (closing) return
        // Should it come to nothing, no key is lost.
        await keySets.follow([...config.contactCenters, ...next.contactCenters])
        try {
          await reload(next)
          warnings = doubts
        } finally {
          await keySets.follow(config.contactCenters)
        }
      }),
    async close() {
      closing = true
      const closed = new Promise((resolve) => server.close(resolve))
      await keySets.close()
      await inTurn(() => open.drain(config.drainTimeout))
      await Promise.all([gateway.close(), ...retiring])
      connections.destroy()
      await closed
      await state.close()
    },
  }

  async function reload(next: Config): Promise<void> {
    const successor = await build(next)
    const clientCa = config.listener.tls?.clientCa
    try {
      renewListener(server, next)
    } catch (error) {
      await successor.close()
      throw error
    }
    config = next
    longest = Math.max(longest, next.sessions.maxAge)
    connections.limit(next.listener.maxConnections)
    replace(successor)
    if (clientCa !== next.listener.tls?.clientCa) {
      open.restartStreams()
      connections.renew()
    }
  }

  function replace(successor: Gateway): void {
    const predecessor = gateway
    gateway = successor
    open.revokeStreams((session) => !successor.honours(session))
    const retired = predecessor.close().finally(() => retiring.delete(retired))
    retiring.add(retired)
  }

  /** Published keys have changed, and nothing in a gateway does. */
  function renewKeys(): void {
    if (renewing) return
    renewing = true
    inTurn(async () => {
      renewing = false
      if (!closing) replace(await build(config))
    }).catch((err) => log.error({ event: 'internal-error', err }))
  }

  function facts(): Facts {
    const cert = config.listener.tls?.cert
    return {
      enforcement: config.enforcement,
      connections: connections.count(),
      logLinesDropped: linesDropped(),
      certificate:
        cert === undefined ? null : { expires: new X509Certificate(cert).validToDate.getTime() },
      redis: state.redis(),
      warnings,
      contactCenters: config.contactCenters.map((contactCenter) => ({
        name: contactCenter.name,
        enforcement: contactCenter.enforcement,
        frameAncestors: contactCenter.frameAncestors,
        urlTokens: contactCenter.urlTokens?.length ?? null,
        jwks: keySets.stateOf(contactCenter.name),
        keys: gateway.keyring.keysOf(contactCenter.name),
      })),
    }
  }
}

/** Begins a step when the one before has ended, however it did. */
function oneAtATime(): <T>(step: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (step) => {
    const done = last.then(step)
    last = done.catch(() => {})
    return done
  }
}

interface Connections {
  readonly count: () => number
  /** So many may be open. */
  readonly limit: (most: number) => void
  /** Ends all that are open: the idle ones now, the others with their answers. */
  readonly renew: () => void
  readonly destroy: () => void
}

/** Leads requests, upgrades and what is neither to the gateway that serves at that moment. */
function track(
  server: Server | Http2SecureServer,
  current: () => Gateway,
  maxConnections: number,
): Connections {
  const sockets = new Set<Socket>()
  /** Connections that were in time: over HTTP/1 their sockets, over HTTP/2 their sessions. */
  const admitted = new WeakSet<object>()
  /** Answers under way, by connection. */
  const busy = new WeakMap<Socket, Set<ServerResponse>>()
  /** The request that each connection is at, or was. */
  const latest = new WeakMap<Socket, IncomingMessage>()
  const secure = new Set<TLSSocket>()
  const http2 = new Set<Http2Session>()
  /** Those that are WebSockets, and those that end with the answers they are at. */
  const upgraded = new WeakSet<Socket>()
  const leaving = new WeakSet<Socket>()
  let most = maxConnections
  const limit = (connections: number): void => {
    most = connections
    // Past this nobody is told, so that telling costs no more than the limit guards.
    server.maxConnections = Math.ceil(most * 1.1) + 10
  }
  limit(maxConnections)
  const end = (socket: Socket, reason: Reason): void => {
    socket.end(current().refuseUnread(reason, addressOf(socket)))
    socket.destroySoon()
  }
  // A reset while nobody listens would end the process.
  const guard = (socket: Socket): unknown => socket.on('error', () => {})
  server.on('secureConnection', (socket: TLSSocket) => {
    guard(socket)
    secure.add(socket)
    socket.on('close', () => secure.delete(socket))
  })
  server.on('connection', (socket: Socket) => {
    guard(socket)
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('session', (session: Http2Session) => {
    http2.add(session)
    session.on('close', () => http2.delete(session))
  })
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket, httpVersion } = request
    // Said behind a request that was under way when its connection was no longer welcome.
    if (leaving.has(socket)) return
    const overHttp1 = !('stream' in request)
    // llhttp takes 0.9 and 2.0 for versions of HTTP/1.
    if (overHttp1 && httpVersion !== '1.1' && httpVersion !== '1.0') {
      end(socket, 'request-malformed')
      return
    }
    if (overHttp1) {
      const answers = busy.get(socket) ?? new Set()
      busy.set(socket, answers.add(response))
      latest.set(socket, request)
      response.on('close', () => {
        answers.delete(response)
        if (answers.size === 0 && leaving.has(socket)) socket.destroySoon()
      })
    }
    if (isAdmitted(request)) {
      current().handle(request, response)
    } else {
      if (overHttp1) response.shouldKeepAlive = false
      current().refuseOverloaded(request, response)
    }
  }
  function isAdmitted(request: IncomingMessage): boolean {
    const connection = connectionOf(request)
    if (!admitted.has(connection) && sockets.size > most) return false
    admitted.add(connection)
    return true
  }
  server.on('request', handle)
  // 100 is sent when the upstream's side is reached: a refused body need not come at all.
  server.on('checkContinue', handle)
  server.on('checkExpectation', handle)
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (leaving.has(socket)) return
    upgraded.add(socket)
    current().upgrade(request, socket, head, isAdmitted(request))
  })
  server.on('connect', (request: IncomingMessage, peer: ServerResponse | Socket, head?: Buffer) => {
    if ('writeHead' in peer) current().refuseUnrouted(request, peer)
    else current().upgrade(request, peer, head ?? Buffer.alloc(0), isAdmitted(request))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // Browsers open connections ahead; one that never said a word asked for nothing.
    const silent = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0
    const reset = error.code === 'ECONNRESET' || !socket.writable
    const [answer, ...others] = busy.get(socket) ?? []
    // What is no HTTP here is the rest of a request that has its answer.
    const answered = answer === undefined && latest.get(socket)?.complete === false
    if (silent || reset || answered || others.length > 0) socket.destroy()
    else if (answer === undefined) end(socket, unread[error.code ?? ''] ?? 'request-malformed')
    // Whoever ends in the middle of a body has left.
    else if (error.code === 'HPE_INVALID_EOF_STATE' || !current().refuseRest(answer)) {
      socket.destroy()
    }
  })
  return {
    count: () => sockets.size,
    limit,
    renew() {
      // A handshake that has begun ends by the certificates it began with.
      const secured = new Set([...secure].map(endsOf))
      for (const socket of sockets) if (!secured.has(endsOf(socket))) socket.destroy()
      for (const session of http2) session.close()
      for (const socket of secure) {
        if (socket.alpnProtocol === 'h2' || upgraded.has(socket)) continue
        const answers = busy.get(socket)
        if (answers === undefined || answers.size === 0) socket.destroy()
        else leaving.add(socket)
        for (const answer of answers ?? []) answer.shouldKeepAlive = false
      }
    },
    destroy() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

const unread: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
}

/** Tells connections apart. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return [remoteAddress, remotePort, localAddress, localPort].join()
}

/** What lasts from one request to the next. */
function connectionOf(request: IncomingMessage): object {
  const stream: unknown = Reflect.get(request, 'stream')
  const session: unknown = stream instanceof Object ? Reflect.get(stream, 'session') : undefined
  return session instanceof Object ? session : request.socket
}

function originOf(server: Server | Http2SecureServer, scheme: string): string {
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') return ''
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}
