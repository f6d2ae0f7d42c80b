// What Prometheus and Grafana are given: it speaks of metrics that there are, and says what it should.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { missingPackage } from '../browser/executable.ts'
import { metrics } from './metrics.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}
interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}
interface Variable {
  readonly name: string
  readonly definition?: string
}
interface Dashboard {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly Variable[] }
  readonly annotations: { readonly list: readonly { readonly expr: string }[] }
}

const groups: readonly { readonly rules: readonly Rule[] }[] = parse(
  read('deploy/alerts.yaml'),
).groups
const rules = groups.flatMap(({ rules }) => rules)
const dashboard: Dashboard = JSON.parse(read('deploy/grafana-dashboard.json'))
const shown = [
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ...dashboard.annotations.list.map(({ expr }) => expr),
]

/** An expression as it is once Grafana has put its variables in. */
function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$\w+/g, '.*')
}

const skip = missingPackage('/usr/bin/promtool', 'prometheus')

function promtool(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: root, encoding: 'utf8' })
  return { status, said: `${stdout}${stderr}` }
}

t.test('Prometheus takes the rules, and each fires when it should', { skip }, async (t) => {
  for (const args of [
    ['check', 'rules', 'deploy/alerts.yaml'],
    ['test', 'rules', 'deploy/alerts.test.yaml', 'deploy/alerts-of-days.test.yaml'],
  ]) {
    const { status, said } = promtool(...args)
    t.equal(status, 0, said)
  }
})

t.test('Prometheus reads every expression of the dashboard', { skip }, async (t) => {
  const rules = shown.map((expr, index) => ({ record: `shown_${index}`, expr: filled(expr) }))
  const folder = t.testdir({ 'shown.yaml': JSON.stringify({ groups: [{ name: 'shown', rules }] }) })
  const { status, said } = promtool('check', 'rules', join(folder, 'shown.yaml'))
  t.equal(status, 0, said)
  t.match(said, `${shown.length} rules found`)
})

t.test('each alert is played at rest and firing', async (t) => {
  interface Play {
    readonly promql_expr_test: readonly {
      readonly exp_samples: readonly { readonly labels: string }[]
    }[]
  }
  const plays: readonly Play[] = ['alerts', 'alerts-of-days'].flatMap(
    (file) => parse(read(`deploy/${file}.test.yaml`)).tests,
  )
  for (const { alert } of rules) {
    const named = ({ labels }: { readonly labels: string }): boolean =>
      labels.includes(`alertname="${alert}"`)
    const both = plays.some(({ promql_expr_test: moments }) => {
      const firing = moments.map(({ exp_samples: samples }) => samples.some(named))
      return firing.includes(true) && firing.includes(false)
    })
    t.ok(both, alert)
  }
})

t.test('each alert says how bad it is, what it is about and where to read on', async (t) => {
  const sections = [...read('docs/runbook.md').matchAll(/^### (.*)\n\n\S/gm)].map(
    ([, name]) => name,
  )
  t.same(
    sections,
    rules.map(({ alert }) => alert),
  )
  t.equal(new Set(sections).size, sections.length)
  for (const { alert, labels, annotations } of rules) {
    t.match(labels['severity'], /^(?:critical|warning|info)$/, alert)
    t.match(annotations, { summary: /\S/, description: /\S.*\.$/s })
    t.equal(annotations['runbook'], `docs/runbook.md#${alert.toLowerCase()}`)
  }
})

t.test('what is asked of Prometheus is what the gateway has', async (t) => {
  const known = new Map<string, readonly string[]>([
    // Prometheus' own.
    ['up', []],
    ...metrics.flatMap(({ name, type, labels }): [string, readonly string[]][] =>
      type === 'histogram'
        ? [
            [`${name}_bucket`, [...labels, 'le']],
            ...['_sum', '_count'].map((end): [string, readonly string[]] => [
              `${name}${end}`,
              labels,
            ]),
          ]
        : [[name, labels]],
    ),
  ])
  const target = ['job', 'instance']
  const asked = [
    ...rules.map(({ expr }) => expr),
    ...shown,
    ...dashboard.templating.list.flatMap(({ definition }) => definition ?? []),
  ]
  t.ok(asked.length > 40)
  for (const expr of asked) {
    const bare = expr.replaceAll(/"[^"]*"/g, '""')
    const series = [
      ...bare.matchAll(/\b((?:copilot_gateway|process|nodejs)_\w+|up\b)(?:\{([^}]*)\})?/g),
    ]
    t.ok(series.length > 0, expr)
    const labels = series.flatMap(([, name = '', matchers = '']) => {
      t.ok(known.has(name), `${name} in ${expr}`)
      const own = [...(known.get(name) ?? []), ...target]
      for (const [, label = ''] of matchers.matchAll(/(\w+) *(?:=~|!~|!=|=)/g)) {
        t.ok(own.includes(label), `${label} of ${name}`)
      }
      return own
    })
    for (const [, list = ''] of bare.matchAll(/\b(?:by|on) *\(([^)]*)\)/g)) {
      for (const label of list.split(/, */)) t.ok(labels.includes(label), `by ${label} in ${expr}`)
    }
  }
})

t.test('the legend of a panel names labels that its series keep', async (t) => {
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { expr, legendFormat } of targets) {
      const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) =>
        list.split(', '),
      )
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        t.ok(
          kept.includes(label) || (kept.length === 0 && label === 'instance'),
          `${title}: ${label}`,
        )
      }
    }
  }
})

t.test('every metric of the gateway is on the dashboard', async (t) => {
  const all = shown.join(' ')
  for (const { name } of metrics) {
    if (name.startsWith('copilot_gateway_')) t.match(all, name)
  }
})

t.test('Grafana can import the dashboard', async (t) => {
  const { panels } = dashboard
  t.equal(
    new Set(panels.map(({ id }) => id)).size,
    panels.length,
    'each panel has an id of its own',
  )
  t.equal(new Set(panels.map(({ title }) => title)).size, panels.length)
  for (const [index, { title, gridPos: a, type, targets, datasource }] of panels.entries()) {
    t.ok(a.x >= 0 && a.x + a.w <= 24, `${title} is on the grid`)
    for (const { title: other, gridPos: b } of panels.slice(index + 1)) {
      const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
      t.ok(apart, `${title} beside ${other}`)
    }
    if (type === 'row') continue
    t.match(datasource?.uid, /^\$\{datasource\}$/, title)
    t.ok((targets?.length ?? 0) > 0, title)
  }
  const names = dashboard.templating.list.map(({ name }) => name)
  t.same(names, ['datasource', 'job', 'instance', 'contact_center'])
  for (const [, name = ''] of shown.join(' ').matchAll(/\$(\w+)/g)) {
    t.ok([...names, '__rate_interval'].includes(name), name)
  }
})
