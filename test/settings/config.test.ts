import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { availableParallelism } from 'node:os'
import t from 'tap'
import { type Config, type ContactCenter, readConfig } from '../../src/settings/config.ts'
import type { Finding } from '../../src/settings/reader.ts'
import { type Setting, settings } from '../../src/settings/table.ts'

const now = Date.UTC(2026, 0, 1)
const hex = '00112233445566778899aabbccddeeff'.repeat(2)
const text = 'a text of 32 bytes and no blanks'.replaceAll(' ', '_')

/** Valid, and nothing to warn of. */
const base = {
  COPILOT_URL: 'https://copilot.example',
  JWT_SECRET: `hex:${hex}`,
  FRAME_ANCESTORS: 'https://cc.example',
  REQUIRE_EXP: 'true',
  COPILOT_API_TOKEN: 'an-api-token-of-the-backend',
  URL_TOKENS: 'f38791ae',
}
const links = { LINKS_PORT: '8081', LINKS_CLIENTS: `crm:sha256:${hex}` }
const token = 'a-token-of-the-admin-listener'
type Change = Readonly<Record<string, string | undefined>>

const [ec, other, small] = [
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('rsa', { modulusLength: 512 }),
]
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const valid = certificate(ec.publicKey, '20250101000000Z', '20350101000000Z')
const files: Readonly<Record<string, string>> = {
  'cert.pem': valid,
  'key.pem': pem(ec.privateKey),
  'both.pem': pem(ec.privateKey) + valid,
  'chain.pem': valid + certificate(other.publicKey, '20250101000000Z', '20350101000000Z'),
  'expired.pem': certificate(ec.publicKey, '20240101000000Z', '20250101000000Z'),
  'future.pem': certificate(ec.publicKey, '20270101000000Z', '20350101000000Z'),
  'old-chain.pem': valid + certificate(other.publicKey, '20240101000000Z', '20250101000000Z'),
  'other-key.pem': pem(other.privateKey),
  'small-cert.pem': certificate(small.publicKey, '20250101000000Z', '20350101000000Z'),
  'small-key.pem': pem(small.privateKey),
  'encrypted.pem': ec.privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    .toString(),
  'broken.pem': `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${valid}`,
  'empty.pem': '',
  secret: `hex:${hex}\n`,
  token: 'another-api-token\n',
  secrets: `\uFEFFhex:${hex}\r\n${text}\r\n`,
  blank: ' \n',
  binary: `\uFFFD${text}`,
}
const tls = { TLS_CERT_FILE: 'cert.pem', TLS_KEY_FILE: 'key.pem' }

function readFile(path: string): string {
  const found = files[path]
  if (found !== undefined) return found
  if (path === 'odd') throw new Error('no code')
  throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' })
}

function read(change: Change) {
  return readConfig({ ...base, ...change }, { readFile, now })
}

function configOf(change: Change): Config {
  const result = read(change)
  if ('problems' in result) throw new Error(lines(result.problems).join('\n'))
  return result.config
}

function problemsOf(change: Change): string[] {
  const result = read(change)
  return 'problems' in result ? lines(result.problems) : []
}

function warningsOf(change: Change): string[] {
  const result = read(change)
  return 'problems' in result ? lines(result.problems) : lines(result.warnings)
}

/** The contact center, where there is but one. */
function only({ contactCenters }: Config): ContactCenter {
  const [contactCenter, ...others] = contactCenters
  if (contactCenter === undefined || others.length > 0) throw new Error('not exactly one')
  return contactCenter
}

function lines(findings: readonly Finding[]): string[] {
  return findings.map(({ setting, message }) => `${setting} ${message}`)
}

t.test('the defaults are those of the documentation', (t) => {
  t.strictSame(configOf({}), {
    contactCenters: [
      {
        name: 'default',
        secrets: [Buffer.from(hex, 'hex')],
        publicKeys: [],
        jwksUrl: null,
        frameAncestors: ['https://cc.example'],
        urlTokens: ['f38791ae'],
        tokens: { requireExp: true, maxAge: null, clockTolerance: 5000 },
        oneTimeTokens: false,
        enforcement: 'enforce',
        linksClients: [],
      },
    ],
    enforcement: 'enforce',
    upstreamSecret: null,
    sessionSecrets: [],
    upstream: {
      page: new URL('https://copilot.example/'),
      api: new URL('https://copilot.example/'),
      apiToken: 'an-api-token-of-the-backend',
      tls: { ca: null, cert: null, key: null },
      timeout: 30_000,
    },
    listener: {
      host: '127.0.0.1',
      port: 8080,
      tls: null,
      headersTimeout: 10_000,
      idleTimeout: 60_000,
      bodyLimit: 10 * 1024 * 1024,
      webSocketLimit: 1024 * 1024,
      maxConnections: 10_000,
    },
    publicOrigins: null,
    publicPaths: { exact: new Set(), prefixes: [] },
    trustedProxies: [],
    sessions: { maxAge: 12 * 3_600_000, outliveToken: false },
    forwardAuth: true,
    identityHeaders: false,
    rateLimit: { count: 30, window: 60_000 },
    admin: { host: '127.0.0.1', port: 9090, token: null },
    links: null,
    redisUrl: null,
    workers: 1,
    drainDelay: 0,
    drainTimeout: 25_000,
    logLevel: 'info',
  })
  t.strictSame(only(configOf({ FRAME_ANCESTORS: undefined })).frameAncestors, [])
  t.equal(only(configOf({ REQUIRE_EXP: undefined })).tokens.requireExp, false)
  t.equal(only(configOf({ URL_TOKENS: undefined })).urlTokens, null)
  t.strictSame(warningsOf({}), [], 'nothing to warn of')
  t.end()
})

