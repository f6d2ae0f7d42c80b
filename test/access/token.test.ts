import { execFileSync } from 'node:child_process'
import { createHmac, generateKeyPairSync, randomBytes, sign as signWith } from 'node:crypto'
import { SignJWT } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import t from 'tap'
import { parseQuery } from '../../src/access/query.ts'
import {
  bearerToken,
  bound,
  type Token,
  type TokenPolicy,
  verifyToken,
} from '../../src/access/token.ts'
import { createGate, ids, secret, withKeys, withPolicy } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const second = now / 1000
const header = { alg: 'HS256', typ: 'JWT' }
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: second + 3600 }
const identity = { userId: ids.userId, sessionId: ids.sessionId, URLToken: null }
const { keyring } = await createGate()

const encode = (text: string | Buffer): string => Buffer.from(text).toString('base64url')

interface Made {
  readonly header?: unknown
  readonly claims?: unknown
  readonly key?: string | Buffer
  readonly hash?: string
}

/** A token of texts or of what is to be JSON, with a signature that is right for them. */
function make({ key = secret, hash = 'sha256', ...parts }: Made = {}): string {
  const text = (part: unknown): string => (typeof part === 'string' ? part : JSON.stringify(part))
  const head = encode(text('header' in parts ? parts.header : header))
  const input = `${head}.${encode(text('claims' in parts ? parts.claims : claims))}`
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`
}

function verify(token: string, policy: Partial<TokenPolicy> = {}, at = now): Token {
  return verifyToken(token, null, withPolicy(keyring, policy), at)
}

/** The state in a word: `valid`, or the reason against it. */
function verdict(token: string, policy: Partial<TokenPolicy> = {}, at = now): string {
  const verified = verify(token, policy, at)
  return verified.state === 'valid' ? 'valid' : verified.reason
}

const own = make()
const [head = '', body = '', signature = ''] = own.split('.')

t.test('tokens that others made are accepted', async (t) => {
  const key = randomBytes(32)
  const { keyring } = await createGate([key])
  const rows: readonly (readonly [string, string])[] = [
    ['by hand', make({ key })],
    ['jose', await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(key)],
    [
      'jose, with every header that means nothing here',
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', cty: 'x', kid: '7' })
        .setIssuedAt(second)
        .setNotBefore(second)
        .setIssuer('cc')
        .setAudience(['a', 'b'])
        .sign(key),
    ],
    ['jsonwebtoken', jsonwebtoken.sign(claims, key, { noTimestamp: true })],
    ['jsonwebtoken, with kid', jsonwebtoken.sign(claims, key, { keyid: 'a', noTimestamp: true })],
    ['openssl', byOpenssl(['-mac', 'HMAC', '-macopt', `hexkey:${key.toString('hex')}`])],
  ]
  for (const [name, token] of rows) {
    const verified = verifyToken(token, null, keyring, now)
    t.match(verified, { state: 'valid', claims: identity, expires: now + 3_605_000 }, name)
    t.match(verify(token), { state: 'refused', reason: 'token-invalid' }, `${name}, another secret`)
  }
  t.match(
    verify(byOpenssl(['-hmac', secret])),
    { state: 'valid', claims: identity },
    'a text secret',
  )
  t.equal(byOpenssl(['-hmac', secret]), own, 'one signature, whoever makes it')
})

function byOpenssl(args: readonly string[]): string {
  const input = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`
  const mac = execFileSync('openssl', ['dgst', '-sha256', ...args, '-binary'], { input })
  return `${input}.${encode(mac)}`
}

