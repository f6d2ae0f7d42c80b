import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Session } from 'node:http2'
import { Server as NetServer, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Reason } from './access/decision.ts'
import { addressOf } from './client.ts'
import { awaitUpgrade } from './forward/handshake.ts'
import type { Gateway } from './gateway.ts'

/** Leads requests, upgrades and what is neither to the gateway that serves at that moment. */
export function leadConnections(
  server: Server | Http2SecureServer,
  current: () => Gateway,
  maxConnections: number,
): Connections {
  const sockets = new Set<Socket>()
  /** Connections that were in time: over HTTP/1 their sockets, over HTTP/2 their sessions. */
  const admitted = new WeakSet<object>()
  /** What HTTP/1 connections are at. */
  const busy = new WeakMap<Socket, Busy>()
  const secure = new Set<TLSSocket>()
  const http2 = new Set<Http2Session>()
  /** Those that are WebSockets. */
  const upgraded = new WeakSet<Socket>()
  let most = maxConnections
  const limit = (connections: number): void => {
    most = connections
    // Past this nobody is told, so that telling costs no more than the limit guards.
    server.maxConnections = Math.ceil(most * 1.1) + 10
  }
  limit(maxConnections)
  const end = (socket: Socket, reason: Reason, said: IncomingHttpHeaders): void => {
    socket.end(current().refuseUnread(reason, addressOf(socket), said))
    socket.destroySoon()
  }
  /** Once the answers that are under way are out: nothing more is asked on that connection. */
  const afterAnswers = (socket: Socket, next: () => void): void => {
    const at = busy.get(socket)
    if (at !== undefined) {
      if (at.next !== null) return
      at.next = next
    }
    if (at === undefined || at.answers.length === 0) next()
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
  const begin = (socket: Socket, latest: IncomingMessage): Busy => {
    const at: Busy = { answers: [], latest, next: null }
    busy.set(socket, at)
    socket.once('close', () => setImmediate(closeWaiting, at.answers))
    return at
  }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request
    const overHttp1 = !('stream' in request)
    if (overHttp1) {
      const at = busy.get(socket) ?? begin(socket, request)
      const { answers } = at
      // Said behind what ends its connection.
      if (at.next !== null) return
      if (!isFramed(request)) {
        afterAnswers(socket, () => end(socket, 'request-malformed', request.headers))
        return
      }
      // A client that waits for none of them fills a process with requests in a single turn.
      if (answers.length === mostWaiting) {
        at.next = () => {}
        current().refuseUnread('request-malformed', addressOf(socket), request.headers)
        socket.destroy()
        return
      }
      at.latest = request
      answers.push(response)
      response.on('close', () => {
        const place = answers.indexOf(response)
        if (place >= 0) answers.splice(place, 1)
        if (answers.length === 0 && !socket.destroyed) at.next?.()
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
    if (admitted.has(connection)) return true
    if (sockets.size > most) return false
    admitted.add(connection)
    return true
  }
  server.on('request', handle)
  // 100 is sent when the upstream's side is reached: a refused body need not come at all.
  server.on('checkContinue', handle)
  server.on('checkExpectation', handle)
  const upgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const at = busy.get(socket)
    if (at !== undefined && at.next !== null) return
    const waiting = awaitUpgrade(socket, head, () => at?.answers[0])
    afterAnswers(socket, () => {
      upgraded.add(socket)
      current().upgrade(request, waiting, isAdmitted(request))
    })
  }
  server.on('upgrade', upgrade)
  server.on('connect', (request: IncomingMessage, peer: ServerResponse | Socket, head?: Buffer) => {
    if ('writeHead' in peer) current().refuseUnrouted(request, peer)
    else upgrade(request, peer, head ?? Buffer.alloc(0))
  })
  server.on('clientError', (error: Unread, socket: Socket) => {
    // Browsers open connections ahead; one that never said a word asked for nothing.
    const silent = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.bytesRead === 0
    const reset = error.code === 'ECONNRESET' || !socket.writable
    const at = busy.get(socket)
    if (silent || reset) {
      socket.destroy()
    } else if (at === undefined || at.latest.complete) {
      const reason = unread[error.code ?? ''] ?? 'request-malformed'
      afterAnswers(socket, () => end(socket, reason, said(error.rawPacket)))
    } else {
      // What is no HTTP here is the rest of a request.
      const answer = at.answers.at(-1)
      // Whoever ends in the middle of a body has left.
      const left = answer === undefined || error.code === 'HPE_INVALID_EOF_STATE'
      if (!left && current().refuseRest(answer)) return
      if (!left && answer.writableEnded) afterAnswers(socket, () => socket.destroySoon())
      else socket.destroy()
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
        for (const answer of busy.get(socket)?.answers ?? []) answer.shouldKeepAlive = false
        afterAnswers(socket, () => socket.destroySoon())
      }
    },
    async stop(patience) {
      // http.Server's own close() cuts idle connections, on which a request may be on its way.
      NetServer.prototype.close.call(server)
      for (const session of http2) session.close()
      const quiet = Promise.withResolvers<void>()
      for (const socket of sockets) {
        socket.once('close', () => {
          if (sockets.size === 0) quiet.resolve()
        })
      }
      const timer = setTimeout(quiet.resolve, sockets.size === 0 ? 0 : patience)
      await quiet.promise
      clearTimeout(timer)
    },
    destroy() {
      for (const socket of sockets) socket.destroy()
      server.close(() => {})
    },
  }
}

/** Requests of one connection that wait for their answers: browsers and proxies send the next one after the last. */
const mostWaiting = 64

interface Busy {
  /** Under way. */
  readonly answers: ServerResponse[]
  /** The request that it is at, or was. */
  latest: IncomingMessage
  /** What comes once all are out; null while more may be asked. */
  next: (() => void) | null
}

/** The open connections of a listener. */
export interface Connections {
  readonly count: () => number
  /** So many may be open. */
  readonly limit: (most: number) => void
  /** Ends all that are open: the idle ones now, the others with their answers. */
  readonly renew: () => void
  /** Takes no more; resolves once none is open, or nobody has used them for a while. */
  readonly stop: (patience: number) => Promise<void>
  readonly destroy: () => void
}

/** Whether it is one of HTTP/1 that says where it ends: llhttp takes 0.9 and 2.0 for versions, too, and chunks in 1.0 (RFC 9112 §6.1). */
function isFramed({ httpVersion, headers }: IncomingMessage): boolean {
  if (httpVersion === '1.0') return headers['transfer-encoding'] === undefined
  return httpVersion === '1.1'
}

/** Why Node.js read no further, and the bytes at which it stopped: what came in one piece. */
interface Unread extends NodeJS.ErrnoException {
  readonly rawPacket?: Buffer
}

/** What decides how a refusal looks, as far as it can be told from bytes that are no request. */
function said(bytes: Buffer | undefined): IncomingHttpHeaders {
  const text = bytes?.toString('latin1') ?? ''
  const [, accept] = /\r\naccept:([^\r]*)/i.exec(text) ?? []
  const [, referer] = /\r\nreferer:([^\r]*)/i.exec(text) ?? []
  return { accept, referer: referer?.trim() }
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

/**
 * Tells answers that waited for their turn on a connection that it is gone. Node.js 22 does not, and all
 * that was held for them would stay: https://github.com/nodejs/node/pull/62534
 */
function closeWaiting(answers: readonly ServerResponse[]): void {
  for (const answer of [...answers]) answer.destroy().emit('close')
}
