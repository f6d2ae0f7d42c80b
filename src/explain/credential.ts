import type { Target } from '../access/target.ts'
import {
  farAhead,
  type Jwt,
  type Key,
  type Keyring,
  type Token,
  verifyToken,
} from '../access/token.ts'
import { printable } from '../report/words.ts'
import { isExample, otherReading } from './readings.ts'
import { isShortLink } from './spelling.ts'
import { length, moment, quoted, span } from './values.ts'

/** What was seen, and what is probably wrong: both in sentences for whoever made the link. */
export interface Findings {
  readonly facts: readonly string[]
  readonly hints: readonly string[]
}

/** A token as a gateway looks at it. */
export interface Judged {
  readonly token: string
  /** The link's. */
  readonly urlToken: string | null
  readonly keyring: Keyring
  readonly verified: Token
  /** ms since the epoch */
  readonly now: number
}

/** What a token says, who verifies it, and until when. `open`: with its header and claims. */
export function tokenFindings(judged: Judged, open: boolean): Findings {
  const { token, verified, now } = judged
  const { key } = verified
  const jwt = key?.verifyToken(token) ?? unverified(token)
  const facts: string[] = []
  if (jwt === null) facts.push(`auth has ${length(token)} that are no JWT.`)
  else {
    const { alg, kid } = jwt.header
    const named = kid === undefined ? 'no kid' : `kid ${said(kid)}`
    facts.push(`A token of ${length(token)}, alg ${said(alg)}, ${named}.`)
    facts.push(
      key === null
        ? 'No key verifies it: what it says of itself is not proven.'
        : `Verified by ${nameOf(key)}.`,
    )
    facts.push(...times(jwt, now))
    const names = Object.keys(jwt.payload)
      .slice(0, 20)
      .map((name) => printable(name))
    facts.push(`Claims: ${names.join(', ') || 'none'}.`)
    if (open) facts.push(`Header ${json(jwt.header)}`, `Claims ${json(jwt.payload)}`)
  }
  return { facts, hints: hintsOf(judged, jwt) }
}

