import { hash as digest } from 'node:crypto'
import type { Query } from './query.ts'
import {
  type Claims,
  type Codec,
  type Key,
  type Keyring,
  type SessionKey,
  unverifiedHeader,
} from './token.ts'

/**
 * What a cookie or a `copilotSession` proves: that a token for these ids was let in, and until when
 * that holds.
 */
export interface Session {
  /** Of the key that signs its proofs: whatever is open outlives the gateway whose keys these are. */
  readonly keyId: string
  /** A name; '' where nothing tells it, of what is unproven. */
  readonly contactCenter: string
  /** '' for whatever what is unproven does not name; so is `sessionId`. */
  readonly userId: string
  readonly sessionId: string
  /** The URLToken is kept as a hash: twenty cookies have to fit what a proxy in front accepts. */
  readonly urlTokenHash: string
  /** ms since the epoch */
  readonly start: number
  readonly end: number
}

export interface SessionPolicy {
  /** ms */
  readonly maxAge: number
  /** The token only opens the session, and does not end it. */
  readonly outliveToken: boolean
}

export interface Cookies {
  /** The gateway's own, name and value. */
  readonly own: readonly (readonly [name: string, value: string])[]
  /** All others, as a Cookie header; '' for none. */
  readonly others: string
}

const prefix = '__Host-copilot-'
const lowered = prefix.toLowerCase()
const anyCase = new RegExp(prefix, 'i')
const attributes = 'Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age='
/** A JWT with an HS256 signature. */
const compact = /^[\w-]+\.[\w-]+\.[\w-]{43}$/
// Chromium keeps 10 KiB for a partition, and proxies in front accept header lines of 8 kB.
const most = { cookies: 20, bytes: 6 * 1024 }

/** Whether a cookie's name belongs to the gateway; browsers compare prefixes without case. */
export function isSessionCookie(name: string): boolean {
  return name.startsWith(prefix) || name.toLowerCase().startsWith(lowered)
}

/** Splits a Cookie header into the gateway's own and what goes on to the workspace. */
export function splitCookies(header: string): Cookies {
  if (!anyCase.test(header)) return { own: [], others: header }
  const own: [string, string][] = []
  const others: string[] = []
  for (const text of header.split(';')) {
    const pair = text.trim()
    const equals = pair.indexOf('=')
    const name = (equals < 0 ? pair : pair.slice(0, equals)).trim()
    if (isSessionCookie(name)) own.push([name, equals < 0 ? '' : pair.slice(equals + 1).trim()])
    else if (pair !== '') others.push(pair)
  }
  return { own, others: others.join('; ') }
}

/**
 * The sessions that the cookies prove, each once; what is invalid or has ended proves none. Of more
 * than a browser keeps, the newest count: anyone can send any number, and each costs a signature.
 * `maxAge`: for how long any session lasts, in ms.
 */
export function readSessions(
  cookies: Cookies,
  keyring: Keyring,
  now: number,
  maxAge = Number.POSITIVE_INFINITY,
): Session[] {
  const sessions: Session[] = []
  const plausible = cookies.own.filter(([, value]) => compact.test(value))
  for (const [, value] of plausible.slice(-most.cookies)) {
    const session = read(value, keyring, cookie, maxAge)
    if (session === null || now >= session.end) continue
    const known = sessions.findIndex((other) => isSame(other, session))
    if (known < 0) sessions.push(session)
    else if (session.end > (sessions[known]?.end ?? 0)) sessions[known] = session
  }
  return sessions
}

/** The session that a `copilotSession` proves or, if it has ended, proved; null for none. */
export function readParameter(
  value: string,
  keyring: Keyring,
  maxAge = Number.POSITIVE_INFINITY,
): Session | null {
  return compact.test(value) ? read(value, keyring, (key) => key.parameter, maxAge) : null
}

/** A `copilotSession` for the one session: a credential where browsers keep no cookies. */
export function signParameter(session: Session, keyring: Keyring): string | null {
  return keyring.sessionKey(session.keyId)?.parameter.sign(claimsOf(session)) ?? null
}

const cookie = (key: SessionKey): Codec => key.cookie

function read(
  value: string,
  keyring: Keyring,
  codecOf: (key: SessionKey) => Codec,
  maxAge = Number.POSITIVE_INFINITY,
): Session | null {
  const key = keyring.sessionKey(unverifiedHeader(value)?.['kid'])
  const claims = key === null ? undefined : codecOf(key).verify(value)?.payload
  if (key === null || claims === undefined) return null
  const { u, s, t, i, e } = claims
  if (typeof u !== 'string' || typeof s !== 'string' || typeof t !== 'string') return null
  if (typeof i !== 'number' || typeof e !== 'number') return null
  const { id: keyId, contactCenter } = key
  // It was signed when sessions may have lasted longer, and revocations last as long as they do now.
  const end = Math.min(e, i + maxAge)
  return { keyId, contactCenter, userId: u, sessionId: s, urlTokenHash: t, start: i, end }
}

