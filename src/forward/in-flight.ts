import type { ServerResponse } from 'node:http'

/** A request that has yet to be answered. */
export interface Answering {
  readonly answersWith: (response: ServerResponse) => boolean
}

/** The requests that one gateway still has to answer, after a reload the last that it hears of. */
export class InFlight<One extends Answering> {
  readonly #requests = new Set<One>()
  #idle: (() => void) | null = null

  add(request: One): void {
    this.#requests.add(request)
  }

  delete(request: One): void {
    this.#requests.delete(request)
    if (this.#requests.size === 0) this.#idle?.()
  }

  /** The one that a response is the answer to; null where it is none of these. To be asked seldom: it looks at all. */
  of(response: ServerResponse): One | null {
    for (const request of this.#requests) if (request.answersWith(response)) return request
    return null
  }

  /** Resolves once there are none. */
  async done(): Promise<void> {
    if (this.#requests.size === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }
}
