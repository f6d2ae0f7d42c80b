// Whatever is said of a link is what a gateway does with it, and how to mend it.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { decide } from '../../src/access/access.ts'
import { type Explanation, explain, type Known } from '../../src/explain/explain.ts'
import { json, present } from '../../src/explain/present.ts'
import { span } from '../../src/explain/values.ts'
import { advice } from '../../src/observe/advice.ts'
import { requests } from '../fuzz/requests.ts'
import {
  ask,
  contactCenters,
  createGate,
  createGateOf,
  ids,
  inAnHour,
  jwt,
  link,
  type Stage,
  secret,
  startGateway,
  startUpstream,
} from '../stage.ts'

const { userId, sessionId, URLToken } = ids
const hexSecret = createHash('sha256').update('explained').digest('hex')
const southSecret = 'the-secret-of-south-as-256-bits-of-text'
const claims = { userId, sessionId, exp: inAnHour() }
const token = jwt(claims)

function said(text: string, known: Known, options: object = {}): Explanation {
  const explained = explain(text, known, { page: '', show: false, now: Date.now(), ...options })
  if ('problem' in explained) throw new Error(explained.problem)
  return explained
}

/** The first check that does not pass, and all that is said about mending it. */
function trouble({ steps }: Explanation): readonly [string | null, string] {
  const step = steps.find(({ outcome }) => outcome === 'failed' || outcome === 'reported')
  return [step?.name ?? null, steps.flatMap(({ hints }) => hints).join('\n')]
}

type Row = readonly [
  name: string,
  target: string,
  step: string | null,
  reason: string | null,
  hint?: RegExp,
]

const signed = (changes: object, key = secret): string =>
  link({ auth: jwt({ ...claims, ...changes }, { key }) })
const bodyOf = (text: string): string => text.slice(0, text.lastIndexOf('.'))

