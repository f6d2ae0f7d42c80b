/** How often each duration was seen, a bucket each; buckets grow by a tenth from 1 ms to an hour. */
export type Latency = number[]

const growth = 1.1
const buckets = Math.ceil(Math.log(3_600_000) / Math.log(growth)) + 1

export function createLatency(): Latency {
  return Array<number>(buckets).fill(0)
}

/** `duration` in ms. */
export function addDuration(latency: Latency, duration: number): void {
  const bucket = duration < 1 ? 0 : Math.floor(Math.log(duration) / Math.log(growth)) + 1
  const last = Math.min(bucket, buckets - 1)
  latency[last] = (latency[last] ?? 0) + 1
}

export function addLatency(latency: Latency, other: readonly number[]): void {
  for (const [bucket, count] of other.slice(0, buckets).entries()) {
    latency[bucket] = (latency[bucket] ?? 0) + count
  }
}

export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/**
 * Percentiles in ms, null where nothing was seen. Each is the middle of its bucket in whole ms, so at most 5 %
 * off; what took more than an hour counts as an hour.
 */
export function percentiles(latency: readonly number[]): Percentiles | null {
  const total = latency.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  const at = (share: number): number => {
    let seen = 0
    const bucket = latency.findIndex((count) => {
      seen += count
      return seen >= share * total
    })
    return bucket === 0 ? 0 : Math.round(growth ** (bucket - 0.5))
  }
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}
