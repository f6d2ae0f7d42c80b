const longest = 3_600_000

/** The points of the last hour, and no more of them. */
export function createHistory() {
  let interval = 5000
  let points = []
  return {
    replace(history) {
      interval = history.interval
      points = history.points.slice(-longest / interval)
    },
    add(point) {
      // After a reconnect the history may hold what is still in the pipe.
      if (points.length > 0 && point.time <= points.at(-1).time) return
      points.push(point)
      if (points.length > longest / interval) points.shift()
    },
    /** About 60 buckets of the last `range` ms, oldest first; `seconds` of 0: nothing is known of it. */
    buckets(range) {
      const step = Math.max(interval, range / 60)
      const end = points.at(-1)?.time ?? Date.now()
      const first = Math.floor((end - range) / step) + 1
      const made = Array.from({ length: Math.floor(end / step) - first + 1 }, (_, index) =>
        emptyBucket((first + index) * step),
      )
      for (const point of points) {
        const bucket = made[Math.floor(point.time / step) - first]
        if (bucket !== undefined) put(bucket, point, interval)
      }
      return made
    },
    /** The last `ms` as one bucket. */
    last(ms) {
      const bucket = emptyBucket(0)
      const since = (points.at(-1)?.time ?? 0) - ms
      for (const point of points) if (point.time > since) put(bucket, point, interval)
      return bucket
    },
  }
}

function emptyBucket(time) {
  return {
    time,
    seconds: 0,
    allowed: 0,
    refused: 0,
    reported: 0,
    reasons: {},
    latency: null,
    sockets: null,
    sessions: null,
    connections: null,
  }
}

function put(bucket, point, interval) {
  bucket.seconds += interval / 1000
  bucket.allowed += point.allowed
  bucket.refused += point.refused
  bucket.reported += point.reported
  for (const [reason, n] of Object.entries(point.reasons)) {
    bucket.reasons[reason] = (bucket.reasons[reason] ?? 0) + n
  }
  bucket.latency = slower(bucket.latency, point.latency)
  bucket.sockets = point.sockets
  bucket.sessions = point.sessions
  bucket.connections = point.connections
}

/** Percentiles can't be added up: of several points, the slowest is shown. */
function slower(one, other) {
  if (one === null || other === null) return one ?? other
  return {
    p50: Math.max(one.p50, other.p50),
    p90: Math.max(one.p90, other.p90),
    p99: Math.max(one.p99, other.p99),
  }
}

/** Reasons and how often they were given in these buckets, most frequent first. */
export function countReasons(buckets) {
  const totals = new Map()
  for (const { reasons } of buckets) {
    for (const [reason, n] of Object.entries(reasons)) {
      totals.set(reason, (totals.get(reason) ?? 0) + n)
    }
  }
  return [...totals].sort(([a, m], [b, n]) => n - m || a.localeCompare(b))
}
