import type { Duplex } from 'node:stream'
import type { Ending } from '../observe/audit.ts'
import { closeFrame, FrameWalker } from './frames.ts'
import type { Open } from './open.ts'

export interface RelayOptions {
  /** Bytes of a client's message; over that the socket closes with 1009. */
  readonly messageLimit: number
  /** Whether frames may have reserved bits: no extension was agreed where they may not. */
  readonly extensions: boolean
  /** When the socket's session ends, in ms since the epoch. */
  readonly end: number
  /** Called once, when both sides are gone. */
  readonly onEnd: (ended: Ending, code: number | null) => void
}

interface Close {
  readonly ended: Ending
  readonly code: number
  readonly reason: string
}

const sessionExpired: Close = { ended: 'session-expired', code: 1008, reason: 'session-expired' }
const draining: Close = { ended: 'drain', code: 1012, reason: 'draining' }
const tooLarge: Close = { ended: 'message-too-large', code: 1009, reason: 'message-too-large' }
const reservedBit: Close = { ended: 'protocol-error', code: 1002, reason: 'reserved-bit' }

/** For the gateway's own close: the server side's next frame boundary, then the peer's answer. */
const closeTimeout = 1000
/** For what is still on its way to one side when the other is gone. */
const lingerTimeout = 10_000

/** A WebSocket in both directions, byte for byte, each side no faster than the other reads. */
export class Relay implements Open {
  deadline: number
  readonly #client: Duplex
  readonly #upstream: Duplex
  readonly #options: RelayOptions
  readonly #fromClient = new FrameWalker((first, length) => this.#check(first, length))
  readonly #fromUpstream = new FrameWalker((first) => this.#heard('upstream', first))
  /** Bytes of the client's message so far, over all its fragments. */
  #message = 0
  /** What is wrong with the frame that the client has begun. */
  #wrong: Close | null = null
  /** Whether what went upstream ends with a whole frame. */
  #upstreamWhole = true
  /** Who said first, by a close frame, that it is over. */
  #closing: 'client' | 'upstream' | null = null
  #ended: Ending | null = null
  #close: Close | null = null
  #closeSent = false
  #gone = 0

  /** `head` is what the client sent before it had its answer. */
  constructor(client: Duplex, upstream: Duplex, head: Buffer, options: RelayOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.deadline = options.end
    client.on('data', (chunk: Buffer) => this.#clientData(chunk))
    upstream.on('data', (chunk: Buffer) => this.#upstreamData(chunk))
    client.on('drain', () => upstream.resume())
    upstream.on('drain', () => client.resume())
    client.on('end', () => this.#leave('client'))
    upstream.on('end', () => this.#leave('upstream'))
    client.on('close', () => this.#left('client'))
    upstream.on('close', () => this.#left('upstream'))
    // 'close' follows.
    upstream.on('error', () => {})
    if (head.length > 0) this.#clientData(head)
    client.resume()
  }

  onDeadline(): void {
    if (this.#ended === null) this.#begin(sessionExpired)
    else this.cut()
  }

  onDrain(): void {
    this.#begin(draining)
  }

  cut(): void {
    this.#ended ??= 'drain'
    this.#client.destroy()
    this.#upstream.destroy()
  }

  #heard(side: 'client' | 'upstream', first: number): void {
    if ((first & 0x0f) === 0x08) this.#closing ??= side
  }

  #check(first: number, length: number): void {
    this.#heard('client', first)
    const { extensions, messageLimit } = this.#options
    // Control frames go between the fragments of a message.
    const control = (first & 0x08) !== 0
    if (!control) this.#message += length
    if (!extensions && (first & 0x70) !== 0) this.#wrong = reservedBit
    else if ((control ? length : this.#message) > messageLimit) this.#wrong = tooLarge
    if (!control && (first & 0x80) !== 0) this.#message = 0
  }

  #clientData(chunk: Buffer): void {
    // Once the gateway closes, what the client says is read only so that its own close can come.
    if (this.#close !== null) return
    let at = 0
    let whole = 0
    while (at < chunk.length && this.#wrong === null) {
      at = this.#fromClient.walk(chunk, at)
      if (this.#wrong === null && this.#fromClient.atBoundary) whole = at
    }
    if (this.#wrong === null) {
      this.#upstreamWhole = whole === at
      if (!this.#upstream.write(chunk)) this.#client.pause()
      return
    }
    // Of a frame that must not pass nothing goes on, unless it had begun to before it showed.
    this.#upstreamWhole ||= whole > 0
    this.#upstream.write(chunk.subarray(0, whole))
    this.#begin(this.#wrong)
  }

  #upstreamData(chunk: Buffer): void {
    if (this.#closeSent) return
    let at = 0
    while (at < chunk.length) {
      if (this.#close !== null && this.#fromUpstream.atBoundary) break
      at = this.#fromUpstream.walk(chunk, at)
    }
    if (at > 0 && !this.#client.write(chunk.subarray(0, at))) this.#upstream.pause()
    this.#sendClose()
  }

  /** The gateway's own close. */
  #begin(close: Close): void {
    if (this.#ended !== null) return
    this.#ended = close.ended
    this.#close = close
    this.deadline = Date.now() + closeTimeout
    this.#client.resume()
    this.#sendClose()
  }

  /** Inside a frame a close would be read as payload: it waits for the server side's next boundary. */
  #sendClose(): void {
    if (this.#close === null || !this.#fromUpstream.atBoundary) return
    const { code, reason } = this.#close
    this.#closeSent = true
    this.#client.end(closeFrame(code, reason, false))
    if (this.#upstreamWhole) this.#upstream.end(closeFrame(code, reason, true))
    else this.#upstream.destroy()
    this.#upstream.resume()
  }

  #leave(side: 'client' | 'upstream'): void {
    const other = side === 'client' ? this.#upstream : this.#client
    if (this.#ended === null) {
      this.#ended = this.#closing ?? side
      this.deadline = Math.min(Date.now() + lingerTimeout, this.#options.end)
    }
    other.end()
  }

  #left(side: 'client' | 'upstream'): void {
    this.#leave(side)
    if (side === 'client') this.#upstream.destroy()
    this.#gone += 1
    if (this.#gone === 2) this.#options.onEnd(this.#ended ?? side, this.#close?.code ?? null)
  }
}
