import {
  apiToken,
  baseUrl,
  boolean,
  certificates,
  count,
  duration,
  frameAncestors,
  host,
  logLevel,
  longestTimer,
  origin,
  origins,
  type Parser,
  port,
  privateKey,
  proxies,
  publicPaths,
  rate,
  size,
} from './parsers.ts'
import { sharedSecrets } from './secrets.ts'

/** One of the gateway's settings, as its documentation shows it. */
export interface Setting<T = unknown> {
  readonly name: string
  readonly meaning: string
  /** What holds where the setting is absent: a text its parser takes, or, in `absent`, a word. */
  readonly default?: string
  readonly absent?: 'required' | 'none' | 'COPILOT_URL' | 'from Host' | 'system'
  /** Whether `<name>_FILE` may name a file that holds the value. */
  readonly file?: true
  readonly parse: Parser<T>
}

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
  frameAncestors: {
    name: 'FRAME_ANCESTORS',
    default: "'none'",
    parse: frameAncestors,
    meaning:
      "Who may frame the workspace: CSP host sources and 'self', separated by white space or commas.",
  },
  publicUrl: {
    name: 'PUBLIC_URL',
    absent: 'from Host',
    parse: origins,
    meaning:
      "The gateway's own origins as browsers see them, separated by white space; needed where TLS ends before it.",
  },
  publicPaths: {
    name: 'PUBLIC_PATHS',
    absent: 'none',
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
    parse: port,
    meaning: 'Port that the gateway listens on; 0 for any free one.',
  },
  tlsCert: {
    name: 'TLS_CERT_FILE',
    absent: 'none',
    parse: certificates,
    meaning: 'PEM certificate of the gateway, its chain after it; makes the listener HTTPS.',
  },
  tlsKey: {
    name: 'TLS_KEY_FILE',
    absent: 'none',
    parse: privateKey,
    meaning: 'PEM private key of that certificate.',
  },
  tlsClientCa: {
    name: 'TLS_CLIENT_CA_FILE',
    absent: 'none',
    parse: certificates,
    meaning: 'PEM certificates of those who issue client certificates, which are then required.',
  },
  upstreamCa: {
    name: 'UPSTREAM_CA_FILE',
    absent: 'system',
    parse: certificates,
    meaning: "PEM certificates of those who may issue the upstream's certificate.",
  },
  upstreamCert: {
    name: 'UPSTREAM_CERT_FILE',
    absent: 'none',
    parse: certificates,
    meaning: 'PEM certificate that the gateway shows to the upstream.',
  },
  upstreamKey: {
    name: 'UPSTREAM_KEY_FILE',
    absent: 'none',
    parse: privateKey,
    meaning: 'PEM private key of that certificate.',
  },
  requireExp: {
    name: 'REQUIRE_EXP',
    default: 'false',
    parse: boolean,
    meaning: 'Refuse tokens without exp.',
  },
  tokenMaxAge: {
    name: 'TOKEN_MAX_AGE',
    absent: 'none',
    parse: duration(1),
    meaning: 'How long after its iat a token is accepted; one without iat is then refused.',
  },
  clockTolerance: {
    name: 'CLOCK_TOLERANCE',
    default: '5s',
    parse: duration(0),
    meaning: 'How far the clocks of contact center and gateway may differ.',
  },
  sessionMaxAge: {
    name: 'SESSION_MAX_AGE',
    default: '12h',
    parse: duration(1, longestTimer),
    meaning: "The longest a session lasts: an agent's shift.",
  },
  sessionOutlivesToken: {
    name: 'SESSION_OUTLIVES_TOKEN',
    default: 'false',
    parse: boolean,
    meaning: 'The token only opens the session, which then lasts for SESSION_MAX_AGE.',
  },
  forwardAuth: {
    name: 'FORWARD_AUTH',
    default: 'true',
    parse: boolean,
    meaning: 'Send auth to the upstream, which verifies it too.',
  },
  trustProxy: {
    name: 'TRUST_PROXY',
    absent: 'none',
    parse: proxies,
    meaning:
      'Addresses or CIDRs, separated by white space or commas, whose forwarding headers are believed.',
  },
  identityHeaders: {
    name: 'IDENTITY_HEADERS',
    default: 'false',
    parse: boolean,
    meaning:
      'Send X-Copilot-User-Id, -Session-Id and -Contact-Center to the upstream, percent-encoded.',
  },
  rateLimit: {
    name: 'RATE_LIMIT',
    default: '30/1m',
    parse: rate,
    meaning:
      'Refusals a client address and time; past it they are 429. What passes is not counted.',
  },
  maxConnections: {
    name: 'MAX_CONNECTIONS',
    default: '10000',
    parse: count,
    meaning: 'Open connections of clients; new ones past it get 503.',
  },
  bodyLimit: {
    name: 'BODY_LIMIT',
    default: '10mb',
    parse: size,
    meaning: 'The largest request body.',
  },
  wsMaxPayload: {
    name: 'WS_MAX_PAYLOAD',
    default: '1mb',
    parse: size,
    meaning: 'The largest WebSocket message from a client.',
  },
  headersTimeout: {
    name: 'HEADERS_TIMEOUT',
    default: '10s',
    parse: duration(1, longestTimer),
    meaning: "How long a request's head may take.",
  },
  idleTimeout: {
    name: 'IDLE_TIMEOUT',
    default: '60s',
    parse: duration(1, longestTimer),
    meaning: 'How long a body may pause.',
  },
  upstreamTimeout: {
    name: 'UPSTREAM_TIMEOUT',
    default: '30s',
    parse: duration(1, longestTimer),
    meaning: 'How long the upstream may take to connect, to answer and between two bytes.',
  },
  drainTimeout: {
    name: 'DRAIN_TIMEOUT',
    default: '25s',
    parse: duration(0, longestTimer),
    meaning: 'How long a stopping gateway waits for what is open.',
  },
  logLevel: {
    name: 'LOG_LEVEL',
    default: 'info',
    parse: logLevel,
    meaning:
      'The least severe level that is logged: fatal, error, warn, info, debug, trace, silent.',
  },
} as const satisfies Readonly<Record<string, Setting>>
