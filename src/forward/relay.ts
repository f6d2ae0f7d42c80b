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
  readonly #fromClient: FrameWalker
  readonly #fromUpstream = new FrameWalker((first) => this.#heard('upstream', first))
  /** Bytes of the client's message so far, over all its fragments. */
  #message = 0
  /** Who said first, by a close frame, that it is over. */
  #closing: 'client' | 'upstream' | null = null
  #ended: Ending | null = null
  #code: number | null = null
  #reason = ''
  #closeSent = false
  #closed = 0

  /** `head` is what the client sent before it had its answer. */
  constructor(client: Duplex, upstream: Duplex, head: Buffer, options: RelayOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.deadline = options.end
    this.#fromClient = new FrameWalker((first, length) => this.#check(first, length))
    client.on('data', (chunk: Buffer) => this.#clientData(chunk))
    upstream.on('data', (chunk: Buffer) => this.#upstreamData(chunk))
    client.on('drain', () => upstream.resume())
    upstream.on('drain', () => client.resume())
    client.on('end', () => this.#leave('client'))
    upstream.on('end', () => this.#leave('upstream'))
    client.on('close', () => this.#gone('client'))
    upstream.on('close', () => this.#gone('upstream'))
    // 'close' follows.
    upstream.on('error', () => {})
    if (head.length > 0) this.#clientData(head)
  }

  onDeadline(): void {
    if (this.#ended === null) this.#close('session-expired', 1008, 'session-expired')
    else this.cut()
  }

  onDrain(): void {
    this.#close('drain', 1012, 'draining')
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
    if (!this.#options.extensions && (first & 0x70) !== 0) {
      this.#close('protocol-error', 1002, 'reserved-bit')
    }
    // Control frames go between the fragments of a message.
    if ((first & 0x08) !== 0) return
    this.#message += length
    if (this.#message > this.#options.messageLimit) {
      this.#close('message-too-large', 1009, 'message-too-large')
    }
    if ((first & 0x80) !== 0) this.#message = 0
  }

  #clientData(chunk: Buffer): void {
    // Once the gateway closes, what the client says is read only so that its own close can come.
    if (this.#code !== null) return
    let at = 0
    while (at < chunk.length && this.#code === null) at = this.#fromClient.walk(chunk, at)
    if (this.#code !== null) return
    if (!this.#upstream.write(chunk)) this.#client.pause()
  }

  #upstreamData(chunk: Buffer): void {
    if (this.#closeSent) return
    let at = 0
    while (at < chunk.length) {
      if (this.#code !== null && this.#fromUpstream.atBoundary) break
      at = this.#fromUpstream.walk(chunk, at)
    }
    if (at > 0 && !this.#client.write(chunk.subarray(0, at))) this.#upstream.pause()
    if (this.#code !== null && this.#fromUpstream.atBoundary) this.#sendClose(this.#code)
  }

  /**
   * The gateway's own close. Injected in the middle of a frame it would be read as payload, so it
   * waits for the server side's next frame boundary.
   */
  #close(ended: Ending, code: number, reason: string): void {
    if (this.#ended !== null) return
    this.#ended = ended
    this.#code = code
    this.#reason = reason
    this.deadline = Date.now() + closeTimeout
    this.#client.resume()
    if (this.#fromUpstream.atBoundary) this.#sendClose(code)
  }

  #sendClose(code: number): void {
    this.#closeSent = true
    this.#client.end(closeFrame(code, this.#reason, false))
    if (this.#fromClient.atBoundary) this.#upstream.end(closeFrame(code, this.#reason, true))
    else this.#upstream.destroy()
    this.#upstream.resume()
  }

  #leave(side: 'client' | 'upstream'): void {
    const other = side === 'client' ? this.#upstream : this.#client
    if (this.#ended === null) {
      this.#ended = this.#closing ?? side
      this.deadline = Date.now() + lingerTimeout
    }
    other.end()
  }

  #gone(side: 'client' | 'upstream'): void {
    this.#leave(side)
    const other = side === 'client' ? this.#upstream : this.#client
    if (side === 'client') other.destroy()
    this.#closed += 1
    if (this.#closed === 2) this.#options.onEnd(this.#ended ?? side, this.#code)
  }
}
