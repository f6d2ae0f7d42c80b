// Every route of the admin listener answers as it is documented.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createAdmin } from '../../src/admin/admin.ts'
import { createLog } from '../../src/observe/log.ts'
import { ask, listen } from '../stage.ts'
import { authorized, facts, line, refused, session, startAdmin, token } from './stage.ts'

const problem = 'application/problem+json'

const folder = mkdtempSync(join(tmpdir(), 'dashboard-'))
t.teardown(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'index.html'), '<!doctype html><title>dashboard</title>')
writeFileSync(join(folder, 'dashboard.js'), 'export {}')
writeFileSync(join(folder, 'notes.txt'), 'nobody’s')

const rows: Readonly<
  Record<string, readonly [string, number, string, (RegExp | undefined)?, string?]>
> = {
  'the process lives': ['/healthz', 200, 'application/json', /^\{"status":"ok"\}$/],
  'the process serves': ['/readyz', 200, 'application/json', /^\{"status":"ready"\}$/],
  metrics: ['/metrics', 200, 'text/plain; version=0.0.4', /^copilot_gateway_requests_total\{/m],
  sessions: ['/sessions', 200, 'application/json', /^\{"scope":"process","total":0,/],
  'the dashboard': ['/', 200, 'text/html', /^<!doctype html>/],
  'its script': ['/assets/dashboard.js', 200, 'text/javascript', /^export/],
  'the chart library': ['/assets/uPlot.esm.js', 200, 'text/javascript', /uPlot/],
  'its style': ['/assets/uPlot.min.css', 200, 'text/css', /uplot/],
  'what is no file of the dashboard': ['/assets/notes.txt', 404, problem],
  'a file above': ['/assets/..%2f..%2fadmin.ts', 404, problem],
  'a path of nobody’s': ['/nothing', 404, problem],
  'a path that is malformed': ['/%zz', 400, problem, /"status":400/],
  'a method that is not taken': ['/sessions', 404, problem, undefined, 'POST'],
  'a body that nobody asked for': ['/sessions/1', 413, problem, undefined, 'DELETE'],
}

t.test('each path', async (t) => {
  const { origin, observations } = await startAdmin(t, { dashboard: folder })
  observations.observe(line())
  for (const [name, [path, status, type, body = /./, method = 'GET']] of Object.entries(rows)) {
    const sent = method === 'DELETE' ? { body: '{"a":1}' } : {}
    const headers = method === 'DELETE' ? { 'Content-Type': 'application/json' } : {}
    const asked = { method, ...sent, headers: { ...authorized, ...headers } }
    const answer = await ask(origin, path, asked)
    t.equal(answer.status, status, name)
    t.ok(answer.headers['content-type']?.startsWith(type), `${name}: ${type}`)
    t.match(answer.body, body, name)
    t.equal(answer.headers['cache-control'], 'no-store', name)
    t.equal(answer.headers['x-content-type-options'], 'nosniff', name)
    const csp = String(answer.headers['content-security-policy']).split('; ')
    t.same(
      csp,
      [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
      ],
      name,
    )
    if (type === problem) t.match(JSON.parse(answer.body), { type: 'about:blank', status }, name)
    if (method !== 'GET') continue
    const head = await ask(origin, path, { method: 'HEAD', headers: authorized })
    t.equal(head.status, status, `${name}: HEAD`)
    t.equal(head.headers['content-type'], answer.headers['content-type'], `${name}: HEAD`)
    t.equal(head.body, '', `${name}: HEAD`)
  }
})

t.test('without a dashboard the rest is there', async (t) => {
  const { origin } = await startAdmin(t, { dashboard: join(folder, 'none') })
  t.equal((await ask(origin, '/')).status, 404)
  t.equal((await ask(origin, '/healthz')).status, 200)
})

t.test('whether new requests should be sent here', async (t) => {
  const server = createHttpServer((_, response) => response.writeHead(500).end())
  const port = await listen(server)
  t.teardown(() => server.close())
  let redis: { up: boolean; since: number } | null = null
  const { origin, overview, health, log } = await startAdmin(t, {
    upstream: `http://127.0.0.1:${port}`,
    facts: () => ({ ...facts, redis }),
    probing: 20,
  })
  const ready = async (): Promise<readonly [number, unknown]> => {
    const { status, body } = await ask(origin, '/readyz')
    return [status, JSON.parse(body)]
  }
  t.same(await ready(), [200, { status: 'ready' }], 'whatever the workspace answers, it is there')
  redis = { up: true, since: 1 }
  await overview.status()
  t.same(await ready(), [200, { status: 'ready' }], 'with Redis')
  redis = { up: false, since: 1 }
  await overview.status()
  t.same(await ready(), [200, { status: 'degraded', redis: 'unreachable' }], 'without Redis')
  const isUp = async (wanted: boolean): Promise<void> => {
    while (health.states().some(({ up }) => up !== wanted)) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  server.close()
  await isUp(false)
  const error = 'ECONNREFUSED'
  const upstreams = [
    { name: 'workspace', error },
    { name: 'backend', error },
  ]
  t.same(await ready(), [503, { status: 'upstream-unreachable', upstreams }], 'without workspace')
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await isUp(true)
  overview.drain()
  t.same(await ready(), [503, { status: 'draining' }], 'while it stops')
  t.equal((await ask(origin, '/healthz')).status, 200, 'it lives nevertheless')
  const told = log.filter(({ event }) => event === 'upstream')
  t.match(
    told.filter(({ upstream }) => upstream === 'backend'),
    [
      { state: 'down', code: error },
      { state: 'up', code: undefined },
    ],
  )
  t.equal(told.length, 4, 'changes are logged, and no more')
})

t.test('who asks without a token has nobody asked', async (t) => {
  let reports = 0
  const { origin, overview } = await startAdmin(t, {
    facts: () => {
      reports += 1
      return facts
    },
  })
  // Its own timer asks once a second.
  overview.close()
  await overview.status()
  t.equal(reports, 1)
  for (const path of ['/readyz', '/readyz', '/healthz']) await ask(origin, path)
  t.equal(reports, 1)
})

t.test('the first answer of readiness waits for the first probe', async (t) => {
  const asked = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  // Its TLS handshake is what is waited for.
  const server = createServer(async (socket) => {
    asked.resolve()
    await go.promise
    socket.destroy()
  })
  const port = await listen(server)
  t.teardown(() => server.close())
  const { origin } = await startAdmin(t, { upstream: `https://127.0.0.1:${port}` })
  const first = ask(origin, '/readyz')
  await asked.promise
  const { status } = await ask(origin, '/metrics', { headers: authorized })
  t.equal(status, 200, 'nothing else waits')
  go.resolve()
  t.equal((await first).status, 503)
})

t.test('sessions are listed, newest first, and searched', async (t) => {
  const { origin, observations } = await startAdmin(t)
  const list = async (query: string): Promise<Record<string, unknown>> => {
    const { body } = await ask(origin, `/sessions${query}`, { headers: authorized })
    return JSON.parse(body)
  }
  const ids = { userId: 'Agent 7', sessionId: 's/1' }
  observations.seen(session('Agent 7', 's/1'))
  observations.seen(session('agent-8', 's2'))
  observations.observe(line({ ...ids, transport: 'websocket', socket: 'open', status: 101 }))
  const { total, sessions } = await list('')
  t.equal(total, 2)
  t.match(sessions, [
    { contactCenter: 'acme', userId: 'agent-8', sessionId: 's2', sockets: 0 },
    { contactCenter: 'acme', ...ids, sockets: 1, start: Number, end: Number, lastSeen: Number },
  ])
  t.match(await list('?search=AGENT+7'), { total: 1, sessions: [ids] }, 'in whatever case')
  t.match(await list('?search=s%2F1&limit=1'), { total: 1, sessions: [ids] })
  t.match(await list('?limit=1'), { total: 2, sessions: [{ userId: 'agent-8' }] })
  t.match(await list('?search=acme'), { total: 0 }, 'the ids alone')
  const close = { ...ids, transport: 'websocket', socket: 'close', ended: 'client' } as const
  observations.observe(line({ ...close, status: 101 }))
  t.match(await list('?search=s%2F1'), { sessions: [{ sockets: 0 }] })
  for (const [query, field] of [
    ['?limit=0', 'limit'],
    ['?limit=1001', 'limit'],
    ['?limit=1e2', 'limit'],
    ['?limit=1&limit=2', 'limit'],
    ['?search=%ff', 'search'],
    ['?user=1', 'user'],
  ] as const) {
    t.match(await list(query), { status: 400, field }, query)
  }
})

t.test('a refusal is in the metrics at once', async (t) => {
  const { origin, observations } = await startAdmin(t)
  observations.observe(line(refused))
  const { body } = await ask(origin, '/metrics', { headers: authorized })
  const name = 'decision="deny",reason="token-expired",contact_center="acme",transport="http"'
  t.match(body, `copilot_gateway_requests_total{${name}} 1\n`)
})

t.test('an address that is taken is an error', async (t) => {
  const { origin, overview } = await startAdmin(t)
  const settings = { host: '127.0.0.1', port: Number(new URL(origin).port), token }
  const sources = {
    overview,
    revoke: async () => 'process' as const,
    explain: async () => ({ field: 'link', problem: 'is not asked about' }) as const,
  }
  await t.rejects(createAdmin(settings, sources, createLog('silent', { write() {} })), {
    code: 'EADDRINUSE',
  })
})
