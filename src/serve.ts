import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Reason } from './access/decision.ts'
import { addressOf } from './client.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { createListener } from './listener.ts'
import type { Config } from './settings/config.ts'

export interface Serving extends Pick<Gateway, 'revoke'> {
  /** Where the gateway listens, as origins. */
  readonly addresses: readonly string[]
  /** Stops listening, ends what is under way within DRAIN_TIMEOUT, and is done. */
  readonly close: () => Promise<void>
}

/**
 * How long a connection is silent before TCP asks its peer for a sign of life, in ms. One that gives
 * none, ten times in ten seconds, is gone without a FIN: a pulled cable, a machine that fell over.
 */
const defaultProbeDelay = 60_000

/** Opens the public listener in front of a gateway; rejects where the address can't be had. */
export async function serve(
  config: Config,
  log: Logger,
  { probeDelay = defaultProbeDelay }: { readonly probeDelay?: number } = {},
): Promise<Serving> {
  const gateway = await createGateway(config, log, probeDelay)
  const server = createListener(config, log, probeDelay)
  const sockets = track(server, gateway, config.listener.maxConnections)
  const { host, port } = config.listener
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    await gateway.close(0)
    throw error
  }
  return {
    addresses: [originOf(server, config.listener.tls ? 'https' : 'http')],
    revoke: gateway.revoke,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      await gateway.close(config.drainTimeout)
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Leads requests, upgrades and what is neither to the gateway; returns the open connections. */
function track(
  server: Server | Http2SecureServer,
  gateway: Gateway,
  maxConnections: number,
): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  /** Connections that were in time: over HTTP/1 their sockets, over HTTP/2 their sessions. */
  const admitted = new WeakSet<object>()
  // Past this nobody is told, so that telling costs no more than the limit guards.
  server.maxConnections = Math.ceil(maxConnections * 1.1) + 10
  /** Answers under way, by connection. */
  const busy = new WeakMap<Socket, Set<ServerResponse>>()
  /** The request that each connection is at, or was. */
  const latest = new WeakMap<Socket, IncomingMessage>()
  const end = (socket: Socket, reason: Reason): void => {
    socket.end(gateway.refuseUnread(reason, addressOf(socket)))
    socket.destroySoon()
  }
  // A reset while nobody listens would end the process.
  const guard = (socket: Socket): unknown => socket.on('error', () => {})
  server.on('secureConnection', guard)
  server.on('connection', (socket: Socket) => {
    guard(socket)
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket, httpVersion } = request
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
      response.on('close', () => answers.delete(response))
    }
    if (isAdmitted(request)) {
      gateway.handle(request, response)
    } else {
      if (overHttp1) response.shouldKeepAlive = false
      gateway.refuseOverloaded(request, response)
    }
  }
  function isAdmitted(request: IncomingMessage): boolean {
    const connection = connectionOf(request)
    if (!admitted.has(connection) && sockets.size > maxConnections) return false
    admitted.add(connection)
    return true
  }
  server.on('request', handle)
  // 100 is sent when the upstream's side is reached: a refused body need not come at all.
  server.on('checkContinue', handle)
  server.on('checkExpectation', handle)
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    gateway.upgrade(request, socket, head, isAdmitted(request)),
  )
  server.on('connect', (request: IncomingMessage, peer: ServerResponse | Socket, head?: Buffer) => {
    if ('writeHead' in peer) gateway.refuseUnrouted(request, peer)
    else gateway.upgrade(request, peer, head ?? Buffer.alloc(0), isAdmitted(request))
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
    else if (error.code === 'HPE_INVALID_EOF_STATE' || !gateway.refuseRest(answer)) socket.destroy()
  })
  return sockets
}

const unread: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
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
