import { Agent } from 'node:http'
import t from 'tap'
import { denials, type Reason } from '../../src/access/decision.ts'
import {
  answersIn,
  ask,
  auditOf,
  contactCenters,
  exchange,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  type RawAnswer,
  type Stage,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t, (request, response) => {
  if (request.url?.startsWith('/reset')) request.socket.resetAndDestroy()
  else if (request.url?.startsWith('/part')) {
    response.writeHead(206, { 'content-type': 'application/json' }).end('{')
  } else if (!request.url?.startsWith('/silent')) response.end()
})
const gateway = await startGateway(t, upstream.origin, {
  TOKEN_MAX_AGE: '30m',
  BODY_LIMIT: '1kb',
  HEADERS_TIMEOUT: '500ms',
  UPSTREAM_TIMEOUT: '500ms',
  COPILOT_API_TOKEN: 'the-api-token-of-the-backend',
})
const limited = await startGateway(t, upstream.origin, { RATE_LIMIT: '1/1h' })
const listed = await startGateway(
  t,
  upstream.origin,
  {},
  { configure: contactCenters({ urlTokens: ['another'] }) },
)
const once = await startGateway(
  t,
  upstream.origin,
  {},
  { configure: contactCenters({ oneTimeTokens: true }) },
)
const full = await startGateway(t, upstream.origin, { MAX_CONNECTIONS: '1' })
const { host } = new URL(gateway.origin)
const now = inAnHour() - 3600
const base = { userId: ids.userId, sessionId: ids.sessionId, iat: now, exp: now + 3600 }
const good = jwt(base)
const cookie = await openSession(gateway, { auth: good })
gateway.revoke({ contactCenter: null, userId: null, sessionId: 'ended' })
const subject = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }
upstream.seen.length = 0

