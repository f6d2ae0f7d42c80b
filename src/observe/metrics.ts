import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

export interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
  /** What several processes' values become; their sum where nothing is said. */
  readonly aggregator?: 'sum' | 'min' | 'max'
}

/** Every metric but those that prom-client has of any process. No label holds an id of an agent's. */
export const metrics = {
  requests: {
    name: 'copilot_gateway_requests_total',
    type: 'counter',
    labels: ['decision', 'reason', 'contact_center', 'transport'],
    help: 'HTTP requests, refused upgrades and opened WebSockets; decision is allow, deny or report.',
  },
  requestDuration: {
    name: 'copilot_gateway_request_duration_seconds',
    type: 'histogram',
    labels: ['decision', 'transport'],
    help: 'From the head of an HTTP request to the end of its answer, event streams included.',
  },
  sockets: {
    name: 'copilot_gateway_sockets',
    type: 'gauge',
    labels: ['contact_center'],
    help: 'Open WebSockets.',
  },
  socketsClosed: {
    name: 'copilot_gateway_sockets_closed_total',
    type: 'counter',
    labels: ['ended'],
    help: 'WebSockets that ended, by who or what ended them, as in the audit line.',
  },
  connections: {
    name: 'copilot_gateway_connections',
    type: 'gauge',
    labels: [],
    help: 'Open connections of clients.',
  },
  sessions: {
    name: 'copilot_gateway_sessions',
    type: 'gauge',
    labels: ['contact_center'],
    help: 'Sessions that were seen and have not ended.',
  },
  revocations: {
    name: 'copilot_gateway_revocations_total',
    type: 'counter',
    labels: [],
    help: 'Revocations, by operators and by logout.',
  },
  upstreamUp: {
    name: 'copilot_gateway_upstream_up',
    type: 'gauge',
    labels: ['upstream'],
    help: 'Whether the workspace or its backend answered the latest probe.',
  },
  upstreamErrors: {
    name: 'copilot_gateway_upstream_errors_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Requests that the upstream did not answer as it should.',
  },
  tokensVerified: {
    name: 'copilot_gateway_tokens_verified_total',
    type: 'counter',
    labels: ['contact_center', 'key'],
    help: 'Tokens that a key verified; 1 is the newest secret, 2 the one before.',
  },
  keyLastUsed: {
    name: 'copilot_gateway_key_last_used_timestamp_seconds',
    type: 'gauge',
    labels: ['contact_center', 'key'],
    help: 'When a key verified a token the last time; 0: not since the process started.',
    aggregator: 'max',
  },
  reloads: {
    name: 'copilot_gateway_reloads_total',
    type: 'counter',
    labels: ['result'],
    help: 'Reloads of the settings; result is success or failure.',
    aggregator: 'max',
  },
  lastReloadSuccessful: {
    name: 'copilot_gateway_config_last_reload_successful',
    type: 'gauge',
    labels: [],
    help: 'Whether the latest settings were taken, at the start or by a reload.',
    aggregator: 'min',
  },
  lastReloadSuccess: {
    name: 'copilot_gateway_config_last_reload_success_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When settings were taken the last time.',
    aggregator: 'min',
  },
  certificateExpiry: {
    name: 'copilot_gateway_tls_certificate_expiry_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the certificate of the listener ends; absent where it has none.',
    aggregator: 'min',
  },
  handshakeErrors: {
    name: 'copilot_gateway_tls_handshake_errors_total',
    type: 'counter',
    labels: [],
    help: 'TLS handshakes of clients that failed.',
  },
  logLinesDropped: {
    name: 'copilot_gateway_log_lines_dropped_total',
    type: 'counter',
    labels: [],
    help: 'Lines of the log that could not be written.',
  },
  redisUp: {
    name: 'copilot_gateway_redis_up',
    type: 'gauge',
    labels: [],
    help: 'Whether Redis is reached; absent without REDIS_URL.',
    aggregator: 'min',
  },
  jwksUp: {
    name: 'copilot_gateway_jwks_up',
    type: 'gauge',
    labels: ['contact_center'],
    help: 'Whether the published keys could be fetched the last time.',
    aggregator: 'min',
  },
  jwksLastSuccess: {
    name: 'copilot_gateway_jwks_last_success_timestamp_seconds',
    type: 'gauge',
    labels: ['contact_center'],
    help: 'When the published keys were fetched the last time; 0: never.',
    aggregator: 'max',
  },
  links: {
    name: 'copilot_gateway_links_total',
    type: 'counter',
    labels: ['asked', 'reason', 'contact_center'],
    help: 'Requests to the links API; reason is why one was refused, and empty where it was done.',
  },
  buildInfo: {
    name: 'copilot_gateway_build_info',
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1.',
  },
} as const satisfies Readonly<Record<string, Metric>>

