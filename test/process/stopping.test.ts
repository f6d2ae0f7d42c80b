// A signal ends the gateway in order: what is under way is finished, and it is gone within DRAIN_TIMEOUT.
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { link, secret, startUpstream, type Upstream } from '../stage.ts'
import {
  accepting,
  bodyOf,
  closeWith,
  dial,
  frame,
  handshake,
  headOf,
  inWords,
  type Wire,
  wire,
} from '../websocket/peer.ts'
import { run, type Served, start } from './child.ts'

const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
const dir = t.testdir()
execFileSync(script, ['--out', dir], { stdio: 'ignore' })
const ca = readFileSync(join(dir, 'ca.pem'))
const tls = { TLS_CERT_FILE: join(dir, 'server.pem'), TLS_KEY_FILE: join(dir, 'server-key.pem') }

const signals = ['SIGTERM', 'SIGINT'] as const

interface Stage {
  readonly gateway: Served
  readonly upstream: Upstream
  /** The next request that reaches the upstream; it waits to be answered. */
  readonly asked: () => Promise<ServerResponse>
  readonly upgraded: () => Promise<{ readonly socket: Duplex; readonly accept: () => void }>
}

async function startAll(t: Test, env: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const asked = queue<ServerResponse>()
  const upgraded = queue<{ socket: Duplex; accept: () => void }>()
  const upstream = await startUpstream(
    t,
    (_, response) => asked.put(response),
    (request, socket) => upgraded.put({ socket, accept: () => socket.write(accepting(request)) }),
  )
  const gateway = await start(t, upstream.origin, env)
  return { gateway, upstream, asked: asked.take, upgraded: upgraded.take }
}

t.test('with nothing to do it ends at once, whatever the signal', async (t) => {
  for (const signal of signals) {
    const { gateway } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
    gateway.kill(signal)
    t.match(await gateway.ended, { code: 0, signal: null, stderr: '' }, signal)
  }
})

t.test('requests in flight finish, whole, and no new connection is taken', async (t) => {
  const { gateway, asked } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
  const begun = await get(t, gateway)
  const first = await asked()
  const waiting = await get(t, gateway)
  const second = await asked()
  const upload = await dial(t, gateway.port)
  upload.socket.write(
    `POST ${link({}, '/upload')} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc`,
  )
  const third = await asked()
  first.write('first half, ')
  await begun.until((b) => (`${b}`.includes('first half') ? true : null))

  gateway.kill('SIGTERM')
  await refused(gateway)
  first.end('second half')
  second.end('late')
  upload.socket.write('def')
  let body = ''
  for await (const chunk of third.req) body += chunk
  t.equal(body, 'abcdef', 'an upload goes on')
  third.end('taken')
  t.match(`${await begun.ended}`, /^HTTP\/1\.1 200 .*first half.*second half.*0\r\n\r\n$/s)
  const late = await waiting.ended
  t.equal(headOf(late)?.status, 200)
  t.same(headOf(late)?.headers['connection'], ['close'])
  t.match(`${bodyOf(late)}`, /late/)
  t.match(`${await upload.ended}`, /^HTTP\/1\.1 200 .*taken/s)
  const { code, lines } = await gateway.ended
  t.equal(code, 0)
  const access = lines.filter(({ event }) => event === 'access')
  t.match(access, [{ status: 200 }, { status: 200 }, { status: 200 }], 'each with its line')
})

// To the first process of a container a signal that nobody handles is none.
t.test('a signal that comes before it listens ends it in order, too', async (t) => {
  // The start waits for a contact center's keys.
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const issuer = await startUpstream(t, () => ask())
  const folder = t.testdir({
    secret: `${secret}-of-sessions`,
    'gateway.yaml': `
copilotUrl: http://127.0.0.1:1
forwardAuth: false
sessionSecret: { file: secret }
contactCenters: [{ name: Lisbon, keys: { jwks: "${issuer.origin}" } }]`,
  })
  const args = ['start', '--config', join(folder, 'gateway.yaml')]
  const gateway = run(t, { PORT: '0', ADMIN_PORT: 'off' }, { args })
  await asked
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, signal: null, stderr: '' })
})

t.test('one that comes while its code is loaded does, and SIGHUP ends nothing', async (t) => {
  const preload = `
    import { registerHooks } from 'node:module'
    registerHooks({
      load(url, context, next) {
        if (url.endsWith('/settings/table.ts')) {
          for (const signal of ['SIGHUP', 'SIGTERM']) process.kill(process.pid, signal)
        }
        return next(url, context)
      } })`
  const module = `data:text/javascript,${encodeURIComponent(preload)}`
  const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
  const command = [process.execPath, '--import', module, cli]
  const { origin } = await startUpstream(t)
  const gateway = await start(t, origin, {}, { command })
  t.match(await gateway.ended, { code: 0, signal: null, stderr: '' })
})

