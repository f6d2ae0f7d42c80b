// The event stream tells what was and what comes, and no reader costs the others anything.
import { type IncomingMessage, request as startRequest } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { ask, exchange } from '../stage.ts'
import { authorized, facts, line, type Operated, refused, session, startAdmin } from './stage.ts'

interface Told {
  readonly name: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Reader {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** The next event of these names. */
  readonly next: (...names: string[]) => Promise<Told>
  /** Whether the answer was whole at its end. */
  readonly ended: Promise<boolean>
  readonly leave: () => void
}

async function read(origin: string): Promise<Reader> {
  const request = startRequest(`${origin}/events`, { headers: authorized, agent: false })
  request.on('error', () => {})
  const response = await new Promise<IncomingMessage>((resolve) => {
    request.once('response', resolve)
    request.end()
  })
  const ended = new Promise<boolean>((resolve) => {
    response.once('close', () => resolve(response.complete))
  })
  response.on('error', () => {})
  const lines = createInterface({ input: response })[Symbol.asyncIterator]()
  const text = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new Error('the stream ended')
    return value
  }
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    async next(...names) {
      for (;;) {
        const [, name = ''] = /^event: (.*)$/.exec(await text()) ?? []
        const [, json = ''] = /^data: (.*)$/.exec(await text()) ?? []
        const blank = await text()
        if (blank !== '') throw new Error(`an event of one line of data, not ${blank}`)
        if (names.length === 0 || names.includes(name)) return { name, value: JSON.parse(json) }
      }
    },
    ended,
    leave: () => request.destroy(),
  }
}

t.test('first what was, then what comes', async (t) => {
  const { origin, observations } = await startAdmin(t, { interval: 20 })
  const early = await read(origin)
  t.match(early.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  t.match(await early.next(), { name: 'history', value: { interval: 20, points: Array } })
  t.match(await early.next(), { name: 'status', value: { version: '1.2.3', draining: false } })
  observations.observe(line({ durationMs: 40 }))
  observations.observe(line({ ...refused, requestId: 'first', path: `/${'x'.repeat(5000)}` }))
  observations.observe(line({ reason: 'claim-mismatch', requestId: 'second' }))
  observations.seen(session('a', '1'))
  const first = await early.next('refusal')
  t.match(first.value, { requestId: 'first', decision: 'deny', reason: 'token-expired' })
  t.match(first.value, { status: 401, transport: 'http', ip: '192.0.2.1', contactCenter: 'acme' })
  t.equal(String(first.value['path']).length, 257, 'of what is long the beginning')
  const { value: second } = await early.next('refusal')
  t.match(second, { requestId: 'second', decision: 'allow', reason: 'claim-mismatch', status: 200 })
  let point = await early.next('point')
  while (point.value['allowed'] !== 1) point = await early.next('point')
  t.match(point.value, {
    time: Number,
    refused: 1,
    reported: 1,
    reasons: { 'token-expired': 1, 'claim-mismatch': 1 },
    latency: { p50: Number, p90: Number, p99: Number },
    sockets: 0,
    sessions: 1,
    connections: 3,
  })
  t.match(await early.next('point', 'status'), { name: 'status' }, 'each interval')
  t.match((await early.next('point')).value, { allowed: 0, latency: null, sessions: 1 })
  const late = await read(origin)
  const { value: history } = await late.next()
  t.ok(JSON.stringify(history['points']).includes(JSON.stringify(point.value)), 'the same point')
  t.match(await late.next(), { name: 'status', value: { ready: true } })
  t.match(await late.next(), { name: 'refusal', value: { requestId: 'first' } })
  t.match(await late.next(), { name: 'refusal', value: { requestId: 'second' } })
  early.leave()
  late.leave()
})

t.test('a flood of refusals is cut to twenty a second, and the rest counted', async (t) => {
  const { origin, observations } = await startAdmin(t, { interval: 20 })
  const reader = await read(origin)
  await reader.next('status')
  // All of them fall into one second or two.
  for (let i = 0; i < 1000; i += 1) {
    observations.observe(line({ ...refused, requestId: String(i) }))
  }
  const told: Told[] = []
  const last = async (): Promise<void> => {
    for (;;) {
      const news = await reader.next('refusal')
      told.push(news)
      if (news.value['requestId'] === 'after') return
    }
  }
  const over = last()
  await delay(1100 - (Date.now() % 1000))
  observations.observe(line({ ...refused, requestId: 'after' }))
  await over
  const skipped = told.reduce((sum, { value }) => sum + Number(value['skipped'] ?? 0), 0)
  t.ok(told.length <= 41, 'so many of two seconds, and the last')
  t.equal(told.length + skipped, 1001, 'each is told or counted')
  reader.leave()
})

/** Opens an event stream and never reads it. */
function stall(port: number): () => void {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.pause()
  const { Authorization } = authorized
  socket.write(`GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${Authorization}\r\n\r\n`)
  return () => socket.destroy()
}

/** Reads what is told for as long as it is, and keeps none of it. */
async function follow({ origin }: Operated): Promise<Reader> {
  const reader = await read(origin)
  const go = async (): Promise<void> => {
    for (;;) await reader.next('nothing')
  }
  go().catch(() => {})
  return reader
}

t.test('fifty may read, and who stops reading is let go', async (t) => {
  let warnings: readonly string[] = []
  const admin = await startAdmin(t, { interval: 20, facts: () => ({ ...facts, warnings }) })
  const { origin } = admin
  const followed = await read(origin)
  const readers = await Promise.all(Array.from({ length: 48 }, () => follow(admin)))
  const release = stall(Number(new URL(origin).port))
  const head = { method: 'HEAD', headers: authorized }
  t.equal((await ask(origin, '/events', head)).status, 200, 'HEAD takes no place')
  const refusedOne = async (): Promise<number> => {
    const reader = await read(origin)
    reader.leave()
    return reader.status
  }
  while ((await refusedOne()) !== 503) await delay(5)
  t.equal((await ask(origin, '/metrics', { headers: authorized })).status, 200)
  warnings = ['x'.repeat(200_000)]
  while ((await refusedOne()) !== 200) await delay(5)
  await followed.next('point')
  t.pass('the others read on')
  release()
  for (const reader of [followed, ...readers]) reader.leave()
})

t.test('a stream ends whole when the listener closes', async (t) => {
  const admin = await startAdmin(t)
  const readers = await Promise.all([follow(admin), follow(admin)])
  await admin.close()
  t.same(await Promise.all(readers.map(({ ended }) => ended)), [true, true])
})

t.test('who neither reads nor speaks keeps no listener from closing', async (t) => {
  // More than the system holds for a connection.
  const warnings = ['x'.repeat(20e6)]
  const admin = await startAdmin(t, { facts: () => ({ ...facts, warnings }) })
  await admin.overview.status()
  const port = Number(new URL(admin.origin).port)
  const release = stall(port)
  const half = exchange(port, 'GET /metrics HTTP/1.1\r\n')
  await (await read(admin.origin)).next('status')
  await admin.close()
  t.equal(await half, '', 'not even a time-out was waited for')
  release()
})
