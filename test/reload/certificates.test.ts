// A certificate is renewed without anyone noticing; a client CA, without anyone slipping through.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from 'node:http2'
import { Agent, request as startRequest } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { link, type Stage, startGateway, startUpstream } from '../stage.ts'
import {
  accepting,
  bodyOf,
  frame,
  handshake,
  headOf,
  inWords,
  masked,
  type Wire,
  wire,
} from '../websocket/peer.ts'

const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
const folder = t.testdir({ old: {}, new: {} })
for (const name of ['old', 'new']) {
  const args = [script, '--out', join(folder, name), '--client', 'agent']
  execFileSync('bash', args, { stdio: 'ignore' })
}
const file = (name: string): string => join(folder, name)
const text = (name: string): string => readFileSync(file(name), 'utf8')
const ca = [text('old/ca.pem'), text('new/ca.pem')]
const certificates = {
  old: { cert: text('old/client.pem'), key: text('old/client-key.pem') },
  new: { cert: text('new/client.pem'), key: text('new/client-key.pem') },
  none: {},
} as const
type Who = keyof typeof certificates
const server = (name: string) => ({
  TLS_CERT_FILE: file(`${name}/server.pem`),
  TLS_KEY_FILE: file(`${name}/server-key.pem`),
})
const clientCa = (name: string) => ({ TLS_CLIENT_CA_FILE: file(`${name}/ca.pem`) })

/** Answers that the test has to end, by path. */
const held = new Map<string, ServerResponse>()
const arrivals = new Map<string, () => void>()
const upstream = await startUpstream(
  t,
  (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    if (path.startsWith('/events')) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 0\n\n')
    } else if (!path.startsWith('/hold')) {
      response.end('ok')
      return
    } else if (path.startsWith('/hold-body')) {
      response.writeHead(200).write('first ')
    }
    held.set(path, response)
    arrivals.get(path)?.()
  },
  (request, socket) => {
    socket.on('data', (bytes: Buffer) => socket.write(frame(inWords(bytes)[0]?.slice(5) ?? '')))
    const accept = (): unknown => socket.write(accepting(request))
    const path = request.url?.split('?')[0] ?? ''
    if (path !== '/ws-late') accept()
    else lateUpgrades.push(accept)
    arrivals.get(path)?.()
  },
)
const lateUpgrades: (() => unknown)[] = []

/** Resolves when the upstream has been asked for this path. */
function arrival(path: string): Promise<void> {
  return new Promise((resolve) => arrivals.set(path, resolve))
}

function options(gateway: Stage, who: Who, more: ConnectionOptions = {}): ConnectionOptions {
  const { port } = gateway
  return { port, host: '127.0.0.1', servername: 'localhost', ca, ...certificates[who], ...more }
}

async function dialTls(
  t: Test,
  gateway: Stage,
  who: Who = 'none',
  more: ConnectionOptions = {},
  onTicket: (ticket: Buffer) => unknown = () => {},
): Promise<Wire<TLSSocket>> {
  const socket = connect(options(gateway, who, { ALPNProtocols: ['http/1.1'], ...more }))
  t.teardown(() => socket.destroy())
  socket.on('session', onTicket)
  const dialled = wire(socket)
  await Promise.race([once(socket, 'secureConnect').catch(() => {}), dialled.closed])
  return dialled
}

async function dialHttp2(t: Test, gateway: Stage, who: Who = 'none'): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://localhost:${gateway.port}`, { ca, ...certificates[who] })
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

function get(gateway: Stage, path = '/', close = false): string {
  const lines = [`GET ${link({}, path)} HTTP/1.1`, `Host: 127.0.0.1:${gateway.port}`]
  return [...lines, ...(close ? ['Connection: close'] : []), '', ''].join('\r\n')
}

/** What came back for a request on a connection of its own; '' where it was refused. */
async function visit(t: Test, gateway: Stage, who: Who, more: ConnectionOptions = {}) {
  const client = await dialTls(t, gateway, who, more)
  client.socket.write(get(gateway, '/', true))
  const status = headOf(await client.ended)?.status ?? 'refused'
  client.socket.destroy()
  return status
}

/** All that comes on a stream until it closes. */
async function bodyOfStream(stream: ClientHttp2Stream): Promise<string> {
  let body = ''
  stream.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    body += chunk
  })
  await new Promise((resolve) => stream.on('close', resolve))
  return body
}

async function upgrade(t: Test, gateway: Stage, who: Who = 'none', path = '/ws') {
  const client = await dialTls(t, gateway, who)
  client.socket.write(handshake(gateway.port, link({}, path)))
  return client
}

const ends = (client: Wire, words: string): Promise<true> =>
  client.until((bytes) => (bytes.includes(words) ? true : null))

