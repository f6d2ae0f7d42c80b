// Traces are sent beside what the gateway does: a collector that is away, slow or wrong costs no request
// anything, is told of once and without its address, and holds nothing up at the end.
import { createServer, type RequestListener } from 'node:http'
import t from 'tap'
import { ask, link, listen, startUpstream } from '../stage.ts'
import { start } from './child.ts'

const upstream = await startUpstream(t)

/** A collector's origin, and what it was sent. */
async function startCollector(answer: RequestListener) {
  const posts: string[] = []
  const server = createServer((request, response) => {
    posts.push(`${request.method} ${request.url}`)
    request.resume()
    answer(request, response)
  })
  const port = await listen(server)
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { origin: `http://127.0.0.1:${port}`, posts, stop: () => server.close() }
}

const well = await startCollector((_, response) => response.end('{}'))
const away = await startCollector(() => {})
away.stop()
const unwell = await startCollector((_, response) =>
  response.writeHead(500, 'canary').end('canary'),
)
const busy = await startCollector((_, response) => response.writeHead(503).end())
const silent = await startCollector(() => {})

t.test('what a collector does', async (t) => {
  const headers = { OTEL_EXPORTER_OTLP_HEADERS: 'x-key=canary' }
  const soon = { ...headers, OTEL_EXPORTER_OTLP_TIMEOUT: '300' }
  const rows = {
    'it is well': { collector: well, env: headers, code: null },
    'it is away': { collector: away, env: soon, code: /^ECONNREFUSED$/ },
    'it is unwell': { collector: unwell, env: headers, code: 500 },
    'it is busy': { collector: busy, env: soon, code: /^OTLPExporterError$/ },
    'it is silent': { collector: silent, env: soon, code: /^Error$/ },
    'it is silent for longer than the end may last': {
      collector: silent,
      env: {},
      code: /^timeout$/,
    },
    'its header can’t be sent': {
      collector: well,
      env: { OTEL_EXPORTER_OTLP_HEADERS: 'x-key=canary%0A' },
      code: /^ERR_INVALID_CHAR$/,
    },
  } as const
  for (const [name, { collector, env, code }] of Object.entries(rows)) {
    const gateway = await start(t, upstream.origin, {
      ...env,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.origin}/canary`,
      DRAIN_TIMEOUT: '1s',
    })
    const statuses = new Set<number>()
    // More than one batch, and one of them before the end.
    const count = env === headers ? 600 : 3
    for (let i = 0; i < count; i += 1) statuses.add((await ask(gateway.origin, link())).status)
    t.same(statuses, new Set([200]), name)
    gateway.kill('SIGTERM')
    const { code: exit, stderr, lines } = await gateway.ended
    t.same({ exit, stderr }, { exit: 0, stderr: '' }, name)
    const told = lines.filter(({ event }) => event === 'traces-not-sent')
    t.match(told, code === null ? [] : [{ level: 40, code }], name)
    t.equal(told.length, code === null ? 0 : 1, `${name}: once`)
    t.notMatch(JSON.stringify(lines), /canary/, name)
  }
  t.ok(well.posts.length >= 2, 'several batches')
  t.same(new Set(well.posts), new Set(['POST /canary']))
})
