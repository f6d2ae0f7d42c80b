import type { Session } from './session.ts'
import type { TokenHint } from './token.ts'

/** Every reason to refuse, and the status the client sees of it. The client never sees the reason. */
export const denials = {
  'target-invalid': 400,
  'query-ambiguous': 400,
  'origin-refused': 403,
  'token-missing': 401,
  'token-invalid': 401,
  'token-expired': 401,
  'token-not-active': 401,
  'token-too-old': 401,
  'token-conflict': 400,
  'claim-mismatch': 403,
  'claim-missing': 403,
  'session-revoked': 403,
  'url-token-unknown': 403,
  'token-replayed': 403,
  'state-unreachable': 503,
  'session-mismatch': 403,
  'not-found': 404,
  'request-malformed': 400,
  'request-timeout': 408,
  'body-too-large': 413,
  'headers-too-large': 431,
  'internal-error': 500,
  'rate-limited': 429,
  overloaded: 503,
  'upstream-unreachable': 502,
  'upstream-unreadable': 502,
  'upstream-timeout': 504,
} as const

export type Reason = keyof typeof denials

export type Decision = Grant | Denial

/** Who was proven to ask, as far as all that the request proved agrees. */
export interface Subject {
  /** A name. */
  readonly contactCenter: string | null
  readonly userId: string | null
  readonly sessionId: string | null
}

export const nobody: Subject = { contactCenter: null, userId: null, sessionId: null }

export interface Denial {
  readonly allow: false
  readonly reason: Reason
  /** The checked path; null where the target itself was refused, and is not to be repeated anywhere. */
  readonly path: string | null
  readonly subject: Subject
  readonly hint: TokenHint | null
  /** The key that verified the request's token; null for none. */
  readonly keyId: string | null
}

/** What an allowed request may do. */
export interface Grant {
  readonly allow: true
  readonly path: string
  /** The raw query that was checked, less what is never forwarded; without `?`. */
  readonly query: string
  /** The Cookie header less the gateway's own; '' for none. */
  readonly cookie: string
  /** The Authorization header; null for none, and where it must not be forwarded. */
  readonly authorization: string | null
  readonly subject: Subject
  readonly hint: TokenHint | null
  readonly keyId: string | null
  /** Why it would be refused if its contact center did not only report. */
  readonly reported: Reason | null
  /** What such a request claims; none where all that it names is proven. */
  readonly claimed: readonly Session[]
  /** Whether its contact center only reports. */
  readonly reports: boolean
  /** A token that opens one session only, and has to be used up before the request may pass. */
  readonly ticket: Ticket | null
  /** Whether nothing was proven, since nothing had to be. */
  readonly isPublic: boolean
  /** All that it may act for; none where the path is public or the request only reported. */
  readonly sessions: readonly Session[]
  /** The session that a token opened; null where what had been proven before was enough. */
  readonly opened: Session | null
  /** Whether it begins something: no cookie had proven the session before, or nothing proves one. */
  readonly isNew: boolean
  /** Whether the answer may hold a proof of its session: a token that opens one was used up for it, where it has to be. */
  readonly handsOn: boolean
  /** The one session that the request acts for; null where it may act for several. */
  readonly session: Session | null
  /** Set-Cookie lines: the session opened by a navigation with a token, and those it displaces. */
  readonly setCookies: readonly string[]
}

export interface Ticket {
  /** The same for all spellings of one token, and tells nothing of it. */
  readonly id: string
  /** When the token ends, in ms since the epoch; null: never. */
  readonly until: number | null
  /** What is decided where it was used before. */
  readonly otherwise: Decision
  /** What is decided where nobody can tell. */
  readonly unreachable: Decision
}

/** Why a contact center that only reports lets pass: what no link proves, and no threat to others. */
const reportable: ReadonlySet<Reason> = new Set([
  'token-missing',
  'token-invalid',
  'token-expired',
  'token-not-active',
  'token-too-old',
  'token-conflict',
  'claim-mismatch',
  'claim-missing',
  'url-token-unknown',
  'token-replayed',
  'state-unreachable',
  'session-mismatch',
] satisfies Reason[])

export function isReportable(reason: Reason): boolean {
  return reportable.has(reason)
}
