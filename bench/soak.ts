// Whether memory stays flat: the gateway under full load for a long time.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { judged, type Verdict } from './aims.ts'
import { type Ground, keeper, surroundings, upstreamOf } from './measure.ts'
import { gatewayWith, peers, startPeer, startUpstream } from './peers.ts'
import { table, verdictTable } from './report.ts'
import { visits } from './requests.ts'
import { spread } from './statistics.ts'
import { wrk } from './wrk.ts'

/** A fifth of a run later than the other, memory may be so much more. */
const flat = 1.05

export async function soak(ground: Ground, seconds: number): Promise<string> {
  const heapFile = join(ground.folder, 'heap')
  writeFileSync(heapFile, '')
  const upstream = await startUpstream(upstreamOf({ upstream: 'files' }), ground)
  const probe = fileURLToPath(new URL('heap-probe.ts', import.meta.url))
  const gateway = gatewayWith({ HEAP_FILE: heapFile }, [`--import=${probe}`])
  const server = await startPeer(
    { ...peers.gateway, command: gateway },
    surroundings(ground, upstream),
  )
  const file = keeper(ground.folder)('visits', () => visits(ground.chats))
  const resident: number[] = []
  const timer = setInterval(() => resident.push(server.memory() / 1024), 1000)
  const before = server.cpu()
  const answered = await wrk({ file, connections: 64, seconds, port: server.port })
  const cpu = (server.cpu() - before) / answered.requests
  clearInterval(timer)
  await server.stop()
  await upstream.stop()
  const { requests, refused, failed } = answered
  const heap = readFileSync(heapFile, 'utf8')
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [Number(line) / 2 ** 20]))
  const kinds = [
    { name: 'resident memory', figures: resident },
    { name: 'heap in use', figures: heap },
  ]
  const header = ['MB', 'second fifth', 'last fifth', 'at most', 'slope from there, kB a minute']
  const rows = kinds.map(({ name, figures }) => [
    name,
    median(fifth(figures, 1)).toFixed(1),
    median(fifth(figures, 4)).toFixed(1),
    Math.max(...figures).toFixed(1),
    (slope(figures.slice(Math.ceil(figures.length / 5))) * 1024 * 60).toFixed(0),
  ])
  const verdicts: Verdict[] = kinds.flatMap(({ name, figures }) => {
    const ratio = median(fifth(figures, 4)) / median(fifth(figures, 1))
    return judged(`${name}: last fifth, of the second’s`, [ratio], flat)
  })
  return [
    `${requests} requests in ${seconds} s over 64 connections, ${cpu.toFixed(1)} µs of processor time each: documents and sub-resources in turn. ${refused} were refused (a machine that stalls for a second takes no new sessions), ${failed} not answered.`,
    table(header, rows),
    verdictTable(verdicts),
  ].join('\n\n')
}

function fifth(figures: readonly number[], which: number): number[] {
  const size = figures.length / 5
  return figures.slice(Math.floor(which * size), Math.ceil((which + 1) * size))
}

function median(figures: readonly number[]): number {
  return spread(figures)?.median ?? Number.NaN
}

/** By least squares, a second. */
function slope(figures: readonly number[]): number {
  const mean = (figures.length - 1) / 2
  let [product, square] = [0, 0]
  for (const [i, figure] of figures.entries()) {
    product += (i - mean) * figure
    square += (i - mean) ** 2
  }
  return product / square
}
