import {
  adminToken,
  apiToken,
  baseUrl,
  boolean,
  certificates,
  count,
  duration,
  frameAncestors,
  host,
  linksClients,
  longestTimer,
  oneOf,
  origin,
  origins,
  orWord,
  type Parser,
  port,
  privateKey,
  proxies,
  publicPaths,
  rate,
  redisUrl,
  size,
  urlTokens,
} from './parsers.ts'
import { sharedSecrets } from './secrets.ts'

/** One of the gateway's settings, as its documentation shows it. */
export interface Setting<T = unknown> {
  readonly name: string
  readonly meaning: string
  /** What holds where the setting is absent: a text its parser takes, or, in `absent`, a word. */
  readonly default?: string
  readonly absent?: 'required' | 'none' | 'any' | 'derived' | 'COPILOT_URL' | 'from Host' | 'system'
  /** Whether `<name>_FILE` may name a file that holds the value. */
  readonly file?: true
  /** How a YAML file may write it beside text, and what its schema says; absent: as text. */
  readonly form?: Form
  /** Words that it takes, beside what its form says. */
  readonly words?: readonly string[]
  readonly parse: Parser<T>
}

/** What a setting is called in a YAML file: `copilotUrl` for `COPILOT_URL`. */
export function yamlName({ name }: Setting): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}

export type Form = 'path' | 'list' | 'boolean' | 'count' | 'port' | 'duration' | 'size'

const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
const enforcements = ['enforce', 'report'] as const

