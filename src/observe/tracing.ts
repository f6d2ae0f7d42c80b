import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import type { Client } from '../client.ts'
import type { Environment } from '../settings/reader.ts'
import type { AuditEvent } from './audit.ts'

/** Traces of requests, as OpenTelemetry has them. One a process. */
export interface Tracing {
  /** Begins a request's span: in the trace of a trusted proxy, else in one of its own. */
  readonly begin: (request: IncomingMessage, client: Client) => Trace
  /** Sends what is left; takes 2 s at most. */
  readonly close: () => Promise<void>
}

/** One request, and its leg to the upstream. */
export interface Trace {
  /** Begins the leg. Returns the headers, names and values in turn, with the leg's trace context in them. */
  readonly toUpstream: (headers: readonly string[], origin: string) => string[]
  /** The status of the upstream's answer. */
  readonly answered: (status: number) => void
  readonly upstreamEnded: () => void
  /** Ends with the audit line: a WebSocket's when it opens. */
  readonly end: (event: AuditEvent, contactCenter: string | null) => void
}

/**
 * Traces to where OpenTelemetry's own variables say; null where they don't, and then nothing is
 * loaded. A variable that makes no sense is warned of and counts as not set.
 */
export async function startTracing(env: Environment, log: Logger): Promise<Tracing | null> {
  const said = (name: string): string => env[name]?.trim() ?? ''
  const warn = (setting: string, message: string): void =>
    log.warn({ event: 'setting-warning', setting }, `${setting} ${message}`)

  const endpoints = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT']
  const endpoint = endpoints.find((name) => said(name) !== '')
  if (endpoint === undefined || said('OTEL_SDK_DISABLED').toLowerCase() === 'true') return null
  const exporter = said('OTEL_TRACES_EXPORTER')
  if (exporter !== '' && exporter !== 'otlp') {
    if (exporter !== 'none')
      warn('OTEL_TRACES_EXPORTER', 'must be otlp or none: no traces are sent')
    return null
  }
  if (!/^https?:$/.test(URL.parse(said(endpoint))?.protocol ?? '')) {
    warn(endpoint, 'must be an http: or https: URL: no traces are sent')
    return null
  }
  for (const name of ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL']) {
    if (!['', 'http/json'].includes(said(name))) warn(name, 'is not spoken: traces go as http/json')
  }
  const { createTracing } = await import('./spans.ts')
  return createTracing(
    {
      sampler: said('OTEL_TRACES_SAMPLER'),
      ratio: said('OTEL_TRACES_SAMPLER_ARG'),
      onWrongSampler: () => warn('OTEL_TRACES_SAMPLER', 'or its _ARG is unknown: all is sampled'),
    },
    log,
  )
}
