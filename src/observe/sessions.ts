import type { Revoked } from '../state/revocations.ts'

/** What names a session to an operator. */
export interface SessionIds {
  readonly contactCenter: string
  readonly userId: string
  readonly sessionId: string
}

/** A session that was seen. Times are ms since the epoch. */
export interface SeenSession extends SessionIds {
  readonly start: number
  readonly end: number
  readonly lastSeen: number
  /** Sockets that were let in for this session alone. */
  readonly sockets: number
}

/** What a process has to tell of a session. */
export interface SessionNews extends SessionIds {
  /** When it was opened, when it ends, when a request acted for it; null where none did. */
  readonly seen: Pick<SeenSession, 'start' | 'end' | 'lastSeen'> | null
  /** Sockets opened less those closed. */
  readonly sockets: number
}

export interface SessionList {
  /** How many match; there may be more than are listed. */
  readonly total: number
  /** Last seen first. */
  readonly sessions: readonly SeenSession[]
}

/** Past this the oldest are forgotten. */
const most = 100_000

/** What a process has seen since it told the last time. */
export class SessionsSeen {
  #news = new Map<string, SessionNews>()

  /** A request was allowed that acts for this session alone. */
  see(
    { contactCenter, userId, sessionId, start, end }: Omit<SeenSession, 'lastSeen' | 'sockets'>,
    now: number,
  ): void {
    const ids = { contactCenter, userId, sessionId }
    const name = nameOf(ids)
    const before = this.#news.get(name)
    const seen = { start, end: Math.max(end, before?.seen?.end ?? 0), lastSeen: now }
    this.#set(name, { ...ids, seen, sockets: before?.sockets ?? 0 })
  }

  /** Its sockets are so many more, or fewer. */
  count(ids: SessionIds, sockets: number): void {
    const name = nameOf(ids)
    const before = this.#news.get(name) ?? { ...ids, seen: null, sockets: 0 }
    this.#set(name, { ...before, sockets: before.sockets + sockets })
  }

  /** What was seen of these before their end is no news. */
  revoke(revoked: Revoked): void {
    for (const [name, one] of this.#news) {
      if (isNamedBy(revoked, one)) this.#news.set(name, { ...one, seen: null })
    }
  }

  take(): SessionNews[] {
    const news = [...this.#news.values()]
    this.#news = new Map()
    return news
  }

  #set(name: string, news: SessionNews): void {
    this.#news.set(name, news)
    trim(this.#news)
  }
}

/** Sessions as all processes together have seen them, and not seen end. */
export class Sessions {
  /** Last seen last. */
  readonly #seen = new Map<string, SeenSession>()
  /** Open sockets, by process and session: those of a process that dies are never closed. */
  readonly #sockets = new Map<string, Map<string, number>>()

  add(process: string, news: readonly SessionNews[]): void {
    const sockets = this.#sockets.get(process) ?? new Map<string, number>()
    this.#sockets.set(process, sockets)
    for (const { contactCenter, userId, sessionId, seen, sockets: more } of news) {
      const ids = { contactCenter, userId, sessionId }
      const name = nameOf(ids)
      const open = (sockets.get(name) ?? 0) + more
      if (open > 0) sockets.set(name, open)
      else sockets.delete(name)
      const known = this.#seen.get(name)
      const latest = seen ?? known
      if (latest === undefined) continue
      if (seen !== null) this.#seen.delete(name)
      this.#seen.set(name, {
        ...ids,
        start: latest.start,
        end: Math.max(latest.end, known?.end ?? 0),
        lastSeen: Math.max(latest.lastSeen, known?.lastSeen ?? 0),
        sockets: Math.max((known?.sockets ?? 0) + more, 0),
      })
      trim(this.#seen)
    }
  }

  /** A process is gone, and its sockets with it. */
  forget(process: string): void {
    for (const [name, open] of this.#sockets.get(process) ?? []) {
      const known = this.#seen.get(name)
      if (known) this.#seen.set(name, { ...known, sockets: Math.max(known.sockets - open, 0) })
    }
    this.#sockets.delete(process)
  }

  revoke(revoked: Revoked): void {
    for (const [name, one] of this.#seen) if (isNamedBy(revoked, one)) this.#seen.delete(name)
  }

  /** Forgets what has ended; how many are left, by contact center. */
  count(now: number): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const [name, { contactCenter, end }] of this.#seen) {
      if (end <= now) this.#seen.delete(name)
      else counts.set(contactCenter, (counts.get(contactCenter) ?? 0) + 1)
    }
    return counts
  }

  /** Those of which an id holds this text, in whatever case. */
  list(search: string, limit: number, now: number): SessionList {
    const wanted = search.toLowerCase()
    const found = [...this.#seen.values()].filter(
      ({ userId, sessionId, end }) =>
        end > now && [userId, sessionId].some((id) => id.toLowerCase().includes(wanted)),
    )
    return { total: found.length, sessions: found.slice(-limit).reverse() }
  }
}

function isNamedBy(revoked: Revoked, ids: SessionIds): boolean {
  return (['contactCenter', 'userId', 'sessionId'] as const).every(
    (name) => (revoked[name] ?? ids[name]) === ids[name],
  )
}

function trim(map: Map<string, unknown>): void {
  const [oldest] = map.size > most ? map.keys() : []
  if (oldest !== undefined) map.delete(oldest)
}

function nameOf({ contactCenter, userId, sessionId }: SessionIds): string {
  return JSON.stringify([contactCenter, userId, sessionId])
}
