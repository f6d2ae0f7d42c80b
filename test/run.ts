// Runs tap, searches what the run's gateways wrote for what must not be there, and closes with one
// countable line: "12 passed, 0 failed, 0 skipped".
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { folderVariable, keepStderr, searchSinks } from './sinks.ts'

const tap = fileURLToPath(new URL('dist/esm/run.mjs', import.meta.resolve('tap/package.json')))
const folder = mkdtempSync(join(tmpdir(), 'sinks-'))
const args = process.argv.slice(2)
const run = spawn(process.execPath, [tap, '--reporter=tap', ...args], {
  stdio: ['ignore', 'pipe', 'pipe'],
  env: {
    ...process.env,
    [folderVariable]: folder,
    // Each process would compile the sources and their packages again. What it costs: V8 no longer
    // sees the fields of a class initialised, and counts that as a function that was not called.
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
  },
})
const exit = once(run, 'exit')
run.stderr.pipe(process.stderr)
const kept = keepStderr(run.stderr, folder)
let summary = ''
// Said again at the end: of a long output often only that is kept.
const failures: string[] = []
let detail: string | null = null
for await (const line of createInterface({ input: run.stdout })) {
  console.log(line)
  if (line.startsWith('# { total: ')) summary = line
  const failed = /^( *)not ok/.exec(line)
  if (failed !== null || detail !== null) failures.push(line)
  // A test that holds a failure fails with it, and says no more than where it stands.
  if (failed !== null) detail = /^ .* # time=/.test(line) ? null : `${failed[1]}  ...`
  else if (line === detail) detail = null
}
const [code] = await exit
await kept

const { texts, read, faults } = searchSinks(folder, args.length === 0)
rmSync(folder, { recursive: true })
console.log(`# ${texts} secrets and ids were looked for in`)
for (const { place, lines, bytes } of read)
  console.log(`#   ${place}: ${lines} lines, ${bytes} bytes`)
for (const line of failures) console.log(`# ${line}`)
for (const fault of faults) console.log(`# ${fault}`)
console.log(`${faults.length > 0 ? 'not ok' : 'ok'} - what the run wrote gives no secret away`)

const count = (kind: string): number =>
  Number(new RegExp(`\\b${kind}: (\\d+)`).exec(summary)?.[1] ?? 0)
const [passed, failed] = [
  count('pass') + Number(faults.length === 0),
  count('fail') + Number(faults.length > 0),
]
console.log(`${passed} passed, ${failed} failed, ${count('skip') + count('todo')} skipped`)
process.exitCode = count('pass') + failed === 0 || faults.length > 0 ? 1 : (code ?? 1)
