// Whether a request costs the same however many sessions, contact centers and frame ancestors there are.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { judged, type Verdict } from './aims.ts'
import {
  type Ground,
  inTurn,
  keeper,
  measured,
  surroundings,
  upstreamOf,
  warmUps,
} from './measure.ts'
import { gatewayWith, type Peer, peers, startPeer, startUpstream } from './peers.ts'
import type { Running } from './process.ts'
import { table, verdictTable } from './report.ts'
import { type Chat, newChats, opened, visits } from './requests.ts'
import { ratios, shown } from './statistics.ts'
import { wrk } from './wrk.ts'

const most = 1.1

interface Axis {
  readonly name: string
  readonly sizes: readonly number[]
  /** A gateway of this size, and chats that are not open yet. */
  readonly make: (size: number, folder: string) => { command: Peer['command']; chats: Chat[] }
}

const axes: readonly Axis[] = [
  {
    name: 'frame ancestors',
    sizes: [1, 10, 50],
    make: (size) => ({
      command: gatewayWith({
        FRAME_ANCESTORS: numbered(size, (i) => `https://cc-${i}.example`).join(' '),
      }),
      chats: newChats(500),
    }),
  },
  {
    name: 'contact centers',
    sizes: [1, 10, 100, 1000],
    make(size, folder) {
      const config = join(folder, `${size}.yaml`)
      writeFileSync(config, yaml(size))
      const secrets = Object.fromEntries(numbered(size, (i) => [`SECRET_${i}`, secretOf(i)]))
      return {
        command: gatewayWith(secrets, [], config),
        chats: newChats(2000, (i) => ({
          key: secretOf(i % size),
          urlToken: urlTokenOf(i % size),
        })),
      }
    },
  },
  {
    name: 'live sessions',
    sizes: [100, 1000, 10_000, 100_000],
    make: (size) => ({ command: gatewayWith({}), chats: newChats(size) }),
  },
]

export async function scale(ground: Ground): Promise<string> {
  const sections: string[] = []
  const verdicts: Verdict[] = []
  for (const axis of axes) {
    const figures = await along(axis, ground)
    const least = figures[0] ?? []
    const rows = axis.sizes.map((size, i) => [
      String(size),
      shown(figures[i] ?? [], 1),
      shown(ratios(figures[i] ?? [], least), 2),
    ])
    sections.push(table([axis.name, 'CPU µs per request', `of that with ${axis.sizes[0]}`], rows))
    for (const [i, size] of axis.sizes.entries()) {
      if (i === 0) continue
      const ratio = ratios(figures[i] ?? [], least)
      verdicts.push(...judged(`${size} ${axis.name}, of ${axis.sizes[0]}`, ratio, most))
    }
  }
  return [...sections, verdictTable(verdicts)].join('\n\n')
}

/** µs per request of each size, a figure each round. */
async function along({ name, sizes, make }: Axis, ground: Ground): Promise<number[][]> {
  const upstream = await startUpstream(upstreamOf({ upstream: 'files' }), ground)
  const keep = keeper(ground.folder)
  const running: { readonly server: Running; readonly file: string; readonly cpu: number[] }[] = []
  for (const size of sizes) {
    const { command, chats } = make(size, ground.folder)
    const server = await startPeer({ ...peers.gateway, command }, surroundings(ground, upstream))
    const live = await opened(chats, server.port)
    running.push({ server, file: keep(`${name} ${size}`, () => visits(live)), cpu: [] })
    ground.progress(`${name}: ${size} are ready`)
  }
  for (let round = -warmUps; round < ground.rounds; round += 1) {
    for (const { server, file, cpu } of inTurn(running, round)) {
      const turn = await measured(server, upstream, async () => {
        const load = { file, connections: 64, seconds: ground.seconds ?? 2, port: server.port }
        const { requests, seconds, refused, failed } = await wrk(load)
        if (refused + failed > 0) throw new Error(`${name}: ${refused + failed} were not answered`)
        return { count: requests, seconds, latency: null }
      })
      if (round >= 0) cpu.push(turn.cpu)
    }
  }
  for (const { server } of running) await server.stop()
  await upstream.stop()
  return running.map(({ cpu }) => cpu)
}

function yaml(size: number): string {
  const centers = numbered(size, (i) =>
    [
      `  - name: Center ${i}`,
      `    secrets: [{ env: SECRET_${i} }]`,
      `    frameAncestors: https://cc-${i}.example`,
      `    urlTokens: [${urlTokenOf(i)}]`,
    ].join('\n'),
  )
  return ['contactCenters:', ...centers, ''].join('\n')
}

function secretOf(i: number): string {
  return `a-secret-of-256-bits-of-its-own-${1e6 + i}`
}

function urlTokenOf(i: number): string {
  return (0xf3_87_91_00_00 + i).toString(16)
}

function numbered<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i))
}