const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** A registry of a process's own: the global one is anybody's. */
export function createRegistry(): Registry {
  return new Registry()
}

/** Adds what is known of any Node.js process, but gauges that are named as counters are. */
export function addProcessMetrics(register: Registry): void {
  collectDefaultMetrics({ register })
  for (const what of ['handles', 'requests', 'resources']) {
    register.removeSingleMetric(`nodejs_active_${what}_total`)
  }
}

export function counter(register: Registry, metric: Metric): Counter {
  return new Counter(options(register, metric))
}

export function gauge(register: Registry, metric: Metric): Gauge {
  return new Gauge(options(register, metric))
}

function options(register: Registry, { name, help, labels, aggregator = 'sum' }: Metric) {
  return { name, help, labelNames: [...labels], aggregator, registers: [register] }
}

/** A metric with its values, as plain JSON. */
export type Metered = Omit<
  Awaited<ReturnType<Registry['getMetricsAsJSON']>>[number],
  'collect' | 'type'
> & { readonly type: unknown }

/**
 * How often each set of labels was seen, and how long it took. What each request adds to is counted
 * here, since prom-client's own counting takes a tenth of all that a request costs.
 */
export class Tally<Name extends string> {
  readonly #series = new Map<string, Series<Name>>()

  /** `key` tells the labels from all others, `duration` is in seconds. */
  add(labels: Readonly<Record<Name, string>>, key: string, duration = 0): void {
    let series = this.#series.get(key)
    if (series === undefined) {
      series = { labels, count: 0, sum: 0, buckets: durations.map(() => 0) }
      this.#series.set(key, series)
    }
    series.count += 1
    series.sum += duration
    const bucket = durations.findIndex((bound) => duration <= bound)
    if (bucket >= 0) series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1
  }

  /** Since the start. */
  counted({ name, help }: Metric): Metered {
    const values = [...this.#series.values()].map(({ labels, count }) => ({ labels, value: count }))
    return { name, help, type: 'counter', values, aggregator: 'sum' }
  }

  timed({ name, help }: Metric): Metered {
    const values = [...this.#series.values()].flatMap(({ labels, count, sum, buckets }) => {
      let below = 0
      const bounded = buckets.map((bucket, at) => {
        below += bucket
        return {
          labels: { le: durations[at], ...labels },
          value: below,
          metricName: `${name}_bucket`,
        }
      })
      return [
        ...bounded,
        { labels: { le: '+Inf', ...labels }, value: count, metricName: `${name}_bucket` },
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: count, metricName: `${name}_count` },
      ]
    })
    return { name, help, type: 'histogram', values, aggregator: 'sum' }
  }
}

interface Series<Name extends string> {
  readonly labels: Readonly<Record<Name, string>>
  count: number
  sum: number
  /** Of durations up to each bound, and above the one before. */
  readonly buckets: number[]
}

/** One process's values and another's, as the aggregator of each metric has it. */
export function aggregate(processes: readonly (readonly Metered[])[]): Registry {
  // prom-client leaves out when a process started, even where there is one alone.
  const kept = processes.map((process) =>
    process.map((metric) =>
      metric.aggregator === 'omit' ? { ...metric, aggregator: 'min' as const } : metric,
    ),
  )
  return AggregatorRegistry.aggregate(kept)
}

/** What must not go down when a process is gone: Prometheus would take it for a restart. */
export async function cumulative(processes: readonly (readonly Metered[])[]): Promise<Metered[]> {
  const all = await aggregate(processes).getMetricsAsJSON()
  return all.filter(({ type }) => ['counter', 'histogram'].includes(String(type)))
}