t.test('sockets get 1012', async (t) => {
  for (const signal of signals) {
    const { gateway, upgraded } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
    const pairs = [await open(t, gateway, upgraded), await open(t, gateway, upgraded)]
    gateway.kill(signal)
    for (const { client, upstream } of pairs) {
      const bytes = bodyOf(await client.ended)
      t.match(inWords(bytes), [/^close 1012\b/], signal)
      client.socket.end(closeWith(1012, '', { mask: true }))
      await upstream.ended
      upstream.socket.end()
    }
    const { code, lines } = await gateway.ended
    t.equal(code, 0)
    t.equal(lines.filter(({ event }) => event === 'access').length, 4, 'two lines each')
  }
})

t.test('an upgrade that waits is opened, and closed with 1012', async (t) => {
  const { gateway, upgraded } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
  const client = await dial(t, gateway.port)
  client.socket.write(handshake(gateway.port, link({}, '/ws')))
  const { socket, accept } = await upgraded()
  const upstream = wire(socket)
  gateway.kill('SIGTERM')
  await refused(gateway)
  accept()
  const bytes = await client.ended
  t.equal(headOf(bytes)?.status, 101)
  t.match(inWords(bodyOf(bytes)), [/^close 1012\b/])
  client.socket.end(closeWith(1012, '', { mask: true }))
  await upstream.ended
  socket.end()
  const { code, lines } = await gateway.ended
  t.equal(code, 0)
  t.equal(lines.filter(({ event }) => event === 'access').length, 2)
})

// No other deadline ends what is held.
const patient = { DRAIN_TIMEOUT: '500ms', UPSTREAM_TIMEOUT: '1h', IDLE_TIMEOUT: '1h' }

t.test('peers that never answer hold it no longer than DRAIN_TIMEOUT', async (t) => {
  const { gateway, asked, upgraded } = await startAll(t, patient)
  const unanswered = await get(t, gateway)
  await asked()
  const halfAnswered = await get(t, gateway)
  const half = await asked()
  half.write('half')
  await halfAnswered.until((b) => (`${b}`.includes('half') ? true : null))
  const silent = await open(t, gateway, upgraded)
  const stuck = await open(t, gateway, upgraded)
  stuck.upstream.socket.write(frame('', { says: 100 }))
  const paused = await open(t, gateway, upgraded)
  paused.client.socket.pause()
  const unread = await open(t, gateway, upgraded)
  unread.upstream.socket.pause()
  const thinking = await dial(t, gateway.port)
  thinking.socket.write(handshake(gateway.port, link({}, '/ws')))
  await upgraded()

  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
  t.notMatch(`${await halfAnswered.ended}`, /\r\n0\r\n\r\n$/, 'what was cut does not look whole')
  await Promise.all([unanswered, silent.client, stuck.client, thinking].map(({ ended }) => ended))
})

