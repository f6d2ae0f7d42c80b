import t from 'tap'
import {
  ask,
  auditOf,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin, { REQUIRE_EXP: 'true' })
const base = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
const subject = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }
const nobody = { contactCenter: undefined, userId: undefined, sessionId: undefined }
const [, body = '', signature = ''] = jwt(base).split('.')
const encode = (text: string): string => Buffer.from(text).toString('base64url')
const inMilliseconds = Date.now() + 3_600_000

type Row = readonly [name: string, auth: string, reason: string, hint: string, who?: object]
const refused: readonly Row[] = [
  ['nothing', '', 'token-invalid', 'the token is no JWT'],
  ['a word', 'x', 'token-invalid', 'the token is no JWT'],
  ['two parts', `${encode('{"alg":"HS256"}')}.${body}`, 'token-invalid', 'the token is no JWT'],
  ['no JSON', `x.${body}.${signature}`, 'token-invalid', 'the token is no JWT'],
  [
    'no header',
    `${encode('null')}.${body}.${signature}`,
    'token-invalid',
    'the token’s alg is not HS256',
  ],
  [
    'another algorithm',
    jwt(base, { header: { alg: 'RS256' } }),
    'token-invalid',
    'the token’s alg is not HS256',
  ],
  [
    'another secret',
    jwt(base, { key: 'another-secret-of-256-bits-as-text' }),
    'token-invalid',
    'no secret or key verifies the token',
  ],
  [
    'another secret, and no exp',
    jwt({ userId: 'a' }, { key: 'another-secret-of-256-bits-as-text' }),
    'token-invalid',
    'no secret or key verifies the token',
  ],
  [
    'crit',
    jwt(base, { header: { alg: 'HS256', crit: ['exp'] } }),
    'token-invalid',
    'the token has a crit header',
  ],
  [
    'exp as text',
    jwt({ ...base, exp: String(base.exp) }),
    'token-invalid',
    'exp, nbf or iat is no finite number',
    subject,
  ],
  [
    'iat null',
    jwt({ ...base, iat: null }),
    'token-invalid',
    'exp, nbf or iat is no finite number',
    subject,
  ],
  [
    'no exp',
    jwt({ ...base, exp: undefined }),
    'token-invalid',
    'the token has no exp, which REQUIRE_EXP asks for',
    subject,
  ],
  [
    'no exp, and no user',
    jwt({ sessionId: ids.sessionId }),
    'token-invalid',
    'the token has no exp, which REQUIRE_EXP asks for',
    { ...nobody, contactCenter: 'default' },
  ],
  [
    'iat in milliseconds',
    jwt({ ...base, iat: Date.now() }),
    'token-not-active',
    'exp, nbf or iat is in milliseconds',
    subject,
  ],
]

t.test(
  'the audit line says what is wrong, and who is proven; the client hears neither',
  async (t) => {
    for (const [name, auth, reason, hint, who = nobody] of refused) {
      const answer = await ask(gateway.origin, link({ auth }))
      t.equal(answer.status, 401, name)
      t.notMatch(answer.rawHeaders.join() + answer.body, hint, name)
      const line = await auditOf(gateway, answer.headers['x-request-id'])
      t.strictSame({ reason: line['reason'], hint: line['hint'] }, { reason, hint }, name)
      const { contactCenter, userId, sessionId } = line
      t.strictSame({ contactCenter, userId, sessionId }, who, `${name}: who`)
    }
  },
)

t.test('an end in milliseconds is let in, and told', async (t) => {
  const rows: readonly (readonly [string, number, string | undefined])[] = [
    ['in seconds', base.exp, undefined],
    ['the year 4999', Date.UTC(4999) / 1000, undefined],
    ['in milliseconds', inMilliseconds, 'exp, nbf or iat is in milliseconds'],
  ]
  for (const [name, exp, hint] of rows) {
    const answer = await ask(gateway.origin, link({ auth: jwt({ ...base, exp }) }))
    t.equal(answer.status, 200, name)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['hint'], hint, name)
    t.match(line, { decision: 'allow', ...subject }, name)
  }
})

t.test('a link without a token, in a browser that has another chat open', async (t) => {
  const cookie = await openSession(gateway, { ...ids, auth: jwt(base) })
  const navigation = {
    Cookie: cookie,
    'Sec-Fetch-Site': 'cross-site',
    'Sec-Fetch-Mode': 'navigate',
  }
  const script = { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors' }
  const another = { sessionId: 'chat-2044', auth: null }
  const unsigned = 'the link has no auth; the browser’s sessions are of other links'
  type Case = readonly [
    name: string,
    target: string,
    headers: Record<string, string>,
    hint?: string,
  ]
  const rows: readonly Case[] = [
    ['opened', link(another), navigation, unsigned],
    ['with a token of another chat', link({ ...another, auth: jwt(base) }), navigation],
    ['asked for by a script', link(another), script],
  ]
  for (const [name, target, headers, hint] of rows) {
    const answer = await ask(gateway.origin, target, { headers })
    t.equal(answer.status, 403, name)
    t.notMatch(answer.body, unsigned, name)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.strictSame([line['reason'], line['hint']], ['claim-mismatch', hint], name)
  }
})
