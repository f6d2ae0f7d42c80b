// What the tests play on: a recording upstream, a gateway in front of it, and links into it.
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  type Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  request as startRequest,
} from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createSocketServer,
  type Socket,
} from 'node:net'
import type { Duplex } from 'node:stream'
import fastify from 'fastify'
import type { Gate } from '../src/access/access.ts'
import type { Key, Keyring, TokenPolicy } from '../src/access/token.ts'
import { createKeyring } from '../src/keys/keyring.ts'
import { createLog } from '../src/observe/log.ts'
import { type Serving, serve } from '../src/serve.ts'
import { type Config, type ContactCenter, readConfig } from '../src/settings/config.ts'
import { know, knowSettings, pour, pourAnswer, pourAnswers } from './sinks.ts'

export const secret = 'a-shared-secret-of-256-bits-as-text'
export const ids = { userId: 'agent-7', sessionId: 'session-1', URLToken: 'f38791ae' } as const
export const inAnHour = (): number => Math.floor(Date.now() / 1000) + 3600

/** A JWT made by hand, so that it can be made wrong. */
export function jwt(
  claims: unknown = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() },
  {
    key = secret,
    header = { alg: 'HS256', typ: 'JWT' },
  }: { key?: string | Buffer; header?: unknown } = {},
): string {
  const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

/** A link's path and query; `changes` replace or, as null, leave out parameters. */
export function link(changes: Readonly<Record<string, string | null>> = {}, path = '/'): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...ids, auth: jwt(), ...changes })) {
    if (value === null) continue
    query.set(name, value)
    if (name === 'URLToken') know('secret', value)
    if (name === 'userId' || name === 'sessionId') know('id', value)
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

export interface Stage extends Omit<Serving, 'reload'> {
  /** Goes on with other settings; what is not given is as before. */
  readonly reload: (
    env?: Readonly<Record<string, string>>,
    configure?: (config: Config) => Config,
  ) => Promise<void>
  readonly origin: string
  readonly port: number
  /** The log's lines, parsed. */
  readonly lines: Record<string, unknown>[]
  /** The audit lines so far, once there are `count`. */
  readonly audited: (count: number) => Promise<Record<string, unknown>[]>
}

type ServeOptions = NonNullable<Parameters<typeof serve>[2]>

interface GatewayOptions extends ServeOptions {
  /** Changes what the settings came to. */
  readonly configure?: (config: Config) => Config
}

/** Puts contact centers in the place of the one that the environment makes, alike but for these changes. */
export function contactCenters(
  ...changes: readonly Partial<ContactCenter>[]
): NonNullable<GatewayOptions['configure']> {
  return (config) => ({
    ...config,
    contactCenters: changes.flatMap((change) =>
      config.contactCenters.slice(0, 1).map((one) => ({ ...one, ...change })),
    ),
  })
}

/** A gateway as `start` would make it of these settings. */
export async function startGateway(
  t: Scope,
  upstream: string,
  env: Readonly<Record<string, string>> = {},
  { configure = (config) => config, ...options }: GatewayOptions = {},
): Promise<Stage> {
  const settings = {
    COPILOT_URL: upstream,
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    PORT: '0',
    DRAIN_TIMEOUT: '1s',
    // Tests are refused a lot.
    RATE_LIMIT: '1000000/1m',
    ...env,
  }
  const configOf = (changes: Readonly<Record<string, string>>): Config => {
    const changed = { ...settings, ...changes }
    knowSettings(changed)
    const read = readConfig(changed, {
      readFile: (path) => readFileSync(path, 'utf8'),
      now: Date.now(),
    })
    if ('problems' in read) throw new Error(JSON.stringify(read.problems))
    return read.config
  }
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const log = createLog('trace', {
    write(line) {
      pour('log', line)
      lines.push(JSON.parse(line))
      for (const check of waiting) check()
    },
  })
  const serving = await serve(configure(configOf({})), log, options)
  t.teardown(() => serving.close())
  const origin = serving.addresses[0] ?? ''
  const access = () => lines.filter((line) => line['event'] === 'access')
  return {
    ...serving,
    reload: async (changes = {}, reconfigure = configure) =>
      serving.reload(reconfigure(configOf(changes))),
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
  await new Promise((resolve) => socket.once('close', resolve))
  const answers = Buffer.concat(chunks)
  pourAnswers(answers)
  return answers.toString('latin1')
}

export interface Asked {
  readonly method?: string
  /** Sent in this order and spelling; Host is the gateway's unless it is here. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Buffer
  /** None: a connection of its own, closed afterwards. */
  readonly agent?: Agent
}

export interface Answer {
  readonly status: number
  readonly message: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly rawTrailers: readonly string[]
  /** Latin-1: a character a byte. */
  readonly body: string
  /** False where it was cut short. */
  readonly complete: boolean
  /** 1xx answers that came before. */
  readonly interim: readonly { readonly status: number; readonly headers: IncomingHttpHeaders }[]
}

/** Asks over HTTP/1.1 and resolves to all that came back; rejects where no answer did. */
export function ask(origin: string, target = link(), asked: Asked = {}): Promise<Answer> {
  const { hostname, port, host } = new URL(origin)
  const { method = 'GET', headers = {}, body, agent = false } = asked
  const named = Object.keys(headers).map((name) => name.toLowerCase())
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().flatMap((value) => [name, value]),
  )
  if (!named.includes('host')) lines.unshift('Host', host)
  const sized = ['content-length', 'transfer-encoding'].some((name) => named.includes(name))
  if (!sized && (body !== undefined || !['GET', 'HEAD'].includes(method))) {
    lines.push('Content-Length', String(Buffer.byteLength(body ?? '')))
  }
  return new Promise((resolve, reject) => {
    const interim: { status: number; headers: IncomingHttpHeaders }[] = []
    const request = startRequest({
      host: hostname.replace(/^\[|\]$/g, ''),
      port,
      method,
      path: target,
      headers: lines,
      agent,
      maxHeaderSize: 64 * 1024,
    })
    request.on('information', ({ statusCode: status, headers }) =>
      interim.push({ status, headers }),
    )
    request.on('error', reject)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => {})
      response.on('close', () => {
        const { statusCode: status = 0, headers } = response
        const body = Buffer.concat(chunks).toString('latin1')
        pourAnswer(status, headers, body)
        resolve({
          status,
          message: response.statusMessage ?? '',
          headers,
          rawHeaders: response.rawHeaders,
          rawTrailers: response.rawTrailers,
          body,
          complete: response.complete,
          interim,
        })
      })
    })
    request.end(body)
  })
}

