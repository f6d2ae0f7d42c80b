import t, { type Test } from 'tap'
import {
  answersIn,
  exchange,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  secret,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const { host } = new URL(gateway.origin)
const cookie = await openSession(gateway)
upstream.seen.length = 0
const good = link()
const bare = link({ auth: null })
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }

interface Row {
  readonly target?: string
  readonly method?: string
  readonly headers?: readonly string[]
  readonly hosts?: readonly string[]
}
type Rows = readonly (readonly [name: string, row: Row])[]

/** For a test's name: a link without its parameters. */
function short(target: string): string {
  return JSON.stringify(target.replace(good.slice(2), '…').replace(bare.slice(2), '…')).slice(0, 60)
}

/** Each row has to be refused, and to leave no trace at the upstream. */
async function refused(t: Test, status: number, reason: string | null, rows: Rows) {
  for (const [name, { target = good, method = 'GET', headers = [], hosts = [host] }] of rows) {
    const lines = [...hosts.map((one) => `Host: ${one}`), ...headers, 'Connection: close']
    const sent = `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
    const [answer] = answersIn(await exchange(gateway.port, sent))
    const line = (await gateway.audited(1)).at(-1)
    t.equal(answer?.status, status, `${name}: status`)
    if (reason !== null) t.equal(line?.['reason'], reason, `${name}: reason`)
    t.equal(line?.['requestId'], answer?.headers['x-request-id'], `${name}: audited`)
    t.strictSame(upstream.seen.splice(0), [], `${name}: nothing goes on`)
  }
}

t.test('a target that two parsers could read differently', async (t) => {
  const at = (path: string): string => good.replace('/', path)
  const targets = [
    `/#${bare.slice(1)}&auth=${jwt()}&x=?userId=VICTIM`,
    `/#x${good.slice(1)}`,
    `${good}#`,
    `${good}#&userId=VICTIM`,
    at('//'),
    at('//evil.example/'),
    at('/\\'),
    at('/\\evil.example/'),
    at('/a\\b'),
    `${good}&x=\\`,
    at('/.'),
    at('/./'),
    at('/./a'),
    at('/..'),
    at('/../'),
    at('/../a'),
    at('/a/..'),
    at('/a/.'),
    at('/a/./b'),
    at('/a/../b'),
    at('/socket.io/../a'),
    at('/a/..//'),
    at('/%2e'),
    at('/%2e%2e/'),
    at('/%2E%2E/a'),
    at('/.%2e/a'),
    at('/a%2eb'),
    at('/a%2fb'),
    at('/%2F'),
    at('/a%5cb'),
    at('/%5C'),
    at('/%252e%252e/'),
    at('/%252fa'),
    at('/%255c'),
    at('/%2541'),
    at('/%25%32%65'),
    at('/%25252e'),
    at('/%00'),
    at('/a%0d%0aX:1'),
    at('/%0A'),
    at('/%09'),
    at('/%1f'),
    at('/%7f'),
    at('/%c2%80'),
    at('/%C2%85'),
    at('/%c2%9f'),
    at('/%'),
    at('/%2'),
    at('/%zz'),
    at('/%u0041'),
    at('/%ff'),
    at('/%80'),
    at('/%c0%af'),
    at('/%c3'),
    at('/%c3%28'),
    at('/%ed%a0%80'),
    at('/%f8%88%80%80%80'),
    at('/%e0%80%af'),
    `${good}&x=%`,
    `${good}&x=%2`,
    `${good}&x=%zz`,
    `${good}&x=%ff`,
    `${good}&x=%c0%80`,
    `${good}&%ff=x`,
    `http://${host}${good}`,
    `HTTP://${host}${good}`,
    `https://${host}${good}`,
    `http://evil.example${good}`,
    `ws://${host}${good}`,
    `file:///etc/passwd`,
    `*`,
  ]
  const rows = targets.map((target) => [short(target), { target }] as const)
  await refused(t, 400, 'target-invalid', rows)
  const asterisk = { method: 'OPTIONS', target: '*' }
  await refused(t, 400, 'target-invalid', [['OPTIONS *', asterisk]])
  // Node reads none of these as a target.
  const unread = [
    '',
    'x',
    '?x',
    '\\\\',
    ':80',
    'javascript:alert()',
    '/ x',
    '/\\tx',
    '/\\x7f',
    '/\\0',
    '/\\u00fc',
  ]
  await refused(
    t,
    400,
    null,
    unread.map((target) => [short(target), { target }] as const),
  )
})

