// Several contact centers behind one gateway: each answer may be framed by its own, and says no more of others.
import { generateKeyPairSync } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import t from 'tap'
import type { Config, ContactCenter } from '../../src/settings/config.ts'
import {
  ask,
  auditOf,
  contactCenters,
  ids,
  inAnHour,
  jwt,
  link,
  ownCookies,
  startGateway,
  startUpstream,
} from '../stage.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const secretOf = (name: string): string => `the secret of ${name}`.padEnd(32, '.')
const centers: readonly Partial<ContactCenter>[] = [
  ...Array.from({ length: 1000 }, (_, i): Partial<ContactCenter> => {
    const name = `c${i}`
    const secrets = [Buffer.from(secretOf(name))]
    const frameAncestors = [`https://${name}.example`, `https://*.${name}.example:8443`]
    return { name, secrets, urlTokens: [`u${i}`], frameAncestors }
  }),
  {
    name: 'public',
    secrets: [],
    publicKeys: [{ kid: 'rsa', key: rsa.publicKey }],
    urlTokens: ['links-of-public'],
    frameAncestors: ['https://public.example'],
  },
  { name: 'unframed', urlTokens: ['links-of-unframed'], frameAncestors: [] },
]
const gateOf =
  (forwardAuth: 'resign' | true, some = centers) =>
  (config: Config): Config => ({
    ...contactCenters(...some)(config),
    sessionSecrets: [Buffer.from('the secret of all sessions here.')],
    upstreamSecret: Buffer.from(secretOf('the upstream')),
    forwardAuth,
  })

const html = { 'content-type': 'text/html' }
const upstream = await startUpstream(t, (_, response) => response.writeHead(200, html).end('<p>'))
const gateway = await startGateway(t, upstream.origin, {}, { configure: gateOf(true) })

const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
const tokenOf = (name: string, changes: object = {}): string =>
  jwt({ ...claims, ...changes }, { key: secretOf(name) })
const navigation = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }

t.test('an answer may be framed by the contact center whose it is', async (t) => {
  const own = 'https://c7.example https://*.c7.example:8443'
  const elsewhere = { Referer: 'https://c8.example/desk?auth=x' }
  const rows: readonly (readonly [string, number, string, string, Record<string, string>?])[] = [
    ['a link', 200, link({ URLToken: 'u7', auth: tokenOf('c7') }), own],
    [
      'a link on another’s page',
      200,
      link({ URLToken: 'u7', auth: tokenOf('c7') }),
      own,
      elsewhere,
    ],
    ['a token that has ended', 401, link({ URLToken: 'u7', auth: tokenOf('c7', { exp: 1 }) }), own],
    [
      'the same on another’s page',
      401,
      link({ URLToken: 'u7', auth: tokenOf('c7', { exp: 1 }) }),
      own,
      elsewhere,
    ],
    [
      'another user',
      403,
      link({ URLToken: 'u7', userId: 'x', auth: tokenOf('c7') }),
      own,
      elsewhere,
    ],
    [
      'one that no page may frame',
      200,
      link({ URLToken: 'links-of-unframed' }),
      "'none'",
      elsewhere,
    ],
    ['another’s token', 401, link({ URLToken: 'u8', auth: tokenOf('c7') }), "'none'"],
    [
      'another’s token, on a page of its own',
      401,
      link({ URLToken: 'u8', auth: tokenOf('c7') }),
      'https://c7.example',
      { Referer: 'https://c7.example/' },
    ],
    ['no token', 401, '/', "'none'"],
    [
      'no token, on an allowed page',
      401,
      '/',
      'https://c999.example',
      { Referer: 'https://c999.example/desk' },
    ],
    [
      'no token, below a wildcard',
      401,
      '/',
      'https://a.b.c5.example:8443',
      { Referer: 'https://a.b.c5.example:8443/' },
    ],
    [
      'no token, below a wildcard at another port',
      401,
      '/',
      "'none'",
      { Referer: 'https://a.c5.example/' },
    ],
    ['no token, above a wildcard', 401, '/', "'none'", { Referer: 'https://c5.example:8443/' }],
    ['no token, on a stranger’s page', 401, '/', "'none'", { Referer: 'https://evil.example/' }],
    [
      'no token, on a page that ends alike',
      401,
      '/',
      "'none'",
      { Referer: 'https://evilc7.example/' },
    ],
  ]
  for (const [name, status, target, sources, headers = {}] of rows) {
    const answer = await ask(gateway.origin, target, {
      headers: { ...headers, Accept: 'text/html' },
    })
    t.equal(answer.status, status, name)
    const csp = String(answer.headers['content-security-policy'])
    t.equal(/frame-ancestors ([^;,]*)/.exec(csp)?.[1], sources, name)
    const audit = await auditOf(gateway, answer.headers['x-request-id'])
    const page =
      status === 200 ? undefined : headers['Referer'] && new URL(headers['Referer']).origin
    t.equal(audit['page'], page, `${name}: page`)
  }
})

