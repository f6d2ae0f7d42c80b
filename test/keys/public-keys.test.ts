// A public key verifies what its private key signed, by its own algorithms, and signs nothing itself.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { decodeProtectedHeader, SignJWT } from 'jose'
import t from 'tap'
import {
  keepSession,
  openSession,
  readParameter,
  readSessions,
  signParameter,
  splitCookies,
} from '../../src/access/session.ts'
import { type Token, verifyToken } from '../../src/access/token.ts'
import type { PublicKey } from '../../src/settings/config.ts'
import { createGate, createGateOf, ids, jwt, secret } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: now / 1000 + 3600 }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const ed = generateKeyPairSync('ed25519')
const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
const keys: readonly PublicKey[] = Object.entries({ rsa, ec, ed, p384, secp256k1, pss }).map(
  ([kid, { publicKey }]) => ({ kid, key: publicKey }),
)
const sessionSecrets = ['newest', 'older'].map((name) => Buffer.from(name.padEnd(32, '.')))
const gate = await createGate([], { publicKeys: keys, sessionSecrets })

function signed(alg: string, key: KeyObject, kid?: string): Promise<string> {
  const header = { alg, ...(kid === undefined ? {} : { kid }) }
  return new SignJWT(claims).setProtectedHeader(header).sign(key)
}