t.test('a request that is for more than one host, or for none', async (t) => {
  const lists: readonly (readonly string[])[] = [
    [],
    [''],
    [host, host],
    [host, 'evil.example'],
    ['evil.example', host],
    [host, ''],
    [`${host},evil.example`],
    [`${host}, ${host}`],
    [`${host} evil.example`],
    [`user@${host}`],
    [`${host}/`],
    [`${host}/path`],
    [`${host}?x`],
    [`${host}#x`],
    [`http://${host}`],
    [`${host}\\`],
    ['evil.example:80:80'],
    ['evil.example:port'],
    ['evil.example:'],
    ['[::1'],
    ['"evil"'],
    ["evil.example'"],
    ['evil%2eexample'],
    ['ev\u00efl.example'],
  ]
  const rows = lists.map((hosts) => [`Host: ${JSON.stringify(hosts)}`, { hosts }] as const)
  await refused(t, 400, 'target-invalid', rows)
})

t.test('a query that two parsers could read differently', async (t) => {
  const added = [
    'userId=VICTIM',
    'userId=agent-7',
    'userId',
    'userId=',
    'sessionId=x',
    'URLToken=x',
    'auth=x',
    'auth=',
    'copilotSession=x&copilotSession=x',
    'userId[]=VICTIM',
    'userId[0]=VICTIM',
    'userId[a][b]=VICTIM',
    'userId%5B%5D=VICTIM',
    'userId%5b0=VICTIM',
    'UserId=VICTIM',
    'userid=VICTIM',
    'USERID=VICTIM',
    'user.Id=VICTIM',
    'user_Id=VICTIM',
    'user-id=VICTIM',
    'user%20Id=VICTIM',
    'user+Id=VICTIM',
    '+userId=VICTIM',
    '%20userId=VICTIM',
    'userId+=VICTIM',
    'userId%20=VICTIM',
    'userId%09=VICTIM',
    'userId%0a=VICTIM',
    '%0auserId=VICTIM',
    'userId%00=VICTIM',
    '%75serId=VICTIM',
    '%75serId%00=VICTIM',
    'user%49d=VICTIM',
    '%75%73%65%72%49%64=VICTIM',
    '%EF%BD%95serId=VICTIM',
    '%F0%9D%90%AEserId=VICTIM',
    'u%C5%BFerId=VICTIM',
    'user%E2%80%8BId=VICTIM',
    'user%C2%ADId=VICTIM',
    '%EF%BB%BFuserId=VICTIM',
    '$userId=VICTIM',
    'userId!=VICTIM',
    'userId:=VICTIM',
    "'userId'=VICTIM",
    '%22userId%22=VICTIM',
    '(userId)=VICTIM',
    '?userId=VICTIM',
    '/userId=VICTIM',
    'SessionId=x',
    'session_id=x',
    'sessionId[]=x',
    'sessionid%00=x',
    'urltoken=x',
    'URL_TOKEN=x',
    'URLToken[]=x',
    'urlToken=x',
    'Auth=x',
    'AUTH=x',
    'auth[]=x',
    'auth%00=x',
    'a.u.t.h=x',
    '%61uth=x',
    'CopilotSession=x',
    'copilot_session=x',
    'copilotsession=x',
    'copilotSession[]=x',
    ';userId=VICTIM',
    'x;userId=VICTIM',
    'x=1;userId=VICTIM',
    'x=1;y=2;userId=VICTIM',
    'x=1;UserId=VICTIM',
    'x=1;userId[]=VICTIM',
    'x;auth=x',
    'x=1;%75serId=VICTIM',
    'userIds;userId',
  ]
  const rows = added.flatMap((one) => [
    [`…&${one}`, { target: `${good}&${one}` }] as const,
    [`?${one}&…`, { target: `/?${one}&${good.slice(2)}` }] as const,
  ])
  await refused(t, 400, 'query-ambiguous', rows)
  await refused(t, 400, 'query-ambiguous', [
    ['257 parameters', { target: `${good}${'&x'.repeat(253)}` }],
    ['257 parameters by semicolons', { target: `${good}&x${';x'.repeat(252)}` }],
    ['one name twice without values', { target: '/?auth&auth' }],
    ['a look-alike on a path without a token', { target: '/config.js?UserId=x' }],
    ['a look-alike beside a cookie', { target: '/?userid=x', headers: [`Cookie: ${cookie}`] }],
  ])
})

