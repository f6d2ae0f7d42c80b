import type { AuditLine } from './audit.ts'

const plain = /^[ !#-[\]-~]*$/

/**
 * A line that says what pino would write, without what it does not say. `time` is ms since the epoch. Spelt out, since
 * there is one for each request: pino looks for the serializer of each field anew.
 */
export function auditLine(line: AuditLine, time: number): string {
  const { status, durationMs, code } = line
  return `{"level":30,"time":${time},"event":"access","decision":"${line.decision}"${field('reason', line.reason)},"status":${status}${field('method', line.method)}${field('path', line.path)},"transport":"${line.transport}"${field('socket', line.socket)}${field('ended', line.ended)}${code === undefined ? '' : `,"code":${code}`}${field('error', line.error)}${field('hint', line.hint)}${field('page', line.page)}${field('contactCenter', line.contactCenter)}${field('userId', line.userId)}${field('sessionId', line.sessionId)},"requestId":${text(line.requestId)},"ip":${text(line.ip)},"durationMs":${durationMs}}\n`
}

function field(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${text(value)}`
}

function text(value: string): string {
  return plain.test(value) ? `"${value}"` : JSON.stringify(value)
}