/** The values of one header, a line each, from names and values in turn. */
export function valuesOf(raw: readonly string[] | undefined, name: string): string[] {
  const lines = raw ?? []
  return lines.filter((_, i) => i % 2 === 1 && lines[i - 1]?.toLowerCase() === name.toLowerCase())
}

/** The audit line of one request, once it is written. */
export async function auditOf(
  gateway: Stage,
  requestId: string | string[] | undefined,
): Promise<Record<string, unknown>> {
  for (let count = 1; ; count += 1) {
    const lines = await gateway.audited(count)
    const found = lines.find((line) => line['requestId'] === requestId)
    if (found !== undefined) return found
  }
}

/** The session cookie, as `name=value`, that a link's navigation is given. */
export async function openSession(
  gateway: Stage,
  changes: Readonly<Record<string, string | null>> = {},
): Promise<string> {
  const { headers } = await ask(gateway.origin, link(changes))
  const line = headers['set-cookie']?.find((one) => one.startsWith('__Host-copilot-'))
  if (line === undefined) throw new Error('no session cookie')
  return line.slice(0, line.indexOf(';'))
}

export interface SocketUpstream {
  readonly origin: string
  readonly port: number
  /** Heads of the requests that arrived, as they came. */
  readonly heads: readonly string[]
}

