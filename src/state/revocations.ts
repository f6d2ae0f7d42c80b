import type { Session } from '../access/session.ts'

/** Whose sessions: what is null is any. */
export interface Revoked {
  readonly contactCenter: string | null
  readonly userId: string | null
  readonly sessionId: string | null
}

/** Sessions that have ended before their time. */
export interface Revocation extends Revoked {
  /** Sessions opened before this are over, in ms since the epoch; Infinity: those of later links too. */
  readonly before: number
  /** When the last session that it ends would have ended, in ms since the epoch. */
  readonly until: number
}

export interface Revocations {
  readonly add: (revocation: Revocation) => void
  /** Whether a session is over at `now`, in ms since the epoch. */
  readonly has: (session: Session, now: number) => boolean
}

export interface KnownRevocations extends Revocations {
  /** What is known now of those it names; null where that was known before, or is over. */
  readonly add: (revocation: Revocation) => Revocation | null
  readonly all: () => readonly Revocation[]
}

/** How often what is over is forgotten, in ms: to look at all for each would take too long. */
const sweepInterval = 60_000

/** Remembers what was revoked for as long as a cookie or a token could still say otherwise. */
export function createRevocations(): KnownRevocations {
  /** By what they name of the ids, so that asking costs the same however many there are. */
  const known = new Map<string, Revocation>()
  let swept = 0

  const forget = (now: number): void => {
    for (const [name, { until }] of known) if (until <= now) known.delete(name)
    swept = now
  }
  return {
    add(revocation) {
      const now = Date.now()
      if (now - swept >= sweepInterval) forget(now)
      if (revocation.until <= now) return null
      const name = nameOfRevoked(revocation)
      const before = known.get(name)
      if (before !== undefined && includes(before, revocation)) return null
      const together = {
        ...revocation,
        before: Math.max(revocation.before, before?.before ?? 0),
        until: Math.max(revocation.until, before?.until ?? 0),
      }
      known.set(name, together)
      return together
    },
    all() {
      forget(Date.now())
      return [...known.values()]
    },
    has(session, now) {
      if (known.size === 0) return false
      const { contactCenter, userId, sessionId } = session
      const found =
        contactCenter === '' || (userId === '') !== (sessionId === '')
          ? [...known.values()].filter((revocation) => isRevokedBy(revocation, session))
          : namesOf(session).flatMap((name) => known.get(name) ?? [])
      return found.some(({ before, until }) => session.start < before && now < until)
    },
  }
}

/**
 * Whether a revocation is of this session, or may be: who is shut out does not come back by leaving
 * away the contact center, or one of the two ids. What names neither speaks for nobody.
 */
export function isRevokedBy(revocation: Revocation, session: Session): boolean {
  const isNameless = session.userId === '' && session.sessionId === ''
  const isOf = (revoked: string | null, own: string): boolean =>
    revoked === null || revoked === own || (own === '' && !isNameless)
  return (
    (revocation.contactCenter === null ||
      ['', revocation.contactCenter].includes(session.contactCenter)) &&
    isOf(revocation.userId, session.userId) &&
    isOf(revocation.sessionId, session.sessionId) &&
    session.start < revocation.before
  )
}

/** Whether one revocation says all that another of the same does. */
export function includes(one: Revocation, other: Revocation): boolean {
  return one.before >= other.before && one.until >= other.until
}

/** The same for all revocations of the same sessions. */
export function nameOfRevoked({ contactCenter, userId, sessionId }: Revoked): string {
  return nameOf(contactCenter, userId, sessionId)
}

/** A revocation as it goes to other processes: JSON knows no Infinity. */
export function encodeRevocation(revocation: Revocation): string {
  const { contactCenter, userId, sessionId, before, until } = revocation
  const finite = before === Number.POSITIVE_INFINITY ? null : before
  return JSON.stringify({ contactCenter, userId, sessionId, before: finite, until })
}

/** What another process revoked; null where it can't be read: what is not there is not «any». */
export function decodeRevocation(text: string): Revocation | null {
  let fields: Readonly<Record<string, unknown>> | null
  try {
    fields = JSON.parse(text)
  } catch {
    return null
  }
  const { contactCenter, userId, sessionId, before, until } = fields ?? {}
  if (!isId(contactCenter) || !isId(userId) || !isId(sessionId)) return null
  if (!Number.isFinite(until) || typeof until !== 'number') return null
  if (before === null) {
    return { contactCenter, userId, sessionId, before: Number.POSITIVE_INFINITY, until }
  }
  if (!Number.isFinite(before) || typeof before !== 'number') return null
  return { contactCenter, userId, sessionId, before, until }
}

function isId(value: unknown): value is string | null {
  return value === null || (typeof value === 'string' && value !== '')
}

function nameOf(
  contactCenter: string | null,
  userId: string | null,
  sessionId: string | null,
): string {
  return JSON.stringify([contactCenter, userId, sessionId])
}

/** All that a revocation may call a session. */
function namesOf({ contactCenter, userId, sessionId }: Session): string[] {
  return [contactCenter, null].flatMap((center) =>
    [userId, null].flatMap((user) =>
      [sessionId, null].map((session) => nameOf(center, user, session)),
    ),
  )
}
