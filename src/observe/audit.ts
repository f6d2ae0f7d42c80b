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

/** Writes an audit line. `since` is ms since the epoch. */
export type Audit = (event: AuditEvent, client: Client, subject: Subject, since: number) => void

export function createAudit(log: Logger): Audit {
  return (event, client, subject, since) => {
    log.info({
      event: 'access',
      ...event,
      path: event.path === undefined ? undefined : withoutLink(event.path),
      contactCenter: subject.contactCenter ?? undefined,
      userId: subject.userId ?? undefined,
      sessionId: subject.sessionId ?? undefined,
      requestId: client.requestId,
      ip: client.ip,
      durationMs: Date.now() - since,
    })
  }
}

/** A path as it may be logged: that of a mangled link has the query, token and all, in it. */
function withoutLink(path: string): string {
  const decoded = decode(path) ?? ''
  const at = decoded.search(/(?:userId|sessionId|URLToken|auth|copilotSession)=|eyJ[\w-]*\./i)
  return at < 0 ? path : `${decoded.slice(0, at)}…`
}
