// A refused upgrade is answered as a refused request is, and nothing of it reaches the upstream.
import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import {
  ids,
  inAnHour,
  jwt,
  link,
  listen,
  type Stage,
  startGateway,
  startUpstream,
  type Upstream,
} from '../stage.ts'
import { dial, handshake, headOf, key, type Wire } from './peer.ts'

const now = (): number => Math.floor(Date.now() / 1000)
const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
const linkOf = (changes: object, path = '/ws'): string =>
  link({ auth: jwt({ ...claims, ...changes }) }, path)
const good = link({}, '/ws')

type Changes = Readonly<Record<string, string | readonly string[] | null>>
type Row = readonly [
  name: string,
  status: number,
  reason: string,
  target: string,
  changes?: Changes,
  first?: string,
]

const bearer = (token: string): Changes => ({ Authorization: `Bearer ${token}` })
const foreign = { Origin: 'https://evil.example' }

const targets: readonly (readonly [string, string])[] = [
  ['absolute-form', 'http://127.0.0.1/ws'],
  ['another host in absolute-form', 'http://169.254.169.254/latest'],
  ['asterisk-form', '*'],
  ['two leading slashes', '//evil.example/ws'],
  ['a slash and a backslash', '/\\evil.example/ws'],
  ['a fragment', '/ws#'],
  ['a fragment that hides a query', `/#${good.slice(4)}&x=?userId=other`],
  ['a backslash', '/a\\..\\ws'],
  ['a dot segment', '/./ws'],
  ['two dots', '/a/../ws'],
  ['two dots at the end', '/ws/..'],
  ['encoded dots', '/%2e%2e/ws'],
  ['one dot encoded', '/.%2E/ws'],
  ['an encoded slash', '/a%2fws'],
  ['an encoded backslash', '/a%5Cws'],
  ['a doubly encoded dot', '/%252e%252e/ws'],
  ['a doubly encoded letter', '/%2577s'],
  ['an encoded NUL', '/ws%00'],
  ['an encoded line end', '/ws%0d%0aX-Injected:1'],
  ['an encoded DEL', '/ws%7f'],
  ['a half percent', '/ws%'],
  ['a percent without hex', '/ws%zz'],
  ['overlong UTF-8', '/ws%c0%af'],
  ['a lone surrogate', '/ws%ed%a0%80'],
  ['a half percent in the query', '/ws?a=%'],
  ['Latin-1 in the query', '/ws?a=%ff'],
]

const queries: readonly (readonly [string, string])[] = [
  ['userId twice', `${good}&userId=${ids.userId}`],
  ['sessionId twice', `${good}&sessionId=other`],
  ['URLToken twice', `${good}&URLToken=other`],
  ['auth twice', `${good}&auth=${jwt()}`],
  ['copilotSession twice', '/ws?copilotSession=a&copilotSession=b'],
  ['userId after a semicolon', `${good}&x=1;userId=other`],
  ['userId twice by a semicolon', `/ws?userId=a;userId=b`],
  ['userId[]', `${good}&userId[]=other`],
  ['userId[0]', `${good}&userId[0]=other`],
  ['an encoded bracket', `${good}&userId%5B%5D=other`],
  ['[userId]', `${good}&[userId]=other`],
  ['UserId', `${good}&UserId=other`],
  ['USERID', `${good}&USERID=other`],
  ['urltoken', `${good}&urltoken=other`],
  ['Auth', `${good}&Auth=other`],
  ['user.Id', `${good}&user.Id=other`],
  ['user_Id', `${good}&user_Id=other`],
  ['user Id', `${good}&user+Id=other`],
  ['userId with a NUL', `${good}&userId%00=other`],
  ['userId with a NUL and more', `${good}&userId%00x=other`],
  ['an encoded userId', `${good}&%75serId=other`],
  ['fullwidth letters', `${good}&%EF%BD%95serId=other`],
  ['a long s', `${good}&%C5%BFessionId=other`],
  ['an encoded name alone', good.replace('userId=', 'user%49d=')],
  ['257 parameters', `${good}${'&a=1'.repeat(253)}`],
]