t.test('the table says what each setting is', (t) => {
  const all: readonly Setting[] = Object.values(settings)
  for (const { name, meaning, default: text, absent, parse } of all) {
    t.match(meaning, /^[A-Z].*\.$/, `${name} has a sentence`)
    t.not(text === undefined, absent === undefined, `${name} has a default or says why not`)
    if (text !== undefined) t.ok('value' in parse(text, { readFile, now }), `${name} by default`)
  }
  t.equal(new Set(all.map(({ name }) => name)).size, all.length, 'each is there once')
  t.end()
})

t.test('a text becomes a value', (t) => {
  const rows: readonly (readonly [Change, (config: Config) => unknown, unknown])[] = [
    [
      { COPILOT_URL: 'HTTP://Copilot.Example:80/a/b//' },
      (c) => c.upstream.page.href,
      'http://copilot.example/a/b',
    ],
    [
      { COPILOT_URL: 'https://copilot.example/a' },
      (c) => c.upstream.api.href,
      'https://copilot.example/',
    ],
    [
      { COPILOT_URL: 'http://copilot_web:3000' },
      (c) => c.upstream.page.origin,
      'http://copilot_web:3000',
    ],
    [
      { COPILOT_API_TOKEN: undefined, COPILOT_API_TOKEN_FILE: 'token' },
      (c) => c.upstream.apiToken,
      'another-api-token',
    ],
    [{ COPILOT_API_TOKEN: undefined }, (c) => c.upstream.apiToken, null],
    [
      { PUBLIC_PATHS: '/assets/*, /manifest.json\n/a%20b/*' },
      (c) => c.publicPaths,
      { exact: new Set(['/manifest.json']), prefixes: ['/assets/', '/a%20b/'] },
    ],
    [
      { COPILOT_API_URL: 'https://api.example/' },
      (c) => c.upstream.api.href,
      'https://api.example/',
    ],
    [{ COPILOT_URL: ' https://[2001:db8::1] ' }, (c) => c.upstream.page.host, '[2001:db8::1]'],
    [{ JWT_SECRET: text }, (c) => only(c).secrets, [Buffer.from(text)]],
    [{ JWT_SECRET: `utf8:${hex}` }, (c) => only(c).secrets, [Buffer.from(hex)]],
    [{ JWT_SECRET: `HEX:${hex.toUpperCase()}` }, (c) => only(c).secrets, [Buffer.from(hex, 'hex')]],
    [{ JWT_SECRET: `base64:${'+/+/'.repeat(11)}` }, (c) => only(c).secrets[0]?.length, 33],
    [{ JWT_SECRET: `base64:${'A'.repeat(43)}=` }, (c) => only(c).secrets[0]?.length, 32],
    [{ JWT_SECRET: `base64:${'-_-_'.repeat(11)}` }, (c) => only(c).secrets[0]?.length, 33],
    [
      { JWT_SECRET: `${text} \n hex:${hex}` },
      (c) => only(c).secrets,
      [Buffer.from(text), Buffer.from(hex, 'hex')],
    ],
    [
      { JWT_SECRET: undefined, JWT_SECRET_FILE: 'secret' },
      (c) => only(c).secrets,
      [Buffer.from(hex, 'hex')],
    ],
    [
      { JWT_SECRET: '', JWT_SECRET_FILE: 'secrets' },
      (c) => only(c).secrets,
      [Buffer.from(hex, 'hex'), Buffer.from(text)],
    ],
    [
      { FRAME_ANCESTORS: "cc.example 'self'" },
      (c) => only(c).frameAncestors,
      ['https://cc.example', "'self'"],
    ],
    [
      { PUBLIC_URL: 'https://A.example/ https://b.example:8443 https://a.example:443' },
      (c) => c.publicOrigins,
      ['https://a.example', 'https://b.example:8443'],
    ],
    [{ HOST: '::1', PORT: '0' }, (c) => [c.listener.host, c.listener.port], ['::1', 0]],
    [{ HOST: 'gateway-1.example', ...tls }, (c) => c.listener.host, 'gateway-1.example'],
    [{ PORT: '65535' }, (c) => c.listener.port, 65535],
    [tls, (c) => c.listener.tls, { cert: valid, key: files['key.pem'], clientCa: null }],
    [
      { ...tls, TLS_CLIENT_CA_FILE: 'chain.pem' },
      (c) => c.listener.tls?.clientCa,
      files['chain.pem'],
    ],
    [
      { TLS_CERT_FILE: 'both.pem', TLS_KEY_FILE: 'both.pem' },
      (c) => c.listener.tls?.key,
      files['both.pem'],
    ],
    [
      {
        UPSTREAM_CA_FILE: 'chain.pem',
        UPSTREAM_CERT_FILE: 'cert.pem',
        UPSTREAM_KEY_FILE: 'key.pem',
      },
      (c) => c.upstream.tls,
      { ca: files['chain.pem'], cert: valid, key: files['key.pem'] },
    ],
    [{ TOKEN_MAX_AGE: '250ms' }, (c) => only(c).tokens.maxAge, 250],
    [{ TOKEN_MAX_AGE: '90s' }, (c) => only(c).tokens.maxAge, 90_000],
    [{ TOKEN_MAX_AGE: '5m' }, (c) => only(c).tokens.maxAge, 300_000],
    [{ TOKEN_MAX_AGE: '1.5h' }, (c) => only(c).tokens.maxAge, 5_400_000],
    [{ TOKEN_MAX_AGE: '365d' }, (c) => only(c).tokens.maxAge, 365 * 86_400_000],
    [{ CLOCK_TOLERANCE: '0' }, (c) => only(c).tokens.clockTolerance, 0],
    [{ CLOCK_TOLERANCE: '0s' }, (c) => only(c).tokens.clockTolerance, 0],
    [{ DRAIN_TIMEOUT: '0' }, (c) => c.drainTimeout, 0],
    [{ SESSION_MAX_AGE: '24d' }, (c) => c.sessions.maxAge, 24 * 86_400_000],
    [{ SESSION_OUTLIVES_TOKEN: 'true' }, (c) => c.sessions.outliveToken, true],
    [{ FORWARD_AUTH: 'false' }, (c) => c.forwardAuth, false],
    [{ FORWARD_AUTH: 'resign' }, (c) => [c.forwardAuth, c.upstreamSecret], ['resign', null]],
    [{ URL_TOKENS: 'a b\n a' }, (c) => only(c).urlTokens, ['a', 'b']],
    [{ ADMIN_PORT: 'off', ADMIN_HOST: '0.0.0.0', ADMIN_TOKEN: token }, (c) => c.admin, null],
    [
      { ADMIN_PORT: '0', ADMIN_HOST: '0.0.0.0', ADMIN_TOKEN: token },
      (c) => c.admin,
      { host: '0.0.0.0', port: 0, token },
    ],
    [links, (c) => c.links, { host: '127.0.0.1', port: 8081, origin: null }],
    [{ ...links, LINKS_PORT: 'off' }, (c) => c.links, null],
    [
      { ...links, LINKS_HOST: '::1', LINKS_URL: 'https://Links.example:443/' },
      (c) => c.links,
      { host: '::1', port: 8081, origin: 'https://links.example' },
    ],
    [
      {
        LINKS_CLIENTS: `crm:sha256:${hex}\n${links.LINKS_CLIENTS} pbx.1:SHA256:${hex.toUpperCase()}`,
      },
      (c) => only(c).linksClients.map(({ id, hash }) => [id, hash.toString('hex')]),
      [
        ['crm', hex],
        ['pbx.1', hex],
      ],
    ],
    [{ ONE_TIME_TOKENS: 'true' }, (c) => only(c).oneTimeTokens, true],
    [{ ENFORCEMENT: 'report' }, (c) => [c.enforcement, only(c).enforcement], ['report', 'report']],
    [
      { REDIS_URL: 'rediss://u:p@redis.example:1/2' },
      (c) => c.redisUrl,
      'rediss://u:p@redis.example:1/2',
    ],
    [{ DRAIN_DELAY: '5s' }, (c) => c.drainDelay, 5000],
    [{ WORKERS: '3' }, (c) => c.workers, 3],
    [{ WORKERS: 'auto' }, (c) => c.workers, availableParallelism()],
    [
      { TRUST_PROXY: '10.0.0.0/8, ::1 192.0.2.1' },
      (c) => c.trustedProxies,
      ['10.0.0.0/8', '::1', '192.0.2.1'],
    ],
    [{ BODY_LIMIT: '1.5kb' }, (c) => c.listener.bodyLimit, 1536],
    [{ BODY_LIMIT: '2MB' }, (c) => c.listener.bodyLimit, 2 * 1024 * 1024],
    [{ IDENTITY_HEADERS: 'true' }, (c) => c.identityHeaders, true],
    [{ RATE_LIMIT: '5/250ms' }, (c) => c.rateLimit, { count: 5, window: 250 }],
    [{ MAX_CONNECTIONS: '7' }, (c) => c.listener.maxConnections, 7],
    [{ WS_MAX_PAYLOAD: '100b' }, (c) => c.listener.webSocketLimit, 100],
    [{ WS_MAX_PAYLOAD: '65536' }, (c) => c.listener.webSocketLimit, 65536],
    [{ HEADERS_TIMEOUT: '1s' }, (c) => c.listener.headersTimeout, 1000],
    [{ IDLE_TIMEOUT: '2s' }, (c) => c.listener.idleTimeout, 2000],
    [{ UPSTREAM_TIMEOUT: '3s' }, (c) => c.upstream.timeout, 3000],
    [{ LOG_LEVEL: 'silent' }, (c) => c.logLevel, 'silent'],
    [
      { PORT: '', HOST: ' ', TRUST_PROXY: '' },
      (c) => [c.listener.host, c.listener.port],
      ['127.0.0.1', 8080],
    ],
  ]
  for (const [change, actual, expected] of rows) {
    t.strictSame(actual(configOf(change)), expected, JSON.stringify(change))
  }
  t.end()
})

