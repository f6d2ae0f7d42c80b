import { randomBytes } from 'node:crypto'

/** The first byte of a frame and the length of its payload (RFC 6455 §5.2). */
export type OnFrame = (first: number, length: number) => void

const headerLimit = 14

/** Follows the frames of one direction of a WebSocket, without keeping or changing a byte. */
export class FrameWalker {
  readonly #onFrame: OnFrame
  readonly #header = Buffer.alloc(headerLimit)
  #have = 0
  #need = 2
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
      this.#header[this.#have] = chunk[at] ?? 0
      this.#have += 1
      at += 1
      if (this.#have === 2) this.#need = headerLength(this.#header[1] ?? 0)
      if (this.#have === this.#need) {
        this.#left = payloadLength(this.#header)
        this.#onFrame(this.#header[0] ?? 0, this.#left)
      }
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
}

function headerLength(second: number): number {
  const length = second & 0x7f
  return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + (second & 0x80 ? 4 : 0)
}

function payloadLength(header: Buffer): number {
  const length = (header[1] ?? 0) & 0x7f
  if (length === 127) return Number(header.readBigUInt64BE(2))
  return length === 126 ? header.readUInt16BE(2) : length
}

/** A close frame (RFC 6455 §5.5.1); masked, as a client sends it, towards the upstream. */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)])
  if (!masked) return Buffer.concat([Buffer.from([0x88, payload.length]), payload])
  const mask = randomBytes(4)
  const hidden = payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), mask, hidden])
}
