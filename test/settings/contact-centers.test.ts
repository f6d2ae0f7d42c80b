import t from 'tap'
import type { Config } from '../../src/settings/config.ts'
import { configOf, findingsOf, secrets, tell } from './tell.ts'

const [a, b, c] = secrets.map((secret) => Buffer.from(secret, 'hex'))
const at = 'conf/gateway.yaml'
const text = 'a-text-of-32-bytes-and-no-blanks'
type Variables = Readonly<Record<string, string | undefined>>
const session: Variables = { SESSION_SECRET: text, URL_TOKENS: undefined }

/** Contact centers in the flow style, one a line. */
function list(...entries: readonly string[]): string {
  return ['contactCenters:', ...entries.map((entry) => `  - {${entry}}`)].join('\n')
}
const north = 'name: north, secrets: [{file: a}], urlTokens: [n1, n2]'
const south = 'name: south, secrets: [{file: b}], urlTokens: [s1]'
const keys = 'name: keys, keys: [{file: rsa.pem}], urlTokens: [k1]'

t.test('a contact center has what it says for itself, and the rest of the top level', (t) => {
  const yaml = `
clockTolerance: 1s
tokenMaxAge: 1h
contactCenters:
  - name: Köln Süd
    secrets: [{file: ab}, {file: /run/c}]
    frameAncestors: [https://a.example, "'self'"]
    urlTokens: u1 u2
    requireExp: false
    tokenMaxAge: 15m
    clockTolerance: 0
    oneTimeTokens: true
    enforcement: report
    linksClients: crm:sha256:${secrets[2]}
  - name: south
    secrets: [{env: SOUTH}]
`
  const env = { SOUTH: `utf8:${secrets[0]}`, FRAME_ANCESTORS: 'https://top.example' }
  t.strictSame(configOf({ yaml, env }).contactCenters, [
    {
      name: 'Köln Süd',
      secrets: [a, b, c],
      publicKeys: [],
      jwksUrl: null,
      frameAncestors: ['https://a.example', "'self'"],
      urlTokens: ['u1', 'u2'],
      tokens: { requireExp: false, maxAge: 900_000, clockTolerance: 0 },
      oneTimeTokens: true,
      enforcement: 'report',
      linksClients: [{ id: 'crm', hash: c }],
    },
    {
      name: 'south',
      secrets: [Buffer.from(secrets[0] ?? '')],
      publicKeys: [],
      jwksUrl: null,
      frameAncestors: ['https://top.example'],
      urlTokens: null,
      tokens: { requireExp: true, maxAge: 3_600_000, clockTolerance: 1000 },
      oneTimeTokens: false,
      enforcement: 'enforce',
      linksClients: [],
    },
  ])
  const lines = `SOUTH=utf8:${secrets[1]}`
  const [, own] = configOf({ yaml, lines }).contactCenters
  t.strictSame(own?.secrets, [Buffer.from(secrets[1] ?? '')], 'a variable of .env')
  t.end()
})

t.test('public keys are read instead of secrets', (t) => {
  const rows: readonly (readonly [string, readonly (readonly [string, string | undefined])[]])[] = [
    ['[{file: rsa.pem}]', [['keys', 'rsa']]],
    ['[{file: p256.pem, kid: a b}]', [['a b', 'ec']]],
    [
      '[{file: ed25519.pem, kid: new}, {file: rsa.pem, kid: keys}]',
      [
        ['new', 'ed25519'],
        ['keys', 'rsa'],
      ],
    ],
  ]
  for (const [yaml, expected] of rows) {
    const config = configOf({ yaml: list(`name: keys, keys: ${yaml}`), env: session })
    const [{ publicKeys, ...rest } = { publicKeys: [] }] = config.contactCenters
    t.strictSame(
      publicKeys.map(({ kid, key }) => [kid, key.asymmetricKeyType]),
      expected,
      yaml,
    )
    t.match(rest, { secrets: [], jwksUrl: null })
    for (const { key } of publicKeys) t.notOk(Object.isFrozen(key), 'Node writes into it')
    t.strictSame(config.sessionSecrets, [Buffer.from(text)])
  }
  const yaml = list('name: keys, keys: {jwks: "https://idp.example/jwks?v=1"}')
  const [center] = configOf({ yaml, env: session }).contactCenters
  t.equal(center?.jwksUrl?.href, 'https://idp.example/jwks?v=1')
  t.strictSame(center?.publicKeys, [])
  t.end()
})

