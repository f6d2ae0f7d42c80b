// Every metric that the gateway has, with its labels.
import { addProcessMetrics, createRegistry, metrics as own } from '../../src/observe/metrics.ts'

export interface Metric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
}

const registry = createRegistry()
addProcessMetrics(registry)

export const metrics: readonly Metric[] = [
  ...Object.values<Metric>(own),
  ...registry.getMetricsAsArray().map(({ name, type }) => ({ name, type: `${type}`, labels: [] })),
]
