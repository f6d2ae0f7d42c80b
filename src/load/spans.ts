import type { Latency, Second } from './results.ts'

/** Seconds of a run, next to each other. */
export interface Span {
  /** Seconds since the run began, at its end. */
  readonly at: number
  readonly seconds: number
  readonly count: number
  readonly failed: number
  /** Of its slowest second, each: percentiles can't be added up. */
  readonly latency: Pick<Latency, 'p50' | 'p90' | 'p99' | 'p999' | 'max'> | null
  /** At most. */
  readonly agents: number
  readonly sockets: number
}

/** As many spans as a page can show, however long the run was. */
const mostSpans = 240

export function spansOf(seconds: readonly Second[]): readonly Span[] {
  const length = Math.ceil(seconds.length / mostSpans)
  return Array.from({ length: Math.ceil(seconds.length / (length || 1)) }, (_, index) =>
    joined(seconds.slice(index * length, (index + 1) * length)),
  )
}

function joined(seconds: readonly Second[]): Span {
  const latencies = seconds.flatMap(({ steps }) => steps.latency ?? [])
  const slowest = (name: 'p50' | 'p90' | 'p99' | 'p999' | 'max'): number =>
    Math.max(...latencies.map((latency) => latency[name]))
  return {
    at: seconds.at(-1)?.at ?? 0,
    seconds: seconds.length,
    count: seconds.reduce((sum, { steps }) => sum + steps.count, 0),
    failed: seconds.reduce((sum, { steps }) => sum + steps.failed, 0),
    latency:
      latencies.length === 0
        ? null
        : {
            p50: slowest('p50'),
            p90: slowest('p90'),
            p99: slowest('p99'),
            p999: slowest('p999'),
            max: slowest('max'),
          },
    agents: Math.max(...seconds.map(({ agents }) => agents)),
    sockets: Math.max(...seconds.map(({ sockets }) => sockets)),
  }
}