const rows: readonly Row[] = [
  ...targets.map(([name, target]) => [name, 400, 'target-invalid', target] as const),
  ['two hosts', 400, 'target-invalid', good, { Host: ['127.0.0.1', 'evil.example'] }],
  ['one host twice', 400, 'target-invalid', good, { Host: ['127.0.0.1', '127.0.0.1'] }],
  ['no host', 400, 'target-invalid', good, { Host: null }],
  ['an empty host', 400, 'target-invalid', good, { Host: '' }],
  ['a host that is a URL', 400, 'target-invalid', good, { Host: 'evil.example/x' }],
  ['a host with credentials', 400, 'target-invalid', good, { Host: 'a@127.0.0.1' }],
  ['two hosts in one line', 400, 'target-invalid', good, { Host: '127.0.0.1, evil.example' }],
  ...queries.map(([name, target]) => [name, 400, 'query-ambiguous', target] as const),
  ['a foreign origin beside a token', 403, 'origin-refused', good, foreign],
  ['a foreign origin before a missing token', 403, 'origin-refused', '/ws', foreign],
  [
    'a foreign origin before a wrong token',
    403,
    'origin-refused',
    link({ auth: 'x' }, '/ws'),
    foreign,
  ],
  [
    'a foreign origin before a conflict',
    403,
    'origin-refused',
    good,
    {
      ...foreign,
      ...bearer(jwt({})),
    },
  ],
  ['no credential', 401, 'token-missing', link({ auth: null }, '/ws')],
  ['no credential and no query', 401, 'token-missing', '/ws'],
  ['no credential on the backend', 401, 'token-missing', '/socket.io/?EIO=4&transport=websocket'],
  ['Basic credentials', 401, 'token-missing', '/ws', { Authorization: 'Basic YTpi' }],
  ['a bearer that is no JWT', 401, 'token-missing', '/ws', bearer('opaque')],
  [
    'a cookie that proves nothing',
    401,
    'token-missing',
    '/ws',
    {
      Cookie: '__Host-copilot-AAAAAAAAAAAAAAAA=a.b.c',
      Origin: 'own',
    },
  ],
  [
    'a token as a cookie',
    401,
    'token-missing',
    '/ws',
    {
      Cookie: `__Host-copilot-AAAAAAAAAAAAAAAA=${jwt()}`,
      Origin: 'own',
    },
  ],
  [
    'a cookie without Origin',
    403,
    'origin-refused',
    '/ws',
    {
      Cookie: `__Host-copilot-AAAAAAAAAAAAAAAA=${jwt()}`,
    },
  ],
  ['an empty token', 401, 'token-invalid', link({ auth: '' }, '/ws')],
  ['a token that is none', 401, 'token-invalid', link({ auth: 'x' }, '/ws')],
  ['another secret', 401, 'token-invalid', link({ auth: jwt(claims, { key: 'no' }) }, '/ws')],
  [
    'alg none',
    401,
    'token-invalid',
    link({ auth: jwt(claims, { header: { alg: 'none' } }).replace(/[^.]*$/, '') }, '/ws'),
  ],
  [
    'another algorithm',
    401,
    'token-invalid',
    link({ auth: jwt(claims, { header: { alg: 'HS512', typ: 'JWT' } }) }, '/ws'),
  ],
  [
    'crit',
    401,
    'token-invalid',
    link({ auth: jwt(claims, { header: { alg: 'HS256', crit: ['exp'] } }) }, '/ws'),
  ],
  ['exp as text', 401, 'token-invalid', linkOf({ exp: String(inAnHour()) })],
  ['exp null', 401, 'token-invalid', linkOf({ exp: null })],
  ['nbf as text', 401, 'token-invalid', linkOf({ nbf: '0' })],
  ['iat as an object', 401, 'token-invalid', linkOf({ iat: {} })],
  ['a wrong bearer', 401, 'token-invalid', link({ auth: null }, '/ws'), bearer('a.b.c')],
  ['an ended token', 401, 'token-expired', linkOf({ exp: now() - 60 })],
  ['an ended token on the backend', 401, 'token-expired', linkOf({ exp: 1 }, '/socket.io/')],
  ['a token of tomorrow', 401, 'token-not-active', linkOf({ nbf: now() + 86_400 })],
  ['a token issued tomorrow', 401, 'token-not-active', linkOf({ iat: now() + 86_400 })],
  ['two tokens', 400, 'token-conflict', good, bearer(jwt({ ...claims, exp: inAnHour() + 1 }))],
  ['a wrong second token', 400, 'token-conflict', good, bearer('a.b.c')],
  [
    'two Authorization lines',
    400,
    'token-conflict',
    good,
    {
      Authorization: [`Bearer ${jwt(claims)}`, `Bearer ${jwt({ ...claims, exp: 1 })}`],
    },
  ],
  ['another userId', 403, 'claim-mismatch', link({ userId: 'other' }, '/ws')],
  ['another sessionId', 403, 'claim-mismatch', link({ sessionId: 'other' }, '/ws')],
  ['no userId', 403, 'claim-mismatch', link({ userId: null }, '/ws')],
  ['no sessionId', 403, 'claim-mismatch', link({ sessionId: null }, '/ws')],
  ['no URLToken', 403, 'claim-mismatch', link({ URLToken: null }, '/ws')],
  ['another URLToken', 403, 'claim-mismatch', linkOf({ URLToken: 'other' })],
  ['another case', 403, 'claim-mismatch', link({ userId: 'AGENT-7' }, '/ws')],
  ['a space behind', 403, 'claim-mismatch', link({ userId: 'agent-7 ' }, '/ws')],
  ['no ids at the backend', 403, 'claim-mismatch', '/socket.io/?EIO=4', bearer(jwt(claims))],
  ['no userId claim', 403, 'claim-missing', linkOf({ userId: undefined })],
  ['an empty claim', 403, 'claim-missing', linkOf({ sessionId: '' })],
  ['a claim as a list', 403, 'claim-missing', linkOf({ userId: ['agent-7'] })],
  ['a claim as an object', 403, 'claim-missing', linkOf({ userId: { a: 1 } })],
  ['a claim that is a fraction', 403, 'claim-missing', linkOf({ userId: 1.5 })],
  ['a claim that is true', 403, 'claim-missing', linkOf({ userId: true })],
  [
    'h2c',
    400,
    'request-malformed',
    good,
    {
      Connection: 'Upgrade, HTTP2-Settings',
      Upgrade: 'h2c',
      'HTTP2-Settings': 'AAMAAABkAAQAAP__',
    },
  ],
  ['h2c without a credential', 401, 'token-missing', '/', { Upgrade: 'h2c' }],
  ['another protocol', 400, 'request-malformed', good, { Upgrade: 'TLS/1.0' }],
  ['two protocols', 400, 'request-malformed', good, { Upgrade: 'websocket, h2c' }],
  ['POST', 400, 'request-malformed', good, {}, `POST ${good} HTTP/1.1`],
  ['HEAD', 400, 'request-malformed', good, {}, `HEAD ${good} HTTP/1.1`],
  ['OPTIONS', 400, 'request-malformed', good, {}, `OPTIONS ${good} HTTP/1.1`],
  ['HTTP/1.0', 400, 'request-malformed', good, {}, `GET ${good} HTTP/1.0`],
  ['a POST without a credential', 401, 'token-missing', '/ws', {}, 'POST /ws HTTP/1.1'],
  ['no key', 400, 'request-malformed', good, { 'Sec-WebSocket-Key': null }],
  ['a key that is none', 400, 'request-malformed', good, { 'Sec-WebSocket-Key': 'short' }],
  ['two keys', 400, 'request-malformed', good, { 'Sec-WebSocket-Key': [key, key] }],
  ['an announced body', 400, 'request-malformed', good, { 'Content-Length': '5' }],
  ['a chunked body', 400, 'request-malformed', good, { 'Transfer-Encoding': 'chunked' }],
]