t.test('a renewed certificate serves new connections, and those of before go on', async (t) => {
  const gateway = await startGateway(t, upstream.origin, server('old'))
  const fingerprint = async (): Promise<string> => {
    const { socket } = await dialTls(t, gateway)
    return socket.getPeerX509Certificate()?.fingerprint256 ?? ''
  }
  const before = await fingerprint()
  const kept = await dialTls(t, gateway)
  kept.socket.write(get(gateway, '/one'))
  await ends(kept, 'ok')
  const session = await dialHttp2(t, gateway)
  const arrived = arrival('/hold-renewed')
  const stream = bodyOfStream(session.request({ ':path': link({}, '/hold-renewed') }))
  await arrived
  const socket = await upgrade(t, gateway)
  await socket.until(headOf)
  const events = await dialTls(t, gateway)
  events.socket.write(get(gateway, '/events-renewed'))
  await ends(events, 'data: 0')

  await gateway.reload(server('new'))
  t.not(await fingerprint(), before)
  t.equal(await visit(t, gateway, 'none'), 200)

  kept.socket.write(get(gateway, '/two', true))
  t.match(`${await kept.ended}`, /ok.*ok$/s, 'over HTTP/1.1')
  held.get('/hold-renewed')?.end('at last')
  t.equal(await stream, 'at last', 'over HTTP/2')
  t.equal(await bodyOfStream(session.request({ ':path': link() })), 'ok')
  socket.socket.write(masked('hello'))
  t.ok(await ends(socket, 'hello'), 'on a WebSocket')
  held.get('/events-renewed')?.write('data: 1\n\n')
  t.ok(await ends(events, 'data: 1'), 'on an event stream')
})

t.test('a key that does not fit changes nothing', async (t) => {
  const gateway = await startGateway(t, upstream.origin, server('old'))
  const kept = await dialTls(t, gateway)
  await t.rejects(gateway.reload({ TLS_KEY_FILE: file('new/server-key.pem') }), /TLS_KEY_FILE/)
  const key = text('new/server-key.pem')
  await t.rejects(
    gateway.reload({ FRAME_ANCESTORS: 'https://other.example' }, ({ listener, ...config }) => ({
      ...config,
      listener: { ...listener, tls: listener.tls && { ...listener.tls, key } },
    })),
  )
  kept.socket.write(get(gateway, '/', true))
  const answer = `${await kept.ended}`
  t.match(answer, /^HTTP\/1\.1 200/)
  t.match(answer, /frame-ancestors https:\/\/cc\.example/)
  t.equal(await visit(t, gateway, 'none'), 200)
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`over ${version} no session of an old client CA is resumed`, async (t) => {
    const gateway = await startGateway(t, upstream.origin, { ...server('old'), ...clientCa('old') })
    const only: ConnectionOptions = { minVersion: version, maxVersion: version }
    const tickets: Buffer[] = []
    const first = await dialTls(t, gateway, 'old', only, (ticket) => tickets.push(ticket))
    first.socket.write(get(gateway, '/', true))
    t.equal(headOf(await first.ended)?.status, 200)
    const resumed = (more: ConnectionOptions = {}): ConnectionOptions => {
      const session = tickets.at(-1)
      return session === undefined ? more : { ...more, session }
    }
    const second = await dialTls(t, gateway, 'old', resumed(only))
    t.ok(second.socket.isSessionReused(), 'before, they are')

    await gateway.reload(clientCa('new'))
    const seen = upstream.seen.length
    t.equal(await visit(t, gateway, 'old', resumed(only)), 'refused')
    t.equal(await visit(t, gateway, 'none', resumed(only)), 'refused')
    t.equal(await visit(t, gateway, 'old', only), 'refused')
    t.equal(await visit(t, gateway, 'none', only), 'refused')
    t.equal(upstream.seen.length, seen)
    t.equal(await visit(t, gateway, 'new', only), 200)
  })
}

