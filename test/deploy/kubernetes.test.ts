// The manifests are what Kubernetes takes, agree with one another, and the gateway works with what they give it.
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { readConfig } from '../../src/settings/config.ts'
import { type Setting, settings } from '../../src/settings/table.ts'
import { basic, byIds, call, client } from '../links/stage.ts'
import { run } from '../process/child.ts'
import { startWorkspace, until } from '../process/operated.ts'
import { ask, jwt, link } from '../stage.ts'
import { redisMissing, startRedis } from '../state/redis-server.ts'
import { metrics } from './metrics.ts'

const folder = fileURLToPath(new URL('../../deploy/kubernetes', import.meta.url))
const read = (file: string): string => readFileSync(join(folder, file), 'utf8')

type Labels = Readonly<Record<string, string>>

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Labels
  }
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly httpHeaders?: unknown }
}

interface Deployment {
  readonly spec: {
    readonly selector: Selector
    readonly template: {
      readonly metadata: { readonly labels: Labels }
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly topologySpreadConstraints: readonly { readonly labelSelector: Selector }[]
        readonly securityContext: unknown
        readonly enableServiceLinks: boolean
        readonly serviceAccountName: string
        readonly containers: readonly {
          readonly envFrom: readonly {
            readonly configMapRef: { readonly name: string; readonly optional?: boolean }
          }[]
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
          readonly startupProbe: Probe
          readonly readinessProbe: Probe
          readonly livenessProbe: Probe
          readonly securityContext: unknown
          readonly resources: unknown
          readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
        }[]
        readonly volumes: readonly {
          readonly name: string
          readonly projected: {
            readonly defaultMode: number
            readonly sources: readonly {
              readonly secret: {
                readonly name: string
                readonly items: readonly { readonly key: string; readonly path: string }[]
              }
            }[]
          }
        }[]
      }
    }
  }
}

interface Service extends Manifest {
  readonly spec: {
    readonly selector: Labels
    readonly ports: readonly {
      readonly name: string
      readonly port: number
      readonly targetPort: string | number
    }[]
  }
}

interface Ingress extends Manifest {
  readonly spec: {
    readonly tls: readonly { readonly hosts: readonly string[] }[]
    readonly rules: readonly {
      readonly host: string
      readonly http: {
        readonly paths: readonly {
          readonly path: string
          readonly backend: {
            readonly service: { readonly name: string; readonly port: { readonly name: string } }
          }
        }[]
      }
    }[]
  }
}

interface Autoscaler extends Manifest {
  readonly spec: {
    readonly minReplicas: number
    readonly scaleTargetRef: { readonly kind: string; readonly name: string }
    readonly metrics: readonly {
      readonly pods?: { readonly metric: { readonly name: string } }
      readonly resource?: { readonly name: string }
    }[]
  }
}

interface Monitor {
  readonly spec: {
    readonly jobLabel: string
    readonly selector: Selector
    readonly endpoints: readonly {
      readonly port: string
      readonly path: string
      readonly authorization: {
        readonly credentials: { readonly name: string; readonly key: string }
      }
    }[]
  }
}

interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values: readonly string[]
  }[]
}

interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

interface PolicyRule {
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
  readonly ports: readonly { readonly protocol: string; readonly port: number }[]
}

interface Policy extends Manifest {
  readonly spec: {
    readonly podSelector: Selector
    readonly policyTypes: readonly string[]
    readonly ingress?: readonly PolicyRule[]
    readonly egress?: readonly PolicyRule[]
  }
}

const rule = execFileSync(join(folder, 'optional/prometheus-rule.sh'), { encoding: 'utf8' })
const adapterRules = 'optional/prometheus-adapter-rules.yaml'
const files = ['.', 'optional']
  .flatMap((part) => readdirSync(join(folder, part)).map((file) => join(part, file)))
  .filter((file) => file.endsWith('.yaml') && file !== adapterRules)
const documents = [...files.map(read), rule].flatMap((text) =>
  // Kubernetes reads YAML 1.1, where 0440 is octal and `on` is true.
  parseAllDocuments(text, { version: '1.1' }).map((document): Manifest => {
    if (document.errors.length > 0) throw document.errors
    return document.toJS()
  }),
)
const { length } = documents

