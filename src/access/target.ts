/** A request target (RFC 9112 §3.2.1, origin-form) that every parser reads alike. */
export interface Target {
  /** As received: matched, logged and forwarded as this one string. */
  readonly path: string
  /** As received, without `?`; null where there is no `?`. */
  readonly query: string | null
}

// Printable ASCII without space, `#` and `\`. One parser ends the query at `#` where another goes
// on (CVE-2023-45539); `\` is `/` to a WHATWG parser.
const printable = /^[!"$-[\]-~]+$/
const encodedSeparator = /%(?:2e|2f|5c)/i
// `;` ends a segment's name for servlet containers, so `..;x` is a dot segment too.
const dotSegment = /\/\.{1,2}(?:;[^/]*)?(?:\/|$)/
const encodedAgain = /%[\da-f]{2}/i
const control = /\p{Cc}/u
const authority = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i

/** The target's path and query, or null where it is anything but one canonical origin-form. */
export function parseTarget(raw: string): Target | null {
  if (raw[0] !== '/' || raw[1] === '/' || !printable.test(raw)) return null
  const mark = raw.indexOf('?')
  const path = mark < 0 ? raw : raw.slice(0, mark)
  const query = mark < 0 ? null : raw.slice(mark + 1)
  const decoded = decode(path)
  if (decoded === null || encodedSeparator.test(path)) return null
  if (dotSegment.test(decoded) || encodedAgain.test(decoded) || control.test(decoded)) return null
  if (query !== null && decode(query) === null) return null
  return { path, query }
}

/** Whether a Host header names a host and port and nothing else (RFC 9112 §3.2). */
export function isAuthority(host: string): boolean {
  return authority.test(host)
}

/** Percent-decoded text; null where the encoding is malformed or not UTF-8. */
export function decode(text: string): string | null {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
