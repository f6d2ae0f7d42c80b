import { jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import t from 'tap'
import { createLink } from '../../src/link/link.ts'

const now = Date.UTC(2026, 0, 1) + 999
const base = {
  baseUrl: new URL('https://gateway.example'),
  userId: '12345',
  sessionId: 'abcde-67890',
  urlToken: 'f38791ae20d4961a',
  secret: Buffer.alloc(32, 7),
  expiresIn: 8 * 3_600_000,
  now,
}
const iat = Math.floor(now / 1000)

t.test('a link carries three parameters and a token that two other libraries accept', async (t) => {
  const url = createLink(base)
  t.equal(
    url.href.replace(/auth=.*/, 'auth='),
    'https://gateway.example/?userId=12345&sessionId=abcde-67890&URLToken=f38791ae20d4961a&auth=',
  )
  const token = url.searchParams.get('auth') ?? ''
  const claims = {
    userId: '12345',
    sessionId: 'abcde-67890',
    URLToken: 'f38791ae20d4961a',
    iat,
    exp: iat + 8 * 3600,
  }
  const { payload, protectedHeader } = await jwtVerify(token, base.secret, {
    algorithms: ['HS256'],
    currentDate: new Date(now),
  })
  t.strictSame({ ...payload }, claims)
  t.strictSame(protectedHeader, { alg: 'HS256', typ: 'JWT' })
  t.strictSame(
    jsonwebtoken.verify(token, base.secret, { algorithms: ['HS256'], clockTimestamp: iat }),
    claims,
  )
  t.throws(() => jsonwebtoken.verify(token, Buffer.alloc(32, 8)), { message: 'invalid signature' })
})

t.test('a link keeps what it is given', (t) => {
  const strange = 'a b+c&d=e;%20#ü😀"\''
  const url = createLink({ ...base, userId: strange, sessionId: strange, urlToken: strange })
  t.match(url.search, /userId=a%20b%2Bc%26d%3De%3B%2520%23/, 'percent-encoded, not form-encoded')
  for (const name of ['userId', 'sessionId', 'URLToken']) {
    t.equal(url.searchParams.get(name), strange, name)
  }
  const token = url.searchParams.get('auth') ?? ''
  t.match(jsonwebtoken.decode(token), { userId: strange, sessionId: strange, URLToken: strange })

  t.equal(createLink({ ...base, baseUrl: new URL('http://a.example/b/c') }).pathname, '/b/c')
  const endless = createLink({ ...base, expiresIn: null }).searchParams.get('auth') ?? ''
  t.strictSame(Object.keys(Object(jsonwebtoken.decode(endless))), [
    'userId',
    'sessionId',
    'URLToken',
    'iat',
  ])
  t.equal(base.baseUrl.href, 'https://gateway.example/', 'the base is left as it was')
  t.end()
})

t.test('a link that the gateway would refuse is not made', (t) => {
  const bad = 'the base of a link is an http or https URL without query and fragment'
  const rows: readonly (readonly [string, Partial<typeof base>, string])[] = [
    ['no user', { userId: '' }, 'userId is empty: a link names one agent and one session'],
    ['no session', { sessionId: '' }, 'sessionId is empty: a link names one agent and one session'],
    ['no URLToken', { urlToken: '' }, 'URLToken is empty: a link names one agent and one session'],
    ['half a character', { userId: 'a\uD83D' }, 'userId holds half a character: it is cut short'],
    [
      'a short secret',
      { secret: Buffer.alloc(31) },
      'the secret has 31 bytes: HS256 needs 32 (RFC 7518 §3.2)',
    ],
    ['a base with a query', { baseUrl: new URL('https://g.example/?a=b') }, bad],
    ['a base with an empty query', { baseUrl: new URL('https://g.example/?') }, bad],
    ['a base with a fragment', { baseUrl: new URL('https://g.example/#a') }, bad],
    ['a base of another scheme', { baseUrl: new URL('javascript:alert()') }, bad],
    ['no life', { expiresIn: 0 }, 'a link lasts for one second at least'],
    ['an end in the past', { expiresIn: -1 }, 'a link lasts for one second at least'],
    ['an end that is no number', { expiresIn: Number.NaN }, 'a link lasts for one second at least'],
  ]
  for (const [name, change, message] of rows) {
    t.throws(() => createLink({ ...base, ...change }), { message }, name)
  }
  t.end()
})
