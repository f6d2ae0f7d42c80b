// What several processes saw adds up, and takes no more memory than it may.
import t from 'tap'
import { Refusals, refusalOf } from '../../src/observe/activity.ts'
import { addDuration, addLatency, createLatency, percentiles } from '../../src/observe/latency.ts'
import { createObservations, type Observations } from '../../src/observe/observations.ts'
import { createOverview, type News } from '../../src/observe/overview.ts'
import { Sessions, SessionsSeen } from '../../src/observe/sessions.ts'
import { facts, line, refused, session } from '../admin/stage.ts'

/** Two processes, whose reports are taken with each point. */
function startTwo(t: { teardown(done: () => unknown): void }, interval: number) {
  const one = createObservations(() => facts)
  const two = createObservations(() => ({ ...facts, connections: 4, enforcement: 'report' }))
  const workers = Object.entries({ one, two })
  const overview = createOverview(
    {
      version: '1.2.3',
      scope: () => 'workers',
      upstreams: () => [],
      upstreamsKnown: async () => {},
      async collect(withMetrics) {
        for (const [id, worker] of workers) {
          overview.take(id, JSON.parse(JSON.stringify(await worker.report(withMetrics))))
        }
      },
    },
    { interval, span: interval * 5 },
  )
  // The overview's timers keep no process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => {
    overview.close()
    clearInterval(alive)
  })
  return { one, two, overview }
}

t.test('a point is what all of them saw in its interval', async (t) => {
  const { one, two, overview } = startTwo(t, 20)
  const many = (worker: Observations, count: number, durationMs: number): void => {
    for (let i = 0; i < count; i += 1) worker.observe(line({ durationMs }))
  }
  const news: News[] = []
  const seen = Promise.withResolvers<void>()
  overview.watch((one) => {
    news.push(one)
    if (one.name === 'point' && one.value.allowed > 0) seen.resolve()
  })
  many(one, 80, 10)
  many(two, 20, 1000)
  two.observe(line({ ...refused, durationMs: 60_000 }))
  one.observe(line(refused))
  two.observe(line({ reason: 'token-expired', transport: 'websocket', socket: 'open' }))
  two.observe(line({ ...refused, transport: 'websocket', socket: 'close', ended: 'client' }))
  await seen.promise
  const [point] = news.flatMap((one) =>
    one.name === 'point' && one.value.allowed > 0 ? one.value : [],
  )
  t.match(point, { allowed: 100, refused: 2, reported: 1, reasons: { 'token-expired': 3 } })
  t.equal(news.filter(({ name }) => name === 'refusal').length, 3, 'the end of a socket is none')
  t.match(point, { sockets: 0, sessions: 0, connections: 7 })
  t.match(point?.latency, { p50: 10, p90: Number, p99: Number }, 'of what was allowed over HTTP')
  for (const ms of [point?.latency?.p90 ?? 0, point?.latency?.p99 ?? 0]) {
    t.ok(Math.abs(ms - 1000) <= 50, `${ms} is 1000 within 5 %`)
  }
  const status = await overview.status()
  t.match(status, { workers: 2, scope: 'workers', enforcement: 'report' }, 'what one of them does')
})

t.test('percentiles are right within 5 %, however the numbers lie', (t) => {
  const rows: Readonly<Record<string, readonly number[]>> = {
    one: [7],
    'all alike': Array<number>(1000).fill(123),
    'one late': [...Array<number>(999).fill(5), 30_000],
    spread: Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 60_000),
    'small ones': Array.from({ length: 1000 }, (_, i) => i % 20),
    'at once': Array<number>(10).fill(0),
  }
  for (const [name, durations] of Object.entries(rows)) {
    const latency = createLatency()
    const other = createLatency()
    for (const [i, ms] of durations.entries()) addDuration(i % 2 ? latency : other, ms)
    addLatency(latency, other)
    const sorted = durations.toSorted((a, b) => a - b)
    const found = percentiles(latency)
    for (const [share, ms] of [
      [0.5, found?.p50],
      [0.9, found?.p90],
      [0.99, found?.p99],
    ] as const) {
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0
      const most = exact * 0.05 + 0.5
      t.ok(Math.abs((ms ?? -1) - exact) <= most, `${name}: ${ms} for ${exact}`)
    }
  }
  t.equal(percentiles(createLatency()), null)
  const endless = createLatency()
  addDuration(endless, 1e9)
  t.ok((percentiles(endless)?.p50 ?? 0) > 3_400_000, 'a day is an hour at least')
  t.equal(endless.length, createLatency().length)
  t.end()
})

