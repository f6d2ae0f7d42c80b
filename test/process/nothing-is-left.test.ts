// Whoever resets, half-closes or falls silent, in whatever phase: no descriptor, timer or memory
// is left of it, it has its line of the log and no other, and the next request is served.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { clientHello } from '../http/client-hello.ts'
import {
  endHeaders,
  endStream,
  greeting,
  frame as http2Frame,
  preface,
  requestBlock,
  types,
} from '../http/frames.ts'
import { ids, jwt, link, listen, startUpstream } from '../stage.ts'
import { accepting, dial, frame, handshake, headOf, masked, wire } from '../websocket/peer.ts'
import { type Served, start } from './child.ts'

const folder = t.testdir({ certs: {} })
const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
execFileSync('bash', [script, '--out', join(folder, 'certs')], { stdio: 'ignore' })

const ways = ['reset', 'half-close', 'silence'] as const
type Way = (typeof ways)[number]

/**
 * Lines of the log: of a request as many as there are, whatever the way; of what is none at least
 * so many for each of the ways, and one at most.
 */
type Lines = number | readonly [number, number, number]

interface Phase {
  readonly over: 'TCP' | 'TLS' | 'HTTP/2'
  /** What the client says; its path has to be this one, so that its lines are found again. */
  readonly says: (path: string) => string | Buffer
  readonly lines: Lines
  /** It goes on to its end only once this has come. */
  readonly answered?: boolean
}

