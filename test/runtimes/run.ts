// Runs the tests on several versions of Node.js, one after the other: npm run runtimes -- 22 26 --smoke,
// or with names of test files instead of --smoke; with neither, all of them. Fails where one fails.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** What rests on Node.js the most; Redis, workers, reload and what is built are in `built`. */
const smoke = [
  'test/process/built.test.ts',
  'test/http/http2-and-tls.test.ts',
  'test/websocket/socket-io.test.ts',
]

const root = fileURLToPath(new URL('../..', import.meta.url))
// Outside of the root's node_modules, where they would be taken for the pinned one.
const folder = join(root, '.nodes')
const platform = `${process.platform}-${process.arch}`
const { optionalDependencies } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'),
)

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean' } },
  allowPositionals: true,
})
const majors = positionals.filter((one) => /^\d+$/.test(one))
const files = [
  ...(values.smoke ? smoke : []),
  ...positionals.filter((one) => !majors.includes(one)),
]
if (majors.length === 0) {
  process.stderr.write('npm run runtimes -- <version of Node.js> … [--smoke | <test file> …]\n')
  process.exit(2)
}

const runtimes = majors.map((major) => ({ major, node: find(major) }))
if (runtimes.some(({ node }) => !existsSync(node))) install()
let failed = 0
for (const { major, node } of runtimes) {
  const began = performance.now()
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  if (!version.startsWith(`v${major}.`)) throw new Error(`${node} is ${version}, not ${major}`)
  console.log(`# Node.js ${version}: ${files.length === 0 ? 'all tests' : files.join(' ')}`)
  // First on the path too, for what is started by name. Coverage is of the pinned version's run.
  const run = spawn(node, ['test/run.ts', '--disable-coverage', ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: [dirname(node), process.env['PATH']].join(delimiter) },
  })
  const [code] = await once(run, 'exit')
  failed += Number(code !== 0)
  const seconds = Math.round((performance.now() - began) / 1000)
  console.log(`# Node.js ${version}: ${code === 0 ? 'passed' : 'failed'} after ${seconds} s`)
}
process.exitCode = failed === 0 ? 0 : 1

/** Where the binary of a version is, or will be; the one of this process where it is that version. */
function find(major: string): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const name = `node-${major}-${platform}`
  if (!(name in optionalDependencies)) {
    process.stderr.write(`test/runtimes/package.json lists no Node.js ${major} for ${platform}\n`)
    process.exit(2)
  }
  return join(folder, 'node_modules', name, 'bin/node')
}

/** By the lockfile: exact versions, held against their integrity, and no script of theirs is run. */
function install(): void {
  mkdirSync(folder, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(join(import.meta.dirname, name), join(folder, name))
  }
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