t.test('what leaves open who signed a token is refused, and what is incomplete', (t) => {
  const label = (most: number): string =>
    `must be 1 to ${most} characters, none of them a control character`
  const client = `crm:sha256:${secrets[2]}`
  const reference = 'must be {file: path} or {env: NAME}: no secret stands in this file'
  const untold = 'which of them a token is of could not be told: give each its own, or urlTokens'
  const short = 'has 7 bytes, but HS256 needs 32: take hex: and what openssl rand -hex 32 prints'
  const strong =
    'must be RSA of 2048 to 4096 bits with an exponent of 3 to 2^32, EC P-256 or Ed25519'
  const rows: readonly (readonly [readonly string[], ...string[]])[] = [
    [
      [''],
      '2:5 contactCenters[0] needs a name',
      '2:5 contactCenters[0] needs either secrets or keys',
    ],
    [
      ['keys: [{file: rsa.pem}], urlTokens: a', 'keys: [{file: p256.pem}], urlTokens: b'],
      '2:5 contactCenters[0] needs a name',
      '3:5 contactCenters[1] needs a name',
    ],
    [['name: x'], '2:5 contactCenters[0] needs either secrets or keys'],
    [
      [`${north}, keys: {jwks: https://a.example}`],
      '2:5 contactCenters[0] needs either secrets or keys',
    ],
    [
      [north, north.replace(/n(?=\d)/g, 'm')],
      '3:6 contactCenters[1].name is the name of another contact center',
    ],
    [
      ['name: 5, secrets: [{file: a}]'],
      '2:6 contactCenters[0].name must be text: put it in quotes',
    ],
    [[`name: ${'x'.repeat(65)}, secrets: [{file: a}]`], `2:6 contactCenters[0].name ${label(64)}`],
    [['name: "a\\nb", secrets: [{file: a}]'], `2:6 contactCenters[0].name ${label(64)}`],
    [['name: "a\\u200bb", secrets: [{file: a}]'], `2:6 contactCenters[0].name ${label(64)}`],
    [
      ['name: x, secrets: []'],
      '2:15 contactCenters[0].secrets must be a list of {file: path} or {env: NAME}, newest first',
    ],
    [
      ['name: x, secrets: hunter2'],
      '2:15 contactCenters[0].secrets must be a list of {file: path} or {env: NAME}, newest first',
    ],
    [['name: x, secrets: [hunter2]'], `2:25 contactCenters[0].secrets[0] ${reference}`],
    [
      ['name: x, secrets: [{file: a}, {file: ab}]'],
      '2:36 contactCenters[0].secrets[1] holds a secret twice',
    ],
    [['name: x, secrets: [{file: short}]'], `2:26 contactCenters[0].secrets[0].file ${short}`],
    [
      ['name: x, secrets: [{file: blank}]'],
      '2:26 contactCenters[0].secrets[0].file holds no secret',
    ],
    [
      ['name: x, secrets: [{file: rsa.pem}]'],
      '2:26 contactCenters[0].secrets[0].file holds a PEM, DER or JWK key; a public key is no secret: give the shared secret itself',
    ],
    [
      ['name: x, secrets: [{file: absent}], frameAncestors: "*"'],
      '2:26 contactCenters[0].secrets[0].file must name a file that can be read (ENOENT)',
      '2:42 contactCenters[0].frameAncestors "*" would let any site frame: name a host',
    ],
    [
      [`${north}, frameAncestor: a`],
      '2:62 contactCenters[0].frameAncestor is not known here: did you mean frameAncestors?',
    ],
    [[`${north}, port: 1`], '2:62 contactCenters[0].port is not known here'],
    [
      [north, 'name: x, secrets: [{file: b}], urlTokens: [x1, n2]'],
      '3:37 contactCenters[1].urlTokens has a URLToken of "north"',
    ],
    [
      [`${north}, linksClients: [${client}]`, `${south}, linksClients: [${client}]`],
      '3:58 contactCenters[1].linksClients has a client of "north"',
    ],
    [
      [`name: x, keys: [{file: rsa.pem}], urlTokens: a, linksClients: ${client}`],
      '2:54 contactCenters[0].linksClients needs secrets: who has the private keys signs its links',
    ],
    [
      ['name: x, secrets: [{file: ab}]', 'name: y, secrets: [{file: b}]'],
      `3:15 contactCenters[1].secrets of "y" has what "x" has too: ${untold}`,
    ],
    [
      ['name: x, keys: []'],
      '2:15 contactCenters[0].keys must be a list of {file: path, kid: id}, or {jwks: https://…}',
    ],
    [
      ['name: x, keys: hunter2'],
      '2:15 contactCenters[0].keys must be a list of {file: path, kid: id}, or {jwks: https://…}',
    ],
    [
      ['name: x, keys: {}'],
      '2:15 contactCenters[0].keys must be {jwks: https://…}, or a list of keys',
    ],
    [
      ['name: x, keys: {jwks: "http://a.example"}'],
      '2:22 contactCenters[0].keys.jwks must be https (http is for loopback only)',
    ],
    [
      ['name: x, keys: {jwks: "https://u:hunter2@a.example"}'],
      '2:22 contactCenters[0].keys.jwks must be a URL of https without user, password and fragment',
    ],
    [['name: x, keys: [{kid: a}]'], '2:22 contactCenters[0].keys[0] needs a file'],
    [
      ['name: x, keys: [{file: rsa.pem}, {file: p256.pem}]'],
      '2:22 contactCenters[0].keys[0] needs a kid, since there are several keys',
      '2:39 contactCenters[0].keys[1] needs a kid, since there are several keys',
    ],
    [
      ['name: x, keys: [{file: rsa.pem, kid: a}, {file: p256.pem, kid: a}]'],
      '2:15 contactCenters[0].keys has a kid twice',
    ],
    [
      [north, 'name: x, keys: [{file: rsa.pem, kid: north}], urlTokens: x'],
      '3:15 contactCenters[1].keys has a kid that stands for "north"',
    ],
    [
      ['name: x, keys: [{file: rsa.pem}]', 'name: y, keys: [{file: rsa.pem}]'],
      `3:15 contactCenters[1].keys of "y" has what "x" has too: ${untold}`,
    ],
    [
      ['name: x, keys: [{file: p256.pem}]', 'name: y, keys: [{file: compressed.pem}]'],
      `3:15 contactCenters[1].keys of "y" has what "x" has too: ${untold}`,
    ],
    [
      ['name: x, keys: {jwks: "https://a.example"}', 'name: y, keys: {jwks: "https://a.example/"}'],
      `3:15 contactCenters[1].keys of "y" has what "x" has too: ${untold}`,
    ],
    [
      ['name: x, keys: [{file: private.pem}]'],
      '2:23 contactCenters[0].keys[0].file names a file with a private key',
    ],
    [
      ['name: x, keys: [{file: both.pem}]'],
      '2:23 contactCenters[0].keys[0].file must name a file with one PEM key',
    ],
    [
      ['name: x, keys: [{file: a}]'],
      '2:23 contactCenters[0].keys[0].file must name a file with one PEM key',
    ],
    [
      ['name: x, keys: [{file: no.pem}]'],
      '2:23 contactCenters[0].keys[0].file names a file without a PEM public key',
    ],
    [['name: x, keys: [{file: small.pem}]'], `2:23 contactCenters[0].keys[0].file ${strong}`],
    [['name: x, keys: [{file: p384.pem}]'], `2:23 contactCenters[0].keys[0].file ${strong}`],
  ]
  for (const [entries, ...expected] of rows) {
    const found = findingsOf({ yaml: list(...entries), env: session })
    t.strictSame(
      found,
      expected.map((line) => `${at}:${line}`),
      entries.join(' | '),
    )
    t.notMatch(found.join('\n'), /hunter2|n2\b/)
  }
  for (const yaml of [
    'contactCenters: []',
    'contactCenters: {}',
    'contactCenters: a',
    'contactCenters:',
  ]) {
    const message = 'contactCenters must be a list of one contact center or more'
    t.strictSame(findingsOf({ yaml }), [`${at}:1:1 ${message}`])
  }
  t.end()
})