const host = 'localhost'
const head = (target: string, more = '', method = 'GET'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
const upload = 'Content-Length: 100000\r\n'
const upgrade = (target: string): string => handshake(0, target)
/** A session that is over soon: nothing else ends an open socket. */
const brief = (path: string): string => {
  const exp = Math.floor(Date.now() / 1000) + 2
  return link({ auth: jwt({ ...ids, exp }) }, path)
}

const overHttp1 = (over: 'TCP' | 'TLS'): Readonly<Record<string, Phase>> => ({
  connected: { over, says: () => '', lines: 0 },
  'in the first line': { over, says: () => 'GE', lines: [0, 1, 1] },
  'in the head': { over, says: (path) => head(link({}, path)).slice(0, 60), lines: [0, 1, 1] },
  'after a head that cannot be read': { over, says: () => 'NO HTTP\r\n\r\n', lines: [0, 1, 1] },
  'after a refusal': { over, says: (path) => head(path, 'Connection: close\r\n'), lines: 1 },
  'in a body': { over, says: (path) => `${head(link({}, path), upload, 'POST')}xxx`, lines: 1 },
  'in a chunk': {
    over,
    says: (path) => `${head(link({}, path), 'Transfer-Encoding: chunked\r\n', 'POST')}ff\r\nxxx`,
    lines: 1,
  },
  'in a body that is refused': {
    over,
    says: (path) => `${head(path, upload, 'POST')}xxx`,
    lines: 1,
  },
  'while the upstream thinks': {
    over,
    says: (path) => head(link({}, `/silent${path}`), 'Connection: close\r\n'),
    lines: 1,
  },
  'in an answer': {
    over,
    says: (path) => head(link({}, `/half${path}`)),
    lines: 1,
    answered: true,
  },
  'in an answer that is not read': {
    over,
    says: (path) => head(link({}, `/large${path}`)),
    lines: 1,
    answered: true,
  },
  'in an event stream': {
    over,
    says: (path) => head(brief(`/events${path}`)),
    lines: 1,
    answered: true,
  },
  'in an upgrade’s head': {
    over,
    says: (path) => upgrade(link({}, path)).slice(0, 80),
    lines: [0, 1, 1],
  },
  'after an upgrade that is refused': { over, says: upgrade, lines: 1 },
  'while an upgrade waits': { over, says: (path) => upgrade(link({}, `/silent${path}`)), lines: 1 },
  'in an open socket': { over, says: (path) => upgrade(brief(path)), lines: 2, answered: true },
  'in a frame': {
    over,
    says: (path) => upgrade(brief(path)) + masked('x'.repeat(20)).toString('latin1', 0, 9),
    lines: 2,
    answered: true,
  },
  'in an open socket that is not read': {
    over,
    says: (path) => upgrade(brief(`/large${path}`)),
    lines: 2,
    answered: true,
  },
})

const settled = (...frames: readonly Buffer[]): Buffer => Buffer.concat([greeting(), ...frames])
const asks = (path: string, flags: number, method?: string): Buffer =>
  http2Frame(types.headers, 1, { flags, payload: requestBlock(host, path, method) })
const whole = endHeaders | endStream
const overHttp2 = (): Readonly<Record<string, Phase>> => {
  const over = 'HTTP/2'
  return {
    'in the preface': { over, says: () => preface.slice(0, 9), lines: 0 },
    'in SETTINGS': { over, says: () => settled().subarray(0, -2), lines: 0 },
    'after a refusal': { over, says: (path) => settled(asks(path, whole)), lines: 1 },
    'in a body': {
      over,
      says: (path) =>
        settled(
          asks(link({}, path), endHeaders, 'POST'),
          http2Frame(types.data, 1, { payload: Buffer.from('xxx') }),
        ),
      lines: 1,
    },
    'while the upstream thinks': {
      over,
      says: (path) => settled(asks(link({}, `/silent${path}`), whole)),
      lines: 1,
    },
    'in an answer': {
      over,
      says: (path) => settled(asks(link({}, `/half${path}`), whole)),
      lines: 1,
    },
    'in an answer that is not read': {
      over,
      says: (path) => settled(asks(link({}, `/large${path}`), whole)),
      lines: 1,
    },
  }
}

const ok = 'HTTP/1.1 200 OK\r\n'
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`
/** What an upstream says before it goes. */
const answers: Readonly<Record<string, (request: IncomingMessage) => string>> = {
  'before a word': () => '',
  'in the status line': () => 'HTTP/1.1 2',
  'in the head': () => `${ok}Content-Le`,
  'after the head': () => `${ok}Content-Length: 100\r\n\r\n`,
  'in the body': () => `${ok}Content-Length: 100\r\n\r\nxxx`,
  'in a chunk': () => `${chunked}ff\r\nxxx`,
  'between chunks': () => `${chunked}1\r\nx\r\n`,
  'after a hint': () => 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n',
  'after what is no answer': () => 'SSH-2.0\r\n',
  'after a 101 that is wrong': () => 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'in a 101': (request) => accepting(request).slice(0, 60),
  'after a refusal': () =>
    'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
}
const askings: Readonly<Record<string, (target: string) => string>> = {
  GET: (target) => head(target, 'Connection: close\r\n'),
  'an upload': (target) =>
    `${head(target, `${upload}Connection: close\r\n`, 'POST')}${'x'.repeat(100_000)}`,
  'an upgrade': upgrade,
}

const hello = await clientHello()
const handshakes: Readonly<Record<string, Phase>> = {
  'after half a hello': { over: 'TCP', says: () => hello.subarray(0, 99), lines: 0 },
  'after its hello': { over: 'TCP', says: () => hello, lines: 0 },
}

const large = Buffer.alloc(20 * 2 ** 20)
const skip = existsSync('/proc/self/fd') ? false : 'needs /proc'
t.test('of clients and upstreams', { skip, timeout: 200_000 }, async (t) => {
  const upstream = await startUpstream(
    t,
    (request, response) => {
      const [, what = '', ...rest] = (request.url ?? '').split(/[/?]/)
      request.on('error', () => {})
      if (what === 'leave') leave(request, request.socket, rest)
      else if (what === 'half') response.write('half')
      else if (what === 'large') response.end(large)
      else if (what === 'events')
        response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
      else if (what !== 'silent') {
        request.resume().on('end', () => response.setHeader('Connection', 'close').end('ok'))
      }
    },
    (request, socket) => {
      const [, what = '', ...rest] = (request.url ?? '').split(/[/?]/)
      if (what === 'leave') return leave(request, socket, rest)
      wire(socket).ended.then(() => socket.end())
      if (what === 'silent') return
      socket.write(accepting(request))
      if (what === 'large') socket.write(frame(large))
    },
  )
  /** Speaks TLS no further than its client's hello. */
  let mute: (socket: Socket) => void = () => {}
  const secure = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    socket.once('data', () => mute(socket))
  })
  const securePort = await listen(secure)
  t.teardown(() => secure.close())

  const env = {
    COPILOT_API_URL: `https://127.0.0.1:${securePort}`,
    HEADERS_TIMEOUT: '500ms',
    IDLE_TIMEOUT: '1s',
    UPSTREAM_TIMEOUT: '2s',
    CLOCK_TOLERANCE: '0s',
    NODE_OPTIONS: `--import=${new URL('./probe.ts', import.meta.url)}`,
  }
  const plain = await start(t, upstream.origin, env)
  const tls = await start(t, upstream.origin, {
    ...env,
    TLS_CERT_FILE: join(folder, 'certs/server.pem'),
    TLS_KEY_FILE: join(folder, 'certs/server-key.pem'),
  })

  const clients = [
    { gateway: plain, phases: overHttp1('TCP') },
    { gateway: tls, phases: overHttp1('TLS') },
    { gateway: tls, phases: overHttp2() },
    { gateway: tls, phases: handshakes },
  ]
  const before = new Map<Served, Held>()
  for (const gateway of [plain, tls]) {
    t.ok(await serves(t, gateway), 'before')
    before.set(gateway, await rest(gateway, null))
  }
  const heaps = new Map<Served, number>()
  for (const round of [1, 2]) {
    const expected: { gateway: Served; name: string; path: string; lines: number }[] = []
    const unread = new Map<Served, { least: number; most: number }>()
    const since = new Map([plain, tls].map((gateway) => [gateway, gateway.lines.length]))
    for (const [at, way] of ways.entries()) {
      const left: Promise<unknown>[] = []
      for (const [i, { gateway, phases }] of clients.entries()) {
        for (const [phase, row] of Object.entries(phases)) {
          const { over, lines } = row
          const path = `/${round}-${i}-${left.length}-${expected.length}`
          const name = `${over}: ${phase}, ${way}`
          left.push(client(t, gateway, row, path, way))
          if (typeof lines === 'number' && lines > 0) {
            expected.push({ gateway, name, path, lines })
          } else if (typeof lines !== 'number') {
            const { least, most } = unread.get(gateway) ?? { least: 0, most: 0 }
            unread.set(gateway, { least: least + (lines[at] ?? 0), most: most + 1 })
          }
          // Whoever is silent is waited for together.
          if (way !== 'silence') {
            await left.pop()
            t.ok(await serves(t, gateway), `${name}: it serves`)
          }
        }
      }
      for (const phase of Object.keys(answers)) {
        for (const [asking, says] of Object.entries(askings)) {
          const path = `/${round}-${expected.length}`
          const name = `upstream: ${phase}, ${way}, ${asking}`
          const target = link({}, `/leave/${encodeURIComponent(phase)}/${way}${path}`)
          left.push(hangsUp(t, plain, says(target)))
          expected.push({ gateway: plain, name, path, lines: 1 })
          if (way !== 'silence') await left.pop()
        }
        t.ok(await serves(t, plain), `upstream: ${phase}, ${way}: it serves`)
      }
      mute = (socket) => {
        if (way === 'reset') socket.resetAndDestroy()
        else if (way === 'half-close') socket.end()
      }
      const path = `/${round}-${expected.length}`
      left.push(hangsUp(t, plain, head(link({}, `/socket.io${path}`), 'Connection: close\r\n')))
      expected.push({
        gateway: plain,
        name: `upstream: in the TLS handshake, ${way}`,
        path,
        lines: 1,
      })
      await Promise.all(left)
      t.ok(await serves(t, plain), `${way}: it serves`)
      t.ok(await serves(t, tls), `${way}: it serves over TLS`)
    }
    for (const socket of upstream.sockets) socket.destroy()
    for (const gateway of [plain, tls]) {
      const held = await rest(gateway, before.get(gateway) ?? null)
      const { descriptors, resources } = before.get(gateway) ?? held
      t.equal(held.descriptors, descriptors, `round ${round}: descriptors`)
      t.same(held.resources, resources, `round ${round}: timers and handles`)
      const more = held.heap - (heaps.get(gateway) ?? held.heap)
      t.ok(more < 2 ** 20, `round ${round}: ${Math.round(more / 1024)} kB more than after the last`)
      heaps.set(gateway, held.heap)
    }
    for (const { gateway, name, path, lines } of expected) {
      const found = audited(gateway, since.get(gateway)).filter((line) =>
        `${line['path']}`.endsWith(path),
      )
      t.equal(found.length, lines, `round ${round}, ${name}: ${lines} lines`)
    }
    for (const [gateway, { least, most }] of unread) {
      const { length } = audited(gateway, since.get(gateway)).filter((line) => !('path' in line))
      t.ok(least <= length && length <= most, `round ${round}: ${length} lines of no requests`)
    }
  }
  for (const gateway of [plain, tls]) {
    gateway.kill('SIGTERM')
    const { code, stderr } = await gateway.ended
    t.same({ code, stderr }, { code: 0, stderr: '' })
  }
})

