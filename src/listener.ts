import { createServer, type Server } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import { addressOf } from './client.ts'
import type { Config } from './settings/config.ts'
import { errorCode } from './settings/parsers.ts'
import { createRefusals, type Refusals } from './state/refusals.ts'

/** 32 kB of headers are accepted, beside the request line. */
const maxHeaderSize = 36 * 1024
/** Longer than the minute for which load balancers keep their connections. */
const keepAliveTimeout = 75_000
/** How often Node looks for heads that take too long. */
const connectionsCheckingInterval = 1000
/** For what is still on its way on an HTTP/2 connection that has been said goodbye to. */
const lingerTimeout = 5000
/** Forward secrecy for every certificate: TLS 1.3, and of TLS 1.2 what exchanges keys by ECDHE. */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE+AESGCM',
  'ECDHE+CHACHA20',
].join(':')

/** The public listener, with all its deadlines: HTTP/1.1, or over TLS HTTP/2 and 1.1. `probeDelay` is in ms. */
export function createListener(
  config: Config,
  log: Logger,
  probeDelay: number,
  onHandshakeFailed: () => void,
): Server | Http2SecureServer {
  const { tls, headersTimeout } = config.listener
  const http1 = {
    keepAlive: true,
    keepAliveInitialDelay: probeDelay,
    // Node's HTTP/2 server leaves Nagle's algorithm on for the HTTP/1 that it speaks.
    noDelay: true,
    maxHeaderSize,
    headersTimeout,
    keepAliveTimeout,
    connectionsCheckingInterval,
    // A body has a deadline of its own: the time since its last byte.
    requestTimeout: 0,
    // Answered by the gateway, with the headers that every answer has.
    requireHostHeader: false,
  }
  if (tls === null) return createServer(http1)
  const server = createSecureServer({
    ...http1,
    ...secureContext(tls),
    ...clientCertificates(tls),
    allowHTTP1: true,
    handshakeTimeout: headersTimeout,
    settings: { maxHeaderListSize: maxHeaderSize, maxConcurrentStreams: 128 },
  })
  // The options are read for HTTP/1 servers only.
  Object.assign(server, { headersTimeout, requestTimeout: 0, keepAliveTimeout })
  logHandshakes(server, createRefusals(config.rateLimit), log, onHandshakeFailed)
  endIdleSessions(server, headersTimeout)
  return server
}

/** Where a listener listens, as an origin. */
export function listeningAt(server: Server | Http2SecureServer, scheme: 'http' | 'https'): string {
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') return ''
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${scheme}://${host}:${address.port}`
}

/** Gives a listener the certificates and deadlines of other settings, for connections to come. */
export function renewListener(server: Server | Http2SecureServer, { listener }: Config): void {
  const { tls, headersTimeout } = listener
  if (tls !== null && 'setSecureContext' in server) {
    // Sessions of before can't be resumed: the tickets' keys are new, too.
    server.setSecureContext(secureContext(tls))
    // setSecureContext() leaves these as they are.
    Object.assign(server, clientCertificates(tls))
  }
  Object.assign(server, { headersTimeout })
}

type Tls = NonNullable<Config['listener']['tls']>

/** What of TLS may change while a listener listens. */
export function secureContext({ cert, key, clientCa }: Tls): SecureContextOptions {
  const ca = clientCa === null ? {} : { ca: clientCa }
  return { cert, key, ...ca, minVersion: 'TLSv1.2', ciphers }
}

function clientCertificates({ clientCa }: Tls): {
  requestCert: boolean
  rejectUnauthorized: boolean
} {
  return { requestCert: clientCa !== null, rejectUnauthorized: clientCa !== null }
}

/** A handshake that fails is ended and, up to a rate, logged. */
function logHandshakes(
  server: Http2SecureServer,
  failures: Refusals,
  log: Logger,
  onFailed: () => void,
): void {
  // Node hands it on as a clientError, but there is no TLS that an answer could be sent over.
  server.removeAllListeners('tlsClientError')
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    const ip = addressOf(socket)
    socket.destroy()
    const code = errorCode(error)
    // Who leaves has been refused nothing: health checks connect and go.
    if (code === 'ECONNRESET') return
    onFailed()
    if (failures.count(ip, Date.now())) return
    log.info({ event: 'tls-error', code, ip })
  })
}

/**
 * Node has no deadline for an HTTP/2 session that never begins, and none that its frames don't
 * put off. Here a session has `headersTimeout` ms for its first SETTINGS, and lasts for as long as
 * it has streams, or has had within `keepAliveTimeout`.
 */
function endIdleSessions(server: Http2SecureServer, headersTimeout: number): void {
  // A session does not let its socket be destroyed; it is made while Node hears of this one.
  let latest: TLSSocket | null = null
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    latest = socket
  })
  server.on('session', (session) => {
    const socket = latest
    if (socket === null) return
    let streams = 0
    let timer = setTimeout(() => socket.destroy(), headersTimeout)
    const wait = (): void => {
      clearTimeout(timer)
      if (socket.destroyed) return
      timer = setTimeout(() => {
        session.close()
        // The client may neither read the goodbye nor say one.
        timer = setTimeout(() => socket.destroy(), lingerTimeout)
      }, keepAliveTimeout)
    }
    session.once('remoteSettings', wait)
    session.on('stream', (stream) => {
      streams += 1
      clearTimeout(timer)
      stream.once('close', () => {
        streams -= 1
        if (streams === 0) wait()
      })
    })
    socket.once('close', () => clearTimeout(timer))
  })
}
