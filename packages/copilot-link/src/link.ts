import { createHmac } from 'node:crypto'
import { checkBytes, decodeSecret } from './secret.ts'

/** A number and its unit, such as `8h`; also `ms`, `s`, `m` and `d`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** What a contact center knows of the chat or call that a link opens. */
export interface LinkOptions {
  /** The gateway's origin, and a base path if it has one: `https://gateway.example`. */
  readonly baseUrl: string
  /** The agent. */
  readonly userId: string
  /** The chat or call. */
  readonly sessionId: string
  /** The URLToken of the Cognigy.AI Endpoint. */
  readonly urlToken: string
  /**
   * The shared secret, as the gateway's `JWT_SECRET` has it: `hex:…`, `base64:…`, `utf8:…` or plain
   * text; of several between white space the first, which is the newest, signs. Or its bytes, 32 or more.
   */
  readonly secret: string | Uint8Array
  /** How long the link opens the workspace, a second or more; null: until the secret is retired. */
  readonly expiresIn: Duration | null
  /** The name of the secret, for a gateway that has to be told which one it is. */
  readonly kid?: string | undefined
  /** Milliseconds since the epoch; the clock's time where there is none. */
  readonly now?: number | undefined
}

/** One for each option that can be wrong. */
export type LinkErrorCode =
  | 'base-url-invalid'
  | 'user-id-invalid'
  | 'session-id-invalid'
  | 'url-token-invalid'
  | 'secret-invalid'
  | 'expires-in-invalid'
  | 'kid-invalid'
  | 'now-invalid'

/** Why a link could not be made. Its message quotes nothing of what it was to be made of. */
export class CopilotLinkError extends Error {
  readonly code: LinkErrorCode

  constructor(code: LinkErrorCode, message: string) {
    super(message)
    this.name = 'CopilotLinkError'
    this.code = code
  }
}

/**
 * The link that opens the workspace for one agent and one session, signed with HS256 (RFC 7515).
 * Throws a CopilotLinkError where the gateway could not accept it.
 */
export function createCopilotLink(options: LinkOptions): string {
  // Callers without a compiler may pass anything, or nothing.
  const given: LinkOptions = Object(options)
  const { baseUrl, userId, sessionId, urlToken, kid, now = Date.now() } = given
  const base = parseBase(baseUrl)
  checkText('user-id-invalid', 'userId', userId)
  checkText('session-id-invalid', 'sessionId', sessionId)
  checkText('url-token-invalid', 'urlToken', urlToken)
  if (kid !== undefined) checkText('kid-invalid', 'kid', kid)
  if (!Number.isFinite(now)) {
    throw new CopilotLinkError('now-invalid', 'now must be milliseconds since the epoch')
  }
  const secret = readSecret(given.secret)
  const lasts = milliseconds(given.expiresIn)

  const header = { alg: 'HS256', typ: 'JWT', ...(kid === undefined ? {} : { kid }) }
  const iat = Math.floor(now / 1000)
  const exp = lasts === null ? {} : { exp: Math.floor((now + lasts) / 1000) }
  const auth = signJwt(header, { userId, sessionId, URLToken: urlToken, iat, ...exp }, secret)
  // Percent-encoded rather than form-encoded: not every reader of a query takes `+` for a space.
  const query = Object.entries({ userId, sessionId, URLToken: urlToken, auth })
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
  return new URL(`?${query}`, base).href
}

function parseBase(text: unknown): URL {
  try {
    const url = new URL(String(text))
    const plain = /^https?:$/.test(url.protocol) && !/[?#]/.test(url.href)
    if (plain && url.username === '' && url.password === '') return url
  } catch {}
  throw new CopilotLinkError(
    'base-url-invalid',
    'baseUrl must be an http or https URL without query, fragment and password',
  )
}

function checkText(code: LinkErrorCode, name: string, value: unknown): void {
  if (typeof value !== 'string') throw new CopilotLinkError(code, `${name} must be text`)
  if (value === '') throw new CopilotLinkError(code, `${name} must not be empty`)
  if (/\p{Surrogate}/u.test(value)) {
    throw new CopilotLinkError(code, `${name} holds half a character: it is cut short`)
  }
}

function readSecret(secret: unknown): Buffer {
  const value =
    typeof secret === 'string'
      ? decodeSecret(secret.trim().split(/\s+/, 1).join())
      : secret instanceof Uint8Array
        ? checkBytes(Buffer.from(secret))
        : { problem: 'must be text or bytes' }
  if (Buffer.isBuffer(value)) return value
  throw new CopilotLinkError('secret-invalid', `the secret ${value.problem}`)
}

function milliseconds(duration: unknown): number | null {
  if (duration === null) return null
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)(ms|[smhd])$/.exec(String(duration)) ?? []
  const value = Math.round(Number(digits) * (units[unit] ?? Number.NaN))
  if (value >= 1000 && Number.isSafeInteger(value)) return value
  throw new CopilotLinkError(
    'expires-in-invalid',
    'expiresIn must be a number and ms, s, m, h or d, such as 8h, and one second or more',
  )
}

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

function signJwt(
  header: Readonly<Record<string, string>>,
  claims: Readonly<Record<string, string | number>>,
  secret: Buffer,
): string {
  const [first, second] = [header, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const signed = `${first}.${second}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
