import { decode } from './target.ts'

/** The parameters that identify a session or prove it; null where one is absent. */
export interface Query {
  readonly userId: string | null
  readonly sessionId: string | null
  readonly URLToken: string | null
  readonly auth: string | null
  readonly copilotSession: string | null
}

const names = ['userId', 'sessionId', 'URLToken', 'auth', 'copilotSession'] as const
type Name = (typeof names)[number]
const folded: ReadonlySet<string> = new Set(names.map((name) => name.toLowerCase()))
const maximum = 256
const lettersAlone = /^[a-z\d]*$/i
/** qs ends a name at `]=`, wherever it stands: for it `userId=a]=b` names no userId. */
const bracketed = /(?:\]|%5d)=/i

/**
 * Reads the parameters of a well-formed query; null where two parsers could disagree about one of
 * them: a name given twice, a look-alike (`userId[]`, `UserId`, `%75serId`), a `;` that only some
 * parsers split at, or more than 256 parameters.
 */
export function parseQuery(query: string | null): Query | null {
  const values: Record<Name, string | null> = {
    userId: null,
    sessionId: null,
    URLToken: null,
    auth: null,
    copilotSession: null,
  }
  if (query === null || query === '') return values
  let count = 0
  for (const parameter of query.split('&')) {
    const isOne = !parameter.includes(';')
    const pieces = isOne ? [parameter] : parameter.split(';')
    count += pieces.length
    if (count > maximum) return null
    for (const piece of pieces) {
      const equals = piece.indexOf('=')
      const raw = equals < 0 ? piece : piece.slice(0, equals)
      const name = names.find((known) => known === raw)
      if (name === undefined && !resembles(raw)) continue
      if (name === undefined || values[name] !== null || !isOne) return null
      if (bracketed.test(piece)) return null
      values[name] = equals < 0 ? '' : decodeForm(piece.slice(equals + 1))
    }
  }
  return values
}

/** The raw query without the named parameters, which parseQuery has found at most once each. */
export function withoutParameters(query: string, ...dropped: readonly Name[]): string {
  if (!dropped.some((name) => query.includes(name))) return query
  return query
    .split('&')
    .filter((piece) => !dropped.some((name) => piece === name || piece.startsWith(`${name}=`)))
    .join('&')
}

/** The raw query with another token in its `auth`, where it has one. */
export function withAuth(query: string, token: string): string {
  return query
    .split('&')
    .map((piece) => (piece === 'auth' || piece.startsWith('auth=') ? `auth=${token}` : piece))
    .join('&')
}

/**
 * Whether the most lenient parser takes a name for one of ours. qs reads `[userId]x` and `userId[0]`,
 * PHP turns `.` into `_` and drops leading space, servers ignore case (dotless i and long s too),
 * and where C ends a text at NUL others drop it.
 */
function resembles(raw: string): boolean {
  if (lettersAlone.test(raw)) return folded.has(raw.toLowerCase())
  const name = decodeForm(raw).normalize('NFKC').toUpperCase().toLowerCase()
  return folded.has(fold(name)) || (name.includes('\0') && folded.has(fold(name.split('\0', 1)[0])))
}

function fold(name = ''): string {
  return name
    .replace(/^[^\p{L}\p{N}]+/u, '')
    .replace(/[[\]].*$/su, '')
    .replace(/[^\p{L}\p{N}]+/gu, '')
}

/** application/x-www-form-urlencoded (WHATWG URL §5): what all back ends' parsers agree on. */
function decodeForm(text: string): string {
  return decode(text.replaceAll('+', ' ')) ?? text
}