t.test('the example of RFC 7515 A.1 verifies', async (t) => {
  const key = Buffer.from(
    'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    'base64url',
  )
  const token = [
    'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
    'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ',
    'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  ].join('.')
  const { keyring } = await createGate([key])
  t.match(keyring.keys[0]?.verifyToken(token), {
    header: { typ: 'JWT', alg: 'HS256' },
    payload: { iss: 'joe', exp: 1300819380, 'http://example.com/is_root': true },
  })
  const exp = 1_300_819_380_000
  t.match(verifyToken(token, null, keyring, exp - 1), {
    state: 'valid',
    claims: null,
    expires: exp + 5000,
  })
  t.match(verifyToken(token, null, keyring, exp + 5000), { reason: 'token-expired', claims: null })
  t.equal(verdict(token), 'token-invalid', 'by another key')
})

t.test('the algorithm is the key’s, whatever the header says', (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ed = generateKeyPairSync('ed25519')
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' })
  const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
  const asymmetric = (alg: string): string => {
    const input = `${encode(JSON.stringify({ alg }))}.${body}`
    const data = Buffer.from(input)
    const made =
      alg === 'RS256'
        ? signWith('sha256', data, rsa.privateKey)
        : alg === 'ES256'
          ? signWith('sha256', data, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })
          : signWith(null, data, ed.privateKey)
    return `${input}.${encode(made)}`
  }
  const unsigned = (alg: unknown): string => `${encode(JSON.stringify({ alg }))}.${body}.`
  const rows: readonly (readonly [string, string])[] = [
    ['none', unsigned('none')],
    ['None', unsigned('None')],
    ['NONE', unsigned('NONE')],
    ['nOnE', unsigned('nOnE')],
    ['none and space', unsigned('none ')],
    ['none, empty', unsigned('')],
    ['none, as null', unsigned(null)],
    ['none, with the signature of HS256', make({ header: { alg: 'none' } })],
    ['HS256 without its signature', `${head}.${body}.`],
    ['HS256 without its signature and dot', `${head}.${body}`],
    ['HS384', make({ header: { alg: 'HS384' }, hash: 'sha384' })],
    ['HS512', make({ header: { alg: 'HS512' }, hash: 'sha512' })],
    ['HS384 in name only', make({ header: { alg: 'HS384' } })],
    ['HS512 in name only', make({ header: { alg: 'HS512' } })],
    ['HS256 in name only', make({ hash: 'sha512' })],
    ['HS256 by SHA-1', make({ hash: 'sha1' })],
    ['RS256', asymmetric('RS256')],
    ['ES256', asymmetric('ES256')],
    ['EdDSA', asymmetric('EdDSA')],
    ['RS256 in name only', make({ header: { alg: 'RS256' } })],
    ['ES256 in name only', make({ header: { alg: 'ES256' } })],
    ['PS256 in name only', make({ header: { alg: 'PS256' } })],
    ['EdDSA in name only', make({ header: { alg: 'EdDSA' } })],
    ['a public key as the secret', make({ key: pem })],
    ['a public key as the secret, DER', make({ key: der })],
    ['RS256, a public key as the secret', make({ header: { alg: 'RS256' }, key: pem })],
    ['an empty secret', make({ key: '' })],
    ['zeros for a secret', make({ key: Buffer.alloc(32) })],
    ['the secret in upper case', make({ key: secret.toUpperCase() })],
    ['the secret and a newline', make({ key: `${secret}\n` })],
    ['HS256 by SHA-224', make({ hash: 'sha224' })],
    ['the secret in hex', make({ key: Buffer.from(secret).toString('hex') })],
    ['the secret in base64', make({ key: Buffer.from(secret).toString('base64') })],
    ['the secret cut short', make({ key: secret.slice(0, -1) })],
    ['no alg', make({ header: { typ: 'JWT' } })],
    ['alg null', make({ header: { alg: null } })],
    ['alg true', make({ header: { alg: true } })],
    ['alg a number', make({ header: { alg: 256 } })],
    ['alg a list', make({ header: { alg: ['HS256'] } })],
    ['alg an object', make({ header: { alg: { toString: 'HS256' } } })],
    ['alg in lower case', make({ header: { alg: 'hs256' } })],
    ['alg and space', make({ header: { alg: 'HS256 ' } })],
    ['alg and NUL', make({ header: { alg: 'HS256\0' } })],
    ['Alg', make({ header: { Alg: 'HS256' } })],
    ['alg in the prototype', make({ header: '{"__proto__":{"alg":"HS256"}}' })],
    ['two algs, the last none', make({ header: '{"alg":"HS256","alg":"none"}' })],
    [
      'a key of its own',
      make({ header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AA' } }, key: '\0' }),
    ],
  ]
  for (const [name, token] of rows) {
    t.match(verify(token), { state: 'refused', reason: 'token-invalid', key: null }, name)
  }
  t.end()
})

t.test('crit is refused in any form', (t) => {
  const forms = [
    ['exp'],
    ['b64'],
    ['alg'],
    ['crit'],
    ['x'],
    ['x', 'x'],
    [],
    [''],
    [null],
    [[]],
    null,
    '',
    'exp',
    'x',
    false,
    true,
    0,
    1,
    {},
    { 0: 'x', length: 1 },
  ]
  for (const crit of forms) {
    const token = make({ header: { ...header, crit, x: 1, b64: true } })
    t.equal(verdict(token), 'token-invalid', JSON.stringify(crit))
    t.equal(verify(token).state, 'refused', `${JSON.stringify(crit)} is no token that has ended`)
  }
  const twice = make({ header: '{"alg":"HS256","crit":["x"],"crit":[]}' })
  t.equal(verdict(twice), 'token-invalid', 'twice')
  const escaped = make({ header: '{"alg":"HS256","\\u0063rit":null}' })
  t.equal(verdict(escaped), 'token-invalid', 'escaped')
  t.equal(
    verdict(make({ claims: { ...claims, crit: ['x'] } })),
    'valid',
    'as a claim it says nothing',
  )
  t.equal(verdict(make({ header: { ...header, critical: ['x'] } })), 'valid', 'another name')
  // The library refuses it by itself; it is not the library's to decide.
  const lax = keyring.keys.map((key) => ({
    ...key,
    verifyToken: () => ({ header: { ...header, crit: [] }, payload: claims }),
  }))
  const passed = verifyToken(own, null, withKeys(keyring, lax), now)
  t.match(passed, {
    reason: 'token-invalid',
    claims: identity,
    hint: 'the token has a crit header',
  })
  t.end()
})

t.test('a token is three parts of base64url and nothing else', (t) => {
  const standard = Buffer.from(own.split('.')[2] ?? '', 'base64url').toString('base64')
  const rows: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['dots', '..'],
    ['a dot', '.'],
    ['one part', head],
    ['two parts', `${head}.${body}`],
    ['no header', `.${body}.${signature}`],
    ['no claims', `${head}..${signature}`],
    ['a dot before', `.${own}`],
    ['a dot after', `${own}.`],
    ['a dot between', `${head}..${body}.${signature}`],
    ['a dot within', `${head}.${body.slice(0, 4)}.${body.slice(4)}.${signature}`],
    ['a fourth part', `${own}.${signature}`],
    ['five parts', `${own}.a.b`],
    ['five parts, three of them empty', `${head}...${body}.${signature}`],
    ['space before', ` ${own}`],
    ['space after', `${own} `],
    ['space within', `${head}. ${body}.${signature}`],
    ['a newline after', `${own}\n`],
    ['a newline within', `${head}.${body}\n.${signature}`],
    [
      'a newline in the signature',
      `${head}.${body}.${signature.slice(0, 9)}\n${signature.slice(9)}`,
    ],
    ['a tab after', `${own}\t`],
    ['NUL after', `${own}\0`],
    ['a no-break space after', `${own}\u00a0`],
    ['a byte order mark before', `\ufeff${own}`],
    ['a comma after', `${own},`],
    ['a semicolon after', `${own};`],
    ['a tilde after', `${own}~`],
    ['quotes around', `"${own}"`],
    ['padding after the signature', `${own}=`],
    ['padding after the claims', `${head}.${body}=.${signature}`],
    ['padding after the header', `${head}=.${body}.${signature}`],
    ['base64 in place of base64url', `${head}.${body}.${standard}`],
    ['a scheme before', `Bearer ${own}`],
    ['percent-encoded dots', own.replaceAll('.', '%2E')],
    ['percent-encoded again', `%65${own.slice(1)}`],
    ['full-width', own.replace('e', 'ｅ')],
    ['two tokens', `${own},${own}`],
    ['JSON serialization', JSON.stringify({ protected: head, payload: body, signature })],
    [
      'the signature in hex',
      `${head}.${body}.${Buffer.from(signature, 'base64url').toString('hex')}`,
    ],
    ['the signature cut by one character', own.slice(0, -1)],
    ['the signature and one more character', `${own}A`],
    ['the signature twice', `${own}${signature}`],
    ['in upper case', own.toUpperCase()],
    ['a very long one', `${head}.${'A'.repeat(100_000)}.${signature}`],
  ]
  for (const [name, token] of rows) {
    t.match(verify(token), { state: 'refused', reason: 'token-invalid', key: null }, name)
  }
  t.end()
})

t.test('one wrong bit anywhere, or a byte too few, and it is refused', (t) => {
  const parts = [head, body, signature].map((part) => Buffer.from(part, 'base64url'))
  const joined = (changed: Buffer, index: number): string =>
    parts.map((part, i) => encode(i === index ? changed : part)).join('.')
  t.equal(joined(Buffer.from(head, 'base64url'), 0), own, 'the parts as they are')
  parts.forEach((part, index) => {
    for (let bit = 0; bit < part.length * 8; bit += 1) {
      const changed = Buffer.from(part)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const token = joined(changed, index)
      if (verdict(token) !== 'token-invalid') t.fail(`bit ${bit} of part ${index}`)
    }
    for (let length = 0; length < part.length; length += 1) {
      const token = joined(part.subarray(0, length), index)
      if (verdict(token) !== 'token-invalid') t.fail(`part ${index} cut to ${length} bytes`)
    }
    const longer = joined(Buffer.concat([part, Buffer.alloc(1)]), index)
    t.equal(verdict(longer), 'token-invalid', `part ${index} and a byte`)
  })
  const other = make({ claims: { ...claims, userId: 'victim' } }).split('.')
  t.equal(verdict([head, other[1], signature].join('.')), 'token-invalid', 'the claims of another')
  t.equal(verdict([head, body, other[2]].join('.')), 'token-invalid', 'the signature of another')
  t.equal(verdict(own), 'valid', 'as it was')
  t.end()
})

t.test('all spellings of one signature are one token', (t) => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bytes = Buffer.from(signature, 'base64url')
  const spellings = [...alphabet]
    .map((last) => signature.slice(0, -1) + last)
    .filter((spelling) => Buffer.from(spelling, 'base64url').equals(bytes))
  t.equal(spellings.length, 4, 'two bits of the last character mean nothing')
  for (const spelling of spellings) {
    const verified = verify(`${head}.${body}.${spelling}`)
    if (verified.state === 'valid') t.strictSame(verified.claims, identity, spelling)
    else t.strictSame(verified, { state: 'refused', reason: 'token-invalid', key: null }, spelling)
  }
  t.equal(verdict(own), 'valid', 'the shortest is accepted')
  t.end()
})

