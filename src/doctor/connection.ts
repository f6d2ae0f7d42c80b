import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { errorCode } from '../settings/parsers.ts'

/** The one place that is ever connected to. */
export interface Place {
  /** The base URL: origin, and base path if any. */
  readonly url: URL
  /** What its name was resolved to, once. */
  readonly addresses: readonly LookupAddress[]
  /** Milliseconds for a connection and what is asked over it. */
  readonly deadline: number
}

/** Resolves to an open connection; rejects with a system error, or at the signal. */
export async function connectPlain(place: Place, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp(optionsFor(place))
  await opened(socket, 'connect', signal)
  return socket
}

/**
 * The same over TLS. What it speaks and shows is for the checks to judge, so a wrong certificate does
 * not end it unless `rejectUnauthorized` says so.
 */
export async function connectSecurely(
  place: Place,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const host = hostOf(place.url)
  const socket = connectTls({
    // RFC 6066 §3: an address is no server name.
    servername: isIP(host) === 0 ? host : '',
    rejectUnauthorized: false,
    ...options,
    ...optionsFor(place),
  })
  await opened(socket, 'secureConnect', signal)
  return socket
}

/** What the system calls a failed connection; whatever else was thrown is a fault of our own. */
export function codeOf(error: unknown): string {
  const code = errorCode(error)
  if (code === null) throw error
  return code
}

/** The host of a URL as resolvers take it: an IPv6 address without brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

function optionsFor({ url, addresses }: Place): TcpNetConnectOpts {
  return {
    host: hostOf(url),
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    // All addresses are tried, and no second answer of the resolver's can lead elsewhere.
    autoSelectFamily: true,
    lookup: (_, _options, done) => done(null, [...addresses]),
  }
}

async function opened(socket: Socket, event: string, signal: AbortSignal): Promise<void> {
  // An error while nobody waits for one would end the process.
  socket.on('error', () => {})
  try {
    await once(socket, event, { signal })
  } catch (error) {
    socket.destroy()
    throw error
  }
}