t.test('each reason', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  for (const row of rows) await checkRefused(t, { upstream, gateway }, row)
  t.same(upstream.seen, [], 'nothing reached the upstream')
  t.equal(upstream.sockets.size, 0, 'nor was it connected to')
})

t.test('reasons that a setting brings', async (t) => {
  const upstream = await startUpstream(t)
  const young = { TOKEN_MAX_AGE: '1h', REQUIRE_EXP: 'true', FORWARD_AUTH: 'false' }
  const stage = { upstream, gateway: await startGateway(t, upstream.origin, young) }
  const fresh = { iat: now() }
  const settled: readonly Row[] = [
    ['a token without iat', 401, 'token-too-old', good],
    ['a token of yesterday', 401, 'token-too-old', linkOf({ iat: now() - 86_400 })],
    ['an ended token of yesterday', 401, 'token-expired', linkOf({ iat: 1, exp: 2 })],
    ['a token without exp', 401, 'token-invalid', linkOf({ ...fresh, exp: undefined })],
    ['a binding after all', 403, 'claim-mismatch', linkOf({ ...fresh, userId: 'other' })],
  ]
  for (const row of settled) await checkRefused(t, stage, row)
  t.same(upstream.seen, [], 'nothing reached the upstream')
})

t.test('an upgrade that never becomes one', async (t) => {
  const upstream = await startUpstream(t)
  const limits = { HEADERS_TIMEOUT: '1s', BODY_LIMIT: '1kb' }
  const stage = { upstream, gateway: await startGateway(t, upstream.origin, limits) }
  const malformed: readonly (readonly [string, number, string, string])[] = [
    ['a header without a colon', 400, 'request-malformed', 'X-Broken\r\n\r\n'],
    ['a space before the colon', 400, 'request-malformed', 'X-Broken : 1\r\n\r\n'],
    ['a folded header', 400, 'request-malformed', 'X-Folded: 1\r\n 2\r\n\r\n'],
    ['a control in a header', 400, 'request-malformed', 'X-Control: \x01\r\n\r\n'],
    ['headers of 40 kB', 431, 'headers-too-large', `X-Long: ${'x'.repeat(40 * 1024)}\r\n\r\n`],
    ['a head that stops', 408, 'request-timeout', 'X-Half: '],
  ]
  for (const [name, status, reason, rest] of malformed) {
    const before = stage.gateway.lines.length
    const client = await dial(t, stage.gateway.port)
    const head = handshake(stage.gateway.port, good).slice(0, -2)
    client.socket.write(`${head}${rest}`, 'latin1')
    const answer = headOf(await client.ended)
    t.equal(answer?.status, status, name)
    const audit = stage.gateway.lines.slice(before).filter((line) => line['event'] === 'access')
    t.match(audit, [{ decision: 'deny', reason, status }], `${name}: audit`)
    t.equal(audit.length, 1, `${name}: one line`)
  }
  t.same(upstream.seen, [])
})

