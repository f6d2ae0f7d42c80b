import { createHmac } from 'node:crypto'
import t from 'tap'
import { groups } from '../../src/doctor/checks.ts'
import { broken } from '../../src/doctor/credentials.ts'
import { ids, inAnHour, jwt, startGateway } from '../stage.ts'
import {
  type Answered,
  type Asked,
  apiToken,
  examined,
  type Fault,
  found,
  type Header,
  linkWith,
  serverConfig,
  startFront,
  startWorkspace,
} from './clinic.ts'

type Finds = Readonly<Record<string, 'fail' | 'warn'>>
type AskedWhen = (asked: Asked) => boolean
type When = (asked: Asked, answered: Answered) => boolean

const good = jwt({ ...ids, exp: inAnHour() })

const headerOf = ({ headers }: Pick<Asked, 'headers'>, name: string): string =>
  headers.find(([one]) => one.toLowerCase() === name)?.[1] ?? ''
const without = ({ headers }: Pick<Asked, 'headers'>, names: readonly string[]): Header[] =>
  headers.filter(([name]) => !names.includes(name.toLowerCase()))

/** What takes headers away on the way in. */
const dropped = (names: readonly string[], when: AskedWhen = () => true): Fault => ({
  ask: (asked) => (when(asked) ? { ...asked, headers: without(asked, names) } : asked),
})
/** What takes one target for another. */
const retargeted = (from: string | RegExp, to: string): Fault => ({
  ask: (asked) => ({ ...asked, target: asked.target.replace(from, to) }),
})
/** What changes a header on the way out; null takes it away. */
const header = (name: string, value: string | null, when: When = () => true): Fault => ({
  answer: (answered, asked) => {
    if (!when(asked, answered)) return answered
    const headers = without(answered, [name])
    return { ...answered, headers: value === null ? headers : [...headers, [name, value]] }
  },
})
const body = (when: When, change: (body: string, asked: Asked) => string): Fault => ({
  answer: (answered, asked) =>
    when(asked, answered) ? { ...answered, body: change(answered.body, asked) } : answered,
})
/** What lets in a request that the gateway would refuse. */
const open = (when: AskedWhen): Fault => ({
  instead: (asked) =>
    when(asked)
      ? { status: 200, headers: secured, body: '<!doctype html><title>Copilot</title>' }
      : null,
})
const secured: readonly Header[] = [
  ['x-request-id', 'f6b7'],
  ['content-type', 'text/html'],
  ['cache-control', 'no-store'],
  ['content-security-policy', "default-src 'none'; frame-ancestors https://cc.example"],
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'same-origin'],
  ['www-authenticate', 'Bearer'],
]
/** What changes the session cookie. */
const cookie = (from: string | RegExp, to: string, name = '__Host-'): Fault => ({
  answer: (answered) => ({
    ...answered,
    headers: answered.headers.map(([one, value]) =>
      one.toLowerCase() === 'set-cookie' && value.startsWith(name)
        ? [one, value.replace(from, to)]
        : [one, value],
    ),
  }),
})

