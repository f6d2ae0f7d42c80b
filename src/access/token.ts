import { hash as digest } from 'node:crypto'
import type { ContactCenter } from '../settings/config.ts'
import type { Query } from './query.ts'
import { Remembered } from './remembered.ts'

/** One shared secret or public key: it verifies a contact center's tokens. */
export interface Key {
  /** Tells keys apart, and nothing of them. */
  readonly id: string
  readonly contactCenter: ContactCenter
  /** What operators know it by: of secrets their number, the newest first, of public keys their `kid`. */
  readonly label: string
  readonly kind: 'secret' | 'public key'
  readonly algorithms: readonly string[]
  /** The JWT's header and claims, if this key signed it with one of its algorithms; else null. */
  readonly verifyToken: (token: string) => Jwt | null
  /** Signs the sessions that its tokens open. */
  readonly sessions: SessionKey
}

/** Signs what proves a session; goes with the key whose tokens opened it. */
export interface SessionKey {
  readonly id: string
  /** A name. */
  readonly contactCenter: string
  /** What a session cookie holds, and what a `copilotSession`: neither passes for the other. */
  readonly cookie: Codec
  readonly parameter: Codec
}

/** All keys of a gateway. */
export interface Keyring {
  /** By their names. */
  readonly contactCenters: ReadonlyMap<string, ContactCenter>
  readonly keys: readonly Key[]
  /** Of a contact center by its name, newest first. */
  readonly keysOf: (contactCenter: string) => readonly Key[]
  readonly key: (id: string) => Key | null
  /**
   * What may verify a token: the keys that its `kid` names, else those of the contact center whose
   * URLToken the link has, else those of all contact centers without URLTokens of their own, or of the
   * only one.
   */
  readonly candidates: (kid: unknown, urlToken: string | null) => readonly Key[]
  /** By the `kid` of what it signs; null for none of these. */
  readonly sessionKey: (id: unknown) => SessionKey | null
  /** The one contact center whose links have a URLToken, by its hash; null: anybody's may. */
  readonly ownerOf: (urlTokenHash: string) => string | null
  /** A token that the upstream understands, instead of the contact center's own; null: that passes, or none does. */
  readonly resign: ((key: Key, claims: Bound, now: number) => string) | null
}

/** Signs and verifies the gateway's own JWTs with a key of their own. */
export interface Codec {
  /** The header and claims of what was signed here; else null. */
  readonly verify: (text: string) => Jwt | null
  readonly sign: (claims: Readonly<Record<string, string | number>>) => string
}

export interface Jwt {
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
}

export interface TokenPolicy {
  readonly requireExp: boolean
  /** ms; null: any age. */
  readonly maxAge: number | null
  /** ms */
  readonly clockTolerance: number
}

export interface Claims {
  readonly userId: string
  readonly sessionId: string
  /** null where the token does not bind the URLToken, as the product page's does not. */
  readonly URLToken: string | null
}

/** What is probably wrong with how a link or its token was made: for the log alone, never for the client. */
export type TokenHint =
  | 'the token is no JWT'
  | 'the token’s alg is not HS256'
  | 'the token’s alg is that of no key'
  | 'no secret or key verifies the token'
  | 'the link’s URLToken is no contact center’s'
  | 'the token has a crit header'
  | 'exp, nbf or iat is no finite number'
  | 'exp, nbf or iat is in milliseconds'
  | 'the token has no exp, which REQUIRE_EXP asks for'
  | 'the link has no auth; the browser’s sessions are of other links'

interface Authentic {
  readonly key: Key
  /** null where one that is needed is absent, empty or neither string nor safe integer. */
  readonly claims: Claims | null
  /** ms since the epoch; null: never. */
  readonly expires: number | null
  /** When it is accepted no more, by `exp` or by its age, in ms since the epoch; null: never. */
  readonly lasts: number | null
  readonly hint: TokenHint | null
}

export type Token =
  | (Authentic & { readonly state: 'valid' })
  /** Authentic once: a fresh link would be let in. */
  | (Authentic & { readonly state: 'ended'; readonly reason: 'token-expired' | 'token-too-old' })
  | {
      readonly state: 'refused'
      readonly reason: 'token-invalid' | 'token-not-active'
      /** null where no key verifies the token: nothing that it says is proven. */
      readonly key: Key | null
      readonly claims: Claims | null
      readonly hint: TokenHint | null
    }

// Three base64url parts (RFC 7515 §7.1); the last is empty where a token claims `alg: none`.
const compact = /^[\w-]+\.[\w-]+\.[\w-]*$/
// A space (RFC 6750 §2.1), and what those who split at white space take for one.
const bearer = /^bearer[ \t]+(\S+)$/i
/** The year 5000, in ms since the epoch: a NumericDate past it was meant in milliseconds. */
export const farAhead = Date.UTC(5000)

/** The JWT in an Authorization header; null where the header is none of the gateway's. */
export function bearerToken(authorization: string): string | null {
  const token = bearer.exec(authorization)?.[1]
  return token !== undefined && compact.test(token) ? token : null
}

/**
 * Verifies a token by the keys it may be of, newest first. `urlToken` is the link's, `now` is ms since
 * the epoch.
 */