t.test('contact centers with URLTokens of their own may share a secret', (t) => {
  const shared = 'name: x, secrets: [{file: a}], urlTokens: [x1]'
  const yaml = list(north, shared, 'name: y, secrets: [{file: a}]')
  t.notOk('problems' in tell({ yaml }))
  t.end()
})

t.test('settings that only make sense with others say so', (t) => {
  const open = 'a link whose token does not name its URLToken opens any of them'
  const noEffect = 'has no effect: contact centers have their own, and FORWARD_AUTH is not resign'
  const since = 'since the contact center "keys" has public keys'
  const secret = { JWT_SECRET: text }
  const everlasting =
    'is true without REQUIRE_EXP or TOKEN_MAX_AGE: tokens that never end are remembered until a restart, or for good in Redis'
  const through = 'is report: what should be refused is LET THROUGH, and the log alone says so'
  const rows: readonly (readonly [string, Variables, ...string[]])[] = [
    [list(north, south), {}],
    [
      list(north, 'name: x, secrets: [{file: b}]'),
      {},
      `${at}:1:1 contactCenters has 1 without urlTokens: ${open}`,
    ],
    [list(north), secret, `JWT_SECRET ${noEffect}`],
    [list(north), { ...secret, FORWARD_AUTH: 'resign' }],
    [list(north), { FORWARD_AUTH: 'resign' }],
    [list(keys), {}, `SESSION_SECRET is required, ${since}`],
    [
      list(keys, south),
      { SESSION_SECRET: `${text} hex:${secrets[1]}` },
      'SESSION_SECRET must be no secret of a contact center, as it is of "south"',
    ],
    [list(keys), session],
    [
      list(keys),
      { ...session, FORWARD_AUTH: 'resign' },
      `JWT_SECRET is required to sign for the upstream, ${since}`,
    ],
    [list(keys), { ...session, ...secret, FORWARD_AUTH: 'resign' }],
    [list(north), session, 'SESSION_SECRET has no effect, since no contact center has public keys'],
    [
      list(north),
      { URL_TOKENS: 'a' },
      'URL_TOKENS is of no contact center: each has urlTokens of its own',
    ],
    [
      `urlTokens: a\n${list(north)}`,
      {},
      `${at}:1:1 urlTokens is of no contact center: each has urlTokens of its own`,
    ],
    [
      list(`${north}, oneTimeTokens: true`),
      { WORKERS: '2' },
      'REDIS_URL is required, since ONE_TIME_TOKENS is true and WORKERS is above 1',
    ],
    [list(`${north}, oneTimeTokens: true`), { WORKERS: '2', REDIS_URL: 'redis://localhost' }],
    [
      list(north, `${south}, requireExp: false`),
      {},
      `${at}:3:58 contactCenters[1].requireExp is false: tokens without exp are accepted, for as long as the secret is`,
    ],
    [
      list(north, south),
      { REQUIRE_EXP: 'false' },
      'REQUIRE_EXP is false: tokens without exp are accepted, for as long as the secret is',
    ],
    [list(`${north}, requireExp: true`), { REQUIRE_EXP: 'false' }],
    [
      list(`${north}, oneTimeTokens: true, requireExp: false`),
      {},
      `${at}:2:83 contactCenters[0].requireExp is false: tokens without exp are accepted, for as long as the secret is`,
      `${at}:2:62 contactCenters[0].oneTimeTokens ${everlasting}`,
    ],
    [
      list(`${north}, enforcement: report`, south),
      {},
      `${at}:2:62 contactCenters[0].enforcement ${through}`,
    ],
    [list(north, south), { ENFORCEMENT: 'report' }, `ENFORCEMENT ${through}`],
    [list(`${north}, enforcement: enforce`), { ENFORCEMENT: 'report' }],
    [
      list(north, `${south}, frameAncestors: a.example`),
      { FRAME_ANCESTORS: '' },
      "FRAME_ANCESTORS is not set, so 'none': no page may frame the workspace",
    ],
    [
      list(`${north}, frameAncestors: a.example`),
      { FRAME_ANCESTORS: '' },
      'FRAME_ANCESTORS is empty and counts as not set',
    ],
    [
      'copilotUrl: https://a.example',
      {},
      'JWT_SECRET is required: Secrets shared with the contact center, separated by white space, newest first, 32 bytes or more each; hex:, base64: or utf8: may stand before one.',
    ],
  ]
  for (const [yaml, env, ...expected] of rows) {
    t.strictSame(findingsOf({ yaml, env }), expected, `${yaml} ${JSON.stringify(env)}`)
  }
  const signs = (env: Variables): Config['upstreamSecret'] =>
    configOf({ yaml: list(north), env }).upstreamSecret
  t.strictSame(signs({ ...secret, FORWARD_AUTH: 'resign' }), Buffer.from(text))
  t.equal(signs({ FORWARD_AUTH: 'resign' }), null)
  t.equal(signs(secret), null)
  t.end()
})

