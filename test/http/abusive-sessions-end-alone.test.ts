// HTTP/2 as no browser speaks it: a session that floods, swells or sleeps is ended, and nobody
// else's is slowed by it.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { join } from 'node:path'
import { mock } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { link, type Stage, startGateway, startUpstream } from '../stage.ts'
import type { Wire } from '../websocket/peer.ts'
import {
  ack,
  dialHttp2,
  endHeaders,
  endStream,
  frame,
  framesIn,
  greeting,
  literal,
  preface,
  requestBlock,
  types,
  word,
} from './frames.ts'

const folder = t.testdir({ certs: {} })
const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
execFileSync('bash', [script, '--out', join(folder, 'certs')], { stdio: 'ignore' })
const tls = {
  TLS_CERT_FILE: join(folder, 'certs/server.pem'),
  TLS_KEY_FILE: join(folder, 'certs/server-key.pem'),
}

const large = Buffer.alloc(10 * 2 ** 20)
const upstream = await startUpstream(t, (request, response) => {
  const what = request.url?.split(/[/?]/)[1]
  request.on('error', () => {})
  if (what === 'echo') request.pipe(response)
  else if (what === 'large') response.end(large)
  else if (what === 'events')
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
  else if (what !== 'silent') response.end('ok')
})

const silent = link({}, '/silent')
const whole = endHeaders | endStream
const open = (stream: number, path = '/', more: Buffer = Buffer.alloc(0), flags = whole): Buffer =>
  frame(types.headers, stream, {
    flags,
    payload: Buffer.concat([requestBlock('localhost', path), more]),
  })
const streams = (count: number, of: (stream: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => of(2 * i + 1)))
const times = (count: number, bytes: Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => bytes))
const reset = (stream: number): Buffer => frame(types.reset, stream, { payload: word(8) })
/** The newest line of the table, 12 000 times: 36 MB in 12 kB. */
const bomb = (stream: number): Buffer => open(stream, '/', Buffer.alloc(12_000, 0x80 | 62))

// Before the others: a timer that runs must not be cleared by a clock that stands.
t.test('a session without a request ends, whatever else is said on it', async (t) => {
  // Whether a connection is gone shows in that there is room for another.
  const gateway = await startGateway(t, upstream.origin, { ...tls, MAX_CONNECTIONS: '1' })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const pings = async (client: Wire<TLSSocket>): Promise<void> => {
    const count = heard(client, types.ping).length
    client.socket.write(frame(types.ping, 0, { payload: Buffer.alloc(8) }))
    await reached(client, types.ping, count + 1)
  }
  const begin = async (more: Buffer = Buffer.alloc(0)): Promise<Wire<TLSSocket>> => {
    const client = await dialHttp2(t, gateway.port, 'half open')
    client.socket.write(Buffer.concat([greeting(), more]))
    await client.until((bytes) => framesIn(bytes).find(isAck) ?? null)
    return client
  }
  /** GOAWAY, and then the end, although the client says no goodbye. */
  const ends = async (t: Test, client: Wire<TLSSocket>, name: string): Promise<void> => {
    const [goaway] = await reached(client, types.goaway, 1)
    t.equal(goaway?.payload.readUInt32BE(4), 0, `${name}: no error`)
    t.equal(await room(), 503, `${name}: there is no room yet`)
    mock.timers.tick(5000)
    let status = 503
    for (let tries = 0; tries < 1000 && status === 503; tries += 1) status = await room()
    t.equal(status, 200, `${name}: now there is`)
    client.socket.destroy()
  }
  const room = async (): Promise<number> => {
    const agent = connectAgent(t, gateway)
    const status = await statusOf(agent)
    agent.destroy()
    return status
  }

  const idle = await begin()
  mock.timers.tick(74_999)
  await pings(idle)
  mock.timers.tick(1)
  await ends(t, idle, 'nothing said')

  const half = await begin(open(1, '/', undefined, 0))
  mock.timers.tick(75_000)
  await ends(t, half, 'half a head')

  const busy = await begin()
  busy.socket.write(open(1, link({}, '/events')))
  await reached(busy, types.headers, 1)
  mock.timers.tick(1_000_000)
  await pings(busy)
  t.same(heard(busy, types.goaway), [], 'an event stream keeps its session')
  busy.socket.write(reset(1))
  await pings(busy)
  mock.timers.tick(75_000)
  await ends(t, busy, 'its stream gone')
})

