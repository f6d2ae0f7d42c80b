import { type Close, closes } from './close.ts'
import { clientFrame, FrameWalker, headerLength, payloadLength } from './frames.ts'
import type { ChannelReader, Verdict } from './socket-io.ts'

/** Hears of what a client says. */
export interface ClientEvents {
  /** Bytes that may go upstream. */
  readonly onPass: (bytes: Buffer) => void
  /** The client's close frame has begun. */
  readonly onClose: () => void
}

/** What a client says, on its way upstream. */
export interface ClientFrames {
  /** Whether all that was passed ends with a whole frame. */
  readonly whole: boolean
  /** Returns what is wrong with the bytes that don't pass; none are taken after that. */
  readonly take: (chunk: Buffer) => Close | null
}

/** Passes bytes on as they come, once the headers of their frames have been seen. */
export class UnreadFrames implements ClientFrames {
  readonly #limit: number
  readonly #extensions: boolean
  readonly #events: ClientEvents
  readonly #walker = new FrameWalker((first, length) => this.#check(first, length))
  #message = 0
  /** What is wrong with the frame that has begun. */
  #wrong: Close | null = null
  whole = true

  /** `limit`: bytes of a message. `extensions`: whether one was agreed that may use reserved bits. */
  constructor(limit: number, extensions: boolean, events: ClientEvents) {
    this.#limit = limit
    this.#extensions = extensions
    this.#events = events
  }