t.test('header and claims are JSON objects', (t) => {
  const texts = [
    'null',
    'true',
    '1',
    '"HS256"',
    '[]',
    '[{"alg":"HS256"}]',
    '',
    '{',
    '{}}',
    "{'alg':'HS256'}",
    '{"alg":"HS256",}',
    '{"alg":"HS256"}/**/',
    '\ufeff{"alg":"HS256"}',
    '{"alg":"HS256"}\0',
    'undefined',
    '{"alg":NaN}',
  ]
  for (const text of texts) {
    const name = JSON.stringify(text)
    t.equal(verdict(make({ header: text })), 'token-invalid', `header ${name}`)
    t.equal(verdict(make({ claims: text })), 'token-invalid', `claims ${name}`)
  }
  const spaced = make({
    header: ' {\r\n\t"typ" : "JWT" ,\n "alg":"HS256"}\n',
    claims: ` { "userId" :\n"${ids.userId}", "sessionId":"${ids.sessionId}" } `,
  })
  t.match(verify(spaced), { state: 'valid', claims: identity }, 'white space outside of strings')
  t.end()
})

t.test('of a name given twice the last counts, as for the workspace (RFC 7519 §4)', (t) => {
  const sessionId = `"sessionId":"${ids.sessionId}"`
  const rows: readonly (readonly [string, string, unknown])[] = [
    ['the user', `{"userId":"a","userId":"b",${sessionId}}`, 'b'],
    ['one of them escaped', `{"userId":"a","user\\u0049d":"b",${sessionId}}`, 'b'],
    ['the last is no name', `{"userId":"a","UserId":"b",${sessionId}}`, 'a'],
    ['one in another object', `{"userId":"a","x":{"userId":"b"},${sessionId}}`, 'a'],
  ]
  for (const [name, text, userId] of rows) {
    t.match(verify(make({ claims: text })), { state: 'valid', claims: { userId } }, name)
  }
  const odd = make({ claims: `{"userId":"a","userId":["a"],${sessionId}}` })
  t.match(verify(odd), { state: 'valid', claims: null }, 'the last is none')
  const exp = make({ claims: `{"exp":${second + 60},"exp":1,"userId":"a",${sessionId}}` })
  t.equal(verdict(exp), 'token-expired', 'exp')
  const text = make({ claims: `{"exp":${second + 60},"exp":"never","userId":"a",${sessionId}}` })
  t.equal(verdict(text), 'token-invalid', 'exp, the last a text')
  t.end()
})