/** A client that says its piece, and then nothing more, in one of the ways. */
async function client(
  t: Test,
  gateway: Served,
  { over, says, lines, answered }: Phase,
  path: string,
  way: Way,
): Promise<void> {
  const raw = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => raw.destroy())
  raw.on('error', () => {})
  await once(raw, 'connect')
  let socket: Socket = raw
  if (over !== 'TCP') {
    const ALPNProtocols = [over === 'HTTP/2' ? 'h2' : 'http/1.1']
    const options = { servername: host, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const
    socket = connectTls({ socket: raw, ...options, ALPNProtocols })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
  }
  const bytes = says(path)
  await new Promise((resolve) =>
    socket.write(Buffer.from(bytes.toString('latin1'), 'latin1'), resolve),
  )
  if (answered) await once(socket, 'readable')
  if (way === 'reset') raw.resetAndDestroy()
  else if (way === 'half-close') socket.end()
  if (over !== 'HTTP/2' || way !== 'silence' || lines === 0) return
  // Its stream is ended; the session may idle for longer than a test.
  await gateway.logged((line) => `${line['path']}`.endsWith(path))
  raw.destroy()
}

/** A client that waits until it is hung up on. */
async function hangsUp(t: Test, { port }: Served, bytes: string): Promise<void> {
  const { socket, ended } = await dial(t, port)
  socket.write(bytes)
  await ended
  socket.destroy()
}

