import { createPrivateKey, KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { createSecureContext } from 'node:tls'
import type { LevelWithSilent } from 'pino'
import type { PublicPaths } from '../access/paths.ts'
import type { TokenPolicy } from '../access/token.ts'
import { isLoopback } from '../forward/frame-ancestors.ts'
import type { Rate } from '../state/refusals.ts'
import { readContactCenters } from './contact-centers.ts'
import { errorCode, type LinksClient, type Surroundings } from './parsers.ts'
import {
  createReader,
  type Environment,
  type Finding,
  type Problems,
  type Reader,
  type Told,
} from './reader.ts'
import { record, type Source, surroundingsOf } from './source.ts'
import { type Setting, settings, yamlName } from './table.ts'
import { readTold, type SettingFiles } from './told.ts'

/** Everything the gateway is told, as domain values. Durations are milliseconds, sizes are bytes. */
export interface Config {
  /** One of the environment, or those of the YAML file. */
  readonly contactCenters: readonly ContactCenter[]
  /** Of requests that belong to no contact center. */
  readonly enforcement: Enforcement
  /** Signs the tokens that the upstream gets under `forwardAuth: 'resign'`; null: each contact center's newest secret does. */
  readonly upstreamSecret: Buffer | null
  /** Sign the sessions of contact centers with public keys, newest first. */
  readonly sessionSecrets: readonly Buffer[]
  readonly upstream: {
    /** Origin and base path of the workspace; the path has no trailing slash unless it is `/`. */
    readonly page: URL
    /** Origin of the backend; `/socket.io/` goes there. */
    readonly api: URL
    /** What `config.js` hands to every browser; null where it may. */
    readonly apiToken: string | null
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
    readonly tls: {
      readonly cert: string
      readonly key: string
      readonly clientCa: string | null
    } | null
    readonly headersTimeout: number
    readonly idleTimeout: number
    readonly bodyLimit: number
    readonly webSocketLimit: number
    readonly maxConnections: number
  }
  /** The gateway's own origins; null: taken from each request's Host. */
  readonly publicOrigins: readonly string[] | null
  readonly publicPaths: PublicPaths
  /** Addresses and CIDRs whose forwarding headers are believed. */
  readonly trustedProxies: readonly string[]
  readonly sessions: { readonly maxAge: number; readonly outliveToken: boolean }
  /** Whether the upstream gets the token: as it came, one that the gateway signs instead, or none. */
  readonly forwardAuth: boolean | 'resign'
  readonly identityHeaders: boolean
  /** Refusals a client address. */
  readonly rateLimit: Rate
  readonly admin: {
    readonly host: string
    readonly port: number
    readonly token: string | null
  } | null
  /** The listener that makes links; null: none. */
  readonly links: {
    readonly host: string
    readonly port: number
    /** What short links begin with; null: taken from each request's Host. */
    readonly origin: string | null
  } | null
  /** What replicas share; null: nothing. */
  readonly redisUrl: string | null
  /** Processes on this machine. */
  readonly workers: number
  readonly drainDelay: number
  readonly drainTimeout: number
  readonly logLevel: LevelWithSilent
}

/** Whether what should be refused is, or is let through and reported. */
export type Enforcement = 'enforce' | 'report'

/** Those who sign links: how their tokens are verified, and who may frame what these let in. */
export interface ContactCenter {
  /** Also the `kid` of its shared secrets, and of a public key without one. */
  readonly name: string
  /** Shared secrets for HS256, at least 32 bytes each, newest first. */
  readonly secrets: readonly Buffer[]
  /** Keys for RS256, PS256, ES256 and EdDSA, instead of secrets. */
  readonly publicKeys: readonly PublicKey[]
  /** Where its public keys are published (RFC 7517 §5); null: nowhere. */
  readonly jwksUrl: URL | null
  /** CSP host sources and `'self'`; empty means `'none'`. */
  readonly frameAncestors: readonly string[]
  /** The URLTokens of its links, which no other contact center has; null: any that is nobody else's. */
  readonly urlTokens: readonly string[] | null
  readonly tokens: TokenPolicy
  /** Whether a token opens one session only. */
  readonly oneTimeTokens: boolean
  readonly enforcement: Enforcement
  /** Who may ask the links API for its links; of one id there may be several secrets. */
  readonly linksClients: readonly LinksClient[]
}

export interface PublicKey {
  readonly kid: string
  readonly key: KeyObject
  /** The one algorithm that it is for, where it says so; else all that its type has. */
  readonly alg?: string
}

/** A frozen Config and what is doubtful about it. */
export interface Read {
  readonly config: Config
  readonly warnings: readonly Finding[]
}

/** What was read, and where: every file, even one that is not there. */
export interface Sources {
  readonly files: readonly string[]
  readonly source: Source
}

/**
 * Reads every setting, of the environment and of the files that hold settings: a Config, or every
 * problem at once. Nothing is kept from one time to the next.
 */
export function readConfig(
  env: Environment,
  surroundings: Surroundings,
  files: SettingFiles = { env: null, yaml: null },
): (Read | Problems) & Sources {
  const { surroundings: recording, texts } = record(surroundings)
  const told = readTold(env, files, recording.readFile)
  const read = 'problems' in told ? told : readAll(told, recording)
  const source = { env, files, texts: texts(), now: surroundings.now }
  return { ...read, files: Object.keys(source.texts), source }
}

/** The same again, in another process. */
export function readSource(source: Source): (Read | Problems) & Sources {
  return readConfig(source.env, surroundingsOf(source), source.files)
}

function readAll(told: Told, surroundings: Surroundings): Read | Problems {
  const reader = createReader(told, surroundings)
  const { read, isSet, refuse, warn } = reader
  if (told.yaml !== null) reader.entriesOf(told.yaml.root, keysOfFile)
  const list = told.yaml?.root.entries.get('contactCenters') ?? null
  const needed = {
    page: read(settings.copilotUrl),
    host: read(settings.host),
    port: read(settings.port),
    adminHost: read(settings.adminHost),
    adminPort: read(settings.adminPort),
    linksHost: read(settings.linksHost),
    linksPort: read(settings.linksPort),
    enforcement: read(settings.enforcement),
    sessionMaxAge: read(settings.sessionMaxAge),
    outliveToken: read(settings.sessionOutlivesToken),
    forwardAuth: read(settings.forwardAuth),
    identityHeaders: read(settings.identityHeaders),
    rateLimit: read(settings.rateLimit),
    maxConnections: read(settings.maxConnections),
    bodyLimit: read(settings.bodyLimit),
    webSocketLimit: read(settings.wsMaxPayload),
    headersTimeout: read(settings.headersTimeout),
    idleTimeout: read(settings.idleTimeout),
    upstreamTimeout: read(settings.upstreamTimeout),
    drainDelay: read(settings.drainDelay),
    drainTimeout: read(settings.drainTimeout),
    workers: read(settings.workers),
    logLevel: read(settings.logLevel),
  }
  const { page, host, port, adminHost, adminPort, linksHost, linksPort } = needed
  const contactCenters = readContactCenters(reader, list)
  const upstreamSecrets =
    list !== null && isSet(settings.jwtSecret) ? read(settings.jwtSecret) : null
  const sessionSecrets = read(settings.sessionSecret) ?? []
  const adminToken = read(settings.adminToken)
  const redisUrl = read(settings.redisUrl)
  const workers = needed.workers === 'auto' ? availableParallelism() : needed.workers
  const api = read(settings.copilotApiUrl)
  const apiToken = read(settings.copilotApiToken)
  const publicOrigins = read(settings.publicUrl)
  const linksUrl = read(settings.linksUrl)
  const publicPaths = read(settings.publicPaths) ?? { exact: new Set(), prefixes: [] }
  const tls = readPair(reader, settings.tlsCert, settings.tlsKey)
  const clientCa = read(settings.tlsClientCa)
  const upstreamTls = readPair(reader, settings.upstreamCert, settings.upstreamKey)
  const upstreamCa = read(settings.upstreamCa)
  const trustedProxies = read(settings.trustProxy) ?? []

  for (const [setting, url] of [
    [settings.copilotUrl, page],
    [settings.copilotApiUrl, api],
  ] as const) {
    if (url !== null && isGateway(url, host, port, publicOrigins ?? [])) {
      refuse(setting, 'is the address of the gateway itself: it must be that of Copilot')
    }
  }
  if (host !== null && adminHost !== null && adminPort !== 'off') {
    if (port === adminPort && port !== 0 && overlap(host, adminHost)) {
      refuse(settings.adminPort, 'is PORT on the same host: each listener needs one of its own')
    }
    if (!isSet(settings.adminToken) && !isLoopback(adminHost)) {
      refuse(settings.adminToken, 'is required, since ADMIN_HOST is not loopback')
    }
  }
  if (host !== null && linksHost !== null && linksPort !== 'off' && linksPort !== null) {
    for (const [name, otherHost, otherPort] of [
      ['PORT', host, port],
      ['ADMIN_PORT', adminHost, adminPort],
    ] as const) {
      if (linksPort !== otherPort || linksPort === 0 || otherHost === null) continue
      if (!overlap(linksHost, otherHost)) continue
      refuse(settings.linksPort, `is ${name} on the same host: each listener needs one of its own`)
    }
    if (!isLoopback(host) && publicOrigins === null) {
      refuse(settings.publicUrl, 'is required, since LINKS_PORT is set and HOST is not loopback')
    }
    if (!contactCenters.some(({ linksClients }) => linksClients.length > 0)) {
      warn(settings.linksClients, 'is not set: nobody may ask the links API')
    }
    const secure = isSet(settings.tlsCert) || linksUrl?.protocol === 'https:'
    if (!isLoopback(linksHost) && !secure) {
      const remedy = 'set TLS_CERT_FILE, or LINKS_URL (https)'
      warn(settings.linksHost, `takes plain HTTP from the network: ${remedy}`)
    }
  }
  const isOneTime = contactCenters.some(({ oneTimeTokens }) => oneTimeTokens)
  if (isOneTime && workers !== null && workers > 1 && !isSet(settings.redisUrl)) {
    refuse(settings.redisUrl, 'is required, since ONE_TIME_TOKENS is true and WORKERS is above 1')
  }
  const withPublicKeys = contactCenters.find(({ secrets }) => secrets.length === 0)
  if (withPublicKeys === undefined) {
    if (isSet(settings.sessionSecret)) {
      warn(settings.sessionSecret, 'has no effect, since no contact center has public keys')
    }
  } else {
    const since = `since the contact center ${JSON.stringify(withPublicKeys.name)} has public keys`
    if (!isSet(settings.sessionSecret)) {
      refuse(settings.sessionSecret, `is required, ${since}`)
    }
    const known = contactCenters.find(({ secrets }) =>
      secrets.some((secret) => sessionSecrets.some((other) => other.equals(secret))),
    )
    if (known !== undefined) {
      // Who knows it could sign the sessions of all others.
      const name = JSON.stringify(known.name)
      refuse(settings.sessionSecret, `must be no secret of a contact center, as it is of ${name}`)
    }
    if (needed.forwardAuth === 'resign' && !isSet(settings.jwtSecret)) {
      refuse(settings.jwtSecret, `is required to sign for the upstream, ${since}`)
    }
  }
  if (list !== null && needed.forwardAuth !== 'resign' && isSet(settings.jwtSecret)) {
    const what = 'contact centers have their own, and FORWARD_AUTH is not resign'
    warn(settings.jwtSecret, `has no effect: ${what}`)
  }
  const wantsTls = isSet(settings.tlsCert) || isSet(settings.tlsKey)
  if (isSet(settings.tlsClientCa) && !wantsTls) {
    refuse(settings.tlsClientCa, 'needs TLS_CERT_FILE and TLS_KEY_FILE beside it')
  }

  if (page !== null && ![page, api].some((url) => url?.protocol === 'https:')) {
    for (const setting of [settings.upstreamCa, settings.upstreamCert, settings.upstreamKey]) {
      if (isSet(setting)) warn(setting, 'has no effect, since COPILOT_URL is not https')
    }
  }
  if (apiToken === null) {
    warn(
      settings.copilotApiToken,
      "is not set: config.js hands the backend's token to every browser",
    )
  }
  if (needed.sessionMaxAge !== null && needed.sessionMaxAge < 30 * 60_000) {
    warn(settings.sessionMaxAge, 'is under 30m: agents lose the workspace in mid-conversation')
  }
  for (const [setting, url] of [
    [settings.copilotUrl, page],
    [settings.copilotApiUrl, api],
  ] as const) {
    if (url?.protocol === 'http:' && !isLoopback(url.hostname)) {
      warn(setting, 'is plain HTTP: tokens and conversations cross the network in the clear')
    }
  }
  if (publicOrigins?.some((own) => own.startsWith('http:') && !isLoopback(new URL(own).hostname))) {
    warn(settings.publicUrl, 'is plain HTTP: browsers keep no session there, and no link is secret')
  }
  if (linksUrl?.protocol === 'http:' && !isLoopback(linksUrl.hostname)) {
    const risk = 'a short link is a credential, and crosses the network in the clear'
    warn(settings.linksUrl, `is plain HTTP: ${risk}`)
  }
  const https = wantsTls || publicOrigins?.some((own) => own.startsWith('https:'))
  if (host !== null && !isLoopback(host) && !https) {
    warn(
      settings.host,
      'takes plain HTTP from the network: set TLS_CERT_FILE, or PUBLIC_URL (https)',
    )
  }

  if (reader.problems.length > 0 || !isComplete(needed)) return { problems: reader.problems }
  const config: Config = {
    contactCenters,
    enforcement: needed.enforcement,
    upstreamSecret: needed.forwardAuth === 'resign' ? (upstreamSecrets?.[0] ?? null) : null,
    sessionSecrets: withPublicKeys === undefined ? [] : sessionSecrets,
    upstream: {
      page: needed.page,
      api: api ?? new URL(needed.page.origin),
      apiToken,
      tls: { ca: upstreamCa, cert: upstreamTls?.cert ?? null, key: upstreamTls?.key ?? null },
      timeout: needed.upstreamTimeout,
    },
    listener: {
      host: needed.host,
      port: needed.port,
      tls: tls === null ? null : { ...tls, clientCa },
      headersTimeout: needed.headersTimeout,
      idleTimeout: needed.idleTimeout,
      bodyLimit: needed.bodyLimit,
      webSocketLimit: needed.webSocketLimit,
      maxConnections: needed.maxConnections,
    },
    publicOrigins,
    publicPaths,
    trustedProxies,
    sessions: { maxAge: needed.sessionMaxAge, outliveToken: needed.outliveToken },
    forwardAuth: needed.forwardAuth,
    identityHeaders: needed.identityHeaders,
    rateLimit: needed.rateLimit,
    admin:
      needed.adminPort === 'off'
        ? null
        : { host: needed.adminHost, port: needed.adminPort, token: adminToken },
    links:
      needed.linksPort === 'off'
        ? null
        : { host: needed.linksHost, port: needed.linksPort, origin: linksUrl?.origin ?? null },
    redisUrl,
    workers: workers ?? 1,
    drainDelay: needed.drainDelay,
    drainTimeout: needed.drainTimeout,
    logLevel: needed.logLevel,
  }
  return { config: freeze(config), warnings: reader.warnings }
}

function readPair(
  { read, isSet, refuse }: Reader,
  certSetting: Setting<string>,
  keySetting: Setting<string>,
): { readonly cert: string; readonly key: string } | null {
  const cert = read(certSetting)
  const key = read(keySetting)
  if (isSet(certSetting) && !isSet(keySetting)) refuse(certSetting, `needs ${keySetting.name}`)
  if (isSet(keySetting) && !isSet(certSetting)) refuse(keySetting, `needs ${certSetting.name}`)
  if (cert === null || key === null) return null
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    refuse(keySetting, `must hold the key of the first certificate in ${certSetting.name}`)
    return null
  }
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    refuse(certSetting, `must hold what OpenSSL accepts (${errorCode(error)})`)
  }
  return { cert, key }
}