t.test('times are finite numbers or the token is refused', (t) => {
  const rest = `"userId":"${ids.userId}","sessionId":"${ids.sessionId}"`
  const refused = [
    `"${second + 60}"`,
    '"0"',
    '""',
    '"never"',
    '"Infinity"',
    '"2026-01-01T00:00:00Z"',
    'null',
    'true',
    'false',
    '[]',
    `[${second + 60}]`,
    '{}',
    `{"valueOf":${second + 60}}`,
    '1e400',
    '-1e400',
    '1e309',
  ]
  for (const name of ['exp', 'nbf', 'iat']) {
    for (const value of refused) {
      const token = make({ claims: `{"${name}":${value},${rest}}` })
      t.match(verify(token), { state: 'refused', reason: 'token-invalid' }, `${name} ${value}`)
    }
    for (const value of ['NaN', 'Infinity', '0x7fffffff', '+1', '1.', '.5', '01']) {
      const token = make({ claims: `{"${name}":${value},${rest}}` })
      t.equal(verdict(token), 'token-invalid', `${name} ${value} is not even JSON`)
    }
  }
  const rows: readonly (readonly [string, string, string])[] = [
    ['exp', '-1', 'token-expired'],
    ['exp', '0', 'token-expired'],
    ['exp', '-0', 'token-expired'],
    ['exp', '-1e300', 'token-expired'],
    ['exp', '-1.7e308', 'token-expired'],
    ['exp', '5e-324', 'token-expired'],
    ['exp', `${second + 0.5}`, 'valid'],
    ['exp', `${(second + 60) / 1e9}e9`, 'valid'],
    ['exp', '4102444800', 'valid'],
    ['exp', '9007199254740993', 'valid'],
    ['exp', '1e300', 'valid'],
    ['exp', '1.7e308', 'valid'],
    ['nbf', '-1', 'valid'],
    ['nbf', '0', 'valid'],
    ['nbf', `${second}`, 'valid'],
    ['nbf', `${second}.0`, 'valid'],
    ['nbf', `${second + 60}`, 'token-not-active'],
    ['nbf', `${now}`, 'token-not-active'],
    ['nbf', '1.7e308', 'token-not-active'],
    ['nbf', '-1.7e308', 'valid'],
    ['iat', '-1', 'valid'],
    ['iat', '0', 'valid'],
    ['iat', `${second}`, 'valid'],
    ['iat', `${second + 60}`, 'token-not-active'],
    ['iat', `${now}`, 'token-not-active'],
    ['iat', '1.7e308', 'token-not-active'],
    ['iat', '-1.7e308', 'valid'],
  ]
  for (const [name, value, expected] of rows) {
    const token = make({ claims: `{"${name}":${value},${rest}}` })
    t.equal(verdict(token), expected, `${name} ${value}`)
  }
  t.end()
})

