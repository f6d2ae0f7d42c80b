import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { configPath, isSocketIo } from '../access/paths.ts'
import { decode } from '../access/target.ts'
import type { Headers } from './response-headers.ts'
import { standIn } from './socket-io.ts'

/** The largest answer that is read whole, as sent and decoded, in bytes. */
export const mostWhole = 4 * 2 ** 20

/** What an answer is rewritten for. */
export interface Reader {
  /** The gateway's own origin, as this browser reached it. */
  readonly origin: string
  readonly path: string
  /** A `copilotSession` for the session that the request acts for; null where that is not one. */
  readonly copilotSession: () => string | null
}

export interface Rewriter {
  /** The text for this browser; null where nothing in it had to change. */
  readonly rewrite: (text: string, kind: Kind, reader: Reader) => string | null
  /** Whether what can't be read must not pass. */
  readonly strict: boolean
}

/** `sealed` is one that can't be read: packed as a file, or in parts. */
export type Kind = 'html' | 'code' | 'sealed'

/**
 * Keeps the backend's address and its API token to the gateway: wherever scripts, pages and JSON of
 * the upstream's name them, browsers get the gateway's address and a word that opens nothing.
 */
export function createRewriter(api: URL, apiToken: string | null): Rewriter {
  const address = addressPattern(api)
  const token = apiToken === null ? null : tokenPattern(apiToken)

  return {
    strict: token !== null,
    rewrite(text, kind, reader) {
      const { origin, path } = reader
      let rewritten = token === null ? text : text.replace(token, standIn)
      // A token that was changed there before it was here is one all the same.
      if (token !== null && path === configPath)
        rewritten = rewritten.replace(namedToken, `$1${standIn}$3`)
      const own = { http: origin, ws: origin.replace(/^http/, 'ws') }
      rewritten = rewritten.replace(
        address,
        (_, scheme: string, slashes: string, slash = '', end: string | undefined) => {
          const there = scheme.toLowerCase().startsWith('ws') ? own.ws : own.http
          const written = there.replace('//', slashes)
          const isWhole = path === configPath && end !== undefined
          return written + slash + (isWhole ? parameterOf(reader) : '')
        },
      )
      if (kind === 'html') rewritten = withParameter(rewritten, reader)
      return rewritten === text ? null : rewritten
    },
  }
}

