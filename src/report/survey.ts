import type { AccessLine } from './access-line.ts'
import { type Count, createDistinct, type Distinct, type Room } from './distinct.ts'

/** What became of a request: let through against a reason (report mode), or refused. */
export type Effect = 'reported' | 'refused'

/** One reason why requests of one integration are, or would be, refused. */
export interface Cause {
  readonly effect: Effect
  /** null: none was proven. */
  readonly contactCenter: string | null
  /** The origin of the page that frames or links the workspace; null: the lines do not say. */
  readonly page: string | null
  /** null where these are what went past the first `mostCauses`, counted together. */
  readonly reason: string | null
  readonly detail: string | null
  readonly requests: number
  /** Of its contact center's requests, from 0 to 1; null: not known. */
  readonly share: number | null
  /** Whether it is probably but what follows from other causes. */
  readonly follows: boolean
  readonly users: Count
  readonly sessions: Count
  readonly addresses: Count
  /** ms since the epoch */
  readonly first: number
  readonly last: number
  readonly requestId: string | null
}

export interface Total {
  readonly integrations: Count
  readonly requests: number
  readonly users: Count
}

export interface Survey {
  readonly total: Total
  readonly reported: Total
  readonly refused: Total
  /** ms since the epoch; null: there was no request. */
  readonly first: number | null
  readonly last: number | null
  /** What would break most stands first. */
  readonly causes: readonly Cause[]
}

export interface Surveying {
  readonly take: (line: AccessLine) => void
  readonly end: () => Survey
}

/** Pages are what clients say they are: there may be any number. */
const mostCauses = 500
const mostContactCenters = 1000

/** Gathers access lines by integration (contact center and page) and reason, in constant memory. */
export function createSurvey(): Surveying {
  const room: Room = { left: 500_000 }
  const total = createTotal(room)
  const totals = { reported: createTotal(room), refused: createTotal(room) }
  const causes = new Map<string, Gathered>()
  const requestsOf = new Map<string | null, number>()
  let first: number | null = null
  let last: number | null = null

  return {
    take(line) {
      const { contactCenter, page, time } = line
      first = first === null ? time : Math.min(first, time)
      last = last === null ? time : Math.max(last, time)
      // A socket is one request, whose other line has been there before.
      if (line.socket !== 'close') {
        total.add(line)
        const before = requestsOf.get(contactCenter)
        if (before !== undefined || requestsOf.size < mostContactCenters) {
          requestsOf.set(contactCenter, (before ?? 0) + 1)
        }
      }
      const found = effectOf(line)
      if (found === null) return
      const { effect, reason } = found
      totals[effect].add(line)
      const key = JSON.stringify([effect, contactCenter, page, reason, line.detail])
      const cause = causes.get(key)
      if (cause !== undefined) cause.add(line)
      else if (causes.size < mostCauses) {
        const { detail } = line
        causes.set(key, gather(room, { effect, contactCenter, page, reason, detail }, line))
      } else {
        const others = causes.get(effect)
        const identity = { effect, contactCenter: null, page: null, reason: null, detail: null }
        if (others === undefined) causes.set(effect, gather(room, identity, line))
        else others.add(line)
      }
    },
    end() {
      const all = [...causes.values()]
      const isLink = all.some(({ identity }) => isRoot(identity))
      const ended = all.map(({ identity, end }): Cause => {
        const { requests, ...seen } = end()
        const of = identity.reason === null ? undefined : requestsOf.get(identity.contactCenter)
        const share = of === undefined ? null : Math.min(1, requests / of)
        return { ...identity, requests, share, follows: isLink && isFollower(identity), ...seen }
      })
      return {
        total: total.end(),
        reported: totals.reported.end(),
        refused: totals.refused.end(),
        first,
        last,
        causes: ended.sort(byDamage),
      }
    },
  }
}

/** null where nothing was wrong, or where it was counted with the socket's other line. */
function effectOf({
  decision,
  reason,
  socket,
  ended,
}: AccessLine): { readonly effect: Effect; readonly reason: string } | null {
  if (socket === 'close') {
    if (ended === 'session-mismatch') return { effect: 'refused', reason: ended }
    // What the upgrade was reported for stands in both lines.
    return reason === 'session-mismatch' ? { effect: 'reported', reason } : null
  }
  if (decision === 'deny') return { effect: 'refused', reason: reason ?? 'unknown' }
  return reason === null ? null : { effect: 'reported', reason }
}

type Identity = Pick<Cause, 'effect' | 'contactCenter' | 'page' | 'reason' | 'detail'>
type Seen = Pick<
  Cause,
  'requests' | 'users' | 'sessions' | 'addresses' | 'first' | 'last' | 'requestId'
>

interface Gathered {
  readonly identity: Identity
  readonly add: (line: AccessLine) => void
  readonly end: () => Seen
}

function gather(room: Room, identity: Identity, line: AccessLine): Gathered {
  const { requestId } = line
  const users = createDistinct(room)
  const sessions = createDistinct(room)
  const addresses = createDistinct(room)
  let requests = 0
  let first = line.time
  let last = line.time
  const add = ({ time, userId, sessionId, ip }: AccessLine): void => {
    requests += 1
    first = Math.min(first, time)
    last = Math.max(last, time)
    users.add(userId)
    sessions.add(sessionId)
    addresses.add(ip)
  }
  add(line)
  return {
    identity,
    add,
    end: () => ({
      requests,
      users: users.count(),
      sessions: sessions.count(),
      addresses: addresses.count(),
      first,
      last,
      requestId,
    }),
  }
}

function createTotal(room: Room): {
  readonly add: (line: AccessLine) => void
  readonly end: () => Total
} {
  const integrations: Distinct = createDistinct(room)
  const users: Distinct = createDistinct(room)
  let requests = 0
  return {
    add({ contactCenter, page, userId }) {
      requests += 1
      integrations.add(JSON.stringify([contactCenter, page]))
      users.add(userId)
    },
    end: () => ({ integrations: integrations.count(), requests, users: users.count() }),
  }
}

/** Where a link's token is refused no session opens: what its page loads is then without one. */
function isFollower({ reason, page, contactCenter }: Identity): boolean {
  return reason === 'token-missing' && page === null && contactCenter === null
}

function isRoot(identity: Identity): boolean {
  return /^(?:token|claim)-/.test(identity.reason ?? '') && !isFollower(identity)
}

function byDamage(a: Cause, b: Cause): number {
  return (
    Number(a.effect === 'refused') - Number(b.effect === 'refused') ||
    Number(a.follows) - Number(b.follows) ||
    b.requests - a.requests ||
    a.first - b.first
  )
}
