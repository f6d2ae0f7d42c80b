import type { Revoked } from '../state/revocations.ts'
import {
  type Activity,
  addLine,
  createActivity,
  outcomeOf,
  type Refusal,
  Refusals,
  refusalOf,
} from './activity.ts'
import type { AuditLine } from './audit.ts'
import {
  addProcessMetrics,
  counter,
  createRegistry,
  gauge,
  type Metered,
  metrics,
  Tally,
} from './metrics.ts'
import { type SeenSession, type SessionIds, type SessionNews, SessionsSeen } from './sessions.ts'

/** What holds of a serving process at this moment. Times are ms since the epoch. */
export interface Facts {
  readonly enforcement: 'enforce' | 'report'
  /** Open connections of clients. */
  readonly connections: number
  /** Since the process started. */
  readonly logLinesDropped: number
  readonly certificate: { readonly expires: number } | null
  readonly redis: { readonly up: boolean; readonly since: number } | null
  /** What is doubtful about the settings. */
  readonly warnings: readonly string[]
  readonly contactCenters: readonly ContactCenterFacts[]
}

interface ContactCenterFacts {
  readonly name: string
  readonly enforcement: 'enforce' | 'report'
  readonly frameAncestors: readonly string[]
  /** How many; null: any. */
  readonly urlTokens: number | null
  readonly jwks: { readonly up: boolean; readonly lastSuccess: number | null } | null
  readonly keys: readonly KeyFacts[]
}

interface KeyFacts {
  /** Names the key for as long as the process lives, and nobody is shown it. */
  readonly id: string
  /** "1" for the newest secret, "2" for the one before; a public key's kid. */
  readonly label: string
  readonly kind: 'secret' | 'public key'
}

export interface Reload {
  readonly time: number
  readonly ok: boolean
  readonly problems: readonly string[]
}

/** A key as operators see it: whether a retired one is still in use. */
export interface KeyUse extends Omit<KeyFacts, 'id'> {
  /** Since when it is known. */
  readonly since: number
  readonly uses: number
  readonly lastUsed: number | null
}

export interface ContactCenterStatus extends Omit<ContactCenterFacts, 'keys'> {
  readonly keys: readonly KeyUse[]
}

/** What a process tells whoever runs the admin listener: plain JSON, to be sent from process to process. */
export interface Report {
  /** As of now. */
  readonly facts: Omit<Facts, 'contactCenters'> & {
    readonly contactCenters: readonly ContactCenterStatus[]
    readonly reload: Reload | null
    readonly sockets: number
  }
  /** Since the report before. */
  readonly activity: Activity
  readonly refusals: readonly Refusal[]
  readonly sessions: readonly SessionNews[]
  /** Since the process started; null where they were not asked for. */
  readonly metrics: readonly Metered[] | null
}

/** What a serving process sees, for operators. */
export interface Observations {
  /** An audit line was written. */
  readonly observe: (line: AuditLine) => void
  /** A request was allowed that acts for this session alone. */
  readonly seen: (session: Omit<SeenSession, 'lastSeen' | 'sockets'>) => void
  /** A key verified a token. */
  readonly tokenVerified: (contactCenter: string, key: Pick<KeyFacts, 'id' | 'label'>) => void
  /** Sessions were ended here; `counts`: false where another process or the admin listener was asked for it. */
  readonly revoked: (revoked: Revoked, counts: boolean) => void
  readonly reloaded: (problems: readonly string[]) => void
  readonly handshakeFailed: () => void
  /** `withMetrics`: for a scrape alone, since some of them begin anew each time they are read. */
  readonly report: (withMetrics: boolean) => Promise<Report>
}

