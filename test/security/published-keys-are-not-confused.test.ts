// RFC 8725 §2.1: what is published verifies what its key has signed, for its contact center alone.
import { createHmac, createPublicKey, randomBytes } from 'node:crypto'
import t from 'tap'
import type { ContactCenter } from '../../src/settings/config.ts'
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

t.test('who publishes a copy of another’s key has nothing of it', async (t) => {
  const [signer, own] = [await createSigner('v-2026'), await createSigner('own')]
  const nameless = { ...signer, jwk: { ...signer.jwk, kid: undefined } }
  const victim = await startIssuer(t, publish([signer]))
  const unnamed = await startIssuer(t, publish([nameless]))
  const thief = await startIssuer(t, publish([signer, own]))
  const filed = [{ kid: 'v-2026', key: createPublicKey({ key: { ...signer.jwk }, format: 'jwk' }) }]
  const stealing = {
    name: 'thief',
    secrets: [],
    jwksUrl: thief.url,
    enforcement: 'report',
  } as const
  const bare = { name: 'victim', secrets: [], jwksUrl: victim.url }
  const tokens = { requireExp: true, maxAge: null, clockTolerance: 0 }
  const linked = { ...bare, urlTokens: ['v1'], tokens }
  const file = { name: 'victim', secrets: [], publicKeys: filed }
  const token = await signer.token()
  const noKid = await signer.token({ header: { kid: 'x' } })
  const ended = await signer.token({ claims: { exp: 1 } })
  const rows: readonly (readonly [
    string,
    readonly Partial<ContactCenter>[],
    string,
    string,
    number,
    string | null,
  ])[] = [
    ['a kid that names both', [stealing, linked], token, 'v1', 200, 'victim'],
    ['no kid of anyone', [stealing, linked], noKid, 'v1', 200, 'victim'],
    ['one that ended', [stealing, linked], ended, 'v1', 401, 'victim'],
    ['a link of nobody', [stealing, linked], token, 'x9', 401, null],
    ['a link of nobody, no kid', [stealing, linked], noKid, 'x9', 401, null],
    ['a link of nobody, ended', [stealing, linked], ended, 'x9', 401, null],
    [
      'the kid of the thief’s alone',
      [stealing, { ...linked, jwksUrl: unnamed.url }],
      token,
      'v1',
      200,
      'victim',
    ],
    ['neither has URLTokens', [stealing, bare], token, 'v1', 401, null],
    ['neither has URLTokens, no kid', [stealing, bare], noKid, 'v1', 401, null],
    ['a file has it', [stealing, file], token, 'v1', 200, 'victim'],
    ['a file has it, no kid', [stealing, file], noKid, 'v1', 200, 'victim'],
    [
      'a file has it, the thief’s link',
      [{ ...stealing, enforcement: 'enforce', urlTokens: ['t1'] }, file],
      noKid,
      't1',
      401,
      null,
    ],
    [
      'one address by settings',
      [linked, { ...bare, name: 'other', urlTokens: ['o1'] }],
      token,
      'o1',
      200,
      'other',
    ],
    ['the thief’s own', [stealing, linked], await own.token(), 'x9', 200, 'thief'],
  ]
  for (const [name, centers, auth, urlToken, status, contactCenter] of rows) {
    const stage = await startGateway(
      t,
      upstream.origin,
      {},
      {
        configure: (config) => ({
          ...contactCenters(...centers)(config),
          sessionSecrets: [randomBytes(32)],
        }),
      },
    )
    const answer = await ask(stage.origin, link({ auth, URLToken: urlToken }))
    t.equal(answer.status, status, name)
    const line = await auditOf(stage, answer.headers['x-request-id'])
    t.equal(line['contactCenter'] ?? null, contactCenter, name)
    const isByFile = centers.includes(file)
    const isByAddress = !centers.some((one) => one.name === 'thief')
    const told = stage.lines.filter(({ event, state }) => event === 'jwks' && state === 'shared')
    t.same(
      told.map((one) => one['contactCenter']),
      isByAddress ? [] : isByFile ? ['thief'] : ['thief', 'victim'],
      `${name}: the log says whose`,
    )
  }
})
