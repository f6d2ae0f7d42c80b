// Prometheus reads what is written, of one process and of several, and it holds nobody's ids.
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { metrics } from '../../src/observe/metrics.ts'
import { createObservations, type Facts, type Report } from '../../src/observe/observations.ts'
import { createOverview, type Overview } from '../../src/observe/overview.ts'
import { facts, line, refused, session } from '../admin/stage.ts'

const up = { origin: 'https://copilot.example', up: true, since: 1, error: null }

interface Scope {
  teardown(done: () => unknown): void
}

function startOverview(t: Scope, collect: (withMetrics: boolean) => Promise<void>): Overview {
  const overview = createOverview(
    {
      version: '1.2.3',
      scope: () => 'workers',
      upstreams: () => [
        { ...up, name: 'workspace' },
        { ...up, name: 'backend', up: false },
      ],
      upstreamsKnown: async () => {},
      collect,
    },
    { interval: 60_000 },
  )
  t.teardown(overview.close)
  return overview
}

/** The overview of one process for which these facts hold. */
function startOne(t: Scope, all: Facts = facts) {
  const observations = createObservations(() => all)
  const overview = startOverview(t, async (withMetrics) =>
    overview.take('1', await observations.report(withMetrics)),
  )
  return { observations, overview }
}

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Reads Prometheus' text format; throws where a line is none of it. */
function parse(text: string): Sample[] {
  return text.split('\n').flatMap((one) => {
    if (one === '' || /^# (?:HELP|TYPE) /.test(one)) return []
    const [, name = '', labels = '', value = ''] =
      /^([a-z\d_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/.exec(one) ?? []
    if (!/^(?:[\d.e+-]+|[+-]Inf|NaN)$/i.test(value)) throw new Error(`no sample: ${one}`)
    const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)]
    const unescaped = pairs.map(([, label = '', text = '']) => [
      label,
      text.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)),
    ])
    return { name, labels: Object.fromEntries(unescaped), value: Number(value) }
  })
}

/** The value of the one sample with this name and these labels. */
async function sampleOf(
  overview: Overview,
  metric: { readonly name: string },
  labels: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  const found = parse(await overview.metrics()).filter(
    (sample) =>
      sample.name === metric.name &&
      JSON.stringify(Object.entries(sample.labels).sort()) ===
        JSON.stringify(Object.entries(labels).sort()),
  )
  if (found.length > 1) throw new Error(`twice: ${metric.name}`)
  return found[0]?.value
}

const everything: Facts = {
  ...facts,
  logLinesDropped: 4,
  certificate: { expires: 2_000_000_000_000 },
  redis: { up: true, since: 1 },
  contactCenters: facts.contactCenters.map((one) => ({
    ...one,
    jwks: { up: true, lastSuccess: 1_900_000_000_000 },
    keys: [
      { id: 'first', label: '1', kind: 'secret' },
      { id: 'second', label: '2', kind: 'secret' },
    ],
  })),
}
const http = { contact_center: 'acme', transport: 'http' }
const socket = { ...http, transport: 'websocket' }
const opened = { transport: 'websocket', socket: 'open', status: 101, requestId: 's1' } as const
const closed = { ...opened, socket: 'close', ended: 'client' } as const