/** The session that a token opens. `expires` is when the token itself ends; null: never. */
export function openSession(
  key: Key,
  ids: { readonly userId: string; readonly sessionId: string; readonly URLToken: string },
  expires: number | null,
  policy: SessionPolicy,
  now: number,
): Session {
  const longest = now + policy.maxAge
  const end = policy.outliveToken || expires === null ? longest : Math.min(expires, longest)
  return {
    keyId: key.sessions.id,
    contactCenter: key.contactCenter.name,
    userId: ids.userId,
    sessionId: ids.sessionId,
    urlTokenHash: hash(ids.URLToken),
    start: now,
    end: Math.floor(end),
  }
}

/** What a request claims without proof, as a session that began just now. */
export function unproven(
  contactCenter: string,
  ids: { readonly userId: string | null; readonly sessionId: string | null },
  now: number,
): Session {
  const { userId, sessionId } = ids
  const named = { userId: userId ?? '', sessionId: sessionId ?? '' }
  return { keyId: '', contactCenter, ...named, urlTokenHash: '', start: now, end: now }
}

// Short names: the cookies of twenty sessions have to fit what a proxy in front accepts.
function claimsOf({ userId, sessionId, urlTokenHash, start, end }: Session): Claimed {
  return { u: userId, s: sessionId, t: urlTokenHash, i: start, e: end }
}

type Claimed = Readonly<Record<'u' | 's' | 't', string> & Record<'i' | 'e', number>>

/** What a request or an event may name of a session; null where it does not. */
export type Named = Pick<Query, 'userId' | 'sessionId' | 'URLToken'>

/** Whether whatever is named of the three ids is this session's. */
export function names(session: Session, query: Named): boolean {
  return (
    (query.userId === null || query.userId === session.userId) &&
    (query.sessionId === null || query.sessionId === session.sessionId) &&
    (query.URLToken === null || hash(query.URLToken) === session.urlTokenHash)
  )
}

/** Whether a token's claims are this very session's. */
export function proves(session: Session, key: Key, claims: Claims): boolean {
  return (
    session.contactCenter === key.contactCenter.name &&
    session.userId === claims.userId &&
    session.sessionId === claims.sessionId &&
    (claims.URLToken === null || hash(claims.URLToken) === session.urlTokenHash)
  )
}

/**
 * Set-Cookie lines that keep this session, and end what no longer has a place beside it: first what
 * is invalid, then the oldest. `URLToken` is the one whose hash the session holds.
 */
export function keepSession(
  session: Session,
  URLToken: string,
  cookies: Cookies,
  keyring: Keyring,
  now: number,
): string[] {
  const { contactCenter, userId, sessionId, end } = session
  const key = keyring.sessionKey(session.keyId)
  if (key === null) return []
  const identity = JSON.stringify([contactCenter, userId, sessionId, URLToken])
  const name = prefix + digest('sha256', identity, 'base64url').slice(0, 16)
  const value = key.cookie.sign(claimsOf(session))
  const maxAge = Math.ceil((end - now) / 1000)
  const lines = [`${name}=${value}; ${attributes}${maxAge}`]

  let count = 1
  let bytes = name.length + value.length
  const newestFirst = cookies.own
    .filter(([other]) => other !== name)
    .map(([other, text]) => ({ other, text, start: startOf(text, keyring) }))
    // Browsers send the older ones first (RFC 6265 §5.4).
    .reverse()
    .sort((a, b) => b.start - a.start)
  for (const { other, text } of newestFirst) {
    count += 1
    bytes += other.length + text.length
    if (count <= most.cookies && bytes <= most.bytes) continue
    lines.push(endCookie(other))
  }
  return lines
}

function startOf(value: string, keyring: Keyring): number {
  return compact.test(value) ? (read(value, keyring, cookie)?.start ?? 0) : 0
}

/** Set-Cookie lines that end every session of this browser. */
export function endSessions(cookies: Cookies): string[] {
  return [...new Set(cookies.own.map(([name]) => name))].map(endCookie)
}

function endCookie(name: string): string {
  return `${name}=; ${attributes}0`
}

/** Whether two proofs are of one session; they may end at different times. */
export function isSame(one: Session, other: Session): boolean {
  return (
    one.contactCenter === other.contactCenter &&
    one.userId === other.userId &&
    one.sessionId === other.sessionId &&
    one.urlTokenHash === other.urlTokenHash
  )
}

/** The one session that several proofs may be of, as the one that lasts longest tells it. */
export function only([first, ...others]: readonly Session[]): Session | null {
  if (first === undefined || !others.every((other) => isSame(first, other))) return null
  return others.reduce((longest, one) => (one.end > longest.end ? one : longest), first)
}

/** Enough of a URLToken to tell it from all others. */
export function hash(text: string): string {
  return digest('sha256', text, 'base64url').slice(0, 22)
}