t.test('the page of a refusal is an origin, or is not told', async (t) => {
  for (const referer of [
    'about:blank',
    'data:text/html,x',
    'file:///etc',
    'x',
    '',
    'javascript:1',
  ]) {
    const { headers } = await ask(gateway.origin, '/', { headers: { Referer: referer } })
    t.equal((await auditOf(gateway, headers['x-request-id']))['page'], undefined, referer)
  }
})

t.test('a session is its contact center’s, by whichever kind of key', async (t) => {
  const auth = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'rsa' })
    .sign(rsa.privateKey)
  const links = {
    c1: link({ URLToken: 'u1', auth: tokenOf('c1') }),
    public: link({ URLToken: 'links-of-public', auth }),
  }
  const jars: Record<string, string> = {}
  for (const [name, target] of Object.entries(links)) {
    const { status, headers } = await ask(gateway.origin, target, { headers: navigation })
    t.equal(status, 200, name)
    const [cookie] = ownCookies(headers['set-cookie'])
    jars[name] = `${cookie?.name}=${cookie?.value}`
  }
  for (const [name, jar] of Object.entries(jars)) {
    const answer = await ask(gateway.origin, '/a', {
      headers: { Cookie: jar, 'Sec-Fetch-Site': 'same-origin' },
    })
    t.equal(answer.status, 200, `${name}: by its cookie`)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { contactCenter: name })
    const URLToken = name === 'public' ? 'u1' : 'public'
    const foreign = await ask(gateway.origin, `/a?URLToken=${URLToken}`, {
      headers: { Cookie: jar, 'Sec-Fetch-Site': 'same-origin' },
    })
    t.equal(foreign.status, 403, `${name}: for the other's URLToken`)
  }
})

t.test(
  'the upstream gets a token of the gateway’s own for each that counted, and no other',
  async (t) => {
    const resigning = await startGateway(
      t,
      upstream.origin,
      {},
      { configure: gateOf('resign', centers.slice(0, 2)) },
    )
    const key = Buffer.from(secretOf('the upstream'))
    const auth = tokenOf('c1', { URLToken: 'u1', admin: true })
    const named = { URLToken: 'u1', auth }
    const received = async (target: string, headers: Record<string, string> = {}) => {
      upstream.seen.length = 0
      const answer = await ask(resigning.origin, target, { headers })
      const [got] = upstream.seen
      t.notMatch(
        JSON.stringify(got?.rawHeaders) + got?.url,
        auth.split('.')[2] ?? '',
        'the original stays here',
      )
      return {
        answer,
        query: new URL(got?.url ?? '', 'http://x').searchParams,
        authorization: got?.headers.authorization,
      }
    }
    const both = await received(link(named), { ...navigation, Authorization: `Bearer ${auth}` })
    const { payload } = await jwtVerify(both.query.get('auth') ?? '', key)
    const { iat = 0, exp, ...rest } = payload
    t.strictSame(rest, { userId: ids.userId, sessionId: ids.sessionId, URLToken: 'u1' })
    t.equal(exp, iat + 60)
    t.equal(both.authorization, `Bearer ${both.query.get('auth')}`)
    const bearer = await received(link({ URLToken: 'u1', auth: null }), {
      Authorization: `Bearer ${auth}`,
    })
    t.equal(bearer.query.get('auth'), null)
    t.match(await jwtVerify((bearer.authorization ?? '').slice(7), key), {
      payload: { URLToken: 'u1' },
    })
    const [cookie] = ownCookies(both.answer.headers['set-cookie'])
    const Cookie = `${cookie?.name}=${cookie?.value}`
    const ended = tokenOf('c1', { exp: 1 })
    const f5 = await received(link({ URLToken: 'u1', auth: ended }), {
      ...navigation,
      Cookie,
      Authorization: `Bearer ${ended}`,
    })
    t.equal(f5.answer.status, 200)
    t.strictSame(
      [f5.query.get('auth'), f5.authorization],
      [null, undefined],
      'none of one that has ended',
    )
    const script = await received('/a', { Cookie, 'Sec-Fetch-Site': 'same-origin' })
    t.strictSame(
      [script.query.get('auth'), script.authorization],
      [null, undefined],
      'none beside a cookie',
    )
  },
)
