// Fuzzes for as long as asked, a slice of each property in turn, or plays one case again.
import { parseArgs } from 'node:util'
import { forwarded, honest, upgraded } from './properties.ts'
import { tokens } from './tokens.ts'

const usage = `npm run fuzz -- [--minutes 10] [--only name] [--seed seed] [--path name:path]
names: forwarded, upgraded, honest, tokens`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    only: { type: 'string' },
    seed: { type: 'string' },
    path: { type: 'string' },
  },
})
const [, only = values.only, path] = /^(\w+):(.+)$/.exec(values.path ?? '') ?? []
const properties = [forwarded, upgraded, honest, tokens].filter(
  ({ name }) => only === undefined || name === only,
)
const minutes = Number(values.minutes)
const seed = Number(values.seed ?? Number.NaN)
if (properties.length === 0 || !(minutes > 0)) {
  console.error(usage)
  process.exit(2)
}

const teardowns: (() => unknown)[] = []
const scope = { teardown: (done: () => unknown) => teardowns.unshift(done) }
const started = await Promise.all(
  properties.map(async ({ start, runs }) => ({ runs, play: await start(scope) })),
)
const end = Date.now() + minutes * 60_000
const slice = Math.min(30_000, (end - Date.now()) / properties.length)
const isReplay = !Number.isNaN(seed)
let failed = false
do {
  for (const { runs, play } of failed ? [] : started) {
    const { failure, summary } = await play(
      isReplay
        ? { runs, seed, ...(path === undefined ? {} : { path }) }
        : { runs: Number.MAX_SAFE_INTEGER, within: slice },
    )
    console.log(failure ?? summary)
    failed ||= failure !== null
  }
} while (Date.now() < end && !failed && !isReplay)
for (const done of teardowns) await done()
process.exitCode = failed ? 1 : 0