t.test('floods', { timeout: 120_000 }, async (t) => {
  const gateway = await startGateway(t, upstream.origin, { ...tls, IDLE_TIMEOUT: '1s' })
  const agent = connectAgent(t, gateway)
  const cookie = await sessionOf(agent)
  upstream.seen.length = 0
  const echo = agent.request({ ':path': link({}, '/echo'), ':method': 'POST' })
  echo.setEncoding('utf8').write('0')
  await once(echo, 'data')
  upstream.seen.length = 0

  /** How many streams have to be reset where the session goes on; none: it is ended. */
  type Resets = number | 'ended'
  type Row = readonly [name: string, bytes: Buffer, resets: Resets, asked?: number]
  const rows: readonly Row[] = [
    // CVE-2023-44487; Node lets a thousand pass, and 33 a second.
    ['rapid reset', streams(5000, (i) => Buffer.concat([open(i), reset(i)])), 'ended'],
    [
      'rapid reset of what may pass',
      streams(5000, (i) => Buffer.concat([open(i, silent), reset(i)])),
      'ended',
      1100,
    ],
    // CVE-2025-8671: the server is made to reset.
    [
      'streams that err',
      streams(5000, (i) =>
        Buffer.concat([open(i, silent), frame(types.window, i, { payload: word(0) })]),
      ),
      'ended',
      1100,
    ],
    [
      'CONTINUATION without end',
      Buffer.concat([
        open(1, '/', undefined, endStream),
        times(5000, frame(types.continuation, 1, { payload: literal('x', 'y'.repeat(99)) })),
      ]),
      'ended',
    ],
    [
      'CONTINUATION without content',
      Buffer.concat([
        open(1, '/', undefined, endStream),
        times(5000, frame(types.continuation, 1)),
      ]),
      'ended',
    ],
    ['SETTINGS', times(50_000, frame(types.settings, 0)), 'ended'],
    ['PING', times(50_000, frame(types.ping, 0, { payload: Buffer.alloc(8) })), 'ended'],
    ['PRIORITY', times(50_000, frame(types.priority, 1, { payload: Buffer.alloc(5) })), 'ended'],
    ['frames of no known type', times(50_000, frame(99, 0, { payload: Buffer.alloc(8) })), 'ended'],
    [
      'DATA without content',
      Buffer.concat([open(1, silent, undefined, endHeaders), times(50_000, frame(types.data, 1))]),
      'ended',
      1,
    ],
    ['a frame past all bounds', frame(types.data, 1, { payload: Buffer.alloc(100_000) }), 'ended'],
    [
      'a window past all bounds',
      times(3, frame(types.window, 0, { payload: word(2 ** 31 - 1) })),
      'ended',
    ],
    [
      'a header block that is none',
      frame(types.headers, 1, { flags: whole, payload: Buffer.alloc(20, 0xff) }),
      'ended',
    ],
    ['a stream of the server’s', open(2), 'ended'],
    ['a push', frame(5, 1, { payload: Buffer.alloc(20) }), 'ended'],
    ['2000 header lines', open(1, silent, times(2000, literal('x', 'y'))), 1],
    [
      'a block that swells',
      Buffer.concat([
        open(1, silent, literal('x', 'y'.repeat(3000), true)),
        streams(99, (i) => bomb(i + 2)),
      ]),
      99,
      1,
    ],
    ['300 streams at once', streams(300, (i) => open(i, silent)), 300 - 128, 128],
  ]
  for (const [name, bytes, resets, asked = 0] of rows) {
    const client = await dialHttp2(t, gateway.port)
    client.socket.write(Buffer.concat([greeting(), bytes]))
    if (resets === 'ended') await client.closed
    else t.equal((await reached(client, types.reset, resets)).length, resets, `${name}: resets`)
    echo.write('.')
    await once(echo, 'data')
    t.equal(await statusOf(agent, cookie), 200, `${name}: the agent’s session goes on`)
    const another = connectAgent(t, gateway)
    t.equal(await statusOf(another, cookie), 200, `${name}: and a new one opens`)
    client.socket.destroy()
    const count = upstream.seen.splice(0).length - 2
    t.ok(count <= asked, `${name}: the upstream is asked ${count} times`)
  }
  t.notOk(
    gateway.lines.some(({ level }) => Number(level) > 30),
    'nothing went wrong inside',
  )
})