/** A token under a header of any kind, with any signature. */
function made(header: object, signature: (input: Buffer) => Buffer): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${signature(Buffer.from(input)).toString('base64url')}`
}

const verify = (token: string, by = gate): Token => verifyToken(token, null, by.keyring, now)

t.test('each by the algorithms of its type', async (t) => {
  const rows = [
    ['RS256', rsa, 'rsa'],
    ['PS256', rsa, 'rsa'],
    ['ES256', ec, 'ec'],
    ['EdDSA', ed, 'ed'],
  ] as const
  for (const [alg, pair, kid] of rows) {
    for (const named of [kid, undefined, 'unknown']) {
      const verified = verify(await signed(alg, pair.privateKey, named))
      t.match(
        verified,
        { state: 'valid', claims: { userId: ids.userId, sessionId: ids.sessionId } },
        `${alg}, kid ${named}`,
      )
    }
    t.match(
      verify(await signed(alg, pair.privateKey, kid === 'ec' ? 'rsa' : 'ec')),
      { reason: 'token-invalid' },
      `${alg}, under another’s kid`,
    )
    const other =
      alg === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('rsa', { modulusLength: 2048 })
    t.match(
      verify(await signed(alg, other.privateKey, kid)),
      { reason: 'token-invalid' },
      `${alg}, another key`,
    )
  }
})

t.test('nothing else is a signature', async (t) => {
  const texts: (readonly [string, string | Buffer])[] = keys.flatMap(({ kid, key }) => [
    [`${kid} as PEM`, key.export({ type: 'spki', format: 'pem' })],
    [
      `${kid} as PEM without its line end`,
      key.export({ type: 'spki', format: 'pem' }).toString().trim(),
    ],
    [`${kid} as DER`, key.export({ type: 'spki', format: 'der' })],
    [`${kid} as base64`, key.export({ type: 'spki', format: 'der' }).toString('base64')],
    ...(kid === 'pss'
      ? []
      : [[`${kid} as JWK`, JSON.stringify(key.export({ format: 'jwk' }))] as const]),
  ])
  const bySession = sessionSecrets.map((key, i): readonly [string, Buffer] => [
    `session secret ${i}`,
    key,
  ])
  for (const [name, text] of [...texts, ...bySession, ['nothing', ''] as const]) {
    for (const alg of ['HS256', 'RS256', 'none']) {
      for (const kid of ['rsa', 'ec', 'ed', 'default', undefined]) {
        const token = made({ alg, kid }, (input) =>
          createHmac('sha256', text).update(input).digest(),
        )
        t.match(
          verify(token),
          { reason: 'token-invalid', key: null },
          `${alg} over ${name}, kid ${kid}`,
        )
      }
    }
  }
  const by =
    (key: KeyObject, hash: string | null = 'sha256') =>
    (input: Buffer) =>
      sign(hash, input, key)
  const rows: readonly (readonly [string, string])[] = [
    ['alg none', made({ alg: 'none', kid: 'rsa' }, () => Buffer.alloc(0))],
    ['alg none, signed all the same', made({ alg: 'none', kid: 'rsa' }, by(rsa.privateKey))],
    ['RS512', await signed('RS512', rsa.privateKey, 'rsa')],
    ['RS384', await signed('RS384', rsa.privateKey, 'rsa')],
    ['PS512', await signed('PS512', rsa.privateKey, 'rsa')],
    ['RS256 said to be ES256', made({ alg: 'ES256', kid: 'rsa' }, by(rsa.privateKey))],
    ['ES256 under an RSA key’s kid', await signed('ES256', ec.privateKey, 'rsa')],
    ['ES256 as DER', made({ alg: 'ES256', kid: 'ec' }, by(ec.privateKey))],
    ['an empty ES256', made({ alg: 'ES256', kid: 'ec' }, () => Buffer.alloc(64))],
    ['ES384 of a P-384 key', await signed('ES384', p384.privateKey, 'p384')],
    ['ES256 of a P-384 key', made({ alg: 'ES256', kid: 'p384' }, by(p384.privateKey))],
    [
      'ES256 of another curve of 256 bits',
      made({ alg: 'ES256', kid: 'secp256k1' }, by(secp256k1.privateKey)),
    ],
    ['ES256K', made({ alg: 'ES256K', kid: 'secp256k1' }, by(secp256k1.privateKey))],
    ['PS256 of a key for PSS alone', made({ alg: 'PS256', kid: 'pss' }, by(pss.privateKey))],
    [
      'a key of its own',
      made(
        { alg: 'EdDSA', kid: 'ed', jwk: p384.publicKey.export({ format: 'jwk' }) },
        by(generateKeyPairSync('ed25519').privateKey, null),
      ),
    ],
  ]
  for (const [name, token] of rows)
    t.match(verify(token), { reason: 'token-invalid', key: null }, name)
  t.match(
    verify(made({ alg: 'RS256', kid: 'rsa' }, by(rsa.privateKey))),
    { state: 'valid' },
    'made by hand, it would pass',
  )
})

t.test('a shared secret and a public key stand side by side', async (t) => {
  const both = await createGateOf(
    [
      { publicKeys: [{ kid: 'k', key: ed.publicKey }], urlTokens: ['p'], secrets: [], name: 'p' },
      { urlTokens: null },
    ],
    { sessionSecrets },
  )
  const edToken = await signed('EdDSA', ed.privateKey, 'k')
  t.match(verify(edToken, both), { state: 'valid', key: { contactCenter: { name: 'p' } } })
  t.match(verify(jwt(claims), both), {
    state: 'valid',
    key: { contactCenter: { name: 'default' } },
  })
  t.match(verifyToken(jwt(claims), 'p', both.keyring, now), { reason: 'token-invalid' })
})

t.test(
  'its sessions are signed by SESSION_SECRET, and end with that or with the key',
  async (t) => {
    const [newest = Buffer.alloc(0), older = Buffer.alloc(0)] = sessionSecrets
    const publicKeys = [{ kid: 'k', key: rsa.publicKey }]
    const center = { publicKeys, secrets: [] }
    const policy = { maxAge: 3_600_000, outliveToken: false }
    const made = await createGateOf([center], { sessionSecrets: [older] })
    const [key] = made.keyring.keys
    if (key === undefined) throw new Error('no key')
    const session = openSession(key, ids, null, policy, now)
    const none = { own: [], others: '' }
    const cookie =
      keepSession(session, ids.URLToken, none, made.keyring, now)[0]?.split(';')[0] ?? ''
    const parameter = signParameter(session, made.keyring) ?? ''
    t.match(decodeProtectedHeader(parameter), { alg: 'HS256' })
    const same = createPublicKey(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }))
    const rows = [
      ['as it was', 1, [center], [older]],
      ['under a newer secret too', 1, [center], [newest, older]],
      ['its secret gone', 0, [center], [newest]],
      ['no secret at all', 0, [center], []],
      [
        'the same key under another kid',
        1,
        [{ ...center, publicKeys: [{ kid: 'new', key: same }] }],
        [older],
      ],
      ['its key gone', 0, [{ ...center, publicKeys: [{ kid: 'k', key: ed.publicKey }] }], [older]],
      ['its key another contact center’s', 0, [{ ...center, name: 'other' }], [older]],
      ['its secret a shared one', 0, [{ secrets: [older] }], [older]],
    ] as const
    for (const [name, count, centers, secrets] of rows) {
      const { keyring } = await createGateOf(centers, { sessionSecrets: secrets })
      t.equal(readSessions(splitCookies(cookie), keyring, now).length, count, name)
      t.equal(readParameter(parameter, keyring) === null ? 0 : 1, count, `${name}: copilotSession`)
    }
    const rotated = await createGateOf([center], { sessionSecrets: [newest, older] })
    const [first] = rotated.keyring.keys
    if (first === undefined) throw new Error('no key')
    const next = signParameter(openSession(first, ids, null, policy, now), rotated.keyring) ?? ''
    t.equal(readParameter(next, made.keyring), null, 'new ones are signed by the newest')
    for (const text of [cookie.slice(cookie.indexOf('=') + 1), parameter]) {
      t.match(verify(text, made), { reason: 'token-invalid' }, 'and no session is a token')
    }
  },
)

t.test('without a secret for its sessions a public key opens none', async (t) => {
  const { keyring } = await createGateOf([{ publicKeys: keys, secrets: [] }])
  t.strictSame(keyring.keys, [])
  const shared = await createGateOf([{ publicKeys: keys, secrets: [Buffer.from(secret)] }])
  t.equal(shared.keyring.keys.length, 1)
})
