import type { AuditLine } from './audit.ts'
import { addDuration, addLatency, createLatency, type Latency } from './latency.ts'

/** What happened in some span of time. */
export interface Activity {
  allowed: number
  refused: number
  /** Let through in report mode, and to be refused otherwise. */
  reported: number
  /** Of those refused or reported. */
  readonly reasons: Record<string, number>
  /** Of HTTP requests that were allowed. */
  readonly latency: Latency
}

/** What an operator sees of a request that was refused, or let through in report mode. */
export interface Refusal
  extends Pick<
    AuditLine,
    | 'requestId'
    | 'decision'
    | 'status'
    | 'transport'
    | 'method'
    | 'path'
    | 'contactCenter'
    | 'userId'
    | 'sessionId'
    | 'ip'
    | 'page'
    | 'hint'
    | 'error'
  > {
  /** ms since the epoch */
  readonly time: number
  readonly reason: string
  /** How many before this one were left out, since there were too many in one second. */
  readonly skipped?: number
}

export function createActivity(): Activity {
  return { allowed: 0, refused: 0, reported: 0, reasons: {}, latency: createLatency() }
}

/** Counts a line; the second one of a WebSocket is no request. */
export function addLine(activity: Activity, line: AuditLine): void {
  if (line.socket === 'close') return
  activity[outcomes[outcomeOf(line)]] += 1
  const { reason, decision, transport, durationMs } = line
  if (reason !== undefined) activity.reasons[reason] = (activity.reasons[reason] ?? 0) + 1
  if (decision === 'allow' && transport === 'http') addDuration(activity.latency, durationMs)
}

export function addActivity(activity: Activity, other: Activity): void {
  activity.allowed += other.allowed
  activity.refused += other.refused
  activity.reported += other.reported
  for (const [reason, count] of Object.entries(other.reasons)) {
    activity.reasons[reason] = (activity.reasons[reason] ?? 0) + count
  }
  addLatency(activity.latency, other.latency)
}

export type Outcome = 'allow' | 'deny' | 'report'

const outcomes = { allow: 'allowed', deny: 'refused', report: 'reported' } as const

export function outcomeOf({ decision, reason }: AuditLine): Outcome {
  return decision === 'allow' && reason !== undefined ? 'report' : decision
}

/** Paths and ids are the client's, and as long as it likes. */
const longest = 256

/** The refusal that a line tells of; null where it tells of none. */
export function refusalOf(line: AuditLine, now: number): Refusal | null {
  const { reason, requestId, decision, status, transport, ip, socket } = line
  if (reason === undefined || socket === 'close') return null
  const { method, path, contactCenter, userId, sessionId, page, hint, error } = line
  const texts = { method, path, contactCenter, userId, sessionId, page, hint, error }
  const said = Object.entries(texts).flatMap(([name, text]) =>
    text === undefined ? [] : [[name, shortened(text)] as const],
  )
  return {
    time: now,
    requestId,
    decision,
    reason,
    status,
    transport,
    ip,
    ...Object.fromEntries(said),
  }
}

function shortened(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

const latest = 100
const mostPerSecond = 20

/** The latest refusals, of which each second only the first ones are kept. */
export class Refusals {
  #kept: Refusal[] = []
  #second = 0
  #count = 0
  #skipped = 0

  /** Oldest first. */
  get kept(): readonly Refusal[] {
    return this.#kept
  }

  /** The refusal if it is kept, with how many before it were not; else null. */
  add(refusal: Refusal): Refusal | null {
    const second = Math.floor(refusal.time / 1000)
    if (second !== this.#second) this.#count = 0
    this.#second = second
    this.#count += 1
    const skipped = this.#skipped + (refusal.skipped ?? 0)
    if (this.#count > mostPerSecond) {
      this.#skipped = skipped + 1
      return null
    }
    this.#skipped = 0
    const told = skipped === 0 ? refusal : { ...refusal, skipped }
    this.#kept.push(told)
    if (this.#kept.length > latest) this.#kept.shift()
    return told
  }

  take(): readonly Refusal[] {
    const kept = this.#kept
    this.#kept = []
    return kept
  }
}