t.test('what an old client CA let in ends, and loses nothing', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { ...server('old'), ...clientCa('old') })
  const held1 = async (path: string): Promise<Wire<TLSSocket>> => {
    const client = await dialTls(t, gateway, 'old')
    const arrived = arrival(path)
    client.socket.write(get(gateway, path))
    await arrived
    return client
  }
  const idle = await dialTls(t, gateway, 'old')
  idle.socket.write(get(gateway))
  await ends(idle, 'ok')
  const silent = await dialTls(t, gateway, 'old')
  const waits = await held1('/hold-1')
  const reads = await held1('/hold-body-1')
  await ends(reads, 'first')
  const pipelines = await held1('/hold-2')
  const events = await held1('/events-1')
  const late = await held1('/hold-events')
  const socket = await upgrade(t, gateway, 'old')
  await socket.until(headOf)
  const upgrading = arrival('/ws-late')
  const lateSocket = await upgrade(t, gateway, 'old', '/ws-late')
  await upgrading
  const session = await dialHttp2(t, gateway, 'old')
  const goaway = once(session, 'goaway')
  const path2 = '/hold-3'
  const arrived = arrival(path2)
  const stream = bodyOfStream(session.request({ ':path': link({}, path2) }))
  await arrived
  const idle2 = await dialHttp2(t, gateway, 'old')
  const events2 = session.request({ ':path': link({}, '/events-2') })
  const ended2 = bodyOfStream(events2)
  await once(events2, 'data')
  const half = await halfway(t, gateway)

  await gateway.reload(clientCa('new'))
  await Promise.all([idle.closed, silent.closed, events.closed, once(idle2, 'close')])
  t.same(inWords(bodyOf(await socket.ended)), ['close 1012 draining'])
  t.ok(await goaway, 'HTTP/2 is told')
  await ended2
  t.equal(await half.finish(), 'refused', 'a handshake that was under way')

  held.get('/hold-1')?.end('at last')
  const answer = `${await waits.ended}`
  t.match(answer, /at last$/)
  t.match(answer, /^connection: close\r$/im, 'a head that was still to come says so')
  held.get('/hold-body-1')?.end('and last')
  t.match(`${await reads.ended}`, /first .*and last/s)
  held.get(path2)?.end('at last')
  t.equal(await stream, 'at last')
  if (!session.closed) await once(session, 'close')

  pipelines.socket.write(get(gateway, '/pipelined'))
  // Once this one has come and gone, the other has been read.
  t.equal(await visit(t, gateway, 'new'), 200)
  held.get('/hold-2')?.end('alone')
  const alone = `${await pipelines.ended}`
  t.equal(alone.match(/^HTTP\/1\.1 /gm)?.length, 1)
  t.match(alone, /alone$/)
  t.notOk(
    upstream.seen.some(({ url }) => url.startsWith('/pipelined')),
    'nothing new is carried',
  )

  held
    .get('/hold-events')
    ?.writeHead(200, { 'Content-Type': 'text/event-stream' })
    .write('data: 0\n\n')
  await late.closed
  lateUpgrades.pop()?.()
  t.same(inWords(bodyOf(await lateSocket.ended)), ['close 1012 draining'])
})

/** A connection that was accepted, and on which the handshake is still to come. */
async function halfway(t: Test, gateway: Stage) {
  const raw = connectTcp(gateway.port, '127.0.0.1')
  raw.on('error', () => {})
  raw.resume()
  t.teardown(() => raw.destroy())
  const closed = new Promise((resolve) => raw.on('close', resolve)).then(() => 'refused')
  await once(raw, 'connect')
  // Connections are accepted one after the other.
  t.equal(await visit(t, gateway, 'old'), 200)
  return {
    finish: () => Promise.race([closed, visit(t, gateway, 'old', { socket: raw })]),
  }
}

t.test('a client CA comes where there was none, and goes', async (t) => {
  const gateway = await startGateway(t, upstream.origin, server('old'))
  const kept = await dialTls(t, gateway)
  t.equal(await visit(t, gateway, 'none'), 200)
  await gateway.reload(clientCa('new'))
  await kept.closed
  t.equal(await visit(t, gateway, 'none'), 'refused')
  t.equal(await visit(t, gateway, 'old'), 'refused')
  t.equal(await visit(t, gateway, 'new'), 200)
  await gateway.reload({ ...clientCa('new'), FRAME_ANCESTORS: 'https://other.example' })
  const known = await dialTls(t, gateway, 'new')
  await gateway.reload({ ...clientCa('new'), ...server('new') })
  known.socket.write(get(gateway, '/', true))
  t.equal(headOf(await known.ended)?.status, 200, 'the same CA lets everyone stay')
  await gateway.reload()
  t.equal(await visit(t, gateway, 'none'), 200)
  t.equal(await visit(t, gateway, 'old'), 200)
})

t.test('requests lose nothing through twenty certificates', async (t) => {
  const gateway = await startGateway(t, upstream.origin, server('old'))
  const agent = new Agent({ keepAlive: true, ca, servername: 'localhost', maxCachedSessions: 100 })
  t.teardown(() => agent.destroy())
  const statuses = new Map<string, number>()
  const count = (outcome: string): unknown =>
    statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1)
  const overHttp1 = (kept: boolean): Promise<string> =>
    new Promise((resolve) => {
      const more = kept ? { agent } : { agent: false, ca, servername: 'localhost' }
      const request = startRequest(`https://127.0.0.1:${gateway.port}${link()}`, more)
      request.on('error', (error) => resolve(error.message))
      request.on('response', (response) => {
        response.resume()
        response.on('close', () => resolve(`${response.statusCode} ${response.complete}`))
      })
      request.end()
    })
  const session = await dialHttp2(t, gateway)
  const overHttp2 = async (): Promise<string> => {
    const stream = session.request({ ':path': link() })
    const body = bodyOfStream(stream)
    const [headers] = await once(stream, 'response')
    return `${headers[':status']} ${(await body) === 'ok'}`
  }
  let reloading = true
  const clients = Array.from({ length: 12 }, async (_, index) => {
    while (reloading) count(await (index % 3 === 0 ? overHttp2() : overHttp1(index % 3 === 1)))
  })
  for (let i = 0; i < 20; i += 1) {
    await gateway.reload(server(i % 2 === 0 ? 'new' : 'old'))
    t.equal(await overHttp1(false), '200 true')
  }
  reloading = false
  await Promise.all(clients)
  t.same([...statuses.keys()], ['200 true'], JSON.stringify([...statuses]))
})
