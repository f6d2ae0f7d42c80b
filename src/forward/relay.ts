import type { Duplex } from 'node:stream'
import type { Lease } from '../access/lease.ts'
import type { Ending } from '../observe/audit.ts'
import type { ClientEvents, ClientFrames } from './client-frames.ts'
import { type Close, closes } from './close.ts'
import { closeFrame, FrameWalker } from './frames.ts'
import type { Open } from './open.ts'

export interface RelayOptions {
  readonly lease: Lease
  /** Tells what may pass of the client's side. */
  readonly readClient: (events: ClientEvents) => ClientFrames
  /** Called once, when both sides are gone; `close` is the gateway's own. */
  readonly onEnd: (ended: Ending, close: Close | null) => void
}

/** For the gateway's own close: the server side's next frame boundary, then the peer's answer. */
const closeTimeout = 1000
/** For what is still on its way to one side when the other is gone. */
const lingerTimeout = 10_000

/** A WebSocket in both directions, byte for byte, each side no faster than the other reads. */
export class Relay implements Open, ClientEvents {
  place = -1
  readonly lease: Lease
  readonly isStream = true
  readonly #client: Duplex
  readonly #upstream: Duplex
  readonly #onEnd: RelayOptions['onEnd']
  readonly #fromClient: ClientFrames
  readonly #fromUpstream = new FrameWalker((first) => {
    if ((first & 0x0f) === 0x8) this.#closing ??= 'upstream'
  })
  /** Who said first, by a close frame, that it is over. */
  #closing: 'client' | 'upstream' | null = null
  /** When what is left of the socket is cut. */
  #lingers = Number.POSITIVE_INFINITY
  #ended: Ending | null = null
  #close: Close | null = null
  #closeSent = false
  #gone = 0

  /** `head` is what the client sent before it had its answer. */
  constructor(client: Duplex, upstream: Duplex, head: Buffer, options: RelayOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#onEnd = options.onEnd
    this.lease = options.lease
    this.#fromClient = options.readClient(this)
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

  get deadline(): number {
    return this.#close === null ? Math.min(this.lease.end, this.#lingers) : this.#lingers
  }

  onDeadline(): void {
    if (this.#ended !== null) this.cut()
    else this.#begin(this.lease.revoked ? closes['revoked-session'] : closes.sessionExpired)
  }

  onDrain(): void {
    this.#begin(closes.draining)
  }

  onRestart(): void {
    this.#begin(closes.draining)
  }

  cut(): void {
    this.#ended ??= 'drain'
    this.#client.destroy()
    this.#upstream.destroy()
  }

  /** Its request was answered by the 101. */
  refuseRest(): boolean {
    return false
  }

  onPass(bytes: Buffer): void {
    if (!this.#upstream.write(bytes)) this.#client.pause()
  }

  onClose(): void {
    this.#closing ??= 'client'
  }

  #clientData(chunk: Buffer): void {
    // Once the gateway closes, what the client says is read only so that its own close can come.
    if (this.#close !== null) return
    const wrong = this.#fromClient.take(chunk)
    if (wrong !== null) this.#begin(wrong)
  }

  #upstreamData(chunk: Buffer): void {
    if (this.#closeSent) return
    let at = 0
    while (at < chunk.length && !(this.#close !== null && this.#fromUpstream.atBoundary)) {
      at = this.#fromUpstream.walk(chunk, at)
    }
    const bytes = at === chunk.length ? chunk : chunk.subarray(0, at)
    if (at > 0 && !this.#client.write(bytes)) this.#upstream.pause()
    this.#sendClose()
  }

  /** The gateway's own close. */
  #begin(close: Close): void {
    if (this.#ended !== null) return
    this.#ended = close.ended
    this.#close = close
    this.#lingers = Date.now() + closeTimeout
    this.#client.resume()
    this.#sendClose()
  }

  /** Inside a frame a close would be read as payload: it waits for the server side's next boundary. */
  #sendClose(): void {
    if (this.#close === null || !this.#fromUpstream.atBoundary) return
    const { code, reason } = this.#close
    this.#closeSent = true
    this.#client.end(closeFrame(code, reason, false))
    if (this.#fromClient.whole) this.#upstream.end(closeFrame(code, reason, true))
    else this.#upstream.destroy()
    this.#upstream.resume()
  }

  #leave(side: 'client' | 'upstream'): void {
    const other = side === 'client' ? this.#upstream : this.#client
    if (this.#ended === null) {
      this.#ended = this.#closing ?? side
      this.#lingers = Date.now() + lingerTimeout
    }
    other.end()
  }

  #left(side: 'client' | 'upstream'): void {
    this.#leave(side)
    if (side === 'client') this.#upstream.destroy()
    this.#gone += 1
    if (this.#gone === 2) this.#onEnd(this.#ended ?? side, this.#close)
  }
}
