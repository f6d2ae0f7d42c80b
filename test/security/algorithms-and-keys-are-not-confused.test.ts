import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import t from 'tap'
import { readConfig } from '../../src/settings/config.ts'
import { ids, inAnHour, jwt, link, secret } from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, upstream } = await openDoors(t)
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }))

/** A token under a header of any kind, with the bytes of any signature. */
function made(header: unknown, signature: (input: string) => string | Buffer): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${Buffer.from(signature(input)).toString('base64url')}`
}
const hmac =
  (key: string | Buffer, hash = 'sha256') =>
  (input: string) =>
    createHmac(hash, key).update(input).digest()
const signed = (key: KeyObject) => (input: string) => sign('sha256', Buffer.from(input), key)
const embedded = rsa.publicKey.export({ format: 'jwk' })

// What says of itself how it is to be verified.
const tokens: readonly (readonly [name: string, token: string])[] = [
  ['alg none', made({ alg: 'none' }, () => '')],
  ['alg nOnE', made({ alg: 'nOnE' }, () => '')],
  ['alg none, signed all the same', made({ alg: 'none' }, hmac(secret))],
  ['HS256 without a signature', made({ alg: 'HS256' }, () => '')],
  ['HS384', made({ alg: 'HS384' }, hmac(secret, 'sha384'))],
  ['HS512', made({ alg: 'HS512' }, hmac(secret, 'sha512'))],
  ['HS512 by name', made({ alg: 'HS512' }, hmac(secret))],
  ['RS256 by name', made({ alg: 'RS256' }, hmac(secret))],
  ['RS256 by a key of its own', made({ alg: 'RS256', jwk: embedded }, signed(rsa.privateKey))],
  ['HS256 by a key of its own', made({ alg: 'HS256', jwk: embedded }, hmac('x'.repeat(32)))],
  ['a jku', made({ alg: 'HS256', jku: 'https://evil.example/keys' }, hmac('x'.repeat(32)))],
  ['an x5u', made({ alg: 'RS256', x5u: 'https://evil.example/' }, signed(rsa.privateKey))],
  ['a kid that is a path', made({ alg: 'HS256', kid: '../../../dev/null' }, hmac(''))],
  ['a kid that is SQL', made({ alg: 'HS256', kid: "x' UNION SELECT 'x" }, hmac('x'))],
  ['a public key as the secret', made({ alg: 'HS256' }, hmac(pem))],
  ['an empty secret', made({ alg: 'HS256' }, hmac(''))],
  ['crit', made({ alg: 'HS256', crit: ['exp'] }, hmac(secret))],
  [
    'crit that switches base64 off',
    made({ alg: 'HS256', b64: false, crit: ['b64'] }, hmac(secret)),
  ],
  ['exp as text', jwt({ ...claims, exp: String(claims.exp) })],
  ['exp null', jwt({ ...claims, exp: null })],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    t.equal((await knock({ target: link({ auth: jwt(claims) }) })).status, open, 'an honest one')
    upstream.seen.length = 0
    for (const [name, auth] of tokens) {
      t.equal((await knock({ target: link({ auth }) })).status, 401, name)
      const headers = { Authorization: `Bearer ${auth}` }
      const { status } = await knock({ target: link({ auth: null }), headers })
      t.equal(status, 401, `${name}, as a Bearer`)
    }
    for (const userId of [['agent-7'], { a: 'agent-7' }, true, 1.5, null]) {
      const auth = jwt({ ...claims, userId })
      const { status } = await knock({ target: link({ auth, userId: String(userId) }) })
      t.equal(status, 403, `userId ${JSON.stringify(userId)}`)
    }
    t.strictSame(upstream.seen, [], 'nothing goes on')
  })
}

t.test('a key that is public, empty or short is no secret', async (t) => {
  const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
  const rows: readonly (readonly [name: string, JWT_SECRET: string])[] = [
    ['a public key', pem],
    ['a public key in one line', pem.replaceAll('\n', '\\n')],
    ['a public key in base64', `base64:${Buffer.from(pem).toString('base64')}`],
    ['a public key in hex', `hex:${Buffer.from(pem).toString('hex')}`],
    ['a public key as utf8', `utf8:${pem.replaceAll('\n', '')}`],
    ['a public key, DER', `base64:${der.toString('base64')}`],
    ['a JWK', JSON.stringify(createPublicKey(pem).export({ format: 'jwk' }))],
    ['a private key', String(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }))],
    ['nothing', ''],
    ['white space', ' \n'],
    ['no bytes in hex', 'hex:'],
    ['no bytes in base64', 'base64:'],
    ['no bytes', 'utf8:'],
    ['one byte', 'x'],
    ['31 bytes', 'x'.repeat(31)],
    ['one that is good and an empty one', `${secret} utf8:`],
  ]
  const env = { COPILOT_URL: 'http://127.0.0.1:1', FRAME_ANCESTORS: "'none'" }
  const files = { readFile: () => '', now: Date.now() }
  t.notOk('problems' in readConfig({ ...env, JWT_SECRET: secret }, files), 'a good one')
  for (const [name, JWT_SECRET] of rows) {
    const read = readConfig({ ...env, JWT_SECRET }, files)
    const problems = 'problems' in read ? read.problems.map(({ setting }) => setting) : []
    t.ok(problems.includes('JWT_SECRET'), name)
  }
})

t.test('four spellings of one signature are one token, and open one session', async (t) => {
  const good = jwt(claims)
  const bytes = Buffer.from(good.split('.')[2] ?? '', 'base64url')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spellings = [...alphabet]
    .map((last) => good.slice(0, -1) + last)
    .filter((token) => Buffer.from(token.split('.')[2] ?? '', 'base64url').equals(bytes))
  t.equal(spellings.length, 4)
  for (const { name: door, knock } of doors.filter((one) => one.open === 200)) {
    const sessions = new Set<string>()
    for (const auth of spellings) {
      // No list of tokens may be kept by their text: whoever has one spelling has all four.
      const headers = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }
      const { status, headers: told } = await knock({ target: link({ auth }), headers })
      t.equal(status, 200, door)
      sessions.add(told['set-cookie']?.split('=')[0] ?? '')
    }
    t.equal(sessions.size, 1, `${door}: one name`)
  }
})
