import { isatty } from 'node:tty'
import type { Logger } from 'pino'
import { Output } from '../observe/output.ts'
import { readableLines } from '../observe/terminal.ts'
import { startTracing, type Tracing } from '../observe/tracing.ts'
import type { Serving } from '../serve.ts'
import type { Config } from '../settings/config.ts'
import { errorCode } from '../settings/parsers.ts'
import { readSettings, sentence, wrongSettings } from './environment.ts'

/** Runs the gateway until a signal ends it. `yaml` is the path of a file of settings. */
export async function start(yaml: string | null): Promise<number> {
  const read = readSettings(yaml)
  if ('problems' in read) {
    process.stderr.write('The gateway cannot start with these settings:\n\n')
    const code = wrongSettings(read)
    process.stderr.write('\n`npm run demo` runs a complete demo with nothing configured.\n')
    return code
  }
  const { config, warnings } = read
  const { createLog } = await import('../observe/log.ts')
  const output = new Output(1)
  const readable = isatty(1) ? await readableLines(output) : null
  const log = createLog(config.logLevel, readable ?? output)
  output.onDropped = (count) => log.warn({ event: 'log-lines-dropped', count })
  process.once('exit', () => output.flushSync())
  for (const warning of warnings) {
    log.warn({ event: 'setting-warning', setting: warning.setting }, sentence(warning))
  }
  const tracing = await startTracing(process.env, log)
  const serving = await listen(config, log, tracing)
  if (serving === null) return 1
  // From here on an error may hold a URL, token and all, and Node would print it.
  process.on('uncaughtException', (thrown: unknown) => {
    const err = thrown instanceof Error ? thrown : new TypeError('no error')
    // The last line of all needs room.
    output.flushSync()
    log.fatal({ event: 'internal-error', err })
    process.exit(1)
  })
  const signal = firstSignal()
  log.info({ event: 'listening', addresses: serving.addresses })
  await signal
  await serving.close()
  await tracing?.close()
  // Whatever still holds the event loop has had its time.
  process.exit(0)
}

async function listen(
  config: Config,
  log: Logger,
  tracing: Tracing | null,
): Promise<Serving | null> {
  const { serve } = await import('../serve.ts')
  try {
    return await serve(config, log, { tracing })
  } catch (error) {
    // Errors of the system: the address is taken, not ours, or no address at all.
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const { host, port } = config.listener
    const code = errorCode(error)
    const cause = causes[code ?? '']
    const why = cause === undefined ? code : `${code}, ${cause}`
    process.stderr.write(`Cannot listen on HOST ${host}, PORT ${port}: ${why}\n`)
    return null
  }
}

const causes: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something else listens there',
  EADDRNOTAVAIL: 'HOST is no address of this machine',
  EACCES: 'ports this low need a privilege',
  ENOTFOUND: 'HOST is a name without an address',
}

/** Resolves at the first signal; the next one ends the process at once. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false
    const on = (signal: 'SIGINT' | 'SIGTERM', code: number): void => {
      process.on(signal, () => {
        if (stopping) process.exit(code)
        stopping = true
        resolve()
      })
    }
    on('SIGINT', 130)
    on('SIGTERM', 143)
  })
}
