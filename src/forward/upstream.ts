import { subscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Agent, buildConnector } from 'undici'
import { isBackend } from '../access/paths.ts'
import type { Config } from '../settings/config.ts'

/** The workspace's two hosts, and the connections to them. */
export interface Upstream {
  readonly page: Host
  readonly api: Host
  readonly dispatcher: Agent
  /** Whether an error says that a kept-alive connection was closed before any byte of the answer. */
  readonly wasStale: (error: Error) => boolean
  /** Whether an answer that ends right now does so by a reset, which undici takes for its end. */
  readonly isResetting: () => boolean
}

export interface Host {
  readonly origin: string
  /** '' or `/base`. */
  readonly basePath: string
  /** Its own and the other host's. */
  readonly origins: readonly string[]
}

/** Copilot's page and its backend (`/socket.io/`) behind one pool of verified connections. */
export function createUpstream(config: Config['upstream'], probeDelay: number): Upstream {
  const connect = createConnector(config, config.timeout, probeDelay)
  const stale = new WeakSet<object>()
  let resetting = false
  return {
    page: hostOf(config.page, config.api),
    api: hostOf(config.api, config.page),
    dispatcher: new Agent({
      allowH2: false,
      connect(options, callback) {
        connect(options, (...result) => {
          result[1]?.prependListener('error', onError)
          callback(...result)
        })
      },
      // Deadlines are the exchange's own: it knows which side keeps it waiting.
      headersTimeout: 0,
      bodyTimeout: 0,
      // undici's 16 kB would turn a long answer head into 502.
      maxHeaderSize: 64 * 1024,
    }),
    wasStale: (error) => stale.has(error),
    isResetting: () => resetting,
  }

  /** Hears of an error before undici does. */
  function onError(this: Socket | TLSSocket, error: Error): void {
    resetting = true
    process.nextTick(() => {
      resetting = false
    })
    const before = readBefore.get(this) ?? 0
    if (before > 0 && this.bytesRead === before) stale.add(error)
  }
}

/** Opens connections as the settings want them: verified over TLS. Times are ms. */
export function createConnector(
  { tls }: Config['upstream'],
  timeout: number,
  probeDelay: number,
): buildConnector.connector {
  const { ca, cert, key } = tls
  return buildConnector({
    allowH2: false,
    timeout,
    keepAlive: true,
    keepAliveInitialDelay: probeDelay,
    rejectUnauthorized: true,
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  })
}

/** What a connection had read when its latest request was sent; 0 where that was its first. */
const readBefore = new WeakMap<object, number>()
subscribe('undici:client:sendHeaders', (message) => {
  const socket: unknown = Reflect.get(Object(message), 'socket')
  if (socket instanceof Socket) readBefore.set(socket, socket.bytesRead)
})

/** `/socket.io/` is the backend's, all else the page's. */
export function hostFor(upstream: Upstream, path: string): Host {
  return isBackend(path) ? upstream.api : upstream.page
}

function hostOf({ origin, pathname }: URL, other: URL): Host {
  return { origin, basePath: pathname === '/' ? '' : pathname, origins: [origin, other.origin] }
}
