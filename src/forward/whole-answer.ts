import type { Headers } from './response-headers.ts'
import { type Kind, mostWhole } from './rewrite.ts'

/** An answer that is read as a whole before any of it goes on. */
export class WholeAnswer {
  readonly kind: Kind
  readonly status: number
  readonly message: string
  readonly headers: Headers
  readonly chunks: Buffer[] = []
  #bytes = 0

  constructor(kind: Kind, status: number, message: string, headers: Headers) {
    this.kind = kind
    this.status = status
    this.message = message
    this.headers = headers
  }

  /** Whether it is all there and not, as far as it says, too large. */
  get isReadable(): boolean {
    return this.status !== 206 && Number(this.headers['content-length'] ?? 0) <= mostWhole
  }

  /** Whether there is room for more. */
  add(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.#bytes += chunk.length
    return this.#bytes <= mostWhole
  }
}