t.test('clocks may differ by the tolerance and no more', (t) => {
  const of = (changes: object): string => make({ claims: { ...claims, ...changes } })
  for (const clockTolerance of [0, 1, 5000, 60_000]) {
    const rows: readonly (readonly [string, string, number, string])[] = [
      ['before exp', of({ exp: second }), -1, 'valid'],
      ['at the end of the tolerance after exp', of({ exp: second }), clockTolerance - 1, 'valid'],
      ['past it', of({ exp: second }), clockTolerance, 'token-expired'],
      ['long past it', of({ exp: second }), clockTolerance + 86_400_000, 'token-expired'],
      ['at nbf', of({ nbf: second }), 0, 'valid'],
      ['at the start of the tolerance before nbf', of({ nbf: second }), -clockTolerance, 'valid'],
      ['before it', of({ nbf: second }), -clockTolerance - 1, 'token-not-active'],
      ['at iat', of({ iat: second }), 0, 'valid'],
      ['at the start of the tolerance before iat', of({ iat: second }), -clockTolerance, 'valid'],
      ['before it', of({ iat: second }), -clockTolerance - 1, 'token-not-active'],
      ['nbf passed, iat not', of({ nbf: 1, iat: second + 61 }), 0, 'token-not-active'],
      ['iat passed, nbf not', of({ nbf: second + 61, iat: 1 }), 0, 'token-not-active'],
    ]
    for (const [name, token, offset, expected] of rows) {
      const message = `${name}, tolerance ${clockTolerance}`
      t.equal(verdict(token, { clockTolerance }, now + offset), expected, message)
    }
  }
  const half = of({ exp: second + 0.25 })
  t.equal(verdict(half, { clockTolerance: 0 }, now + 249), 'valid', 'to the millisecond')
  t.equal(verdict(half, { clockTolerance: 0 }, now + 250), 'token-expired', 'and not one more')
  t.end()
})

t.test('without exp a token lasts, unless exp is required', (t) => {
  const endless = make({ claims: { userId: 'a', sessionId: 'b' } })
  t.match(verify(endless), { state: 'valid', expires: null })
  t.equal(verdict(endless, {}, now + 10 * 365 * 86_400_000), 'valid', 'in ten years')
  t.match(verify(endless, { requireExp: true }), { state: 'refused', reason: 'token-invalid' })
  t.equal(verdict(own, { requireExp: true }), 'valid', 'one with exp')
  const past = make({ claims: { ...claims, exp: 1 } })
  t.equal(verdict(past, { requireExp: true }), 'token-expired', 'one that is past it')
  const none = make({ claims: { ...claims, exp: null } })
  t.equal(verdict(none, { requireExp: false }), 'token-invalid', 'null is no absence')
  t.end()
})

