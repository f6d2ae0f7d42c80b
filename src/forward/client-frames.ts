import { type Close, closes } from './close.ts'
import { clientFrame, FrameWalker, headerLength, payloadLength } from './frames.ts'
import type { ChannelReader, Verdict } from './socket-io.ts'

/** What of a client's bytes goes upstream, and what is wrong with those that don't. */
export interface Passed {
  readonly bytes: readonly Buffer[]
  readonly wrong: Close | null
}

/** What a client says, on its way upstream. */
export interface ClientFrames {
  /** Whether all that was passed ends with a whole frame. */
  readonly whole: boolean
  readonly take: (chunk: Buffer) => Passed
}

export interface FrameOptions {
  /** Bytes of a message, over all its fragments. */
  readonly limit: number
  /** Whether an extension was agreed that gives reserved bits a meaning. */
  readonly extensions: boolean
  readonly onClose: () => void
}

/** Passes bytes on as they come, once the headers of their frames have been seen. */
export class UnreadFrames implements ClientFrames {
  readonly #options: FrameOptions
  readonly #walker = new FrameWalker((first, length) => this.#check(first, length))
  #message = 0
  /** What is wrong with the frame that has begun. */
  #wrong: Close | null = null
  whole = true

  constructor(options: FrameOptions) {
    this.#options = options
  }

  take(chunk: Buffer): Passed {
    let at = 0
    let whole = 0
    while (at < chunk.length && this.#wrong === null) {
      at = this.#walker.walk(chunk, at)
      if (this.#wrong === null && this.#walker.atBoundary) whole = at
    }
    if (this.#wrong === null) {
      this.whole = whole === at
      return { bytes: [chunk], wrong: null }
    }
    // Of a frame that must not pass nothing goes on, unless it had begun to before it showed.
    this.whole ||= whole > 0
    return { bytes: [chunk.subarray(0, whole)], wrong: this.#wrong }
  }

  #check(first: number, length: number): void {
    const { extensions, limit, onClose } = this.#options
    if ((first & 0x0f) === 0x8) onClose()
    // Control frames go between the fragments of a message.
    const control = (first & 0x08) !== 0
    if (!control) this.#message += length
    if (!extensions && (first & 0x70) !== 0) this.#wrong = closes.reservedBit
    else if ((control ? length : this.#message) > limit) this.#wrong = closes.tooLarge
    if (!control && (first & 0x80) !== 0) this.#message = 0
  }
}

/** More than this in one message is no client's habit, and costs more than its bytes. */
const mostFragments = 1024

const nothing: Passed = { bytes: [], wrong: null }

/**
 * Holds messages until they have been read: what passes goes on frame by frame, as it came. Control
 * frames go on at once; they may stand between the fragments of a message. No extension is agreed.
 */
export class ReadFrames implements ClientFrames {
  readonly whole = true
  readonly #reader: ChannelReader
  readonly #options: Omit<FrameOptions, 'extensions'>
  #chunks: Buffer[] = []
  #have = 0
  /** Bytes without which nothing more can be said. */
  #need = 2
  /** The frames of the message that has begun, and their payloads. */
  #frames: Buffer[] = []
  #payloads: Buffer[] = []
  #opcode = 0
  #length = 0

  constructor(reader: ChannelReader, options: Omit<FrameOptions, 'extensions'>) {
    this.#reader = reader
    this.#options = options
  }

  take(chunk: Buffer): Passed {
    this.#chunks.push(chunk)
    this.#have += chunk.length
    if (this.#have < this.#need) return nothing
    const bytes: Buffer[] = []
    const buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks)
    let at = 0
    let wrong: Close | null = null
    while (wrong === null) {
      const header = readHeader(buffer, at)
      if (typeof header === 'number') {
        this.#need = header
        break
      }
      wrong = this.#judge(header)
      const end = at + header.size + header.length
      this.#need = header.size + header.length
      if (wrong !== null || end > buffer.length) break
      wrong = this.#frame(header, buffer.subarray(at, end), bytes)
      at = end
    }
    const rest = buffer.subarray(at)
    // A copy: the rest would keep the whole chunk.
    this.#chunks = rest.length === 0 ? [] : [at === 0 ? rest : Buffer.from(rest)]
    this.#have = rest.length
    return { bytes, wrong }
  }

  /** What a header alone tells (RFC 6455 §5.2 to §5.5). */
  #judge({ first, masked, length }: Header): Close | null {
    const opcode = first & 0x0f
    const final = (first & 0x80) !== 0
    if ((first & 0x70) !== 0) return closes.reservedBit
    if (!masked) return closes.protocolError
    if (opcode >= 0x8) {
      const known = opcode <= 0xa && final && length <= 125
      return known ? null : closes.protocolError
    }
    const begun = this.#frames.length > 0
    if (opcode > 2 || (opcode === 0) !== begun) return closes.protocolError
    const tooMany = this.#frames.length >= mostFragments
    return tooMany || this.#length + length > this.#options.limit ? closes.tooLarge : null
  }

  #frame({ first, size, length }: Header, frame: Buffer, bytes: Buffer[]): Close | null {
    const opcode = first & 0x0f
    if (opcode >= 0x8) {
      if (opcode === 0x8) this.#options.onClose()
      bytes.push(frame)
      return null
    }
    if (opcode !== 0) this.#opcode = opcode
    const final = (first & 0x80) !== 0
    // A copy of what is held: it would keep the chunk around it.
    this.#frames.push(final ? frame : Buffer.from(frame))
    this.#payloads.push(unmask(frame, size))
    this.#length += length
    if (!final) return null

    const [payload = Buffer.alloc(0), ...others] = this.#payloads
    const message = others.length === 0 ? payload : Buffer.concat(this.#payloads)
    const verdict: Verdict =
      this.#opcode === 1 ? this.#reader.readText(message) : this.#reader.readBinary()
    if (!verdict.pass) return closes[verdict.problem]
    if (verdict.rewritten === null) bytes.push(...this.#frames)
    else bytes.push(clientFrame(1, Buffer.from(verdict.rewritten)))
    this.#frames = []
    this.#payloads = []
    this.#length = 0
    return null
  }
}

interface Header {
  readonly first: number
  readonly masked: boolean
  /** Of the header, with its mask. */
  readonly size: number
  /** Of the payload. */
  readonly length: number
}

/** The frame's header at an offset; the bytes it takes to tell, where they are not all there. */
function readHeader(buffer: Buffer, at: number): Header | number {
  if (buffer.length - at < 2) return 2
  const second = buffer[at + 1] ?? 0
  const size = headerLength(second)
  if (buffer.length - at < size) return size
  return {
    first: buffer[at] ?? 0,
    masked: (second & 0x80) !== 0,
    size,
    length: payloadLength(buffer, at),
  }
}

function unmask(frame: Buffer, start: number): Buffer {
  const payload = Buffer.allocUnsafe(frame.length - start)
  for (let i = 0; i < payload.length; i += 1) {
    payload[i] = (frame[start + i] ?? 0) ^ (frame[start - 4 + (i & 3)] ?? 0)
  }
  return payload
}
