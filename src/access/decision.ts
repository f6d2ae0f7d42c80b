import type { ContactCenter } from '../settings/config.ts'
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
  readonly contactCenter: ContactCenter | null
  readonly userId: string | null
  readonly sessionId: string | null
}

export interface Denial {
  readonly allow: false
  readonly reason: Reason
  /** The checked path; null where the target itself was refused, and is not to be repeated anywhere. */
  readonly path: string | null
  readonly subject: Subject
  readonly hint: TokenHint | null
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
  /** All that it may act for; none where the path is public. */
  readonly sessions: readonly Session[]
  /** The session that a token opened; null where what had been proven before was enough. */
  readonly opened: Session | null
  /** Whether no cookie had proven the opened session before. */
  readonly isNew: boolean
  /** The one session that the request acts for; null where it may act for several. */
  readonly session: Session | null
  /** Set-Cookie lines: the session opened by a navigation with a token, and those it displaces. */
  readonly setCookies: readonly string[]
}
