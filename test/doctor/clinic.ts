// What the doctor's tests play on: a workspace, a gateway before it, and what stands before that.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as startRequest,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import {
  createServer as createTlsServer,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import { fileURLToPath } from 'node:url'
import { type Link, makeLink, readLink } from '../../src/doctor/credentials.ts'
import { examine, type Patient, type Result } from '../../src/doctor/examine.ts'
import { environment } from '../environment.ts'
import { ids, inAnHour, jwt, listen, secret, startUpstream, type Upstream } from '../stage.ts'
import { accepting } from '../websocket/peer.ts'

interface Scope {
  teardown(done: () => unknown): void
}

/** A name that leads to this machine, for the doctor alone. */
export const host = 'gateway.test'
export const apiToken = 'the-api-token-of-the-whole-cluster'

/** A workspace whose `config.js` is as the gateway will make it, unless it is told otherwise. */
export function startWorkspace(
  t: Scope,
  answer: (origin: string, response: ServerResponse) => void = (origin, response) =>
    response.end(serverConfig('copilot-gateway', origin)),
): Promise<Upstream> {
  return startUpstream(
    t,
    ({ url = '', headers }, response) => {
      response.setHeader('Server', 'workspace/1.0')
      if (url.startsWith('/config.js')) {
        response.setHeader('Content-Type', 'text/javascript')
        response.setHeader('Cache-Control', 'public, max-age=60')
        answer(`//${headers['x-forwarded-host']}`, response)
      } else {
        response.setHeader('Content-Type', 'text/html; charset=utf-8')
        response.setHeader('Set-Cookie', 'theme=dark; Path=/; Domain=example.com')
        response.end('<!doctype html><title>Copilot</title>')
      }
    },
    (request, socket) => {
      socket.on('end', () => socket.end()).resume()
      socket.write(accepting(request))
    },
  )
}

export function serverConfig(accessTokenSecret: string, agentAssistAPIUrl: string): string {
  const config = { accessTokenSecret, agentAssistAPIUrl, liveAgentUrl: '' }
  return `window.serverConfig = ${JSON.stringify(config)}\n`
}

/** The links that an agent's integration, or the doctor itself, would make. */
export function linksTo(base: string, made = false): Pick<Patient, 'link' | 'expired'> {
  const url = new URL(base)
  if (made) {
    const { URLToken: urlToken, ...who } = ids
    const options = { ...who, urlToken, baseUrl: url, secret: Buffer.from(secret) }
    const make = (now: number): Link => makeLink({ ...options, expiresIn: 3_600_000, now })
    return { link: make(Date.now()), expired: make(Date.now() - 7_200_000) }
  }
  return { link: linkWith(base, jwt({ ...ids, exp: inAnHour() })), expired: null }
}

export function linkWith(base: string, auth: string): Link {
  const read = readLink(`${base}/?${new URLSearchParams({ ...ids, auth })}`, new URL(base))
  if ('problem' in read) throw new Error(read.problem)
  return read
}

/** Every result, of which none may tell a secret. */
export async function examined(
  base: string,
  changes: Partial<Patient> = {},
): Promise<Map<string, Result>> {
  const patient = {
    url: new URL(base),
    ...linksTo(base),
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
    deadline: 5000,
    now: Date.now(),
    ...changes,
  }
  const results = new Map<string, Result>()
  for await (const result of examine(patient)) results.set(result.check.id, result)
  const told = JSON.stringify([...results.values()])
  for (const one of [patient.link?.auth, patient.link?.URLToken, secret, apiToken, 'eyJ']) {
    if (one !== undefined && told.includes(one)) throw new Error(`told: ${told}`)
  }
  return results
}

/** The checks that did not pass, but for those that were skipped. */
export function found(results: ReadonlyMap<string, Result>): Record<string, string> {
  const seen = [...results].map(([id, { verdict }]): [string, string] => [id, verdict])
  return Object.fromEntries(seen.filter(([, verdict]) => !['pass', 'skipped'].includes(verdict)))
}

export function skipped(results: ReadonlyMap<string, Result>): Record<string, string> {
  const all = [...results].filter(([, { verdict }]) => verdict === 'skipped')
  return Object.fromEntries(all.map(([id, { seen }]) => [id, seen]))
}

export interface Ran {
  readonly stdout: string
  readonly stderr: string
  readonly code: unknown
}

type Env = Readonly<Record<string, string>>

export const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

export function runDoctor(
  args: readonly string[],
  cwd: string,
  env: Env = {},
  stdin = '',
): Promise<Ran> {
  return start(process.execPath, [cli, 'doctor', ...args], cwd, env, stdin)
}