/** `facts` is asked for each report. */
export function createObservations(facts: () => Facts): Observations {
  const registry = createRegistry()
  addProcessMetrics(registry)
  const requests = new Tally<'decision' | 'reason' | 'contact_center' | 'transport'>()
  const durations = new Tally<'decision' | 'transport'>()
  const socketsClosed = counter(registry, metrics.socketsClosed)
  const revocations = counter(registry, metrics.revocations)
  const upstreamErrors = counter(registry, metrics.upstreamErrors)
  const reloads = counter(registry, metrics.reloads)
  const handshakeErrors = counter(registry, metrics.handshakeErrors)
  const verified = counter(registry, metrics.tokensVerified)
  const lastReloadSuccessful = gauge(registry, metrics.lastReloadSuccessful)
  const lastReloadSuccess = gauge(registry, metrics.lastReloadSuccess)
  const measure = createGauges(registry)
  for (const reason of upstreamReasons) upstreamErrors.inc({ reason }, 0)
  for (const result of ['success', 'failure']) reloads.inc({ result }, 0)
  lastReloadSuccessful.set(1)
  lastReloadSuccess.set(Date.now() / 1000)

  let activity = createActivity()
  const refusals = new Refusals()
  const sessions = new SessionsSeen()
  const sockets = new OpenSockets()
  /** What `verified` has a series of: an issuer may rename its keys for ever. */
  const labelled = new Map<string, { readonly contact_center: string; readonly key: string }>()
  const keys = new Map<string, { readonly since: number; uses: number; lastUsed: number | null }>()
  let reload: Reload | null = null

  return {
    observe(line) {
      addLine(activity, line)
      count(line)
      const refusal = refusalOf(line, Date.now())
      if (refusal !== null) refusals.add(refusal)
      const ids = line.socket === undefined ? null : sockets.change(line)
      if (ids !== null) sessions.count(ids, line.socket === 'open' ? 1 : -1)
    },
    seen: (session) => sessions.see(session, Date.now()),
    tokenVerified(contactCenter, { id, label }) {
      const key = known(id)
      key.uses += 1
      key.lastUsed = Date.now()
      countVerified(contactCenter, label, 1)
    },
    revoked(revoked, counts) {
      if (counts) revocations.inc()
      sessions.revoke(revoked)
    },
    reloaded(problems) {
      const time = Date.now()
      const ok = problems.length === 0
      reload = { time, ok, problems }
      reloads.inc({ result: ok ? 'success' : 'failure' })
      lastReloadSuccessful.set(ok ? 1 : 0)
      if (ok) lastReloadSuccess.set(time / 1000)
    },
    handshakeFailed: () => handshakeErrors.inc(),
    async report(withMetrics) {
      const { contactCenters, ...others } = facts()
      const report = {
        facts: {
          ...others,
          contactCenters: contactCenters.map((one) => ({ ...one, keys: one.keys.map(used) })),
          reload,
          sockets: sockets.total,
        },
        activity,
        refusals: refusals.take(),
        sessions: sessions.take(),
      }
      activity = createActivity()
      const ids = new Set(contactCenters.flatMap((one) => one.keys.map(({ id }) => id)))
      for (const id of keys.keys()) if (!ids.has(id)) keys.delete(id)
      const gone = new Set(labelled.keys())
      for (const { name, keys } of contactCenters) {
        for (const { label } of keys) {
          countVerified(name, label, 0)
          gone.delete(seriesOf(name, label))
        }
      }
      for (const series of gone) {
        verified.remove(labelled.get(series) ?? {})
        labelled.delete(series)
      }
      if (!withMetrics) return { ...report, metrics: null }
      const absent = measure(report.facts, sockets.byContactCenter)
      const all = await registry.getMetricsAsJSON()
      const counted = [requests.counted(metrics.requests), durations.timed(metrics.requestDuration)]
      return {
        ...report,
        metrics: [...counted, ...all.filter(({ name }) => !absent.includes(name))],
      }
    },
  }

  function count(line: AuditLine): void {
    const { reason = '', contactCenter = '', transport, ended, durationMs } = line
    if (line.socket === 'close') {
      socketsClosed.inc({ ended: ended ?? '' })
      return
    }
    const decision = outcomeOf(line)
    requests.add(
      { decision, reason, contact_center: contactCenter, transport },
      `${decision} ${reason} ${transport} ${contactCenter}`,
    )
    if (transport === 'http') durations.add({ decision, transport }, decision, durationMs / 1000)
    if (upstreamReasons.some((one) => one === reason)) upstreamErrors.inc({ reason })
  }

  function countVerified(contactCenter: string, label: string, more: number): void {
    const labels = { contact_center: contactCenter, key: label }
    labelled.set(seriesOf(contactCenter, label), labels)
    verified.inc(labels, more)
  }

  function known(id: string) {
    const key = keys.get(id) ?? { since: Date.now(), uses: 0, lastUsed: null }
    keys.set(id, key)
    return key
  }

  function used({ id, label, kind }: KeyFacts): KeyUse {
    return { label, kind, ...known(id) }
  }
}

