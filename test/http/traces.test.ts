// With a collector named, each request is a span and its upstream leg another, in a trace that only a
// trusted proxy can have begun; and no span says who somebody is, or what lets in.
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createLog } from '../../src/observe/log.ts'
import { startTracing, type Tracing } from '../../src/observe/tracing.ts'
import { pour } from '../sinks.ts'
import {
  type Answer,
  ask,
  ids,
  jwt,
  link,
  listen,
  secret,
  startGateway,
  startUpstream,
  valuesOf,
} from '../stage.ts'
import { accepting, dial, handshake, headOf } from '../websocket/peer.ts'

/** What goes to a collector: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding */
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly Sent[] }[]
  }[]
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Sent {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status: { readonly code: number }
  readonly attributes: readonly Attribute[]
}

interface Span extends Omit<Sent, 'attributes'> {
  readonly attributes: Readonly<Record<string, unknown>>
}

const posts: { readonly url: string; readonly key: unknown; readonly body: string }[] = []
const collector = createServer(async (request, response) => {
  const body = await text(request)
  const { url = '', headers } = request
  posts.push({ url, key: headers['x-collector-key'], body })
  response.setHeader('Content-Type', 'application/json').end('{}')
})
const endpoint = `http://127.0.0.1:${await listen(collector)}`
t.teardown(() => {
  collector.close()
  collector.closeAllConnections()
})

const upstream = await startUpstream(
  t,
  (request, response) => {
    const [, what, status] = request.url?.split(/[/?]/) ?? []
    if (what === 'reset') request.socket.destroy()
    else if (what === 'cut') {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('short', () => request.socket.destroy())
    } else if (what === 'status') response.writeHead(Number(status)).end()
    else response.end('ok')
  },
  (request, socket) => socket.write(accepting(request)),
)

const variables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=key-of-the-collector',
}

type Env = Readonly<Record<string, string>>

const warnings: unknown[] = []
const log = createLog('trace', {
  write(line) {
    pour('log', line)
    warnings.push(JSON.parse(line))
  },
})

/** The packages read the process's own variables. */
async function tracingBy(env: Env): Promise<Tracing> {
  Object.assign(process.env, env)
  const tracing = await startTracing(env, log)
  for (const name of Object.keys(env)) delete process.env[name]
  if (tracing === null) throw new Error('no tracing')
  return tracing
}

async function startTraced(t: Test, env: Env = {}, changes: Env = {}) {
  const tracing = await tracingBy({ ...variables, ...changes })
  const gateway = await startGateway(t, upstream.origin, env, { tracing })
  return {
    gateway,
    /** All that was sent, once the gateway has ended. */
    async sent() {
      await gateway.close()
      posts.length = 0
      await tracing.close()
      const parts = posts.flatMap(({ body }) => exported(body).resourceSpans)
      const spans = parts.flatMap((part) => part.scopeSpans.flatMap((scope) => scope.spans))
      return {
        text: JSON.stringify(posts.map(({ body }) => body)),
        resource: named(parts[0]?.resource.attributes ?? []),
        spans: spans.map((span): Span => ({ ...span, attributes: named(span.attributes) })),
      }
    },
  }
}

function exported(body: string): Export {
  return JSON.parse(body)
}

function named(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

/** The two spans of a request. */
function spansOf(spans: readonly Span[], { headers }: Pick<Answer, 'headers'>) {
  const own = spans.find(
    ({ attributes }) => attributes['copilot_gateway.request_id'] === headers['x-request-id'],
  )
  return { own, leg: spans.find(({ parentSpanId }) => parentSpanId === own?.spanId) }
}

const [server, client, failed] = [2, 3, 2]
const theirs = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'vendor=opaque',
  baggage: 'of=theirs',
}

