import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import {
  answersIn,
  ask,
  auditOf,
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

const set = 'canary-of-a-cookie-that-the-upstream-sets'
const upstream = await startUpstream(t, (request, response) => {
  const what = request.url?.split(/[/?]/)[1]
  request.resume()
  request.on('error', () => {})
  if (what === 'reset') request.socket.destroy()
  else if (what === 'cut') {
    response.writeHead(200, { 'Content-Length': 100 })
    response.write('short', () => request.socket.destroy())
  } else if (what === 'status') response.writeHead(Number(request.url?.split(/[/?]/)[2])).end()
  else if (what === 'events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: 1\n\n')
  } else if (what !== 'silent') {
    response.setHeader('Set-Cookie', `a=${set}`)
    response.end('ok')
  }
})
const settings = { LOG_LEVEL: 'trace', UPSTREAM_TIMEOUT: '500ms', BODY_LIMIT: '1kb' }
const gateway = await startGateway(t, upstream.origin, settings)
const { host } = new URL(gateway.origin)
const cookie = await openSession(gateway)
const subject = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }
const claims = { userId: ids.userId, sessionId: ids.sessionId }
const second = await openSession(gateway, {
  sessionId: 'session-2',
  auth: jwt({ ...claims, sessionId: 'session-2', exp: inAnHour() }),
})
const common = ['decision', 'durationMs', 'event', 'ip', 'requestId', 'status', 'transport']

interface Row {
  readonly target: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** What the line says beside what all say; what is not here must not be there. */
  readonly says: Readonly<Record<string, unknown>>
}

const allow = { decision: 'allow', method: 'GET' }
const deny = { decision: 'deny', method: 'GET' }
const rows: Readonly<Record<string, Row>> = {
  'a navigation': { target: link(), says: { ...allow, status: 200, path: '/', ...subject } },
  'a path': {
    target: link({}, '/a%20b/c;d'),
    says: { ...allow, status: 200, path: '/a%20b/c;d', ...subject },
  },
  'a path that is almost a short link': {
    target: link({}, '/o/organisation-settings2'),
    says: { ...allow, status: 200, path: '/o/organisation-settings2', ...subject },
  },
  'a session': {
    target: '/x',
    headers: { Cookie: cookie },
    says: { ...allow, status: 200, path: '/x', ...subject },
  },
  'one of two sessions': {
    target: '/x?sessionId=session-2',
    headers: { Cookie: `${cookie}; ${second}` },
    says: { ...allow, status: 200, path: '/x', ...subject, sessionId: 'session-2' },
  },
  'two sessions of one agent': {
    target: '/x',
    headers: { Cookie: `${cookie}; ${second}` },
    says: { ...allow, status: 200, path: '/x', contactCenter: 'default', userId: ids.userId },
  },
  'a method': {
    target: link(),
    method: 'PROPFIND',
    says: { ...allow, method: 'PROPFIND', status: 200, path: '/', ...subject },
  },
  'an upload': {
    target: link(),
    method: 'POST',
    body: 'canary-of-a-body',
    says: { ...allow, method: 'POST', status: 200, path: '/', ...subject },
  },
  'what the upstream finds nothing for': {
    target: link({}, '/status/404'),
    says: { ...allow, status: 404, path: '/status/404', ...subject },
  },
  "what is the upstream's own fault": {
    target: link({}, '/status/500'),
    says: { ...allow, status: 500, path: '/status/500', ...subject },
  },
  'a refusal of the upstream': {
    target: link({}, '/status/401'),
    says: { ...allow, status: 401, path: '/status/401', ...subject },
  },
  HEAD: {
    target: link(),
    method: 'HEAD',
    says: { ...allow, method: 'HEAD', status: 200, path: '/', ...subject },
  },
  'a redirect': {
    target: link({}, '/status/302'),
    says: { ...allow, status: 302, path: '/status/302', ...subject },
  },
  'nothing changed': {
    target: link({}, '/status/304'),
    says: { ...allow, status: 304, path: '/status/304', ...subject },
  },
  'no token': { target: '/x', says: { ...deny, status: 401, path: '/x', reason: 'token-missing' } },
  'a token of nobody': {
    target: link({ auth: jwt(claims, { key: 'x' }) }),
    says: { ...deny, status: 401, path: '/', reason: 'token-invalid' },
  },
  'a user who is not proven': {
    target: link({ userId: 'VICTIM' }),
    says: { ...deny, status: 403, path: '/', reason: 'claim-mismatch', ...subject },
  },
  'a target refused': {
    target: `/../x${link().slice(1)}`,
    says: { ...deny, status: 400, reason: 'target-invalid' },
  },
  'a query refused': {
    target: '/x?userid=agent-7',
    says: { ...deny, status: 400, path: '/x', reason: 'query-ambiguous' },
  },
  'a large body': {
    target: link(),
    method: 'POST',
    body: 'x'.repeat(2000),
    says: { ...deny, method: 'POST', status: 413, path: '/', reason: 'body-too-large', ...subject },
  },
  'an upstream that hangs up': {
    target: link({}, '/reset'),
    method: 'POST',
    says: {
      ...deny,
      method: 'POST',
      status: 502,
      path: '/reset',
      reason: 'upstream-unreachable',
      ...subject,
    },
  },
  'an upstream that is silent': {
    target: link({}, '/silent'),
    says: { ...deny, status: 504, path: '/silent', reason: 'upstream-timeout', ...subject },
  },
  'an answer cut short': {
    target: link({}, '/cut'),
    says: { ...allow, status: 200, path: '/cut', ...subject },
  },
}