/** No token came: what may have been meant as one. */
export function missingHints(target: Target | null, fragment: string): string[] {
  if (target !== null && isShortLink(target.path)) {
    return [
      'This is a short link of the links API: opened there, at LINKS_URL, it leads to a link with auth.',
    ]
  }
  const query = target?.query ?? ''
  if (/(?:^|%3F|%26|[&?])auth%(?:25)*3D/i.test(query)) {
    return [
      'auth is in the link, but percent-encoded as a whole: encode each value alone, and leave = and & between them.',
    ]
  }
  if (/[#?&]auth=/.test(fragment)) return ['The link has auth, but behind the #.']
  const found = query
    .split('&')
    .find((piece) => /^[^=]*=(?:[^=]*(?:%20|\+))?eyJ[\w-]+\./.test(piece))
  const name = found?.slice(0, found.indexOf('=')) ?? ''
  return found === undefined
    ? ['The link has no auth: it is the plain link, and nothing at the contact center signed it.']
    : [
        `The link has no auth, but ${quoted(name.slice(0, 24))} looks like a token: its name has to be auth.`,
      ]
}

/** How operators know a key. */
function nameOf({ kind, label, contactCenter }: Key): string {
  return `${kind} ${printable(label)} of ${printable(contactCenter.name)}`
}

function times({ payload }: Jwt, now: number): string[] {
  const said: Readonly<Record<string, (time: number) => string>> = {
    exp: (time) => (time > now ? 'The token ends (exp)' : 'The token ended (exp)'),
    nbf: () => 'Not to be used before (nbf)',
    iat: () => 'Issued (iat)',
  }
  return Object.entries(said).flatMap(([name, sentence]) => {
    const value = payload[name]
    if (typeof value !== 'number') return []
    return `${sentence(value * 1000)}: ${moment(value * 1000, now)}.`
  })
}

function hintsOf(judged: Judged, jwt: Jwt | null): string[] {
  const { verified, now } = judged
  const hints = verified.hint === null ? [] : [`${sentence(verified.hint)}.`]
  const { key } = verified
  if (key === null) return [...hints, ...forgeryHints(judged, jwt)]
  const { tokens } = key.contactCenter
  const { exp, nbf, iat } = jwt?.payload ?? {}
  for (const [name, value] of Object.entries({ exp, nbf, iat })) {
    if (value !== undefined && typeof value !== 'number') {
      hints.push(`${name} is ${kindOf(value)}: sign a number, of seconds since 1970.`)
    } else if (typeof value === 'number' && value * 1000 > farAhead) {
      hints.push(`${name} counts milliseconds: divide by 1000.`)
    }
  }
  if (verified.state === 'refused' && verified.reason === 'token-not-active') {
    const ahead = Math.max(Number(nbf ?? 0), Number(iat ?? 0)) * 1000 - now
    const tolerance = span(tokens.clockTolerance)
    hints.push(
      `It begins ${span(ahead)} from now, and CLOCK_TOLERANCE is ${tolerance}: the signer’s clock or this one is wrong.`,
    )
  }
  if (verified.state === 'ended' && verified.reason === 'token-too-old') {
    hints.push(
      iat === undefined
        ? 'It has no iat, and TOKEN_MAX_AGE asks how old it is.'
        : `TOKEN_MAX_AGE is ${span(tokens.maxAge ?? 0)}.`,
    )
  }
  if (verified.state === 'valid' && exp === undefined) {
    hints.push(
      'It has no exp: whoever gets hold of the link can open it until the secret is retired. Have exp signed.',
    )
  }
  return hints
}

/** Why no key verifies a token: the usual mistakes, tried one after the other. */
function forgeryHints(judged: Judged, jwt: Jwt | null): string[] {
  const { token, urlToken, keyring, now } = judged
  const verifies = (text: string): boolean => verifyToken(text, urlToken, keyring, now).key !== null
  if (token === '') return ['auth is empty: the integration has no token to put there.']
  if (/^(?:undefined|null|none|nil|NaN|\[object Object\])$/i.test(token) || /[{}<>$]/.test(token)) {
    return ['auth holds a placeholder that the integration never filled in.']
  }
  const hints: string[] = []
  const bare = token
    .replace(/^["'\s]*(?:bearer\s+)?["'\s]*/i, '')
    .replace(/["']\s*$/, '')
    .replace(/\s+/g, '')
  if (bare !== token && /^[\w-]+\.[\w-]+\.[\w-]*$/.test(bare)) {
    const what = [
      ...(/bearer/i.test(token) ? ['the word Bearer'] : []),
      ...(/["']/.test(token) ? ['quotes'] : []),
      ...(/\s/.test(token.trim().replace(/^["']?bearer\s+/i, ''))
        ? ['white space or line breaks']
        : []),
    ]
    const around = what.join(', ') || 'white space'
    const then = verifies(bare) ? 'the rest verifies' : 'and the rest does not verify either'
    return [`auth holds more than the token (${around}); ${then}. Have it hold the token alone.`]
  }
  const parts = token.split('.').length
  if (/^[\w+/= -]+(?:\.[\w+/= -]+){2}$/.test(token) && /[+/= ]/.test(token)) {
    hints.push(
      'The token is base64: a JWT is base64url, - and _ for + and /, without = (RFC 7515 §2).',
    )
  } else if (parts === 5) hints.push('The token is encrypted (JWE): have it signed only.')
  else if (parts === 2)
    hints.push('The token has two parts of three: it was cut short, or never signed.')
  if (jwt === null) return hints
  const { alg } = jwt.header
  const keys = keyring.candidates(jwt.header['kid'], urlToken)
  const taken = [...new Set(keys.flatMap(({ algorithms }) => algorithms))]
  if (keys.length > 0 && !taken.some((one) => one === alg)) {
    hints.push(`The token says alg ${said(alg)}; ${taken.join(', ')} is taken here.`)
    return hints
  }
  const signature = token.slice(token.lastIndexOf('.') + 1)
  if (alg === 'HS256' && signature.length !== 43) {
    hints.push(
      `Its signature has ${length(signature)} and HS256’s has 43: the token was cut short, or something was added.`,
    )
  }
  return [...hints, ...signerHints(judged, keys)]
}

/** Who may have signed it instead. */
function signerHints({ token, keyring }: Judged, tried: readonly Key[]): string[] {
  const other = keyring.keys.find((key) => !tried.includes(key) && key.verifyToken(token) !== null)
  if (other !== undefined) {
    const named = [...new Set(tried.map(({ contactCenter }) => contactCenter.name))]
    const [name = ''] = named
    const whose = named.length === 1 ? `${printable(name)}’s` : 'not its'
    return [
      `${sentence(nameOf(other))} verifies it, but by its URLToken or kid the link is ${whose}: the secret or the URLToken of another contact center was taken.`,
    ]
  }
  if (isExample(token))
    return ['It is signed by an example secret that everybody knows (jwt.io): take the shared one.']
  const centers = [...new Set(tried.map(({ contactCenter }) => contactCenter))]
  const others = [...keyring.contactCenters.values()].filter((one) => !centers.includes(one))
  for (const contactCenter of [...centers, ...others]) {
    const reading = otherReading(token, contactCenter)
    if (reading !== null) return [reading]
  }
  return []
}

/** What a token says; null where it is no JWT. */
function unverified(token: string): Jwt | null {
  const parts = token.split('.')
  if (parts.length !== 3) return null
  const [header, payload] = parts.map(objectIn)
  return header && payload ? { header, payload } : null
}

function objectIn(part: string): Jwt['payload'] | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

function said(value: unknown): string {
  return typeof value === 'string' ? printable(value.slice(0, 64)) : kindOf(value)
}

export function kindOf(value: unknown): string {
  if (value === undefined) return 'absent'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'string' ? 'text' : `a ${typeof value}`.replace('a object', 'an object')
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function json(value: unknown): string {
  return printable(JSON.stringify(value), Number.POSITIVE_INFINITY)
}
