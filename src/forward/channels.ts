import type { Lease } from '../access/lease.ts'
import { isSame, type Session } from '../access/session.ts'

/** One engine.io session of Copilot's channel: a WebSocket, or however many polls. */
export class Channel {
  /** Binary messages still to come for the last event. */
  attachments = 0
  #session: Session | null = null
  /** Of those who speak or listen here. */
  readonly #leases = new Set<Lease>()

  /** The session it belongs to; null for none yet. */
  get session(): Session | null {
    return this.#session
  }

  get isIdle(): boolean {
    return this.#leases.size === 0
  }

  /** Lets a request in; false where the channel belongs to none of its sessions. */
  enter(lease: Lease): boolean {
    if (this.#session !== null && !lease.belongTo(this.#session)) return false
    this.#leases.add(lease)
    this.settle(lease)
    return true
  }

  leave(lease: Lease): void {
    this.#leases.delete(lease)
  }

  /** Belongs to the first session that one here turns out to act for; all others here do then, too. */
  settle(lease: Lease): void {
    const { session } = lease
    if (this.#session !== null || session === null) return
    this.#session = session
    for (const other of this.#leases) if (!other.belongTo(session)) other.revoke(() => true)
  }
}

const most = 20_000
/** Who signs for one contact center must not shut out the others. */
const mostOfOneContactCenter = 10_000
const mostOfOneSession = 100
/** engine.io's own have 20 characters. */
const sidGrammar = /^[!-~]{1,64}$/

/** The engine.io sessions of clients that poll: their requests come one by one. */
export class Channels {
  readonly #known = new Map<string, Channel>()

  /** The channel that a request wants to enter; null where that can't be told, or is one too many. */
  of(query: string, lease: Lease, now: number): Channel | null {
    const [sid, ...others] = parametersOf(query).getAll('sid')
    if (sid === undefined) return new Channel()
    if (others.length > 0 || !sidGrammar.test(sid)) return null
    const known = this.#known.get(sid)
    if (known !== undefined) return known
    this.#makeRoom(now)
    if (this.#known.size >= most || this.#hasManyOf(lease.session)) return null
    const channel = new Channel()
    this.#known.set(sid, channel)
    return channel
  }

  /** Whose a channel is has to be remembered for as long as its session lasts. */
  #makeRoom(now: number): void {
    if (this.#known.size < most) return
    for (const [sid, { session, isIdle }] of this.#known) {
      const isOver = session === null ? isIdle : session.end <= now
      if (isOver) this.#known.delete(sid)
    }
  }

  #hasManyOf(session: Session | null): boolean {
    if (session === null) return false
    let ofSession = 0
    let ofContactCenter = 0
    for (const { session: other } of this.#known.values()) {
      if (other?.contactCenter !== session.contactCenter) continue
      ofContactCenter += 1
      if (isSame(other, session)) ofSession += 1
    }
    return ofSession >= mostOfOneSession || ofContactCenter >= mostOfOneContactCenter
  }
}

/** As URL parsers read a query: URLSearchParams alone would drop a `?` in front. */
export function parametersOf(query: string): URLSearchParams {
  return new URLSearchParams(`&${query}`)
}
