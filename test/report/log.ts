// Audit lines by hand, and the command that reads them.

import { cli, type Ran, start } from '../doctor/clinic.ts'
import { ids } from '../stage.ts'

export const eight = Date.UTC(2026, 10, 20, 8)

/** A line of a request that passed; `changes` replace or, as undefined, leave out fields. */
export function line(changes: Readonly<Record<string, unknown>> = {}): string {
  const fields = {
    level: 30,
    time: eight,
    event: 'access',
    decision: 'allow',
    status: 200,
    method: 'GET',
    path: '/',
    transport: 'http',
    contactCenter: 'cc',
    userId: ids.userId,
    sessionId: ids.sessionId,
    requestId: 'request-1',
    ip: '192.0.2.1',
    durationMs: 3,
    ...changes,
  }
  return `${JSON.stringify(fields)}\n`
}

/** What report mode let through although its contact center was not proven. */
export const forged = {
  contactCenter: undefined,
  userId: undefined,
  sessionId: undefined,
  page: 'https://old.example',
  reason: 'token-invalid',
  hint: 'no secret or key verifies the token',
  requestId: 'request-2',
}

export function report(args: readonly string[], cwd: string, stdin = '', env = {}): Promise<Ran> {
  return start(process.execPath, [cli, 'report', ...args], cwd, env, stdin)
}
