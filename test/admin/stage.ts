// An admin listener as a serving process would have it, without the process.
import { readFileSync } from 'node:fs'
import { type AdminSettings, createAdmin } from '../../src/admin/admin.ts'
import { explain } from '../../src/explain/explain.ts'
import type { AuditLine } from '../../src/observe/audit.ts'
import { createLog } from '../../src/observe/log.ts'
import {
  createObservations,
  type Facts,
  type Observations,
} from '../../src/observe/observations.ts'
import { createOverview, type Overview } from '../../src/observe/overview.ts'
import { createUpstreamHealth, type UpstreamHealth } from '../../src/observe/upstream-health.ts'
import { readConfig } from '../../src/settings/config.ts'
import type { Revoked } from '../../src/state/revocations.ts'
import { pour } from '../sinks.ts'
import { createGate, secret, startUpstream } from '../stage.ts'

interface Scope {
  teardown(done: () => unknown): void
}

export const token = 'an-admin-token-that-nobody-guesses'

export const facts: Facts = {
  enforcement: 'enforce',
  connections: 3,
  logLinesDropped: 0,
  certificate: null,
  redis: null,
  warnings: [],
  contactCenters: [
    {
      name: 'acme',
      enforcement: 'enforce',
      frameAncestors: ['https://cc.example'],
      urlTokens: null,
      jwks: null,
      keys: [{ id: 'first', label: '1', kind: 'secret' }],
    },
  ],
}

const allowed: AuditLine = {
  event: 'access',
  decision: 'allow',
  status: 200,
  method: 'GET',
  path: '/',
  transport: 'http',
  requestId: 'request-1',
  ip: '192.0.2.1',
  durationMs: 12,
  contactCenter: 'acme',
}

/** An audit line as the gateway writes it of an allowed request, changed. */
export function line(changes: Partial<AuditLine> = {}): AuditLine {
  return { ...allowed, ...changes }
}

export const refused = { decision: 'deny', reason: 'token-expired', status: 401 } as const

/** A session of the next hour. */
export function session(userId: string, sessionId: string, contactCenter = 'acme') {
  const start = Date.now()
  return { contactCenter, userId, sessionId, start, end: start + 3_600_000 }
}

export interface Operated {
  readonly origin: string
  readonly observations: Observations
  readonly overview: Overview
  readonly health: UpstreamHealth
  readonly log: readonly Record<string, unknown>[]
  readonly revoked: readonly Revoked[]
  readonly close: () => Promise<void>
}

interface Options extends Partial<AdminSettings> {
  readonly facts?: () => Facts
  /** ms */
  readonly interval?: number
  /** Of the workspace; one that answers unless said. */
  readonly upstream?: string
  readonly probing?: number
  readonly dashboard?: string
}

/** Opens an admin listener on a free port of loopback. */
export async function startAdmin(t: Scope, options: Options = {}): Promise<Operated> {
  const { host = '127.0.0.1', interval = 60_000 } = options
  const given = options.token === undefined ? token : options.token
  const lines: Record<string, unknown>[] = []
  const log = createLog('trace', {
    write(text) {
      pour('log', text)
      lines.push(JSON.parse(text))
    },
  })
  const workspace = options.upstream ?? (await startUpstream(t)).origin
  const health = createUpstreamHealth(upstreamConfig(workspace), log, options.probing)
  const observations = createObservations(options.facts ?? (() => facts))
  const overview = createOverview(
    {
      version: '1.2.3',
      scope: () => 'process',
      upstreams: health.states,
      upstreamsKnown: () => health.known,
      collect: async (withMetrics) => overview.take('1', await observations.report(withMetrics)),
    },
    { interval },
  )
  const revoked: Revoked[] = []
  const sources = {
    overview,
    explain: async (link: string, page: string) => {
      const known = { gate: await createGate(), publicOrigins: null, by: 'gateway' } as const
      return explain(link, known, { page, show: false, now: Date.now() })
    },
    revoke: async (one: Revoked) => {
      revoked.push(one)
      return 'process' as const
    },
    ...(options.dashboard === undefined ? {} : { dashboard: options.dashboard }),
  }
  const admin = await createAdmin({ host, port: 0, token: given }, sources, log)
  const close = async (): Promise<void> => {
    overview.close()
    await admin.close()
    await health.close()
  }
  t.teardown(close)
  return { origin: admin.address, observations, overview, health, log: lines, revoked, close }
}

/** The upstream's part of the settings, for this workspace. */
export function upstreamConfig(workspace: string, env: Readonly<Record<string, string>> = {}) {
  const settings = { COPILOT_URL: workspace, JWT_SECRET: secret, ...env }
  const read = readConfig(settings, {
    readFile: (path) => readFileSync(path, 'utf8'),
    now: Date.now(),
  })
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  return read.config.upstream
}

export const authorized = { Authorization: `Bearer ${token}` }