const authOf = ({ target }: Asked): string => /[?&#]auth=([^&#]*)/.exec(target)?.[1] ?? ''
const partOf = (asked: Asked, part: number): string =>
  Buffer.from(String(authOf(asked).split('.')[part]), 'base64url').toString()
const signedBy = (asked: Asked, key: string): boolean => {
  const [head, claims, signature] = authOf(asked).split('.')
  return createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url') === signature
}
const bare: AskedWhen = ({ target, method, upgrade }) =>
  target === '/' && method === 'GET' && !upgrade
const preflight: AskedWhen = ({ method }) => method === 'OPTIONS'
const forConfig: AskedWhen = (asked) =>
  asked.target.startsWith('/config.js') && headerOf(asked, 'cookie') !== ''
const config: When = (asked, { status }) => forConfig(asked) && status === 200
const refusedPage: When = (_, answered) =>
  answered.status === 401 && headerOf(answered, 'content-type').startsWith('text/html')
const refusedUpgrade: When = ({ upgrade }, { status }) => upgrade && status !== 101
const answered =
  (...codes: readonly number[]): When =>
  (_, { status }) =>
    codes.includes(status)

const csp = 'content-security-policy'
const cookieFault = { 'cookie-attributes': 'fail' } as const
const framing = { 'frame-ancestors': 'fail' } as const

/** Each fault, and every check that sees it: all others pass. */
const rows: readonly (readonly [name: string, fault: Fault, finds: Finds])[] = [
  ['none', {}, {}],

  ['everyone gets in', open(bare), { 'no-token': 'fail' }],
  [
    'a 401 without a challenge',
    header('www-authenticate', null, bare),
    { challenge: 'fail', 'equal-refusals': 'fail' },
  ],
  [
    'a 401 of another type',
    header('content-type', 'application/json', bare),
    { 'no-token': 'fail' },
  ],
  [
    'a 401 of somebody else',
    body(bare, () => '{}'),
    { 'no-token': 'fail', 'equal-refusals': 'fail' },
  ],
  ['any token gets in', open((asked) => authOf(asked) === broken), { 'broken-token': 'fail' }],
  [
    'a refusal page that is shown as text',
    header('content-type', 'text/plain', refusedPage),
    { 'broken-token': 'fail' },
  ],
  [
    'a refusal page that may load anything',
    header(csp, "frame-ancestors 'none'", refusedPage),
    { 'broken-token': 'fail' },
  ],
  ['alg none', open((asked) => partOf(asked, 0).includes('none')), { 'unsigned-token': 'fail' }],
  [
    'the secret of a tutorial',
    open((asked) => signedBy(asked, 'a-string-secret-at-least-256-bits-long')),
    { 'example-secret': 'fail' },
  ],
  ['a preflight that is answered', open(preflight), { preflight: 'fail' }],
  [
    'a public config.js',
    open((asked) => asked.target === '/config.js' && !forConfig(asked)),
    { 'config-closed': 'fail' },
  ],
  [
    'a backend beside the gateway',
    open(({ target }) => target.endsWith('transport=polling')),
    { 'backend-closed': 'fail' },
  ],

  [
    'signatures are not verified',
    open((asked) => authOf(asked) !== good && authOf(asked).startsWith(good.slice(0, -43))),
    { 'tampered-token': 'fail' },
  ],
  ['any user', retargeted(/(userId=agent-7)\.[^&]*/, '$1'), { 'other-user': 'fail' }],
  ['any session', retargeted(/(sessionId=session-1)\.[^&]*/, '$1'), { 'other-session': 'fail' }],
  ['any URLToken', retargeted(/(URLToken=f38791ae)\.[^&]*/, '$1'), { 'other-url-token': 'fail' }],

  ['brackets', retargeted(/&userId\[\]=[^&]*/, ''), { 'bracketed-name': 'fail' }],
  ['case', retargeted(/&UserId=[^&]*/, ''), { 'other-case': 'fail' }],
  ['encoding', retargeted(/&%75serId=[^&]*/, ''), { 'encoded-name': 'fail' }],
  ['duplicates', retargeted(/&userId=[^&]*victim/, ''), { 'repeated-name': 'fail' }],
  ['semicolons', retargeted(/;userId=[^&]*/, ''), { semicolon: 'fail' }],
  ['fragments', retargeted(/^\/#(.*)&x=.*/, '/?$1'), { fragment: 'fail' }],
  ['dots', retargeted('/./', '/'), { 'dot-segment': 'fail' }],
  [
    'one of two hosts',
    {
      ask: (asked) => ({
        ...asked,
        headers: asked.headers.filter(([, value]) => value !== 'doctor.invalid'),
      }),
    },
    { 'two-hosts': 'fail' },
  ],
  [
    'two hosts, refused in front',
    {
      instead: ({ headers }) =>
        headers.some(([, value]) => value === 'doctor.invalid')
          ? { status: 400, headers: [['server', 'nginx/1.22.1']], body: '<h1>400</h1>' }
          : null,
    },
    {},
  ],
  [
    'two hosts, refused by whoever is behind',
    body(
      (asked) => asked.headers.some(([, value]) => value === 'doctor.invalid'),
      () => 'bad request',
    ),
    { 'two-hosts': 'fail', 'equal-refusals': 'fail' },
  ],
  [
    'a look-alike that asks somebody else for a password',
    {
      instead: ({ target }) =>
        target.includes('%75serId')
          ? { status: 401, headers: secured.slice(2), body: 'log in' }
          : null,
    },
    { 'encoded-name': 'fail', 'request-id': 'fail' },
  ],
  ['one of two tokens', dropped(['authorization']), { 'two-tokens': 'fail' }],

  ['a cookie in the clear', cookie('; Secure', ''), cookieFault],
  ['a cookie for scripts', cookie('; HttpOnly', ''), cookieFault],
  ['a cookie for one site', cookie('SameSite=None', 'SameSite=Lax'), cookieFault],
  ['a cookie for all frames', cookie('; Partitioned', ''), cookieFault],
  ['a cookie without a path', cookie('; Path=/', ''), cookieFault],
  ['a cookie for a whole domain', cookie(/$/, '; Domain=127.0.0.1'), cookieFault],
  ['a cookie without its prefix', cookie('__Host-', ''), cookieFault],
  ['a cookie of the workspace’s', cookie('; Partitioned', '', 'theme='), cookieFault],
  ['a short cookie', cookie(/Max-Age=\d+/, 'Max-Age=1799'), { 'session-length': 'warn' }],
  ['a cookie without an age', cookie(/; Max-Age=\d+/, ''), { 'session-length': 'warn' }],
  [
    'a cache for config.js',
    open(forConfig),
    { 'tampered-cookie': 'fail', 'cookie-of-another-session': 'fail', 'cross-site-cookie': 'fail' },
  ],
  [
    'one key for tokens and sessions',
    open((asked) => partOf(asked, 1).includes('"u":')),
    { 'cookie-as-token': 'fail' },
  ],
  [
    'queries cut from scripts',
    retargeted(/(config\.js).*/, '$1'),
    { 'cookie-of-another-session': 'fail' },
  ],
  [
    'no Fetch Metadata',
    dropped(['sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest']),
    { 'cross-site-cookie': 'fail' },
  ],

  [
    'sockets beside the gateway',
    { instead: ({ upgrade }) => (upgrade ? { status: 101, headers: [], body: '' } : null) },
    { 'socket-without-credential': 'fail', 'socket-of-a-foreign-page': 'fail' },
  ],
  [
    'no Origin',
    dropped(['origin'], ({ upgrade }) => upgrade),
    {
      'socket-of-a-foreign-page': 'fail',
      'socket-of-the-own-page': 'fail',
    },
  ],
  [
    'no sockets',
    open((asked) => asked.upgrade && headerOf(asked, 'cookie') !== ''),
    { 'socket-of-the-own-page': 'warn' },
  ],

  [
    'a body with the reason',
    body(answered(403), (text) => text.replace('{', '{"detail":"claim-mismatch",')),
    { 'silent-refusals': 'fail' },
  ],
  [
    'a challenge with the reason',
    header('www-authenticate', 'Bearer realm="copilot", error_description="?"', answered(401)),
    { 'silent-refusals': 'fail' },
  ],
  [
    'a stack',
    body(answered(400), (text) => text.replace('{', '{"stack":"at /srv/app.js:1:2",')),
    { 'silent-refusals': 'fail' },
  ],
  [
    'an address inside',
    header('x-served-by', '10.0.3.17:8080', answered(401)),
    { 'silent-refusals': 'fail' },
  ],
  ['refusals of two makes', body(preflight, (text) => `${text}\n`), { 'equal-refusals': 'fail' }],
  [
    'a link that goes with the answer',
    {
      answer: (one, asked) =>
        header('link', asked.target, answered(200)).answer?.(one, asked) ?? one,
    },
    { 'credentials-repeated': 'fail' },
  ],
  [
    'a cookie that is told',
    body(config, (text, asked) => `${text}// ${headerOf(asked, 'cookie')}`),
    { 'credentials-repeated': 'fail' },
  ],
  [
    'the API token',
    body(config, (_, asked) => serverConfig(apiToken, `http://${headerOf(asked, 'host')}`)),
    { 'config-js': 'fail' },
  ],
  [
    'the backend’s address',
    body(config, () => `x = { agentAssistAPIUrl: 'https:\\/\\/api.example/', a: '${apiToken}' }`),
    { 'config-js': 'fail' },
  ],
  [
    'an address that is none',
    body(config, () => 'x = { agentAssistAPIUrl: "https://[" }'),
    { 'config-js': 'fail' },
  ],
  [
    'no address, and the gateway’s own word for the token',
    body(config, () => "x = { 'accessTokenSecret': `copilot-gateway` }"),
    {},
  ],
  ['no server configuration', body(config, () => 'x = 1'), {}],
  [
    'no cookie for scripts',
    dropped(['cookie'], forConfig),
    { 'config-js': 'fail', 'cookie-of-another-session': 'fail', 'cross-site-cookie': 'fail' },
  ],

  ['no frame-ancestors', header(csp, 'script-src *', answered(200)), framing],
  ['no policy', header(csp, null, preflight), framing],
  [
    'two',
    header(csp, "frame-ancestors 'self', frame-ancestors https://a.example"),
    {
      ...framing,
      'broken-token': 'fail',
    },
  ],
  ['anyone', header(csp, 'frame-ancestors https://a.example *', answered(403)), framing],
  ['any of a scheme', header(csp, 'Frame-Ancestors HTTPS:', answered(403)), framing],
  ['any host', header(csp, 'frame-ancestors https://*', answered(403)), framing],
  ['nobody', header(csp, 'frame-ancestors', answered(200)), { 'frame-ancestors': 'warn' }],
  [
    'X-Frame-Options',
    header('x-frame-options', 'DENY', refusedUpgrade),
    { 'x-frame-options': 'fail' },
  ],
  ['sniffing', header('x-content-type-options', null, answered(403)), { nosniff: 'fail' }],
  [
    'any referrer',
    header('referrer-policy', 'unsafe-url', answered(400)),
    {
      'referrer-policy': 'fail',
    },
  ],
  [
    'no referrer policy',
    header('referrer-policy', null, refusedPage),
    { 'referrer-policy': 'fail' },
  ],
  ['no request id', header('x-request-id', null, answered(200)), { 'request-id': 'fail' }],
  ['a name', header('server', 'cdn', answered(400)), { 'product-names': 'warn' }],
  ['a version', header('server', 'nginx/1.25.3', answered(200)), { 'product-names': 'fail' }],
  ['a framework', header('x-powered-by', 'Express', answered(401)), { 'product-names': 'fail' }],
  [
    'a name, then a version',
    {
      answer: (one, asked) =>
        header('server', one.status === 401 ? 'cdn' : 'cdn/2').answer?.(one, asked) ?? one,
    },
    { 'product-names': 'fail' },
  ],
  [
    'a challenge for a password',
    header('www-authenticate', 'Basic', refusedPage),
    { challenge: 'fail' },
  ],
  ['CORS', header('access-control-allow-origin', '*', answered(200)), { cors: 'fail' }],
  ['kept refusals', header('cache-control', 'max-age=5', answered(401)), { 'no-store': 'fail' }],
  ['kept documents', header('cache-control', null, answered(200)), { 'no-store': 'fail' }],
  ['shared scripts', header('cache-control', 'max-age=9, public', config), { 'no-store': 'fail' }],
]

const upstream = await startWorkspace(t)
const gateway = await startGateway(t, upstream.origin)

for (const [name, fault, finds] of rows) {
  t.test(name, async (t) => {
    const base = await startFront(t, gateway.port, fault)
    t.same(found(await examined(base, { link: linkWith(base, good) })), finds)
  })
}

t.test('every other check is seen to fail in the tests beside this one', async (t) => {
  const seen = new Set(rows.flatMap(([, , finds]) => Object.keys(finds)))
  const others = groups
    .flatMap(([, checks]) => checks.map(({ id }) => id))
    .filter((id) => !seen.has(id))
  t.same(others, [
    // manners.test.ts
    'reachable',
    'https-only',
    'public-address',
    // tls.test.ts
    'certificate',
    'certificate-end',
    'old-tls',
    'forward-secrecy',
    'plain-http',
    'http2',
    // deployments.test.ts
    'link-opens',
    'token-ends',
    'token-binds-url-token',
    'ended-token',
    'forwarding-headers',
    // tls.test.ts
    'hsts',
  ])
})
