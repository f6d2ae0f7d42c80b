// Fuzzes for as long as asked, each property in turn, or plays once more what a seed led to.
import { parseArgs } from 'node:util'
import { forwarded, honest, upgraded } from './properties.ts'
import { tokens } from './tokens.ts'

const usage = `npm run fuzz -- [--minutes 10] [--only name] [--seed=seed] [--path name:path]
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
const seed = values.seed === undefined ? undefined : Number(values.seed)
const again = seed === undefined ? undefined : { seed, ...(path === undefined ? {} : { path }) }
if (properties.length === 0 || !(minutes > 0) || Number.isNaN(seed)) {
  console.error(usage)
  process.exit(2)
}

const teardowns: (() => unknown)[] = []
const scope = { teardown: (done: () => unknown) => teardowns.unshift(done) }
const plays = await Promise.all(properties.map(({ start }) => start(scope)))
const end = Date.now() + minutes * 60_000
let failed = false
do {
  for (const play of plays) {
    const { failure, summary } = await play(again)
    console.log(failure ?? summary)
    failed = failure !== null
    if (failed) break
  }
} while (Date.now() < end && !failed && again === undefined)
for (const done of teardowns) await done()
process.exitCode = failed ? 1 : 0
