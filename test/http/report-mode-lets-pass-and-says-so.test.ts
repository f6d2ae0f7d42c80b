// Where a contact center only reports, agents notice nothing, and the log tells who would be refused and why.
import t from 'tap'
import {
  ask,
  auditOf,
  contactCenters,
  ids,
  inAnHour,
  jwt,
  link,
  startGateway,
  startUpstream,
} from '../stage.ts'

const html = '<!doctype html><script src="config.js"></script>'
const upstream = await startUpstream(t, (request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'text/html' }).end(html)
})
const center = { oneTimeTokens: true, urlTokens: [ids.URLToken] } as const
const env = { IDENTITY_HEADERS: 'true', TOKEN_MAX_AGE: '30m' }
const reporting = await startGateway(t, upstream.origin, env, {
  configure: contactCenters({ ...center, enforcement: 'report' }),
})
const enforcing = await startGateway(t, upstream.origin, env, { configure: contactCenters(center) })
const revoked = { contactCenter: 'default', userId: null, sessionId: 'ended' }
for (const gateway of [reporting, enforcing]) gateway.revoke(revoked)

const second = inAnHour() - 3600
let made = 0
function token(changes: object = {}, key?: string): string {
  const { userId, sessionId } = ids
  made += 1
  const claims = { userId, sessionId, iat: second, exp: second + 3600, jti: made, ...changes }
  return jwt(claims, key === undefined ? {} : { key })
}

const navigation = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }
const Referer = 'https://cc.example/desk?secret'
const used = token()
for (const gateway of [reporting, enforcing]) {
  await ask(gateway.origin, link({ auth: used }), { headers: navigation })
}
type Row = readonly [
  reason: string,
  status: number,
  target: string,
  headers?: Readonly<Record<string, string>>,
  method?: string,
]
const stranger = 'a secret that is nobody’s here, at all'
const rows: readonly Row[] = [
  ['token-missing', 401, link({ auth: null })],
  ['token-missing', 401, '/'],
  ['token-missing', 401, '/upload', {}, 'POST'],
  ['token-invalid', 401, link({ auth: token({}, stranger) })],
  ['token-invalid', 401, '/config.js?copilotSession=x'],
  ['token-expired', 401, link({ auth: token({ exp: second - 60 }) })],
  ['token-not-active', 401, link({ auth: token({ nbf: second + 600 }) })],
  ['token-too-old', 401, link({ auth: token({ iat: second - 3600 }) })],
  ['token-conflict', 400, link({ auth: token() }), { Authorization: `Bearer ${token()}` }],
  ['claim-mismatch', 403, link({ auth: token(), userId: 'agent-8' })],
  ['claim-missing', 403, link({ auth: token({ userId: undefined }) })],
  ['url-token-unknown', 403, link({ auth: token(), URLToken: 'other' })],
  ['token-replayed', 403, link({ auth: used })],
]

t.test('what would be refused passes, and the line says why', async (t) => {
  for (const [reason, status, target, headers = {}, method = 'GET'] of rows) {
    const name = `${reason}: ${method} ${target.slice(0, 30)}`
    const asked = { method, headers: { ...navigation, Referer, ...headers } }
    const { headers: told, ...answer } = await ask(enforcing.origin, target, asked)
    t.equal(answer.status, status, `${name}: enforced`)
    t.match(
      await auditOf(enforcing, told['x-request-id']),
      { decision: 'deny', reason, status, page: 'https://cc.example' },
      `${name}: enforced`,
    )
    upstream.seen.length = 0
    const passed = await ask(reporting.origin, target, asked)
    t.equal(passed.status, 200, name)
    t.match(
      await auditOf(reporting, passed.headers['x-request-id']),
      {
        decision: 'allow',
        reason,
        status: 200,
        page: 'https://cc.example',
        contactCenter: 'default',
      },
      name,
    )
    t.equal(passed.headers['set-cookie'], undefined, `${name}: no cookie`)
    t.equal(passed.body, html, `${name}: no copilotSession`)
    t.equal(
      passed.headers['content-security-policy'],
      'frame-ancestors https://cc.example',
      `${name}: framed by its own alone`,
    )
    const [got] = upstream.seen
    const said = Object.keys(got?.headers ?? {}).filter((one) => one.startsWith('x-copilot-'))
    t.same(said, [], `${name}: no identity`)
    t.equal(got?.url, target.replace('?copilotSession=x', ''), `${name}: as it came`)
  }
})

t.test('who is let in is as well as ever', async (t) => {
  const target = link({ auth: token() })
  upstream.seen.length = 0
  const answer = await ask(reporting.origin, target, { headers: { ...navigation, Referer } })
  t.equal(answer.headers['set-cookie']?.length, 1)
  t.match(answer.body, 'config.js?copilotSession=')
  t.equal(upstream.seen[0]?.headers['x-copilot-user-id'], ids.userId)
  const line = await auditOf(reporting, answer.headers['x-request-id'])
  t.strictSame([line['decision'], line['reason'], line['page']], ['allow', undefined, undefined])
})

t.test('what harms others is refused all the same', async (t) => {
  const { headers } = await ask(reporting.origin, link({ auth: token() }), { headers: navigation })
  const Cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  const gone = { sessionId: 'ended' }
  const refused: readonly Row[] = [
    ['target-invalid', 400, `/%2e%2e${link({ auth: null })}`],
    ['query-ambiguous', 400, `${link({ auth: null })}&UserId=x`],
    [
      'origin-refused',
      403,
      '/a',
      { Cookie, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors' },
    ],
    ['session-revoked', 403, link({ auth: token(gone), ...gone })],
    ['session-revoked', 403, link({ auth: null, ...gone })],
    ['session-revoked', 403, link({ auth: token(gone, stranger), ...gone })],
    ['session-revoked', 403, link({ auth: token({ ...gone, exp: 1 }), ...gone })],
    ['session-revoked', 403, `/a?auth=${token({ ...gone, exp: 1 })}`],
    ['session-revoked', 403, '/a.js?sessionId=ended'],
    ['session-revoked', 403, '/socket.io/?EIO=4&transport=polling&sessionId=ended'],
    ['token-missing', 401, link({ auth: null }, '/.copilot-gateway/renew')],
    ['not-found', 404, link({ auth: null }, '/.copilot-gateway/x')],
  ]
  for (const [reason, status, target, headers = {}] of refused) {
    upstream.seen.length = 0
    const answer = await ask(reporting.origin, target, { headers })
    t.equal(answer.status, status, `${reason} ${target.slice(0, 40)}`)
    const line = await auditOf(reporting, answer.headers['x-request-id'])
    t.match(line, { decision: 'deny', reason }, `${reason} ${target.slice(0, 40)}`)
    t.equal(upstream.seen.length, 0, `${reason}: nothing goes upstream`)
  }
})
