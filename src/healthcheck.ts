// What an image runs as its HEALTHCHECK: exits 0 while the gateway's first process is alive, else 1
// and says why. Whether workers answer, /readyz says.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import { readSome, surroundings, wrongSettings } from './commands/environment.ts'
import { isAnyAddress } from './settings/config.ts'
import { errorCode } from './settings/parsers.ts'
import { settings } from './settings/table.ts'

const timeout = 5000

try {
  process.exitCode = await isAlive()
} catch (error) {
  const why = errorCode(error) ?? (error instanceof Error ? error.message : String(error))
  process.stderr.write(`The gateway does not answer: ${why}\n`)
  process.exitCode = 1
}

/** Asks where the gateway listens by its settings: those of this environment, `.env`, and its YAML file. */
async function isAlive(): Promise<0 | 1> {
  const some = readSome(configFile(), surroundings())
  if ('problems' in some) return wrongSettings(some)
  const { reader } = some
  const adminPort = reader.read(settings.adminPort)
  const admin = reader.read(settings.adminHost)
  const [host, port] = [reader.read(settings.host), reader.read(settings.port)]
  if (adminPort === null || admin === null || host === null || port === null) {
    return wrongSettings(reader)
  }
  if (adminPort === 'off') await takesLeave(reachable(host), port)
  else await isHealthy(reachable(admin), adminPort)
  return 0
}

/** The gateway's own `--config`: of the first process, be that the gateway or an init in front of it. */
function configFile(): string | null {
  const words = readFileSync('/proc/1/cmdline', 'utf8').split('\0').slice(1, -1)
  // Those of an init end with it, the gateway's come after.
  const args = words.filter((word) => word !== '--')
  const options = { config: { type: 'string' } } as const
  return parseArgs({ args, options, strict: false }).values.config?.toString() ?? null
}

/** What listens on all addresses is asked on loopback. */
function reachable(host: string): string {
  if (!isAnyAddress(host)) return host
  return host === '::' ? '::1' : '127.0.0.1'
}

async function isHealthy(host: string, port: number): Promise<void> {
  const authority = host.includes(':') ? `[${host}]` : host
  const signal = AbortSignal.timeout(timeout)
  // An agent of its own: that of all others may go by way of a proxy (NODE_USE_ENV_PROXY).
  const request = get(`http://${authority}:${port}/healthz`, { agent: false, signal })
  const [{ statusCode }] = await once(request, 'response')
  request.destroy()
  if (statusCode !== 200) throw new Error(`${statusCode} of /healthz`)
}

/**
 * Without an admin listener nothing can be asked that is not a refusal in the log. A process that
 * lives answers the end of a connection by its own end, over TLS too; one that hangs does not.
 */
async function takesLeave(host: string, port: number): Promise<void> {
  const socket = connect({ host, port, allowHalfOpen: true })
  socket.setTimeout(timeout, () => socket.destroy(new Error(`no answer for ${timeout} ms`)))
  socket.end().resume()
  await once(socket, 'end')
  socket.destroy()
}
