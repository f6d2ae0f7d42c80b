import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Output } from '../../src/observe/output.ts'

t.test(
  'how many lines were dropped is told once there is room, without another line',
  async (t) => {
    const fifo = join(t.testdir(), 'fifo')
    execFileSync('mkfifo', [fifo])
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(fifo, constants.O_WRONLY)
    t.teardown(() => [reader, writer].forEach(closeSync))
    const output = new Output(writer)
    output.onDropped = (count) => output.write(`${count} were dropped\n`)
    const line = `${'.'.repeat(1000)}\n`
    for (let i = 0; i < 6000; i += 1) output.write(line)
    t.ok(output.dropped > 1000)
    let text = ''
    const bytes = Buffer.alloc(64 * 1024)
    for (let tries = 0; tries < 2000 && !text.includes('dropped'); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      try {
        for (
          let read = -1;
          read !== 0;
          text = text.slice(-100) + bytes.toString('latin1', 0, read)
        ) {
          read = readSync(reader, bytes)
        }
      } catch {
        // Nothing waits to be read.
      }
    }
    t.match(text, `${output.dropped} were dropped`)
  },
)
