import { isatty } from 'node:tty'
import type { LevelWithSilent, Logger } from 'pino'
import { createLog } from '../observe/log.ts'
import { Output } from '../observe/output.ts'
import { readableLines } from '../observe/terminal.ts'

export interface ProcessLog {
  readonly log: Logger
  /** Lines that were lost, since nobody read them. */
  readonly linesDropped: () => number
  /** From here on an error that nobody caught is a line of the log, and the end. */
  readonly guard: () => void
}

/** The log of this process, on its stdout: JSON, and to a terminal in development what people can read. */
export async function openProcessLog(level: LevelWithSilent): Promise<ProcessLog> {
  const output = new Output(1)
  const readable = isatty(1) ? await readableLines(output) : null
  const log = createLog(level, readable ?? output)
  output.onDropped = (count) => log.warn({ event: 'log-lines-dropped', count })
  process.once('exit', () => output.flushSync())
  return {
    log,
    linesDropped: () => output.dropped,
    guard() {
      // An error may hold a URL, token and all, and Node would print it.
      process.on('uncaughtException', (thrown: unknown) => {
        const err = thrown instanceof Error ? thrown : new TypeError('no error')
        // The last line of all needs room.
        output.flushSync()
        log.fatal({ event: 'internal-error', err })
        process.exit(1)
      })
    },
  }
}