const plain: readonly Row[] = [
  ['a good link', link(), null, null],
  [
    'a token without exp',
    signed({ exp: undefined }),
    null,
    null,
    /It has no exp: .* Have exp signed/,
  ],
  [
    'a path with two slashes',
    link({}, '//desk'),
    'target',
    'target-invalid',
    /begins with two slashes/,
  ],
  [
    'a value that is no UTF-8',
    `${link()}&name=M%FCller`,
    'target',
    'target-invalid',
    /Parameter 5 \(“name”\) is not percent-encoded UTF-8/,
  ],
  [
    'a dot segment in disguise',
    link({}, '/a%2fb'),
    'target',
    'target-invalid',
    /an encoded separator/,
  ],
  [
    'a mark that is encoded',
    `/%3F${link().slice(2)}`,
    'credential',
    'token-missing',
    /The path holds what belongs behind the \?/,
  ],
  [
    'a short link',
    '/o/aUsEd4n0nce0nly-_h0meQ',
    'credential',
    'token-missing',
    /^This is a short link of the links API: .* at LINKS_URL[^\n]*$/,
  ],
  [
    'HTML-escaped',
    link().replaceAll('&', '&amp;'),
    'query',
    'query-ambiguous',
    /HTML-escaped: Parameter 2 \(“amp;sessionId”\)/,
  ],
  [
    'given twice',
    `${link()}&userId=x`,
    'query',
    'query-ambiguous',
    /Parameter 5 \(“userId”\) is there twice/,
  ],
  [
    'a look-alike',
    `${link()}&session_id=x`,
    'query',
    'query-ambiguous',
    /Parameter 5 \(“session_id”\) looks to some servers like/,
  ],
  [
    'a semicolon',
    link().replace('agent-7', 'agent;7'),
    'query',
    'query-ambiguous',
    /Parameter 1 \(“userId”\) has a semicolon/,
  ],
  [
    'too many',
    `${link()}${'&a=b'.repeat(300)}`,
    'query',
    'query-ambiguous',
    /more than 256 parameters/,
  ],
  [
    'no token',
    link({ auth: null }),
    'credential',
    'token-missing',
    /has no auth: it is the plain link/,
  ],
  [
    'a token by another name',
    link({ auth: null, jwt: token }),
    'credential',
    'token-missing',
    /but “jwt” looks like a token: its name has to be auth/,
  ],
  ['an empty token', link({ auth: '' }), 'credential', 'token-invalid', /auth is empty/],
  [
    'a placeholder',
    link({ auth: '{{jwt}}' }),
    'credential',
    'token-invalid',
    /a placeholder that .* never filled in/,
  ],
  ['undefined', link({ auth: 'undefined' }), 'credential', 'token-invalid', /a placeholder/],
  [
    'quotes around the token',
    link({ auth: `"${token}"` }),
    'credential',
    'token-invalid',
    /more than the token \(quotes\); the rest verifies/,
  ],
  [
    'Bearer before it',
    link({ auth: `Bearer ${token}` }),
    'credential',
    'token-invalid',
    /\(the word Bearer\); the rest verifies/,
  ],
  [
    'a line break in it',
    link({ auth: `${token.slice(0, 60)}\n${token.slice(60)}` }),
    'credential',
    'token-invalid',
    /\(white space or line breaks\); the rest verifies/,
  ],
  [
    'quotes around another’s',
    link({ auth: `'${jwt(claims, { key: southSecret })}'` }),
    'credential',
    'token-invalid',
    /the rest does not verify either/,
  ],
  ['base64', link({ auth: `${token}=` }), 'credential', 'token-invalid', /a JWT is base64url/],
  ['two parts', link({ auth: bodyOf(token) }), 'credential', 'token-invalid', /two parts of three/],
  [
    'five parts',
    link({ auth: `${token}.a.b` }),
    'credential',
    'token-invalid',
    /encrypted \(JWE\)/,
  ],
  [
    'another algorithm',
    link({ auth: jwt(claims, { header: { alg: 'HS512' } }) }),
    'credential',
    'token-invalid',
    /says alg HS512; HS256 is taken here/,
  ],
  [
    'a signature cut short',
    link({ auth: token.slice(0, -3) }),
    'credential',
    'token-invalid',
    /signature has 40 characters and HS256’s has 43/,
  ],
  [
    'jwt.io’s secret',
    signed({}, 'your-256-bit-secret'),
    'credential',
    'token-invalid',
    /an example secret/,
  ],
  [
    'a newline behind the secret',
    signed({}, `${secret}\n`),
    'credential',
    'token-invalid',
    /white space at its end/,
  ],
  [
    'quotes around the secret',
    signed({}, `"${secret}"`),
    'credential',
    'token-invalid',
    /something around it: quotes/,
  ],
  [
    'the prefix as part of it',
    signed({}, `utf8:${secret}`),
    'credential',
    'token-invalid',
    /the gateway’s utf8: is no part of it/,
  ],
  [
    'nobody’s secret',
    signed({}, southSecret),
    'credential',
    'token-invalid',
    /No secret or key verifies/,
  ],
  [
    'exp as text',
    signed({ exp: '1' }),
    'credential',
    'token-invalid',
    /exp is text: sign a number/,
  ],
  [
    'exp in milliseconds',
    signed({ exp: Date.now() + 3_600_000 }),
    null,
    null,
    /exp counts milliseconds: divide by 1000/,
  ],
  ['ended', signed({ exp: inAnHour() - 14_400 }), 'credential', 'token-expired'],
  [
    'not yet',
    signed({ iat: inAnHour() }),
    'credential',
    'token-not-active',
    /begins (?:1 h|59 min(?: \d+ s)?) from now/,
  ],
  [
    'another user',
    signed({ userId: 'agent-8' }),
    'binding',
    'claim-mismatch',
    /both have 7 characters; they differ from the 7th character on/,
  ],
  [
    'a shorter id',
    signed({ userId: 'agent-71' }),
    'binding',
    'claim-mismatch',
    /has 7 characters, the claim 8 characters; they differ from the 8th/,
  ],
  [
    'upper case',
    signed({ userId: 'Agent-7' }),
    'binding',
    'claim-mismatch',
    /in upper and lower case only/,
  ],
  [
    'white space',
    signed({ sessionId: `${sessionId} ` }),
    'binding',
    'claim-mismatch',
    /the claim has white space around it/,
  ],
  [
    'a plus',
    link({ userId: 'a b', auth: jwt({ ...claims, userId: 'a+b' }) }),
    'binding',
    'claim-mismatch',
    /the link’s userId has a space for \+/,
  ],
  [
    'encoded twice',
    link({ userId: 'a%20b', auth: jwt({ ...claims, userId: 'a b' }) }),
    'binding',
    'claim-mismatch',
    /the link’s userId is percent-encoded once more/,
  ],
  [
    'quotes around an id',
    link({ userId: '"7"', auth: jwt({ ...claims, userId: '7' }) }),
    'binding',
    'claim-mismatch',
    /the link’s userId is in quotes/,
  ],
  [
    'other forms of ü',
    link({ userId: 'u\u0308', auth: jwt({ ...claims, userId: 'ü' }) }),
    'binding',
    'claim-mismatch',
    /NFC or NFD/,
  ],
  [
    'swapped',
    signed({ userId: sessionId, sessionId: userId }),
    'binding',
    'claim-mismatch',
    /userId and sessionId are swapped/,
  ],
  [
    'no URLToken',
    link({ URLToken: null }),
    'binding',
    'claim-mismatch',
    /The link has no URLToken/,
  ],
  ['an empty URLToken', link({ URLToken: '' }), 'binding', 'claim-mismatch', /URLToken is empty/],
  ['an empty id', link({ userId: '' }), 'binding', 'claim-mismatch', /the link’s userId is empty/],
  [
    'no claim',
    signed({ userId: undefined, user_id: userId }),
    'binding',
    'claim-missing',
    /has user_id and no userId/,
  ],
  [
    'a claim that is null',
    signed({ userId: null }),
    'binding',
    'claim-missing',
    /The claim userId is null/,
  ],
  [
    'a claim nobody spells',
    signed({ sessionId: undefined }),
    'binding',
    'claim-missing',
    /has no claim sessionId/,
  ],
]

