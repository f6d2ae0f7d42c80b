import { parseQuery } from '../access/query.ts'
import { isAuthority, parseTarget } from '../access/target.ts'
import { withoutLink } from '../observe/audit.ts'
import { quoted } from './values.ts'

/** Whether a path is that of a short link, which leads to a signed one. */
export function isShortLink(path: string): boolean {
  return withoutLink(path).endsWith('/o/…')
}

/** Whether a link's parameters stand in its path. */
export function pathHints(path: string): string[] {
  return withoutLink(path) === path || isShortLink(path)
    ? []
    : ['The path holds what belongs behind the ?, which is missing, or encoded as %3F.']
}

/** Why a request target is refused, by asking of its parts. */
export function targetHints(host: string, target: string): string[] {
  const hints: string[] = []
  if (!isAuthority(host)) hints.push('The host is not one name or address and a port.')
  const [path = '', ...rest] = target.split('?')
  if (path.startsWith('//'))
    hints.push('The path begins with two slashes: join the base and the path with one.')
  else if (parseTarget(path) === null) {
    hints.push('The path has a dot segment, an encoded separator or percent-encoding twice over.')
  }
  rest
    .join('?')
    .split('&')
    .forEach((piece, index) => {
      if (parseTarget(`/?${piece}`) !== null) return
      hints.push(
        `${named(piece, index)} is not percent-encoded UTF-8: a % has to be written %25, and no Latin-1.`,
      )
    })
  return hints
}

/** More than that many parameters are refused for their number. */
const most = 256

/** Which parameter makes a query ambiguous, and why: found by giving the parser ever more of them. */
export function queryHints(query: string): string[] {
  const pieces = query.split('&').slice(0, most + 1)
  const at = pieces.findIndex(
    (_, index) => parseQuery(pieces.slice(0, index + 1).join('&')) === null,
  )
  const piece = pieces[at] ?? ''
  if (piece.includes(';') && /(?:^|;)amp;|&amp;/.test(`;${piece}`)) {
    return [
      `The link was HTML-escaped: ${named(piece, at)} begins with amp;. Write & and not &amp; outside of HTML.`,
    ]
  }
  if (parseQuery(piece) === null) {
    return piece.includes(';')
      ? [`${named(piece, at)} has a semicolon in it, at which some servers split: write %3B.`]
      : [
          `${named(piece, at)} looks to some servers like userId, sessionId, URLToken, auth or copilotSession, and is none of them: spell it exactly or leave it out.`,
        ]
  }
  if (at >= 0 && pieces.length <= most) return [`${named(piece, at)} is there twice.`]
  return [`There are more than ${most} parameters.`]
}

/** A parameter by its place and, where it has a name, as much of that as is no value. */
function named(piece: string, index: number): string {
  const equals = piece.indexOf('=')
  if (equals < 1) return `Parameter ${index + 1}`
  const text = equals > 16 ? `${piece.slice(0, 16)}…` : piece.slice(0, equals)
  return `Parameter ${index + 1} (${quoted(text)})`
}