t.test('idle connections do not hold it', async (t) => {
  const { gateway, asked } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
  const kept = await dial(t, gateway.port)
  for (const _ of ['first', 'second']) {
    const before = kept.bytes().length
    kept.socket.write(`GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const response = await asked()
    response.end('kept')
    await kept.until((b) => (`${b.subarray(before)}`.includes('kept') ? true : null))
  }
  const silent = await dial(t, gateway.port)
  const half = await dial(t, gateway.port)
  half.socket.write('GET / HTTP/1.1\r\nHos')
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0 })
  await Promise.all([kept, silent, half].map(({ ended }) => ended))
})

t.test('a refused request whose body never came does not hold it', async (t) => {
  const { gateway } = await startAll(t, { DRAIN_TIMEOUT: '1s' })
  const request = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf'
  for (const way of ['reset', 'FIN', 'stays'] as const) {
    const client = await dial(t, gateway.port)
    client.socket.write(request)
    t.equal((await client.until(headOf)).status, 401, way)
    if (way === 'reset') client.socket.resetAndDestroy()
    if (way === 'FIN') client.socket.destroy()
  }
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})

t.test('the last answer on a kept connection says that it is the last', async (t) => {
  const { gateway, asked } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
  const busy = await dial(t, gateway.port)
  const request = `GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`
  busy.socket.write(request)
  const first = await asked()
  gateway.kill('SIGTERM')
  await refused(gateway)
  // Pipelined behind the one that is under way.
  busy.socket.write(request)
  first.end('one')
  const answers = `${await busy.ended}`
  t.match(answers, /^HTTP\/1\.1 200 .*connection: close.*one/is)
  t.match(await gateway.ended, { code: 0 })
})

t.test('a second signal ends it at once', async (t) => {
  for (const second of signals) {
    const { gateway, asked } = await startAll(t, { DRAIN_TIMEOUT: '1h' })
    const waiting = await get(t, gateway)
    await asked()
    gateway.kill('SIGTERM')
    await refused(gateway)
    gateway.kill(second)
    const { code, signal, stderr } = await gateway.ended
    t.ok(code !== 0 || signal !== null, `${second}: not in order`)
    t.equal(stderr, '')
    await waiting.ended
  }
})

t.test('a key that is pressed once under npm is one signal, though it comes twice', async (t) => {
  const module = new URL('../../src/commands/signals.ts', import.meta.url)
  const rows: readonly (readonly [signals: string, code: number])[] = [
    ['SIGINT SIGINT', 0],
    ['SIGTERM SIGINT', 130],
    ['SIGINT SIGTERM', 143],
  ]
  for (const [sent, code] of rows) {
    const script = `import { firstSignal } from '${module}'
      const stopped = firstSignal()
      for (const signal of '${sent}'.split(' ')) process.emit(signal)
      await stopped
      process.exit()`
    const args = ['--input-type=module', '--eval', script]
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
    t.equal(status, code, sent)
  }
})

t.test('HTTP/2 clients are told with GOAWAY, and their streams finish', async (t) => {
  const { gateway, asked } = await startAll(t, { ...tls, DRAIN_TIMEOUT: '1h' })
  t.match(gateway.origin, /^https:/)
  const dialHttp2 = () => {
    const session = connectHttp2(`https://localhost:${gateway.port}`, { ca })
    t.teardown(() => session.destroy())
    return session
  }
  const [busy, idle] = [dialHttp2(), dialHttp2()]
  await Promise.all([once(busy, 'remoteSettings'), once(idle, 'remoteSettings')])
  const stream = busy.request({ ':path': link(), ':authority': `localhost:${gateway.port}` })
  const head = once(stream, 'response')
  const response = await asked()
  response.write('first half, ')
  t.match(await head, [{ ':status': 200 }])
  const goaways = [once(busy, 'goaway'), once(idle, 'goaway')]
  gateway.kill('SIGTERM')
  for (const goaway of goaways) t.match(await goaway, [0], 'GOAWAY without an error')
  response.end('second half')
  let body = ''
  for await (const chunk of stream) body += chunk
  t.equal(body, 'first half, second half')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})

t.test('an HTTP/2 stream that never ends holds it no longer than DRAIN_TIMEOUT', async (t) => {
  const { gateway, asked } = await startAll(t, { ...tls, ...patient })
  const session = connectHttp2(`https://localhost:${gateway.port}`, { ca })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': link(), ':authority': `localhost:${gateway.port}` })
  stream.on('error', () => {})
  await asked()
  // TLS that never says anything holds nothing either.
  const mute = connect(gateway.port, '127.0.0.1')
  t.teardown(() => mute.destroy())
  await once(mute, 'connect')
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})

async function get(t: Test, gateway: Served): Promise<Wire<Socket>> {
  const client = await dial(t, gateway.port)
  client.socket.write(`GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`)
  return client
}

async function open(
  t: Test,
  gateway: Served,
  upgraded: Stage['upgraded'],
): Promise<{ readonly client: Wire<Socket>; readonly upstream: Wire }> {
  const client = await dial(t, gateway.port)
  client.socket.write(handshake(gateway.port, link({}, '/ws')))
  const { socket, accept } = await upgraded()
  accept()
  await client.until(headOf)
  return { client, upstream: wire(socket) }
}

/** Waits until nothing listens any more. */
async function refused({ port }: Served): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const outcome = await new Promise((resolve) => {
      socket.on('connect', () => resolve('taken'))
      socket.on('error', () => resolve('refused'))
    })
    socket.destroy()
    if (outcome === 'refused') return
  }
}

function queue<T>(): { readonly put: (one: T) => void; readonly take: () => Promise<T> } {
  const ready: T[] = []
  const waiting: ((one: T) => void)[] = []
  return {
    put(one) {
      const taker = waiting.shift()
      if (taker) taker(one)
      else ready.push(one)
    },
    take: () =>
      new Promise((resolve) => {
        const one = ready.shift()
        if (one === undefined) waiting.push(resolve)
        else resolve(one)
      }),
  }
}