const strict: readonly Row[] = [
  [
    'no exp',
    signed({ exp: undefined }),
    'credential',
    'token-invalid',
    /no exp, which REQUIRE_EXP asks for/,
  ],
  ['no iat', signed({}), 'credential', 'token-too-old', /has no iat, and TOKEN_MAX_AGE/],
  [
    'old',
    signed({ iat: inAnHour() - 14_400 }),
    'credential',
    'token-too-old',
    /TOKEN_MAX_AGE is 60 min|TOKEN_MAX_AGE is 1 h/,
  ],
  [
    'unknown',
    link({ URLToken: 'nobodys-1', auth: jwt({ ...claims, iat: inAnHour() - 3600 }) }),
    'state',
    'url-token-unknown',
    /none of the one URLToken of default\./,
  ],
  [
    'unknown, nearly',
    link({ URLToken: URLToken.toUpperCase(), auth: jwt({ ...claims, iat: inAnHour() - 3600 }) }),
    'state',
    'url-token-unknown',
    /very like one: they differ in upper and lower case/,
  ],
  ['a static file', '/assets/app.js', null, null],
]

const several: readonly Row[] = [
  [
    'nobody’s URLToken',
    link({ auth: jwt(claims, { key: southSecret }) }),
    'credential',
    'token-invalid',
    /URLToken is no contact center’s.*Secret 1 of south verifies it, but .* the link is not its/s,
  ],
  [
    'text that is no hex, an empty secret',
    signed({}, ''),
    'credential',
    'token-invalid',
    /^[^.]*\.$/,
  ],
  [
    'another’s secret',
    link({ URLToken: 'north-urltoken', auth: jwt(claims, { key: southSecret }) }),
    'credential',
    'token-invalid',
    /Secret 1 of south verifies it, but .* the link is north’s/,
  ],
  [
    'its kid',
    link({
      URLToken: 'north-urltoken',
      auth: jwt(claims, { key: southSecret, header: { alg: 'HS256', kid: 'south' } }),
    }),
    'state',
    'url-token-unknown',
    /The URLToken is north’s, and the token south’s/,
  ],
]

