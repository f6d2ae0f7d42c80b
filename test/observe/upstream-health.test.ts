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
import { listen } from '../stage.ts'

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

t.test('who takes connections can be reached, and nothing is asked of them', async (t) => {
  const heard: string[] = []
  const open = await startSockets(t, (socket) => {
    heard.push('connection')
    socket.on('data', () => heard.push('data'))
  })
  const closed = 'http://127.0.0.1:1'
  for (const [name, page, api, errors] of [
    ['both', open, open, [null, null]],
    ['the page alone', open, closed, [null, 'ECONNREFUSED']],
    ['the backend alone', closed, open, ['ECONNREFUSED', null]],
  ] as const) {
    const config = upstreamConfig(`${page}/base`, { COPILOT_API_URL: api })
    const [before, states] = await probe(t, config)
    t.match(before[0], { name: 'workspace', up: null, since: null, error: null }, name)
    for (const [index, host] of ['workspace', 'backend'].entries()) {
      const error = errors[index] ?? null
      const origin = [page, api][index]
      t.match(states[index], { name: host, origin, up: error === null, error }, `${name}: ${host}`)
      t.type(states[index]?.since, 'number', name)
    }
  }
  t.same(new Set(heard), new Set(['connection']))
})

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
  ] as const) {
    const [, states] = await probe(t, upstreamConfig(workspace, env))
    t.equal(states[0]?.up, up, `${name}: ${states[0]?.error}`)
  }
})