t.test('a name of ours that ends at a semicolon for some', async (t) => {
  const target = good.replace('userId=agent-7', 'userId=agent-7;x=1')
  const [answer] = answersIn(
    await exchange(
      gateway.port,
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    ),
  )
  t.ok(answer && [400, 403].includes(answer.status))
  t.strictSame(upstream.seen.splice(0), [])
})

t.test('no credential at all', async (t) => {
  const paths = ['/', '/index.html', '/config.js', '/assets/a.js', '/favicon.ico', '/manifest.json']
  const more = ['/socket.io/?EIO=4&transport=polling', '/robots.txt', '/healthz', '/.well-known/x']
  const gets = [...paths, ...more, bare].map((target) => [short(target), { target }] as const)
  const methods = ['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']
  const others = methods.map((method) => [method, { method, target: '/' }] as const)
  const preflight = ['Origin: https://cc.example', 'Access-Control-Request-Method: POST']
  const lines: readonly string[][] = [
    preflight,
    ['Authorization: Basic dTpw'],
    ['Authorization: Bearer abc'],
    ['Authorization: Bearer'],
    ['Authorization: bearer a.b'],
    [`Authorization: Token ${jwt()}`],
    ['Cookie: other=1'],
    ['Cookie: __Host-copilot-=x'],
    [`Cookie: __Host-copilot-0123456789abcdef=${jwt()}`],
    [`Cookie: ${cookie.slice(0, -6)}AAAAAA`],
    [`Cookie: auth=${jwt()}`],
    [`Cookie: x${cookie}`],
    [`Referer: http://${host}${good}`],
    [`X-Original-URL: ${good}`],
    [`X-Rewrite-URL: ${good}`],
    ['X-Forwarded-For: 127.0.0.1'],
    ['X-HTTP-Method-Override: OPTIONS'],
  ]
  const headers = lines.map(
    (headers) => [short(headers.join()), { headers, target: bare }] as const,
  )
  await refused(t, 401, 'token-missing', [...gets, ...others, ...headers])
  await refused(t, 401, null, [['an empty auth', { target: link({ auth: '' }) }]])
})