const bytes = Buffer.from(hexSecret, 'hex')
const base64Secret = bytes.toString('base64')
const byBytes = link({ auth: jwt(claims, { key: bytes }) })
const hexAsText: readonly Row[] = [
  [
    'hex, read as text',
    byBytes,
    'credential',
    'token-invalid',
    /verifies if the secret is read as hex\. Secret 1 of default is read otherwise: put hex: before it/,
  ],
]
const base64AsText: readonly Row[] = [
  [
    'base64, read as text',
    byBytes,
    'credential',
    'token-invalid',
    /verifies if the secret is read as base64\./,
  ],
]
const hexAsBytes: readonly Row[] = [
  [
    'hex, signed by as text',
    signed({}, hexSecret),
    'credential',
    'token-invalid',
    /signed by the hex text of secret 1 of default/,
  ],
  [
    'base64, signed by as text',
    signed({}, base64Secret),
    'credential',
    'token-invalid',
    /signed by the base64 text/,
  ],
]

t.test('of every link the same is said as a gateway does', async (t) => {
  const upstream = await startUpstream(t)
  const center = (name: string, key: string) => ({
    name,
    secrets: [Buffer.from(key)],
    urlTokens: [`${name}-urltoken`],
  })
  const rows: readonly (readonly [Promise<Stage>, readonly Row[]])[] = [
    [startGateway(t, upstream.origin), plain],
    [
      startGateway(t, upstream.origin, {
        REQUIRE_EXP: 'true',
        TOKEN_MAX_AGE: '1h',
        URL_TOKENS: URLToken,
        PUBLIC_PATHS: '/assets/*',
      }),
      strict,
    ],
    [
      startGateway(
        t,
        upstream.origin,
        {},
        { configure: contactCenters(center('north', secret), center('south', southSecret)) },
      ),
      several,
    ],
    [startGateway(t, upstream.origin, { JWT_SECRET: hexSecret }), hexAsText],
    [startGateway(t, upstream.origin, { JWT_SECRET: base64Secret }), base64AsText],
    [startGateway(t, upstream.origin, { JWT_SECRET: `hex:${hexSecret}` }), hexAsBytes],
    [startGateway(t, upstream.origin, { ENFORCEMENT: 'report' }), plain],
  ]
  for (const [starting, links] of rows) {
    const gateway = await starting
    for (const [name, target, step, reason, hint = /^/] of links)
      await agrees(t, gateway, name, target, step, reason, hint)
  }
})

async function agrees(
  t: Test,
  gateway: Stage,
  name: string,
  target: string,
  step: string | null,
  reason: string | null,
  hint: RegExp,
): Promise<void> {
  const url = new URL(gateway.origin + target)
  const explained = said(gateway.origin + target, gateway.known())
  const [where, how] = trouble(explained)
  t.equal(where, step, name)
  t.match(how, hint, name)
  t.notMatch(JSON.stringify(explained), 'aUsEd4n0', 'a short link lets its reader in')
  t.equal(explained.reason, reason, name)
  const count = gateway.lines.filter(({ event }) => event === 'access').length
  const answer = await ask(gateway.origin, url.pathname + url.search)
  const line = (await gateway.audited(count + 1)).at(-1)
  t.equal(line?.['reason'] ?? null, explained.reason, `${name}: as the gateway says`)
  const verdict =
    line?.['decision'] === 'deny' ? 'refused' : reason === null ? 'let in' : 'let in and reported'
  t.equal(explained.verdict, verdict, name)
  t.equal(explained.status ?? 200, answer.status, name)
  t.equal(explained.contactCenter ?? undefined, line?.['contactCenter'], name)
}

