import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import proxyaddr from '@fastify/proxy-addr'
import { isOwn, isSocketIo, type PublicPaths } from '../access/paths.ts'
import { parseTarget } from '../access/target.ts'
import { isLoopback } from '../forward/frame-ancestors.ts'
import { algorithmsOf } from '../keys/algorithms.ts'
import type { Rate } from '../state/refusals.ts'
import { readFrameAncestors } from './frame-presets.ts'

/** What settings depend on beside their text. */
export interface Surroundings {
  /** The UTF-8 text of a file; throws an error with a code. */
  readonly readFile: (path: string) => string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** A system of the contact center's that may ask for links. */
export interface LinksClient {
  readonly id: string
  /** SHA-256 of its secret. */
  readonly hash: Buffer
}

/**
 * Turns a setting's text (trimmed) into its value, or says everything that is wrong
 * with it. Problems and warnings follow the setting's name in a sentence; none quotes a text that
 * could be a secret in the wrong place.
 */
export type Parser<T> = (text: string, surroundings: Surroundings) => Parsed<T>
export type Parsed<T> =
  | { readonly value: T; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[] }

export const boolean: Parser<boolean> = (text) =>
  text === 'true' || text === 'false' ? fine(text === 'true') : wrong('must be true or false')

export function oneOf<const Word extends string>(words: readonly Word[]): Parser<Word> {
  return (text) => {
    const found = words.find((word) => word === text)
    return found === undefined ? wrong(`must be one of ${words.join(', ')}`) : fine(found)
  }
}

/** What the parser takes, and one word. */
export function orWord<T, const Word extends string>(
  parse: Parser<T>,
  word: Word,
): Parser<T | Word> {
  return (text, surroundings) => {
    if (text === word) return fine(word)
    const parsed = parse(text, surroundings)
    return 'value' in parsed
      ? parsed
      : { problems: parsed.problems.map((problem) => `${problem}, or ${word}`) }
  }
}

const milliseconds = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const bytes = { '': 1, b: 1, kb: 2 ** 10, mb: 2 ** 20 }

/** The longest time that Node's timers can wait; they fire at once past it. */
export const longestTimer = 2 ** 31 - 1

/** A number and its unit; `0` alone needs none. Bounds in milliseconds. */
export function duration(
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): (text: string, surroundings?: Surroundings) => Parsed<number> {
  return (text) => {
    const value = text === '0' ? 0 : measure(text, milliseconds)
    if (value === null) return wrong('must be a number and ms, s, m, h or d, such as 90s or 1.5h')
    if (value < least) {
      const written = least % milliseconds.s === 0 ? `${least / milliseconds.s}s` : `${least}ms`
      return wrong(`must be ${written} or more`)
    }
    if (value > most) return wrong(`must be ${Math.floor(most / milliseconds.d)}d or less`)
    return fine(value)
  }
}

/** Bytes, of which there must be one. */
export const size: Parser<number> = (text) => {
  const value = measure(text.toLowerCase(), bytes)
  if (value === null || value < 1) {
    return wrong('must be a size above 0 in b, kb or mb, such as 512kb')
  }
  return fine(value)
}

/** A whole number of things, of which there must be one. */
export const count: Parser<number> = (text) =>
  /^[1-9]\d{0,8}$/.test(text) ? fine(Number(text)) : wrong('must be a whole number above 0')

/** So many in so long a time. */
export const rate: Parser<Rate> = (text, surroundings) => {
  const [number = '', time = '', ...rest] = text.split('/')
  const parsed = [count(number, surroundings), duration(1)(time, surroundings)] as const
  const [most, window] = parsed
  if ('problems' in most || 'problems' in window || rest.length > 0) {
    return wrong('must be a count and a duration, such as 30/1m')
  }
  return fine({ count: most.value, window: window.value })
}

export const port: Parser<number> = (text) =>
  /^\d{1,5}$/.test(text) && Number(text) < 2 ** 16
    ? fine(Number(text))
    : wrong('must be a port from 0 to 65535 (0: any free one)')

export const host: Parser<string> = (text) => {
  const name = /^(?!.*\.\d+$)(?!\d+$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)
  return isIP(text) !== 0 || name
    ? fine(text)
    : wrong('must be an IP address (IPv6 without brackets) or a host name, without port or scheme')
}

/** An http or https URL whose path has no trailing slash. */
export const baseUrl: Parser<URL> = (text) => {
  const url = /^https?:\/\/[^\s\\]+$/i.test(text) ? URL.parse(text) : null
  // URL parsers let a comma into a host, and Docker an underscore.
  if (url === null || url.port === '0' || !/^(?:[a-z0-9._-]+|\[.+\])$/.test(url.hostname)) {
    return wrong('must be a URL of http or https, such as https://copilot.example.com')
  }
  const problems = []
  if (url.username !== '' || url.password !== '') problems.push('must hold no user and password')
  if (/[?#]/.test(text)) problems.push('must have no query and no fragment')
  if (problems.length > 0) return { problems }
  url.pathname = url.pathname.replace(/\/+$/, '')
  return fine(url)
}

export const origin: Parser<URL> = (text, surroundings) => {
  const parsed = baseUrl(text, surroundings)
  if ('problems' in parsed || parsed.value.pathname === '/') return parsed
  return wrong('must be an origin: scheme, host and port without a path')
}

export const origins: Parser<readonly string[]> = (text, surroundings) => {
  const values = new Set<string>()
  const problems: string[] = []
  text.split(/\s+/).forEach((entry, index, all) => {
    const parsed = /[,;]/.test(entry)
      ? wrong('must have white space between two origins, no comma or semicolon')
      : origin(entry, surroundings)
    if ('value' in parsed) values.add(parsed.value.origin)
    else problems.push(...parsed.problems.map((problem) => nth('entry', index, all, problem)))
  })
  return problems.length > 0 ? { problems } : fine([...values])
}

export const frameAncestors: Parser<readonly string[]> = (text) => {
  const parsed = readFrameAncestors(text)
  return 'problem' in parsed ? wrong(parsed.problem) : fine(parsed.sources)
}

/** Addresses and CIDRs, not of everyone: anyone could then say where a request comes from. */
export const proxies: Parser<readonly string[]> = (text) => {
  const entries = [...new Set(text.split(/[\s,]+/).filter((entry) => entry !== ''))]
  const problems = entries.flatMap((entry) => {
    if (/\/0+$/.test(entry)) return [`must not believe everyone, as ${JSON.stringify(entry)} does`]
    return isRange(entry)
      ? []
      : [`must list addresses or CIDRs: ${JSON.stringify(entry)} is neither`]
  })
  return problems.length > 0 ? { problems } : fine(entries)
}

function isRange(entry: string): boolean {
  // proxy-addr takes 010.0.0.1 for 8.0.0.1 and 10 for 0.0.0.10.
  if (isIP(entry.replace(/\/.*$/, '')) === 0) return false
  try {
    proxyaddr.compile(entry)
    return true
  } catch {
    return false
  }
}

/** What links name beside their session: anything without white space. */
export const urlTokens: Parser<readonly string[]> = (text) => fine([...new Set(text.split(/\s+/))])

/** Paths as they are sent, and below a folder those that end in a slash and a star. */
export const publicPaths: Parser<PublicPaths> = (text) => {
  const exact = new Set<string>()
  const prefixes: string[] = []
  const problems: string[] = []
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '')
  entries.forEach((entry, index) => {
    const problem = publicPathProblem(entry)
    if (problem !== null) problems.push(nth('entry', index, entries, problem))
    else if (entry.endsWith('/*')) prefixes.push(entry.slice(0, -1))
    else exact.add(entry)
  })
  return problems.length > 0 ? { problems } : fine({ exact, prefixes })
}

function publicPathProblem(entry: string): string | null {
  const path = entry.endsWith('/*') ? entry.slice(0, -1) : entry
  const target = parseTarget(path)
  if (target === null || target.query !== null || path.includes('*')) {
    return 'must be a path such as /manifest.json, or a folder such as /assets/*'
  }
  if (path === '/') return 'must not be /, the page itself'
  return isSocketIo(path) || isOwn(path) ? 'must be a path of static files' : null
}

/** A token as an HTTP header and a script can hold it. */
export const apiToken: Parser<string> = (text) => {
  if (!/^[!-~]+$/.test(text)) return wrong('must be one word of printable ASCII')
  const short =
    'is under 16 characters: where it stands in a script for something else, that breaks'
  return { value: text, warnings: text.length < 16 ? [short] : [] }
}

/** A token as an Authorization header can hold it (RFC 6750 §2.1), too long to be guessed. */
export const adminToken: Parser<string> = (text) =>
  /^[!-~]{16,}$/.test(text)
    ? fine(text)
    : wrong('must be one word of printable ASCII, of 16 characters or more')

/** Who may ask the links API. No problem quotes an entry: it could be a secret, where its hash belongs. */
export const linksClients: Parser<readonly LinksClient[]> = (text) => {
  const entries = [...new Set(text.split(/\s+/))]
  const problems: string[] = []
  const clients = entries.flatMap((entry, index): LinksClient[] => {
    const [, id, hash] = /^([\w.~-]{1,64}):sha256:([\da-f]{64})$/i.exec(entry) ?? []
    if (id !== undefined && hash !== undefined) return [{ id, hash: Buffer.from(hash, 'hex') }]
    const form = 'must be id:sha256:hash, the hash of its secret in 64 hex digits'
    problems.push(nth('entry', index, entries, form))
    return []
  })
  return problems.length > 0 ? { problems } : fine(clients)
}

/** The address of a Redis server. It may hold a password, so that no problem quotes it. */
export const redisUrl: Parser<string> = (text) => {
  const url = /^rediss?:\/\/[^\s\\?#]+$/i.test(text) ? URL.parse(text) : null
  if (url === null || url.hostname === '' || !/^(?:\/\d*)?$/.test(url.pathname)) {
    return wrong('must be a URL of redis or rediss, such as rediss://user:password@host:6379/0')
  }
  const clear =
    'is plain redis: its password and what replicas share cross the network in the clear'
  const plain = url.protocol === 'redis:' && !isLoopback(url.hostname)
  return { value: text, warnings: plain ? [clear] : [] }
}

/** The PEM text of a file of certificates. */
export const certificates: Parser<string> = (path, { readFile, now }) => {
  const read = readText(path, readFile)
  if ('problems' in read) return read
  const blocks = read.value.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  if (blocks.length === 0) return wrong('names a file without a PEM certificate')
  const problems: string[] = []
  const warnings: string[] = []
  blocks.forEach((block, index) => {
    try {
      const { validFromDate, validToDate } = new X509Certificate(block)
      if (now > validToDate.getTime()) {
        warnings.push(nth('certificate', index, blocks, `expired on ${validToDate.toISOString()}`))
      } else if (now < validFromDate.getTime()) {
        const from = `is not valid before ${validFromDate.toISOString()}`
        warnings.push(nth('certificate', index, blocks, from))
      }
    } catch {
      problems.push(nth('certificate', index, blocks, 'cannot be parsed'))
    }
  })
  return problems.length > 0 ? { problems } : { value: read.value, warnings }
}

/** The PEM text of a file with a private key. */
export const privateKey: Parser<string> = (path, { readFile }) => {
  const read = readText(path, readFile)
  if ('problems' in read) return read
  try {
    createPrivateKey(read.value)
    return read
  } catch {
    return wrong('names a file without an unencrypted PEM private key')
  }
}

/** A public key that RS256, PS256, ES256 or EdDSA tokens are verified with. */
export const publicKey: Parser<KeyObject> = (path, { readFile }) => {
  const read = readText(path, readFile)
  if ('problems' in read) return read
  // Node would take the public half of it, and the gateway needs no key that signs.
  if (/PRIVATE KEY/.test(read.value)) return wrong('names a file with a private key')
  if (read.value.split('-----BEGIN').length !== 2) return wrong('must name a file with one PEM key')
  try {
    const key = createPublicKey(read.value)
    if (algorithmsOf(key).length > 0) return fine(key)
    const rsa = 'RSA of 2048 to 4096 bits with an exponent of 3 to 2^32'
    return wrong(`must be ${rsa}, EC P-256 or Ed25519`)
  } catch {
    return wrong('names a file without a PEM public key')
  }
}

/** Where public keys are published; whoever answers for it signs links. */
export const jwksUrl: Parser<URL> = (text) => {
  const url = /^https?:\/\/[^\s\\#]+$/i.test(text) ? URL.parse(text) : null
  if (url === null || url.username !== '' || url.password !== '') {
    return wrong('must be a URL of https without user, password and fragment')
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return wrong('must be https (http is for loopback only)')
  }
  return fine(url)
}

/** What names something in logs and metrics. */
export function label(most: number): Parser<string> {
  return (text) =>
    [...text].length <= most && /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text)
      ? fine(text)
      : wrong(`must be 1 to ${most} characters, none of them a control character`)
}

/** A system error's code, such as ENOENT. */
export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : null
}

export function readText(path: string, readFile: Surroundings['readFile']): Parsed<string> {
  try {
    return fine(readFile(path))
  } catch (error) {
    return wrong(`must name a file that can be read (${errorCode(error) ?? 'unknown error'})`)
  }
}

function measure(text: string, units: Readonly<Record<string, number>>): number | null {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(text) ?? []
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined
  if (digits === undefined || factor === undefined) return null
  const value = Math.round(Number(digits) * factor)
  return Number.isSafeInteger(value) ? value : null
}

export function nth(noun: string, index: number, all: readonly unknown[], what: string): string {
  return all.length === 1 ? what : `(${noun} ${index + 1} of ${all.length}) ${what}`
}

function fine<T>(value: T): { readonly value: T; readonly warnings: readonly string[] } {
  return { value, warnings: [] }
}

export function wrong(problem: string): { readonly problems: readonly string[] } {
  return { problems: [problem] }
}
