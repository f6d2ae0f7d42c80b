// What a relayed message and an idle socket cost, beside HAProxy and a bare pipe. See README.md.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Contestant, contestants, type Running } from './contestants.ts'
import { close, converse, open, refusal, startUpstream, type Target } from './load.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: '' },
  },
})
const rounds = Number(values.rounds)

/** Sockets that converse at once, and messages that each says in a round. */
const talkers = 50
const messages = 800
const idle = 2000
const many = 8000

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'bench-sockets-'))
process.on('exit', () => rmSync(dir, { recursive: true }))
execFileSync(path('../../certs/make-dev-certs.sh'), ['--out', dir], { stdio: 'ignore' })
const upstream = await startUpstream()
const rows = contestants.filter(({ name }) => name.includes(values.only))

/** Runs each contestant in turn, as often as there are rounds, each time in another order. */
async function measure(
  tls: boolean,
  one: (running: Running, target: Target, contestant: Contestant) => Promise<number>,
): Promise<Map<Contestant, number[]>> {
  const figures = new Map(rows.map((row): [Contestant, number[]] => [row, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < rows.length; i += 1) {
      const contestant = rows[(i + round) % rows.length]
      if (contestant === undefined) continue
      const running = await contestant.start({ upstream: upstream.port, tls, dir })
      const target = { port: running.port, path: contestant.path, tls }
      figures.get(contestant)?.push(await one(running, target, contestant))
      await running.stop()
      process.stderr.write('.')
    }
  }
  return figures
}

/** µs of processor time a message and its answer. */
async function cpu(running: Running, target: Target): Promise<number> {
  const sockets = await open(target, talkers)
  await converse(sockets, messages / 4)
  const before = running.cpu()
  await converse(sockets, messages)
  const spent = running.cpu() - before
  await close(sockets)
  return spent / (talkers * messages)
}

/** kB of resident memory that an idle pair adds to a process that has carried others before. */
async function memory(running: Running, target: Target): Promise<number> {
  for (let i = 0; i < 4; i += 1) {
    const sockets = await open(target, idle / 4)
    await converse(sockets, 4)
    await close(sockets)
  }
  await settle()
  const before = running.memory()
  const sockets = await open(target, idle)
  await converse(sockets, 1)
  await settle()
  const added = running.memory() - before
  await close(sockets)
  return added / idle
}

/** MB of resident memory of a process that holds so many sockets, each of which has been answered. */
async function hold(running: Running, target: Target, { name }: Contestant): Promise<number> {
  const sockets = await open(target, many)
  await converse(sockets, 1)
  await settle()
  const resident = running.memory() / 1024
  if (sockets.some((socket) => socket.destroyed)) throw new Error(`${name} lost sockets`)
  await close(sockets)
  return resident
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 3000))
}

async function refusals(): Promise<Map<Contestant, string>> {
  const statuses = new Map<Contestant, string>()
  for (const contestant of rows) {
    const running = await contestant.start({ upstream: upstream.port, tls: false, dir })
    const target = { port: running.port, path: contestant.path, tls: false }
    const status = contestant.checks ? await refusal(target) : '–'
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

/** Each round's figure by HAProxy's of the same round. */
function ratios(figures: Map<Contestant, number[]>, row: Contestant): number[] {
  const reference = rows.find(({ name }) => name.startsWith('HAProxy'))
  const theirs = reference === undefined ? [] : (figures.get(reference) ?? [])
  return (figures.get(row) ?? []).map((figure, i) => figure / (theirs[i] ?? Number.NaN))
}

const refused = await refusals()
const plainCpu = await measure(false, cpu)
const tlsCpu = await measure(true, cpu)
const plainMemory = await measure(false, memory)
const tlsMemory = await measure(true, memory)
const held = await measure(false, hold)
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
const lines = rows.map((row) => [
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
\`npm run bench:sockets\` (what is measured, and how: [README](../sockets/README.md)). Medians of ${rounds} rounds,
the least and the most in parentheses; ratios are taken within a round.

${table.join('\n')}
`
console.log(report)
if (values.only === '') {
  mkdirSync(path('../results'), { recursive: true })
  writeFileSync(path('../results/sockets.md'), report)
}
