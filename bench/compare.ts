// This gateway beside others: everything that is measured of them, and the files that say so.
import { judge } from './aims.ts'
import { charts } from './charts.ts'
import { type Ground, idleMemory, sit } from './measure.ts'
import { type PeerId, peers } from './peers.ts'
import { isInstalled, type Package } from './programs.ts'
import { report } from './report.ts'
import { type ScenarioId, scenarioIds, scenarios, type Turn } from './scenarios.ts'

/** All that can be chosen. */
export const everything = [...scenarioIds, 'idle'] as const

/** Refusals beside what they are compared with; the others each with servers that start afresh. */
const sittings: readonly (readonly ScenarioId[])[] = [
  ['documents', 'refusals', 'rewritten'],
  ['assets', 'hashed'],
  ['page'],
  ['paced'],
  ['uploads'],
  ['events'],
  ['messages', 'channel'],
]

/** Texts by the name of their file; null where nothing could be measured. */
export async function compare(
  chosen: readonly (typeof everything)[number][],
  chosenPeers: readonly PeerId[],
  machine: string,
  ground: Ground,
): Promise<Map<string, string> | null> {
  const runnable = chosen.filter((id) => id === 'idle' || has(scenarios[id].needs))
  const present = chosenPeers.filter((id) => has(peers[id].needs))
  const results = new Map<ScenarioId, ReadonlyMap<PeerId, readonly Turn[]>>()
  for (const sitting of sittings) {
    const wanted = sitting.filter((id) => runnable.includes(id))
    for (const [id, turns] of await sit(wanted, present, ground)) results.set(id, turns)
  }
  const idle = runnable.includes('idle') ? await idleMemory(present, ground) : new Map()
  if (idle.size === 0 && [...results.values()].every((turns) => turns.size === 0)) return null
  const heading = `# Beside others\n\n${machine}`
  const { rounds } = ground
  return new Map([
    ['results.md', report(heading, results, idle, judge(results))],
    ...charts(results, idle),
    [
      'results.json',
      `${JSON.stringify({ machine, rounds, scenarios: nested(results), idle: nested(idle) })}\n`,
    ],
  ])
}

function has(needs: readonly Package[]): boolean {
  return needs.every(isInstalled)
}

/** Maps as objects, as deep as they go. */
function nested(map: ReadonlyMap<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    [...map].map(([key, value]) => [key, value instanceof Map ? nested(value) : value]),
  )
}
