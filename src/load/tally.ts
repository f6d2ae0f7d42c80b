import { build } from 'hdr-histogram-js'
import type { Outcome } from './attacks.ts'
import type { Attacks, Kind, Latency, Measured, Results, Second } from './results.ts'

type Histogram = ReturnType<typeof build>
type Who = keyof Results['statuses']

/** Of one kind of step. Latencies in µs. */
interface Record {
  readonly latencies: Histogram
  count: number
  failed: number
}

type Found = Omit<Results, 'version' | 'target' | 'started' | 'plan' | 'interrupted'>

/** Counts and measures what happens in a run. All times in ms. */
export interface Tally {
  /** A step was answered, so long after it was due. */
  readonly answered: (kind: Kind, latency: number) => void
  /** `waited`: for how long, where that is why; else null. */
  readonly failed: (kind: Kind, why: string, waited: number | null) => void
  readonly status: (who: Who, status: number) => void
  readonly attacked: (name: string, reason: string) => void
  readonly ended: (name: string, how: Outcome | 'undecided') => void
  readonly agents: (change: 1 | -1) => void
  readonly opened: () => void
  /** `lost`: why, where the other side closed it. */
  readonly closed: (lost: string | null) => void
  readonly late: (late: number) => void
  /** What was measured since the last time, and all in all so far. */
  readonly second: (at: number) => readonly [Second, Measured]
  readonly found: (duration: number) => Found
}

const noAttacks = { sent: 0, refused: 0, rateLimited: 0, letIn: 0, undecided: 0 }
const endings = {
  refused: 'refused',
  'rate-limited': 'rateLimited',
  'let in': 'letIn',
  undecided: 'undecided',
} as const satisfies { readonly [How in Outcome | 'undecided']: keyof typeof noAttacks }

/** More reasons than these are somebody's free text. */
const mostReasons = 50

const curve = [
  0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95,
  99.99, 99.999,
]

export function createTally(): Tally {
  const records = {
    document: createRecord(),
    asset: createRecord(),
    socket: createRecord(),
    join: createRecord(),
    message: createRecord(),
    attack: createRecord(),
  } satisfies { readonly [Name in Kind]: Record }
  const total = createRecord()
  const current = createRecord()
  const lags = createHistogram()
  const seconds: Second[] = []
  const statuses = { agents: new Map<string, number>(), attackers: new Map<string, number>() }
  const failures = new Map<string, number>()
  const lost = new Map<string, number>()
  const attacks = new Map<string, { -readonly [Key in keyof Attacks]: Attacks[Key] }>()
  let agents = 0
  let sockets = 0
  let opened = 0
  let peak = 0

  const recordsOf = (kind: Kind): readonly Record[] =>
    kind === 'attack' ? [records.attack] : [records[kind], total, current]

  return {
    answered(kind, latency) {
      for (const record of recordsOf(kind)) {
        record.count += 1
        measure(record.latencies, latency)
      }
    },
    failed(kind, why, waited) {
      for (const record of recordsOf(kind)) {
        record.count += 1
        record.failed += 1
        if (waited !== null) measure(record.latencies, waited)
      }
      add(failures, why)
    },
    status: (who, status) => add(statuses[who], String(status)),
    attacked(name, reason) {
      const attack = attacks.get(name) ?? { name, reason, ...noAttacks }
      attack.sent += 1
      attacks.set(name, attack)
    },
    ended(name, how) {
      const attack = attacks.get(name)
      if (attack !== undefined) attack[endings[how]] += 1
    },
    agents(change) {
      agents += change
    },
    opened() {
      opened += 1
      sockets += 1
      peak = Math.max(peak, sockets)
    },
    closed(why) {
      sockets -= 1
      if (why !== null) add(lost, why)
    },
    late: (late) => measure(lags, late),
    second(at) {
      const second = { at, steps: measured(current), agents, sockets }
      seconds.push(second)
      current.count = 0
      current.failed = 0
      current.latencies.reset()
      return [second, measured(total)]
    },
    found: (duration) => ({
      duration,
      total: measured(total),
      kinds: {
        document: measured(records.document),
        asset: measured(records.asset),
        socket: measured(records.socket),
        join: measured(records.join),
        message: measured(records.message),
        attack: measured(records.attack),
      },
      percentiles:
        total.latencies.totalCount === 0
          ? []
          : curve.map((percentile) => ({
              percentile,
              latency: valueAt(total.latencies, percentile),
            })),
      seconds,
      statuses: {
        agents: Object.fromEntries(statuses.agents),
        attackers: Object.fromEntries(statuses.attackers),
      },
      failures: Object.fromEntries(failures),
      attacks: [...attacks.values()].map((one) => ({ ...one })),
      sockets: { opened, peak, lost: Object.fromEntries(lost) },
      lag: latencyOf(lags),
    }),
  }
}

function createRecord(): Record {
  return { latencies: createHistogram(), count: 0, failed: 0 }
}

/** An hour, in µs. */
const longest = 3_600_000_000

/** Of µs, to three digits. */
function createHistogram(): Histogram {
  return build({ highestTrackableValue: longest, autoResize: false })
}

function measure(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.min(Math.max(1, Math.round(ms * 1000)), longest))
}

function measured({ count, failed, latencies }: Record): Measured {
  return { count, failed, latency: latencyOf(latencies) }
}

function latencyOf(histogram: Histogram): Latency | null {
  if (histogram.totalCount === 0) return null
  const at = (percentile: number): number => valueAt(histogram, percentile)
  return {
    min: inMs(histogram.minNonZeroValue),
    mean: inMs(histogram.mean),
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: inMs(histogram.maxValue),
  }
}

/** Its histogram rounds up, past what was ever measured. */
function valueAt(histogram: Histogram, percentile: number): number {
  return inMs(Math.min(histogram.getValueAtPercentile(percentile), histogram.maxValue))
}

function inMs(µs: number): number {
  return Math.round(µs) / 1000
}

function add(counts: Map<string, number>, name: string): void {
  const key = counts.has(name) || counts.size < mostReasons ? name : 'others'
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
