// Of a key set, what can verify tokens of contact centers is taken, and nothing else.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { exportJWK } from 'jose'
import t from 'tap'
import { type KeySet, readKeySet } from '../../src/keys/key-set.ts'
import { createSigner } from './issuer.ts'

const [rsa, ec, ed, other] = [
  (await createSigner(null, 'RS256')).jwk,
  (await createSigner(null, 'ES256')).jwk,
  (await createSigner(null, 'EdDSA')).jwk,
  (await createSigner(null, 'ES256')).jwk,
]
const base = { ...rsa, kid: 'base' }

/** An odd number of so many bits. */
function oddOf(bits: number): string {
  const number = randomBytes(bits / 8)
  number[0] = 0xff
  number[number.length - 1] = 1
  return number.toString('base64url')
}

function read(...keys: readonly unknown[]): KeySet {
  const set = readKeySet(JSON.stringify({ keys }))
  if (typeof set === 'string') throw new Error(set)
  return set
}

t.test('keys that fit', (t) => {
  const rows: readonly (readonly [string, Record<string, unknown>, string | null, string?])[] = [
    ['RSA', rsa, null],
    ['P-256', ec, null],
    ['Ed25519', ed, null],
    ['with a kid', { ...ec, kid: 'k 1' }, 'k 1'],
    ['for signatures', { ...ec, use: 'sig', key_ops: ['verify'] }, null],
    ['RS256 alone', { ...rsa, alg: 'RS256' }, null, 'RS256'],
    ['PS256 alone', { ...rsa, alg: 'PS256' }, null, 'PS256'],
    ['with members that mean nothing here', { ...rsa, x5t: 'x', iss: 'y', exp: 1 }, null],
  ]
  for (const [name, jwk, kid, alg] of rows) {
    const { keys, leftOut } = read(jwk)
    t.equal(leftOut, 0, name)
    t.equal(keys[0]?.kid, kid, name)
    t.equal(keys[0]?.alg, alg, name)
    t.equal(keys[0]?.key.type, 'public', name)
  }
  t.end()
})

t.test('keys that do not are left out, one by one', async (t) => {
  const ofRsa = async (modulusLength: number, publicExponent = 65537) =>
    exportJWK(generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey)
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signing = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const onCurve = async (namedCurve: string) =>
    exportJWK(generateKeyPairSync('ec', { namedCurve }).publicKey)
  const rows: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['text', 'key'],
    ['a list', [ec]],
    ['nothing', {}],
    ['a shared secret', { kty: 'oct', k: Buffer.alloc(32, 1).toString('base64url') }],
    ['one for HS256', { kty: 'oct', alg: 'HS256', k: Buffer.alloc(32, 1).toString('base64url') }],
    ['an unknown type', { ...ec, kty: 'AKP' }],
    ['for encryption', { ...rsa, use: 'enc' }],
    ['to encrypt with', { ...rsa, key_ops: ['encrypt', 'wrapKey'] }],
    ['key_ops that are no list', { ...rsa, key_ops: 'verify' }],
    ['a private EC key', await exportJWK(pair.privateKey)],
    ['a private RSA key', await exportJWK(signing)],
    ['half a private key', { ...rsa, p: 'AQ' }],
    ['RSA of 1024 bits', await ofRsa(1024)],
    ['RSA of 2047 bits', await ofRsa(2047)],
    ['RSA with an exponent of 1', { ...rsa, e: 'AQ' }],
    ['RSA without a modulus', { ...rsa, n: undefined }],
    ['P-384', await onCurve('P-384')],
    ['secp256k1', await onCurve('secp256k1')],
    ['a point beside the curve', { ...ec, y: other['y'] }],
    ['RSA of 4104 bits', { ...rsa, n: oddOf(4104) }],
    ['RSA with an exponent of 2^32 + 1', { ...rsa, e: 'AQAAAAE' }],
    ['RSA with an exponent of 2048 bits', { ...rsa, e: oddOf(2040) }],
    ['X25519', await exportJWK(generateKeyPairSync('x25519').publicKey)],
    ['Ed448', await exportJWK(generateKeyPairSync('ed448').publicKey)],
    ['RSA for HS256', { ...rsa, alg: 'HS256' }],
    ['RSA for none', { ...rsa, alg: 'none' }],
    ['RSA for ES256', { ...rsa, alg: 'ES256' }],
    ['RSA for RS512', { ...rsa, alg: 'RS512' }],
    ['EC for RS256', { ...ec, alg: 'RS256' }],
    ['an alg that is no text', { ...rsa, alg: ['RS256'] }],
    ['a kid that is no text', { ...ec, kid: 7 }],
    ['an empty kid', { ...ec, kid: '' }],
    ['a kid of 257 characters', { ...ec, kid: 'x'.repeat(257) }],
    ['a kid that breaks lines', { ...ec, kid: 'a\nb' }],
    ['a kid that another key has', { ...ec, kid: 'base' }],
    ['the same once more', base],
  ]
  for (const [name, jwk] of rows) {
    const { keys, leftOut } = read(base, jwk, { ...ed, kid: 'last' })
    t.same(
      keys.map(({ kid }) => kid),
      ['base', 'last'],
      name,
    )
    t.equal(leftOut, 1, name)
  }
})

t.test('as many are taken as a token may be tried against', async (t) => {
  const many = await Promise.all(Array.from({ length: 12 }, () => createSigner(null, 'EdDSA')))
  const nameless = many.map(({ jwk }) => jwk)
  const named = nameless.map((jwk, i) => ({ ...jwk, kid: `k${i}` }))
  const rows: readonly (readonly [string, readonly unknown[], readonly (string | null)[]])[] = [
    ['with kids', named, named.slice(0, 10).map(({ kid }) => kid)],
    ['without', nameless, Array(4).fill(null)],
    ['both', [...nameless, ...named], [...Array(4).fill(null), 'k0', 'k1', 'k2', 'k3', 'k4', 'k5']],
  ]
  for (const [name, jwks, kids] of rows) {
    const { keys, leftOut } = read(...jwks)
    t.same(
      keys.map(({ kid }) => kid),
      kids,
      name,
    )
    t.equal(leftOut, jwks.length - kids.length, name)
  }
})

t.test('several keys may have no kid, and one key several algorithms', (t) => {
  t.equal(read(rsa, ec, ed, other).keys.length, 4)
  const { keys } = read({ ...base, alg: 'PS256' }, { ...base, alg: 'RS256' })
  t.same(
    keys.map(({ alg }) => alg),
    ['PS256', 'RS256'],
  )
  t.end()
})

t.test('what is no key set', (t) => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'JWKS_INVALID'],
    ['a page', '<!doctype html>', 'JWKS_INVALID'],
    ['null', 'null', 'JWKS_INVALID'],
    ['a list', JSON.stringify([base]), 'JWKS_INVALID'],
    ['a key', JSON.stringify(base), 'JWKS_INVALID'],
    ['keys by name', JSON.stringify({ keys: { base } }), 'JWKS_INVALID'],
    ['half of one', JSON.stringify({ keys: [base] }).slice(0, -2), 'JWKS_INVALID'],
    ['nested deeply', '['.repeat(100_000), 'JWKS_INVALID'],
    ['no keys', '{"keys":[]}', 'JWKS_NO_KEY'],
    ['101 keys', JSON.stringify({ keys: Array(101).fill(base) }), 'JWKS_TOO_MANY_KEYS'],
  ]
  for (const [name, text, problem] of rows) t.equal(readKeySet(text), problem, name)
  t.equal(read(...Array(100).fill(base)).keys.length, 1, 'a hundred are not too many')
  t.end()
})