t.test('a token ends at its greatest age', (t) => {
  const maxAge = 60_000
  const of = (changes: object): string => make({ claims: { ...claims, ...changes } })
  const rows: readonly (readonly [string, string, number, string])[] = [
    ['fresh', of({ iat: second }), 0, 'valid'],
    ['at the end of age and tolerance', of({ iat: second }), maxAge + 4999, 'valid'],
    ['past it', of({ iat: second }), maxAge + 5000, 'token-too-old'],
    ['from the future within tolerance', of({ iat: second + 5 }), 0, 'valid'],
    ['from the future', of({ iat: second + 6 }), 0, 'token-not-active'],
    ['of 1970', of({ iat: 0 }), 0, 'token-too-old'],
    ['of before', of({ iat: -1 }), 0, 'token-too-old'],
    ['without iat', of({}), 0, 'token-too-old'],
    ['without iat, but with nbf', of({ nbf: second }), 0, 'token-too-old'],
    ['with a text for iat', of({ iat: String(second) }), 0, 'token-invalid'],
    ['expired before it is too old', of({ iat: second, exp: second + 1 }), 6000, 'token-expired'],
  ]
  for (const [name, token, offset, expected] of rows) {
    t.equal(verdict(token, { maxAge }, now + offset), expected, name)
  }
  t.equal(verdict(of({ iat: 0 }), { maxAge: null }), 'valid', 'where there is none')
  const old = verify(of({}), { maxAge })
  t.match(old, { state: 'ended', claims: identity }, 'it was authentic once')
  t.match(verify(of({ exp: 1 })), { state: 'ended', claims: identity }, 'so was an expired one')
  t.end()
})

t.test('claims that name someone are non-empty strings or safe integers', (t) => {
  const good: readonly (readonly [json: string, text: string])[] = [
    ['"a"', 'a'],
    ['" "', ' '],
    ['"0"', '0'],
    ['"null"', 'null'],
    ['"\\u0000"', '\0'],
    ['"\\ud83d\\ude00"', '😀'],
    ['"ü"', 'ü'],
    ['"u\\u0308"', 'u\u0308'],
    ['0', '0'],
    ['-0', '0'],
    ['7', '7'],
    ['7.0', '7'],
    ['7e2', '700'],
    ['-7', '-7'],
    ['1e15', '1000000000000000'],
    ['9007199254740991', '9007199254740991'],
    ['-9007199254740991', '-9007199254740991'],
  ]
  const bad = [
    '""',
    'null',
    'true',
    'false',
    '[]',
    '["a"]',
    '["a","a"]',
    '[7]',
    '{}',
    '{"a":1}',
    '{"toString":"a"}',
    '{"length":1,"0":"a"}',
    '1.5',
    '-0.5',
    '1e-7',
    '1e21',
    '1e300',
    '1e400',
    '-1e400',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740992',
    '12345678901234567890',
  ]
  const others: Readonly<Record<string, string>> = {
    userId: '"u"',
    sessionId: '"s"',
    URLToken: '"t"',
  }
  for (const name of ['userId', 'sessionId', 'URLToken']) {
    const text = (json: string): string =>
      `{${Object.entries({ ...others, [name]: json })
        .map(([key, value]) => `"${key}":${value}`)
        .join(',')}}`
    for (const [json, value] of good) {
      const verified = verify(make({ claims: text(json) }))
      t.match(verified, { state: 'valid', claims: { [name]: value } }, `${name} ${json}`)
    }
    for (const json of bad) {
      const verified = verify(make({ claims: text(json) }))
      t.match(verified, { state: 'valid', claims: null }, `${name} ${json} is none`)
      const old = make({ claims: text(json).replace('{', '{"exp":1,') })
      t.match(verify(old), { state: 'ended', claims: null }, `${name} ${json}, expired`)
    }
  }
  const lacking: readonly (readonly [string, string])[] = [
    ['no userId', '{"sessionId":"s"}'],
    ['no sessionId', '{"userId":"u"}'],
    ['neither', '{}'],
    ['other case', '{"userid":"u","SessionId":"s"}'],
    ['names with space', '{"userId ":"u","sessionId":"s"}'],
    ['the standard’s names', '{"sub":"u","sid":"s"}'],
    ['in another object', '{"data":{"userId":"u","sessionId":"s"}}'],
    ['in the prototype', '{"__proto__":{"userId":"u","sessionId":"s"}}'],
    ['in the constructor', '{"constructor":{"prototype":{"userId":"u","sessionId":"s"}}}'],
  ]
  for (const [name, text] of lacking) {
    t.match(verify(make({ claims: text })), { state: 'valid', claims: null }, name)
  }
  t.match(
    verify(make({ claims: '{"userId":"u","sessionId":"s","urltoken":"t"}' })),
    { claims: { userId: 'u', sessionId: 's', URLToken: null } },
    'a URLToken of other case binds nothing',
  )
  t.end()
})