/** An upstream that says its piece and goes. */
function leave(request: IncomingMessage, socket: Duplex, [phase = '', way]: string[]): void {
  const bytes = answers[decodeURIComponent(phase)]?.(request) ?? ''
  if (way === 'half-close') {
    socket.end(bytes)
    return
  }
  socket.write(bytes, () => {
    // What was said has to be out before the reset, which would throw it away.
    if (way === 'reset') setImmediate(() => request.socket.resetAndDestroy())
  })
}

async function serves(t: Test, { port, origin }: Served): Promise<boolean> {
  const { socket } = origin.startsWith('https:')
    ? {
        socket: connectTls({
          port,
          host: '127.0.0.1',
          servername: host,
          rejectUnauthorized: false,
        }),
      }
    : await dial(t, port)
  const { ended } = wire<Socket>(socket)
  socket.write(head(link({}, '/serves'), 'Connection: close\r\n'))
  const answer = headOf(await ended)
  socket.destroy()
  return answer?.status === 200
}

interface Held {
  readonly descriptors: number
  readonly resources: readonly string[]
  readonly heap: number
}

/** What a gateway holds once that is what it held before; before the first time, once it is at rest. */
async function rest(gateway: Served, before: Held | null): Promise<Held> {
  let last = before
  let same = 0
  for (let tries = 0; tries < 400; tries += 1) {
    const held = await probe(gateway)
    same = isDeepStrictEqual(kinds(held), last && kinds(last)) ? same + 1 : 0
    if (before === null) last = held
    if (same === 3) return held
    // Nothing tells that a descriptor has been closed.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return probe(gateway)
}

function kinds({ descriptors, resources }: Held): unknown {
  return { descriptors, resources }
}

async function probe(gateway: Served): Promise<Held> {
  const all = (): Record<string, unknown>[] => gateway.lines.filter(({ event }) => event === 'held')
  const count = all().length
  process.kill(gateway.pid, 'SIGUSR2')
  await gateway.logged(() => all().length > count)
  const { descriptors, resources, heap } = all().at(-1) ?? {}
  return {
    descriptors: Number(descriptors),
    resources: Array.isArray(resources) ? resources : [],
    heap: Number(heap),
  }
}

function audited({ lines }: Served, since = 0): Record<string, unknown>[] {
  return lines.slice(since).filter(({ event, path }) => event === 'access' && path !== '/serves')
}