/** What `config.js` calls the API token, and its value. */
const namedToken = /(accessTokenSecret["']?\s*[:=]\s*["'])((?:\\.|[^"'\\\n]){1,4096})(["'])/g

/** An origin as scripts and JSON spell it: `https://api.example`, `wss:\/\/api.example:443/`. */
function addressPattern({ protocol, hostname, port }: URL): RegExp {
  const secure = protocol === 'https:'
  const schemes = secure ? 'https|wss' : 'http|ws'
  const number = port === '' ? `(?::${secure ? 443 : 80})?` : `:${port}`
  // Neither api.example.com nor api.example:8443 is api.example.
  const end = String.raw`(?![\w-]|[.:]\w)`
  // Where no path follows, a query can.
  const whole = String.raw`(?:(\\?\/)?(?=(\\?["'${'`'}]))|)`
  return new RegExp(
    String.raw`(${schemes}):(\\?\/\\?\/)${literal(hostname)}${number}${end}${whole}`,
    'gi',
  )
}

function literal(text: string): string {
  return text.replace(/\W/g, String.raw`\$&`)
}

/** A token as scripts, JSON, URLs and HTML may spell it. */
function tokenPattern(token: string): RegExp {
  const named: Readonly<Record<string, string>> = {
    '/': String.raw`\\\/`,
    '"': String.raw`\\"|&quot;`,
    "'": String.raw`\\'|&apos;`,
    '\\': String.raw`\\\\`,
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
  }
  const spellings = [...token].map((character) => {
    const code = character.charCodeAt(0)
    const hex = code.toString(16).replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
    const coded = String.raw`\\u00${hex}|\\u\{0*${hex}\}|\\x${hex}|%${hex}|&#(?:0*${code}|[xX]0*${hex});`
    const special = named[character]
    return `(?:${literal(character)}|${special === undefined ? '' : `${special}|`}${coded})`
  })
  return new RegExp(spellings.join(''), 'g')
}

/** What an attribute of a document refers to, with its query. */
const reference =
  /((?:src|href)\s*=\s*["']?)([^"'\s>?#]{0,256}config\.js)(\?[^"'\s>#]{0,256})?(?=["'\s>#])/gi

/** Gives the document's reference to its `config.js` a parameter. */
function withParameter(html: string, reader: Reader): string {
  const { origin, path } = reader
  return html.replace(
    reference,
    (whole, attribute: string, address: string, query: string | undefined) => {
      const url = URL.parse(address, origin + path)
      const isOurs = url?.origin === origin && url.pathname === configPath
      const parameter = isOurs ? parameterOf(reader) : ''
      if (parameter === '') return whole
      const queried = query === undefined ? parameter : `${query}&amp;${parameter.slice(1)}`
      return attribute + address + queried
    },
  )
}

function parameterOf({ copilotSession }: Reader): string {
  const signed = copilotSession()
  return signed === null ? '' : `?copilotSession=${signed}`
}

/** What kind of text an answer is; null where it is none that is rewritten. */
export function kindOf(path: string, contentType: string): Kind | null {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const name = decode(path) ?? path
  const unpacked = name.replace(packed, '')
  const isPacked = unpacked !== name && (pageName.test(unpacked) || codeName.test(unpacked))
  if (type === 'multipart/byteranges' || isPacked) return 'sealed'
  if (type === 'text/html' || type === 'application/xhtml+xml') return 'html'
  const isCode =
    /^(?:text|application)\/(?:x-)?(?:(?:java|ecma|j|live)script[\d.]*|json)$/.test(type) ||
    type.endsWith('+json') ||
    // Scripts read any type.
    codeName.test(name)
  return isCode ? 'code' : null
}

// Parts of an answer can't be read, nor can one that stays away.
const partial: ReadonlySet<string> = new Set([
  'range',
  // As browsers spelled it once, and servers still read it.
  'request-range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
])

const pageName = /(?:\/|\.html?)$/i
const codeName = /\.(?:[cm]?js|json|map|webmanifest)$/i
const packed = /\.(?:gz|br|zst)$/i
const pageDestination = /^(?:document|i?frame|embed|object)$/
const codeDestination = /^(?:script|(?:shared|service)?worker|manifest|json)$/

/**
 * Request headers, names and values in turn, for an answer that can be read: whole, where it will be
 * a page, a script or JSON as far as can be told, and in no coding that can't be undone. Pages and
 * `config.js` are asked for as they are; bundles stay compressed, since most need no change.
 * `destination` is the request's `Sec-Fetch-Dest`; '' for none.
 */
export function forReadableAnswer(
  headers: readonly string[],
  method: string,
  path: string,
  destination: string,
): string[] {
  if (isSocketIo(path)) return [...headers]
  const fileName = decode(path) ?? path
  const isPage = pageName.test(fileName) || pageDestination.test(destination)
  const isCode = codeName.test(fileName) || codeDestination.test(destination)
  const whole = (isPage || isCode) && (method === 'GET' || method === 'HEAD')
  const plain = isPage || path === configPath
  const kept: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    const lowered = name.toLowerCase()
    if (lowered === 'accept-encoding') {
      if (!plain) kept.push(name, decodable(value))
      continue
    }
    // Several ranges come as one answer of many parts.
    const isParts =
      partial.has(lowered) && (whole || (lowered.endsWith('range') && value.includes(',')))
    if (!isParts) kept.push(name, value)
  }
  if (plain) kept.push('Accept-Encoding', 'identity')
  return kept
}

/** What browsers say. */
const allKnown = /^(?:(?:gzip|deflate|br|zstd)(?:, (?!$)|$))+$/

/** An Accept-Encoding without the codings that can't be undone. */
function decodable(accepted: string): string {
  if (allKnown.test(accepted)) return accepted
  const isKnown = (coding: string): boolean => {
    const name = coding.split(';', 1)[0]?.trim().toLowerCase() ?? ''
    return name === 'identity' || Object.hasOwn(decoders, name)
  }
  const codings = accepted.split(',')
  return codings.every(isKnown) ? accepted : codings.filter(isKnown).join(',').trim() || 'identity'
}

const decoders: Readonly<
  Record<string, (body: Buffer, limit: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

/** A whole answer's bytes as a text, a character a byte; null where they can't be read so. */
export function textOf(body: Buffer, contentType: string): string | null {
  const text = body.toString('latin1')
  const charset = /charset\s*=\s*["']?([\w-]+)/i.exec(contentType)?.[1] ?? ''
  // Where a character is not a byte, what is looked for could hide.
  const isWide = /^(?:utf-?(?:16|32|7)|unicode|(?:iso-10646-)?ucs|iso-2022)/i.test(charset)
  return isWide || /^(?:\xfe\xff|\xff\xfe)/.test(text) ? null : text
}

/** A whole answer without its coding, at once where it has none; null where that can't be undone. */
export function decodeBody(body: Buffer, coding: string): Buffer | Promise<Buffer | null> {
  const name = coding.trim().toLowerCase()
  return name === 'identity' || name === '' || body.length === 0 ? body : undo(body, name)
}

async function undo(body: Buffer, coding: string): Promise<Buffer | null> {
  const decoder = Object.hasOwn(decoders, coding) ? decoders[coding] : undefined
  try {
    return (await decoder?.(body, { maxOutputLength: mostWhole })) ?? null
  } catch {
    return null
  }
}

const validators = [
  'accept-ranges',
  'age',
  'content-digest',
  'content-encoding',
  'content-md5',
  'digest',
  'etag',
  'expires',
  'last-modified',
  'repr-digest',
]

/** Makes headers those of a text that was rewritten for one browser. */
export function asRewritten(headers: Headers, length: number | null): void {
  for (const name of validators) delete headers[name]
  headers['cache-control'] = 'no-store'
  if (length === null) delete headers['content-length']
  else headers['content-length'] = String(length)
}
