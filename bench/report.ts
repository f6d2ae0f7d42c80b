// Figures as Markdown.
import type { Verdict } from './aims.ts'
import type { Results } from './measure.ts'
import { ids, type PeerId, peerIds, peers } from './peers.ts'
import { type ScenarioId, scenarioIds, scenarios, type Turn } from './scenarios.ts'
import { ratios, shown } from './statistics.ts'

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = header.map((_, i) => (i === 0 ? '---' : '--:'))
  return [header, rule, ...rows].map(line).join('\n')
}

export function scenarioTable(id: ScenarioId, turns: ReadonlyMap<PeerId, readonly Turn[]>): string {
  const { unit } = scenarios[id]
  const own = turns.get('gateway')?.map(({ cpu }) => cpu) ?? []
  const rows = peerIds.flatMap((peer) => {
    const all = turns.get(peer)
    if (all === undefined) return []
    const each = (read: (turn: Turn) => number): number[] => all.map(read)
    const latency = (name: 'p50' | 'p99' | 'p999'): number[] =>
      all.flatMap(({ latency }) => (latency === null ? [] : [latency[name] / 1000]))
    const cpu = each((turn) => turn.cpu)
    return [
      [
        peers[peer].name,
        shown(cpu, 1),
        shown(ratios(own, cpu), 2),
        shown(
          each(({ upstreamCpu }) => upstreamCpu),
          1,
        ),
        shown(
          each(({ rate }) => rate),
          0,
        ),
        shown(latency('p50'), 1),
        shown(latency('p99'), 1),
        shown(latency('p999'), 1),
        shown(
          each(({ peak }) => peak),
          0,
        ),
      ],
    ]
  })
  const header = [
    '',
    `CPU µs per ${unit}`,
    'gateway ÷ this',
    'workspace’s µs',
    `${unit}s a second`,
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'memory at most, MB',
  ]
  return table(header, rows)
}

export function idleTable(figures: ReadonlyMap<PeerId, readonly number[]>): string {
  const own = figures.get('gateway') ?? []
  const rows = [...figures].map(([peer, all]) => [
    peers[peer].name,
    shown(all, 1),
    shown(ratios(own, all), 2),
  ])
  return table(['', 'kB an idle socket', 'gateway ÷ this'], rows)
}

export function verdictTable(verdicts: readonly Verdict[]): string {
  return table(
    ['', 'ratio', 'aim', 'stretch', ''],
    verdicts.map(({ what, ratio, aim, stretch, verdict }) => [what, ratio, aim, stretch, verdict]),
  )
}

export function report(
  heading: string,
  results: Results,
  idle: ReadonlyMap<PeerId, readonly number[]>,
  verdicts: readonly Verdict[],
): string {
  const sections = scenarioIds.flatMap((id) => {
    const turns = results.get(id)
    return turns === undefined ? [] : [`## ${scenarios[id].title}\n\n${scenarioTable(id, turns)}`]
  })
  if (idle.size > 0) sections.push(`## Idle sockets\n\n${idleTable(idle)}`)
  const does = table(
    ['', 'what it does besides passing on'],
    ids(peers)
      .filter((id) => idle.has(id) || [...results.values()].some((turns) => turns.has(id)))
      .map((id) => [peers[id].name, peers[id].does]),
  ).replace('--:', '---')
  return [
    heading,
    ...(verdicts.length > 0 ? [`## Aims\n\n${verdictTable(verdicts)}`] : []),
    `## Who is measured\n\n${does}`,
    ...sections,
    '',
  ].join('\n\n')
}