/** Runs a command, which must tell no secret whatever it says. */
export async function start(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Env = {},
  stdin = '',
): Promise<Ran> {
  const child = spawn(command, args, { cwd, env: { ...environment, ...env } })
  // Who does not read it may be gone.
  child.stdin.on('error', () => {}).end(stdin)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  for (const one of [secret, ids.URLToken, 'the-url-token', 'eyJ']) {
    if (`${stdout}${stderr}`.includes(one)) throw new Error(`told: ${stdout}${stderr}`)
  }
  return { stdout, stderr, code }
}

export interface Asked {
  readonly method: string
  readonly target: string
  readonly headers: readonly Header[]
  readonly upgrade: boolean
}

export type Header = readonly [name: string, value: string]

export interface Answered {
  readonly status: number
  readonly headers: readonly Header[]
  readonly body: string
}

/** What something in front of the gateway does wrong. */
export interface Fault {
  readonly ask?: (asked: Asked) => Asked
  /** Answers in place of the gateway. */
  readonly instead?: (asked: Asked) => Answered | null
  readonly answer?: (answered: Answered, asked: Asked) => Answered
}

/** A proxy that changes nothing but what its fault says. */
export async function startFront(t: Scope, gateway: number, fault: Fault = {}): Promise<string> {
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.on('request', async (request, response) => {
    const { status, headers, body } = await pass(gateway, fault, askedBy(request, false))
    response.writeHead(status, headers.flat())
    response.end(body, 'latin1')
  })
  server.on('upgrade', async (request: IncomingMessage, socket: Socket) => {
    const { status, headers, body } = await pass(gateway, fault, askedBy(request, true))
    const lines = headers.map((header) => `${header.join(': ')}\r\n`)
    socket.end(`HTTP/1.1 ${status} x\r\n${lines.join('')}\r\n${body}`, 'latin1')
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${await listen(server)}`
}

function askedBy({ method = '', url = '', rawHeaders }: IncomingMessage, upgrade: boolean): Asked {
  return { method, target: url, headers: paired(rawHeaders), upgrade }
}

function pass(port: number, fault: Fault, first: Asked): Promise<Answered> {
  const asked = fault.ask?.(first) ?? first
  const done = (answered: Answered): Answered => fault.answer?.(answered, asked) ?? answered
  const instead = fault.instead?.(asked)
  if (instead) return Promise.resolve(done(instead))
  return new Promise((resolve, reject) => {
    const { method, target: path, headers } = asked
    const lines = headers.flat()
    const request = startRequest({ port, method, path, headers: lines, agent: false })
    request.on('error', reject)
    request.on('upgrade', ({ rawHeaders }, socket) => {
      socket.destroy()
      resolve(done({ status: 101, headers: paired(rawHeaders), body: '' }))
    })
    request.on('response', async (response) => {
      let body = ''
      for await (const chunk of response.setEncoding('latin1')) body += chunk
      const sized = /^(?:transfer-encoding|content-length|connection)$/i
      const kept = paired(response.rawHeaders).filter(([name]) => !sized.test(name))
      kept.push(['Connection', 'close'])
      resolve(done({ status: Number(response.statusCode), headers: kept, body }))
    })
    request.end()
  })
}

function paired(raw: readonly string[]): Header[] {
  return raw.flatMap((name, i): Header[] => (i % 2 === 0 ? [[name, String(raw[i + 1])]] : []))
}

export interface Tls {
  readonly base: string
  /** Where it leads to. */
  readonly behind: { port: number }
  readonly server: Server
}

/** TLS that ends in front of a port; `lead` may take a connection elsewhere. */
export async function startTls(
  t: Scope,
  options: TlsOptions,
  lead: (socket: TLSSocket) => boolean = () => false,
): Promise<Tls> {
  const behind = { port: 0 }
  const sockets = new Set<Socket>()
  const server = createTlsServer(options, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    if (lead(socket)) return
    const onward = connect(behind.port, '127.0.0.1')
    onward.on('error', () => {})
    socket.pipe(onward).pipe(socket)
    socket.on('close', () => onward.destroy())
  })
  server.on('tlsClientError', () => {})
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { base: `https://${host}:${await listen(server)}`, behind, server }
}

export interface Certificate {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** A certificate for gateway.test and loopback, and the CA that signed it. */
export function makeCertificate(dir: string): Certificate {
  const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
  execFileSync(script, ['--out', dir, host])
  const read = (file: string): string => readFileSync(join(dir, file), 'utf8')
  return { cert: read('server.pem'), key: read('server-key.pem'), ca: read('ca.pem') }
}
