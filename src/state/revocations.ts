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

/** Remembers what was revoked for as long as a cookie or a token could still say otherwise. */
export function createRevocations(): Revocations {
  /** By what they name of the ids, so that asking costs the same however many there are. */
  const known = new Map<string, Revocation>()

  return {
    add(revocation) {
      const now = Date.now()
      for (const [name, { until }] of known) if (until <= now) known.delete(name)
      const { contactCenter, userId, sessionId } = revocation
      const name = nameOf(contactCenter, userId, sessionId)
      const before = known.get(name)
      known.set(name, {
        ...revocation,
        before: Math.max(revocation.before, before?.before ?? 0),
        until: Math.max(revocation.until, before?.until ?? 0),
      })
    },
    has(session, now) {
      if (known.size === 0) return false
      return namesOf(session).some((name) => {
        const revocation = known.get(name)
        return (
          revocation !== undefined && session.start < revocation.before && now < revocation.until
        )
      })
    },
  }
}

/** Whether a revocation is of this session. */
export function isRevokedBy(revocation: Revocation, session: Session): boolean {
  const { contactCenter, userId, sessionId } = revocation
  return (
    namesOf(session).includes(nameOf(contactCenter, userId, sessionId)) &&
    session.start < revocation.before
  )
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