/** An upstream that answers with bytes: `answer` is called once a request's head is there. */
export async function startSocketUpstream(
  t: Scope,
  answer: (socket: Socket, head: string, count: number) => void,
): Promise<SocketUpstream> {
  const heads: string[] = []
  const sockets = new Set<Socket>()
  const server = createSocketServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4)
        text = text.slice(end + 4)
        if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) continue
        heads.push(head)
        answer(socket, head, heads.length)
      }
    })
  })
  const port = await listen(server)
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { origin: `http://127.0.0.1:${port}`, port, heads }
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Reads the answers in what `exchange` resolves to; the last one's body may go on to the end. */
export function answersIn(text: string): RawAnswer[] {
  const answers: RawAnswer[] = []
  for (let rest = text; rest !== ''; ) {
    const [, line = '', lines = ''] = /^(HTTP\/1\.1 .*)\r\n((?:.+\r\n)*)\r\n/.exec(rest) ?? []
    if (line === '') throw new Error(`not an answer: ${JSON.stringify(rest.slice(0, 200))}`)
    const headers = Object.fromEntries(
      lines.split('\r\n').flatMap((one) => {
        const colon = one.indexOf(':')
        return colon < 0 ? [] : [[one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()]]
      }),
    )
    const status = Number(line.split(' ')[1])
    rest = rest.slice(line.length + 2 + lines.length + 2)
    const bodiless = status < 200 || status === 204 || status === 304
    let length = Number(bodiless ? 0 : (headers['content-length'] ?? rest.length))
    if (headers['transfer-encoding'] === 'chunked') {
      length = rest.search(/(?:^|\r\n)0\r\n/)
      length = rest.indexOf('\r\n\r\n', length) + 4
    }
    answers.push({ status, headers, body: rest.slice(0, length) })
    rest = rest.slice(length)
  }
  return answers
}

type GateChanges = Partial<Omit<Gate, 'keyring'>> &
  Partial<Pick<Config, 'sessionSecrets' | 'upstreamSecret'>>

/** What a gateway decides by, with a real key for each secret, newest first. */
export function createGate(
  secrets: readonly (string | Buffer)[] = [secret],
  changes: GateChanges & Partial<ContactCenter> = {},
  name = 'default',
): Promise<Gate> {
  const center = { name, secrets: secrets.map((text) => Buffer.from(text)), ...changes }
  return createGateOf([center], changes)
}

/** The same of several contact centers, each but for its changes as the environment makes one. */
export async function createGateOf(
  centers: readonly Partial<ContactCenter>[],
  changes: GateChanges = {},
): Promise<Gate> {
  const contactCenters = centers.map(
    (center): ContactCenter => ({
      name: 'default',
      secrets: [Buffer.from(secret)],
      publicKeys: [],
      jwksUrl: null,
      frameAncestors: ['https://cc.example'],
      urlTokens: null,
      tokens: { requireExp: false, maxAge: null, clockTolerance: 5000 },
      oneTimeTokens: false,
      enforcement: 'enforce',
      linksClients: [],
      ...center,
    }),
  )
  const { forwardAuth = true, sessionSecrets = [], upstreamSecret = null } = changes
  const settings = { contactCenters, sessionSecrets, upstreamSecret, forwardAuth }
  return {
    keyring: await createKeyring(fastify(), settings),
    sessions: { maxAge: 12 * 3_600_000, outliveToken: false },
    forwardAuth,
    publicPaths: { exact: new Set(), prefixes: [] },
    isRevoked: () => false,
    ...changes,
    enforcement: changes.enforcement ?? 'enforce',
  }
}

/** The same keyring with other keys, any of which may have signed a token. */
export function withKeys(keyring: Keyring, keys: readonly Key[]): Keyring {
  return {
    ...keyring,
    keys,
    candidates: () => keys,
    sessionKey: (id) => keys.find(({ sessions }) => sessions.id === id)?.sessions ?? null,
  }
}

/** The same keyring, but for its contact center's token policy. */
export function withPolicy(keyring: Keyring, policy: Partial<TokenPolicy>): Keyring {
  const keys = keyring.keys.map((key): Key => {
    const { contactCenter } = key
    return {
      ...key,
      contactCenter: { ...contactCenter, tokens: { ...contactCenter.tokens, ...policy } },
    }
  })
  return withKeys(keyring, keys)
}

interface SetCookie {
  readonly name: string
  readonly value: string
  readonly attributes: Readonly<Record<string, string | true>>
}

function parsed(line: string): SetCookie {
  const [pair = '', ...attributes] = line.split('; ')
  const [name = '', value = ''] = pair.split(/=(.*)/)
  return {
    name,
    value,
    attributes: Object.fromEntries(
      attributes.map((text) => {
        const [key = '', value] = text.split(/=(.*)/)
        return [key, value ?? true]
      }),
    ),
  }
}

/** The gateway's cookies that an answer sets. */
export function ownCookies(lines: readonly string[] | undefined): SetCookie[] {
  return (lines ?? []).map(parsed).filter(({ name }) => name.startsWith('__Host-copilot-'))
}
