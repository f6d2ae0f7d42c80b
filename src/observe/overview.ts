import type { Revoked } from '../state/revocations.ts'
import { type Activity, addActivity, createActivity, type Refusal, Refusals } from './activity.ts'
import { type Percentiles, percentiles } from './latency.ts'
import {
  aggregate,
  counter,
  createRegistry,
  cumulative,
  gauge,
  type Metered,
  metrics,
} from './metrics.ts'
import type { ContactCenterStatus, KeyUse, Reload, Report } from './observations.ts'
import { type SessionList, Sessions } from './sessions.ts'
import type { UpstreamState } from './upstream-health.ts'

/** How far a revocation reaches: this process, its workers, or all replicas. */
export type Scope = 'process' | 'workers' | 'replicas'

/** What happened in one interval, and how things stood at its end. */
export interface Point {
  /** The interval's end, in ms since the epoch. */
  readonly time: number
  readonly allowed: number
  readonly refused: number
  readonly reported: number
  readonly reasons: Readonly<Record<string, number>>
  /** Of HTTP requests that were allowed, in ms; see percentiles(). */
  readonly latency: Percentiles | null
  readonly sockets: number
  readonly sessions: number
  readonly connections: number
}

export type Readiness = Pick<Status, 'draining' | 'hanging' | 'ready' | 'upstreams' | 'redis'>

export interface Status {
  readonly version: string
  readonly startedAt: number
  readonly now: number
  readonly scope: Scope
  readonly workers: number
  readonly enforcement: 'enforce' | 'report'
  readonly draining: boolean
  /** Whether no process that serves has answered for seconds. */
  readonly hanging: boolean
  /** Whether new requests should be sent here. */
  readonly ready: boolean
  readonly upstreams: readonly UpstreamState[]
  readonly redis: { readonly up: boolean; readonly since: number } | null
  readonly reload: Reload | null
  readonly warnings: readonly string[]
  readonly certificate: { readonly expires: number } | null
  readonly contactCenters: readonly ContactCenterStatus[]
}

/** What those who watch are told, by name. */
export interface Told {
  readonly history: { readonly interval: number; readonly points: readonly Point[] }
  readonly point: Point
  readonly status: Status
  readonly refusal: Refusal
}

export type News = {
  readonly [Name in keyof Told]: { readonly name: Name; readonly value: Told[Name] }
}[keyof Told]

/** What all serving processes together see. */
export interface Overview {
  /** A process's report; each counts once. */
  readonly take: (process: string, report: Report) => void
  /** A process is gone. */
  readonly forget: (process: string) => void
  /** The gateway stops. */
  readonly drain: () => void
  /** An operator ended sessions. */
  readonly revoked: (revoked: Revoked) => void
  /** The links API answered, with these labels. */
  readonly linkAsked: (outcome: Readonly<Record<string, string>>) => void
  /** Resolves once each upstream has been probed. */
  readonly upstreamsKnown: () => Promise<unknown>
  /** As of the latest reports: whoever asks needs no token, so that it costs next to nothing. */
  readonly readiness: () => Readiness
  readonly status: () => Promise<Status>
  readonly sessions: (search: string, limit: number) => Promise<SessionList>
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>
  /** What came before, oldest first, and then all that comes, until the function that it returns is called. */
  readonly watch: (listener: (news: News) => void) => () => void
  readonly close: () => void
}

export interface Surroundings {
  readonly version: string
  readonly scope: () => Scope
  readonly upstreams: () => readonly UpstreamState[]
  readonly upstreamsKnown: Overview['upstreamsKnown']
  /** Has every serving process's report taken, as far as it answers in a moment; never rejects. */
  readonly collect: (withMetrics: boolean) => Promise<void>
}

const hour = 3_600_000

/** How many rounds of asking in a row may go by without a report: a busy process leaves one out. */
const silentRounds = 3

