// RFC 8725 §2.1: what is published verifies what its key has signed, for its contact center alone.
import { createHmac, createPublicKey, randomBytes } from 'node:crypto'
import t from 'tap'
import { createSigner, publish, startIssuer } from '../keys/issuer.ts'
import {
  ask,
  auditOf,
  contactCenters,
  ids,
  inAnHour,
  link,
  startGateway,
  startUpstream,
} from '../stage.ts'

const shared = randomBytes(32)
const [rsa, ec, ed, narrow, foreign] = [
  await createSigner('rsa', 'RS256'),
  await createSigner('ec', 'ES256'),
  await createSigner('ed', 'EdDSA'),
  await createSigner('narrow', 'RS256'),
  await createSigner('ec', 'ES256'),
]
const oct = { kty: 'oct', kid: 'oct', k: shared.toString('base64url'), alg: 'HS256' }
const issuer = await startIssuer(t, publish([rsa, ec, ed, { ...narrow.jwk, alg: 'PS256' }, oct]))
const others = await startIssuer(t, publish([foreign]))
const upstream = await startUpstream(t)
const gateway = await startGateway(
  t,
  upstream.origin,
  {},
  {
    configure: (config) => ({
      ...contactCenters(
        { name: 'a', secrets: [], jwksUrl: issuer.url, urlTokens: ['a1'] },
        { name: 'b', secrets: [], jwksUrl: others.url, urlTokens: ['b1'] },
        { name: 'c', secrets: [Buffer.from('the secret of c, of 32 bytes or more')] },
      )(config),
      sessionSecrets: [randomBytes(32)],
    }),
  },
)

function hs256(key: string | Buffer, header: object): string {
  const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode({ alg: 'HS256', ...header })}.${encode(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

function enter(auth: string, urlToken = 'a1') {
  return ask(gateway.origin, link({ auth, URLToken: urlToken }))
}

t.test('nobody signs with what everybody can read', async (t) => {
  for (const { jwk, kid } of [rsa, ec, ed]) {
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
    const texts: readonly (readonly [string, string | Buffer])[] = [
      ['its JSON', JSON.stringify(jwk)],
      ['its set', JSON.stringify({ keys: [jwk] })],
      ['its PEM', key.export({ type: 'spki', format: 'pem' })],
      ['its PEM, trimmed', `${key.export({ type: 'spki', format: 'pem' })}`.trim()],
      ['its DER', key.export({ type: 'spki', format: 'der' })],
      ['its modulus or point', `${jwk['n'] ?? jwk['x']}`],
      ['its modulus or point, decoded', Buffer.from(`${jwk['n'] ?? jwk['x']}`, 'base64url')],
      ['its kid', `${kid}`],
      ['nothing', ''],
    ]
    for (const [name, text] of texts) {
      for (const header of [{ kid }, {}, { kid: 'a' }, { kid, jwk }]) {
        t.equal((await enter(hs256(text, header))).status, 401, `${kid}: ${name}`)
      }
    }
  }
})

t.test('a shared secret that is published is none', async (t) => {
  for (const header of [{ kid: 'oct' }, {}, { kid: 'a' }, { kid: 'rsa' }]) {
    t.equal((await enter(hs256(shared, header))).status, 401, JSON.stringify(header))
  }
})

t.test('a key is for its own algorithms', async (t) => {
  const rows: readonly (readonly [string, string, number])[] = [
    ['RS256', await rsa.token(), 200],
    ['PS256', await rsa.token({ alg: 'PS256' }), 200],
    ['RS384', await rsa.token({ alg: 'RS384' }), 401],
    ['RS512', await rsa.token({ alg: 'RS512' }), 401],
    ['what a key is published for', await narrow.token({ alg: 'PS256' }), 200],
    ['what it is not', await narrow.token(), 401],
  ]
  for (const [name, auth, status] of rows) t.equal((await enter(auth)).status, status, name)
})

t.test('a contact center’s keys are its own', async (t) => {
  const rows: readonly (readonly [string, string, string, number, string | null])[] = [
    ['own link', await ec.token(), 'a1', 200, 'a'],
    ['the other’s link', await foreign.token(), 'b1', 200, 'b'],
    ['own key, the other’s link', await ec.token(), 'b1', 401, null],
    ['the other’s key, own link', await foreign.token(), 'a1', 401, null],
    [
      'own key, no kid, the other’s link',
      await ec.token({ header: { kid: 'x' } }),
      'b1',
      401,
      null,
    ],
    ['own key, the other’s name', await ec.token({ header: { kid: 'b' } }), 'a1', 200, 'a'],
    ['own key, a third one’s name', await ec.token({ header: { kid: 'c' } }), 'a1', 401, null],
    ['own key, a kid that only it has, the other’s link', await rsa.token(), 'b1', 403, 'a'],
    ['own key, a link of nobody', await rsa.token(), 'z1', 403, 'a'],
  ]
  for (const [name, auth, urlToken, status, contactCenter] of rows) {
    const answer = await enter(auth, urlToken)
    t.equal(answer.status, status, name)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['contactCenter'] ?? null, contactCenter, name)
  }
})

t.test('what a token says of keys has nobody asked', async (t) => {
  const thief = await createSigner('thief')
  const trap = await startIssuer(t, publish([thief]))
  const headers = [
    { jku: trap.url.href },
    { x5u: trap.url.href },
    { jwk: thief.jwk },
    { kid: trap.url.href },
    { kid: '../../dev/null' },
    { kid: '__proto__' },
    { kid: { toString: 'ec' } },
  ]
  for (const header of headers) {
    const { status } = await enter(await thief.token({ header }))
    t.equal(status, 401, JSON.stringify(header).slice(0, 30))
  }
  t.same(trap.asked, [])
})