t.test('each metric counts what it says', async (t) => {
  const { observations, overview } = startOne(t, everything)
  const { observe } = observations
  observe(line({ durationMs: 30 }))
  observe(line(refused))
  observe(line({ reason: 'claim-mismatch', durationMs: 70_000 }))
  observe(line({ decision: 'deny', reason: 'upstream-timeout', status: 504 }))
  observe(line(opened))
  observe(line({ ...opened, requestId: 's2' }))
  observe(line({ ...opened, requestId: 's2' }))
  observe(line({ ...closed, requestId: 's2' }))
  observe(line({ ...opened, ...refused, socket: 'open', requestId: 's3' }))
  observe(line({ ...closed, requestId: 's3', contactCenter: 'another, since its events told' }))
  observe(line({ ...closed, requestId: 'never opened' }))
  observations.seen(session('a', '1'))
  observations.seen(session('a', '2'))
  observations.seen({ ...session('a', '3'), end: Date.now() - 1 })
  observations.tokenVerified('acme', { id: 'first', label: '1' })
  observations.revoked({ contactCenter: null, userId: null, sessionId: '2' }, true)
  observations.revoked({ contactCenter: null, userId: null, sessionId: '9' }, false)
  overview.revoked({ contactCenter: null, userId: null, sessionId: '9' })
  const unknown = { asked: 'open', reason: 'link-unknown', contact_center: '' }
  overview.linkAsked(unknown)
  overview.linkAsked(unknown)
  observations.handshakeFailed()
  observations.reloaded(['JWT_SECRET is too short'])
  const allow = { decision: 'allow', reason: '', ...http }
  const seconds = { name: `${metrics.requestDuration.name}_bucket` }
  for (const [name, metric, labels, value] of [
    ['allowed', metrics.requests, allow, 1],
    ['refused', metrics.requests, { ...allow, decision: 'deny', reason: 'token-expired' }, 1],
    ['reported', metrics.requests, { ...allow, decision: 'report', reason: 'claim-mismatch' }, 1],
    ['sockets, once each', metrics.requests, { ...allow, ...socket }, 3],
    ['fast', seconds, { decision: 'allow', transport: 'http', le: '0.025' }, 0],
    ['slower', seconds, { decision: 'allow', transport: 'http', le: '0.05' }, 1],
    ['a minute', seconds, { decision: 'report', transport: 'http', le: '60' }, 0],
    ['longer', seconds, { decision: 'report', transport: 'http', le: '+Inf' }, 1],
    ['open', metrics.sockets, { contact_center: 'acme' }, 2],
    ['closed', metrics.socketsClosed, { ended: 'client' }, 3],
    ['connections', metrics.connections, {}, 3],
    ['sessions', metrics.sessions, { contact_center: 'acme' }, 1],
    ['revocations', metrics.revocations, {}, 2],
    ['up', metrics.upstreamUp, { upstream: 'workspace' }, 1],
    ['down', metrics.upstreamUp, { upstream: 'backend' }, 0],
    ['late', metrics.upstreamErrors, { reason: 'upstream-timeout' }, 1],
    ['no error', metrics.upstreamErrors, { reason: 'upstream-unreadable' }, 0],
    ['verified', metrics.tokensVerified, { contact_center: 'acme', key: '1' }, 1],
    ['not yet', metrics.tokensVerified, { contact_center: 'acme', key: '2' }, 0],
    ['never used', metrics.keyLastUsed, { contact_center: 'acme', key: '2' }, 0],
    ['reloads', metrics.reloads, { result: 'failure' }, 1],
    ['no reload', metrics.reloads, { result: 'success' }, 0],
    ['the last failed', metrics.lastReloadSuccessful, {}, 0],
    ['certificate', metrics.certificateExpiry, {}, 2_000_000_000],
    ['handshakes', metrics.handshakeErrors, {}, 1],
    ['dropped', metrics.logLinesDropped, {}, 4],
    ['dropped, asked again', metrics.logLinesDropped, {}, 4],
    ['Redis', metrics.redisUp, {}, 1],
    ['published keys', metrics.jwksUp, { contact_center: 'acme' }, 1],
    ['fetched', metrics.jwksLastSuccess, { contact_center: 'acme' }, 1_900_000_000],
    ['links', metrics.links, unknown, 2],
    ['build', metrics.buildInfo, { version: '1.2.3' }, 1],
  ] as const) {
    t.equal(await sampleOf(overview, metric, labels), value, name)
  }
  const lastUsed = await sampleOf(overview, metrics.keyLastUsed, {
    contact_center: 'acme',
    key: '1',
  })
  t.ok(Math.abs(Date.now() / 1000 - (lastUsed ?? 0)) < 60, 'in seconds')
  observations.reloaded([])
  t.equal(await sampleOf(overview, metrics.lastReloadSuccessful), 1)
  const names = parse(await overview.metrics()).map(({ name }) => name)
  t.ok(
    names.includes('process_start_time_seconds') && names.includes('nodejs_heap_size_used_bytes'),
  )
  for (const { name, type } of Object.values(metrics)) {
    t.ok(names.includes(type === 'histogram' ? `${name}_sum` : name), name)
  }
})

t.test('what there is not has no metric', async (t) => {
  const { overview } = startOne(t)
  const text = await overview.metrics()
  for (const { name } of [metrics.certificateExpiry, metrics.redisUp]) t.notMatch(text, name)
})

t.test('contact centers are called what their names are', async (t) => {
  for (const name of ['say "acme"', 'a\\nb', 'a\nb', 'Müller & Söhne', '呼叫中心', '{x="y"} 1 #']) {
    const contactCenters = everything.contactCenters.map((one) => ({ ...one, name }))
    const { observations, overview } = startOne(t, { ...everything, contactCenters })
    observations.observe(line({ contactCenter: name }))
    const labels = { decision: 'allow', reason: '', contact_center: name, transport: 'http' }
    t.equal(await sampleOf(overview, metrics.requests, labels), 1, JSON.stringify(name))
    t.same(check(await overview.metrics()), [], JSON.stringify(name))
  }
})

/** What promtool says of a text, line by line; nothing where it is not there. */
function check(text: string): string[] {
  const { error, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text })
  if (error === undefined) {
    // prom-client calls three gauges *_total.
    const theirs = /^nodejs_active_\w+_total non-counter/
    return `${stdout}${stderr}`.split('\n').filter((one) => one !== '' && !theirs.test(one))
  }
  if (process.env['CI'] === 'true') throw error
  t.comment('promtool is not installed (apt-get install prometheus)')
  return []
}

