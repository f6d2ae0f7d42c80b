import type { IncomingHttpHeaders } from 'node:http'
import type { Grant } from '../access/decision.ts'
import type { Client } from '../client.ts'
import { canonicalName } from './request-headers.ts'

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
}

/** Of one gateway, in bytes: a workspace's bundles are some MB in two or three codings. */
const mostBytes = 64 * 2 ** 20
export const mostAssetBytes = 2 ** 20

/**
 * Files whose names hold a hash of what is in them, kept in memory: a page is one document and twenty of
 * these. A shared cache (RFC 9111) of the one kind of answer that never changes: 200, `public`,
 * `immutable`, without a cookie, and varying by nothing but its coding. Asked after the decision
 * and keyed without credentials; those that were used last stay.
 */
export class HashedAssets {
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  get(key: string, now: number): Asset | null {
    const kept = this.#kept.get(key)
    if (kept === undefined) return null
    this.#kept.delete(key)
    if (now >= kept.until) {
      this.#bytes -= sizeOf(kept)
      return null
    }
    this.#kept.set(key, kept)
    const age = String(Math.floor((now - kept.made) / 1000))
    return { headers: { ...kept.headers, age }, body: kept.body }
  }

  /** Keeps an answer that `isForAll` was true of. `now` is when it came. */
  add(key: string, headers: IncomingHttpHeaders, chunks: readonly Buffer[], now: number): void {
    const body = Buffer.concat(chunks)
    const length = String(body.length)
    const { age, 'content-length': said = length } = headers
    if (this.#kept.has(key) || said !== length || body.length > mostAssetBytes) return
    const made = now - (seconds(age ?? '') ?? 0) * 1000
    const until = made + freshFor(headers) * 1000
    const kept = { headers: { ...headers, 'content-length': length }, body, made, until }
    this.#kept.set(key, kept)
    this.#bytes += sizeOf(kept)
    for (const [oldest, other] of this.#kept) {
      if (this.#bytes <= mostBytes) break
      this.#kept.delete(oldest)
      this.#bytes -= sizeOf(other)
    }
  }
}

/** In memory, its headers about. */
function sizeOf({ body }: Kept): number {
  return body.length + 2048
}

/** Whether an answer may be kept, as its head says: an end that only the connection tells could be a cut. */
export function isForAll(status: number, headers: IncomingHttpHeaders): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = headers
  const isSmall = length === undefined ? coding === 'chunked' : Number(length) <= mostAssetBytes
  return status === 200 && isSmall && freshFor(headers) > 0
}

/** As bundlers name files: `index-B3k2hJ9a.js`, `main.5f2a91c7.css`. */
const hashedName = /[.-][\w-]{8,}\.[a-z\d]+$/i

/**
 * What an asset is kept under: who asks is no part of it, what the upstream is told of the address and
 * the coding is. null where the request is none that a kept answer, or an answer to keep, is for: a
 * method, a condition, a range, a reload, a header of the client's that no browser sends by itself.
 * `raw` are the client's headers, names and values in turn.
 */
export function assetKey(
  { path, query }: Grant,
  method: string,
  raw: readonly string[],
  { scheme, host }: Client,
): string | null {
  if (method !== 'GET' || query !== '' || !hashedName.test(path)) return null
  let coding = ''
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = canonicalName(raw[i] ?? '')
    if (name === 'accept-encoding') coding += `${raw[i + 1]},`
    else if (!usual.has(name) && !name.startsWith('sec-')) return null
  }
  return `${scheme}://${host}${path} ${coding}`
}

/** What browsers and proxies send with any request for a file. */
const usual: ReadonlySet<string> = new Set([
  'accept',
  'accept-language',
  'connection',
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
  const { vary = 'accept-encoding', 'set-cookie': cookie, pragma } = headers
  if (cookie !== undefined || pragma !== undefined) return 0
  if (vary.toLowerCase() !== 'accept-encoding') return 0
  const directives = new Map(
    (headers['cache-control'] ?? '').split(',').map((text) => {
      const [name = '', value = ''] = text.trim().toLowerCase().split('=')
      return [name, value]
    }),
  )
  if (!directives.has('public') || !directives.has('immutable')) return 0
  if (['private', 'no-store', 'no-cache'].some((name) => directives.has(name))) return 0
  return seconds(directives.get('s-maxage') ?? directives.get('max-age') ?? '') ?? 0
}

/** RFC 9111 §1.2.2; null where it is none. */
function seconds(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null
}