t.test('a token that no contact center made', async (t) => {
  const [head = '', body = '', signature = ''] = jwt().split('.')
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  const forged = Buffer.from(JSON.stringify({ ...claims, userId: 'VICTIM' })).toString('base64url')
  const tokens: readonly (readonly [string, string])[] = [
    ['garbage', 'x'],
    ['dots', '..'],
    ['two parts', `${head}.${body}`],
    ['four parts', `${jwt()}.x`],
    ['another secret', jwt(claims, { key: 'another-secret-of-256-bits-as-text' })],
    ['an empty secret', jwt(claims, { key: '' })],
    ['a forged body', `${head}.${forged}.${signature}`],
    ['no signature', `${head}.${body}.`],
    ['alg none, unsigned', `${none}.${body}.`],
    ['alg none, signed', jwt(claims, { header: { alg: 'none' } })],
    ['alg NONE', jwt(claims, { header: { alg: 'NONE' } })],
    ['alg HS384', jwt(claims, { header: { alg: 'HS384' } })],
    ['alg HS512', jwt(claims, { header: { alg: 'HS512' } })],
    ['alg RS256', jwt(claims, { header: { alg: 'RS256' } })],
    ['alg ES256', jwt(claims, { header: { alg: 'ES256' } })],
    ['alg in lower case', jwt(claims, { header: { alg: 'hs256' } })],
    ['alg a list', jwt(claims, { header: { alg: ['HS256'] } })],
    ['no alg', jwt(claims, { header: { typ: 'JWT' } })],
    ['a header that is no object', jwt(claims, { header: 'HS256' })],
    ['a header that is null', jwt(claims, { header: null })],
    ['crit', jwt(claims, { header: { alg: 'HS256', crit: ['exp'] } })],
    ['crit, empty', jwt(claims, { header: { alg: 'HS256', crit: [] } })],
    ['crit, unknown', jwt(claims, { header: { alg: 'HS256', crit: ['x'], x: 1 } })],
    ['b64', jwt(claims, { header: { alg: 'HS256', b64: false, crit: ['b64'] } })],
    ['claims that are no object', jwt('claims')],
    ['claims that are null', jwt(null)],
    ['claims that are a list', jwt([claims])],
    ['exp a string', jwt({ ...claims, exp: String(inAnHour()) })],
    ['exp null', jwt({ ...claims, exp: null })],
    ['exp true', jwt({ ...claims, exp: true })],
    ['exp a list', jwt({ ...claims, exp: [inAnHour()] })],
    ['exp an object', jwt({ ...claims, exp: {} })],
    ['nbf a string', jwt({ ...claims, nbf: '0' })],
    ['nbf null', jwt({ ...claims, nbf: null })],
    ['iat a string', jwt({ ...claims, iat: '0' })],
    ['iat null', jwt({ ...claims, iat: null })],
    ['iat a list', jwt({ ...claims, iat: [] })],
    ['a session cookie', cookie.slice(cookie.indexOf('=') + 1)],
    ['space before', ` ${jwt()}`],
    ['space after', `${jwt()} `],
    ['a line end after', `${jwt()}\n`],
    ['a zero byte after', `${jwt()}\0`],
    ['Bearer before', `Bearer ${jwt()}`],
    ['quotes', `"${jwt()}"`],
    ['padding', `${jwt()}=`],
    ['plain base64', `${head}.${body}.${signature.replaceAll('-', '+').replaceAll('_', '/')}+`],
  ]
  const rows = tokens.map(([name, auth]) => [name, { target: link({ auth }) }] as const)
  await refused(t, 401, 'token-invalid', rows)
  const huge = `{"userId":"agent-7","sessionId":"session-1","exp":1e400}`
  const input = `${head}.${Buffer.from(huge).toString('base64url')}`
  const { createHmac } = await import('node:crypto')
  const signed = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  await refused(t, 401, 'token-invalid', [
    ['exp 1e400', { target: link({ auth: signed }) }],
    ['beside a good cookie', { target: link({ auth: 'x' }), headers: [`Cookie: ${cookie}`] }],
    ['as a header', { target: bare, headers: [`Authorization: Bearer ${head}.${body}.x`] }],
    [
      'as a header beside a good cookie',
      { target: '/', headers: [`Authorization: Bearer ${head}.${body}.x`, `Cookie: ${cookie}`] },
    ],
  ])
})

t.test('a token outside its time', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  await refused(t, 401, 'token-expired', [
    ['over', { target: link({ auth: jwt({ ...claims, exp: now - 60 }) }) }],
    ['long over', { target: link({ auth: jwt({ ...claims, exp: 0 }) }) }],
    ['over before time began', { target: link({ auth: jwt({ ...claims, exp: -1 }) }) }],
    ['in milliseconds, over', { target: link({ auth: jwt({ ...claims, exp: -1e3 }) }) }],
    [
      'over, as a header',
      { target: bare, headers: [`Authorization: Bearer ${jwt({ ...claims, exp: 1 })}`] },
    ],
  ])
  await refused(t, 401, 'token-not-active', [
    ['nbf', { target: link({ auth: jwt({ ...claims, nbf: now + 60 }) }) }],
    ['iat', { target: link({ auth: jwt({ ...claims, iat: now + 60 }) }) }],
    ['iat in milliseconds', { target: link({ auth: jwt({ ...claims, iat: Date.now() }) }) }],
  ])
})

t.test('tokens that contradict each other', async (t) => {
  const other = jwt({ ...claims, exp: inAnHour() + 1 })
  await refused(t, 400, 'token-conflict', [
    ['both good', { headers: [`Authorization: Bearer ${other}`] }],
    ['the header bad', { headers: ['Authorization: Bearer a.b.c'] }],
    ['the query bad', { target: link({ auth: 'x' }), headers: [`Authorization: Bearer ${other}`] }],
    [
      'two headers',
      {
        target: bare,
        headers: [`Authorization: Bearer ${jwt()}`, `Authorization: Bearer ${other}`],
      },
    ],
  ])
})