t.test('no label holds an id of an agent’s', async (t) => {
  const { observations, overview } = startOne(t)
  const ids = { userId: 'canary-user', sessionId: 'canary-session' }
  observations.observe(line({ ...ids, path: '/canary-path', ip: 'canary-ip', hint: 'canary-hint' }))
  observations.observe(line({ ...ids, ...opened, requestId: 'canary-request' }))
  observations.seen(session('canary-user', 'canary-session'))
  observations.tokenVerified('acme', { id: 'canary-key', label: '1' })
  t.notMatch(await overview.metrics(), 'canary')
})

t.test('what contact centers a reload took away have no keys left', async (t) => {
  let all = everything
  const observations = createObservations(() => all)
  const overview = startOverview(t, async (withMetrics) =>
    overview.take('1', await observations.report(withMetrics)),
  )
  t.equal(await sampleOf(overview, metrics.jwksUp, { contact_center: 'acme' }), 1)
  all = { ...everything, contactCenters: [] }
  t.equal(await sampleOf(overview, metrics.jwksUp, { contact_center: 'acme' }), undefined)
})

t.test('several processes are one', async (t) => {
  const workers = new Map([1, 2].map((id) => [String(id), createObservations(() => everything)]))
  const overview = startOverview(t, async (withMetrics) => {
    for (const [id, worker] of workers) {
      // As it comes from another process.
      const report: Report = JSON.parse(JSON.stringify(await worker.report(withMetrics)))
      overview.take(id, report)
    }
  })
  const allow = { decision: 'allow', reason: '', ...http }
  const [one, two] = [...workers.values()]
  one?.observe(line())
  two?.observe(line())
  for (const worker of workers.values()) {
    worker.observe(line({ ...opened, userId: 'a', sessionId: '1' }))
    worker.seen(session('a', '1'))
    worker.tokenVerified('acme', { id: 'first', label: '1' })
    worker.reloaded([])
  }
  const expected = [
    ['requests', metrics.requests, allow, 2],
    ['sockets', metrics.sockets, { contact_center: 'acme' }, 2],
    ['connections', metrics.connections, {}, 6],
    ['a session that both have seen', metrics.sessions, { contact_center: 'acme' }, 1],
    ['a reload in both', metrics.reloads, { result: 'success' }, 1],
    ['the certificate', metrics.certificateExpiry, {}, 2_000_000_000],
    ['Redis', metrics.redisUp, {}, 1],
    ['build', metrics.buildInfo, { version: '1.2.3' }, 1],
  ] as const
  for (const [name, metric, labels, value] of expected) {
    t.equal(await sampleOf(overview, metric, labels), value, name)
  }
  t.same(check(await overview.metrics()), [])
  t.match(await overview.sessions('', 10), { total: 1, sessions: [{ sockets: 2 }] })
  t.match(await overview.status(), {
    workers: 2,
    contactCenters: [
      {
        keys: [
          { label: '1', uses: 2, lastUsed: Number },
          { label: '2', uses: 0 },
        ],
      },
    ],
  })

  workers.delete('2')
  overview.forget('2')
  for (const [name, metric, labels, value] of [
    ['requests stay', metrics.requests, allow, 2],
    ['its sockets are gone', metrics.sockets, { contact_center: 'acme' }, 1],
    ['and its connections', metrics.connections, {}, 3],
    ['the session is seen', metrics.sessions, { contact_center: 'acme' }, 1],
  ] as const) {
    t.equal(await sampleOf(overview, metric, labels), value, name)
  }
  t.match(await overview.sessions('', 10), { sessions: [{ sockets: 1 }] })
  t.match(await overview.status(), { workers: 1 })
})

t.test('keys that are gone leave no series, however often an issuer renames them', async (t) => {
  let round = 0
  const [center] = facts.contactCenters
  if (center === undefined) throw new Error('no contact center')
  const keys = () => [
    { id: `secret ${round}`, label: '1', kind: 'secret' } as const,
    { id: `${round}`, label: `kid ${round}`, kind: 'public key' } as const,
  ]
  const observations = createObservations(() => ({
    ...facts,
    contactCenters: [{ ...center, keys: keys() }],
  }))
  for (round = 1; round <= 100; round += 1) {
    for (const key of keys()) observations.tokenVerified('acme', key)
    await observations.report(round % 2 === 0)
  }
  // A connection of before, whose key has left.
  observations.tokenVerified('acme', { id: '7', label: 'kid 7' })
  const { metrics: told } = await observations.report(true)
  const values = told?.find(({ name }) => name === metrics.tokensVerified.name)?.values ?? []
  t.strictSame(
    values.map(({ labels, value }) => [labels['key'], value]),
    [
      ['1', 100],
      ['kid 101', 0],
    ],
  )
})