t.test('a span for each request, and one for what the upstream made of it', async (t) => {
  const { gateway, sent } = await startTraced(t)
  const allow = { 'copilot_gateway.decision': 'allow', 'copilot_gateway.contact_center': 'default' }
  const deny = { 'copilot_gateway.decision': 'deny' }
  const get = { 'http.request.method': 'GET' }
  const status = (code: number) => ({ 'http.response.status_code': code })
  const host = { 'server.address': '127.0.0.1', 'server.port': upstream.port }
  const rows: Readonly<
    Record<
      string,
      {
        readonly target?: string
        readonly method?: string
        /** Attributes of the request's span, beside what all have. */
        readonly own: Readonly<Record<string, unknown>>
        /** Attributes of the leg's; null where nothing was sent upstream. */
        readonly leg: Readonly<Record<string, unknown>> | null
      }
    >
  > = {
    'let in': {
      own: { ...get, ...allow, ...status(200), 'url.path': '/' },
      leg: { ...get, ...host, ...status(200) },
    },
    'another method': {
      method: 'PROPFIND',
      own: { 'http.request.method': '_OTHER', ...allow, ...status(200), 'url.path': '/' },
      leg: { 'http.request.method': '_OTHER', ...host, ...status(200) },
    },
    'not found upstream': {
      target: link({}, '/status/404'),
      own: { ...get, ...allow, ...status(404), 'url.path': '/status/404' },
      leg: { ...get, ...host, ...status(404), 'error.type': '404' },
    },
    'a fault upstream': {
      target: link({}, '/status/500'),
      own: { ...get, ...allow, ...status(500), 'url.path': '/status/500', 'error.type': '500' },
      leg: { ...get, ...host, ...status(500), 'error.type': '500' },
    },
    'no answer': {
      target: link({}, '/reset'),
      own: {
        ...get,
        ...deny,
        ...status(502),
        'copilot_gateway.contact_center': 'default',
        'copilot_gateway.reason': 'upstream-unreachable',
        'url.path': '/reset',
        'error.type': 'upstream-unreachable',
      },
      leg: { ...get, ...host, 'error.type': 'UND_ERR_SOCKET' },
    },
    'half an answer': {
      target: link({}, '/cut'),
      own: {
        ...get,
        ...allow,
        ...status(200),
        'copilot_gateway.ended': 'upstream',
        'url.path': '/cut',
        'error.type': 'upstream',
      },
      leg: { ...get, ...host, ...status(200), 'error.type': 'UND_ERR_SOCKET' },
    },
    refused: {
      target: '/x',
      own: {
        ...get,
        ...deny,
        ...status(401),
        'copilot_gateway.reason': 'token-missing',
        'url.path': '/x',
      },
      leg: null,
    },
    'a target refused': {
      target: '/a/../b?userId=canary',
      own: { ...get, ...deny, ...status(400), 'copilot_gateway.reason': 'target-invalid' },
      leg: null,
    },
    'a link that was mangled': {
      target: `/x%3FuserId=${ids.userId}&auth=${jwt()}`,
      own: {
        ...get,
        ...deny,
        ...status(401),
        'copilot_gateway.reason': 'token-missing',
        'url.path': '/x?…',
      },
      leg: null,
    },
  }
  const answers = new Map<string, Answer>()
  for (const [name, { target, method = 'GET' }] of Object.entries(rows)) {
    answers.set(name, await ask(gateway.origin, target, { method }))
  }
  const { spans, text, resource } = await sent()
  for (const [name, row] of Object.entries(rows)) {
    const { own, leg } = spansOf(spans, answers.get(name) ?? { headers: {} })
    const { 'copilot_gateway.request_id': id, ...attributes } = own?.attributes ?? {}
    const common = { 'url.scheme': 'http', 'network.protocol.version': '1.1' }
    t.same(attributes, { ...row.own, ...common }, name)
    t.same(leg?.attributes ?? null, row.leg, `${name}: its leg`)
    const spanName = row.method === undefined ? 'GET' : 'HTTP'
    t.match(own, { name: spanName, kind: server, parentSpanId: undefined }, name)
    t.equal(own?.status.code === failed, 'error.type' in row.own, `${name}: its status`)
    if (leg === undefined) continue
    t.match(leg, { name: spanName, kind: client, traceId: own?.traceId }, `${name}: its leg`)
    t.equal(
      leg.status.code === failed,
      'error.type' in (row.leg ?? {}),
      `${name}: its leg's status`,
    )
  }
  t.equal(spans.length, Object.values(rows).flatMap(({ leg }) => leg ?? []).length + answers.size)
  t.same(Object.keys(resource).sort(), [
    'service.name',
    'telemetry.sdk.language',
    'telemetry.sdk.name',
    'telemetry.sdk.version',
  ])
  t.match(resource, { 'service.name': 'copilot-gateway' })
  t.match(posts[0], { url: '/v1/traces', key: 'key-of-the-collector' })
  for (const canary of [...Object.values(ids), secret, 'eyJ', 'auth=', 'canary', '127.0.0.1:']) {
    t.notOk(text.includes(canary), canary)
  }
})

