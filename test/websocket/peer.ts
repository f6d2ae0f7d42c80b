// Both ends of a WebSocket as bytes: handshakes and frames by hand, so that they can be made wrong.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import { pourAnswers } from '../sinks.ts'
import { link, type Stage, startGateway, startUpstream, type Upstream } from '../stage.ts'

interface Scope {
  teardown(done: () => unknown): void
}

/** One end of a connection, with all that it has been sent. */
export interface Wire<T extends Duplex = Duplex> {
  readonly socket: T
  readonly bytes: () => Buffer
  /** What `find` finds in the bytes, as soon as it does; rejects when no more will come. */
  readonly until: <F>(find: (bytes: Buffer) => F | null) => Promise<F>
  /** All bytes, once the other side has said its last. */
  readonly ended: Promise<Buffer>
  readonly closed: Promise<void>
}

export function wire<T extends Duplex>(socket: T, head: Buffer = Buffer.alloc(0)): Wire<T> {
  const chunks = [head]
  const bytes = (): Buffer => {
    if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks))
    return chunks[0] ?? head
  }
  const waiting = new Set<() => void>()
  let over = false
  const check = (): void => {
    for (const one of waiting) one()
  }
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    check()
  })
  const end = (): void => {
    over = true
    check()
    pourAnswers(bytes())
  }
  const until: Wire['until'] = (find) =>
    new Promise((resolve, reject) => {
      const one = (): void => {
        const found = find(bytes())
        if (found === null && !over) return
        waiting.delete(one)
        if (found === null) reject(new Error(`ended after ${JSON.stringify(`${bytes()}`)}`))
        else resolve(found)
      }
      waiting.add(one)
      one()
    })
  const ended = new Promise<void>((resolve) => {
    socket.on('end', resolve)
    socket.on('close', resolve)
  }).then(() => {
    end()
    return bytes()
  })
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  return { socket, bytes, until, ended, closed }
}

/** A raw connection to a port of loopback that stays half open until it is ended. */
export async function dial(t: Scope, port: number): Promise<Wire<Socket>> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  const dialled = wire(socket)
  await once(socket, 'connect')
  return dialled
}

export const key = 'dGhlIHNhbXBsZSBub25jZQ=='

/** The head of an upgrade; `changes` replace, add or, as null, leave out header lines. */
export function handshake(
  port: number,
  target: string,
  changes: Readonly<Record<string, string | readonly string[] | null>> = {},
  first = `GET ${target} HTTP/1.1`,
): string {
  const headers = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': key,
    ...changes,
  }
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    values === null ? [] : [values].flat().map((value) => `${name}: ${value}`),
  )
  return [first, ...lines, '', ''].join('\r\n')
}

export function acceptFor(handshakeKey: string): string {
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  return createHash('sha1').update(`${handshakeKey}${guid}`).digest('base64')
}