t.test('claims that are not the ones of the query', async (t) => {
  const rows: readonly (readonly [string, Row])[] = [
    ['another user', { target: link({ userId: 'VICTIM' }) }],
    ['another session', { target: link({ sessionId: 'VICTIM' }) }],
    ['no user', { target: link({ userId: null }) }],
    ['no session', { target: link({ sessionId: null }) }],
    ['no URLToken', { target: link({ URLToken: null }) }],
    ['an empty user', { target: link({ userId: '' }) }],
    ['an empty session', { target: link({ sessionId: '' }) }],
    ['other case', { target: link({ userId: 'Agent-7' }) }],
    ['space after', { target: link({ userId: 'agent-7 ' }) }],
    ['a zero byte after', { target: link({ userId: 'agent-7\0' }) }],
    ['full width', { target: link({ userId: '\uff41gent-7' }) }],
    ['token alone', { target: `/?auth=${jwt()}` }],
    ['token alone, as a header', { target: '/', headers: [`Authorization: Bearer ${jwt()}`] }],
    ['token alone, for a script', { target: `/config.js?auth=${jwt()}` }],
    [
      'another URLToken than claimed',
      { target: link({ auth: jwt({ ...claims, URLToken: 'other' }) }) },
    ],
    [
      'not the same normal form',
      { target: link({ userId: 'e\u0301', auth: jwt({ ...claims, userId: '\u00e9' }) }) },
    ],
    [
      'a number spelled differently',
      { target: link({ userId: '07', auth: jwt({ ...claims, userId: 7 }) }) },
    ],
    [
      'another session than the cookie',
      { target: '/?sessionId=x', headers: [`Cookie: ${cookie}`] },
    ],
    ['another user than the cookie', { target: '/?userId=x', headers: [`Cookie: ${cookie}`] }],
    [
      'another URLToken than the cookie',
      { target: '/?URLToken=x', headers: [`Cookie: ${cookie}`] },
    ],
    ['an empty user beside a cookie', { target: '/?userId=', headers: [`Cookie: ${cookie}`] }],
    ['a bare user beside a cookie', { target: '/?userId', headers: [`Cookie: ${cookie}`] }],
  ]
  await refused(t, 403, 'claim-mismatch', rows)
})

t.test('claims that are none', async (t) => {
  const values: readonly unknown[] = [null, '', true, [], ['a'], {}, { a: 1 }, 7.5, 2 ** 53]
  const names = ['userId', 'sessionId', 'URLToken']
  const rows = names.flatMap((name) =>
    values.map((value) => {
      const auth = jwt({ ...claims, [name]: value })
      return [
        `${name} ${JSON.stringify(value)}`,
        { target: link({ auth, [name]: String(value) }) },
      ] as const
    }),
  )
  await refused(t, 403, 'claim-missing', rows)
  const without = (name: string): string => jwt({ ...claims, [name]: undefined })
  await refused(t, 403, 'claim-missing', [
    ['no userId', { target: link({ auth: without('userId') }) }],
    ['no sessionId', { target: link({ auth: without('sessionId') }) }],
    ['nothing but a name', { target: link({ auth: jwt({ sub: 'agent-7' }) }) }],
    ['the claims in another case', { target: link({ auth: jwt({ userid: 'agent-7' }) }) }],
  ])
})

t.test('methods that are not carried', async (t) => {
  const host = 'evil.example:80'
  await refused(t, 400, 'target-invalid', [
    ['CONNECT', { method: 'CONNECT', target: host, hosts: [host] }],
    ['CONNECT with a link', { method: 'CONNECT', target: `${host}${good}`, hosts: [host] }],
  ])
  await refused(t, 401, 'token-missing', [['TRACE', { method: 'TRACE', target: '/' }]])
  await refused(t, 400, null, [['TRACE with a good link', { method: 'TRACE' }]])
})

t.test('refused or not, an upstream is connected to for what passes only', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const lines = `Host: ${host}\r\nConnection: close\r\n\r\n`
  for (const target of ['/', '/../', '/?userId=1&userId=2', link({ auth: 'x' })]) {
    await exchange(gateway.port, `GET ${target} HTTP/1.1\r\n${lines}`)
  }
  t.equal(upstream.sockets.size, 0)
  t.equal((await gateway.audited(4)).length, 4)
})
