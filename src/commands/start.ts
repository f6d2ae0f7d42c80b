import cluster from 'node:cluster'
import { setTimeout } from 'node:timers/promises'
import type { Tracing } from '../observe/tracing.ts'
import type { Fleet } from '../operate/fleet.ts'
import type { ProcessLog } from '../operate/process-log.ts'
import type { Loaded } from '../operate/reload.ts'
import { errorCode } from '../settings/parsers.ts'
import { sentence } from '../settings/reader.ts'
import { readSettings, wrongSettings } from './environment.ts'
import { runtimeNeeded } from './runtime.ts'
import { version } from './version.ts'

/** Runs the gateway until `signal` ends it. `yaml` is the path of a file of settings. */
export async function start(yaml: string | null, signal: Promise<void>): Promise<number> {
  if (cluster.isWorker) {
    const { work } = await import('../operate/worker.ts')
    return work()
  }
  const read = readSettings(yaml)
  if ('problems' in read) {
    process.stderr.write('The gateway cannot start with these settings:\n\n')
    const code = wrongSettings(read)
    process.stderr.write('\n`npm run demo` runs a complete demo with nothing configured.\n')
    return code
  }
  let { config } = read
  const { openProcessLog } = await import('../operate/process-log.ts')
  const output = await openProcessLog(config.logLevel)
  const { log } = output
  for (const warning of read.warnings) {
    log.warn({ event: 'setting-warning', setting: warning.setting }, sentence(warning))
  }
  const needed = runtimeNeeded(process.versions.node)
  if (needed !== null) {
    const { node } = process.versions
    log.warn(
      { event: 'runtime-warning', node, needed },
      `Node.js ${node} has known vulnerabilities in HTTP/2 and TLS: run ${needed} or newer`,
    )
  }
  const { startTracing } = await import('../observe/tracing.ts')
  const tracing = config.workers > 1 ? null : await startTracing(process.env, log)
  const fleet = await listening(config.listener, '', () => launch(read, output, tracing))
  if (fleet === null) return 1
  const { openSteering } = await import('../operate/steering.ts')
  const steering = await listening(config.admin, 'ADMIN_', () =>
    openSteering(config, fleet, version(), log),
  )
  if (steering === null && config.admin !== null) {
    await fleet.close()
    return 1
  }
  const { openLinks } = await import('../links/links.ts')
  const links = await listening(config.links, 'LINKS_', () =>
    openLinks(config, fleet.addresses[0] ?? '', log, steering?.linkAsked),
  )
  if (links === null && config.links !== null) {
    await Promise.all([fleet.close(), steering?.close()])
    return 1
  }
  // From here on an error may hold a URL, token and all.
  output.guard()
  const { keepUpToDate } = await import('../operate/reload.ts')
  keepUpToDate(
    read,
    () => readSettings(yaml),
    fleet,
    (loaded) => {
      config = loaded.config
      steering?.reload(config)
      links?.reload(config)
    },
    log,
  )
  const own = [steering, links].flatMap((one) => one?.address ?? [])
  const addresses = [...fleet.addresses, ...own]
  log.info({ event: 'listening', addresses })
  await signal
  log.info({ event: 'draining' })
  steering?.drain()
  fleet.drain()
  await setTimeout(config.drainDelay)
  await Promise.all([fleet.close(), links?.close()])
  await tracing?.close()
  await steering?.close()
  // Whatever still holds the event loop has had its time.
  process.exit(0)
}

async function launch(read: Loaded, output: ProcessLog, tracing: Tracing | null): Promise<Fleet> {
  if (read.config.workers > 1) {
    const { startWorkers } = await import('../operate/workers.ts')
    return startWorkers(read, output.log)
  }
  const { serveAlone } = await import('../operate/fleet.ts')
  return serveAlone(read, output, tracing)
}

/** Of the settings of a listener. */
type Prefix = '' | 'ADMIN_' | 'LINKS_'

interface Address {
  readonly host: string
  readonly port: number
}

/** Null, and a sentence on stderr, where the system refuses an address. */
async function listening<T>(
  address: Address | null,
  prefix: Prefix,
  open: () => Promise<T>,
): Promise<T | null> {
  try {
    return await open()
  } catch (error) {
    // Errors of the system: the address is taken, not ours, or no address at all.
    if (!(error instanceof Error && 'syscall' in error) || address === null) throw error
    const code = errorCode(error)
    const cause = causes(prefix)[code ?? '']
    const why = cause === undefined ? code : `${code}, ${cause}`
    const { host, port } = address
    process.stderr.write(`Cannot listen on ${prefix}HOST ${host}, ${prefix}PORT ${port}: ${why}\n`)
    return null
  }
}

function causes(prefix: Prefix): Readonly<Record<string, string>> {
  return {
    EADDRINUSE: 'something else listens there',
    EADDRNOTAVAIL: `${prefix}HOST is no address of this machine`,
    EACCES: 'ports this low need a privilege',
    ENOTFOUND: `${prefix}HOST is a name without an address`,
  }
}