/** Every setting there is. */
export const settings = {
  copilotUrl: {
    name: 'COPILOT_URL',
    absent: 'required',
    parse: baseUrl,
    meaning: 'Origin, and base path if any, of the Copilot workspace.',
  },
  copilotApiUrl: {
    name: 'COPILOT_API_URL',
    absent: 'COPILOT_URL',
    parse: origin,
    meaning: 'Origin of the Copilot backend; /socket.io/ goes there.',
  },
  copilotApiToken: {
    name: 'COPILOT_API_TOKEN',
    absent: 'none',
    file: true,
    parse: apiToken,
    meaning: "The backend's API token, which browsers then never see.",
  },
  jwtSecret: {
    name: 'JWT_SECRET',
    absent: 'required',
    file: true,
    parse: sharedSecrets,
    meaning:
      'Secrets shared with the contact center, separated by white space, newest first, 32 bytes or more each; hex:, base64: or utf8: may stand before one.',
  },
  sessionSecret: {
    name: 'SESSION_SECRET',
    absent: 'derived',
    file: true,
    parse: sharedSecrets,
    meaning:
      "Secrets that sign the sessions of contact centers with public keys, written as JWT_SECRET is; other sessions' keys are derived from the secret of their token.",
  },
  frameAncestors: {
    name: 'FRAME_ANCESTORS',
    default: "'none'",
    form: 'list',
    parse: frameAncestors,
    meaning:
      "Who may frame the workspace: CSP host sources, 'self', and presets such as genesys:mypurecloud.de, separated by white space or commas.",
  },
  urlTokens: {
    name: 'URL_TOKENS',
    absent: 'any',
    form: 'list',
    parse: urlTokens,
    meaning: 'URLTokens that links may name, separated by white space.',
  },
  publicUrl: {
    name: 'PUBLIC_URL',
    absent: 'from Host',
    form: 'list',
    parse: origins,
    meaning:
      "The gateway's own origins as browsers see them, separated by white space; needed where TLS ends before it.",
  },
  publicPaths: {
    name: 'PUBLIC_PATHS',
    absent: 'none',
    form: 'list',
    parse: publicPaths,
    meaning:
      'Paths, or folders such as /assets/*, that anyone may GET: static files, for browsers without cookies.',
  },
  host: {
    name: 'HOST',
    default: '127.0.0.1',
    parse: host,
    meaning: 'Address that the gateway listens on.',
  },
  port: {
    name: 'PORT',
    default: '8080',
    form: 'port',
    parse: port,
    meaning: 'Port that the gateway listens on; 0 for any free one.',
  },
  adminHost: {
    name: 'ADMIN_HOST',
    default: '127.0.0.1',
    parse: host,
    meaning: 'Address of the admin listener.',
  },
  adminPort: {
    name: 'ADMIN_PORT',
    default: '9090',
    form: 'port',
    words: ['off'],
    parse: orWord(port, 'off'),
    meaning: 'Port of the admin listener; off for none.',
  },
  adminToken: {
    name: 'ADMIN_TOKEN',
    absent: 'none',
    file: true,
    parse: adminToken,
    meaning:
      'Bearer token of the admin listener, 16 characters or more; required where ADMIN_HOST is not loopback.',
  },
  linksHost: {
    name: 'LINKS_HOST',
    default: '127.0.0.1',
    parse: host,
    meaning: 'Address of the links API.',
  },
  linksPort: {
    name: 'LINKS_PORT',
    default: 'off',
    form: 'port',
    words: ['off'],
    parse: orWord(port, 'off'),
    meaning: 'Port of the links API; off for none.',
  },
  linksUrl: {
    name: 'LINKS_URL',
    absent: 'from Host',
    parse: origin,
    meaning: 'Origin of the links API as browsers see it, which short links begin with.',
  },
  linksClients: {
    name: 'LINKS_CLIENTS',
    absent: 'none',
    form: 'list',
    parse: linksClients,
    meaning:
      'Who may ask the links API, each as id:sha256:hash, separated by white space; a secret is 64 random hex digits.',
  },
  tlsCert: {
    name: 'TLS_CERT_FILE',
    absent: 'none',
    form: 'path',
    parse: certificates,
    meaning:
      'PEM certificate of the gateway, its chain after it; makes the listener, and the links API, HTTPS.',
  },
  tlsKey: {
    name: 'TLS_KEY_FILE',
    absent: 'none',
    form: 'path',
    parse: privateKey,
    meaning: 'PEM private key of that certificate.',
  },
  tlsClientCa: {
    name: 'TLS_CLIENT_CA_FILE',
    absent: 'none',
    form: 'path',
    parse: certificates,
    meaning: 'PEM certificates of those who issue client certificates, which are then required.',
  },
  upstreamCa: {
    name: 'UPSTREAM_CA_FILE',
    absent: 'system',
    form: 'path',
    parse: certificates,
    meaning: "PEM certificates of those who may issue the upstream's certificate.",
  },
  upstreamCert: {
    name: 'UPSTREAM_CERT_FILE',
    absent: 'none',
    form: 'path',
    parse: certificates,
    meaning: 'PEM certificate that the gateway shows to the upstream.',
  },
  upstreamKey: {
    name: 'UPSTREAM_KEY_FILE',
    absent: 'none',
    form: 'path',
    parse: privateKey,
    meaning: 'PEM private key of that certificate.',
  },
  requireExp: {
    name: 'REQUIRE_EXP',
    default: 'false',
    form: 'boolean',
    parse: boolean,
    meaning: 'Refuse tokens without exp.',
  },
  tokenMaxAge: {
    name: 'TOKEN_MAX_AGE',
    absent: 'none',
    form: 'duration',
    parse: duration(1),
    meaning: 'How long after its iat a token is accepted; one without iat is then refused.',
  },
  clockTolerance: {
    name: 'CLOCK_TOLERANCE',
    default: '5s',
    form: 'duration',
    parse: duration(0),
    meaning: 'How far the clocks of contact center and gateway may differ.',
  },
  oneTimeTokens: {
    name: 'ONE_TIME_TOKENS',
    default: 'false',
    form: 'boolean',
    parse: boolean,
    meaning: 'A token opens one session only.',
  },
  sessionMaxAge: {
    name: 'SESSION_MAX_AGE',
    default: '12h',
    form: 'duration',
    parse: duration(1, longestTimer),
    meaning: "The longest a session lasts: an agent's shift.",
  },
  sessionOutlivesToken: {
    name: 'SESSION_OUTLIVES_TOKEN',
    default: 'false',
    form: 'boolean',
    parse: boolean,
    meaning: 'The token only opens the session, which then lasts for SESSION_MAX_AGE.',
  },
  forwardAuth: {
    name: 'FORWARD_AUTH',
    default: 'true',
    form: 'boolean',
    words: ['resign'],
    parse: orWord(boolean, 'resign'),
    meaning:
      'Send auth to the upstream, which verifies it too; resign: a fresh token of 60 s instead.',
  },
  identityHeaders: {
    name: 'IDENTITY_HEADERS',
    default: 'false',
    form: 'boolean',
    parse: boolean,
    meaning:
      'Send X-Copilot-User-Id, -Session-Id and -Contact-Center to the upstream, percent-encoded.',
  },
  enforcement: {
    name: 'ENFORCEMENT',
    default: 'enforce',
    words: enforcements,
    parse: oneOf(enforcements),
    meaning:
      'Under report, what the credential, binding, URLToken and event checks refuse is let through and logged.',
  },
  redisUrl: {
    name: 'REDIS_URL',
    absent: 'none',
    file: true,
    parse: redisUrl,
    meaning: 'Where replicas share revocations, used tokens and short links; redis: or rediss:.',
  },
  trustProxy: {
    name: 'TRUST_PROXY',
    absent: 'none',
    form: 'list',
    parse: proxies,
    meaning:
      'Addresses or CIDRs, separated by white space or commas, whose forwarding headers are believed.',
  },
  rateLimit: {
    name: 'RATE_LIMIT',
    default: '30/1m',
    parse: rate,
    meaning:
      'Refusals a client address and time; past it they are 429. What passes is not counted.',
  },
  bodyLimit: {
    name: 'BODY_LIMIT',
    default: '10mb',
    form: 'size',
    parse: size,
    meaning: 'The largest request body.',
  },
  wsMaxPayload: {
    name: 'WS_MAX_PAYLOAD',
    default: '1mb',
    form: 'size',
    parse: size,
    meaning: 'The largest WebSocket message from a client.',
  },
  maxConnections: {
    name: 'MAX_CONNECTIONS',
    default: '10000',
    form: 'count',
    parse: count,
    meaning: 'Open connections of clients; new ones past it get 503.',
  },
  headersTimeout: {
    name: 'HEADERS_TIMEOUT',
    default: '10s',
    form: 'duration',
    parse: duration(1, longestTimer),
    meaning: "How long a request's head may take.",
  },
  idleTimeout: {
    name: 'IDLE_TIMEOUT',
    default: '60s',
    form: 'duration',
    parse: duration(1, longestTimer),
    meaning: 'How long a body may pause.',
  },
  upstreamTimeout: {
    name: 'UPSTREAM_TIMEOUT',
    default: '30s',
    form: 'duration',
    parse: duration(1, longestTimer),
    meaning: 'How long the upstream may take to connect, to answer and between two bytes.',
  },
  drainDelay: {
    name: 'DRAIN_DELAY',
    default: '0s',
    form: 'duration',
    parse: duration(0, longestTimer),
    meaning: 'How long a stopping gateway goes on serving while /readyz says that it is not ready.',
  },
  drainTimeout: {
    name: 'DRAIN_TIMEOUT',
    default: '25s',
    form: 'duration',
    parse: duration(0, longestTimer),
    meaning: 'How long a stopping gateway then waits for what is open.',
  },
  workers: {
    name: 'WORKERS',
    default: '1',
    form: 'count',
    words: ['auto'],
    parse: orWord(count, 'auto'),
    meaning: 'Processes on this machine; auto for one a processor.',
  },
  logLevel: {
    name: 'LOG_LEVEL',
    default: 'info',
    words: levels,
    parse: oneOf(levels),
    meaning:
      'The least severe level that is logged: fatal, error, warn, info, debug, trace, silent.',
  },
} as const satisfies Readonly<Record<string, Setting>>