t.test('a WebSocket is a span until it opens', async (t) => {
  const { gateway, sent } = await startTraced(t)
  const peer = await dial(t, gateway.port)
  peer.socket.write(handshake(gateway.port, link({}, '/ws')))
  const opened = await peer.until(headOf)
  t.equal(opened.status, 101)
  const later = await ask(gateway.origin)
  await gateway.audited(2)
  const [requestId = ''] = opened.headers['x-request-id'] ?? []
  const { spans } = await sent()
  const { own, leg } = spansOf(spans, { headers: { 'x-request-id': requestId } })
  t.match(own?.attributes, { 'http.response.status_code': 101, 'url.path': '/ws' })
  t.match(leg?.attributes, { 'http.response.status_code': 101 })
  t.equal(spans.length, 4, 'and none for its close')
  const next = spansOf(spans, later).own
  t.ok(BigInt(own?.endTimeUnixNano ?? 0) <= BigInt(next?.startTimeUnixNano ?? 0), 'it ended')
  const seen = upstream.seen.find(({ url }) => url.startsWith('/ws'))
  t.equal(seen?.headers['traceparent'], `00-${leg?.traceId}-${leg?.spanId}-01`)
})

t.test('the upstream is told of the leg, and of no trace that a client made up', async (t) => {
  const { gateway, sent } = await startTraced(t)
  const target = link({}, '/told')
  const answer = await ask(gateway.origin, target, { headers: theirs })
  const seen = upstream.seen.at(-1)
  const { leg } = spansOf((await sent()).spans, answer)
  t.same(valuesOf(seen?.rawHeaders, 'traceparent'), [`00-${leg?.traceId}-${leg?.spanId}-01`])
  t.not(leg?.traceId, '0af7651916cd43dd8448eb211c80319c')
  t.same([seen?.headers['tracestate'], seen?.headers['baggage']], [undefined, undefined])
})

t.test('a trusted proxy’s trace goes on', async (t) => {
  const { gateway, sent } = await startTraced(t, { TRUST_PROXY: '127.0.0.1' })
  const [, traceId = '', spanId = ''] = theirs.traceparent.split('-')
  const rows = {
    'as it is now': { parent: theirs.traceparent, goesOn: true },
    'as it may be one day': { parent: `cc-${traceId}-${spanId}-01-more`, goesOn: true },
    none: { parent: null, goesOn: false },
    'more than this version has': { parent: `${theirs.traceparent}-more`, goesOn: false },
    'no version': { parent: `ff-${traceId}-${spanId}-01`, goesOn: false },
    zeros: { parent: `00-${'0'.repeat(32)}-${spanId}-01`, goesOn: false },
    'too short': { parent: `00-${traceId.slice(1)}-${spanId}-01`, goesOn: false },
    two: { parent: [theirs.traceparent, theirs.traceparent], goesOn: false },
  } as const
  const told = new Map<string, { answer: Answer; seen: IncomingHttpHeaders }>()
  for (const [name, { parent }] of Object.entries(rows)) {
    const { tracestate, baggage } = theirs
    const traceparent = parent === null ? {} : { traceparent: parent }
    const headers = { tracestate, baggage, ...traceparent }
    const answer = await ask(gateway.origin, link(), { headers })
    told.set(name, { answer, seen: upstream.seen.at(-1)?.headers ?? {} })
  }
  const notSampled = await ask(gateway.origin, link(), {
    headers: { traceparent: theirs.traceparent.replace(/01$/, '00') },
  })
  t.match(upstream.seen.at(-1)?.headers['traceparent'], new RegExp(`^00-${traceId}-.{16}-00$`))
  const { spans } = await sent()
  t.equal(spansOf(spans, notSampled).own, undefined, 'what is not sampled in front is not here')
  for (const [name, { goesOn }] of Object.entries(rows)) {
    const { answer, seen } = told.get(name) ?? {}
    const { own, leg } = spansOf(spans, answer ?? { headers: {} })
    t.equal(own?.traceId === traceId, goesOn, name)
    t.equal(own?.parentSpanId, goesOn ? spanId : undefined, name)
    t.equal(seen?.['traceparent'], `00-${own?.traceId}-${leg?.spanId}-01`, name)
    t.equal(seen?.['tracestate'], goesOn ? theirs.tracestate : undefined, name)
    t.equal(seen?.['baggage'], theirs.baggage, name)
  }
})

