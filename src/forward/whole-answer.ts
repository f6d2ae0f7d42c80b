import type { Headers } from './response-headers.ts'
import {
  asRewritten,
  type Kind,
  mostWhole,
  type Reader,
  type Rewriter,
  readAnswer,
} from './rewrite.ts'

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
    const fits = Number(this.headers['content-length'] ?? 0) <= mostWhole
    return this.kind !== 'sealed' && this.status !== 206 && fits
  }

  /** What goes on to this reader, its headers made to fit; null where the answer can't be read. */
  async read(
    rewriter: Rewriter,
    reader: Reader,
  ): Promise<{ readonly body: Buffer; readonly changed: boolean } | null> {
    const body = Buffer.concat(this.chunks)
    const text = await readAnswer(body, this.headers)
    if (text === null) return null
    const rewritten = rewriter.rewrite(text, this.kind, reader)
    if (rewritten === null) return { body, changed: false }
    const changed = Buffer.from(rewritten, 'latin1')
    asRewritten(this.headers, changed.length)
    return { body: changed, changed: true }
  }

  /** Whether there is room for more. */
  add(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.#bytes += chunk.length
    return this.#bytes <= mostWhole
  }
}
