import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Dispatcher, errors, Pool } from 'undici'
import type { Place } from '../doctor/connection.ts'
import { Failure } from './failure.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: () => string
  /** What an accepted handshake has opened; null of any other answer. */
  readonly socket: Duplex | null
}

/** What one person asks with: connections and a cookie jar of their own. Nothing leads to another origin. */
export interface Browser {
  /**
   * `path` with its query; `headers` besides the cookies. Rejects with a system error, or with a Failure
   * where the answer as a whole takes too long, is too large, or is no HTTP.
   */
  readonly get: (path: string, headers: Headers) => Promise<Answer>
  readonly upgrade: (path: string, headers: Headers) => Promise<Answer>
  /** No more requests; what was upgraded goes on. */
  readonly close: () => Promise<void>
  /** Cuts whatever is open. */
  readonly cut: () => Promise<void>
}

export type Headers = Readonly<Record<string, string>>

/** Of an answer: pages and their files are some MB. */
const mostBytes = 16 * 2 ** 20
/** As many as browsers open to a host over HTTP/1.1. */
const connections = 6

export function openBrowser({ url, addresses, deadline }: Place, onClose: () => void): Browser {
  const pool = new Pool(url.origin, {
    connections,
    allowH2: false,
    // An answer has one deadline, from when it is asked for to its last byte.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: deadline,
      autoSelectFamily: true,
      lookup: (_, _options, done) => done(null, [...addresses]),
    },
  })
  let reached = false
  pool.once('connect', () => {
    reached = true
  })
  const jar = new Map<string, string>()
  const sockets = new Set<Duplex>()

  const ask = (path: string, headers: Headers, upgrade: 'websocket' | null): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
      const chunks: Buffer[] = []
      const answer = (status: number, headers: IncomingHttpHeaders, socket: Duplex | null) => {
        // A single one is no list, whatever its type says.
        keep(jar, [headers['set-cookie'] ?? []].flat())
        return { status, headers, socket, text: () => Buffer.concat(chunks).toString() }
      }
      let begun: Answer | undefined
      let bytes = 0
      let controller: Dispatcher.DispatchController | undefined
      let late: Failure | undefined
      const timer = setTimeout(() => {
        late = new Failure(reached ? 'timeout' : 'connect timeout')
        // Who still waits for one of the connections has nothing to abort.
        controller?.abort(late)
        reject(late)
      }, deadline)
      pool.dispatch(
        {
          method: 'GET',
          path,
          headers: { 'user-agent': userAgent, ...headers, ...(cookie === '' ? {} : { cookie }) },
          upgrade,
        },
        {
          onRequestStart(started) {
            controller = started
            if (late !== undefined) started.abort(late)
          },
          onRequestUpgrade(_, status, headers, socket) {
            clearTimeout(timer)
            sockets.add(socket.on('close', () => sockets.delete(socket)))
            resolve(answer(status, headers, socket))
          },
          onResponseStart(_, status, headers) {
            begun = answer(status, headers, null)
          },
          onResponseData(receiving, chunk) {
            bytes += chunk.length
            if (bytes > mostBytes) receiving.abort(new Failure('too large'))
            else chunks.push(chunk)
          },
          onResponseEnd() {
            clearTimeout(timer)
            if (begun !== undefined) resolve(begun)
          },
          onResponseError(_, error) {
            clearTimeout(timer)
            // Its own words, and its code, hold what the other side sent, or nothing.
            reject(error instanceof errors.HTTPParserError ? new Failure('no HTTP') : error)
          },
        },
      )
    })

  return {
    get: (path, headers) => ask(path, headers, null),
    upgrade: (path, headers) => ask(path, { ...handshake(), ...headers }, 'websocket'),
    close() {
      onClose()
      return pool.destroy()
    },
    cut() {
      onClose()
      for (const socket of sockets) socket.destroy()
      return pool.destroy()
    },
  }
}

/** How a page in a contact center's frame is asked for. */
export const navigation = {
  accept: 'text/html',
  'sec-fetch-site': 'cross-site',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'iframe',
}

/** How a page asks for what it loads. */
export const subresource = {
  accept: '*/*',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'no-cors',
  'sec-fetch-dest': 'script',
}

const userAgent = 'copilot-gateway-load'

// RFC 6455 §4.1
function handshake(): Headers {
  return {
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
  }
}

/** RFC 6265 §5.3, as far as one origin with one path needs it; with the limits that browsers have. */
function keep(jar: Map<string, string>, lines: readonly string[]): void {
  for (const line of lines) {
    const [, name, value = '', attributes = ''] = /^([^=;]+)=([^;]*)(.*)$/.exec(line) ?? []
    if (name === undefined || name.length + value.length > longestCookie) continue
    if (/; *max-age=0*(?:;|$)/i.test(attributes)) jar.delete(name)
    else jar.set(name, value)
    const [oldest = ''] = jar.keys()
    if (jar.size > mostCookies) jar.delete(oldest)
  }
}

const mostCookies = 180
const longestCookie = 4096
