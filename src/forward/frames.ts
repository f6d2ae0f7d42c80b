import { randomBytes } from 'node:crypto'

/** The first byte of a frame and the length of its payload (RFC 6455 §5.2). */
export type OnFrame = (first: number, length: number) => void

/** Follows the frames of one direction of a WebSocket, without keeping or changing a byte. */
export class FrameWalker {
  readonly #onFrame: OnFrame
  /** Of the current header: the bytes walked, those it has, and those before its mask. */
  #have = 0
  #need = 2
  #unmasked = 2
  #first = 0
  /** Payload bytes of the current frame still to come. */
  #left = 0

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** Whether everything walked so far ends with a whole frame. */
  get atBoundary(): boolean {
    return this.#have === 0
  }

  /** Walks on to where the current frame ends, or `chunk` does; returns that offset. */
  walk(chunk: Buffer, offset: number): number {
    let at = offset
    while (this.#have < this.#need && at < chunk.length) {
      this.#header(chunk[at] ?? 0)
      at += 1
    }
    if (this.#have < this.#need) return at
    const step = Math.min(this.#left, chunk.length - at)
    this.#left -= step
    if (this.#left === 0) {
      this.#have = 0
      this.#need = 2
    }
    return at + step
  }

  #header(byte: number): void {
    if (this.#have === 0) {
      this.#first = byte
    } else if (this.#have === 1) {
      this.#need = headerLength(byte)
      this.#unmasked = headerLength(byte & 0x7f)
      this.#left = this.#unmasked === 2 ? byte & 0x7f : 0
    } else if (this.#have < this.#unmasked) {
      this.#left = this.#left * 256 + byte
    }
    this.#have += 1
    if (this.#have === this.#need) this.#onFrame(this.#first, this.#left)
  }
}

/** Of the header with this second byte, with its mask where it says that there is one. */
export function headerLength(second: number): number {
  const length = second & 0x7f
  return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + (second & 0x80 ? 4 : 0)
}

/** Of the frame whose header begins at an offset. */
export function payloadLength(header: Buffer, at = 0): number {
  const length = (header[at + 1] ?? 0) & 0x7f
  if (length === 127) return Number(header.readBigUInt64BE(at + 2))
  return length === 126 ? header.readUInt16BE(at + 2) : length
}

/** A close frame (RFC 6455 §5.5.1); masked, as a client sends it, towards the upstream. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)])
  return masked
    ? clientFrame(0x8, payload)
    : Buffer.concat([Buffer.from([0x88, payload.length]), payload])
}

/** A whole message in one frame as a client sends it. */
export function clientFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload
  const extended = length > 0xffff ? 8 : length > 125 ? 2 : 0
  const header = Buffer.alloc(2 + extended)
  header[0] = 0x80 | opcode
  header[1] = 0x80 | (extended === 8 ? 127 : extended === 2 ? 126 : length)
  if (extended === 8) header.writeBigUInt64BE(BigInt(length), 2)
  if (extended === 2) header.writeUInt16BE(length, 2)
  const mask = randomBytes(4)
  return Buffer.concat([header, mask, payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0))])
}
