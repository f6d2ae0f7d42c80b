import { type UuiEncoding, unwrap } from './uui-encodings.ts'
import { type CarriedLink, type CarriedShortLink, hrefOf, parseLink } from './uui-link.ts'
import { type UuiProblem, wrong } from './uui-problem.ts'
import { type Line, readLines, readValues, type UuiValue } from './uui-values.ts'
import { type UuiWarning, warningsOf } from './uui-warnings.ts'

/** What a User-to-User value holds, or why it opens nothing. */
export type Uui = UuiLink | UuiIds | UuiProblem
export type { UuiEncoding, UuiProblem, UuiWarning }

/** A link that was found, and how. */
export type UuiLink = (CarriedLink | CarriedShortLink) & {
  /** How it was written, outermost first; none where it stood there as it is. */
  readonly encodings: readonly UuiEncoding[]
  /** The protocol discriminator, as the first octet or as `pd`; null where there was none. */
  readonly discriminator: number | null
  readonly purpose: string | null
  readonly content: string | null
  readonly warnings: readonly UuiWarning[]
}

/** SIPREC: the agent in `X-User-ID` and the conversation in `X-Session-ID`; the URLToken comes from elsewhere. */
export interface UuiIds {
  readonly kind: 'ids'
  readonly userId: string
  readonly sessionId: string
}

/** Characters that are read. A link with a token has some 600, and twice as many in hex. */
const longest = 8192

/**
 * Finds the link in a value of a User-to-User header (RFC 7433 §4), in the header itself, or in the
 * headers of a message. It never throws, whatever it is given, and takes time in proportion to the text.
 */
export function parseUui(text: string | undefined): Uui {
  if (typeof text !== 'string') return wrong('empty', 'There is no value, or it is no text')
  if (text.length > longest) {
    return wrong('too-long', `The value has ${text.length} characters: ${longest} are read`)
  }
  const lines = readLines(text)
  const carriers = lines.filter(({ name }) => name !== null && carrying.has(name))
  const others = lines.filter(({ name }) => name !== agent && name !== conversation)
  const read = (carriers.length > 0 ? carriers : others).flatMap(parseLine)
  const first = read.find((one) => one.kind !== 'problem')
  const links = others.flatMap(parseLine).filter((one) => one.kind !== 'problem')
  if (first !== undefined && links.some(({ url }) => url !== first.url)) {
    return wrong('link-ambiguous', 'There are several links, and they differ')
  }
  const siprec = lines.filter((line) => !others.includes(line))
  if (first?.kind === 'link') {
    const { userId, sessionId } = first
    if (siprec.some(({ name, value }) => value !== (name === agent ? userId : sessionId))) {
      return wrong('link-ambiguous', 'X-User-ID or X-Session-ID names others than the link does')
    }
  }
  if (first !== undefined && read.length === 1) return first
  if (first !== undefined) {
    const message = `There are ${read.length} values: Genesys Cloud then takes none`
    return { ...first, warnings: [{ warning: 'several-values', message }, ...first.warnings] }
  }
  if (siprec.length > 0) return parseSiprec(siprec)
  return read.find((one) => one.kind === 'problem') ?? wrong('empty', 'There is no value')
}

const carrying: ReadonlySet<string> = new Set(['user-to-user', 'x-user-to-user'])
const agent = 'x-user-id'
const conversation = 'x-session-id'

function parseLine({ name, value }: Line): (UuiLink | UuiProblem)[] {
  const values = readValues(value)
  if (values === null) {
    return [wrong('malformed', 'A quote stays open, or a parameter is there twice')]
  }
  const read = values.map((one) => parseValue(one, name))
  const isCut = values.length > 1 && read.some((one) => 'encodings' in one && isRaw(one))
  return isCut ? [cut] : read
}

function isRaw({ encodings }: Pick<UuiLink, 'encodings'>): boolean {
  return encodings.length === 0
}

// Its last id would be another one.
const cut = wrong(
  'malformed',
  'The link stands without quotes, and a comma or semicolon cuts it off',
)
/** RFC 7433 §4.1, and that of Genesys Cloud. */
const parameterNames: ReadonlySet<string> = new Set(['encoding', 'purpose', 'content', 'pd'])

function parseValue(value: UuiValue, header: string | null): UuiLink | UuiProblem {
  const unwrapped = unwrap(value)
  if ('problem' in unwrapped) return unwrapped
  const link = parseLink(unwrapped.text)
  if (link.kind === 'problem') return link
  const { parameters, encodings, octet } = unwrapped
  if (isRaw(unwrapped) && [...parameters.keys()].some((name) => !parameterNames.has(name))) {
    return cut
  }
  const told = parameters.get('pd') ?? ''
  const pd = /^[\da-f]{1,2}$/i.test(told) ? Number.parseInt(told, 16) : null
  return {
    ...link,
    encodings,
    discriminator: octet ?? pd,
    purpose: parameters.get('purpose') ?? null,
    content: parameters.get('content') ?? null,
    warnings: warningsOf({ ...unwrapped, link, length: value.data.length, pd, header }),
  }
}

function parseSiprec(lines: readonly Line[]): UuiIds | UuiProblem {
  const [users, sessions] = [agent, conversation].map((name) =>
    lines.filter((line) => line.name === name).map(({ value }) => value),
  )
  const [userId, sessionId] = [users?.[0], sessions?.[0]]
  if (userId === undefined) return wrong('link-incomplete', 'X-User-ID is missing')
  if (sessionId === undefined) return wrong('link-incomplete', 'X-Session-ID is missing')
  if (lines.length === 2) return { kind: 'ids', userId, sessionId }
  return wrong('link-ambiguous', 'X-User-ID or X-Session-ID is there twice')
}

/**
 * How a link is written: `hex` with the protocol discriminator 00 before it (RFC 7434), `hex-pd` with it
 * as a parameter, `quoted` as it is, `percent` where only the characters of a token pass.
 */
export type UuiForm = 'hex' | 'hex-pd' | 'quoted' | 'percent'

/** The value of a User-to-User header that carries a link. Throws a TypeError where that is no http or https URL, and for another form. */
export function formatUui(link: string, form: UuiForm = 'hex'): string {
  const href = hrefOf(link)
  if (href === null) throw new TypeError('a User-to-User value carries an http or https URL')
  const hex = Array.from(href, (one) => one.charCodeAt(0).toString(16)).join('')
  switch (form) {
    case 'hex':
      return `00${hex};encoding=hex`
    case 'hex-pd':
      return `${hex};pd=00;encoding=hex`
    case 'quoted':
      return `"${href.replace(/["\\]/g, '\\$&')}"`
    case 'percent':
      // Parentheses are no characters of a token (RFC 3261 §25.1).
      return encodeURIComponent(href).replaceAll('(', '%28').replaceAll(')', '%29')
  }
  throw new TypeError('the form must be hex, hex-pd, quoted or percent')
}
