import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIP, type Socket } from 'node:net'
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
  /** Whether a trusted proxy asks, whose trace goes on. */
  readonly trusted: boolean
}

/** Reads who asks from a request's connection and, of trusted proxies only, its headers. */
export type ReadClient = (request: IncomingMessage) => Client

/** `trusted` are addresses and CIDRs, `scheme` is the listener's own. */
export function clientReader(trusted: readonly string[], scheme: 'http' | 'https'): ReadClient {
  const trusts = trusted.length > 0 ? proxyaddr.compile([...trusted]) : () => false

  return (request) => {
    const { headers } = request
    const remote = addressOf(request.socket)
    const host = headers.host ?? headers[':authority']?.toString() ?? ''
    if (!trusts(remote, 0)) {
      return {
        ip: remote,
        addresses: remote,
        scheme,
        host,
        requestId: randomUUID(),
        trusted: false,
      }
    }
    const said = readForwarding(headers)
    const chain = [remote]
    for (const hop of said.addresses.reverse()) {
      if (isIP(hop) === 0 || !trusts(chain[0] ?? '', chain.length - 1)) break
      chain.unshift(hop)
    }
    const requestId = listed(headers['x-request-id'])[0] ?? ''
    return {
      ip: chain[0] ?? remote,
      addresses: chain.join(', '),
      scheme: said.proto === 'http' || said.proto === 'https' ? said.proto : scheme,
      host: isAuthority(said.host) ? said.host : host,
      requestId: /^[\w.:+/=-]{1,128}$/.test(requestId) ? requestId : randomUUID(),
      trusted: true,
    }
  }
}

/** The address of a connection's other end; '' once it is gone. */
export function addressOf({ remoteAddress = '' }: Socket): string {
  // A listener on all IPv6 addresses shows IPv4 clients in IPv6 clothes.
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/, '')
}

interface Forwarding {
  /** The client's first. */
  readonly addresses: string[]
  readonly proto: string
  readonly host: string
}

/**
 * What a trusted proxy says of the client: by X-Forwarded-*, or by Forwarded (RFC 7239) where there
 * is none of these. A proxy that writes one may pass on a client's other.
 */
function readForwarding(headers: IncomingHttpHeaders): Forwarding {
  const [addresses, protos, hosts] = ['for', 'proto', 'host'].map((name) =>
    listed(headers[`x-forwarded-${name}`]),
  )
  const written = [addresses, protos, hosts].some((list) => list && list.length > 0)
  const from = (name: string, list: string[] = []): string[] =>
    written ? list : forwardedPairs(headers.forwarded, name)
  return {
    addresses: from('for', addresses).map(withoutPort),
    proto: from('proto', protos).at(-1)?.toLowerCase() ?? '',
    host: from('host', hosts).at(-1) ?? '',
  }
}

/** The values of a parameter, one an element, of a Forwarded header; none of one that is malformed. */
function forwardedPairs(forwarded = '', name: string): string[] {
  const pair = /\s*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]*))\s*(?:[;,]|$)/gy
  const values: string[] = []
  let end = 0
  for (let match = pair.exec(forwarded); match !== null; match = pair.exec(forwarded)) {
    const [, parameter = '', quoted, token = ''] = match
    end = pair.lastIndex
    if (parameter.toLowerCase() === name) values.push(quoted?.replace(/\\(.)/g, '$1') ?? token)
    if (end === forwarded.length) break
  }
  return end === forwarded.length ? values : []
}

function withoutPort(node: string): string {
  const [, bracketed, plain] = /^(?:\[(.+)\](?::\d+)?|([^:]+):\d+)$/.exec(node) ?? []
  return bracketed ?? plain ?? node
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
