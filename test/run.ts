// Runs tap and closes with one countable line: "12 passed, 0 failed, 0 skipped".
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const tap = fileURLToPath(new URL('dist/esm/run.mjs', import.meta.resolve('tap/package.json')))
const run = spawn(process.execPath, [tap, '--reporter=tap', ...process.argv.slice(2)], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const exit = once(run, 'exit')
let summary = ''
for await (const line of createInterface({ input: run.stdout })) {
  console.log(line)
  if (line.startsWith('# { total: ')) summary = line
}
const [code] = await exit
const count = (kind: string): number =>
  Number(new RegExp(`\\b${kind}: (\\d+)`).exec(summary)?.[1] ?? 0)
const [passed, failed] = [count('pass'), count('fail')]
console.log(`${passed} passed, ${failed} failed, ${count('skip') + count('todo')} skipped`)
process.exitCode = passed + failed === 0 ? 1 : (code ?? 1)