function all<T extends Manifest>(kind: string): T[] {
  return documents.filter((one): one is T => one.kind === kind)
}

function only<T>(kind: string, name = 'copilot-gateway'): T & Manifest {
  const [found] = all<T & Manifest>(kind).filter(({ metadata }) => metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found
}

const deployment = only<Deployment>('Deployment')
const { template, selector } = deployment.spec
const [container] = template.spec.containers
const [volume] = template.spec.volumes
interface Settings {
  readonly data: Readonly<Record<string, string>>
}
const { data: env } = only<Settings>('ConfigMap')
/** Of the optional links API, with a client in the place of what has to be replaced. */
const linksEnv = Object.fromEntries(
  Object.entries(only<Settings>('ConfigMap', 'copilot-gateway-links').data).map(([name, value]) => [
    name,
    value === 'crm:sha256:HASH' ? client() : value,
  ]),
)
if (container === undefined || volume === undefined) throw new Error('no container, or no volume')
const { mountPath } = container.volumeMounts[0] ?? { mountPath: '' }
const secret = 'the-secret-in-the-cluster-of-256-bits'
const secrets: Readonly<Record<string, string>> = {
  'jwt-secret': `${secret}\n`,
  'copilot-api-token': 'the-api-token-of-the-backend',
  'redis-url': 'rediss://gateway:a-password@redis.redis.svc.cluster.local:6379',
  'admin-token': '0123456789abcdef'.repeat(4),
}

t.test('each document is what its schema says, and has nothing that is not in it', async (t) => {
  t.ok(length >= 15)
  for (const document of documents) {
    const { apiVersion, kind, metadata } = document
    const name = `${kind} ${metadata.name}`
    const from = apiVersion.startsWith('monitoring.')
      ? '@kubernetes-models/prometheus-operator'
      : 'kubernetes-models'
    // By a name that the compiler doesn't follow: the types of these packages aren't exact.
    const { [kind]: Model } = await import(`${from}/${apiVersion}/${kind}`)
    const { watched, unread } = watch(new Model(document))
    t.doesNotThrow(() => Model.prototype.validate.call(watched), name)
    t.same(unread(), [], `${name}: a field that nobody reads`)
    t.notMatch(metadata.namespace, kind === 'Namespace' ? /./ : /^$/)
  }
  const wrong = { apiVersion: 'v1', kind: 'Service', metadata: {}, spec: { prots: [] } }
  const { Service } = await import(`${'kubernetes-models'}/v1/Service`)
  const { watched, unread } = watch(new Service(wrong))
  Service.prototype.validate.call(watched)
  t.same(unread(), ['spec.prots'], 'as this would be found')
})

t.test('the settings are settings, and right', async (t) => {
  t.same(container.envFrom, [
    { configMapRef: { name: 'copilot-gateway' } },
    { configMapRef: { name: 'copilot-gateway-links', optional: true } },
  ])
  const known = Object.values<Setting>(settings).flatMap(({ name, file }) =>
    file ? [name, `${name}_FILE`] : [name],
  )
  for (const [name, value] of Object.entries({ ...env, ...linksEnv })) {
    t.ok(known.includes(name), name)
    t.type(value, 'string', `${name}: kubectl takes nothing else`)
  }
  const { sources, defaultMode } = volume.projected
  t.equal(defaultMode, 0o440, 'for the group that fsGroup names')
  const mounted = sources.flatMap(({ secret }) =>
    secret.items.map(({ path }) => join(mountPath, path)),
  )
  t.same(
    Object.entries(env)
      .flatMap(([name, value]) => (name.endsWith('_FILE') ? value : []))
      .sort(),
    mounted.sort(),
    'each file that is named is mounted, and the reverse',
  )
  const made = [...read('README.md').matchAll(/secret generic (\S+) ((?:.*\\\n)+.*)/g)].map(
    ([, name, text = '']) => ({
      name,
      keys: [...text.matchAll(/--from-file=([\w-]+)=/g)].map(([, key]) => key),
    }),
  )
  t.same(
    made,
    sources.map(({ secret: { name, items } }) => ({ name, keys: items.map(({ key }) => key) })),
    'the secrets are those that README.md makes, of files: a command line is seen in ps',
  )

  const surroundings = {
    now: Date.now(),
    readFile: (path: string) => secrets[path.replace(`${mountPath}/`, '')] ?? '',
  }
  const settled = readConfig(env, surroundings)
  if ('problems' in settled) return t.fail('they are refused', { problems: settled.problems })
  const { config, warnings } = settled
  t.same(warnings.map(({ setting }) => setting).sort(), [
    'COPILOT_API_URL',
    'COPILOT_URL',
    'REQUIRE_EXP',
    'URL_TOKENS',
  ])
  const grace = template.spec.terminationGracePeriodSeconds * 1000
  t.ok(config.drainDelay + config.drainTimeout < grace, 'it has ended before it is killed')
  const ports = Object.fromEntries(
    container.ports.map(({ name, containerPort }) => [name, containerPort]),
  )
  t.same(ports, { http: config.listener.port, admin: config.admin?.port })

  t.equal(config.links, null, 'no links API unless it is wanted')
  const together = readConfig({ ...env, ...linksEnv }, surroundings)
  if ('problems' in together) return t.fail('they are refused', { problems: together.problems })
  t.same(together.warnings, warnings, 'and it adds nothing doubtful')
  const { data } = only<Settings>('ConfigMap', 'copilot-gateway-links')
  t.ok('problems' in readConfig({ ...env, ...data }, surroundings), 'nobody starts with HASH')
  const [{ port, targetPort } = { port: 0, targetPort: 0 }] = only<Service>(
    'Service',
    'copilot-gateway-links',
  ).spec.ports
  t.same([port, targetPort], [80, together.config.links?.port])
  return
})

t.test('names, labels and ports agree', async (t) => {
  const pod = { namespace: 'copilot-gateway', labels: template.metadata.labels }
  t.ok(selects(selector, pod.labels))
  t.equal(template.spec.serviceAccountName, only('ServiceAccount').metadata.name)
  for (const { labelSelector } of template.spec.topologySpreadConstraints) {
    t.ok(selects(labelSelector, pod.labels))
  }
  const named = (port: string): boolean => container.ports.some(({ name }) => name === port)
  for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
    t.ok(named(container[probe].httpGet.port), probe)
  }
  for (const { spec } of all<Service>('Service')) {
    t.ok(selects({ matchLabels: spec.selector }, pod.labels))
    for (const { targetPort } of spec.ports) {
      t.ok(typeof targetPort === 'string' ? named(targetPort) : targetPort === 8081)
    }
  }
  t.ok(
    selects(
      only<{ spec: { selector: Selector } }>('PodDisruptionBudget').spec.selector,
      pod.labels,
    ),
  )
  for (const { metadata, kind } of documents) {
    const own =
      kind !== 'Namespace' && !(kind === 'NetworkPolicy' && metadata.namespace === 'cognigy-ai')
    t.equal(metadata.namespace, own ? only('Namespace').metadata.name : metadata.namespace)
  }

  const backends = /service:\n +name: (\S+)\n +port:\n +name: (\S+)/.exec(read('ingress.yaml'))
  t.ok(
    only<Service>('Service', backends?.[1]).spec.ports.some(({ name }) => name === backends?.[2]),
  )
  t.equal(env['PUBLIC_URL'], `https://${/host: (\S+)/.exec(read('ingress.yaml'))?.[1]}`)

  const links = only<Ingress>('Ingress', 'copilot-gateway-links').spec
  const [exposed = { host: '', http: { paths: [] } }] = links.rules
  t.equal(linksEnv['LINKS_URL'], `https://${exposed.host}`)
  t.same(
    links.tls.flatMap(({ hosts }) => hosts),
    [exposed.host],
  )
  t.same(
    exposed.http.paths.map(({ path }) => path),
    ['/o', '/links'],
  )
  for (const { backend } of exposed.http.paths) {
    const { ports } = only<Service>('Service', backend.service.name).spec
    t.ok(ports.some(({ name }) => name === backend.service.port.name))
  }

  const monitor = only<Monitor>('ServiceMonitor')
  const [endpoint] = monitor.spec.endpoints
  const scraped = all<Service>('Service').filter(({ metadata }) =>
    selects(monitor.spec.selector, metadata.labels),
  )
  t.same(
    scraped.map(({ metadata }) => metadata.name),
    ['copilot-gateway-admin'],
  )
  t.ok(scraped[0]?.spec.ports.some(({ name }) => name === endpoint?.port))
  const job = scraped[0]?.metadata.labels?.[monitor.spec.jobLabel]
  t.match(rule, `up{job="${job}"}`, 'the job that the alerts are of')
  const { credentials } = endpoint?.authorization ?? {}
  t.ok(
    volume.projected.sources.some(
      ({ secret: { name, items } }) =>
        name === credentials?.name && items.some(({ key }) => key === credentials.key),
    ),
    'Prometheus reads the token that the gateway does',
  )
  t.same(
    only<{ readonly spec: unknown }>('PrometheusRule').spec,
    parse(readFileSync(join(folder, '../alerts.yaml'), 'utf8')),
  )
})

