import type { Ending } from '../observe/audit.ts'

/** A close frame of the gateway's own (RFC 6455 §7.4), and what the audit log says of it. */
export interface Close {
  readonly code: number
  readonly reason: string
  readonly ended: Ending
  /** What was wrong with a client's message. */
  readonly error?: string
}

export const closes = {
  sessionExpired: { code: 1008, reason: 'session-expired', ended: 'session-expired' },
  'foreign-event': {
    code: 1008,
    reason: 'session-mismatch',
    ended: 'session-mismatch',
    error: 'foreign-event',
  },
  'unreadable-event': {
    code: 1008,
    reason: 'session-mismatch',
    ended: 'session-mismatch',
    error: 'unreadable-event',
  },
  'revoked-session': { code: 1008, reason: 'session-revoked', ended: 'session-revoked' },
  draining: { code: 1012, reason: 'draining', ended: 'drain' },
  tooLarge: { code: 1009, reason: 'message-too-large', ended: 'message-too-large' },
  reservedBit: { code: 1002, reason: 'reserved-bit', ended: 'protocol-error' },
  protocolError: { code: 1002, reason: 'protocol-error', ended: 'protocol-error' },
} as const satisfies Readonly<Record<string, Close>>
