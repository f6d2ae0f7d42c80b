import { isSame, type Named, names, only, type Session } from './session.ts'

/** The sessions that something open acts for: it ends when the last of them does. */
export class Lease {
  #sessions: readonly Session[]
  /** What was named last, and is true of all sessions that are left. */
  #named: Named | null = null
  /** When the last session ends, in ms since the epoch; never, where no session is needed. */
  end: number
  /** Whether its sessions were ended before their time. */
  revoked = false
  /** What was claimed without proof, and let through: it ends as if it were proven. */
  #claimed: readonly Session[] = []

  constructor(sessions: readonly Session[]) {
    this.#sessions = sessions
    this.end = sessions.length === 0 ? Number.POSITIVE_INFINITY : latest(sessions)
  }

  /** The one session it belongs to; null while that may still be one of several, or where it is none. */
  get session(): Session | null {
    return only(this.#sessions)
  }

  /** Leaves the sessions that are so named; false, and nothing changed, where none is. */
  narrow(named: Named): boolean {
    // Events name the same again and again, and a hash each time costs more than to read them.
    if (this.#named !== null && isAlike(this.#named, named)) return true
    const isOne = this.#keep((session) => names(session, named))
    if (isOne) this.#named = named
    return isOne
  }

  /** Leaves the one session; false, and nothing changed, where it is not among them. */
  belongTo(session: Session): boolean {
    return this.#keep((own) => isSame(own, session))
  }

  /** A session that has been opened anew lasts as long as its new proof. */
  renew(session: Session): void {
    if (this.revoked || !this.#sessions.some((own) => isSame(own, session))) return
    this.#sessions = this.#sessions.map((own) =>
      isSame(own, session) && session.end > own.end ? session : own,
    )
    this.end = latest(this.#sessions)
  }

  /** Remembers what is let through without proof. */
  claim(session: Session): void {
    this.#claimed = [session, ...this.#claimed.filter((own) => !isSame(own, session))].slice(
      0,
      mostClaimed,
    )
  }

  /** Ends sessions before their time, and the lease with the last of them. */
  revoke(ends: (session: Session) => boolean): void {
    const isClaimed = this.#claimed.some(ends)
    const left = isClaimed ? [] : this.#sessions.filter((session) => !ends(session))
    if (!isClaimed && left.length === this.#sessions.length) return
    this.#sessions = left
    this.#named = null
    this.revoked = left.length === 0
    this.end = this.revoked ? 0 : latest(left)
  }

  #keep(wanted: (session: Session) => boolean): boolean {
    const left = this.#sessions.filter(wanted)
    if (left.length === 0) return false
    this.#sessions = left
    this.end = latest(left)
    return true
  }
}

/** Of one socket. */
const mostClaimed = 16

function isAlike(one: Named, other: Named): boolean {
  return (
    one.userId === other.userId &&
    one.sessionId === other.sessionId &&
    one.URLToken === other.URLToken
  )
}

function latest(sessions: readonly Session[]): number {
  return Math.max(...sessions.map((session) => session.end))
}
