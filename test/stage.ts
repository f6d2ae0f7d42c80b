// What the tests play on: a recording upstream, a gateway in front of it, and links into it.
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createLog } from '../src/observe/log.ts'
import { type Serving, serve } from '../src/serve.ts'
import { readConfig } from '../src/settings.ts'

export const secret = 'a-shared-secret-of-256-bits-as-text'
export const ids = { userId: 'agent-7', sessionId: 'session-1', URLToken: 'f38791ae' } as const
export const inAnHour = (): number => Math.floor(Date.now() / 1000) + 3600

/** A JWT made by hand, so that it can be made wrong. */
export function jwt(
  claims: unknown = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() },
  { key = secret, header = { alg: 'HS256', typ: 'JWT' } }: { key?: string; header?: unknown } = {},
): string {
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

/** A link's path and query; `changes` replace or, as null, leave out parameters. */
export function link(changes: Readonly<Record<string, string | null>> = {}, path = '/'): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...ids, auth: jwt(), ...changes })) {
    if (value !== null) query.set(name, value)
  }
  return `${path}?${query}`
}

interface Scope {
  teardown(done: () => unknown): void
}

export interface Recorded {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
}

export interface Upstream {
  readonly origin: string
  readonly port: number
  /** What arrived, upgrades too. */
  readonly seen: Recorded[]
  readonly sockets: ReadonlySet<Socket>
}

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** A real HTTP server that records what it is asked. */
export async function startUpstream(
  t: Scope,
  answer: RequestListener = (_, response) => response.end('ok'),
  onUpgrade?: OnUpgrade,
): Promise<Upstream> {
  const seen: Recorded[] = []
  const sockets = new Set<Socket>()
  const record = ({ method = '', url = '', headers, rawHeaders }: IncomingMessage): void => {
    seen.push({ method, url, headers, rawHeaders })
  }
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
    record(request)
    answer(request, response)
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    record(request)
    socket.on('error', () => {})
    if (onUpgrade) onUpgrade(request, socket, head)
    else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const port = await listen(server)
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { origin: `http://127.0.0.1:${port}`, port, seen, sockets }
}

/** Listens on a free port of loopback. */
export async function listen(server: {
  listen(port: number, host: string): unknown
  address(): string | AddressInfo | null
  once(event: string, listener: () => void): unknown
}): Promise<number> {
  await new Promise<void>((resolve) => {
    server.once('listening', resolve)
    server.listen(0, '127.0.0.1')
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export interface Stage extends Serving {
  readonly origin: string
  readonly port: number
  /** The log's lines, parsed. */
  readonly lines: Record<string, unknown>[]
  /** The audit lines so far, once there are `count`. */
  readonly audited: (count: number) => Promise<Record<string, unknown>[]>
}

/** A gateway as `start` would make it of these settings. */
export async function startGateway(
  t: Scope,
  upstream: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const settings = {
    COPILOT_URL: upstream,
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    PORT: '0',
    DRAIN_TIMEOUT: '1s',
    ...env,
  }
  const read = readConfig(settings, {
    readFile: (path) => readFileSync(path, 'utf8'),
    now: Date.now(),
  })
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const log = createLog('trace', {
    write(line) {
      lines.push(JSON.parse(line))
      for (const check of waiting) check()
    },
  })
  const serving = await serve(read.config, log)
  t.teardown(() => serving.close())
  const origin = serving.addresses[0] ?? ''
  const access = () => lines.filter((line) => line['event'] === 'access')
  return {
    ...serving,
    origin,
    port: Number(new URL(origin).port),
    lines,
    audited: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (access().length < count) return
          waiting.delete(check)
          resolve(access())
        }
        waiting.add(check)
        check()
      }),
  }
}

/** Sends bytes as they are, and resolves to all that comes back until the other side closes. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.write(bytes, 'latin1')
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}
