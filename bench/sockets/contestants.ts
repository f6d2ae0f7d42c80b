// What is measured: processes of their own, on a core of their own, in front of one upstream.
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { listen, secret } from '../../test/stage.ts'

/** The processor that a contestant has for itself. */
const core = '0'

export interface Contestant {
  readonly name: string
  readonly path: string
  /** Whether it checks the link at the upgrade. */
  readonly checks: boolean
  readonly start: (setup: Setup) => Promise<Running>
}

export interface Setup {
  readonly upstream: number
  readonly tls: boolean
  /** Where certificates and configurations are. */
  readonly dir: string
}

export interface Running {
  readonly port: number
  /** Processor time so far, of all threads, in µs. */
  readonly cpu: () => number
  /** Resident memory, in kB. */
  readonly memory: () => number
  readonly stop: () => Promise<void>
}

export const contestants: readonly Contestant[] = [
  { name: 'gateway, events read', path: '/socket.io/', checks: true, start: startGateway },
  { name: 'gateway, unread', path: '/ws', checks: true, start: startGateway },
  { name: 'HAProxy, tunnel', path: '/ws', checks: true, start: startHaproxy },
  { name: '`pipe()`, unchecked', path: '/ws', checks: false, start: startPipe },
]

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

async function startGateway({ upstream, tls, dir }: Setup): Promise<Running> {
  // As `npm start` does.
  const args = ['--max-semi-space-size=16', source('../../src/cli.ts'), 'start']
  const child = pinned(process.execPath, args, {
    COPILOT_URL: `http://127.0.0.1:${upstream}`,
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    PORT: '0',
    MAX_CONNECTIONS: '20000',
    ...(tls ? { TLS_CERT_FILE: join(dir, 'server.pem') } : {}),
    ...(tls ? { TLS_KEY_FILE: join(dir, 'server-key.pem') } : {}),
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /"event":"listening","addresses":\["https?:\/\/[^"]*:(\d+)"/.exec(line)?.[1]
    if (port === undefined) continue
    child.stdout.resume()
    return running(child, Number(port))
  }
  throw new Error('the gateway did not start')
}

/** The same checks in HAProxy's words: algorithm, signature, end, and the claims against the query. */
async function startHaproxy({ upstream, tls, dir }: Setup): Promise<Running> {
  const port = await freePort()
  const pem = ['server.pem', 'server-key.pem'].map((name) => readFileSync(join(dir, name), 'utf8'))
  writeFileSync(join(dir, 'haproxy.pem'), pem.join(''))
  const config = join(dir, 'haproxy.cfg')
  writeFileSync(
    config,
    `
global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend link
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${join(dir, 'haproxy.pem')}` : ''}
  http-request set-var(txn.token) url_param(auth)
  http-request set-var(txn.user) url_param(userId),url_dec
  http-request set-var(txn.session) url_param(sessionId),url_dec
  http-request set-var(txn.end) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.token),jwt_header_query('$.alg') -m str HS256 }
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify("HS256","${secret}") 1 }
  http-request deny deny_status 401 unless { var(txn.end),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 403 unless { var(txn.token),jwt_payload_query('$.userId'),strcmp(txn.user) eq 0 }
  http-request deny deny_status 403 unless { var(txn.token),jwt_payload_query('$.sessionId'),strcmp(txn.session) eq 0 }
  default_backend workspace
backend workspace
  server workspace 127.0.0.1:${upstream}
`,
  )
  const child = pinned('haproxy', ['-db', '-f', config], {})
  for (let tries = 0; tries < 100; tries += 1) {
    if (await answers(port)) return running(child, port)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('HAProxy did not start')
}

async function startPipe({ upstream, tls, dir }: Setup): Promise<Running> {
  const files = tls ? [join(dir, 'server.pem'), join(dir, 'server-key.pem')] : []
  const child = pinned(process.execPath, [source('pipe.ts'), String(upstream), ...files], {})
  const [port] = await once(createInterface({ input: child.stdout }), 'line')
  return running(child, Number(port))
}

type Child = ChildProcessByStdio<null, Readable, null>

const children = new Set<Child>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

function pinned(command: string, args: readonly string[], env: Record<string, string>): Child {
  const child = spawn('taskset', ['-c', core, command, ...args], {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  return child
}

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

function running(child: Child, port: number): Running {
  const proc = (file: string): string => readFileSync(`/proc/${child.pid}/${file}`, 'utf8')
  return {
    port,
    cpu() {
      // Behind the name, which may hold spaces, utime and stime are the 12th and the 13th.
      const fields = proc('stat')
        .replace(/^.*\) /s, '')
        .split(' ')
      return ((Number(fields[11]) + Number(fields[12])) / ticks) * 1e6
    },
    memory: () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(proc('status'))?.[1]),
    async stop() {
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
      children.delete(child)
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