t.test('a token that names no key is tried against few', (t) => {
  const open = 'a link whose token does not name its URLToken opens any of them'
  const tried = (count: number, keys: number): string =>
    `has ${count} without urlTokens: a token that names no key is tried against up to ${keys} keys, so give them urlTokens`
  const untold = (count: number) =>
    Array.from({ length: count }, (_, i) => `name: cc${i}, secrets: [{env: S${i}}]`)
  const jwks = Array.from(
    { length: 7 },
    (_, i) => `name: j${i}, keys: {jwks: "https://j${i}.example"}`,
  )
  const twelve = Array.from({ length: 12 }, (_, i) => `{file: rsa.pem, kid: k${i}}`)
  const doubt = (count: number) => `contactCenters has ${count} without urlTokens: ${open}`
  const rows: readonly (readonly [string, readonly string[], Variables, ...string[]])[] = [
    ['16', [...untold(16), north], {}, `${at}:1:1 ${doubt(16)}`],
    [
      '17',
      [...untold(17), north],
      {},
      `${at}:1:1 ${doubt(17)}`,
      `${at}:1:1 contactCenters ${tried(17, 17)}`,
    ],
    ['64', untold(64), {}, `${at}:1:1 ${doubt(64)}`, `${at}:1:1 contactCenters ${tried(64, 64)}`],
    ['65', untold(65), {}, `${at}:1:1 contactCenters ${tried(65, 65)} (64 are the most)`],
    ['published ones', jwks, session, `${at}:1:1 contactCenters ${tried(7, 70)} (64 are the most)`],
    ['the only one', jwks.slice(0, 1), session, `${at}:1:1 ${doubt(1)}`],
    [
      'twelve files',
      [`name: x, keys: [${twelve.join(', ')}]`],
      session,
      `${at}:2:15 contactCenters[0].keys has 12 keys: 10 are the most`,
    ],
  ]
  const env = Object.fromEntries(
    untold(65).map((_, i) => [`S${i}`, `hex:${secrets[0]}${i + 100}`.padEnd(74, '0')]),
  )
  for (const [name, entries, more, ...expected] of rows) {
    t.strictSame(findingsOf({ yaml: list(...entries), env: { ...env, ...more } }), expected, name)
  }
  t.end()
})

t.test('a thousand contact centers are read, and each is compared with all others', (t) => {
  const entries = Array.from(
    { length: 1000 },
    (_, i) => `name: cc${i}, secrets: [{env: S${i}}], urlTokens: [t${i === 999 ? 0 : i}]`,
  )
  const env = Object.fromEntries(
    entries.map((_, i) => [`S${i}`, `hex:${secrets[0]}${i}`.padEnd(74, '0')]),
  )
  t.strictSame(findingsOf({ yaml: list(...entries), env }), [
    `${at}:1001:43 contactCenters[999].urlTokens has a URLToken of "cc0"`,
  ])
  t.equal(configOf({ yaml: list(...entries.slice(0, 999)), env }).contactCenters.length, 999)
  t.end()
})
