import type { IncomingHttpHeaders } from 'node:http'
import { isSessionCookie } from '../access/session.ts'
import { withFrameAncestors } from './csp.ts'
import { canonicalName, optionsOf } from './request-headers.ts'

/** What an answer's headers depend on besides the upstream's. */
export interface Framing {
  /** CSP sources of `frame-ancestors`. */
  readonly frameAncestors: string
  readonly requestId: string
  /** Whether browsers reach the gateway by TLS. */
  readonly secure: boolean
}

/** Where an upstream's addresses lie, seen from the browser. */
export interface Mapping {
  readonly setCookies: readonly string[]
  /** The gateway's own origin. */
  readonly origin: string
  /** The upstream's origins. */
  readonly upstreamOrigins: readonly string[]
  /** The upstream's base path without its trailing slash; '' for none. */
  readonly basePath: string
  /** Whether anyone may have the answer, shared caches too. */
  readonly isPublic: boolean
}

export type Headers = Record<string, string | string[]>

// Hop-by-hop (RFC 9110 §7.6.1); what tells about the upstream; what leads past the gateway.
const dropped: ReadonlySet<string> = new Set([
  'alt-svc',
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'server',
  'strict-transport-security',
  'te',
  'transfer-encoding',
  'upgrade',
  'x-content-type-options',
  'x-frame-options',
  'x-powered-by',
  'x-request-id',
  'referrer-policy',
])
const droppedPrefix = 'access-control-allow-'

/** Of which there is one (RFC 9110): Node refuses to write more, and browsers differ in which they take. */
const single: ReadonlySet<string> = new Set([
  'age',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
  'location',
  'retry-after',
  'tk',
])
/** Lists that HTTP/2 wants in one line. */
const joined: ReadonlySet<string> = new Set(['content-encoding', 'content-language'])

/** The headers that every answer of the public listener carries. */
export function ownHeaders(framing: Framing): Headers {
  const headers: Headers = {}
  setOwn(headers, framing)
  return headers
}

function setOwn(headers: Headers, { frameAncestors, requestId, secure }: Framing): void {
  headers['content-security-policy'] = `frame-ancestors ${frameAncestors}`
  headers['x-content-type-options'] = 'nosniff'
  headers['referrer-policy'] = 'same-origin'
  headers['x-request-id'] = requestId
  if (secure) headers['strict-transport-security'] = 'max-age=31536000'
}

/** An upstream's headers, their names in lower case and their values Latin-1, made the gateway's. */
export function responseHeaders(
  received: IncomingHttpHeaders,
  framing: Framing,
  mapping: Mapping,
): Headers {
  // Without a prototype: upstreams may name a header `constructor`.
  const headers: Headers = Object.create(null)
  const named = optionsOf(listOf(received.connection).join(','))
  for (const name of Object.keys(received)) {
    const value = received[name]
    if (value === undefined || !isForwarded(name)) continue
    if (named.size > 0 && named.has(canonicalName(name))) continue
    headers[name] = typeof value === 'string' ? value : inOne(name, value)
  }
  const policies = headers['content-security-policy']
  const cookies = listOf(headers['set-cookie']).flatMap((line) => thirdParty(line, mapping))
  const own = mapping.setCookies.length > 0
  const location = headers['location']
  if (location !== undefined) headers['location'] = mapLocation(String(location), mapping)
  const caching = headers['cache-control']
  if (own || isHtml(headers['content-type'])) headers['cache-control'] = 'no-store'
  else if (caching !== undefined && !mapping.isPublic) {
    headers['cache-control'] = privately(listOf(caching).join(', '))
  }
  delete headers['set-cookie']
  setOwn(headers, framing)
  if (own || cookies.length > 0) headers['set-cookie'] = [...cookies, ...mapping.setCookies]
  if (policies !== undefined) {
    const { frameAncestors } = framing
    headers['content-security-policy'] = withFrameAncestors(listOf(policies), frameAncestors)
  }
  return headers
}

/** The values of a header that came more than once. */
function inOne(name: string, values: string[]): string | string[] {
  if (joined.has(name)) return values.join(', ')
  return single.has(name) ? (values[0] ?? '') : values
}

/** Whether a header or trailer of the upstream goes on at all. `name` is in lower case. */
export function isForwarded(name: string): boolean {
  return !dropped.has(name) && !name.startsWith(droppedPrefix)
}

function listOf(value: string | string[] | undefined): string[] {
  return value === undefined ? [] : [value].flat()
}

function isHtml(type: string | string[] | undefined): boolean {
  return /^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(listOf(type)[0] ?? '')
}

/** `public` and `s-maxage` (RFC 9111 §5.2.2) let a shared cache answer the next agent. */
function privately(cacheControl: string): string {
  const directives = cacheControl.split(',').map((directive) => directive.trim())
  const isShared = (directive: string): boolean => /^(?:public|s-maxage)\b/i.test(directive)
  if (!directives.some(isShared)) return cacheControl
  const kept = directives.filter(
    (directive) => !isShared(directive) && !/^private$/i.test(directive),
  )
  return ['private', ...kept].join(', ')
}

function mapLocation(location: string, { origin, upstreamOrigins, basePath }: Mapping): string {
  const base = upstreamOrigins[0]
  if (!URL.canParse(location, base)) return location
  const target = new URL(location, base)
  if (!upstreamOrigins.includes(target.origin)) return location
  const rest = withoutBase(target.pathname, basePath) + target.search + target.hash
  const relative = !/^(?:[a-z][a-z\d+.-]*:|[/\\]{2})/i.test(location)
  if (!relative) return origin + rest
  return location.startsWith('/') ? rest : location
}

function withoutBase(path: string, basePath: string): string {
  return basePath !== '' && `${path}/`.startsWith(`${basePath}/`)
    ? path.slice(basePath.length) || '/'
    : path
}

/**
 * A cookie of the workspace lives in the contact center's frame: third-party, so partitioned
 * (CHIPS). One that takes the gateway's name is dropped, as is one without a name, which browsers
 * send back as if its value were a whole cookie.
 */
function thirdParty(line: string, { basePath }: Mapping): string[] {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const equals = pair.indexOf('=')
  const name = pair.slice(0, Math.max(equals, 0)).trim()
  if (name === '' || isSessionCookie(name)) return []
  const kept = attributes
    .filter((attribute) => !/^(?:domain|samesite|secure|partitioned)\s*(?:=|$)/i.test(attribute))
    .filter((attribute) => attribute !== '')
    .map((attribute) => {
      const path = /^path\s*=\s*(.*)$/i.exec(attribute)?.[1]
      return path === undefined ? attribute : `Path=${withoutBase(path, basePath)}`
    })
  return [[pair, ...kept, 'Secure', 'SameSite=None', 'Partitioned'].join('; ')]
}
