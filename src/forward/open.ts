import type { ServerResponse } from 'node:http'
import type { Lease } from '../access/lease.ts'
import type { Session } from '../access/session.ts'

/** A request or a socket that is under way. */
export interface Open {
  /** Where it stands in the list of all that is open; that list's own. */
  place: number
  readonly lease: Lease
  /** When it has waited long enough or its session ends, in ms since the epoch. */
  readonly deadline: number
  /** Whether it has no end of its own: a WebSocket, an event stream. */
  readonly isStream: boolean
  /** Called once the deadline has passed, until the deadline moves or it ends. */
  readonly onDeadline: (now: number) => void
  /** The gateway drains: end as soon as nothing is lost by it. */
  readonly onDrain: () => void
  /** Its connection is no longer welcome: end, and come back on another. */
  readonly onRestart: () => void
  /** The drain is over: end now. */
  readonly cut: () => void
  /**
   * The rest of the request that this is the answer to is no HTTP. Whether it was this one, and there
   * was still time to say so.
   */
  readonly refuseRest: (answer: ServerResponse) => boolean
}

/**
 * All that is under way, with its deadlines. One timer looks at all of them four times a second:
 * cheaper than a timer each, and a second is all that is promised.
 */
export class OpenExchanges {
  /**
   * No Set: it copies itself every few requests, and each copy, once old, keeps what it held, and
   * all that is young behind that, until the next full collection.
   */
  readonly #open: Open[] = []
  readonly #timer: NodeJS.Timeout
  #emptied: (() => void) | null = null
  /** Whose streams end, and what must not become one: both are told of in the middle of requests. */
  #ends: (session: Session) => boolean = () => false
  readonly #unwelcome = new WeakSet<Open>()
  /** Whether answers say that their connections end with them. */
  leaving = false
  draining = false

  constructor() {
    this.#timer = setInterval(() => {
      const now = Date.now()
      this.#each((one) => {
        if (now >= one.deadline) one.onDeadline(now)
      })
    }, 250).unref()
  }

  add(one: Open): void {
    one.place = this.#open.push(one) - 1
    if (this.draining) one.onDrain()
  }

  /** Whether it was open until now. */
  delete(one: Open): boolean {
    if (!this.#has(one)) return false
    const last = this.#open.pop()
    if (last !== undefined && last !== one) {
      this.#open[one.place] = last
      last.place = one.place
    }
    if (this.#open.length === 0) this.#emptied?.()
    return true
  }

  /** Whether there was an answer, and still time, to say that the rest of its request is no HTTP. */
  refuseRest(answer: ServerResponse): boolean {
    return this.#open.some((one) => one.refuseRest(answer))
  }

  /** What was a request has turned out to have no end of its own. */
  becomes(stream: Open, request: Open): void {
    stream.lease.revoke(this.#ends)
    // Its head is about to be written.
    if (this.#unwelcome.has(request)) setImmediate(() => stream.onRestart())
  }

  /** A session was opened anew: what is open of it lasts as long. */
  renew(session: Session): void {
    this.#each(({ lease }) => lease.renew(session))
  }

  /** Sessions were ended before their time: what acts for them alone ends within a second. */
  revoke(ends: (session: Session) => boolean): void {
    this.#each(({ lease }) => lease.revoke(ends))
  }

  /** The same of what has no end of its own, from now on: an answer under way is let finish. */
  revokeStreams(ends: (session: Session) => boolean): void {
    this.#ends = ends
    this.#each(({ isStream, lease }) => {
      if (isStream) lease.revoke(ends)
    })
  }

  /** Ends what would keep connections of today open. */
  restartStreams(): void {
    this.#each((one) => {
      if (one.isStream) one.onRestart()
      else this.#unwelcome.add(one)
    })
  }

  /**
   * Resolves when nothing is under way any more, and, once `quiet` is, nothing more comes; what is left
   * after `timeout` ms is cut.
   */
  async drain(timeout: number, quiet: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.leaving = true
    this.draining = true
    this.#each((one) => one.onDrain())
    const deadline = setTimeout(() => {
      this.#each((one) => one.cut())
    }, timeout)
    await quiet
    while (this.#open.length > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve
      })
    }
    clearTimeout(deadline)
    clearInterval(this.#timer)
  }

  #has(one: Open): boolean {
    return this.#open[one.place] === one
  }

  /** What is called may end some of them. */
  #each(visit: (one: Open) => void): void {
    for (const one of [...this.#open]) if (this.#has(one)) visit(one)
  }
}