/** Whether requests to a URL would come back: to the listener, or to a name the gateway goes by. */
function isGateway(
  url: URL,
  host: string | null,
  port: number | null,
  publicOrigins: readonly string[],
): boolean {
  if (publicOrigins.includes(url.origin)) return true
  const defaultPort = url.protocol === 'https:' ? 443 : 80
  if (host === null || port !== Number(url.port || defaultPort)) return false
  const target = url.hostname.replace(/^\[|\]$/g, '')
  return isSameAddress(target, host)
}

/** Whether both lead to one listener. */
function isSameAddress(a: string, b: string): boolean {
  const both = [a.toLowerCase(), b.toLowerCase()]
  if (both[0] === both[1]) return true
  // `localhost` is 127.0.0.1 or ::1; who listens on any address listens on both.
  const local = both.every((name) => isLoopback(name) || isAnyAddress(name))
  return local && both.some((name) => isIP(name) === 0 || isAnyAddress(name))
}

/** Whether two listeners of this machine can't have one port. */
function overlap(a: string, b: string): boolean {
  return isSameAddress(a, b) || isAnyAddress(a) || isAnyAddress(b)
}

/** Whether a listener with this address takes connections to every address. */
export function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** What a YAML file may set at its top level. */
export const keysOfFile = ['contactCenters', ...Object.values<Setting>(settings).map(yamlName)]

function isComplete<T extends object>(
  values: T,
): values is T & { readonly [Name in keyof T]: NonNullable<T[Name]> } {
  return Object.values(values).every((value) => value !== null)
}

/** Buffers cannot be frozen, and freezing a URL does not stop its setters. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  // Node keeps in a key what it finds out about it.
  if (value instanceof KeyObject) return value
  for (const part of Object.values(value)) freeze(part)
  Object.freeze(value)
  return value
}
