import { createLink, type LinkOptions } from '../link/link.ts'

/** What a signed link says. */
export interface Link {
  readonly userId: string
  readonly sessionId: string
  readonly URLToken: string
  readonly auth: string
  /** The token's claims, unverified; null where it has none that can be read. */
  readonly claims: Readonly<Record<string, unknown>> | null
  /** Whether it was made for this examination: it then says nothing of the contact center's links. */
  readonly made: boolean
}

const names = ['userId', 'sessionId', 'URLToken', 'auth'] as const

/** Reads a link to the gateway at `base`; the problem quotes none of it. */
export function readLink(text: string, base: URL): Link | { readonly problem: string } {
  const url = URL.parse(text.trim())
  if (url === null || url.origin !== base.origin || bare(url) !== bare(base)) {
    return { problem: `must be a URL that begins with ${base.href}` }
  }
  const values = names.map((name) => url.searchParams.getAll(name))
  const [userId = '', sessionId = '', URLToken = '', auth = ''] = values.flat()
  if (auth === '' || values.some((value) => value.length !== 1 || value[0] === '')) {
    return { problem: `must hold ${names.join(', ')}, each once and none of them empty` }
  }
  return { userId, sessionId, URLToken, auth, claims: claimsOf(auth), made: false }
}

/** A link for this examination. */
export function makeLink(options: LinkOptions): Link {
  const auth = String(createLink(options).searchParams.get('auth'))
  const ids = {
    userId: options.userId,
    sessionId: options.sessionId,
    URLToken: options.urlToken,
  }
  return { ...ids, auth, claims: ids, made: true }
}

function bare({ pathname }: URL): string {
  return pathname.replace(/\/+$/, '')
}

function claimsOf(token: string): Link['claims'] {
  try {
    const claims: unknown = JSON.parse(
      Buffer.from(String(token.split('.')[1]), 'base64url').toString(),
    )
    return claims instanceof Object ? { ...claims } : null
  } catch {
    return null
  }
}

/** The target of a document, or of a path below the base. */
export function pathAt(base: URL, path = '/'): string {
  return bare(base) + path
}

/** The query of a link; `changes` replace some of it. */
export function queryOf(
  link: Link,
  changes: Partial<Record<(typeof names)[number], string>> = {},
): string {
  const changed = { ...link, ...changes }
  return names.map((name) => `${name}=${encodeURIComponent(changed[name])}`).join('&')
}

/** Somebody that no link is for. */
export const stranger = 'copilot-gateway-doctor'

/** Three parts like a token's, and none of them one. */
export const broken = 'copilot-gateway-doctor.is-no.token'

/** Stands where no link is at hand: refused for what is wrong with the query before its token is looked at. */
export const madeUp: Link = {
  userId: stranger,
  sessionId: stranger,
  URLToken: stranger,
  auth: broken,
  claims: null,
  made: true,
}

/** A token for a link's own ids that claims to need no signature (RFC 7519 §6). */
export function unsigned({ userId, sessionId, URLToken }: Link): string {
  const parts = [{ alg: 'none' }, { userId, sessionId, URLToken }]
  return parts.map((part) => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`).join('')
}

/** A token for a link's own ids, signed with the secret that jwt.io and many tutorials sign with. */
export function signedByExample(link: Link, now: number): string {
  const secret = Buffer.from('a-string-secret-at-least-256-bits-long')
  const baseUrl = new URL('https://localhost')
  const ids = { ...link, urlToken: link.URLToken }
  return makeLink({ ...ids, baseUrl, secret, expiresIn: 3_600_000, now }).auth
}

/** A token with another signature. */
export function tampered(token: string): string {
  const at = token.lastIndexOf('.') + 1
  // The first character: the last one has bits that don't count.
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}
