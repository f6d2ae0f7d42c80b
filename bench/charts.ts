// The charts of a run, by the name of their file.

import { bothCpu, cpu, p99 } from './aims.ts'
import { chart } from './chart.ts'
import type { Results } from './measure.ts'
import { type PeerId, peerIds, peers } from './peers.ts'
import { type ScenarioId, scenarioIds, scenarios, type Turn } from './scenarios.ts'

/** Where that is not what the server takes by itself. */
const shownOf: Readonly<
  Partial<Record<ScenarioId, { what: string; read: (turn: Turn) => number }>>
> = {
  // What a cache saves, it saves the workspace, too.
  page: { what: 'µs of processor time per page, with the workspace’s', read: bothCpu },
  paced: { what: '99 of 100 requests take at most so many ms', read: (turn) => p99(turn) / 1000 },
}

export function charts(
  results: Results,
  idle: ReadonlyMap<PeerId, readonly number[]>,
): Map<string, string> {
  const drawn = new Map<string, string>()
  for (const id of scenarioIds) {
    const turns = results.get(id)
    if (turns === undefined) continue
    const { title, unit } = scenarios[id]
    const { what, read } = shownOf[id] ?? { what: `µs of processor time per ${unit}`, read: cpu }
    const figures = (peer: PeerId): number[] => (turns.get(peer) ?? []).map(read)
    drawn.set(`${id}.svg`, chart(title, `${what}; less is better`, bars(figures)))
  }
  if (idle.size > 0) {
    const figures = (peer: PeerId): readonly number[] => idle.get(peer) ?? []
    drawn.set(
      'idle.svg',
      chart('Idle WebSockets', 'kB of memory each; less is better', bars(figures)),
    )
  }
  return drawn
}

function bars(figures: (peer: PeerId) => readonly number[]) {
  return peerIds.map((peer) => ({
    name: peers[peer].name,
    figures: figures(peer),
    isOwn: peer === 'gateway',
  }))
}