t.test(
  'who opens no window is not waited for beyond IDLE_TIMEOUT',
  { timeout: 120_000 },
  async (t) => {
    const gateway = await startGateway(t, upstream.origin, { ...tls, IDLE_TIMEOUT: '1s' })
    const rows: readonly (readonly [string, number, Buffer])[] = [
      ['none at all', 0, Buffer.alloc(0)],
      ['none of the connection’s', 2 ** 31 - 1, Buffer.alloc(0)],
      ['a byte', 1, Buffer.alloc(0)],
    ]
    const before = process.memoryUsage().rss
    const clients: Wire<TLSSocket>[] = []
    for (const [, window] of rows) {
      const client = await dialHttp2(t, gateway.port)
      const asks = streams(100, (i) => open(i, link({}, '/large')))
      client.socket.write(Buffer.concat([greeting([4, window]), asks]))
      clients.push(client)
    }
    for (const [i, client] of clients.entries()) {
      const ended = await reached(client, types.reset, 100)
      t.equal(new Set(ended.map(({ stream }) => stream)).size, 100, `${rows[i]?.[0]}`)
    }
    const lines = (await gateway.audited(300)).slice(0, 300)
    t.ok(
      lines.every(({ ended }) => ended === 'client-timeout'),
      'each with its line',
    )
    const more = (process.memoryUsage().rss - before) / 2 ** 20
    t.ok(more < 500, `of 3 GB that wait ${Math.round(more)} MB were held`)
  },
)

t.test('who agrees on HTTP/2 and does not begin has HEADERS_TIMEOUT', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { ...tls, HEADERS_TIMEOUT: '500ms' })
  const cookie = await sessionOf(connectAgent(t, gateway))
  const settings = greeting()
  for (const [name, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['half a preface', settings.subarray(0, 10)],
    ['a preface alone', settings.subarray(0, preface.length)],
    ['half of its SETTINGS', settings.subarray(0, preface.length + 5)],
  ] as const) {
    const client = await dialHttp2(t, gateway.port)
    client.socket.write(bytes)
    await client.closed
    t.equal(await statusOf(connectAgent(t, gateway), cookie), 200, name)
  }
})

function isAck({ type, flags }: ReturnType<typeof framesIn>[number]): boolean {
  return type === types.settings && (flags & ack) !== 0
}

function heard(client: Wire<TLSSocket>, type: number): ReturnType<typeof framesIn> {
  return framesIn(client.bytes()).filter((one) => one.type === type)
}

/** The frames of a type, once there are `count`. */
function reached(
  client: Wire<TLSSocket>,
  type: number,
  count: number,
): Promise<ReturnType<typeof framesIn>> {
  return client.until((bytes) => {
    const frames = framesIn(bytes).filter((one) => one.type === type)
    return frames.length < count ? null : frames
  })
}

/** A session as a browser has it. */
function connectAgent(t: Test, { port }: Stage): ClientHttp2Session {
  const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  return session
}

/** The cookie of a session, as soon as a new one is let in: a busy machine makes the process wait. */
async function sessionOf(session: ClientHttp2Session): Promise<string> {
  for (let tries = 0; tries < 10_000; tries += 1) {
    const headers = await headOf(session, { ':path': link() })
    const [line] = [headers['set-cookie']].flat()
    if (line !== undefined) return String(line).split(';')[0] ?? ''
  }
  throw new Error('no session')
}

async function statusOf(session: ClientHttp2Session, cookie?: string): Promise<number> {
  const own = { ':path': '/', cookie, 'sec-fetch-site': 'same-origin' }
  const head = await headOf(session, cookie === undefined ? { ':path': link() } : own)
  return Number(head[':status'])
}

async function headOf(
  session: ClientHttp2Session,
  asked: OutgoingHttpHeaders,
): Promise<IncomingHttpHeaders> {
  const stream = session.request(asked)
  const [headers] = await once(stream, 'response')
  stream.resume()
  await once(stream, 'close')
  return headers
}
