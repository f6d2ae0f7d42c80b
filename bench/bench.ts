// What the gateway costs, beside others. See README.md.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { judge } from './aims.ts'
import { charts } from './charts.ts'
import { type Ground, idleMemory, prepareChats, type Results, sit } from './measure.ts'
import { peerIds, peers } from './peers.ts'
import { openDrain } from './process.ts'
import { isInstalled, type Package, path } from './programs.ts'
import { report } from './report.ts'
import { type ScenarioId, scenarioIds, scenarios } from './scenarios.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    peers: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string' },
    out: { type: 'string' },
  },
})
const rounds = positive('rounds', values.rounds) ?? 5
const seconds = positive('seconds', values.seconds)
const isWhole = values.only === undefined && values.peers === undefined

/** Refusals beside what they are compared with; the others each with servers that start afresh. */
const sittings: readonly (readonly ScenarioId[])[] = [
  ['documents', 'refusals'],
  ['assets'],
  ['page'],
  ['uploads'],
  ['events'],
  ['messages', 'channel'],
]
const everything = [...scenarioIds, 'idle'] as const
const chosen = choose('only', values.only, everything)
const chosenPeers = choose('peers', values.peers, peerIds)

const absent = new Set<Package>()
const has = (needs: readonly Package[]): boolean => {
  const missing = needs.filter((name) => !isInstalled(name))
  for (const name of missing) absent.add(name)
  return missing.length === 0
}
const runnable = chosen.filter((id) => id === 'idle' || has(scenarios[id].needs))
const present = chosenPeers.filter((id) => has(peers[id].needs))
has(['nginx'])
const missing =
  absent.size === 0
    ? ''
    : `Missing here, and with it some figures: apt-get install ${[...absent].join(' ')}`
if (missing !== '') console.error(missing)

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
const log = openDrain(folder)
const place = { folder, log, pinned: true }
const ground: Ground = {
  ...place,
  rounds,
  seconds,
  chats: await prepareChats(place, 500),
  progress: (text) => console.error(text),
}
const results: Results = new Map()
for (const sitting of sittings) {
  const wanted = sitting.filter((id) => runnable.includes(id))
  for (const [id, turns] of await sit(wanted, present, ground)) results.set(id, turns)
}
const idle = runnable.includes('idle') ? await idleMemory(present, ground) : new Map()

const verdicts = judge(results)
const machine = `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model.trim()}, ${cpus().length} cores, Linux ${release()}, Node ${process.version}${versions()}`
const heading = [
  '# Beside others',
  `${machine}. ` +
    `Medians of ${rounds} rounds with their quartiles; ratios are taken round by round. [What is measured, and how](../README.md).`,
  ...(missing === '' ? [] : [missing]),
].join('\n\n')
const text = report(heading, results, idle, verdicts)
console.log(text)
const out = values.out ?? (isWhole ? fileURLToPath(new URL('results', import.meta.url)) : null)
if (out !== null) {
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'results.md'), text)
  for (const [file, svg] of charts(results, idle)) writeFileSync(join(out, file), svg)
  writeFileSync(
    join(out, 'results.json'),
    `${JSON.stringify({ machine, rounds, scenarios: nested(results), idle: nested(idle) }, null, 1)}\n`,
  )
  console.error(`written to ${out}`)
}
process.exit()

/** The chosen ones of a list; all, where nothing was chosen. */
function choose<T extends string>(
  option: string,
  text: string | undefined,
  all: readonly T[],
): T[] {
  if (text === undefined) return [...all]
  const names = text.split(',')
  const unknown = names.filter((name) => !all.some((one) => one === name))
  if (unknown.length === 0) return all.filter((one) => names.includes(one))
  return fail(`--${option} knows no ${unknown.join(', ')}; it knows ${all.join(', ')}`)
}

/** Maps as objects, as deep as they go. */
function nested(map: ReadonlyMap<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    [...map].map(([key, value]) => [key, value instanceof Map ? nested(value) : value]),
  )
}

/** Of the servers that are no packages of npm's. */
function versions(): string {
  const commands = [
    ['nginx', '-v', 'nginx'],
    ['haproxy', '-v', 'HAProxy'],
  ] as const
  return commands
    .map(([file, option, name]) => {
      const { stdout, stderr } = spawnSync(file, [option], {
        env: { PATH: path },
        encoding: 'utf8',
      })
      const [number = ''] = /\d+\.\d+[^ \n]*/.exec(`${stdout}${stderr}`) ?? []
      return number === '' ? '' : `, ${name} ${number}`
    })
    .join('')
}

function positive(option: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const number = Number(text)
  return Number.isInteger(number) && number > 0
    ? number
    : fail(`--${option} takes a whole number from 1`)
}

function fail(problem: string): never {
  console.error(problem)
  process.exit(2)
}
