// Puts peers through scenarios, in turns: what else the machine does meets all of them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PeerId, peers, type Surroundings, startPeer, startUpstream } from './peers.ts'
import type { Drain, Running } from './process.ts'
import { isInstalled } from './programs.ts'
import { type Chat, newChats, opened } from './requests.ts'
import { type Counted, type Scenario, type ScenarioId, scenarios, type Turn } from './scenarios.ts'
import { closeAll, converse, openSockets } from './sockets.ts'
import { vouch } from './trial.ts'

/** Of each scenario each peer's turns, a round each. */
export type Results = ReadonlyMap<ScenarioId, ReadonlyMap<PeerId, readonly Turn[]>>

export interface Ground {
  readonly folder: string
  readonly log: Drain
  readonly pinned: boolean
  readonly rounds: number
  /** Instead of a scenario's own. */
  readonly seconds: number | null
  readonly chats: readonly Chat[]
  readonly progress: (text: string) => void
}

/** Chats whose documents were opened at a gateway, so that they have their cookies. */
export async function prepareChats(
  place: Pick<Ground, 'folder' | 'log' | 'pinned'>,
  count: number,
): Promise<Chat[]> {
  const upstream = await startUpstream('program', place)
  const gateway = await startPeer(peers.gateway, surroundings(place, upstream))
  const chats = await opened(newChats(count), gateway.port)
  await gateway.stop()
  await upstream.stop()
  return chats
}

/** Scenarios that share their servers, so that each round has a turn of all of them. */
export async function sit(
  sitting: readonly ScenarioId[],
  chosen: readonly PeerId[],
  ground: Ground,
): Promise<Results> {
  const results = new Map(sitting.map((id) => [id, new Map<PeerId, Turn[]>()]))
  const [first] = sitting
  if (first === undefined) return results
  const upstream = await startUpstream(upstreamOf(scenarios[first]), ground)
  const running = new Map<PeerId, Running>()
  for (const id of chosen) {
    const server = await startPeer(peers[id], surroundings(ground, upstream))
    await vouch(peers[id], server.port)
    running.set(id, server)
  }
  const keep = keeper(ground.folder)
  const turn = async (scenario: Scenario, server: Running, seconds: number): Promise<Turn> =>
    await scenario.turn({
      port: server.port,
      seconds,
      chats: ground.chats,
      keep,
      measure: (work) => measured(server, upstream, work),
    })
  for (let round = -warmUps; round < ground.rounds; round += 1) {
    for (const id of sitting) {
      const scenario: Scenario = scenarios[id]
      for (const peer of inTurn(chosen, round)) {
        if (!scenario.peers.includes(peer) || !chosen.includes(peer)) continue
        const seconds = ground.seconds ?? scenario.seconds
        const figures = await patiently(ground, async () => {
          const words = running.get(peer)?.lastWords() ?? null
          if (words !== null) {
            ground.progress(`${peer} ended and is started anew: ${words}`)
            running.delete(peer)
          }
          const server =
            running.get(peer) ?? (await startPeer(peers[peer], surroundings(ground, upstream)))
          running.set(peer, server)
          return await turn(scenario, server, seconds)
        })
        if (round < 0) continue
        const turns = results.get(id) ?? new Map<PeerId, Turn[]>()
        turns.set(peer, [...(turns.get(peer) ?? []), figures])
        ground.progress(
          `${id} ${round + 1}/${ground.rounds} ${peer}: ${figures.cpu.toFixed(1)} µs per ${scenario.unit}`,
        )
      }
    }
  }
  for (const server of running.values()) await server.stop()
  await upstream.stop()
  return results
}

/** Rounds that only warm up: what is measured has compiled its code by then. */
export const warmUps = 3

const idle = 2000

/** kB of resident memory that idle sockets add, each, to a process that holds as many already. */
export async function idleMemory(
  chosen: readonly PeerId[],
  ground: Ground,
): Promise<Map<PeerId, number[]>> {
  const figures = new Map<PeerId, number[]>(chosen.map((id) => [id, []]))
  const [chat] = ground.chats
  if (chat === undefined) return figures
  const upstream = await startUpstream('program', ground)
  // Memory is less noisy than time.
  for (let round = 0; round < Math.min(ground.rounds, 3); round += 1) {
    for (const id of inTurn(chosen, round)) {
      const server = await startPeer(peers[id], surroundings(ground, upstream))
      await vouch(peers[id], server.port)
      const hold = async (): Promise<() => void> => {
        const sockets = await openSockets(server.port, chat, '/ws', idle)
        await converse(sockets, chat, () => false)
        await new Promise((resolve) => setTimeout(resolve, 1000))
        return () => closeAll(sockets)
      }
      const letGo = await hold()
      const before = server.memory()
      const letGoToo = await hold()
      const each = (server.memory() - before) / idle
      figures.get(id)?.push(each)
      ground.progress(`idle ${round + 1} ${id}: ${each.toFixed(1)} kB a socket`)
      letGo()
      letGoToo()
      await server.stop()
    }
  }
  await upstream.stop()
  return figures
}

/** A machine that was busy elsewhere for a second has the gateway refuse sessions: another try or two. */
async function patiently<T>({ progress }: Ground, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries === 3) throw error
      progress(`once more: ${error instanceof Error ? error.message : error}`)
      await new Promise((resolve) => setTimeout(resolve, 2000))
    }
  }
}

/** In another order each round: none is always the first, or behind the same one. */
export function inTurn<T>(all: readonly T[], round: number): readonly T[] {
  const first = Math.max(round, 0) % Math.max(all.length, 1)
  return [...all.slice(first), ...all.slice(0, first)]
}

export async function measured(
  server: Running,
  upstream: Running,
  work: () => Promise<Counted>,
): Promise<Turn> {
  server.forgetPeak()
  const before = [server.cpu(), upstream.cpu()] as const
  const { count, seconds, latency } = await work()
  const after = [server.cpu(), upstream.cpu()] as const
  return {
    cpu: (after[0] - before[0]) / count,
    upstreamCpu: (after[1] - before[1]) / count,
    rate: count / seconds,
    latency,
    peak: server.peak() / 1024,
  }
}

/** Writes requests as `wrk.lua` reads them, once under each name. */
export function keeper(
  folder: string,
): (name: string, requests: () => readonly string[]) => string {
  const files = new Map<string, string>()
  return (name, requests) => {
    const file = files.get(name) ?? join(folder, `requests-${files.size}`)
    if (!files.has(name))
      writeFileSync(
        file,
        requests()
          .map((one) => `${one}\0`)
          .join(''),
      )
    files.set(name, file)
    return file
  }
}

export function surroundings(
  { folder, log, pinned }: Pick<Ground, 'folder' | 'log' | 'pinned'>,
  { port }: Pick<Running, 'port'>,
): Surroundings {
  return { folder, log, pinned, upstream: `127.0.0.1:${port}` }
}

/** Without nginx the files come from the program, which costs more. */
export function upstreamOf({ upstream }: Pick<Scenario, 'upstream'>): Scenario['upstream'] {
  return isInstalled('nginx') ? upstream : 'program'
}