t.test('what is wrong is said, and what would be right', (t) => {
  const url = 'must be a URL of http or https, such as https://copilot.example.com'
  const credentials = 'must hold no user and password'
  const bare = 'must have no query and no fragment'
  const origin = 'must be an origin: scheme, host and port without a path'
  const separator = 'must have white space between two origins, no comma or semicolon'
  const key =
    'holds a PEM, DER or JWK key; a public key is no secret: give the shared secret itself'
  const short = 'bytes, but HS256 needs 32: take hex: and what openssl rand -hex 32 prints'
  const gateway = 'is the address of the gateway itself: it must be that of Copilot'
  const time = 'must be a number and ms, s, m, h or d, such as 90s or 1.5h'
  const size = 'must be a size above 0 in b, kb or mb, such as 512kb'
  const port = 'must be a port from 0 to 65535 (0: any free one)'
  const host =
    'must be an IP address (IPv6 without brackets) or a host name, without port or scheme'
  const redis = 'must be a URL of redis or rediss, such as rediss://user:password@host:6379/0'
  const unread = 'must name a file that can be read (ENOENT)'
  const spki = ec.publicKey.export({ type: 'spki', format: 'der' })
  const spkiPem = ec.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const jwk = JSON.stringify({ kty: 'oct', k: hex })

  const folder = 'must be a path such as /manifest.json, or a folder such as /assets/*'
  const files = 'must be a path of static files'
  const rows: readonly (readonly [Change, ...string[]])[] = [
    [{ COPILOT_API_TOKEN: 'two words' }, 'COPILOT_API_TOKEN must be one word of printable ASCII'],
    [
      { COPILOT_API_TOKEN: 'tökenökenökenöken' },
      'COPILOT_API_TOKEN must be one word of printable ASCII',
    ],
    [{ PUBLIC_PATHS: '/' }, 'PUBLIC_PATHS must not be /, the page itself'],
    [{ PUBLIC_PATHS: '/*' }, 'PUBLIC_PATHS must not be /, the page itself'],
    [{ PUBLIC_PATHS: 'assets/*' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '//a' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/a/../b' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/a%2fb' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/a?b' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/a*' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/a/*/b' }, `PUBLIC_PATHS ${folder}`],
    [{ PUBLIC_PATHS: '/assets/* *' }, `PUBLIC_PATHS (entry 2 of 2) ${folder}`],
    [{ PUBLIC_PATHS: '/socket.io/' }, `PUBLIC_PATHS ${files}`],
    [{ PUBLIC_PATHS: '/socket.io/*' }, `PUBLIC_PATHS ${files}`],
    [{ PUBLIC_PATHS: '/socket.io' }, `PUBLIC_PATHS ${files}`],
    [{ PUBLIC_PATHS: '/%73ocket.io/x' }, `PUBLIC_PATHS ${files}`],
    [{ PUBLIC_PATHS: '/.copilot-gateway/*' }, `PUBLIC_PATHS ${files}`],
    [{ COPILOT_URL: undefined }, `COPILOT_URL is required: ${settings.copilotUrl.meaning}`],
    [{ COPILOT_URL: '' }, `COPILOT_URL is required: ${settings.copilotUrl.meaning}`],
    [{ COPILOT_URL: 'copilot.example' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'ftp://copilot.example' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https:copilot.example' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://a.example b' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://a.exa\nmple' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://a.example\\b' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://a.example,b.example' }, `COPILOT_URL ${url}`],
    [{ COPILOT_URL: 'https://a.example:0' }, `COPILOT_URL ${url}`],
    [
      { COPILOT_URL: 'https://u:p@a.example?q#h' },
      `COPILOT_URL ${credentials}`,
      `COPILOT_URL ${bare}`,
    ],
    [{ COPILOT_URL: 'https://u@a.example' }, `COPILOT_URL ${credentials}`],
    [{ COPILOT_URL: 'https://:p@a.example' }, `COPILOT_URL ${credentials}`],
    [{ COPILOT_URL: 'https://a.example/?' }, `COPILOT_URL ${bare}`],
    [{ COPILOT_URL: 'https://a.example/#' }, `COPILOT_URL ${bare}`],
    [{ COPILOT_API_URL: 'https://a.example/api' }, `COPILOT_API_URL ${origin}`],
    [{ COPILOT_URL: 'http://127.0.0.1:8080' }, `COPILOT_URL ${gateway}`],
    [{ COPILOT_URL: 'http://localhost:8080' }, `COPILOT_URL ${gateway}`],
    [{ COPILOT_API_URL: 'http://localhost:8080' }, `COPILOT_API_URL ${gateway}`],
    [{ COPILOT_URL: 'http://[::1]:8080', HOST: 'localhost' }, `COPILOT_URL ${gateway}`],
    [{ COPILOT_URL: 'http://127.0.0.5:8080', HOST: '0.0.0.0', ...tls }, `COPILOT_URL ${gateway}`],
    [{ COPILOT_URL: 'http://0.0.0.0:8080' }, `COPILOT_URL ${gateway}`],
    [
      { COPILOT_URL: 'https://gw.example', HOST: 'GW.example', PORT: '443', ...tls },
      `COPILOT_URL ${gateway}`,
    ],
    [
      { COPILOT_URL: 'http://gw.example', HOST: 'gw.example', PORT: '80', ...tls },
      `COPILOT_URL ${gateway}`,
    ],
    [{ PUBLIC_URL: 'https://a.example https://copilot.example' }, `COPILOT_URL ${gateway}`],
    [{ JWT_SECRET: undefined }, `JWT_SECRET is required: ${settings.jwtSecret.meaning}`],
    [{ JWT_SECRET: ' ' }, `JWT_SECRET is required: ${settings.jwtSecret.meaning}`],
    [
      { JWT_SECRET_FILE: 'secret' },
      'JWT_SECRET and JWT_SECRET_FILE are both set: keep one of them',
    ],
    [{ JWT_SECRET: undefined, JWT_SECRET_FILE: 'absent' }, `JWT_SECRET_FILE ${unread}`],
    [
      { JWT_SECRET: undefined, JWT_SECRET_FILE: 'odd' },
      'JWT_SECRET_FILE must name a file that can be read (unknown error)',
    ],
    [{ JWT_SECRET: undefined, JWT_SECRET_FILE: 'blank' }, 'JWT_SECRET_FILE holds no secret'],
    [
      { JWT_SECRET: undefined, JWT_SECRET_FILE: 'binary' },
      'JWT_SECRET_FILE is not text: put bytes as hex: or base64:',
    ],
    [{ JWT_SECRET: `\u0001${text}` }, 'JWT_SECRET is not text: put bytes as hex: or base64:'],
    [{ JWT_SECRET: text.slice(1) }, `JWT_SECRET has 31 ${short}`],
    [{ JWT_SECRET: `hex:${hex.slice(2)}` }, `JWT_SECRET has 31 ${short}`],
    [{ JWT_SECRET: `base64:${'A'.repeat(42)}` }, `JWT_SECRET has 31 ${short}`],
    [{ JWT_SECRET: 'hex:' }, `JWT_SECRET has 0 ${short}`],
    [{ JWT_SECRET: `hex:${hex}0` }, 'JWT_SECRET is not hex, two digits a byte'],
    [{ JWT_SECRET: `hex:${hex}zz` }, 'JWT_SECRET is not hex, two digits a byte'],
    [{ JWT_SECRET: `base64:${text}!` }, 'JWT_SECRET is not base64'],
    [{ JWT_SECRET: `base64:${'A'.repeat(45)}` }, 'JWT_SECRET is not base64'],
    [{ JWT_SECRET: `base64:${'A'.repeat(44)}===` }, 'JWT_SECRET is not base64'],
    [
      { JWT_SECRET: `hex:zz ${text} short` },
      'JWT_SECRET (secret 1 of 3) is not hex, two digits a byte',
      `JWT_SECRET (secret 3 of 3) has 5 ${short}`,
    ],
    [
      { JWT_SECRET: `${text} hex:${hex} utf8:${text}` },
      'JWT_SECRET (secret 3 of 3) is there twice',
    ],
    [
      { JWT_SECRET: 'a sentence of so many words that it has over 32 bytes' },
      'JWT_SECRET holds 12 words of under 32 bytes, each of them a secret since white space separates secrets: take hex: and what openssl rand -hex 32 prints',
    ],
    [{ JWT_SECRET: spkiPem }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: spkiPem.replaceAll('\n', '\\n') }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: undefined, JWT_SECRET_FILE: 'key.pem' }, `JWT_SECRET_FILE ${key}`],
    [{ JWT_SECRET: jwk }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: JSON.stringify({ kty: 'oct', k: hex }, null, 2) }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: `utf8:${jwk}` }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: `base64:${Buffer.from(jwk).toString('base64')}` }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: `hex:${Buffer.from(spkiPem).toString('hex')}` }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: `base64:${spki.toString('base64')}` }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: `hex:${spki.toString('hex')}` }, `JWT_SECRET ${key}`],
    [{ JWT_SECRET: spki.toString('base64') }, `JWT_SECRET ${key}`],
    [
      { JWT_SECRET: `${text} ${Buffer.from(spkiPem).toString('base64')}` },
      `JWT_SECRET (secret 2 of 2) ${key}`,
    ],
    [
      { FRAME_ANCESTORS: '"https://a.example"' },
      'FRAME_ANCESTORS "https://a.example" must stand without double quotes',
    ],
    [{ FRAME_ANCESTORS: '*' }, 'FRAME_ANCESTORS "*" would let any site frame: name a host'],
    [{ PUBLIC_URL: 'https://a.example/x' }, `PUBLIC_URL ${origin}`],
    [{ PUBLIC_URL: 'https://a.example,https://b.example' }, `PUBLIC_URL ${separator}`],
    [
      { PUBLIC_URL: 'https://a.example; https://b.example' },
      `PUBLIC_URL (entry 1 of 2) ${separator}`,
    ],
    [{ PUBLIC_URL: 'gateway.example' }, `PUBLIC_URL ${url}`],
    [
      { PUBLIC_URL: 'https://a.example ws://b.example https://u@c.example' },
      `PUBLIC_URL (entry 2 of 3) ${url}`,
      `PUBLIC_URL (entry 3 of 3) ${credentials}`,
    ],
    ...['[::1]', '127.0.0.1:80', 'http://a', '*', '256.1.1.1', '1', 'a b', '-a'].map(
      (HOST) => [{ HOST }, `HOST ${host}`] as const,
    ),
    ...['65536', '-1', '80a', '1e3', '8080.0', '0x50', '/run/socket'].map(
      (PORT) => [{ PORT }, `PORT ${port}`] as const,
    ),
    [{ TLS_CERT_FILE: 'cert.pem' }, 'TLS_CERT_FILE needs TLS_KEY_FILE'],
    [{ TLS_KEY_FILE: 'key.pem' }, 'TLS_KEY_FILE needs TLS_CERT_FILE'],
    [{ ...tls, TLS_CERT_FILE: 'absent' }, `TLS_CERT_FILE ${unread}`],
    [{ ...tls, TLS_KEY_FILE: 'absent' }, `TLS_KEY_FILE ${unread}`],
    [{ ...tls, TLS_CERT_FILE: 'key.pem' }, 'TLS_CERT_FILE names a file without a PEM certificate'],
    [
      { ...tls, TLS_CERT_FILE: 'empty.pem' },
      'TLS_CERT_FILE names a file without a PEM certificate',
    ],
    [
      { ...tls, TLS_CERT_FILE: 'broken.pem' },
      'TLS_CERT_FILE (certificate 1 of 2) cannot be parsed',
    ],
    [
      { ...tls, TLS_KEY_FILE: 'cert.pem' },
      'TLS_KEY_FILE names a file without an unencrypted PEM private key',
    ],
    [
      { ...tls, TLS_KEY_FILE: 'encrypted.pem' },
      'TLS_KEY_FILE names a file without an unencrypted PEM private key',
    ],
    [
      { ...tls, TLS_KEY_FILE: 'other-key.pem' },
      'TLS_KEY_FILE must hold the key of the first certificate in TLS_CERT_FILE',
    ],
    [
      { TLS_CERT_FILE: 'small-cert.pem', TLS_KEY_FILE: 'small-key.pem' },
      'TLS_CERT_FILE must hold what OpenSSL accepts (ERR_SSL_EE_KEY_TOO_SMALL)',
    ],
    [
      { TLS_CLIENT_CA_FILE: 'cert.pem' },
      'TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE beside it',
    ],
    [
      { ...tls, TLS_CLIENT_CA_FILE: 'key.pem' },
      'TLS_CLIENT_CA_FILE names a file without a PEM certificate',
    ],
    [{ UPSTREAM_CERT_FILE: 'cert.pem' }, 'UPSTREAM_CERT_FILE needs UPSTREAM_KEY_FILE'],
    [{ UPSTREAM_KEY_FILE: 'key.pem' }, 'UPSTREAM_KEY_FILE needs UPSTREAM_CERT_FILE'],
    [{ UPSTREAM_CA_FILE: 'absent' }, `UPSTREAM_CA_FILE ${unread}`],
    ...['TRUE', '1', 'yes', 'on', 'enabled'].map(
      (REQUIRE_EXP) => [{ REQUIRE_EXP }, 'REQUIRE_EXP must be true or false'] as const,
    ),
    [{ SESSION_OUTLIVES_TOKEN: 'no' }, 'SESSION_OUTLIVES_TOKEN must be true or false'],
    [{ FORWARD_AUTH: 'sign' }, 'FORWARD_AUTH must be true or false, or resign'],
    [{ ENFORCEMENT: 'off' }, 'ENFORCEMENT must be one of enforce, report'],
    [{ WORKERS: '0' }, 'WORKERS must be a whole number above 0, or auto'],
    [
      { ONE_TIME_TOKENS: 'true', WORKERS: '2' },
      'REDIS_URL is required, since ONE_TIME_TOKENS is true and WORKERS is above 1',
    ],
    [{ ADMIN_PORT: 'none' }, `ADMIN_PORT ${port}, or off`],
    ...[
      { ADMIN_PORT: '8080' },
      { ADMIN_PORT: '8080', HOST: 'localhost' },
      { ADMIN_PORT: '8080', HOST: '0.0.0.0', ...tls },
      { ADMIN_PORT: '8080', HOST: '192.0.2.1', ADMIN_HOST: '::', ADMIN_TOKEN: token, ...tls },
    ].map(
      (change) =>
        [
          change,
          'ADMIN_PORT is PORT on the same host: each listener needs one of its own',
        ] as const,
    ),
    [{ ADMIN_PORT: '8080', ADMIN_HOST: '127.0.0.2' }],
    [{ ADMIN_PORT: '0', PORT: '0' }],
    ...[`crm:${hex}`, 'crm', `crm:sha256:${hex}0`, `c m:sha256:${hex}`, `:sha256:${hex}`].map(
      (entry) => {
        const entries = entry.split(' ').length
        const which = entries === 1 ? '' : '(entry 1 of 2) '
        const form = 'must be id:sha256:hash, the hash of its secret in 64 hex digits'
        const problems = [`LINKS_CLIENTS ${which}${form}`]
        return [{ LINKS_CLIENTS: entry }, ...problems] as const
      },
    ),
    [{ ...links, LINKS_PORT: 'on' }, `LINKS_PORT ${port}, or off`],
    [{ ...links, LINKS_URL: 'https://links.example/api' }, `LINKS_URL ${origin}`],
    [
      { ...links, LINKS_PORT: '8080' },
      'LINKS_PORT is PORT on the same host: each listener needs one of its own',
    ],
    [
      { ...links, LINKS_PORT: '9090' },
      'LINKS_PORT is ADMIN_PORT on the same host: each listener needs one of its own',
    ],
    [{ ...links, LINKS_PORT: '9090', ADMIN_PORT: 'off' }],
    [{ ...links, LINKS_PORT: '8080', LINKS_HOST: '127.0.0.2' }],
    [{ ...links, LINKS_PORT: '0', PORT: '0' }],
    [
      { ...links, HOST: '0.0.0.0', ...tls },
      'PUBLIC_URL is required, since LINKS_PORT is set and HOST is not loopback',
    ],
    [{ ...links, HOST: '0.0.0.0', PUBLIC_URL: 'https://gateway.example' }],
    [{ ADMIN_HOST: '0.0.0.0' }, 'ADMIN_TOKEN is required, since ADMIN_HOST is not loopback'],
    [{ ADMIN_HOST: '0.0.0.0', ADMIN_PORT: 'off' }],
    ...['fifteen-letters', 'two words of a sentence', 'tökenökenökenöken'].map(
      (ADMIN_TOKEN) =>
        [
          { ADMIN_TOKEN },
          'ADMIN_TOKEN must be one word of printable ASCII, of 16 characters or more',
        ] as const,
    ),
    ...[
      'redis.example:6379',
      'https://redis.example',
      'redis://',
      'redis:///0',
      'redis://a/b',
      'redis://a?family=6',
      'redis://a b',
    ].map((REDIS_URL) => [{ REDIS_URL }, `REDIS_URL ${redis}`] as const),
    ...[
      '60',
      '5 s',
      '5S',
      '5sec',
      '1h30m',
      '-5s',
      '1e3s',
      '.5s',
      's',
      '9007199254740993ms',
      '1toString',
    ].map((TOKEN_MAX_AGE) => [{ TOKEN_MAX_AGE }, `TOKEN_MAX_AGE ${time}`] as const),
    [{ TOKEN_MAX_AGE: '0' }, 'TOKEN_MAX_AGE must be 1ms or more'],
    [{ SESSION_MAX_AGE: '0s' }, 'SESSION_MAX_AGE must be 1ms or more'],
    [{ SESSION_MAX_AGE: '25d' }, 'SESSION_MAX_AGE must be 24d or less'],
    [{ CLOCK_TOLERANCE: '5' }, `CLOCK_TOLERANCE ${time}`],
    [{ HEADERS_TIMEOUT: '0' }, 'HEADERS_TIMEOUT must be 1ms or more'],
    [{ IDLE_TIMEOUT: '0.4ms' }, 'IDLE_TIMEOUT must be 1ms or more'],
    [{ UPSTREAM_TIMEOUT: '0s' }, 'UPSTREAM_TIMEOUT must be 1ms or more'],
    [{ UPSTREAM_TIMEOUT: '2147483648ms' }, 'UPSTREAM_TIMEOUT must be 24d or less'],
    [{ DRAIN_TIMEOUT: '99d' }, 'DRAIN_TIMEOUT must be 24d or less'],
    [
      { TRUST_PROXY: '0.0.0.0/0 ::/0 ::/0' },
      'TRUST_PROXY must not believe everyone, as "0.0.0.0/0" does',
      'TRUST_PROXY must not believe everyone, as "::/0" does',
    ],
    ...[
      'true',
      '1',
      '10',
      '010.0.0.1',
      '10.0.0.0/33',
      '10.0.0.0/',
      'proxy.example',
      'loopback',
      '*',
    ].map(
      (TRUST_PROXY) =>
        [
          { TRUST_PROXY },
          `TRUST_PROXY must list addresses or CIDRs: "${TRUST_PROXY}" is neither`,
        ] as const,
    ),
    ...['0', '0kb', '10gb', '-1', '10 mb', '1e6', 'mb', 'unlimited'].map(
      (BODY_LIMIT) => [{ BODY_LIMIT }, `BODY_LIMIT ${size}`] as const,
    ),
    ...['30', '0/1m', '30/0', '30/1', '/1m', '30/', '1.5/1m', '30/1m/1m', '-1/1m'].map(
      (value) =>
        [
          { RATE_LIMIT: value },
          'RATE_LIMIT must be a count and a duration, such as 30/1m',
        ] as const,
    ),
    [{ MAX_CONNECTIONS: '0' }, 'MAX_CONNECTIONS must be a whole number above 0'],
    [{ MAX_CONNECTIONS: '1.5' }, 'MAX_CONNECTIONS must be a whole number above 0'],
    [{ WS_MAX_PAYLOAD: '0' }, `WS_MAX_PAYLOAD ${size}`],
    [
      { LOG_LEVEL: 'INFO' },
      'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent',
    ],
  ]
  for (const [change, ...expected] of rows) {
    t.strictSame(problemsOf(change), expected, JSON.stringify(change))
  }
  t.end()
})

t.test('every problem is reported at once, and none shows a secret', (t) => {
  const secret = 'correct-horse-battery-staple'
  const found = problemsOf({
    COPILOT_URL: `https://user:${secret}@copilot.example`,
    JWT_SECRET: `${secret} hex:${secret} base64:${secret}! ${secret}`,
    JWT_SECRET_FILE: '',
    PUBLIC_URL: `https://${secret}@gateway.example`,
    TLS_CERT_FILE: secret,
    TLS_KEY_FILE: `-----BEGIN PRIVATE KEY-----${secret}`,
    REQUIRE_EXP: secret,
    TOKEN_MAX_AGE: secret,
    BODY_LIMIT: secret,
    LOG_LEVEL: secret,
    HOST: `${secret}:80`,
    PORT: secret,
    ADMIN_TOKEN: `${secret} ${secret}`,
    REDIS_URL: `redis://:${secret}@`,
    SESSION_SECRET: secret,
  })
  t.strictSame([...new Set(found.map((line) => line.split(' ')[0]))].sort(), [
    'ADMIN_TOKEN',
    'BODY_LIMIT',
    'COPILOT_URL',
    'HOST',
    'JWT_SECRET',
    'LOG_LEVEL',
    'PORT',
    'PUBLIC_URL',
    'REDIS_URL',
    'REQUIRE_EXP',
    'SESSION_SECRET',
    'TLS_CERT_FILE',
    'TLS_KEY_FILE',
    'TOKEN_MAX_AGE',
  ])
  t.notMatch(found.join('\n'), secret)
  t.end()
})

t.test('what is doubtful is warned of', (t) => {
  const looksHex = 'looks like hex: put hex: or utf8: before it'
  const looksBase64 = 'looks like base64: put base64: or utf8: before it'
  const network = 'HOST takes plain HTTP from the network: set TLS_CERT_FILE, or PUBLIC_URL (https)'
  const publicHttp =
    'PUBLIC_URL is plain HTTP: browsers keep no session there, and no link is secret'
  const upstreamHttp = 'is plain HTTP: tokens and conversations cross the network in the clear'
  const short = 'SESSION_MAX_AGE is under 30m: agents lose the workspace in mid-conversation'
  const upstream = {
    UPSTREAM_CA_FILE: 'cert.pem',
    UPSTREAM_CERT_FILE: 'cert.pem',
    UPSTREAM_KEY_FILE: 'key.pem',
  }
  const rows: readonly (readonly [Change, ...string[]])[] = [
    [
      { REQUIRE_EXP: undefined },
      'REQUIRE_EXP is false: tokens without exp are accepted, for as long as the secret is',
    ],
    [
      { REQUIRE_EXP: 'false', TOKEN_MAX_AGE: '1h' },
      'REQUIRE_EXP is false: tokens without exp are accepted, until TOKEN_MAX_AGE',
    ],
    [
      { FRAME_ANCESTORS: undefined },
      "FRAME_ANCESTORS is not set, so 'none': no page may frame the workspace",
    ],
    [
      { FRAME_ANCESTORS: '' },
      "FRAME_ANCESTORS is not set, so 'none': no page may frame the workspace",
    ],
    [{ FRAME_ANCESTORS: "'none'" }],
    [
      { COPILOT_API_TOKEN: undefined },
      "COPILOT_API_TOKEN is not set: config.js hands the backend's token to every browser",
    ],
    [
      { COPILOT_API_TOKEN: 'token' },
      'COPILOT_API_TOKEN is under 16 characters: where it stands in a script for something else, that breaks',
    ],
    [{ JWT_SECRET: hex }, `JWT_SECRET ${looksHex}`],
    [{ JWT_SECRET: hex.slice(0, 32) }, `JWT_SECRET ${looksHex}`],
    [{ JWT_SECRET: `utf8:${hex}` }],
    [{ JWT_SECRET: Buffer.from(hex, 'hex').toString('base64') }, `JWT_SECRET ${looksBase64}`],
    [{ JWT_SECRET: Buffer.from(hex, 'hex').toString('base64url') }, `JWT_SECRET ${looksBase64}`],
    [{ JWT_SECRET: `${text} ${hex}` }, `JWT_SECRET (secret 2 of 2) ${looksHex}`],
    [{ JWT_SECRET: `"${text}"` }, 'JWT_SECRET is in quotes, which are part of it'],
    [{ JWT_SECRET: 'x'.repeat(32) }, 'JWT_SECRET can be guessed: it has 1 different byte'],
    [
      { JWT_SECRET: `${text} hex:${'00112233445566'.repeat(5)}` },
      'JWT_SECRET (secret 2 of 2) can be guessed: it has 7 different bytes',
    ],
    [{ JWT_SECRET: `hex:${'0011223344556677'.repeat(4)}` }],
    [
      { SESSION_SECRET: text },
      'SESSION_SECRET has no effect, since no contact center has public keys',
    ],
    [
      { URL_TOKENS: undefined },
      'URL_TOKENS is not set: a link whose token does not name its URLToken opens any of them',
    ],
    [{ ONE_TIME_TOKENS: 'true' }],
    [
      { ONE_TIME_TOKENS: 'true', REQUIRE_EXP: 'false' },
      'REQUIRE_EXP is false: tokens without exp are accepted, for as long as the secret is',
      'ONE_TIME_TOKENS is true without REQUIRE_EXP or TOKEN_MAX_AGE: tokens that never end are remembered until a restart, or for good in Redis',
    ],
    [
      { ENFORCEMENT: 'report' },
      'ENFORCEMENT is report: what should be refused is LET THROUGH, and the log alone says so',
    ],
    [
      { REDIS_URL: 'redis://redis.example' },
      'REDIS_URL is plain redis: its password and what replicas share cross the network in the clear',
    ],
    [{ REDIS_URL: 'redis://127.0.0.1:6379' }],
    [{ REDIS_URL: 'rediss://redis.example' }],
    [{ JWT_SECRET_FILE: '' }, 'JWT_SECRET_FILE is empty and counts as not set'],
    [{ TLS_CERT_FILE: '' }, 'TLS_CERT_FILE is empty and counts as not set'],
    [{ SESSION_MAX_AGE: '29m' }, short],
    [{ SESSION_MAX_AGE: '29m', SESSION_OUTLIVES_TOKEN: 'true' }, short],
    [{ SESSION_MAX_AGE: '30m' }],
    [{ HOST: '0.0.0.0' }, network],
    [{ LINKS_PORT: '8081' }, 'LINKS_CLIENTS is not set: nobody may ask the links API'],
    [
      { ...links, LINKS_HOST: '0.0.0.0' },
      'LINKS_HOST takes plain HTTP from the network: set TLS_CERT_FILE, or LINKS_URL (https)',
    ],
    [{ ...links, LINKS_HOST: '0.0.0.0', LINKS_URL: 'https://links.example' }],
    [{ ...links, LINKS_HOST: '0.0.0.0', ...tls }],
    [{ LINKS_URL: 'http://localhost:8081' }],
    [
      { ...links, LINKS_URL: 'http://links.example' },
      'LINKS_URL is plain HTTP: a short link is a credential, and crosses the network in the clear',
    ],
    [{ HOST: '::', PUBLIC_URL: 'http://gateway.example' }, publicHttp, network],
    [{ PUBLIC_URL: 'https://gateway.example http://gateway.example' }, publicHttp],
    [{ PUBLIC_URL: 'http://localhost:8080 http://[::1]:8080' }],
    [{ HOST: '0.0.0.0', PUBLIC_URL: 'https://gateway.example' }],
    [{ HOST: '0.0.0.0', ...tls }],
    [{ HOST: '::1' }],
    [{ HOST: 'localhost' }],
    [{ ...tls, TLS_CERT_FILE: 'expired.pem' }, 'TLS_CERT_FILE expired on 2025-01-01T00:00:00.000Z'],
    [
      { ...tls, TLS_CERT_FILE: 'future.pem' },
      'TLS_CERT_FILE is not valid before 2027-01-01T00:00:00.000Z',
    ],
    [
      { ...tls, TLS_CERT_FILE: 'old-chain.pem' },
      'TLS_CERT_FILE (certificate 2 of 2) expired on 2025-01-01T00:00:00.000Z',
    ],
    [upstream],
    [
      {
        ...upstream,
        COPILOT_URL: 'http://copilot.example',
        COPILOT_API_URL: 'https://api.example',
      },
      `COPILOT_URL ${upstreamHttp}`,
    ],
    [
      { ...upstream, COPILOT_URL: 'http://copilot.example' },
      'UPSTREAM_CA_FILE has no effect, since COPILOT_URL is not https',
      'UPSTREAM_CERT_FILE has no effect, since COPILOT_URL is not https',
      'UPSTREAM_KEY_FILE has no effect, since COPILOT_URL is not https',
      `COPILOT_URL ${upstreamHttp}`,
    ],
    [{ COPILOT_URL: 'http://127.0.0.1:9000' }],
    [{ COPILOT_URL: 'http://127.0.0.2:8080' }],
    [{ COPILOT_URL: 'http://[::1]:9000', COPILOT_API_URL: 'http://api.localhost:9001' }],
    [{ COPILOT_API_URL: 'http://api.example' }, `COPILOT_API_URL ${upstreamHttp}`],
    [
      { COPILOT_URL: 'http://copilot.example:8080', HOST: '0.0.0.0', ...tls },
      `COPILOT_URL ${upstreamHttp}`,
    ],
  ]
  for (const [change, ...expected] of rows) {
    t.strictSame(warningsOf(change), expected, JSON.stringify(change))
  }
  t.end()
})

t.test('a config cannot be changed', (t) => {
  const config = configOf({ ...tls, PUBLIC_URL: 'https://gateway.example', TRUST_PROXY: '::1' })
  t.throws(() => Object.assign(only(config), { name: 'x' }), TypeError)
  const mutable: string[] = []
  const visit = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return
    if (!Object.isFrozen(value)) mutable.push(path)
    for (const [name, part] of Object.entries(value)) visit(part, `${path}.${name}`)
  }
  visit(config, 'config')
  t.strictSame(mutable, [])
  t.end()
})

/** A self-made X.509 v1 certificate in PEM; Node has none to give (RFC 5280 §4.1). */
function certificate(subjectKey: KeyObject, from: string, to: string): string {
  const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
    const body = Buffer.concat(parts)
    const { length } = body
    const long = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
    return Buffer.concat([Buffer.from([tag, ...(length < 128 ? [length] : long)]), body])
  }
  const oid = (encoded: string): Buffer => der(0x06, Buffer.from(encoded, 'hex'))
  const ecdsaWithSha256 = der(0x30, oid('2a8648ce3d040302'))
  const name = der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from('test')))))
  const validity = der(0x30, der(0x18, Buffer.from(from)), der(0x18, Buffer.from(to)))
  const key = subjectKey.export({ type: 'spki', format: 'der' })
  const tbs = der(0x30, der(0x02, Buffer.from([1])), ecdsaWithSha256, name, validity, name, key)
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', tbs, other.privateKey)])
  const base64 = der(0x30, tbs, ecdsaWithSha256, der(0x03, signature)).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}