t.test('without tracing, trace headers are headers like any other', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  await ask(gateway.origin, link(), { headers: theirs })
  t.match(upstream.seen.at(-1)?.headers, theirs)
})

t.test('OpenTelemetry’s variables say what is sampled, and by which name', async (t) => {
  const own = {
    OTEL_SERVICE_NAME: 'copilot-gateway-of-a-test',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  }
  const rows: readonly (readonly [sampler: string, ratio: string, sampled: boolean])[] = [
    ['always_on', '', true],
    ['always_off', '', false],
    ['parentbased_always_off', '', false],
    ['traceidratio', '0', false],
    ['traceidratio', '1', true],
    ['parentbased_traceidratio', '0', false],
    ['parentbased_traceidratio', '', true],
    ['traceidratio', 'half', true],
    ['jaeger_remote', '', true],
  ]
  for (const [sampler, ratio, sampled] of rows) {
    const name = `${sampler} ${ratio}`
    warnings.length = 0
    const { gateway, sent } = await startTraced(
      t,
      {},
      { ...own, OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: ratio },
    )
    const answer = await ask(gateway.origin)
    t.equal(answer.status, 200)
    t.match(upstream.seen.at(-1)?.headers['traceparent'], sampled ? /-01$/ : /-00$/, name)
    const { spans, resource } = await sent()
    t.equal(spans.length, sampled ? 2 : 0, name)
    if (sampled) {
      const said = { 'service.name': own.OTEL_SERVICE_NAME, 'deployment.environment.name': 'test' }
      t.match(resource, said)
    }
    const wrong = sampler === 'jaeger_remote' || ratio === 'half'
    const expected = wrong ? [{ event: 'setting-warning', setting: 'OTEL_TRACES_SAMPLER' }] : []
    t.match(warnings, expected, name)
    t.equal(warnings.length, expected.length, name)
  }
})

t.test('what turns traces off, and what is warned of', async (t) => {
  const url = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'
  const rows: readonly (readonly [Env, warning: string | null])[] = [
    [{ [url]: '', OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, null],
    [{ [url]: endpoint, OTEL_SDK_DISABLED: 'True' }, null],
    [{ [url]: endpoint, OTEL_TRACES_EXPORTER: 'none' }, null],
    [{ [url]: endpoint, OTEL_TRACES_EXPORTER: 'zipkin' }, 'OTEL_TRACES_EXPORTER'],
    [{ [url]: '127.0.0.1:4318' }, url],
    [{ [url]: 'grpc://127.0.0.1:4317' }, url],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  ]
  for (const [env, warning] of rows) {
    warnings.length = 0
    t.equal(await startTracing(env, log), null, JSON.stringify(env))
    t.equal(warnings.length, warning === null ? 0 : 1)
    if (warning !== null) t.match(warnings, [{ event: 'setting-warning', setting: warning }])
  }
  warnings.length = 0
  const tracing = await tracingBy({ ...variables, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })
  await tracing.close()
  t.match(warnings, [{ setting: 'OTEL_EXPORTER_OTLP_PROTOCOL' }], 'sent nevertheless')
})