  take(chunk: Buffer): Close | null {
    let at = 0
    let whole = 0
    while (at < chunk.length && this.#wrong === null) {
      at = this.#walker.walk(chunk, at)
      if (this.#wrong === null && this.#walker.atBoundary) whole = at
    }
    if (this.#wrong === null) {
      this.whole = whole === at
      this.#events.onPass(chunk)
    } else if (whole > 0) {
      // Of a frame that must not pass nothing goes on, unless it had begun to before it showed.
      this.whole = true
      this.#events.onPass(chunk.subarray(0, whole))
    }
    return this.#wrong
  }

  #check(first: number, length: number): void {
    if ((first & 0x0f) === 0x8) this.#events.onClose()
    // Control frames go between the fragments of a message.
    const control = (first & 0x08) !== 0
    if (!control) this.#message += length
    if (!this.#extensions && (first & 0x70) !== 0) this.#wrong = closes.reservedBit
    else if ((control ? length : this.#message) > this.#limit) this.#wrong = closes.tooLarge
    if (!control && (first & 0x80) !== 0) this.#message = 0
  }
}

const none = Buffer.alloc(0)

/** More than this in one message is no client's habit, and costs more than its bytes. */
const mostFragments = 1024

/**
 * Holds messages until they have been read: what passes goes on frame by frame, as it came. Control
 * frames go on at once; they may stand between the fragments of a message. No extension is agreed.
 */
export class ReadFrames implements ClientFrames {
  readonly whole = true
  readonly #reader: ChannelReader
  readonly #limit: number
  readonly #events: ClientEvents
  /** The beginning of a frame: room, the bytes that are there, those it takes to say more of it. */
  #held: Buffer = none
  #have = 0
  #need = 2
  /** The frames of the message that has begun, and the payloads of a text. */
  #frames: Buffer[] = []
  #payloads: Buffer[] = []
  #opcode = 0
  #length = 0

  /** `limit`: bytes of a message. */
  constructor(reader: ChannelReader, limit: number, events: ClientEvents) {
    this.#reader = reader
    this.#limit = limit
    this.#events = events
  }

  take(chunk: Buffer): Close | null {
    const buffer = this.#have === 0 ? chunk : this.#hold(chunk)
    if (this.#have > 0 && this.#have < this.#need) return null
    let at = 0
    while (at < buffer.length) {
      const left = buffer.length - at
      const size = left < 2 ? 2 : headerLength(buffer[at + 1] ?? 0)
      this.#need = size
      if (left < size) break
      const length = payloadLength(buffer, at)
      const misframed = this.#judge(buffer[at] ?? 0, buffer[at + 1] ?? 0, length)
      if (misframed !== null) return misframed
      this.#need = size + length
      if (left < this.#need) break
      const frame = left === this.#need && at === 0 ? buffer : buffer.subarray(at, at + this.#need)
      const unread = this.#frame(frame, size)
      if (unread !== null) return unread
      at += this.#need
      this.#need = 2
    }
    this.#have = buffer.length - at
    // A copy: the rest would keep the whole chunk, and what was passed is still to be written.
    this.#held = this.#have === 0 ? none : Buffer.from(buffer.subarray(at))
    return null
  }

  /** Adds to what is held. Chunks as small as a byte would take a hundred times their size. */
  #hold(chunk: Buffer): Buffer {
    const have = this.#have + chunk.length
    if (have > this.#held.length) {
      const room = Buffer.allocUnsafe(Math.max(have, 2 * this.#held.length))
      this.#held.copy(room, 0, 0, this.#have)
      this.#held = room
    }
    chunk.copy(this.#held, this.#have)
    this.#have = have
    return this.#held.subarray(0, have)
  }

  /** What a header alone tells (RFC 6455 §5.2 to §5.5). */
  #judge(first: number, second: number, length: number): Close | null {
    const opcode = first & 0x0f
    const final = (first & 0x80) !== 0
    if ((first & 0x70) !== 0) return closes.reservedBit
    if ((second & 0x80) === 0) return closes.protocolError
    if (opcode >= 0x8) {
      const known = opcode <= 0xa && final && length <= 125
      return known ? null : closes.protocolError
    }
    const begun = this.#frames.length > 0
    if (opcode > 2 || (opcode === 0) !== begun) return closes.protocolError
    const tooMany = this.#frames.length >= mostFragments
    return tooMany || this.#length + length > this.#limit ? closes.tooLarge : null
  }

  /** `size` is that of its header, with the mask. */
  #frame(frame: Buffer, size: number): Close | null {
    const first = frame[0] ?? 0
    const opcode = first & 0x0f
    if (opcode >= 0x8) {
      if (opcode === 0x8) this.#events.onClose()
      this.#events.onPass(frame)
      return null
    }
    if (opcode !== 0) this.#opcode = opcode
    const payload = this.#opcode === 1 ? unmask(frame, size) : null
    if ((first & 0x80) !== 0) return this.#message(frame, payload)
    // A copy of what is held: it would keep the chunk around it.
    this.#frames.push(Buffer.from(frame))
    if (payload !== null) this.#payloads.push(payload)
    this.#length += frame.length - size
    return null
  }

  /** At its last frame; `payload` is that of a text's. */
  #message(last: Buffer, payload: Buffer | null): Close | null {
    const verdict = payload === null ? this.#reader.readBinary() : this.#readText(payload)
    if (!verdict.pass) return closes[verdict.problem]
    if (verdict.rewritten === null) {
      for (const frame of this.#frames) this.#events.onPass(frame)
      this.#events.onPass(last)
    } else {
      this.#events.onPass(clientFrame(1, Buffer.from(verdict.rewritten)))
    }
    if (this.#frames.length > 0) {
      this.#frames = []
      this.#payloads = []
      this.#length = 0
    }
    return null
  }

  #readText(last: Buffer): Verdict {
    const whole = this.#payloads.length === 0 ? last : Buffer.concat([...this.#payloads, last])
    return this.#reader.readText(whole)
  }
}

function unmask(frame: Buffer, start: number): Buffer {
  const payload = Buffer.allocUnsafe(frame.length - start)
  for (let i = 0; i < payload.length; i += 1) {
    payload[i] = (frame[start + i] ?? 0) ^ (frame[start - 4 + (i & 3)] ?? 0)
  }
  return payload
}