t.test('one line each, that says what the contract promises and nothing of another', async (t) => {
  for (const [name, { target, method = 'GET', headers = {}, body, says }] of Object.entries(rows)) {
    const before = (await gateway.audited(0)).length
    const asked = { method, headers, ...(body === undefined ? {} : { body }) }
    const answer = await ask(gateway.origin, target, asked)
    const lines = (await gateway.audited(before + 1)).slice(before)
    t.equal(lines.length, 1, `${name}: one line`)
    const line = lines[0] ?? {}
    t.match(line, {
      event: 'access',
      transport: 'http',
      ip: '127.0.0.1',
      requestId: answer.headers['x-request-id'],
      durationMs: Number,
      ...says,
    })
    t.ok(Number(line['durationMs']) >= 0, `${name}: duration`)
    const promised = [...common, 'contactCenter', 'method', 'path', 'reason', 'sessionId', 'userId']
    const told = promised.filter((field) => field in line)
    t.strictSame(
      told.sort(),
      [...new Set([...common, ...Object.keys(says)])].sort(),
      `${name}: fields`,
    )
    t.equal(answer.status, says['status'], `${name}: is what the client was told`)
  }
})

t.test('what never became a request has a line too', async (t) => {
  const large = `GET / HTTP/1.1\r\nX: ${'x'.repeat(64 * 1024)}\r\n\r\n`
  for (const [bytes, status, reason] of [
    ['GARBAGE\r\n\r\n', 400, 'request-malformed'],
    [large, 431, 'headers-too-large'],
    [`CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n`, 400, 'target-invalid'],
    [`OPTIONS * HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 400, 'target-invalid'],
  ] as const) {
    const before = (await gateway.audited(0)).length
    const [answer] = answersIn(await exchange(gateway.port, bytes))
    const lines = (await gateway.audited(before + 1)).slice(before)
    t.equal(lines.length, 1)
    t.match(lines[0], {
      event: 'access',
      decision: 'deny',
      reason,
      status,
      ip: '127.0.0.1',
      requestId: answer?.headers['x-request-id'],
      durationMs: Number,
    })
    t.notOk('path' in (lines[0] ?? {}), 'no path')
    t.notOk('userId' in (lines[0] ?? {}), 'nobody')
  }
})

t.test('pipelined requests have a line each, a client that leaves one', async (t) => {
  let before = (await gateway.audited(0)).length
  const one = `GET ${link()} HTTP/1.1\r\nHost: ${host}\r\n`
  await exchange(gateway.port, `${one}\r\n${one}\r\n${one}Connection: close\r\n\r\n`)
  t.equal((await gateway.audited(before + 3)).length, before + 3)

  before += 3
  const socket = connect(gateway.port, '127.0.0.1')
  socket.write(`GET ${link({}, '/events')} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  await once(socket, 'data')
  t.equal((await gateway.audited(before)).length, before, 'none while it lasts')
  socket.destroy()
  t.match((await gateway.audited(before + 1)).at(-1), { ...allow, status: 200, path: '/events' })
  // A later request's line is the next one.
  await ask(gateway.origin, link())
  t.equal((await gateway.audited(before + 2)).length, before + 2)
})

t.test('nothing secret is in any line, nor in what a refused client gets', async (t) => {
  const good = jwt()
  const expired = jwt({ ...claims, exp: 1 })
  const forged = jwt(claims, { key: 'x' })
  const unclear = jwt({ ...claims, sub: 'canary-of-a-claim' })
  const shortLink = 'aUsEd4n0nce0nly-_h0meQ'
  const query = `userId=agent-7&sessionId=session-1&URLToken=f38791ae&auth=${good}`
  const headers = {
    Authorization: 'Basic canary-of-a-password',
    Cookie: `${cookie}; a=canary-of-a-cookie`,
    Referer: `https://cc.example/?auth=${good}`,
    'X-Api-Key': 'canary-of-a-header',
    'User-Agent': 'canary-of-an-agent',
  }
  const targets = [
    link({ auth: good }),
    link({ auth: expired }),
    link({ auth: forged }),
    link({ auth: unclear }),
    link({ auth: good, userId: 'canary-of-a-user' }),
    link({ auth: good, URLToken: '' }),
    `${link({ auth: good })}&x=canary-of-a-parameter`,
    `${link({ auth: good })}&auth=${forged}`,
    `/x?copilotSession=${good}`,
    link({ auth: good }, '/reset'),
    link({ auth: good }, '/silent'),
    link({ auth: good }, '/cut'),
    `/..${link({ auth: good })}`,
    `//${host}${link({ auth: good })}`,
    `/%zz${link({ auth: good })}`,
    `http://${host}${link({ auth: good })}`,
    `/#${query}`,
    // Links as they are mangled by those who encode or paste them: the query is in the path.
    `/${query}`,
    `/&${query}`,
    `/%3F${query}`,
    `/${encodeURIComponent(`?${query}`)}`,
    `/x;${query}`,
    `/${good}`,
    `/auth/${good}/x`,
    `/${encodeURIComponent(good).replaceAll('e', '%65')}`,
    // Short links, at the wrong listener: whoever reads them is let in.
    `/o/${shortLink}`,
    `/o/${shortLink}.`,
    `/base/o/${shortLink.replace('a', '%61')}`,
  ]
  const answers: string[] = []
  const before = (await gateway.audited(0)).length
  for (const target of targets) {
    for (const method of ['GET', 'POST']) {
      const lines = Object.entries(headers).map((pair) => pair.join(': '))
      const head = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...lines]
      const bytes = `${head.join('\r\n')}\r\nContent-Length: 16\r\n\r\ncanary-of-a-body`
      answers.push(await exchange(gateway.port, bytes))
    }
  }
  answers.push(await exchange(gateway.port, `canary-of-a-line ${query}\r\n\r\n`))
  answers.push(await exchange(gateway.port, `GET /?${query}\r\nX: ${'x'.repeat(99_999)}\r\n\r\n`))
  await gateway.audited(before + answers.length)

  const log = JSON.stringify(gateway.lines)
  const told = answers
    .filter((text) => !/^HTTP\/1\.1 200 /.test(text))
    .join('\n')
    .replaceAll('%65', 'e')
  const parts = [good, expired, forged, unclear].flatMap((token) => [
    token,
    ...token.split('.').slice(1),
  ])
  const canaries: readonly (readonly [string, string])[] = [
    ['the shared secret', secret],
    ['the session cookie', cookie.slice(cookie.indexOf('=') + 1)],
    ['its name', cookie.slice(0, cookie.indexOf('='))],
    ['a cookie of the upstream', set],
    ['the URLToken', ids.URLToken],
    ['a parameter', 'auth='],
    ['a short link', shortLink.slice(1)],
    ['the address of the upstream', new URL(upstream.origin).host],
    ...parts.map((part) => ['a token, or a part of one', part] as const),
  ]
  for (const [name, canary] of canaries) {
    t.notOk(log.replaceAll('%65', 'e').includes(canary), `the log: ${name}`)
    t.notOk(told.includes(canary), `refusals: ${name}`)
  }
  t.notMatch(log, 'canary', 'the log: anything else that the client sent')
  t.notMatch(told, 'canary', 'refusals: anything that the client sent')
  t.notMatch(log, /https?:\/\/[^"]*[?&]/, 'the log: a full URL')
})

t.test('a request id is in the log, the header and the body alike', async (t) => {
  for (const accept of ['text/html', '*/*']) {
    const { headers, body } = await ask(gateway.origin, '/', { headers: { Accept: accept } })
    const id = String(headers['x-request-id'])
    t.ok(body.includes(id))
    t.match(await auditOf(gateway, id), { reason: 'token-missing' })
  }
})