/** `interval`: between two points, of which those of `span` are kept, in ms. */
export function createOverview(
  surroundings: Surroundings,
  { interval = 5000, span = hour }: { readonly interval?: number; readonly span?: number } = {},
): Overview {
  const startedAt = Date.now()
  const registry = createRegistry()
  const revocations = counter(registry, metrics.revocations)
  const links = counter(registry, metrics.links)
  const sessionsGauge = gauge(registry, metrics.sessions)
  const upstreamUp = gauge(registry, metrics.upstreamUp)
  gauge(registry, metrics.buildInfo).set({ version: surroundings.version }, 1)

  const processes = new Map<string, Report['facts']>()
  const measured = new Map<string, readonly Metered[]>()
  /** Of processes that are gone. */
  let measuredBefore: Promise<readonly Metered[]> = Promise.resolve([])
  const sessions = new Sessions()
  const refusals = new Refusals()
  const points: Point[] = []
  let activity: Activity = createActivity()
  let draining = false
  /** In a row, without a report of any process. */
  let silent = 0
  const listeners = new Set<(news: News) => void>()
  const ticking = setInterval(() => {
    void tick()
  }, interval).unref()
  const asking = setInterval(
    () => {
      silent += 1
      void surroundings.collect(false)
    },
    Math.min(interval, 1000),
  ).unref()

  return {
    take(process, report) {
      silent = 0
      processes.set(process, report.facts)
      if (report.metrics !== null) measured.set(process, report.metrics)
      addActivity(activity, report.activity)
      sessions.add(process, report.sessions)
      for (const refusal of report.refusals) {
        const told = refusals.add(refusal)
        if (told !== null) tell({ name: 'refusal', value: told })
      }
    },
    forget(process) {
      const gone = measured.get(process)
      processes.delete(process)
      measured.delete(process)
      sessions.forget(process)
      if (gone === undefined) return
      measuredBefore = measuredBefore.then((before) => cumulative([before, gone]))
    },
    drain() {
      draining = true
    },
    revoked(revoked) {
      revocations.inc()
      sessions.revoke(revoked)
    },
    linkAsked: (outcome) => links.inc(outcome),
    upstreamsKnown: surroundings.upstreamsKnown,
    readiness,
    async status() {
      await surroundings.collect(false)
      return status()
    },
    async sessions(search, limit) {
      await surroundings.collect(false)
      return sessions.list(search, limit, Date.now())
    },
    async metrics() {
      await surroundings.collect(true)
      sessionsGauge.reset()
      for (const name of contactCenters().map((one) => one.name)) {
        sessionsGauge.set({ contact_center: name }, 0)
      }
      for (const [name, count] of sessions.count(Date.now())) {
        sessionsGauge.set({ contact_center: name }, count)
      }
      for (const { name, up } of surroundings.upstreams()) {
        if (up !== null) upstreamUp.set({ upstream: name }, up ? 1 : 0)
      }
      const own = await registry.getMetricsAsJSON()
      return aggregate([...measured.values(), own, await measuredBefore]).metrics()
    },
    watch(listener) {
      listener({ name: 'history', value: { interval, points } })
      listener({ name: 'status', value: status() })
      for (const refusal of refusals.kept) listener({ name: 'refusal', value: refusal })
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      clearInterval(ticking)
      clearInterval(asking)
    },
  }

  function tell(news: News): void {
    for (const listener of listeners) listener(news)
  }

  async function tick(): Promise<void> {
    await surroundings.collect(false)
    const { allowed, refused, reported, reasons, latency } = activity
    const facts = [...processes.values()]
    const point: Point = {
      time: Date.now(),
      allowed,
      refused,
      reported,
      reasons,
      latency: percentiles(latency),
      sockets: sum(facts.map((one) => one.sockets)),
      sessions: sum([...sessions.count(Date.now()).values()]),
      connections: sum(facts.map((one) => one.connections)),
    }
    activity = createActivity()
    points.push(point)
    if (points.length > span / interval) points.shift()
    tell({ name: 'point', value: point })
    tell({ name: 'status', value: status() })
  }

  function readiness(): Readiness {
    const upstreams = surroundings.upstreams()
    const redis = [...processes.values()].flatMap((one) => one.redis ?? [])
    const hanging = silent > silentRounds
    return {
      draining,
      hanging,
      ready: !draining && !hanging && upstreams.every(({ up }) => up === true),
      upstreams,
      redis: redis.find(({ up }) => !up) ?? redis[0] ?? null,
    }
  }

  function status(): Status {
    const facts = [...processes.values()]
    // Where they differ, what an operator has to know.
    const reloads = facts.flatMap((one) => one.reload ?? [])
    return {
      version: surroundings.version,
      startedAt,
      now: Date.now(),
      scope: surroundings.scope(),
      workers: facts.length,
      enforcement: facts.some((one) => one.enforcement === 'report') ? 'report' : 'enforce',
      ...readiness(),
      reload: reloads.find(({ ok }) => !ok) ?? reloads[0] ?? null,
      warnings: [...new Set(facts.flatMap((one) => one.warnings))],
      certificate: facts[0]?.certificate ?? null,
      contactCenters: contactCenters(),
    }
  }

  function contactCenters(): ContactCenterStatus[] {
    const all = [...processes.values()].flatMap((facts) => facts.contactCenters)
    return [...Map.groupBy(all, ({ name }) => name).values()].flatMap((same) => {
      const [first] = same
      if (first === undefined) return []
      const keys = Map.groupBy(
        same.flatMap((one) => one.keys),
        ({ label }) => label,
      )
      const jwks = same.flatMap((one) => one.jwks ?? [])
      return {
        ...first,
        jwks: jwks.find(({ up }) => !up) ?? jwks[0] ?? null,
        keys: first.keys.map((key) => together(keys.get(key.label) ?? [key], key)),
      }
    })
  }
}

/** One key, as all processes have used it. */
function together(uses: readonly KeyUse[], { label, kind }: KeyUse): KeyUse {
  const lastUsed = Math.max(...uses.map((use) => use.lastUsed ?? 0))
  return {
    label,
    kind,
    since: Math.min(...uses.map((use) => use.since)),
    uses: sum(uses.map((use) => use.uses)),
    lastUsed: lastUsed === 0 ? null : lastUsed,
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
