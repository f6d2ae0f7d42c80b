// What a relayed message and an idle socket cost, beside HAProxy and a bare pipe. See README.md.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Contestant, contestants, type Running } from './contestants.ts'
import { converse, openAll, refusal, startUpstream, type Target } from './load.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const rounds = Number(values.rounds)

/** Sockets that converse at once, and messages that each says in a turn; turns in a round. */
const talkers = 50
const messages = 400
const turns = 6
const idle = 2000
const many = 8000

type Figures = ReadonlyMap<Contestant, number[]>

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'bench-sockets-'))
process.on('exit', () => rmSync(dir, { recursive: true }))
execFileSync(path('../../certs/make-dev-certs.sh'), ['--out', dir], { stdio: 'ignore' })
const upstream = await startUpstream()

/** In another order each round: none is always the first, or behind the same one. */
function inTurn(round: number): readonly Contestant[] {
  const first = round % contestants.length
  return [...contestants.slice(first), ...contestants.slice(0, first)]
}

function noFigures(): Figures {
  return new Map(contestants.map((contestant) => [contestant, []]))
}

async function enter(
  contestant: Contestant,
  tls: boolean,
): Promise<{ readonly running: Running; readonly target: Target }> {
  const running = await contestant.start({ upstream: upstream.port, tls, dir })
  return { running, target: { port: running.port, path: contestant.path, tls } }
}

/** µs of processor time a message and its answer. All are up; they converse one after the other. */
async function cpu(tls: boolean): Promise<Figures> {
  const figures = noFigures()
  const open = new Map<Contestant, { readonly running: Running; readonly sockets: Socket[] }>()
  for (const contestant of contestants) {
    const { running, target } = await enter(contestant, tls)
    const sockets = await openAll(target, talkers)
    await converse(sockets, messages)
    open.set(contestant, { running, sockets })
  }
  for (let round = 0; round < rounds * turns; round += 1) {
    for (const contestant of inTurn(round)) {
      const { running, sockets } = open.get(contestant) ?? {}
      if (running === undefined || sockets === undefined) continue
      const before = running.cpu()
      await converse(sockets, messages)
      const spent = running.cpu() - before
      figures.get(contestant)?.push(spent / (talkers * messages))
    }
  }
  for (const { running } of open.values()) await running.stop()
  progress(tls ? 'processor time, TLS' : 'processor time', figures)
  return figures
}

/** kB of resident memory that idle pairs add, each, to a process that holds as many already. */
async function memory(tls: boolean): Promise<Figures> {
  return await separately(tls, async (running, target) => {
    await converse(await openAll(target, idle), 1)
    await settle()
    const before = running.memory()
    await converse(await openAll(target, idle), 1)
    await settle()
    return (running.memory() - before) / idle
  })
}

/** MB of resident memory of a process that holds so many sockets, each of which is answered. */
async function hold(): Promise<Figures> {
  return await separately(false, async (running, target) => {
    const sockets = await openAll(target, many)
    await converse(sockets, 1)
    await settle()
    const resident = running.memory() / 1024
    await converse(sockets, 1)
    return resident
  })
}

async function separately(
  tls: boolean,
  measure: (running: Running, target: Target) => Promise<number>,
): Promise<Figures> {
  const figures = noFigures()
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of inTurn(round)) {
      const { running, target } = await enter(contestant, tls)
      figures.get(contestant)?.push(await measure(running, target))
      await running.stop()
    }
  }
  progress(tls ? 'memory, TLS' : 'memory', figures)
  return figures
}

function progress(what: string, figures: Figures): void {
  for (const [{ name }, all] of figures) console.error(`${what}: ${name}: ${shown(all)}`)
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 3000))
}

/** The status that a token of another session gets. */
async function refusals(): Promise<ReadonlyMap<Contestant, string>> {
  const statuses = new Map<Contestant, string>()
  for (const contestant of contestants) {
    const { running, target } = await enter(contestant, false)
    const status = contestant.checks ? await refusal(target) : 'none'
    if (contestant.checks && status !== '403') throw new Error(`${contestant.name}: ${status}`)
    statuses.set(contestant, status)
    await running.stop()
  }
  return statuses
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2
}

/** The median, with the least and the most beside it. */
function shown(figures: readonly number[] = [], digits = 1): string {
  const [least, most] = [Math.min(...figures), Math.max(...figures)]
  const fixed = [median(figures), least, most].map((figure) => figure.toFixed(digits))
  return `${fixed[0]} (${fixed[1]}–${fixed[2]})`
}

/** Each turn's figure by HAProxy's of the same turn. */
function ratios(figures: Figures, row: Contestant): number[] {
  const reference = contestants.find(({ name }) => name.startsWith('HAProxy'))
  const theirs = reference === undefined ? [] : (figures.get(reference) ?? [])
  return (figures.get(row) ?? []).map((figure, i) => figure / (theirs[i] ?? Number.NaN))
}

const refused = await refusals()
const [plainCpu, tlsCpu] = [await cpu(false), await cpu(true)]
const [plainMemory, tlsMemory] = [await memory(false), await memory(true)]
const held = await hold()
upstream.close()

const header = [
  '',
  'µs a message',
  'of HAProxy’s',
  'µs, TLS',
  'of HAProxy’s',
  'kB a pair',
  'kB, TLS',
  `MB at ${many}`,
  'a foreign token',
]
const lines = contestants.map((row) => [
  row.name,
  shown(plainCpu.get(row)),
  shown(ratios(plainCpu, row), 2),
  shown(tlsCpu.get(row)),
  shown(ratios(tlsCpu, row), 2),
  shown(plainMemory.get(row)),
  shown(tlsMemory.get(row)),
  shown(held.get(row), 0),
  refused.get(row) ?? '',
])
const table = [header, header.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`)
const haproxy = execFileSync('haproxy', ['-v'], { encoding: 'utf8' }).split(' ')[2]
const report = `# Sockets: a relayed message, an idle pair

${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()}, Node ${process.version}, HAProxy ${haproxy}:
\`npm run bench:sockets\` (what is measured, and how: [README](../sockets/README.md)). Medians of ${rounds} rounds
(µs: ${rounds * turns} turns), the least and the most in parentheses; ratios are taken turn by turn.

${table.join('\n')}
`
console.log(report)
mkdirSync(path('../results'), { recursive: true })
writeFileSync(path('../results/sockets.md'), report)
process.exit()
