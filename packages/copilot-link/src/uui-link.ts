import { type UuiProblem, wrong } from './uui-problem.ts'

/** A link with its ids. */
export interface CarriedLink {
  readonly kind: 'link'
  readonly url: string
  readonly userId: string
  readonly sessionId: string
  readonly urlToken: string
  /** Whether it has an `auth`; whether that is a good one, the gateway says. */
  readonly signed: boolean
}

/** A short link, `/o/` and 22 characters, which leads to a signed one. */
export interface CarriedShortLink {
  readonly kind: 'short-link'
  readonly url: string
}

const names = ['userId', 'sessionId', 'URLToken', 'auth'] as const
type Name = (typeof names)[number]

/** Reads a link as strictly as the gateway does. */
export function parseLink(text: string): CarriedLink | CarriedShortLink | UuiProblem {
  const url = parseUrl(text)
  if (url === null) return wrong('no-link', 'The value holds no http or https URL')
  const values = new Map<Name, string>()
  for (const piece of url.search.slice(1).split(/[&;]/)) {
    const [raw = '', ...rest] = piece.split('=')
    const name = names.find((known) => known.toLowerCase() === raw.toLowerCase())
    if (name === undefined) continue
    if (name !== raw || values.has(name)) {
      return wrong('link-ambiguous', `${name} is there twice, or in other capitals`)
    }
    const value = percentDecoded(rest.join('=').replaceAll('+', ' '))
    if (value === null) return wrong('malformed', `The percent-encoding of ${name} is malformed`)
    values.set(name, value)
  }
  if (values.size === 0 && /\/o\/[\w-]{22}$/.test(url.pathname)) {
    return { kind: 'short-link', url: url.href }
  }
  const [userId = '', sessionId = '', urlToken = '', auth] = names.map((name) => values.get(name))
  const missing = names.slice(0, 3).filter((name) => !values.get(name))
  if (missing.length > 0) {
    const message = `The link has no ${missing.join(', ')}: it is cut off, or not of Copilot`
    return wrong('link-incomplete', message)
  }
  return { kind: 'link', url: url.href, userId, sessionId, urlToken, signed: Boolean(auth) }
}

/** The URL as ASCII; null for what is none of http or https. */
export function hrefOf(text: string): string | null {
  return parseUrl(text)?.href ?? null
}

/** Null for what is no http or https URL, or has a control character, which the URL parser drops. */
function parseUrl(text: string): URL | null {
  try {
    return isUrl(text) && !/[\p{Cc}\p{Surrogate}]/u.test(text) ? new URL(text) : null
  } catch {
    return null
  }
}

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

/** Null where the encoding is malformed or not UTF-8. */
export function percentDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