t.test('an upstream that cannot be reached', async (t) => {
  const closed = createServer()
  const port = await listen(closed)
  closed.close()
  await once(closed, 'close')
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, `http://127.0.0.1:${port}`)
  await checkRefused(t, { upstream, gateway }, ['down', 502, 'upstream-unreachable', good])
})

t.test('a page that asks for HTML gets one', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const html = { Accept: 'text/html,*/*;q=0.8', Referer: 'https://cc.example/desk' }
  const client = await send(t, gateway, ['html', 401, '', '/ws', html])
  const bytes = await client.ended
  const head = headOf(bytes)
  t.equal(head?.status, 401)
  t.match(head?.headers['content-type'], [/^text\/html\b/])
  t.match(head?.headers['content-security-policy'], [/frame-ancestors https:\/\/cc\.example$/])
  t.match(`${bytes}`, /<!doctype html>/i)
  t.notMatch(`${bytes}`, /token-missing/)
})

t.test('what comes behind a refused upgrade is not read as a request', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const client = await dial(t, gateway.port)
  const smuggled = `GET ${link()} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`
  client.socket.write(handshake(gateway.port, '/ws') + smuggled)
  const answers = `${await client.ended}`.match(/HTTP\/1\.1 \d+/g)
  t.same(answers, ['HTTP/1.1 401'])
  t.equal((await gateway.audited(1)).length, 1)
  t.same(upstream.seen, [])
})

