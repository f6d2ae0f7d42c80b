import { jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import t from 'tap'
import {
  CopilotLinkError,
  createCopilotLink,
  type Duration,
  type LinkErrorCode,
} from '../../packages/copilot-link/src/link.ts'
import { createLink } from '../../src/link/link.ts'
import { duration } from '../../src/settings/parsers.ts'
import { sharedSecrets } from '../../src/settings/secrets.ts'

const now = Date.UTC(2026, 0, 1) + 999
const bytes = Buffer.from('7b1f0e52c9a84d36f2e5d80b9147ac63e5d2907f4b8c1a6d3e9f50724c8b1da6', 'hex')
const base = {
  baseUrl: 'https://gateway.example',
  userId: '12345',
  sessionId: 'abcde-67890',
  urlToken: 'f38791ae20d4961a',
  secret: bytes,
  expiresIn: '8h',
  now,
} as const
const iat = Math.floor(now / 1000)
const tokenOf = (link: string): string => new URL(link).searchParams.get('auth') ?? ''

t.test('a link carries three parameters and a token that two other libraries accept', async (t) => {
  const url = createCopilotLink(base)
  t.equal(
    url.replace(/auth=.*/, 'auth='),
    'https://gateway.example/?userId=12345&sessionId=abcde-67890&URLToken=f38791ae20d4961a&auth=',
  )
  const token = tokenOf(url)
  const claims = {
    userId: '12345',
    sessionId: 'abcde-67890',
    URLToken: 'f38791ae20d4961a',
    iat,
    exp: iat + 8 * 3600,
  }
  const { payload, protectedHeader } = await jwtVerify(token, bytes, {
    algorithms: ['HS256'],
    currentDate: new Date(now),
  })
  t.strictSame({ ...payload }, claims)
  t.strictSame(protectedHeader, { alg: 'HS256', typ: 'JWT' })
  t.strictSame(
    jsonwebtoken.verify(token, bytes, { algorithms: ['HS256'], clockTimestamp: iat }),
    claims,
  )
  t.throws(() => jsonwebtoken.verify(token, Buffer.alloc(32, 8)), { message: 'invalid signature' })

  const named = jsonwebtoken.decode(tokenOf(createCopilotLink({ ...base, kid: 'Hamburg' })), {
    complete: true,
  })
  t.strictSame({ ...named?.header }, { alg: 'HS256', typ: 'JWT', kid: 'Hamburg' })
  const before = Math.floor(Date.now() / 1000)
  const clocked = Object(
    jsonwebtoken.decode(tokenOf(createCopilotLink({ ...base, now: undefined }))),
  )
  t.ok(clocked.iat >= before && clocked.iat <= Date.now() / 1000, 'now is the clock’s')
})

t.test('a link keeps what it is given', (t) => {
  const strange = 'a b+c&d=e;%20#ü😀"\''
  const url = createCopilotLink({ ...base, userId: strange, sessionId: strange, urlToken: strange })
  const { search, searchParams } = new URL(url)
  t.match(search, /userId=a%20b%2Bc%26d%3De%3B%2520%23/, 'percent-encoded, not form-encoded')
  for (const name of ['userId', 'sessionId', 'URLToken']) {
    t.equal(searchParams.get(name), strange, name)
  }
  const claims = { userId: strange, sessionId: strange, URLToken: strange }
  t.match(jsonwebtoken.decode(tokenOf(url)), claims)

  const below = createCopilotLink({ ...base, baseUrl: 'http://a.example/b/c' })
  t.equal(new URL(below).pathname, '/b/c')
  const endless = tokenOf(createCopilotLink({ ...base, expiresIn: null }))
  t.strictSame(Object.keys(Object(jsonwebtoken.decode(endless))), [
    'userId',
    'sessionId',
    'URLToken',
    'iat',
  ])
  t.end()
})

t.test('the same secret and the same duration mean the same here and to the gateway', (t) => {
  const text = 'a-secret-of-words-that-nobody-else-has-written'
  const rows: readonly (readonly [string, string])[] = [
    ['hex', `hex:${bytes.toString('hex')}`],
    ['hex in capitals', `HEX:${bytes.toString('hex').toUpperCase()}`],
    ['base64', `base64:${bytes.toString('base64')}`],
    ['base64url', `base64:${bytes.toString('base64url')}`],
    ['utf8', `utf8:hex:${text}`],
    ['plain text', text],
    ['plain text that could be hex', bytes.toString('hex')],
    ['a file’s text', `\uFEFF${text}\n`],
    ['the newest of two', `${text}\nhex:${bytes.toString('hex')}`],
    ['letters beyond ASCII', 'geheim-für-Überträger-αβγ-密密密'],
  ]
  const around = { readFile: () => '', now }
  for (const [name, secret] of rows) {
    const read = sharedSecrets(secret, around)
    const key = 'value' in read ? read.value[0] : undefined
    t.ok(key, name)
    const token = tokenOf(createCopilotLink({ ...base, secret }))
    jsonwebtoken.verify(token, key ?? '', { clockTimestamp: iat })
  }
  for (const expiresIn of ['1s', '1000ms', '1.5h', '90s', '2m', '1d', '0.5d'] as const) {
    const read = duration(1000)(expiresIn, around)
    const ms = 'value' in read ? read.value : 0
    const claims = Object(jsonwebtoken.decode(tokenOf(createCopilotLink({ ...base, expiresIn }))))
    t.equal(claims.exp, Math.floor((now + ms) / 1000), expiresIn)
  }
  const { expiresIn: _, ...rest } = base
  const ours = createLink({ ...rest, baseUrl: new URL(base.baseUrl), expiresIn: 8 * 3_600_000 })
  t.equal(ours.href, createCopilotLink(base))
  t.end()
})

t.test('a link that the gateway would refuse is not made', (t) => {
  const badBase = 'baseUrl must be an http or https URL without query, fragment and password'
  const badTime =
    'expiresIn must be a number and ms, s, m, h or d, such as 8h, and one second or more'
  const short = (length: number): string =>
    `the secret has ${length} bytes, but HS256 needs 32: take hex: and what openssl rand -hex 32 prints`
  const key =
    'the secret holds a PEM, DER or JWK key; a public key is no secret: give the shared secret itself'
  const encoded = (text: string): string => Buffer.from(text).toString('base64')
  const pem = '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC\n-----END PUBLIC KEY-----'
  const rows: readonly (readonly [string, object, LinkErrorCode, string])[] = [
    ['no user', { userId: '' }, 'user-id-invalid', 'userId must not be empty'],
    ['no session', { sessionId: '' }, 'session-id-invalid', 'sessionId must not be empty'],
    ['no URLToken', { urlToken: '' }, 'url-token-invalid', 'urlToken must not be empty'],
    ['a number', { userId: 12345 }, 'user-id-invalid', 'userId must be text'],
    ['nothing', { urlToken: undefined }, 'url-token-invalid', 'urlToken must be text'],
    [
      'half a character',
      { userId: 'a\uD83D' },
      'user-id-invalid',
      'userId holds half a character: it is cut short',
    ],
    ['a name that is none', { kid: '' }, 'kid-invalid', 'kid must not be empty'],
    ['a short secret', { secret: bytes.subarray(1) }, 'secret-invalid', short(31)],
    ['a short text', { secret: 'hunter2-hunter2' }, 'secret-invalid', short(15)],
    ['words', { secret: 'correct horse battery staple' }, 'secret-invalid', short(7)],
    ['no secret', { secret: '' }, 'secret-invalid', short(0)],
    ['a secret of no kind', { secret: null }, 'secret-invalid', 'the secret must be text or bytes'],
    [
      'half a byte',
      { secret: 'hex:abc' },
      'secret-invalid',
      'the secret is not hex, two digits a byte',
    ],
    ['bad base64', { secret: 'base64:a*b' }, 'secret-invalid', 'the secret is not base64'],
    [
      'bytes as text',
      { secret: `${bytes.toString('hex')}\0` },
      'secret-invalid',
      'the secret is not text: put bytes as hex: or base64:',
    ],
    ['a PEM key', { secret: pem }, 'secret-invalid', key],
    ['a PEM key in base64', { secret: `base64:${encoded(pem)}` }, 'secret-invalid', key],
    ['a JWK', { secret: '{"kty":"RSA","n":"x","e":"AQAB"}' }, 'secret-invalid', key],
    ['a PEM key as bytes', { secret: Buffer.from(pem) }, 'secret-invalid', key],
    ...['?a=b', '?', '#a'].map(
      (end) =>
        [
          `a base that ends in ${end}`,
          { baseUrl: `https://g.example/${end}` },
          'base-url-invalid',
          badBase,
        ] as const,
    ),
    ['another scheme', { baseUrl: 'javascript:alert()' }, 'base-url-invalid', badBase],
    ['a password', { baseUrl: 'https://a:b@g.example' }, 'base-url-invalid', badBase],
    ['no URL', { baseUrl: 'gateway' }, 'base-url-invalid', badBase],
    ...['0s', '999ms', '-1h', '8', '8 h', '8H', '1e3s', '99999999999999d', '', undefined, 8].map(
      (expiresIn) =>
        [`a time of ${expiresIn}`, { expiresIn }, 'expires-in-invalid', badTime] as const,
    ),
    ['no clock', { now: Number.NaN }, 'now-invalid', 'now must be milliseconds since the epoch'],
  ]
  for (const [name, change, code, message] of rows) {
    const error = errorOf({ ...base, ...change })
    t.ok(error instanceof CopilotLinkError, name)
    t.match(error, { name: 'CopilotLinkError', code, message }, name)
  }
  for (const none of [[], [null]]) {
    const make = () => Reflect.apply(createCopilotLink, null, none)
    t.throws(make, new CopilotLinkError('base-url-invalid', badBase), 'no options')
  }
  t.end()
})

/** What a caller without a compiler gets. */
function errorOf(options: { readonly expiresIn: Duration } & typeof base): unknown {
  try {
    createCopilotLink(options)
    return null
  } catch (error) {
    return error
  }
}
