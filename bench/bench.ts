// What the gateway costs: `npm run bench`. See README.md.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compare, everything } from './compare.ts'
import { machine } from './machine.ts'
import { type Ground, prepareChats } from './measure.ts'
import { peerIds } from './peers.ts'
import { openDrain } from './process.ts'
import { isInstalled, packages } from './programs.ts'
import { scale } from './scale.ts'
import { soak } from './soak.ts'

const options = {
  only: { type: 'string' },
  peers: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  soak: { type: 'string' },
  scale: { type: 'boolean', default: false },
  out: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const
const { values } = read()
if (values.help) {
  console.log(`npm run bench -- [options], see bench/README.md

  --only <names>     of ${everything.join(', ')}
  --peers <names>    of ${peerIds.join(', ')}
  --rounds <count>   how often each is measured: 5
  --seconds <count>  how long a turn is
  --soak <duration>  instead: is memory flat under full load, for 10m?
  --scale            instead: do more sessions, contact centers, frame ancestors cost more?
  --out <folder>     writes the results there: results/ where nothing was chosen`)
  process.exit()
}
const chosen = choose('only', values.only, everything)
const chosenPeers = choose('peers', values.peers, peerIds)
const rounds = values.rounds === undefined ? 5 : positive('rounds', values.rounds)
const seconds = values.seconds === undefined ? null : positive('seconds', values.seconds)
const soaking = values.soak === undefined ? null : duration(values.soak)
/** What is only tried out overwrites no results. */
const isWhole =
  [values.only, values.peers, values.rounds, values.seconds].every((one) => one === undefined) &&
  (soaking === null || soaking >= 600) &&
  packages.every(isInstalled)
const out = values.out ?? (isWhole ? fileURLToPath(new URL('results', import.meta.url)) : null)

if ((values.only ?? values.peers) !== undefined && (soaking !== null || values.scale)) {
  fail('--only and --peers choose what is compared: --soak and --scale take neither')
}

const absent = packages.filter((name) => !isInstalled(name))
const missing = `Missing here, and with it some figures: apt-get install ${absent.join(' ')}`
if (absent.length > 0) console.error(missing)
if (!isInstalled('wrk') && (soaking !== null || values.scale))
  fail('Nothing can be run without it.')

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.on('exit', () => rmSync(folder, { recursive: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
try {
  const texts = await run()
  for (const [file, text] of texts) if (file.endsWith('.md')) console.log(text)
  if (out !== null) {
    mkdirSync(out, { recursive: true })
    for (const [file, text] of texts) writeFileSync(join(out, file), text)
    console.error(`Written to ${out}`)
  }
  process.exit()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}

async function run(): Promise<ReadonlyMap<string, string>> {
  const place = { folder, log: openDrain(folder), pinned: true }
  const ground: Ground = {
    ...place,
    rounds,
    seconds,
    chats: await prepareChats(place, 500),
    progress: (text) => console.error(text),
  }
  const where = [`${machine()}.`, ...(absent.length > 0 ? [`${missing}.`] : [])].join(' ')
  const about = `${where} [What is measured, and how](../README.md).`
  const repeated = `${about} Medians of ${rounds} rounds with their quartiles; ratios are taken round by round.${rounds < 3 ? ' So few rounds show that it runs, and judge nothing.' : ''}`
  if (soaking !== null) {
    const text = await soak(ground, soaking)
    return new Map([['soak.md', `# Under load for long\n\n${about}\n\n${text}\n`]])
  }
  if (values.scale) {
    const text = await scale(ground)
    return new Map([['scale.md', `# With more of everything\n\n${repeated}\n\n${text}\n`]])
  }
  const texts = await compare(chosen, chosenPeers, repeated, ground)
  return texts ?? fail('Of what was chosen nothing can be measured here.')
}

function read() {
  try {
    return parseArgs({ options })
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

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

function positive(option: string, text: string): number {
  const number = Number(text)
  return Number.isInteger(number) && number > 0
    ? number
    : fail(`--${option} takes a whole number from 1`)
}

/** In seconds. */
function duration(text: string): number {
  const [, number, unit] = /^([1-9]\d{0,5})(s|m|h)$/.exec(text) ?? []
  if (number === undefined) return fail('--soak takes a duration, such as 10m')
  return Number(number) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1)
}

function fail(problem: string): never {
  console.error(problem)
  process.exit(2)
}
