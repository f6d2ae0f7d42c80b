/** What the report needs of an audit line; null where the line does not say it. */
export interface AccessLine {
  /** ms since the epoch */
  readonly time: number
  readonly decision: 'allow' | 'deny'
  readonly reason: string | null
  /** The line's hint, or else the code of its fault. */
  readonly detail: string | null
  readonly socket: string | null
  readonly ended: string | null
  readonly contactCenter: string | null
  readonly page: string | null
  readonly userId: string | null
  readonly sessionId: string | null
  readonly requestId: string | null
  readonly ip: string | null
}

/** Why a line is no access line: of another kind, of another program, or only a part of one. */
export type NoAccessLine = 'other' | 'foreign' | 'cut'

/**
 * Reads a line as the gateway wrote it, or as it was collected: after a prefix (kubectl, docker
 * compose, CRI), or in the `log` of Docker's json-file.
 */
export function readLine(text: string): AccessLine | NoAccessLine {
  const start = text.indexOf('{')
  if (start < 0) return 'foreign'
  const own = start === 0 ? text : text.slice(start)
  const fields = parse(own)
  if (fields === null) return own.startsWith('{"level":') ? 'cut' : 'foreign'
  const wrapped = fields['log']
  if (typeof wrapped === 'string' && !('level' in fields)) return readLine(wrapped)
  const event = fields['event']
  if (event !== 'access') return 'level' in fields && 'time' in fields ? 'other' : 'foreign'
  const { time, decision } = fields
  if (typeof time !== 'number' || !(time >= 0 && time <= latest)) return 'foreign'
  if (decision !== 'allow' && decision !== 'deny') return 'foreign'
  const textOf = (name: string): string | null => {
    const value = fields[name]
    return typeof value === 'string' ? value : null
  }
  return {
    time,
    decision,
    reason: textOf('reason'),
    detail: textOf('hint') ?? textOf('error'),
    socket: textOf('socket'),
    ended: textOf('ended'),
    contactCenter: textOf('contactCenter'),
    page: textOf('page'),
    userId: textOf('userId'),
    sessionId: textOf('sessionId'),
    requestId: textOf('requestId'),
    ip: textOf('ip'),
  }
}

/** The last moment that a Date can be, in ms. */
const latest = 8.64e15

function parse(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return isRecord(parsed) ? parsed : null
  } catch {
    return null
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