/** The head of an upstream's 101. */
export function accepting(request: IncomingMessage, ...lines: string[]): string {
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptFor(request.headers['sec-websocket-key'] ?? '')}`,
    ...lines,
    '',
    '',
  ].join('\r\n')
}

/** The head of an answer: status line and headers by lowered name. */
export interface Head {
  readonly text: string
  readonly status: number
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly length: number
}

export function headOf(bytes: Buffer): Head | null {
  const length = bytes.indexOf('\r\n\r\n') + 4
  if (length < 4) return null
  const text = bytes.toString('latin1', 0, length)
  const headers: Record<string, string[]> = {}
  for (const line of text.split('\r\n').slice(1, -2)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    headers[name] = [...(headers[name] ?? []), line.slice(colon + 1).trim()]
  }
  return { text, status: Number(text.slice(9, 12)), headers, length }
}

export function bodyOf(bytes: Buffer): Buffer {
  return bytes.subarray(headOf(bytes)?.length ?? 0)
}

export interface FrameOptions {
  readonly opcode?: number
  readonly fin?: boolean
  readonly rsv?: number
  readonly mask?: boolean
  /** Bytes of the extended length, where longer than need be. */
  readonly lengthBytes?: 0 | 2 | 8
  /** The length that the header says, where it is another. */
  readonly says?: number | bigint
}

export const text = 1
export const binary = 2
export const continuation = 0
export const close = 8
export const ping = 9
export const pong = 10

/** A frame as a server sends it (RFC 6455 §5.2); `mask` as a client does. */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { opcode = text, fin = true, rsv = 0, mask = false } = options
  const bytes = Buffer.from(payload)
  const says = options.says ?? bytes.length
  const lengthBytes = options.lengthBytes ?? (says > 0xffff ? 8 : says > 125 ? 2 : 0)
  const header = Buffer.alloc(2 + lengthBytes)
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  header[1] = (mask ? 0x80 : 0) | (lengthBytes === 8 ? 127 : lengthBytes === 2 ? 126 : Number(says))
  if (lengthBytes === 2) header.writeUInt16BE(Number(says), 2)
  if (lengthBytes === 8) header.writeBigUInt64BE(BigInt(says), 2)
  if (!mask) return Buffer.concat([header, bytes])
  const masking = randomBytes(4)
  return Buffer.concat([header, masking, bytes.map((byte, i) => byte ^ (masking[i % 4] ?? 0))])
}

/** A frame as a client sends it, unless told otherwise. */
export function masked(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  return frame(payload, { mask: true, ...options })
}

export function closeWith(code: number, reason: string, options: FrameOptions = {}): Buffer {
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)])
  return frame(payload, { ...options, opcode: close })
}

const kinds = ['continuation', 'text', 'binary']
const controls = ['close', 'ping', 'pong']

/** The whole frames in some bytes, in words: `text hello`, `text… hel`, `close 1000 bye`. */
export function inWords(bytes: Buffer): string[] {
  const words: string[] = []
  for (let at = 0; at + 2 <= bytes.length; ) {
    const [first, second] = [bytes[at] ?? 0, bytes[at + 1] ?? 0]
    const short = second & 127
    const start = at + 2 + (short === 127 ? 8 : short === 126 ? 2 : 0)
    if (bytes.length < start) break
    const length =
      short === 127
        ? Number(bytes.readBigUInt64BE(at + 2))
        : short === 126
          ? bytes.readUInt16BE(at + 2)
          : short
    const data = start + (second & 128 ? 4 : 0)
    if (bytes.length < data + length) break
    const masking = second & 128 ? bytes.subarray(start, data) : Buffer.alloc(4)
    const payload = bytes
      .subarray(data, data + length)
      .map((byte, i) => byte ^ (masking[i % 4] ?? 0))
    const shown = Buffer.from(payload)
    const opcode = first & 15
    const name = (opcode < 8 ? kinds[opcode] : controls[opcode - 8]) ?? `opcode-${opcode}`
    const said =
      opcode === close && length >= 2
        ? `${shown.readUInt16BE(0)} ${shown.subarray(2)}`
        : length > 64
          ? `(${length})`
          : `${shown}`
    words.push(`${name}${first & 128 ? '' : '…'} ${said}`.trim())
    at = data + length
  }
  return words
}

/** What an honest end hears, in words, as it comes. */
export function record(socket: WebSocket): string[] {
  const events: string[] = []
  const shown = (data: RawData, isBinary: boolean): string => {
    const bytes = Buffer.isBuffer(data) ? data : Buffer.from(String(data))
    if (bytes.length > 100) return `<${bytes.length} bytes>`
    return isBinary ? `<${bytes.toString('hex')}>` : `${bytes}`
  }
  socket.on('message', (data, isBinary) => events.push(shown(data, isBinary)))
  socket.on('ping', (data) => events.push(`ping ${data}`))
  socket.on('pong', (data) => events.push(`pong ${data}`))
  socket.on('error', (error) => events.push(`error ${'code' in error ? error.code : error}`))
  socket.on('close', (code, reason) => events.push(`close ${code} ${reason}`))
  return events
}

/** Both ends of a socket through the gateway. */
export interface Pair {
  readonly client: Wire<Socket>
  readonly upstream: Wire
  /** The client's 101. */
  readonly head: Head
}

/** The words of the first `count` frames that a client got. */
export function said({ client }: Pick<Pair, 'client'>, count: number): Promise<string[]> {
  return client.until((bytes) => {
    const words = inWords(bodyOf(bytes))
    return words.length < count ? null : words
  })
}

/** The words of the first `count` frames that reached the upstream. */
export function heard({ upstream }: Pick<Pair, 'upstream'>, count: number): Promise<string[]> {
  return upstream.until((bytes) => {
    const words = inWords(bytes)
    return words.length < count ? null : words
  })
}

export interface SocketStage {
  readonly gateway: Stage
  readonly upstream: Upstream
  /** The next upgrade that reaches the upstream, and its socket. */
  readonly next: () => Promise<{ readonly request: IncomingMessage; readonly socket: Duplex }>
  /** A client's connection on which an upgrade has been asked for. */
  readonly ask: (
    target?: string,
    changes?: Readonly<Record<string, string | readonly string[] | null>>,
    ...more: Buffer[]
  ) => Promise<Wire<Socket>>
  /** A socket that is open at both ends. */
  readonly pair: (
    target?: string,
    changes?: Readonly<Record<string, string | readonly string[] | null>>,
  ) => Promise<Pair>
}

/** A gateway before an upstream whose upgrades the test answers itself. */
export async function startSockets(
  t: Scope,
  env: Readonly<Record<string, string>> = {},
  options: Parameters<typeof startGateway>[3] = {},
): Promise<SocketStage> {
  const arrived: { request: IncomingMessage; socket: Duplex }[] = []
  const waiting: ((one: { request: IncomingMessage; socket: Duplex }) => void)[] = []
  const upstream = await startUpstream(t, undefined, (request, socket) => {
    const one = { request, socket }
    const taker = waiting.shift()
    if (taker) taker(one)
    else arrived.push(one)
  })
  const gateway = await startGateway(t, upstream.origin, env, options)
  const next: SocketStage['next'] = () =>
    new Promise((resolve) => {
      const one = arrived.shift()
      if (one) resolve(one)
      else waiting.push(resolve)
    })
  const ask: SocketStage['ask'] = async (target = link({}, '/ws'), changes = {}, ...more) => {
    const client = await dial(t, gateway.port)
    client.socket.write(
      Buffer.concat([Buffer.from(handshake(gateway.port, target, changes), 'latin1'), ...more]),
    )
    return client
  }
  const pair: SocketStage['pair'] = async (target, changes) => {
    const client = await ask(target, changes)
    const { request, socket } = await Promise.race([next(), refused(client)])
    const accepted = wire(socket)
    socket.write(accepting(request))
    return { client, upstream: accepted, head: await client.until(headOf) }
  }
  return { gateway, upstream, next, ask, pair }
}

async function refused(client: Wire): Promise<never> {
  throw new Error(`the gateway answered ${await client.ended}`)
}

/** The cookie of a session that a navigation with this link opens. */
export async function sessionCookie(t: Scope, port: number, target = link()): Promise<string> {
  const client = await dial(t, port)
  client.socket.write(
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nSec-Fetch-Mode: navigate\r\n` +
      'Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: iframe\r\nConnection: close\r\n\r\n',
  )
  const head = headOf(await client.ended)
  const cookie = head?.headers['set-cookie']?.find((line) => line.startsWith('__Host-copilot-'))
  if (cookie === undefined) throw new Error(`no session: ${head?.text}`)
  return cookie.split(';')[0] ?? ''
}

/** Stops the gateway's clock, which goes on only when told to. */
export function stopClock(t: Scope): (ms: number) => void {
  const real = Date.now
  let now = Math.ceil(real() / 1000) * 1000
  Date.now = () => now
  t.teardown(() => {
    Date.now = real
  })
  return (ms) => {
    now += ms
  }
}
