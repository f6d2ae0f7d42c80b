import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, Http2ServerResponse } from 'node:http2'
import { TLSSocket } from 'node:tls'
import type { Dispatcher } from 'undici'
import type { Headers } from './response-headers.ts'

const nothing = Buffer.alloc(0)
/** Of what is written at once of a body that is there as a whole. */
const pieceBytes = 64 * 1024

/** An answer on its way into the raw response, in as few writes as it takes, and no faster than the client reads. */
export class ClientAnswer {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  /** Which side has to go on before the answer does. */
  readonly #onWaiting: (side: 'client' | 'upstream') => void
  /** The head, and the first of the body if there is some, until the end of the turn. */
  #held: Buffer | null = null
  /** The end of the turn, at which the answer ends, and what is left of its body. */
  #turn: NodeJS.Immediate | null = null
  #rest: Buffer | string | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    onWaiting: (side: 'client' | 'upstream') => void,
  ) {
    this.#request = request
    this.#response = response
    this.#onWaiting = onWaiting
  }

  /** Whether no body follows a head with this status (RFC 9112 §6.3). */
  isBodiless(status: number): boolean {
    return this.#request.method === 'HEAD' || status === 204 || status === 304
  }

  /** Throws where it is none that can be written. */
  writeHead(status: number, message: string, headers: Headers): void {
    const response = this.#response
    const { httpVersion } = this.#request
    const hasLength = headers['content-length'] !== undefined
    // Trailers are announced where there can be some.
    if (hasLength || httpVersion === '1.0' || this.isBodiless(status)) delete headers['trailer']
    // RFC 9110 §8.6
    if (status === 204) delete headers['content-length']
    if (isHttp2(response)) response.writeHead(status, headers)
    else response.writeHead(status, phrase(message), headers)
  }

  /** Sends the head, over HTTP/1.1 with the first of its body if that comes within the turn. */
  release(controller: Dispatcher.DispatchController): void {
    if (isHttp2(this.#response)) {
      this.#response.flushHeaders()
      return
    }
    this.#held = nothing
    setImmediate(() => this.#writeHeld(controller))
  }

  write(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#held === nothing) {
      this.#held = chunk
      return
    }
    this.#writeHeld(controller)
    this.#write(controller, chunk)
  }

  /**
   * Ends it, with what is held or given: once all that came in this turn has been seen to, so that
   * answers that are ready together go out together, and wake whoever reads them once; or at once.
   */
  end(atOnce: boolean, body: Buffer | string | undefined = this.#held ?? undefined): void {
    this.#held = null
    if (body instanceof Buffer && body.length > pieceBytes) {
      this.#writePieces(body)
    } else if (atOnce) {
      this.#response.end(body)
    } else {
      this.#rest = body
      this.#turn = setImmediate(ClientAnswer.#endNow, this)
    }
  }

  /** What ends with the turn ends now. */
  flush(): void {
    if (this.#turn === null) return
    clearImmediate(this.#turn)
    ClientAnswer.#endNow(this)
  }

  /** Nothing that is held goes on. */
  drop(): void {
    this.#held = null
  }

  /** Ends it so that it does not look whole. */
  cut(): void {
    const { httpVersion, socket } = this.#request
    if (isHttp2(this.#response)) this.#response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    // The end of its connection ends an HTTP/1.0 answer: only a reset tells one that was cut.
    else if (httpVersion === '1.0' && !(socket instanceof TLSSocket)) socket.resetAndDestroy()
    else socket.destroy()
  }

  #writeHeld(controller: Dispatcher.DispatchController): void {
    const held = this.#held
    this.#held = null
    // flushHeaders() would write Latin-1 values as UTF-8.
    if (held !== null) this.#write(controller, held)
  }

  #write(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return
    controller.pause()
    this.#onWaiting('client')
    this.#response.once('drain', () => {
      this.#onWaiting('upstream')
      controller.resume()
    })
  }

  /** A client has its time for each piece that it takes, not for all. */
  #writePieces(body: Buffer): void {
    const response = this.#response
    for (let at = 0; at < body.length; at += pieceBytes) {
      if (response.write(body.subarray(at, at + pieceBytes))) continue
      response.once('drain', () => {
        this.#onWaiting('client')
        this.#writePieces(body.subarray(at + pieceBytes))
      })
      return
    }
    response.end()
  }

  static #endNow(answer: ClientAnswer): void {
    answer.#turn = null
    answer.#response.end(answer.#rest)
  }
}

/** RFC 9112 §4: a phrase says nothing, so one that can't be written is left out. */
function phrase(message: string): string {
  return /^[\t -~\x80-\xff]*$/.test(message) ? message : ''
}

export function isHttp2(
  response: ServerResponse | Http2ServerResponse,
): response is Http2ServerResponse {
  return response instanceof Http2ServerResponse
}