t.test('a refusal reaches a client that has sent much already', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const early = Buffer.alloc(1024 * 1024)
  for (const [name, target, status] of [
    ['no credential', '/ws', 401],
    ['no handshake', good, 400],
  ] as const) {
    const changes = status === 400 ? { 'Content-Length': `${early.length}` } : {}
    const client = await dial(t, gateway.port)
    client.socket.write(
      Buffer.concat([Buffer.from(handshake(gateway.port, target, changes)), early]),
    )
    const bytes = await client.ended
    t.equal(headOf(bytes)?.status, status, name)
    t.match(`${bytes}`, /\}$/, `${name}: whole`)
  }
  t.same(upstream.seen, [])
})

t.test('CONNECT is refused, whatever it asks for', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const asked: readonly (readonly [string, number])[] = [
    [`127.0.0.1:${upstream.port}`, 400],
    ['evil.example:443', 400],
    [good, 400],
    ['/', 401],
  ]
  for (const [index, [target, status]] of asked.entries()) {
    const client = await dial(t, gateway.port)
    client.socket.write(handshake(gateway.port, '', {}, `CONNECT ${target} HTTP/1.1`))
    t.equal(headOf(await client.ended)?.status, status, target)
    t.equal((await gateway.audited(index + 1)).length, index + 1, `${target}: one line`)
  }
  t.same(upstream.seen, [])
})

async function send(t: Test, gateway: Stage, row: Row): Promise<Wire> {
  const [, , , target, changes = {}, first] = row
  const client = await dial(t, gateway.port)
  const own = changes['Origin'] === 'own' ? { Origin: gateway.origin } : {}
  const head = handshake(gateway.port, target, { ...changes, ...own }, first)
  client.socket.write(head, 'latin1')
  return client
}

async function checkRefused(
  t: Test,
  { gateway }: { readonly gateway: Stage; readonly upstream: Upstream },
  row: Row,
): Promise<void> {
  const [name, status, reason, target, changes = {}, first] = row
  const before = (await gateway.audited(0)).length
  const client = await send(t, gateway, row)
  const bytes = await client.ended
  const lines = (await gateway.audited(before + 1)).slice(before)
  const head = headOf(bytes)
  const body = `${bytes.subarray(head?.length ?? 0)}`
  t.test(name, (t) => {
    t.equal(head?.status, status)
    const headers = head?.headers ?? {}
    const [requestId = ''] = headers['x-request-id'] ?? []
    t.match(headers, {
      'content-security-policy': [/^frame-ancestors (?:'none'|https:\/\/cc\.example)$/],
      'x-content-type-options': ['nosniff'],
      'referrer-policy': ['same-origin'],
      'cache-control': ['no-store'],
      'content-type': ['application/problem+json'],
      connection: ['close'],
    })
    const challenge = status === 401 ? ['Bearer realm="copilot"'] : undefined
    t.same(headers['www-authenticate'], challenge)
    for (const name of ['upgrade', 'sec-websocket-accept', 'set-cookie', 'server']) {
      t.equal(headers[name], undefined, `no ${name}`)
    }
    if (!first?.startsWith('HEAD')) {
      const { type, title, ...problem } = JSON.parse(body)
      t.same([typeof type, typeof title], ['string', 'string'])
      t.same(problem, { status, requestId })
    }
    t.notMatch(body, reason, 'the client is not told why')
    t.equal(lines.length, 1, 'one audit line')
    const [line = {}] = lines
    const path = reason === 'target-invalid' ? undefined : target.replace(/\?.*/, '')
    t.match(line, {
      decision: 'deny',
      reason,
      status,
      method: first?.split(' ')[0] ?? 'GET',
      transport: 'websocket',
      requestId,
      ip: '127.0.0.1',
    })
    t.equal(line['path'], path, 'path')
    t.type(line['durationMs'], 'number')
    const log = JSON.stringify(lines)
    for (const secret of secretsIn(target, changes)) t.notMatch(log, secret, 'no secret is logged')
    t.end()
  })
}

/** What must be in no log line. */
function secretsIn(target: string, changes: Changes): string[] {
  const { Authorization, Cookie } = changes
  const words = `${target} ${[Authorization, Cookie].flat().join(' ')}`
  return [...(words.match(/[\w-]{20,}/g) ?? []), ids.URLToken]
}
