import type { Logger } from 'pino'
import type { Reason, Subject } from '../access/decision.ts'
import { decode } from '../access/target.ts'
import type { Client } from '../client.ts'

/** One line of the audit log: an HTTP request, a refused upgrade, a WebSocket's opening or end. */
export interface AuditEvent {
  readonly decision: 'allow' | 'deny'
  readonly reason?: Reason
  readonly status: number
  readonly method?: string
  /** Never the query; absent where the target was refused. */
  readonly path?: string
  readonly transport: 'http' | 'websocket'
  readonly socket?: 'open' | 'close'
  /** Who ended an answer or a socket before its own end, and why. */
  readonly ended?: Ending
  /** The close code that the gateway sent on a WebSocket. */
  readonly code?: number
  /** The code of the upstream's or the client's error, as Node or undici names it. */
  readonly error?: string
  readonly hint?: string
  /** The origin of the page that framed or linked what was refused, or would be. */
  readonly page?: string
}

export type Ending =
  | 'client'
  | 'client-timeout'
  | 'upstream'
  | 'upstream-timeout'
  | 'session-expired'
  | 'session-revoked'
  | 'session-mismatch'
  | 'drain'
  | 'message-too-large'
  | 'protocol-error'

/** An audit event as it is logged, with who asked. */
export interface AuditLine extends AuditEvent {
  readonly event: 'access'
  readonly contactCenter?: string
  readonly userId?: string
  readonly sessionId?: string
  readonly requestId: string
  readonly ip: string
  readonly durationMs: number
}

/** Writes an audit line. `since` is ms since the epoch. */
export type Audit = (event: AuditEvent, client: Client, subject: Subject, since: number) => void

/** `observe` gets every line that is written, whatever the log's level. */
export function createAudit(log: Logger, observe: (line: AuditLine) => void = () => {}): Audit {
  return (event, client, subject, since) => {
    const { contactCenter, userId, sessionId } = subject
    const line: AuditLine = {
      event: 'access',
      ...event,
      ...(event.path === undefined ? {} : { path: withoutLink(event.path) }),
      ...(contactCenter === null ? {} : { contactCenter }),
      ...(userId === null ? {} : { userId }),
      ...(sessionId === null ? {} : { sessionId }),
      requestId: client.requestId,
      ip: client.ip,
      durationMs: Date.now() - since,
    }
    log.info(line)
    observe(line)
  }
}

/** A path as it may be logged: that of a mangled link has the query, token and all, in it. */
export function withoutLink(path: string): string {
  const decoded = decode(path) ?? ''
  const at = decoded.search(/(?:userId|sessionId|URLToken|auth|copilotSession)=|eyJ[\w-]*\./i)
  return at < 0 ? path : `${decoded.slice(0, at)}…`
}