const request = (line: string, ...headers: readonly string[]): string =>
  `${[`${line} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`
const signed = (claims: object, changes = {}): string =>
  request(`GET ${link({ auth: jwt({ ...base, ...claims }), ...changes })}`)

interface Provocation {
  readonly bytes: string
  readonly status: number
  /** What the audit line says beside what all have. */
  readonly says: Readonly<Record<string, unknown>>
  readonly reached?: true
  readonly front?: Stage
}

const at = { method: 'GET', path: '/' } as const

/** An internal error needs a bug, and state that can't be reached a store that fails. */
const elsewhere = ['internal-error', 'state-unreachable'] as const

/** Every reason of which a request by HTTP can be the cause. */
const provocations: Readonly<Record<Exclude<Reason, (typeof elsewhere)[number]>, Provocation>> = {
  'target-invalid': {
    bytes: request(`GET /../${link({ auth: good }).slice(1)}`),
    status: 400,
    says: { method: 'GET' },
  },
  'query-ambiguous': {
    bytes: request(`GET ${link({ auth: good })}&userId=agent-7`),
    status: 400,
    says: at,
  },
  'origin-refused': {
    bytes: request('POST /', `Cookie: ${cookie}`, 'Sec-Fetch-Site: cross-site'),
    status: 403,
    says: { method: 'POST', path: '/' },
  },
  'token-missing': { bytes: request('GET /'), status: 401, says: at },
  'token-invalid': {
    bytes: request(`GET ${link({ auth: 'a.b.c' })}`),
    status: 401,
    says: { ...at, hint: 'the token is no JWT' },
  },
  'token-expired': { bytes: signed({ exp: now - 60 }), status: 401, says: { ...at, ...subject } },
  'token-not-active': {
    bytes: signed({ nbf: now + 600 }),
    status: 401,
    says: { ...at, ...subject },
  },
  'token-too-old': { bytes: signed({ iat: now - 3600 }), status: 401, says: { ...at, ...subject } },
  'token-conflict': {
    bytes: request(`GET ${link({ auth: good })}`, `Authorization: Bearer ${jwt()}`),
    status: 400,
    says: at,
  },
  'claim-mismatch': {
    bytes: signed({}, { userId: 'VICTIM' }),
    status: 403,
    says: { ...at, ...subject },
  },
  'claim-missing': {
    bytes: signed({ userId: undefined }),
    status: 403,
    says: { ...at, contactCenter: 'default' },
  },
  'session-revoked': {
    bytes: signed({ sessionId: 'ended' }, { sessionId: 'ended' }),
    status: 403,
    says: { ...at, ...subject, sessionId: 'ended' },
  },
  'url-token-unknown': {
    bytes: signed({}),
    status: 403,
    says: { ...at, ...subject },
    front: listed,
  },
  'token-replayed': {
    bytes: request(`GET ${link({ auth: good })}`),
    status: 403,
    says: { ...at, ...subject },
    front: once,
  },
  'session-mismatch': {
    bytes: request(`GET ${link({ auth: good, EIO: '3' }, '/socket.io/')}`),
    status: 403,
    says: { ...at, ...subject, path: '/socket.io/' },
  },
  'not-found': {
    bytes: request(`GET ${link({ auth: good }, '/.copilot-gateway/')}`),
    status: 404,
    says: { ...at, ...subject, path: '/.copilot-gateway/' },
  },
  'request-malformed': { bytes: 'GARBAGE\r\n\r\n', status: 400, says: {} },
  'request-timeout': { bytes: 'GET / HTTP/1.1\r\nHost:', status: 408, says: {} },
  'body-too-large': {
    bytes: request(`POST ${link({ auth: good }, '/upload')}`, 'Content-Length: 1025'),
    status: 413,
    says: { ...subject, method: 'POST', path: '/upload' },
  },
  'headers-too-large': {
    bytes: request('GET /', `X-Large: ${'x'.repeat(64 * 1024)}`),
    status: 431,
    says: {},
  },
  'upstream-unreachable': {
    bytes: request(`POST ${link({ auth: good }, '/reset')}`),
    status: 502,
    says: { ...subject, method: 'POST', path: '/reset' },
    reached: true,
  },
  'upstream-unreadable': {
    bytes: request(`GET ${link({ auth: good }, '/part')}`),
    status: 502,
    says: { ...at, ...subject, path: '/part' },
    reached: true,
  },
  'upstream-timeout': {
    bytes: request(`GET ${link({ auth: good }, '/silent')}`),
    status: 504,
    says: { ...at, ...subject, path: '/silent' },
    reached: true,
  },
  'rate-limited': { bytes: request('GET /'), status: 429, says: at, front: limited },
  overloaded: { bytes: request('GET /'), status: 503, says: at, front: full },
}

await exchange(limited.port, request('GET /'))
const agent = new Agent({ keepAlive: true })
t.teardown(() => agent.destroy())
await ask(full.origin, link(), { agent })
await ask(once.origin, link({ auth: good }))
upstream.seen.length = 0

for (const [reason, { bytes, status, says, reached, front = gateway }] of Object.entries(
  provocations,
)) {
  t.test(`${reason} is a ${status} that does not say so`, async (t) => {
    const [answer, ...more] = answersIn(await exchange(front.port, bytes))
    t.strictSame(more, [], 'one answer')
    if (!answer) return
    t.equal(answer.status, status)
    const requestId = answer.headers['x-request-id'] ?? ''
    t.match(requestId, /^[\w-]{8,}$/)
    t.match(problem(answer), { status, requestId })
    t.notMatch(answer.body, reason)
    t.notMatch(Object.values(answer.headers).join(), reason)
    t.equal(
      answer.headers['www-authenticate'],
      status === 401 ? 'Bearer realm="copilot"' : undefined,
    )
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal(answer.headers['set-cookie'], undefined)
    t.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.body, 'latin1'))

    const line = await auditOf(front, requestId)
    const { time, durationMs, level, ...rest } = line
    t.type(durationMs, 'number')
    t.strictSame(Object.fromEntries(Object.entries(rest).filter(([name]) => name !== 'error')), {
      event: 'access',
      decision: 'deny',
      reason,
      status,
      transport: 'http',
      ...says,
      requestId,
      ip: '127.0.0.1',
    })
    t.equal(upstream.seen.splice(0).length, reached ? 1 : 0, 'requests that reached the upstream')
  })
}

t.test('no other reason exists', async (t) => {
  t.strictSame(Object.keys(denials).sort(), [...Object.keys(provocations), ...elsewhere].sort())
  for (const [reason, { status }] of Object.entries(provocations)) {
    t.match(denials, { [reason]: status })
  }
  const own = Object.values(provocations).filter(({ front }) => front === undefined)
  const seen = (await gateway.audited(1)).filter(({ decision }) => decision === 'deny')
  t.equal(seen.length, own.length, 'one line each')
})

/** RFC 9457, with the members that the contract names and no other. */
function problem({ headers, body }: RawAnswer): unknown {
  t.match(headers['content-type'], /^application\/problem\+json\b/)
  const members: unknown = JSON.parse(body)
  t.strictSame(Object.keys(Object(members)).sort(), ['requestId', 'status', 'title', 'type'])
  t.match(members, { type: /./, title: /./ })
  return members
}
