import type { IncomingHttpHeaders } from 'node:http'
import type { Grant } from '../access/decision.ts'
import type { Client } from '../client.ts'

/** An answer as the upstream gave it, which is the same for whoever may ask. */
export interface Asset {
  /** As undici parses them, with the `Age` that the answer has by now. */
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Kept extends Asset {
  /** When it was made and when it is no longer fresh, in ms since the epoch. */
  readonly made: number
  readonly until: number
  /** In memory, in bytes. */
  readonly size: number
}

/** Of one gateway, in bytes: a workspace's bundles are some MB in two or three codings. */
const mostBytes = 64 * 2 ** 20
const mostAssetBytes = 2 ** 20
/** So many are gathered at once: clients that don't read hold what was gathered. */
const mostAwaited = 32

/**
 * Files whose names hold a hash of what is in them, kept in memory: a page is one document and twenty of
 * these. A shared cache (RFC 9111) of the one kind of answer that never changes: 200, `public`,
 * `immutable`, without a cookie, and varying by nothing but its coding. Asked after the decision
 * and keyed without credentials; those that were used last stay.
 */
export class HashedAssets {
  readonly #kept = new Map<string, Kept>()
  readonly #awaited = new Set<string>()
  #bytes = 0

  get(key: string, now: number): Asset | null {
    const kept = this.#kept.get(key)
    if (kept === undefined) return null
    if (now >= kept.until) {
      this.delete(key)
      return null
    }
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    const age = String(Math.floor((now - kept.made) / 1000))
    return { headers: { ...kept.headers, age }, body: kept.body }
  }

  /** Gathers the answer that will be kept under this key; null where one is gathered already, or too many are. */
  gather(key: string): Gathering | null {
    if (this.#awaited.has(key) || this.#awaited.size >= mostAwaited) return null
    this.#awaited.add(key)
    return new Gathering(this, key, () => this.#awaited.delete(key))
  }

  /** Keeps an answer that is for all, in the place of one before. `now` is when it came. */
  add(key: string, headers: IncomingHttpHeaders, chunks: readonly Buffer[], now: number): void {
    const body = copied(chunks)
    const length = String(body.length)
    const { age, 'content-length': said = length } = headers
    if (said !== length || body.length > mostAssetBytes) return
    this.delete(key)
    const made = now - (seconds(age ?? '') ?? 0) * 1000
    const until = made + freshFor(headers) * 1000
    const size = body.length + 2 * key.length + JSON.stringify(headers).length + 1024
    const kept = { headers: { ...headers, 'content-length': length }, body, made, until, size }
    this.#kept.set(key, kept)
    this.#bytes += size
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= mostBytes) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#kept.get(key)?.size ?? 0
    this.#kept.delete(key)
  }
}

/** In memory of its own: what Buffer.concat() makes of small ones holds on to 64 kB that they share. */
function copied(chunks: readonly Buffer[]): Buffer {
  const body = Buffer.allocUnsafeSlow(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) at += chunk.copy(body, at)
  return body
}

/** An answer that goes to whoever asked, and may be kept once it has come as a whole. */
export class Gathering {
  readonly #assets: HashedAssets
  readonly #key: string
  /** null once it is over: the key may be another's by then. */
  #release: (() => void) | null
  #headers: IncomingHttpHeaders | null = null
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(assets: HashedAssets, key: string, release: () => void) {
    this.#assets = assets
    this.#key = key
    this.#release = release
  }

  begin(status: number, headers: IncomingHttpHeaders): void {
    if (isForAll(status, headers)) this.#headers = headers
    else this.drop()
  }

