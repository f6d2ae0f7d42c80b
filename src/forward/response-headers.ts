import { isSessionCookie } from '../access/session.ts'
import { withFrameAncestors } from './csp.ts'
import { canonicalName, connectionOptions, pairs } from './request-headers.ts'

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
export function ownHeaders({ frameAncestors, requestId, secure }: Framing): Headers {
  const headers: Headers = {
    'content-security-policy': `frame-ancestors ${frameAncestors}`,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'x-request-id': requestId,
  }
  if (secure) headers['strict-transport-security'] = 'max-age=31536000'
  return headers
}

/** An upstream's headers made the gateway's. `raw` are names and values in turn, Latin-1. */
export function responseHeaders(
  raw: readonly string[],
  framing: Framing,
  mapping: Mapping,
): Headers {
  // Without a prototype: upstreams may name a header `constructor`.
  const headers: Headers = Object.create(null)
  const named = connectionOptions(raw)
  for (const [rawName, value] of pairs(raw)) {
    const name = rawName.toLowerCase()
    if (!isForwarded(name) || named.has(canonicalName(name))) continue
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (joined.has(name)) headers[name] = `${before}, ${value}`
    else if (!single.has(name)) headers[name] = [before, value].flat()
  }
  const policies = listOf(headers['content-security-policy'])
  const locations = listOf(headers['location']).map((location) => mapLocation(location, mapping))
  if (locations.length > 0) headers['location'] = locations
  const cookies = listOf(headers['set-cookie']).flatMap((line) => thirdParty(line, mapping))
  const own = mapping.setCookies.length > 0
  if (own || isHtml(headers['content-type'])) headers['cache-control'] = 'no-store'
  else if (headers['cache-control'] !== undefined && !mapping.isPublic) {
    headers['cache-control'] = privately(listOf(headers['cache-control']).join(', '))
  }
  delete headers['set-cookie']
  Object.assign(headers, ownHeaders(framing))
  if (own || cookies.length > 0) headers['set-cookie'] = [...cookies, ...mapping.setCookies]
  headers['content-security-policy'] = withFrameAncestors(policies, framing.frameAncestors)
  return headers
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