export function verifyToken(
  token: string,
  urlToken: string | null,
  keyring: Keyring,
  now: number,
): Token {
  const header = compact.test(token) ? unverifiedHeader(token) : null
  const keys = keyring.candidates(header?.['kid'], urlToken)
  for (const key of keys) {
    const jwt = key.verifyToken(token)
    if (jwt !== null) return judge(jwt, key, now)
  }
  const hint = forgeryHint(header, keys)
  return { state: 'refused', reason: 'token-invalid', key: null, claims: null, hint }
}

function judge({ header, payload }: Jwt, key: Key, now: number): Token {
  const policy = key.contactCenter.tokens
  const claims = readClaims(payload)
  const exp = seconds(payload['exp'])
  const nbf = seconds(payload['nbf'])
  const iat = seconds(payload['iat'])
  // RFC 7515 §4.1.11: a header that must be understood, and this gateway understands none.
  if ('crit' in header) return invalid(key, claims, 'the token has a crit header')
  if (exp === undefined || nbf === undefined || iat === undefined) {
    return invalid(key, claims, 'exp, nbf or iat is no finite number')
  }
  if (exp === null && policy.requireExp) {
    return invalid(key, claims, 'the token has no exp, which REQUIRE_EXP asks for')
  }
  const isFar = Math.max(exp ?? 0, nbf ?? 0, iat ?? 0) > farAhead
  const hint: TokenHint | null = isFar ? 'exp, nbf or iat is in milliseconds' : null
  const tolerance = policy.clockTolerance
  if (Math.max(nbf ?? 0, iat ?? 0) > now + tolerance) {
    return { state: 'refused', reason: 'token-not-active', key, claims, hint }
  }
  const expires = exp === null ? null : exp + tolerance
  const old = policy.maxAge === null ? null : (iat ?? 0) + policy.maxAge + tolerance
  const lasts = old === null ? expires : Math.min(old, expires ?? old)
  const authentic = { key, claims, expires, lasts, hint }
  if (expires !== null && now >= expires) {
    return { state: 'ended', reason: 'token-expired', ...authentic }
  }
  if (old !== null && (iat === null || now >= old)) {
    return { state: 'ended', reason: 'token-too-old', ...authentic }
  }
  return { state: 'valid', ...authentic }
}

/** A mistake of whoever has the secret. */
function invalid(key: Key, claims: Claims | null, hint: TokenHint): Token {
  return { state: 'refused', reason: 'token-invalid', key, claims, hint }
}

/**
 * What a JWT says of itself; null where that can't be read. Nothing of it is believed, or repeated:
 * whoever lies is found out by the key that it names.
 */
export function unverifiedHeader(token: string): Jwt['header'] | null {
  const text = token.slice(0, token.indexOf('.'))
  // Of one key they are all the same.
  const known = headers.get(text)
  if (known !== undefined) return known
  try {
    const header = Object.freeze(Object(JSON.parse(Buffer.from(text, 'base64url').toString())))
    if (text.length <= 256) headers.set(text, header)
    return header
  } catch {
    return null
  }
}

const headers = new Remembered<Jwt['header']>(1000)

/** Why no key verifies a token. */
function forgeryHint(header: Jwt['header'] | null, keys: readonly Key[]): TokenHint {
  if (header === null) return 'the token is no JWT'
  if (keys.length === 0) return 'the link’s URLToken is no contact center’s'
  if (!keys.some(({ algorithms }) => algorithms.some((one) => one === header['alg']))) {
    const isShared = keys.every(({ algorithms }) => algorithms[0] === 'HS256')
    return isShared ? 'the token’s alg is not HS256' : 'the token’s alg is that of no key'
  }
  // Verifiers refuse it too, before they look at the signature.
  return 'crit' in header ? 'the token has a crit header' : 'no secret or key verifies the token'
}

/** Names a verified token: what was signed, of which there is one spelling, unlike of its signature. */
export function ticketId(token: string): string {
  return digest('sha256', token.slice(0, token.lastIndexOf('.')), 'base64url')
}

/** NumericDate (RFC 7519 §2) in ms; null where absent, undefined where it is no finite number. */
function seconds(claim: unknown): number | null | undefined {
  if (claim === undefined) return null
  return typeof claim === 'number' && Number.isFinite(claim) ? claim * 1000 : undefined
}

function readClaims(payload: Jwt['payload']): Claims | null {
  const userId = identifier(payload['userId'])
  const sessionId = identifier(payload['sessionId'])
  const URLToken = payload['URLToken'] === undefined ? null : identifier(payload['URLToken'])
  if (!userId || !sessionId || URLToken === undefined) return null
  return { userId, sessionId, URLToken }
}

function identifier(claim: unknown): string | undefined {
  if (typeof claim === 'string' && claim !== '') return claim
  return Number.isSafeInteger(claim) ? String(claim) : undefined
}

/** Whether the query names the session of the claims: all three there, compared exactly. */
export function bound(claims: Claims, query: Query): query is Bound {
  return (
    query.userId === claims.userId &&
    query.sessionId === claims.sessionId &&
    !!query.URLToken &&
    (claims.URLToken === null || query.URLToken === claims.URLToken)
  )
}

export type Bound = Query & {
  readonly userId: string
  readonly sessionId: string
  readonly URLToken: string
}
