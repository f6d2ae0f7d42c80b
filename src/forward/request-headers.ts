import type { Grant } from '../access/decision.ts'
import type { Session } from '../access/session.ts'
import type { Client } from '../client.ts'

// Hop-by-hop (RFC 9110 §7.6.1), and the gateway's own to set or to keep.
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'authorization',
  'cookie',
  'forwarded',
  'host',
  'origin',
  'referer',
  'x-http-method',
  'x-http-method-override',
  'x-original-url',
  'x-real-ip',
  'x-request-id',
  'x-rewrite-url',
])

/** Whether a client's header, by its canonical name, never goes upstream as it came. */
function isDropped(name: string): boolean {
  return dropped.has(name) || name.startsWith('x-copilot-') || name.startsWith('x-forwarded-')
}

/**
 * The headers that go upstream, as undici takes them: names and values in turn, Latin-1. `raw` are
 * the client's in the same form, `origin` is the upstream's. `identity`: whether to say who asks.
 */
export function requestHeaders(
  raw: readonly string[],
  grant: Grant,
  client: Client,
  origin: string,
  identity = false,
): string[] {
  const named = connectionOptions(raw)
  const headers: string[] = []
  let from: string[] = []
  let referer: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const value = raw[i + 1] ?? ''
    const canonical = canonicalName(name)
    if (canonical[0] === ':' || named.has(canonical)) continue
    if (canonical === 'origin') from = ['Origin', origin]
    if (canonical === 'referer') referer = refererOrigin(value)
    if (isDropped(canonical)) continue
    headers.push(name, value)
  }
  headers.push(...from, ...referer)
  if (grant.cookie !== '' && !named.has('cookie')) headers.push('Cookie', grant.cookie)
  if (grant.authorization !== null && !named.has('authorization')) {
    headers.push('Authorization', grant.authorization)
  }
  const { ip, addresses, scheme, host, requestId } = client
  const node = ip.includes(':') ? `"[${ip}]"` : ip
  headers.push(
    'X-Forwarded-For',
    addresses,
    'X-Forwarded-Host',
    host,
    'X-Forwarded-Proto',
    scheme,
    // RFC 7239 §4
    'Forwarded',
    `for=${node};host="${host}";proto=${scheme}`,
    'X-Request-Id',
    requestId,
  )
  if (identity && grant.session !== null) headers.push(...identityHeaders(grant.session))
  return headers
}

/** Percent-encoded UTF-8, so that any id is a legal value and reads alike everywhere. */
function identityHeaders({ contactCenter, userId, sessionId }: Session): string[] {
  return [
    'X-Copilot-User-Id',
    encodeURIComponent(userId.toWellFormed()),
    'X-Copilot-Session-Id',
    encodeURIComponent(sessionId.toWellFormed()),
    'X-Copilot-Contact-Center',
    encodeURIComponent(contactCenter.toWellFormed()),
  ]
}

/** Names and values in turn, two by two. */
export function* pairs(raw: readonly string[]): Generator<readonly [name: string, value: string]> {
  for (let i = 0; i + 1 < raw.length; i += 2) yield [raw[i] ?? '', raw[i + 1] ?? '']
}

/** Headers, names and values in turn, without one of them. `name` is in lower case. */
export function withoutHeader(headers: readonly string[], name: string): string[] {
  return [...pairs(headers)].filter(([other]) => other.toLowerCase() !== name).flat()
}

/** What `Connection` names belongs to this connection alone (RFC 9110 §7.6.1). */
export function connectionOptions(raw: readonly string[]): ReadonlySet<string> {
  let said = ''
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const isNamed = raw[i]?.length === 10 && raw[i]?.toLowerCase() === 'connection'
    if (isNamed) said += `,${raw[i + 1]}`
  }
  return said === '' ? nothing : optionsOf(said.slice(1))
}

/** The options of a Connection header. */
export function optionsOf(connection: string): ReadonlySet<string> {
  // What nearly all say, and is dropped anyway.
  if (connection === '' || connection === 'keep-alive') return nothing
  return new Set(connection.split(',').map((option) => canonicalName(option.trim())))
}

const nothing: ReadonlySet<string> = new Set()

/** CGI and its descendants read X_Forwarded_For as X-Forwarded-For (CVE-2025-64484). */
export function canonicalName(name: string): string {
  const lowered = name.toLowerCase()
  return lowered.includes('_') ? lowered.replaceAll('_', '-') : lowered
}

/** As browsers write the origin of most pages: it need not be read as a URL, which takes a hundred times as long. */
const plainOrigin =
  /^(https?:\/\/(?:[a-z\d-]+\.)*[a-z](?:[a-z\d-]*[a-z\d])?(?::(?!(?:80|443)(?:\/|$))[1-9]\d{0,3})?)(?:\/|$)/

/** Path and query of a Referer hold the token of the page that asks. */
function refererOrigin(value: string): string[] {
  const [, plain] = plainOrigin.exec(value) ?? []
  const origin = plain ?? URL.parse(value)?.origin ?? 'null'
  return origin === 'null' ? [] : ['Referer', `${origin}/`]
}
