// HTTP/2 as bytes: frames and header blocks by hand, so that they can be made wrong.
import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { type Wire, wire } from '../websocket/peer.ts'

export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const

export const endStream = 0x1
export const ack = 0x1
export const endHeaders = 0x4

/** RFC 9113 §4.1 */
export function frame(
  type: number,
  stream: number,
  { flags = 0, payload = Buffer.alloc(0) }: { flags?: number; payload?: Buffer } = {},
): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

/** What a client says first: the preface, and SETTINGS, as identifiers and values. */
export function greeting(...settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * settings.length)
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, 6 * i)
    payload.writeUInt32BE(value, 6 * i + 2)
  }
  return Buffer.concat([Buffer.from(preface), frame(types.settings, 0, { payload })])
}

export const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** A header line, as it is, to be put into the table of its connection or not (RFC 7541 §6.2). */
export function literal(name: string, value: string, indexed = false): Buffer {
  return Buffer.concat([Buffer.from([indexed ? 0x40 : 0]), sized(name), sized(value)])
}

export function requestBlock(authority: string, path: string, method = 'GET'): Buffer {
  return Buffer.concat([
    literal(':method', method),
    literal(':scheme', 'https'),
    literal(':authority', authority),
    literal(':path', path),
  ])
}

/** A number of four bytes. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A text with its length before it (RFC 7541 §5.1, §5.2). */
function sized(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push(128 | (rest % 128))
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** The whole frames in some bytes. */
export function framesIn(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    const [type = 0, flags = 0] = bytes.subarray(at + 3)
    const stream = bytes.readUInt32BE(at + 5)
    frames.push({ type, flags, stream, payload: bytes.subarray(at + 9, end) })
    at = end
  }
  return frames
}

interface Scope {
  teardown(done: () => unknown): void
}

/** A TLS connection on which HTTP/2 has been agreed, and nothing said yet. */
export async function dialHttp2(
  t: Scope,
  port: number,
  open: 'open' | 'half open' = 'open',
): Promise<Wire<TLSSocket>> {
  const socket = connectTls({
    socket: connect({ port, host: '127.0.0.1', allowHalfOpen: open === 'half open' }),
    servername: 'localhost',
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  })
  t.teardown(() => socket.destroy())
  const dialled = wire(socket)
  await once(socket, 'secureConnect')
  return dialled
}