t.test('whatever the link, the verdict is that of the decision', async (t) => {
  const now = Date.now()
  const gates = {
    enforcing: await createGate(),
    reporting: await createGate([secret], { enforcement: 'report' }),
    revoking: await createGate([secret], {
      enforcement: 'report',
      isRevoked: ({ userId }) => userId !== '',
    }),
    several: await createGateOf([
      { name: 'north', urlTokens: [URLToken], oneTimeTokens: true, enforcement: 'report' },
      { name: 'south', secrets: [Buffer.from(southSecret)], urlTokens: ['f38791af'] },
    ]),
  }
  const names = fc.constantFrom('enforcing', 'reporting', 'revoking', 'several')
  const edges = [...plain, ...strict, ...several].map(([, target]) => target)
  const targets = fc.oneof(
    (await requests()).map(({ target }) => target),
    fc.constantFrom(...edges),
  )
  const verdicts = new Map<string, number>()
  fc.assert(
    fc.property(targets, names, (target, name) => {
      const gate = gates[name]
      // Spaces at the end, of whatever kind, are left out of what was pasted.
      const text = `https://gateway.example/${target.replace(/^\//, '')}`.trim()
      const url = URL.parse(text)
      fc.pre(url !== null)
      const request = { method: 'GET', target: url.pathname + url.search, hosts: [url.host] }
      const from = { origin: undefined, fetchSite: 'cross-site', fetchMode: 'navigate' }
      const bare = { authorizations: [], cookie: '', upgrade: false, own: [url.origin] }
      const decision = decide({ ...request, ...from, ...bare }, gate, now)
      const known = { gate, publicOrigins: null, by: 'gateway' } as const
      const { verdict, reason, steps, contactCenter } = said(text, known, { now })
      const expected = decision.allow ? decision.reported : decision.reason
      const failed = steps.filter(({ outcome }) => outcome === 'failed')
      if (reason !== expected) throw new Error(`${reason} is not ${expected}`)
      if ((verdict === 'refused') === decision.allow) throw new Error(verdict)
      if (failed.length !== (decision.allow ? 0 : 1)) throw new Error('one check fails')
      if (contactCenter !== decision.subject.contactCenter) throw new Error('another’s')
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
    }),
    { numRuns: 800 },
  )
  for (const verdict of ['let in', 'let in and reported', 'refused']) {
    t.ok((verdicts.get(verdict) ?? 0) > 20, `${verdict}: ${verdicts.get(verdict)}`)
  }
})

t.test('values are masked, and signatures never shown', async (t) => {
  const gate = await createGate()
  const known = { gate, publicOrigins: null, by: 'settings' } as const
  const texts = [link(), ...[...plain, ...several].map(([, target]) => target)]
  for (const target of texts) {
    const explained = said(`https://gateway.example${target}`, known)
    const written = json(explained) + present(explained, (_, text) => text)
    for (const value of [userId, 'agent-8', sessionId, URLToken, 'north-urltoken', 'eyJ', secret]) {
      t.notOk(written.includes(value), `${target}: ${value}`)
    }
    const shown = json(said(`https://gateway.example${target}`, known, { show: true }))
    for (const part of new URL(target, 'https://a').searchParams.get('auth')?.split('.') ?? []) {
      t.notOk(part.length > 20 && shown.includes(part), `${target}: a part of the token`)
    }
  }
  const shown = present(said(link({}, '/'), known, { show: true }), (_, text) => text)
  for (const value of [
    `“${userId}”`,
    `“${sessionId}”`,
    `“${URLToken}”`,
    '{"alg":"HS256","typ":"JWT"}',
  ]) {
    t.ok(shown.includes(value), value)
  }
})

t.test('what is to be done is said where nobody reads a log', async (t) => {
  const known = { gate: await createGate(), publicOrigins: null, by: 'settings' } as const
  t.match(said('/', known).remedy, /sign the link.*docs\/signing\.md.*links API/)
  for (const { remedy } of Object.values(advice)) {
    t.notMatch(remedy, /see `hint`|^The `hint`|^Look at `page`|^`error` tells/)
  }
})

t.test('spans are rounded to what is written', (t) => {
  const minute = 60_000
  for (const [ms, text] of [
    [59_400, '59 s'],
    [59_900, '1 min'],
    [90_000, '1 min 30 s'],
    [60 * minute - 300, '1 h'],
    [8 * 60 * minute - 10_000, '8 h'],
    [7.5 * 60 * minute, '7 h 30 min'],
    [3 * 24 * 60 * minute, '3 days'],
  ] as const) {
    t.equal(span(ms), text)
  }
  t.end()
})

