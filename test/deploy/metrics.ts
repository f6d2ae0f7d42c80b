// Every metric that the gateway has, with its labels.
import { collectDefaultMetrics, Registry } from 'prom-client'

export interface Metric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
}

const registry = new Registry()
collectDefaultMetrics({ register: registry })
const own = `requests_total(decision, reason, contact_center, transport)
  request_duration_seconds(decision, transport) sockets(contact_center) sockets_closed_total(ended)
  connections() sessions(contact_center) revocations_total() upstream_up(upstream)
  upstream_errors_total(reason) tokens_verified_total(contact_center, key)
  key_last_used_timestamp_seconds(contact_center, key) reloads_total(result)
  config_last_reload_successful() config_last_reload_success_timestamp_seconds()
  tls_certificate_expiry_timestamp_seconds() tls_handshake_errors_total()
  log_lines_dropped_total() redis_up() jwks_up(contact_center)
  jwks_last_success_timestamp_seconds(contact_center) build_info(version)`

export const metrics: readonly Metric[] = [
  ...[...own.matchAll(/(\w+)\(([\w, ]*)\)/g)].map(([, name = '', labels = '']) => ({
    name: `copilot_gateway_${name}`,
    type: name.endsWith('duration_seconds') ? 'histogram' : 'gauge',
    labels: labels.split(', '),
  })),
  ...registry.getMetricsAsArray().map(({ name, type }) => ({ name, type: `${type}`, labels: [] })),
]