t.test('several secrets are tried, the newest first', async (t) => {
  const secrets = ['newest', 'older', 'oldest'].map((name) => name.padEnd(32, '.'))
  const { keyring } = await createGate(secrets)
  for (const [index, key] of secrets.entries()) {
    const verified = verifyToken(make({ key }), null, keyring, now)
    t.equal(verified.key, keyring.keys[index], `by secret ${index + 1}`)
    t.match(verified, { state: 'valid', claims: identity })
    const old = verifyToken(make({ key, claims: { ...claims, exp: 1 } }), null, keyring, now)
    t.equal(old.key, keyring.keys[index], `expired, by secret ${index + 1}`)
    t.match(old, { state: 'ended', reason: 'token-expired' })
    const early = verifyToken(make({ key, claims: { ...claims, nbf: 1e11 } }), null, keyring, now)
    t.match(early, { state: 'refused', reason: 'token-not-active' })
    t.equal(early.key, keyring.keys[index], `not active yet, by secret ${index + 1}`)
  }
  const retired = make({ key: secrets[2] ?? '' })
  t.match(verifyToken(retired, null, withKeys(keyring, keyring.keys.slice(0, 2)), now), {
    reason: 'token-invalid',
    key: null,
  })
  t.match(verifyToken(own, null, keyring, now), { reason: 'token-invalid', key: null }, 'another')
  t.match(
    verifyToken(own, null, withKeys(keyring, []), now),
    { reason: 'token-invalid' },
    'no secret at all',
  )
  const asked: number[] = []
  const watched = keyring.keys.map((key, index) => ({
    ...key,
    verifyToken(token: string) {
      asked.push(index)
      return key.verifyToken(token)
    },
  }))
  verifyToken(make({ key: secrets[1] ?? '' }), null, withKeys(keyring, watched), now)
  t.strictSame(asked, [0, 1], 'no more than needed')
})

t.test('one reading of a token does not change the next', (t) => {
  const first = verify(own)
  if (first.state === 'valid' && first.claims !== null) Object.assign(first.claims, { userId: 'x' })
  t.match(verify(own), { state: 'valid', claims: identity })
  t.equal(verdict(own, {}, now + 3_605_000), 'token-expired', 'later')
  t.equal(verdict(own, {}, now), 'valid', 'earlier again')
  t.end()
})

t.test('a Bearer of a JWT’s shape is a token, any other Authorization is not', (t) => {
  const tokens: readonly (readonly [string, string])[] = [
    ['as usual', `Bearer ${own}`],
    ['in lower case', `bearer ${own}`],
    ['in upper case', `BEARER ${own}`],
    ['in mixed case', `bEaReR ${own}`],
    ['two spaces', `Bearer  ${own}`],
    ['a tab, which many back ends split at', `Bearer\t${own}`],
  ]
  for (const [name, value] of tokens) t.equal(bearerToken(value), own, name)
  t.equal(bearerToken('Bearer a.b.c'), 'a.b.c', 'the shape is enough')
  t.equal(bearerToken('Bearer a.b.'), 'a.b.', 'alg none is one to refuse')
  t.equal(bearerToken('Bearer -_.-_.-_'), '-_.-_.-_')
  const others = [
    '',
    'Bearer',
    'Bearer ',
    'Bearer abc',
    'Bearer opaque-token_1',
    'Bearer a.b',
    'Bearer .b.c',
    'Bearer a..c',
    'Bearer ..',
    'Bearer a.b.c.d.e',
    'Bearer a.b.c=',
    'Bearer a.b.c,',
    'Bearer a.b.c, Bearer d.e.f',
    'Bearer a.b.c d',
    'Bearer a b.c',
    'Bearer "a.b.c"',
    'Bearer a+b.c/d.e',
    'Bearer token=a.b.c',
    `Bearer${own}`,
    `Bearer:${own}`,
    `Bearer=${own}`,
    own,
    `Token ${own}`,
    `JWT ${own}`,
    `Basic ${own}`,
    `DPoP ${own}`,
    `X-Bearer ${own}`,
    `Basic ${encode('a:b')}`,
    `Digest username="Bearer ${own}"`,
  ]
  for (const value of others) t.equal(bearerToken(value), null, JSON.stringify(value.slice(0, 40)))
  t.end()
})

