import type { Lease } from '../access/lease.ts'
import type { Session } from '../access/session.ts'

/** A request or a socket that is under way. */
export interface Open {
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
}

/**
 * All that is under way, with its deadlines. One timer looks at all of them four times a second:
 * cheaper than a timer each, and a second is all that is promised.
 */
export class OpenExchanges {
  readonly #open = new Set<Open>()
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
      for (const one of this.#open) if (now >= one.deadline) one.onDeadline(now)
    }, 250).unref()
  }

  add(one: Open): void {
    this.#open.add(one)
    if (this.draining) one.onDrain()
  }

  delete(one: Open): void {
    this.#open.delete(one)
    if (this.#open.size === 0) this.#emptied?.()
  }

  /** What was a request has turned out to have no end of its own. */
  becomes(stream: Open, request: Open): void {
    stream.lease.revoke(this.#ends)
    // Its head is about to be written.
    if (this.#unwelcome.has(request)) setImmediate(() => stream.onRestart())
  }

  /** A session was opened anew: what is open of it lasts as long. */
  renew(session: Session): void {
    for (const { lease } of this.#open) lease.renew(session)
  }

  /** Sessions were ended before their time: what acts for them alone ends within a second. */
  revoke(ends: (session: Session) => boolean): void {
    for (const { lease } of this.#open) lease.revoke(ends)
  }

  /** The same of what has no end of its own, from now on: an answer under way is let finish. */
  revokeStreams(ends: (session: Session) => boolean): void {
    this.#ends = ends
    for (const { isStream, lease } of this.#open) if (isStream) lease.revoke(ends)
  }

  /** Ends what would keep connections of today open. */
  restartStreams(): void {
    for (const one of this.#open) {
      if (one.isStream) one.onRestart()
      else this.#unwelcome.add(one)
    }
  }

  /**
   * Resolves when nothing is under way any more, and, once `quiet` is, nothing more comes; what is left
   * after `timeout` ms is cut.
   */
  async drain(timeout: number, quiet: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.leaving = true
    this.draining = true
    for (const one of this.#open) one.onDrain()
    const deadline = setTimeout(() => {
      for (const one of this.#open) one.cut()
    }, timeout)
    await quiet
    while (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve
      })
    }
    clearTimeout(deadline)
    clearInterval(this.#timer)
  }
}
