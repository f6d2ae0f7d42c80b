import type { Headers } from './response-headers.ts'
import {
  asRewritten,
  decodeBody,
  type Kind,
  mostWhole,
  type Reader,
  type Rewriter,
  textOf,
} from './rewrite.ts'

/** An answer that is read as a whole before any of it goes on. */
export class WholeAnswer {
  readonly kind: Kind
  readonly status: number
  readonly message: string
  readonly headers: Headers
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(kind: Kind, status: number, message: string, headers: Headers) {
    this.kind = kind
    this.status = status
    this.message = message
    this.headers = headers
  }

  get body(): Buffer {
    const [first, ...others] = this.#chunks
    return first !== undefined && others.length === 0 ? first : Buffer.concat(this.#chunks)
  }

  /** Whether it is all there and not, as far as it says, too large. */
  get isReadable(): boolean {
    const fits = Number(this.headers['content-length'] ?? 0) <= mostWhole
    return this.kind !== 'sealed' && this.status !== 206 && fits
  }

  /** Its bytes without their coding, at once where they have none; null where that can't be undone. */
  decoded(): Buffer | null | Promise<Buffer | null> {
    return decodeBody(this.body, String(this.headers['content-encoding'] ?? 'identity'))
  }

  /** What goes on to this reader, its headers made to fit; null where the decoded bytes can't be read. */
  read(
    decoded: Buffer | null,
    rewriter: Rewriter,
    reader: Reader,
  ): { readonly body: Buffer; readonly changed: boolean } | null {
    const type = String(this.headers['content-type'] ?? '')
    const text = decoded === null ? null : textOf(decoded, type)
    if (text === null) return null
    const rewritten = rewriter.rewrite(text, this.kind, reader)
    if (rewritten === null) return { body: this.body, changed: false }
    const changed = Buffer.from(rewritten, 'latin1')
    asRewritten(this.headers, changed.length)
    return { body: changed, changed: true }
  }

  /** Whether there is room for more. */
  add(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    return this.#bytes <= mostWhole
  }
}
