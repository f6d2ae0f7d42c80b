import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Agent, buildConnector } from 'undici'
import type { Config } from '../settings/config.ts'

/** The workspace's two hosts, and the connections to them. */
export interface Upstream {
  readonly page: Host
  readonly api: Host
  readonly dispatcher: Agent
  /** Whether an error says that a kept-alive connection was closed before it was used again. */
  readonly wasStale: (error: unknown) => boolean
}

export interface Host {
  readonly origin: string
  /** '' or `/base`. */
  readonly basePath: string
}

/** Copilot's page and its backend (`/socket.io/`) behind one pool of verified connections. */
export function createUpstream(config: Config['upstream']): Upstream {
  const { ca, cert, key } = config.tls
  const connect = buildConnector({
    timeout: config.timeout,
    keepAlive: true,
    rejectUnauthorized: true,
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  })
  const stale = new WeakSet<object>()
  return {
    page: hostOf(config.page),
    api: hostOf(config.api),
    dispatcher: new Agent({
      connect(options, callback) {
        connect(options, (...result) => {
          result[1]?.prependListener('error', markStale)
          callback(...result)
        })
      },
      // Deadlines are the exchange's own: it knows which side keeps it waiting.
      headersTimeout: 0,
      bodyTimeout: 0,
      // undici's 16 kB would turn a long answer head into 502.
      maxHeaderSize: 64 * 1024,
    }),
    wasStale: (error) =>
      error instanceof Error &&
      (stale.has(error) ||
        ('socket' in error && isObject(error.socket) && Number(error.socket['bytesRead']) > 0)),
  }

  function markStale(this: Socket | TLSSocket, error: Error): void {
    if (this.bytesRead > 0) stale.add(error)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** `/socket.io/` is the backend's, all else the page's. */
export function hostFor(upstream: Upstream, path: string): Host {
  return path.startsWith('/socket.io/') ? upstream.api : upstream.page
}

function hostOf(url: URL): Host {
  return { origin: url.origin, basePath: url.pathname === '/' ? '' : url.pathname }
}
