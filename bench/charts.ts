// The charts of a run, by the name of their file.
import { chart } from './chart.ts'
import type { Results } from './measure.ts'
import { type PeerId, peerIds, peers } from './peers.ts'
import { scenarioIds, scenarios } from './scenarios.ts'

export function charts(
  results: Results,
  idle: ReadonlyMap<PeerId, readonly number[]>,
): Map<string, string> {
  const drawn = new Map<string, string>()
  for (const id of scenarioIds) {
    const turns = results.get(id)
    if (turns === undefined) continue
    const { title, unit } = scenarios[id]
    // What a cache saves, it saves the workspace, too.
    const both = id === 'page'
    const figures = (peer: PeerId): number[] =>
      (turns.get(peer) ?? []).map(({ cpu, upstreamCpu }) => cpu + (both ? upstreamCpu : 0))
    const note = `µs of processor time per ${unit}${both ? ', with the workspace’s' : ''}; less is better`
    drawn.set(`${id}.svg`, chart(title, note, bars(figures)))
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