t.test('how a link is written', async (t) => {
  const gate = await createGate()
  const publicOrigins = ['https://gateway.example']
  const known = { gate, publicOrigins, by: 'settings' } as const
  const good = `https://gateway.example${link()}`
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ['as it is', good, /^$/],
    ['with white space around it', ` ${good}\n`, /^$/],
    ['in quotes', `"${good}"`, /Quotes around the link were left out/],
    ['in angle brackets', `<${good}>`, /Quotes around the link were left out/],
    ['over several lines', good.replace('&auth', '\n&auth'), /line breaks or tabs/],
    ['its target alone', link(), /^$/],
    ['elsewhere', `http://localhost:8080${link()}`, /does not begin with PUBLIC_URL/],
  ]
  for (const [name, text, note] of rows) {
    const explained = said(text, known)
    t.equal(explained.verdict, 'let in', name)
    t.match(explained.steps[0]?.hints.join('\n'), note, name)
  }
  const fragment = said(`https://gateway.example/#${link()}`, known)
  t.match(trouble(fragment), ['credential', /behind the # stays in the browser/])
  const encoded = said(`https://gateway.example/?${encodeURIComponent(link().slice(2))}`, known)
  t.match(trouble(encoded), ['credential', /auth is in the link, but percent-encoded as a whole/])
  for (const explained of [fragment, encoded]) t.notMatch(trouble(explained)[1], 'the plain link')
  const elsewhere = said(`http://gateway.example${link()}`, known)
  t.equal(elsewhere.elsewhere, true)
  t.match(
    present(elsewhere, (_, text) => text),
    /^This link would be let in, but is not of PUBLIC_URL: /,
  )
  t.equal(said(good, known).elsewhere, false)
  for (const text of ['', '  ', 'gateway.example/?auth=secret', 'javascript:auth', 'https://']) {
    const explained = explain(text, known, { page: '', show: true, now: 0 })
    t.match(explained, { field: 'link', problem: /^(?:is empty|must begin with)/ }, text)
  }
})

t.test('what follows', async (t) => {
  const now = Date.now()
  const gateOf = (changes: object) => createGate([secret], changes)
  const jwksUrl = new URL('https://keys.example/jwks')
  const rows: readonly (readonly [string, object, string, string, RegExp])[] = [
    [
      'a session',
      {},
      link(),
      '',
      /opens a session until [\d-]+ [\d:]+ UTC, in (?:1 h|59 min(?: \d+ s)?), in the cookie __Host-copilot-\S{16}\..*goes upstream with auth as it came/s,
    ],
    ['no auth', { forwardAuth: false }, link(), '', /goes upstream without auth/],
    [
      'another auth',
      { forwardAuth: 'resign' },
      link(),
      '',
      /with a fresh auth, signed by the gateway/,
    ],
    [
      'the gateway’s own page',
      {},
      link({}, '/.copilot-gateway/renew'),
      '',
      /The gateway answers by itself/,
    ],
    [
      'one time',
      { oneTimeTokens: true },
      link(),
      '',
      /opens one session only; whether it has, only the gateway knows/,
    ],
    [
      'an allowed page',
      {},
      link(),
      'https://cc.example/desk?x',
      /frame it: https:\/\/cc\.example\..*https:\/\/cc\.example may frame it/s,
    ],
    [
      'another page',
      {},
      link(),
      'https://else.example',
      /https:\/\/else\.example may not frame it: FRAME_ANCESTORS/,
    ],
    [
      'nobody’s, an allowed page',
      {},
      '/',
      'https://cc.example',
      /No contact center is proven.*https:\/\/cc\.example may frame it/s,
    ],
    [
      'reported',
      { enforcement: 'report' },
      '/',
      '',
      /let through as it is and reported: no session/,
    ],
    ['refused', {}, '/', '', /answered 401, and not told why/],
    [
      'keys that are published',
      { jwksUrl },
      link(),
      '',
      /public keys of default are published, and were not fetched/,
    ],
  ]
  for (const [name, changes, target, page, expected] of rows) {
    const known = { gate: await gateOf(changes), publicOrigins: null, by: 'settings' } as const
    const explained = said(`https://gateway.example${target}`, known, { page, now })
    t.match(
      [
        ...explained.steps.flatMap(({ facts }) => facts),
        ...explained.next,
        ...explained.unknown,
      ].join('\n'),
      expected,
      name,
    )
  }
  const known = { gate: await createGate(), publicOrigins: null, by: 'settings' } as const
  t.match(explain('/', known, { page: 'desk', show: false, now }), { field: 'page' })
})