t.test('the autoscalers go by what there is', async (t) => {
  const scalers = all<Autoscaler>('HorizontalPodAutoscaler')
  t.equal(scalers.length, 2)
  const { seriesQuery, metricsQuery } = parse(read(adapterRules)).rules.custom[0]
  const [served = ''] = String(seriesQuery).split('{')
  for (const { spec, metadata } of scalers) {
    t.match(spec.scaleTargetRef, { kind: 'Deployment', name: deployment.metadata.name })
    t.equal(metadata.name, 'copilot-gateway', 'the one takes the place of the other')
    t.ok(spec.minReplicas > 1)
    for (const { pods, resource } of spec.metrics) {
      if (resource) t.match(container.resources, { requests: { [resource.name]: /./ } })
      if (pods) t.equal(pods.metric.name, served)
    }
  }
  t.ok(metrics.some(({ name, type }) => name === served && type === 'gauge'))
  t.match(metricsQuery, /^sum by \(<<\.GroupBy>>\) \(<<\.Series>>\{<<\.LabelMatchers>>\}\)$/)
})

t.test('the pod is of the restricted profile', async (t) => {
  t.match(only('Namespace').metadata.labels, { 'pod-security.kubernetes.io/enforce': 'restricted' })
  t.strictSame(template.spec.securityContext, {
    runAsNonRoot: true,
    // As in the Dockerfile.
    runAsUser: 1000,
    runAsGroup: 1000,
    fsGroup: 1000,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  t.strictSame(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  t.equal(template.spec.enableServiceLinks, false, 'no service sets a setting')
})

t.test('the gateway is the only way to the workspace, and goes nowhere else', async (t) => {
  const pods: readonly Pod[] = [
    { name: 'gateway', namespace: 'copilot-gateway', labels: template.metadata.labels },
    { name: 'neighbour', namespace: 'copilot-gateway', labels: { app: 'other' } },
    { name: 'ingress', namespace: 'traefik', labels: { 'app.kubernetes.io/name': 'traefik' } },
    {
      name: 'prometheus',
      namespace: 'monitoring',
      labels: { 'app.kubernetes.io/name': 'prometheus' },
    },
    { name: 'page', namespace: 'cognigy-ai', labels: { app: 'agent-assist-frontend' } },
    { name: 'backend', namespace: 'cognigy-ai', labels: { app: 'agent-assist-backend' } },
    { name: 'service-ai', namespace: 'cognigy-ai', labels: { app: 'service-ai' } },
    { name: 'redis', namespace: 'redis', labels: { 'app.kubernetes.io/name': 'redis' } },
    { name: 'dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } },
    // By the gateway's labels and not in its namespace, or the other way round: nobody.
    { name: 'impostor', namespace: 'default', labels: template.metadata.labels },
    { name: 'machine', ip: '10.1.2.3' },
    { name: 'metadata', ip: '169.254.169.254' },
    { name: 'issuer', ip: '203.0.113.7' },
  ]
  const guarded = ['gateway', 'page', 'backend']
  const passages = (policies: readonly Policy[]): string[] =>
    pods.flatMap((from) =>
      pods.flatMap((to) =>
        [53, 443, 6379, 8000, 8080, 8081, 9090].flatMap((port) => {
          if (from === to || !(from.name === 'gateway' || guarded.includes(to.name))) return []
          return passes(policies, from, to, port) ? `${from.name} > ${to.name} ${port}` : []
        }),
      ),
    )
  const optional = ['copilot-gateway-issuers', 'copilot-gateway-links']
  const basic = all<Policy>('NetworkPolicy').filter(
    ({ metadata }) => !optional.includes(metadata.name),
  )
  const expected = [
    'gateway > page 8000',
    'gateway > backend 8000',
    'gateway > redis 6379',
    'gateway > dns 53',
    'ingress > gateway 8080',
    'prometheus > gateway 9090',
    // Of the namespace itself, and of nobody who agents could reach it through.
    'page > backend 8000',
    'service-ai > backend 8000',
  ]
  t.same(passages(basic).sort(), expected.sort())
  const more = ['gateway > issuer 443', 'ingress > gateway 8081']
  t.same(passages(all('NetworkPolicy')).sort(), [...expected, ...more].sort())
  for (const name of ['COPILOT_URL', 'COPILOT_API_URL']) {
    const { hostname, port } = new URL(env[name] ?? '')
    const [app, namespace] = hostname.split('.')
    const pod = pods.find((one) => one.namespace === namespace && one.labels?.['app'] === app)
    t.ok(pod && expected.includes(`gateway > ${pod.name} ${port}`), name)
  }
})

t.test(
  'the gateway works with it, as kubelet, Prometheus and the ingress ask',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const workspace = await startWorkspace(t)
    const mount = t.testdir({})
    // As a kubelet does: files are links through one link, which is swapped when all are written.
    const project = (turn: string, contents: typeof secrets): void => {
      mkdirSync(join(mount, turn))
      for (const [name, text] of Object.entries(contents))
        writeFileSync(join(mount, turn, name), text)
      symlinkSync(turn, join(mount, '..data_tmp'))
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
    }
    project('..first', { ...secrets, 'redis-url': redis.url })
    for (const name of Object.keys(secrets)) symlinkSync(join('..data', name), join(mount, name))

    const [address = '127.0.0.1'] = Object.values(networkInterfaces()).flatMap((all = []) =>
      all.flatMap(({ address, family, internal }) =>
        family === 'IPv4' && !internal ? address : [],
      ),
    )
    const gateway = run(t, {
      ...Object.fromEntries(
        Object.entries({ ...env, ...linksEnv }).map(([name, value]) => [
          name,
          value.replace(mountPath, mount),
        ]),
      ),
      COPILOT_URL: workspace.origin,
      COPILOT_API_URL: workspace.origin,
      TRUST_PROXY: address,
      PORT: '0',
      ADMIN_PORT: '0',
      LINKS_PORT: '0',
    })
    const { addresses } = await gateway.logged((line) => line['event'] === 'listening')
    const [http = '', admin = '', links = ''] = [addresses]
      .flat()
      .map((one) => `http://${address}:${new URL(String(one)).port}`)

    // NewProbeRequest in kubernetes/pkg/probe/http: the pod's address and port are the Host.
    const headers = { 'User-Agent': 'kube-probe/1.34', Accept: '*/*', Connection: 'close' }
    const probe = async ({ httpGet }: Probe): Promise<number> =>
      (await ask(admin, httpGet.path, { headers })).status
    const { startupProbe, readinessProbe, livenessProbe } = container
    for (const one of [startupProbe, livenessProbe]) t.equal(await probe(one), 200)
    await until(async () => (await probe(readinessProbe)) === 200)
    const service = { ...headers, Host: 'copilot-gateway-admin.copilot-gateway.svc:9090' }
    t.equal((await ask(admin, readinessProbe.httpGet.path, { headers: service })).status, 421)

    const { path = '' } = only<Monitor>('ServiceMonitor').spec.endpoints[0] ?? {}
    t.equal((await ask(admin, path)).status, 401)
    const scraped = await ask(admin, path, {
      headers: { Authorization: `Bearer ${secrets['admin-token']}` },
    })
    t.match(scraped.body, /^copilot_gateway_sockets\b/m)

    const opens = async (key: string): Promise<number> => {
      const { host } = new URL(env['PUBLIC_URL'] ?? '')
      const headers = { Host: host, 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' }
      return (await ask(http, link({ auth: jwt(undefined, { key }) }), { headers })).status
    }
    t.same([await opens(secret), await opens('another-secret-of-256-bits-as-text')], [200, 401])
    t.match(
      await gateway.logged((line) => line['status'] === 200 && line['event'] === 'access'),
      { ip: '203.0.113.9' },
      'the agent, and not the ingress',
    )

    const browser = { Host: 'links.example', 'X-Forwarded-For': '203.0.113.9' }
    const asked = { headers: { ...basic(), ...browser } }
    const made = await call(links, '/links', { ...byIds, short: true }, asked)
    const { origin, pathname } = new URL(JSON.parse(made.body).shortUrl)
    t.equal(origin, linksEnv['LINKS_URL'])
    const { status, headers: answered } = await ask(links, pathname, { headers: browser })
    t.match({ status, ...answered }, { status: 303, location: `${env['PUBLIC_URL']}/?userId=` })
    t.match(await gateway.logged((line) => line['asked'] === 'open'), { ip: '203.0.113.9' })

    const next = 'the-next-secret-in-the-cluster-of-256-bits'
    project('..second', { ...secrets, 'redis-url': redis.url, 'jwt-secret': `${next} ${secret}` })
    await gateway.logged((line) => line['event'] === 'reloaded')
    t.same([await opens(next), await opens(secret)], [200, 200])

    gateway.kill('SIGTERM')
    await until(async () => (await probe(readinessProbe)) === 503)
    t.same(
      [await probe(livenessProbe), await opens(next)],
      [200, 200],
      'it serves on for DRAIN_DELAY',
    )
  },
)

interface Pod {
  readonly name: string
  readonly namespace?: string
  readonly labels?: Labels
  /** Of what is in no namespace. */
  readonly ip?: string
}

/** https://kubernetes.io/docs/concepts/services-networking/network-policies: both ends have to let it pass. */
function passes(policies: readonly Policy[], from: Pod, to: Pod, port: number): boolean {
  const lets = (pod: Pod, type: 'Ingress' | 'Egress', other: Pod): boolean => {
    const its = policies.filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.namespace &&
        spec.policyTypes.includes(type) &&
        selects(spec.podSelector, pod.labels),
    )
    const rules = its.flatMap(({ spec }) => (type === 'Ingress' ? spec.ingress : spec.egress) ?? [])
    return (
      its.length === 0 ||
      rules.some(
        (rule) =>
          rule.ports.some((one) => one.port === port) &&
          (rule.from ?? rule.to ?? []).some((peer) => isPeer(peer, other, pod.namespace)),
      )
    )
  }
  return lets(from, 'Egress', to) && lets(to, 'Ingress', from)
}

/** `own`: the namespace of the policy, where a peer without one is looked for. */
function isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, pod: Pod, own = ''): boolean {
  if (ipBlock !== undefined) {
    return (
      pod.ip !== undefined &&
      within(ipBlock.cidr, pod.ip) &&
      !ipBlock.except?.some((cidr) => within(cidr, pod.ip ?? ''))
    )
  }
  if (pod.namespace === undefined) return false
  const namespace = { 'kubernetes.io/metadata.name': pod.namespace }
  const there = namespaceSelector ? selects(namespaceSelector, namespace) : pod.namespace === own
  return there && selects(podSelector ?? {}, pod.labels)
}

function within(cidr: string, ip: string): boolean {
  const [address = '', bits] = cidr.split('/')
  const list = new BlockList()
  list.addSubnet(address, Number(bits))
  return list.check(ip)
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Labels = {},
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(
      ({ key, operator, values }) => operator === 'In' && values.includes(labels[key] ?? ''),
    )
  )
}

/** Notes which fields are read of a value: a validator reads those that its schema knows. */
function watch(root: object) {
  const seen = new Set<string>()
  const at = (path: readonly string[]): string => path.join('.')
  const wrap = (value: unknown, path: readonly string[]): unknown =>
    typeof value !== 'object' || value === null
      ? value
      : new Proxy(value, {
          get(target, key) {
            if (typeof key === 'symbol') return Reflect.get(target, key)
            seen.add(at([...path, key]))
            return wrap(Reflect.get(target, key), [...path, key])
          },
        })
  const missed = (value: unknown, path: readonly string[]): string[] =>
    typeof value !== 'object' || value === null
      ? []
      : Object.entries(value).flatMap(([key, inner]) => {
          const below = [...path, key]
          return seen.has(at(below)) ? missed(inner, below) : [at(below)]
        })
  return { watched: wrap(root, []), unread: () => missed(root, []) }
}
