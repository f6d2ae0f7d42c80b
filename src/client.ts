import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyaddr from '@fastify/proxy-addr'
import { isAuthority } from './access/target.ts'

/** Who asks, as far as the proxies in front are believed. */
export interface Client {
  readonly ip: string
  /** The addresses the request came through, the client's first: X-Forwarded-For as it goes on. */
  readonly addresses: string
  readonly scheme: 'http' | 'https'
  /** What the client called the gateway; '' where it did not say. */
  readonly host: string
  readonly requestId: string
}

/** Reads who asks from a request's connection and, of trusted proxies only, its headers. */
export type ReadClient = (request: IncomingMessage) => Client

/** `trusted` are addresses and CIDRs, `scheme` is the listener's own. */
export function clientReader(trusted: readonly string[], scheme: 'http' | 'https'): ReadClient {
  const trusts = trusted.length > 0 ? proxyaddr.compile([...trusted]) : () => false

  return (request) => {
    const { headers } = request
    // A listener on all IPv6 addresses shows IPv4 clients in IPv6 clothes.
    const remote = (request.socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '')
    const host = headers.host ?? headers[':authority']?.toString() ?? ''
    if (!trusts(remote, 0)) {
      return { ip: remote, addresses: remote, scheme, host, requestId: randomUUID() }
    }
    const chain = [remote]
    for (const hop of listed(headers['x-forwarded-for']).reverse()) {
      if (isIP(hop) === 0 || !trusts(chain[0] ?? '', chain.length - 1)) break
      chain.unshift(hop)
    }
    const proto = listed(headers['x-forwarded-proto']).at(-1)?.toLowerCase()
    const forwardedHost = listed(headers['x-forwarded-host']).at(-1) ?? ''
    const requestId = listed(headers['x-request-id']).at(0) ?? ''
    return {
      ip: chain[0] ?? remote,
      addresses: chain.join(', '),
      scheme: proto === 'http' || proto === 'https' ? proto : scheme,
      host: isAuthority(forwardedHost) ? forwardedHost : host,
      requestId: /^[\w.:+/=-]{1,128}$/.test(requestId) ? requestId : randomUUID(),
    }
  }
}

/** The origin that a client reached, as browsers serialize it (RFC 6454 §6.1). */
export function originOf(client: Client): string {
  const host = client.host.toLowerCase()
  const port = client.scheme === 'https' ? ':443' : ':80'
  return `${client.scheme}://${host.endsWith(port) ? host.slice(0, -port.length) : host}`
}

function listed(header: string | string[] | undefined): string[] {
  return (header ?? '')
    .toString()
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
