import { createHmac, generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import t from 'tap'
import type { Key } from '../../src/access/token.ts'
import { createGate, jwt, secret } from '../stage.ts'

const claims = { userId: 'a', sessionId: 'b' }
const session = { u: 'a', s: 'b', t: 'c', i: 1, e: 2 }

async function keysOf(...secrets: readonly (string | Buffer)[]): Promise<readonly Key[]> {
  return (await createGate(secrets)).keyring.keys
}

async function keyOf(text: string | Buffer): Promise<Key> {
  const [key] = await keysOf(text)
  if (key === undefined) throw new Error('no key')
  return key
}

/** A token signed by the bytes of a secret. */
function signed(key: string | Buffer, header: object = { alg: 'HS256' }): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

t.test('a secret is its bytes, whatever they are or look like', async (t) => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const rows: readonly (readonly [string, string | Buffer])[] = [
    ['text', secret],
    ['32 bytes', randomBytes(32)],
    ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
    ['bytes that are no UTF-8', Buffer.alloc(32, 0xff)],
    ['bytes with a NUL in front', Buffer.concat([Buffer.alloc(1), randomBytes(31)])],
    ['white space around', ' \n a secret with white space around it \n'],
    ['a byte order mark in front', `\ufeff${secret}`],
    ['longer than a block of SHA-256', 'x'.repeat(65)],
    ['very long', randomBytes(10_000)],
    ['hex digits', 'ab'.repeat(32)],
    ['base64', randomBytes(32).toString('base64')],
    ['JSON', JSON.stringify({ kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' })],
    ['umlauts', 'ü'.repeat(20)],
    // Settings refuse it; were it here, it would be bytes, never a public key.
    ['a PEM', rsa.publicKey.export({ type: 'spki', format: 'pem' })],
  ]
  for (const [name, text] of rows) {
    const key = await keyOf(text)
    const bytes = Buffer.from(text)
    const made = [
      signed(bytes),
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(bytes),
      jsonwebtoken.sign(claims, bytes, { noTimestamp: true }),
    ]
    for (const token of made) {
      t.match(key.verifyToken(token), { header: { alg: 'HS256' }, payload: claims }, name)
    }
    const changed = Buffer.from(bytes)
    changed[0] = (changed[0] ?? 0) ^ 1
    t.equal(key.verifyToken(signed(changed)), null, `${name}: one bit off`)
    t.strictSame(
      key.sessions.cookie.verify(key.sessions.cookie.sign(session))?.payload,
      session,
      `${name}: session`,
    )
  }
})

t.test('what a secret did not sign is null, never an exception', async (t) => {
  const key = await keyOf(secret)
  const texts = [
    '',
    '.',
    '..',
    '...',
    'a',
    'a.b',
    'a.b.c',
    'a.b.c.d',
    '=.=.=',
    '%.%.%',
    '\0',
    '😀.😀.😀',
    'null',
    'undefined',
    '[object Object]',
    '__proto__',
    `${signed(secret)}.`,
    ` ${signed(secret)}`,
    `${signed(secret)}\n`,
    signed(secret, { alg: 'none' }),
    signed(secret, { alg: 'HS512' }),
    signed(secret, { alg: 'RS256' }),
    signed(secret, {}),
    signed('another secret of 32 bytes or more'),
    'x'.repeat(100_000),
    `${'x'.repeat(50_000)}.${'y'.repeat(50_000)}.z`,
  ]
  for (const text of texts) {
    t.equal(key.verifyToken(text), null, `token ${JSON.stringify(text.slice(0, 40))}`)
    t.equal(key.sessions.cookie.verify(text), null, `session ${JSON.stringify(text.slice(0, 40))}`)
  }
  t.match(key.verifyToken(signed(secret)), { payload: claims }, 'and the next one is read')
})

t.test('the clock is not the verifier’s to read', async (t) => {
  const key = await keyOf(secret)
  const rows = [
    { exp: 1 },
    { exp: -1 },
    { nbf: 1e11 },
    { iat: 1e11 },
    { exp: 1, nbf: 1e11, iat: 0 },
  ]
  for (const times of rows) {
    const token = jwt({ ...claims, ...times })
    t.match(key.verifyToken(token), { payload: { ...claims, ...times } }, JSON.stringify(times))
    t.match(key.verifyToken(token), { payload: { ...claims, ...times } }, 'a second time')
  }
})

t.test('what was verified is remembered, and nobody can change it', async (t) => {
  const key = await keyOf(secret)
  const token = jwt(claims)
  const first = key.verifyToken(token)
  t.equal(key.verifyToken(`${token}`), first)
  t.throws(() => Object.assign(first?.payload ?? {}, { userId: 'changed' }), 'claims')
  t.throws(() => Object.assign(first?.header ?? {}, { crit: [] }), 'header')
  t.throws(() => Object.assign(first ?? {}, { payload: {} }), 'both')
  t.match(key.verifyToken(token), { payload: claims })
})

t.test('what one key or use has verified proves nothing to another', async (t) => {
  const [key, second] = await keysOf(secret, 'another secret of 32 bytes or more')
  const token = jwt(claims)
  const cookie = key?.sessions.cookie.sign(session) ?? ''
  for (const round of ['first', 'remembered']) {
    t.ok(key?.verifyToken(token), round)
    t.equal(second?.verifyToken(token), null, round)
    t.ok(key?.sessions.cookie.verify(cookie), round)
    t.equal(key?.sessions.parameter.verify(cookie), null, round)
    t.equal(key?.verifyToken(cookie), null, round)
  }
})

t.test('tokens and sessions are signed by different keys', async (t) => {
  const other = 'another secret of 32 bytes or more'
  const keys = await keysOf(secret, other)
  const [key, second] = keys
  if (key === undefined || second === undefined) throw new Error('no keys')
  const value = key.sessions.cookie.sign(session)
  t.strictSame(
    key.sessions.cookie.verify(value)?.payload,
    session,
    'with what was signed and no more',
  )
  t.match(key.sessions.cookie.verify(value)?.header, { alg: 'HS256' })
  for (const each of keys) t.equal(each.verifyToken(value), null, 'a session is no token')
  t.equal(second.sessions.cookie.verify(value), null, 'nor a session by another secret')
  for (const each of keys) {
    for (const text of [jwt(claims), jwt(session), signed(other), jwt(session, { key: other })]) {
      t.equal(each.sessions.cookie.verify(text), null, 'a token is no session')
    }
  }
  t.match(key.verifyToken(jwt(claims)), { payload: claims })
  t.equal(second.verifyToken(jwt(claims)), null)
  await t.rejects(jwtVerify(value, Buffer.from(secret)), 'who holds the secret signs no sessions')
  const guesses = ['', 'session', 'copilot-gateway'].map((info) =>
    Buffer.from(hkdfSync('sha256', secret, '', info, 32)),
  )
  for (const guess of guesses) t.equal(key.verifyToken(signed(guess)), null)
})

t.test('any replica reads the sessions of another', async (t) => {
  const [one, two] = [await keyOf(secret), await keyOf(secret)]
  t.strictSame(two.sessions.cookie.verify(one.sessions.cookie.sign(session))?.payload, session)
  t.equal(
    one.sessions.cookie.sign(session),
    two.sessions.cookie.sign(session),
    'and signs them alike',
  )
})

t.test('keys stand in the order of their secrets, each for the contact center', async (t) => {
  const secrets = Array.from({ length: 5 }, (_, i) => `${i}`.repeat(32))
  const gate = await createGate(secrets, {}, 'center')
  t.equal(gate.keyring.keys.length, 5)
  for (const [index, text] of secrets.entries()) {
    const reads = gate.keyring.keys.map((key) => key.verifyToken(signed(text)) !== null)
    t.strictSame(
      reads,
      secrets.map((_, i) => i === index),
      `secret ${index}`,
    )
    t.equal(gate.keyring.keys[index]?.contactCenter.name, 'center')
  }
})