function seriesOf(...labels: readonly string[]): string {
  return JSON.stringify(labels)
}

const upstreamReasons = ['upstream-unreachable', 'upstream-timeout', 'upstream-unreadable'] as const

/** Open sockets by the request that opened them: what it was let in for stands in its first line alone. */
class OpenSockets {
  readonly byContactCenter = new Map<string, number>()
  /** A trusted proxy may give two requests one id. */
  readonly #open = new Map<string, readonly Opened[]>()
  total = 0

  /** The session that the socket was opened for; null where it could be several. */
  change({
    socket,
    requestId,
    contactCenter = '',
    userId,
    sessionId,
  }: AuditLine): SessionIds | null {
    const before = this.#open.get(requestId) ?? []
    if (socket === 'open') {
      const isOne = userId !== undefined && sessionId !== undefined
      const ids = isOne ? { contactCenter, userId, sessionId } : null
      this.#open.set(requestId, [...before, { contactCenter, ids }])
      this.#add(contactCenter, 1)
      return ids
    }
    const [opened, ...others] = before
    if (opened === undefined) return null
    if (others.length > 0) this.#open.set(requestId, others)
    else this.#open.delete(requestId)
    this.#add(opened.contactCenter, -1)
    return opened.ids
  }

  #add(contactCenter: string, more: number): void {
    this.total += more
    this.byContactCenter.set(contactCenter, (this.byContactCenter.get(contactCenter) ?? 0) + more)
  }
}

interface Opened {
  readonly contactCenter: string
  readonly ids: SessionIds | null
}

/** Sets the gauges that follow from facts; the names of those that there is nothing to say of. */
function createGauges(
  registry: ReturnType<typeof createRegistry>,
): (facts: Report['facts'], sockets: ReadonlyMap<string, number>) => string[] {
  const connections = gauge(registry, metrics.connections)
  const sockets = gauge(registry, metrics.sockets)
  const keyLastUsed = gauge(registry, metrics.keyLastUsed)
  const certificateExpiry = gauge(registry, metrics.certificateExpiry)
  const logLinesDropped = counter(registry, metrics.logLinesDropped)
  const redisUp = gauge(registry, metrics.redisUp)
  const jwksUp = gauge(registry, metrics.jwksUp)
  const jwksLastSuccess = gauge(registry, metrics.jwksLastSuccess)
  return ({ contactCenters, certificate, redis, ...facts }, open) => {
    connections.set(facts.connections)
    logLinesDropped.reset()
    logLinesDropped.inc(facts.logLinesDropped)
    for (const [contactCenter, count] of open) sockets.set({ contact_center: contactCenter }, count)
    // A reload may have taken some away.
    for (const one of [keyLastUsed, jwksUp, jwksLastSuccess]) one.reset()
    for (const { name, keys, jwks } of contactCenters) {
      if (!open.has(name)) sockets.set({ contact_center: name }, 0)
      for (const { label, lastUsed } of keys) {
        keyLastUsed.set({ contact_center: name, key: label }, (lastUsed ?? 0) / 1000)
      }
      if (jwks === null) continue
      jwksUp.set({ contact_center: name }, jwks.up ? 1 : 0)
      jwksLastSuccess.set({ contact_center: name }, (jwks.lastSuccess ?? 0) / 1000)
    }
    certificateExpiry.set((certificate?.expires ?? 0) / 1000)
    redisUp.set(redis?.up ? 1 : 0)
    return [
      ...(certificate === null ? [metrics.certificateExpiry.name] : []),
      ...(redis === null ? [metrics.redisUp.name] : []),
    ]
  }
}
