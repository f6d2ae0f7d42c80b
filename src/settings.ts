import type { LevelWithSilent } from 'pino'

/** Everything the gateway is told, as domain values. Durations are milliseconds, sizes are bytes. */
export interface Config {
  readonly contactCenter: ContactCenter
  readonly upstream: {
    /** Origin and base path of the workspace; the path has no trailing slash unless it is `/`. */
    readonly page: URL
    /** Origin of the backend; `/socket.io/` goes there. */
    readonly api: URL
    readonly tls: {
      readonly ca: string | null
      readonly cert: string | null
      readonly key: string | null
    }
    readonly timeout: number
  }
  readonly listener: {
    readonly host: string
    readonly port: number
    readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | null } | null
    readonly headersTimeout: number
    readonly idleTimeout: number
    readonly bodyLimit: number
    readonly webSocketLimit: number
  }
  /** The gateway's own origins; null: taken from each request's Host. */
  readonly publicOrigins: readonly string[] | null
  /** Addresses and CIDRs whose forwarding headers are believed. */
  readonly trustedProxies: readonly string[]
  readonly tokens: {
    readonly requireExp: boolean
    readonly maxAge: number | null
    readonly clockTolerance: number
  }
  readonly sessions: { readonly maxAge: number; readonly outliveToken: boolean }
  readonly forwardAuth: boolean
  readonly drainTimeout: number
  readonly logLevel: LevelWithSilent
}

/** Those who share a secret with the gateway, and who may frame what it lets in. */
export interface ContactCenter {
  readonly name: string
  /** Shared secrets for HS256, at least 32 bytes each, newest first. */
  readonly secrets: readonly Buffer[]
  /** CSP host sources and `'self'`; empty means `'none'`. */
  readonly frameAncestors: readonly string[]
}
