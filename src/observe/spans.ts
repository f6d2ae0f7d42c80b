import type { IncomingMessage } from 'node:http'
import {
  type Attributes,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import type { Client } from '../client.ts'
import { pairs } from '../forward/request-headers.ts'
import { type AuditEvent, withoutLink } from './audit.ts'
import type { Trace, Tracing } from './tracing.ts'

/** The sampler and its ratio as OpenTelemetry's variables name them; '' for none. */
export interface Sampling {
  readonly sampler: string
  readonly ratio: string
  readonly onWrongSampler: () => void
}

/** How long the last spans may take at the end, in ms. */
const closeTimeout = 2000

/** Sends spans to the collector that OTEL_EXPORTER_OTLP_* name, in batches that no request waits for. */
export function createTracing(sampling: Sampling, log: Logger): Tracing {
  const outage = new Outage(log)
  const provider = new TracerProvider({
    sampler: samplerOf(sampling),
    // Neither host nor process: command lines and environments hold secrets.
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'copilot-gateway' }))
      .merge(
        detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }),
      ),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: watched(new OTLPTraceExporter(), outage) }),
    ],
  })
  const tracer = provider.getTracer('copilot-gateway')
  return {
    begin: (request, client) => new RequestTrace(tracer, request, client),
    async close() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          outage.failed('timeout')
          resolve()
        }, closeTimeout)
      })
      // What fails was logged.
      await Promise.race([provider.shutdown().catch(() => {}), late])
      clearTimeout(timer)
    },
  }
}

/** A time without a collector: told once. */
class Outage {
  readonly #log: Logger
  #told = false

  constructor(log: Logger) {
    this.#log = log
  }

  /** `code`: of the network's error, or an HTTP status. */
  failed(code: unknown): void {
    if (!this.#told) this.#log.warn({ event: 'traces-not-sent', code })
    this.#told = true
  }

  over(): void {
    this.#told = false
  }
}

function watched(exporter: SpanExporter, outage: Outage): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const { error } = result
        if (error === undefined) outage.over()
        // Messages have URLs in them.
        else outage.failed(('code' in error && error.code) || error.name)
        done(result)
      }),
    shutdown: () => exporter.shutdown(),
  }
}

/** https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ */
function samplerOf({ sampler, ratio, onWrongSampler }: Sampling): Sampler {
  const share = ratio === '' ? 1 : Number(ratio)
  const roots: Readonly<Record<string, Sampler>> = {
    always_on: new AlwaysOnSampler(),
    always_off: new AlwaysOffSampler(),
    traceidratio: new TraceIdRatioBasedSampler(share),
  }
  const name = sampler || 'parentbased_always_on'
  const root = roots[name.replace(/^parentbased_/, '')]
  if (root === undefined || (name.endsWith('ratio') && !(share >= 0 && share <= 1))) {
    onWrongSampler()
    return new ParentBasedSampler({ root: new AlwaysOnSampler() })
  }
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root
}

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/, but for what would hold a query or an address. */
class RequestTrace implements Trace {
  readonly #tracer: Tracer
  readonly #client: Client
  readonly #method: string
  readonly #server: Span
  #upstream: Span | null = null

  constructor(tracer: Tracer, request: IncomingMessage, client: Client) {
    const { headers, httpVersion } = request
    this.#tracer = tracer
    this.#client = client
    this.#method = methods.has(request.method ?? '') ? (request.method ?? '') : '_OTHER'
    const parent = client.trusted ? contextOf(headers['traceparent'], headers['tracestate']) : null
    this.#server = tracer.startSpan(
      this.#name,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': this.#method,
          'url.scheme': client.scheme,
          'network.protocol.version': httpVersion === '2.0' ? '2' : httpVersion,
          'copilot_gateway.request_id': client.requestId,
        },
      },
      parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    )
  }

  toUpstream(headers: readonly string[], origin: string): string[] {
    const { hostname, port, protocol } = new URL(origin)
    this.#upstream = this.#tracer.startSpan(
      this.#name,
      {
        kind: SpanKind.CLIENT,
        attributes: {
          'http.request.method': this.#method,
          'server.address': hostname,
          'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
        },
      },
      trace.setSpan(ROOT_CONTEXT, this.#server),
    )
    // Baggage is believed of those whose traces are.
    const own = this.#client.trusted ? traceContext : [...traceContext, 'baggage']
    const kept = [...pairs(headers)].filter(([name]) => !own.includes(name.toLowerCase()))
    return [...kept.flat(), ...headersOf(this.#upstream.spanContext())]
  }

  answered(status: number): void {
    this.#upstream?.setAttribute('http.response.status_code', status)
    if (status >= 400 && this.#upstream !== null) fail(this.#upstream, String(status))
  }

  upstreamEnded(): void {
    this.#upstream?.end()
    this.#upstream = null
  }

  end(event: AuditEvent, contactCenter: string | null): void {
    const { decision, reason, status, path, ended, error } = event
    const cause = error ?? ended ?? reason
    if (this.#upstream !== null && status === 101) this.answered(status)
    else if (this.#upstream !== null && cause !== undefined) fail(this.#upstream, cause)
    this.upstreamEnded()
    const attributes: Attributes = {
      'copilot_gateway.decision': decision,
      'copilot_gateway.reason': reason,
      'copilot_gateway.contact_center': contactCenter ?? undefined,
      'copilot_gateway.ended': ended,
      'url.path': path === undefined ? undefined : withoutLink(path),
      // 499 is the audit line's: nothing was sent.
      'http.response.status_code': status === 499 ? undefined : status,
    }
    this.#server.setAttributes(attributes)
    const cut = ended?.startsWith('upstream')
    if (status >= 500 || cut) fail(this.#server, reason ?? ended ?? String(status))
    this.#server.end()
  }

  get #name(): string {
    return this.#method === '_OTHER' ? 'HTTP' : this.#method
  }
}

/** What OpenTelemetry tells apart. */
const methods: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE'.split(' '),
)

const traceContext = ['traceparent', 'tracestate']

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/** A trace context (https://www.w3.org/TR/trace-context/); null for none that is well-formed. */
function contextOf(
  parent: string | string[] | undefined,
  state: string | string[] | undefined,
): SpanContext | null {
  const form = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
  const [, version, traceId = '', spanId = '', flags = '', more] = form.exec(String(parent)) ?? []
  // Later versions may add fields.
  if (version === 'ff' || (version === '00' && more !== undefined)) return null
  const context = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & 1,
    isRemote: true,
    ...(state === undefined ? {} : { traceState: createTraceState(String(state)) }),
  }
  return isSpanContextValid(context) ? context : null
}

function headersOf({ traceId, spanId, traceFlags, traceState }: SpanContext): string[] {
  const state = traceState?.serialize() ?? ''
  return [
    'traceparent',
    `00-${traceId}-${spanId}-0${traceFlags & 1}`,
    ...(state === '' ? [] : ['tracestate', state]),
  ]
}