t.test('of refusals the latest are kept, twenty of a second', (t) => {
  const refusals = new Refusals()
  let told = 0
  for (let second = 0; second < 10; second += 1) {
    for (let i = 0; i < 150; i += 1) {
      const requestId = `${second}-${i}`
      const refusal = refusalOf(line({ ...refused, requestId }), second * 1000 + i)
      if (refusal !== null && refusals.add(refusal) !== null) told += 1
    }
  }
  t.equal(told, 200)
  const kept = refusals.take()
  t.equal(kept.length, 100)
  t.match(kept[0], { requestId: '5-0', skipped: 130 })
  t.match(kept[99], { requestId: '9-19', skipped: undefined })
  t.same(refusals.take(), [], 'taken once')
  t.end()
})

t.test('the latest points are kept, however long it runs', async (t) => {
  const { overview } = startTwo(t, 20)
  let ticks = 0
  let first = 0
  const done = Promise.withResolvers<void>()
  overview.watch(({ name, value }) => {
    if (name !== 'point') return
    ticks += 1
    if (ticks === 1) first = value.time
    if (ticks === 7) done.resolve()
  })
  await done.promise
  overview.watch(({ name, value }) => {
    if (name !== 'history') return
    t.equal(value.points.length, 5)
    t.notOk(
      value.points.some(({ time }) => time === first),
      'the first is gone',
    )
  })
})

t.test('a process that nobody asks keeps a bounded part', (t) => {
  const seen = new SessionsSeen()
  for (let i = 0; i < 100_010; i += 1) {
    seen.see(session(`user-${i}`, 's'), i)
  }
  const news = seen.take()
  t.equal(news.length, 100_000)
  t.equal(news[0]?.userId, 'user-10', 'the oldest are forgotten')
  t.same(seen.take(), [], 'told once')
  t.end()
})

t.test('sessions of all processes are bounded, and end', (t) => {
  const sessions = new Sessions()
  const one = (i: number, end: number) => ({
    contactCenter: i % 2 ? 'acme' : 'other',
    userId: `user-${i}`,
    sessionId: 's',
    seen: { start: 0, end, lastSeen: i },
    sockets: 1,
  })
  sessions.add(
    '1',
    Array.from({ length: 100_010 }, (_, i) => one(i, i < 50_000 ? 100 : 200)),
  )
  t.equal(sessions.list('', 1, 0).total, 100_000)
  t.same(
    [...sessions.count(100)],
    [
      ['other', 25_005],
      ['acme', 25_005],
    ],
  )
  t.match(sessions.list('USER-99999', 10, 100).sessions, [{ sockets: 1 }])
  sessions.add('2', [one(99_999, 150)])
  t.match(
    sessions.list('user-99999', 10, 100).sessions,
    [{ sockets: 2, end: 200 }],
    'the later end',
  )
  t.match(sessions.list('', 1, 100).sessions, [{ userId: 'user-99999' }], 'seen last')
  sessions.forget('1')
  t.match(sessions.list('user-99999', 10, 100).sessions, [{ sockets: 1 }])
  sessions.revoke({ contactCenter: 'acme', userId: 'user-99999', sessionId: 'another' })
  t.equal(sessions.list('user-99999', 10, 100).total, 1, 'another session of the same user')
  sessions.revoke({ contactCenter: 'other', userId: 'user-99999', sessionId: null })
  t.equal(sessions.list('user-99999', 10, 100).total, 1, 'a user of that name elsewhere')
  sessions.revoke({ contactCenter: null, userId: 'user-99999', sessionId: null })
  t.equal(sessions.list('user-99999', 10, 100).total, 0)
  t.equal(sessions.count(200).size, 0)
  t.equal(sessions.list('', 1, 0).total, 0, 'what has ended is forgotten')
  t.end()
})

t.test(
  'a thousand contact centers are put together by their names, each looked at a few times',
  async (t) => {
    const { overview } = startTwo(t, 60_000)
    const { facts: one, ...report } = await createObservations(() => facts).report(false)
    const [first] = one.contactCenters
    if (first === undefined) throw new Error('no contact center')
    let reads = 0
    const contactCenters = Array.from({ length: 1000 }, (_, i) => ({
      ...first,
      get name() {
        reads += 1
        return `cc${i}`
      },
    }))
    for (const process of ['three', 'four']) {
      overview.take(process, { ...report, facts: { ...one, contactCenters } })
    }
    const status = await overview.status()
    t.equal(status.contactCenters.length, 1001)
    t.equal(status.contactCenters[999]?.name, 'cc999')
    t.ok(reads <= 10_000, `${reads} reads of names`)
  },
)
