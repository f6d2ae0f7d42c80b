// Loaded into a gateway's process: on SIGUSR2 it tells, in a line of the log, what it holds.
import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collectGarbage: unknown = runInNewContext('gc')

process.on('SIGUSR2', () => {
  if (typeof collectGarbage === 'function') collectGarbage()
  const held = {
    event: 'held',
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().sort(),
    heap: process.memoryUsage().heapUsed,
  }
  process.stdout.write(`${JSON.stringify(held)}\n`)
})
