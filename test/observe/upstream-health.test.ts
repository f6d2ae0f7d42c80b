// The workspace is asked whether it is there, as the gateway itself would ask it.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { createServer as createSocketServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { createLog } from '../../src/observe/log.ts'
import { createUpstreamHealth } from '../../src/observe/upstream-health.ts'
import type { Config } from '../../src/settings/config.ts'
import { upstreamConfig } from '../admin/stage.ts'
import { listen, startUpstream } from '../stage.ts'

interface Scope {
  teardown(done: () => unknown): void
}

const silent = createLog('silent', { write() {} })

/** How both hosts stand after the first probe. */
async function probe(t: Scope, config: Config['upstream']) {
  const health = createUpstreamHealth(config, silent)
  t.teardown(health.close)
  const before = health.states()
  await health.known
  return [before, health.states()] as const
}

/** A server of connections that does this with each. */
async function startSockets(t: Scope, answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createSocketServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    answer(socket)
  })
  const port = await listen(server)
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${port}`
}

const answering =
  (head: string) =>
  (socket: Socket): void => {
    socket.once('data', () => socket.end(`HTTP/1.1 ${head}\r\nContent-Length: 5\r\n\r\n`))
  }

t.test('any answer will do, and nothing else', async (t) => {
  const rows = [
    ['an answer', answering('200 OK'), null],
    ['a redirect', answering('302 Found\r\nLocation: http://127.0.0.1:1/'), null],
    ['a refusal', answering('401 Unauthorized'), null],
    ['an error', answering('503 Service Unavailable'), null],
    ['no HTTP', (socket: Socket) => socket.end('SSH-2.0-OpenSSH\r\n'), 'HTTPParserError'],
    ['a reset', (socket: Socket) => socket.resetAndDestroy(), 'ECONNRESET'],
    ['silence', () => {}, 'ETIMEDOUT'],
  ] as const
  for (const [name, answer, error] of rows) {
    const workspace = await startSockets(t, answer)
    const config = upstreamConfig(workspace, { UPSTREAM_TIMEOUT: '200ms' })
    const [before, states] = await probe(t, config)
    const origin = workspace
    t.match(before[0], { name: 'workspace', origin, up: null, since: null, error: null }, name)
    t.match(states[0], { name: 'workspace', origin, up: error === null, error }, name)
    t.type(states[0]?.since, 'number', name)
  }
})

t.test(
  'each host is asked with HEAD under its base path, over a connection of its own',
  async (t) => {
    const page = await startUpstream(t)
    const api = await startUpstream(t)
    const config = upstreamConfig(`${page.origin}/base`, { COPILOT_API_URL: api.origin })
    const [, states] = await probe(t, config)
    t.match(states, [
      { name: 'workspace', origin: page.origin, up: true },
      { name: 'backend', origin: api.origin, up: true },
    ])
    for (const [{ seen }, url] of [
      [page, '/base'],
      [api, '/'],
    ] as const) {
      t.equal(seen.length, 1)
      t.match(seen[0], { method: 'HEAD', url, headers: { connection: 'close' } })
    }
  },
)

t.test('the certificates are those of the gateway', async (t) => {
  const folder = t.testdir()
  const make = (name: string): { cert: string; key: string } => {
    const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)]
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost']
    const args = ['req', '-x509', '-nodes', '-days', '2', '-newkey', 'rsa:2048', ...subject]
    execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return { cert, key }
  }
  const own = make('workspace')
  const client = make('gateway')
  const read = (file: string): string => readFileSync(file, 'utf8')
  const server = createServer(
    { cert: read(own.cert), key: read(own.key), ca: read(client.cert), requestCert: true },
    (_, response) => response.end(),
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const workspace = `https://localhost:${port}`
  const ca = { UPSTREAM_CA_FILE: own.cert }
  const pair = { UPSTREAM_CERT_FILE: client.cert, UPSTREAM_KEY_FILE: client.key }
  for (const [name, env, up] of [
    ['both', { ...ca, ...pair }, true],
    ['an authority that is not known', pair, false],
    ['no certificate of its own', ca, false],
  ] as const) {
    const [, states] = await probe(t, upstreamConfig(workspace, env))
    t.equal(states[0]?.up, up, `${name}: ${states[0]?.error}`)
  }
})
