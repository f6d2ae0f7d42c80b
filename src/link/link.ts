import { createHmac } from 'node:crypto'

/** What a contact center knows of the chat or call that a link opens. */
export interface LinkOptions {
  /** The gateway's origin, and a base path if it has one. */
  readonly baseUrl: URL
  readonly userId: string
  readonly sessionId: string
  /** The URLToken of the Cognigy.AI Endpoint. */
  readonly urlToken: string
  /** The shared secret, at least 32 bytes. */
  readonly secret: Buffer
  /** How long the link opens the workspace, in milliseconds; null: until the secret is retired. */
  readonly expiresIn: number | null
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * The link that opens the workspace for one agent and one session, signed with HS256 (RFC 7515).
 * Throws where the gateway could not accept it.
 */
export function createLink(options: LinkOptions): URL {
  const { baseUrl, userId, sessionId, urlToken, secret, expiresIn, now } = options
  for (const [name, value] of Object.entries({ userId, sessionId, URLToken: urlToken })) {
    if (value === '') throw new Error(`${name} is empty: a link names one agent and one session`)
    if (!value.isWellFormed()) throw new Error(`${name} holds half a character: it is cut short`)
  }
  if (!/^https?:$/.test(baseUrl.protocol) || /[?#]/.test(baseUrl.href)) {
    throw new Error('the base of a link is an http or https URL without query and fragment')
  }
  if (secret.length < 32) {
    throw new Error(`the secret has ${secret.length} bytes: HS256 needs 32 (RFC 7518 §3.2)`)
  }
  const iat = Math.floor(now / 1000)
  const exp = expiresIn === null ? null : Math.floor((now + expiresIn) / 1000)
  if (exp !== null && !(exp > iat)) throw new Error('a link lasts for one second at least')

  const claims = { userId, sessionId, URLToken: urlToken, iat, ...(exp === null ? {} : { exp }) }
  const auth = signJwt(claims, secret)
  // Percent-encoded rather than form-encoded: not every reader of a query takes `+` for a space.
  const query = Object.entries({ userId, sessionId, URLToken: urlToken, auth })
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
  return new URL(`?${query}`, baseUrl)
}

function signJwt(claims: Readonly<Record<string, string | number>>, secret: Buffer): string {
  const [header, body] = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const signed = `${header}.${body}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