t.test('claims bind a query that names all three, exactly', (t) => {
  const bind = (query: string, changes: object): boolean => {
    const parsed = parseQuery(query)
    if (parsed === null) throw new Error(`${query} is ambiguous`)
    return bound({ ...identity, userId: '7', sessionId: 's', ...changes }, parsed)
  }
  const rows: readonly (readonly [string, string, object, boolean])[] = [
    ['all three', 'userId=7&sessionId=s&URLToken=t', {}, true],
    ['in another order', 'URLToken=t&sessionId=s&x&userId=7', {}, true],
    ['any URLToken, where the token binds none', 'userId=7&sessionId=s&URLToken=x', {}, true],
    ['the URLToken that it binds', 'userId=7&sessionId=s&URLToken=t', { URLToken: 't' }, true],
    ['another', 'userId=7&sessionId=s&URLToken=x', { URLToken: 't' }, false],
    ['of other case', 'userId=7&sessionId=s&URLToken=T', { URLToken: 't' }, false],
    ['no URLToken', 'userId=7&sessionId=s', {}, false],
    ['no URLToken, where the token binds one', 'userId=7&sessionId=s', { URLToken: 't' }, false],
    ['an empty URLToken', 'userId=7&sessionId=s&URLToken=', {}, false],
    ['a URLToken without value', 'userId=7&sessionId=s&URLToken', {}, false],
    ['no userId', 'sessionId=s&URLToken=t', {}, false],
    ['no sessionId', 'userId=7&URLToken=t', {}, false],
    ['nothing', '', {}, false],
    ['an empty userId', 'userId=&sessionId=s&URLToken=t', {}, false],
    ['an empty sessionId', 'userId=7&sessionId=&URLToken=t', {}, false],
    ['another user', 'userId=8&sessionId=s&URLToken=t', {}, false],
    ['another session', 'userId=7&sessionId=z&URLToken=t', {}, false],
    ['the two exchanged', 'userId=s&sessionId=7&URLToken=t', {}, false],
    ['a number with a leading zero', 'userId=07&sessionId=s&URLToken=t', {}, false],
    ['with a plus sign', 'userId=%2B7&sessionId=s&URLToken=t', {}, false],
    ['with a fraction', 'userId=7.0&sessionId=s&URLToken=t', {}, false],
    ['with an exponent', 'userId=7e0&sessionId=s&URLToken=t', {}, false],
    ['in hex', 'userId=0x7&sessionId=s&URLToken=t', {}, false],
    ['in other digits', 'userId=%D9%A7&sessionId=s&URLToken=t', {}, false],
    ['full-width', 'userId=%EF%BC%97&sessionId=s&URLToken=t', {}, false],
    ['space before', 'userId=+7&sessionId=s&URLToken=t', {}, false],
    ['space after', 'userId=7%20&sessionId=s&URLToken=t', {}, false],
    ['a newline after', 'userId=7%0A&sessionId=s&URLToken=t', {}, false],
    ['NUL after', 'userId=7%00&sessionId=s&URLToken=t', {}, false],
    ['a list of it', 'userId=7,7&sessionId=s&URLToken=t', {}, false],
    ['percent-encoded', 'userId=%37&sessionId=%73&URLToken=t', {}, true],
    ['percent-encoded twice', 'userId=%2537&sessionId=s&URLToken=t', {}, false],
    ['a part of it', 'userId=7&sessionId=&URLToken=t', { sessionId: 's' }, false],
    ['composed and not', 'userId=%C3%BC&sessionId=s&URLToken=t', { userId: 'u\u0308' }, false],
    ['composed alike', 'userId=u%CC%88&sessionId=s&URLToken=t', { userId: 'u\u0308' }, true],
    ['ß and ss', 'userId=ss&sessionId=s&URLToken=t', { userId: 'ß' }, false],
    ['case', 'userId=A&sessionId=s&URLToken=t', { userId: 'a' }, false],
    ['a zero-width space', 'userId=7%E2%80%8B&sessionId=s&URLToken=t', {}, false],
    ['half a character', 'userId=%EF%BF%BD&sessionId=s&URLToken=t', { userId: '\ud83d' }, false],
    ['a + that is one', 'userId=a%2Bb&sessionId=s&URLToken=t', { userId: 'a+b' }, true],
    ['a + that is a space', 'userId=a+b&sessionId=s&URLToken=t', { userId: 'a b' }, true],
    ['a + taken for one', 'userId=a+b&sessionId=s&URLToken=t', { userId: 'a+b' }, false],
  ]
  for (const [name, query, changes, expected] of rows) t.equal(bind(query, changes), expected, name)
  t.end()
})