  add(chunk: Buffer): void {
    if (this.#headers === null) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > mostAssetBytes) this.drop()
  }

  keep(): void {
    if (this.#headers === null) return
    this.#assets.add(this.#key, this.#headers, this.#chunks, Date.now())
    this.drop()
  }

  /** It is not kept, or has been. */
  drop(): void {
    this.#headers = null
    this.#chunks = []
    this.#release?.()
    this.#release = null
  }
}

/** Whether an answer may be kept, as its head says: an end that only the connection tells could be a cut. */
function isForAll(status: number, headers: IncomingHttpHeaders): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = headers
  const isSmall = length === undefined ? coding === 'chunked' : Number(length) <= mostAssetBytes
  return status === 200 && isSmall && freshFor(headers) > 0
}

/** As bundlers name files: `index-B3k2hJ9a.js`, `main.5f2a91c7.css`. */
const hashedName = /^\/.{0,500}[.-][\w-]{8,100}\.[a-z\d]{1,10}$/i
/** As browsers write it; whatever else is asked for is asked of the upstream. */
const usualCoding = /^(?:(?:gzip|deflate|br|zstd)(?:, (?!$)|$)){1,4}$/
const reload = /^(?:no-cache|max-age=0)$/

/**
 * What an asset is kept under, and whether the client wants it anew: who asks is no part of the key, how
 * the gateway was called is, and the coding. null where the request is none that a kept answer, or an
 * answer to keep, is for: a method, a condition, a range, a page of its own, a header of the client's
 * that no browser sends by itself. `raw` are the client's headers, names and values in turn.
 */
export function assetKey(
  { path, query }: Grant,
  method: string,
  raw: readonly string[],
  { scheme, host }: Client,
): { readonly key: string; readonly isReload: boolean } | null {
  if (method !== 'GET' || query !== '' || !hashedName.test(path) || host.length > 255) return null
  let coding = ''
  let isReload = false
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]?.toLowerCase() ?? ''
    const value = raw[i + 1] ?? ''
    if (name === 'accept-encoding') {
      if (coding !== '' || !usualCoding.test(value)) return null
      coding = value
    } else if (name === 'cache-control' || name === 'pragma') {
      if (!reload.test(value)) return null
      isReload = true
    } else if (name === 'connection') {
      if (value !== 'keep-alive' && value !== 'close') return null
    } else if (name === 'sec-fetch-dest') {
      if (!fileDestination.has(value)) return null
    } else if (!usual.has(name) && !name.startsWith('sec-')) return null
  }
  return { key: `${scheme}://${host}${path} ${coding}`, isReload }
}

const fileDestination: ReadonlySet<string> = new Set([
  'empty',
  'font',
  'image',
  'manifest',
  'script',
  'style',
  'worker',
])

/** What browsers and proxies send with any request for a file. */
const usual: ReadonlySet<string> = new Set([
  'accept',
  'accept-language',
  'cookie',
  'dnt',
  'forwarded',
  'host',
  'origin',
  'priority',
  'referer',
  'save-data',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
  // HTTP/2's own.
  ':authority',
  ':method',
  ':path',
  ':scheme',
])

/** How long an answer may be given to others too, in seconds; 0: not at all. */
function freshFor(headers: IncomingHttpHeaders): number {
  const vary = inOneLine(headers.vary)
  if (headers['set-cookie'] !== undefined || headers.pragma !== undefined) return 0
  if (vary !== '' && vary.toLowerCase() !== 'accept-encoding') return 0
  const directives = new Map(
    inOneLine(headers['cache-control'])
      .toLowerCase()
      .split(',')
      .map((text) => {
        const [name = '', value = ''] = text.trim().split('=')
        return [name, value]
      }),
  )
  if (!directives.has('public') || !directives.has('immutable')) return 0
  if (['private', 'no-store', 'no-cache'].some((name) => directives.has(name))) return 0
  return seconds(directives.get('s-maxage') ?? directives.get('max-age') ?? '') ?? 0
}

/** Of a header that came on several lines undici makes a list, whatever its type says. */
function inOneLine(value: string | string[] | undefined): string {
  return value === undefined ? '' : [value].flat().join(', ')
}

/** RFC 9111 §1.2.2; null where it is none. */
function seconds(text: string | string[]): number | null {
  return typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : null
}
