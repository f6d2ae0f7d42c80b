import { type DestinationStream, type Logger, symbols } from 'pino'
import type { Reason, Subject } from '../access/decision.ts'
import { decode } from '../access/target.ts'
import type { Client } from '../client.ts'
import { auditLine } from './audit-line.ts'

/** One line of the audit log: an HTTP request, a refused upgrade, a WebSocket's opening or end. */
export interface AuditEvent {
  readonly decision: 'allow' | 'deny'
  readonly reason?: Reason | undefined
  readonly status: number
  readonly method?: string | undefined
  /** Never the query; absent where the target was refused. */
  readonly path?: string | undefined
  readonly transport: 'http' | 'websocket'
  readonly socket?: 'open' | 'close' | undefined
  /** Who ended an answer or a socket before its own end, and why. */
  readonly ended?: Ending | undefined
  /** The close code that the gateway sent on a WebSocket. */
  readonly code?: number | undefined
  /** The code of the upstream's or the client's error, as Node or undici names it. */
  readonly error?: string | undefined
  readonly hint?: string | undefined
  /** The origin of the page that framed or linked what was refused, or would be. */
  readonly page?: string | undefined
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
  readonly contactCenter?: string | undefined
  readonly userId?: string | undefined
  readonly sessionId?: string | undefined
  readonly requestId: string
  readonly ip: string
  readonly durationMs: number
}

/** Writes an audit line. `since` is ms since the epoch. */
export type Audit = (event: AuditEvent, client: Client, subject: Subject, since: number) => void

/** `observe` gets every line that is written, whatever the log's level. */
export function createAudit(log: Logger, observe: (line: AuditLine) => void = () => {}): Audit {
  const output: DestinationStream | null = log.isLevelEnabled('info')
    ? Reflect.get(log, symbols.streamSym)
    : null
  return (event, client, subject, since) => {
    const { path } = event
    const now = Date.now()
    const line: AuditLine = {
      event: 'access',
      decision: event.decision,
      reason: event.reason,
      status: event.status,
      method: event.method,
      path: path === undefined ? undefined : withoutLink(path),
      transport: event.transport,
      socket: event.socket,
      ended: event.ended,
      code: event.code,
      error: event.error,
      hint: event.hint,
      page: event.page,
      contactCenter: subject.contactCenter ?? undefined,
      userId: subject.userId ?? undefined,
      sessionId: subject.sessionId ?? undefined,
      requestId: client.requestId,
      ip: client.ip,
      durationMs: now - since,
    }
    output?.write(auditLine(line, now))
    observe(line)
  }
}

// The parameters of a mangled link, a token; and of 16 bytes as base64url, the last character is one of four.
const telling =
  /(?:userId|sessionId|URLToken|auth|copilotSession)=|eyJ[\w-]*\.|\/o\/[\w-]{21}[AQgw](?![\w-])/i

/** A path as it may be logged: that of a mangled link has the query, token and all, in it, and a short link lets in. */
export function withoutLink(path: string): string {
  const decoded = decode(path) ?? ''
  const at = decoded.search(telling)
  if (at < 0) return path
  return `${decoded.slice(0, at)}${decoded.startsWith('/o/', at) ? '/o/' : ''}…`
}
