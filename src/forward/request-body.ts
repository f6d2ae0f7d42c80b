import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/** What the exchange hears of its request's body. */
export interface BodyEvents {
  /** The body goes on as soon as this side does. */
  readonly onWaiting: (side: 'client' | 'upstream') => void
  readonly onTooLarge: () => void
  /** Nothing more will come. */
  readonly onSettled: () => void
}

/** A request's body on its way upstream, no faster than the upstream reads, and never over a limit. */
export class RequestBody {
  readonly exists: boolean
  readonly #request: IncomingMessage
  readonly #limit: number
  readonly #events: BodyEvents
  #stream: Readable | null = null
  #bytes = 0
  #unwanted = false
  settled: boolean

  /** `limit` is in bytes. */
  constructor(request: IncomingMessage, limit: number, events: BodyEvents) {
    this.#request = request
    this.#limit = limit
    this.#events = events
    this.exists = hasBody(request)
    this.settled = !this.exists
    if (!this.exists) return
    request.on('end', () => this.#settle())
    request.on('close', () => this.#settle())
  }

  /** Whether the client has already said more than will be accepted. */
  get isTooLarge(): boolean {
    return Number(this.#request.headers['content-length'] ?? 0) > this.#limit
  }

  /** The body as undici takes it; null for none. */
  read(): Readable | null {
    if (!this.exists) return null
    const request = this.#request
    this.#stream = new Readable({ read: () => request.resume() })
    // Whoever ends the stream knows why.
    this.#stream.on('error', () => {})
    this.#events.onWaiting('client')
    request.on('data', (chunk: Buffer) => this.#data(chunk))
    return this.#stream
  }

  /**
   * Lets go of the body. What still comes is thrown away, so that a client that writes before it
   * reads gets to read its answer; past the limit the connection is thrown away too.
   */
  discard(): void {
    if (this.#unwanted || this.settled) return
    this.#unwanted = true
    this.#bytes = 0
    if (this.#stream === null) this.#request.on('data', (chunk: Buffer) => this.#data(chunk))
    this.#stream?.destroy()
    this.#request.resume()
  }

  #data(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#unwanted) {
      if (this.#bytes > this.#limit) this.#request.socket.destroy()
    } else if (this.#bytes > this.#limit) {
      this.#events.onTooLarge()
    } else if (this.#stream?.push(chunk)) {
      this.#events.onWaiting('client')
    } else {
      this.#request.pause()
      this.#events.onWaiting('upstream')
    }
  }

  #settle(): void {
    if (this.settled) return
    this.settled = true
    if (isWhole(this.#request)) this.#stream?.push(null)
    else this.#stream?.destroy(new Error('client left'))
    this.#events.onSettled()
  }
}

/** Whether a request has a body to be carried (RFC 9112 §6.3; HTTP/2 needs no length). */
function hasBody(request: IncomingMessage): boolean {
  // The parser has let go of an upgrade: whatever follows is no body.
  if (flag(request, 'upgrade') === true) return false
  if ('stream' in request) return flag(request.stream, 'endAfterHeaders') !== true
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return coding !== undefined || Number(length ?? 0) > 0
}

/** Whether a body arrived whole: a reset HTTP/2 stream ends as if it had. */
function isWhole(request: IncomingMessage): boolean {
  return request.complete && !('stream' in request && flag(request.stream, 'rstCode'))
}

/** What Node's types don't say of a request or its HTTP/2 stream. */
function flag(object: unknown, name: 'upgrade' | 'endAfterHeaders' | 'rstCode'): unknown {
  return typeof object === 'object' && object !== null ? Reflect.get(object, name) : undefined
}
