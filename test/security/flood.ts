// What a flood of refusals costs the agent who is in: `node test/security/flood.ts` prints it.
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, createServer } from 'node:http'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Served, start } from '../process/child.ts'
import { ask, jwt, link, listen } from '../stage.ts'

const attackers = 64
const file = fileURLToPath(import.meta.url)

export interface Round {
  /** Of the agent's requests one after the other, in ms. */
  readonly p50: number
  readonly p99: number
  /** The agent's requests that were not answered with 200. */
  readonly failures: number
  /** How often the attackers got each status. */
  readonly statuses: Readonly<Record<string, number>>
  /** CPU of the gateway, in µs for each request of either kind. */
  readonly cpu: number
}

interface Scope {
  teardown(done: () => unknown): void
}

export interface Arena {
  readonly gateway: Served
  /** One agent with a session asks `requests` times: alone, beside a flood, or the flood alone. */
  readonly round: (who: 'agent' | 'both' | 'attackers', requests: number) => Promise<Round>
}

/** A workspace, a gateway before it with its default limits, and a session. */
export async function startArena(
  t: Scope,
  env: Readonly<Record<string, string>> = {},
): Promise<Arena> {
  const page = Buffer.alloc(2000, 'x')
  const workspace = createServer((_, response) => response.end(page))
  const port = await listen(workspace)
  t.teardown(() => {
    workspace.closeAllConnections()
    workspace.close()
  })
  const gateway = await start(t, `http://127.0.0.1:${port}`, { RATE_LIMIT: '30/1m', ...env })
  const { headers } = await ask(gateway.origin, link())
  const cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())

  return {
    gateway,
    async round(who, requests) {
      const flood = who === 'agent' ? null : await startFlood(gateway.port)
      const spent = cpuOf(gateway.pid)
      const times: number[] = []
      let failures = 0
      for (let i = 0; i < requests; i += 1) {
        if (who === 'attackers') {
          await new Promise((resolve) => setTimeout(resolve, 1))
          continue
        }
        const start = performance.now()
        const sent = { agent, headers: { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' } }
        const answer = await ask(gateway.origin, '/asset.js', sent).catch(() => null)
        times.push(performance.now() - start)
        if (answer?.status !== 200 || answer.body.length !== page.length) failures += 1
      }
      const cpu = cpuOf(gateway.pid) - spent
      const statuses = flood === null ? {} : await stopFlood(flood)
      const refused = Object.values(statuses).reduce((sum, count) => sum + count, 0)
      times.sort((a, b) => a - b)
      const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0
      return {
        p50: at(0.5),
        p99: at(0.99),
        failures,
        statuses,
        cpu: cpu / (times.length + refused),
      }
    },
  }
}

async function startFlood(port: number): Promise<ChildProcess> {
  const flood = fork(file, ['attack', String(port)], { execArgv: [] })
  await once(flood, 'message')
  return flood
}

/** Ends a flood; how often it got each status. */
async function stopFlood(flood: ChildProcess): Promise<Record<string, number>> {
  const said = once(flood, 'message')
  flood.send('stop')
  const [statuses] = await said
  flood.kill()
  return statuses
}

/** Each attacker tries forged links on a connection of its own, as fast as it is refused. */
function attack(port: number): void {
  const auth = jwt(undefined, { key: 'another-secret-that-is-long-enough-too' })
  const request = `GET ${link({ auth })} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`
  const statuses: Record<string, number> = {}
  let under = 0
  for (let i = 0; i < attackers; i += 1) {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => socket.write(request))
    socket.on('data', (chunk: Buffer) => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1', 0, 12))?.[1]
      if (status === undefined) return
      statuses[status] = (statuses[status] ?? 0) + 1
      socket.write(request)
      under += 1
      if (under === attackers) process.send?.('under way')
    })
  }
  process.on('message', () => process.send?.(statuses))
}

/** The CPU that a process has used, in µs; Linux counts in hundredths of a second. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11)
  return (Number(user) + Number(system)) * 10_000
}

async function report(rounds: number, requests: number): Promise<void> {
  const ends: (() => unknown)[] = []
  const arena = await startArena({ teardown: (done) => ends.push(done) }, { LOG_LEVEL: 'info' })
  // The gateway has a core of its own; what attacks it, and the agent, share the other.
  execFileSync('taskset', ['-a', '-p', '-c', '0', String(arena.gateway.pid)], { stdio: 'ignore' })
  execFileSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' })
  await arena.round('both', requests)
  const kinds = ['agent', 'both', 'attackers'] as const
  const results = kinds.map((): Round[] => [])
  for (let i = 0; i < rounds; i += 1) {
    for (const [at, kind] of kinds.entries()) results[at]?.push(await arena.round(kind, requests))
  }
  for (const [at, kind] of kinds.entries()) {
    const of = results[at] ?? []
    console.log(`${kind}: ${of.reduce((sum, { failures }) => sum + failures, 0)} failures`)
    if (kind !== 'attackers') {
      console.log(`  p50 ${spread(of.map(({ p50 }) => p50))} ms`)
      console.log(`  p99 ${spread(of.map(({ p99 }) => p99))} ms`)
    }
    console.log(`  gateway’s CPU a request ${spread(of.map(({ cpu }) => cpu))} µs`)
    console.log(`  refusals ${JSON.stringify(of.map(({ statuses }) => statuses))}`)
  }
  for (const end of ends.reverse()) await end()
}

/** Median, least and most. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, middle, high] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) =>
    (sorted[i] ?? 0).toFixed(2),
  )
  return `${middle} (${low} to ${high})`
}

if (process.argv[2] === 'attack') attack(Number(process.argv[3]))
else if (process.argv[1] === file) await report(5, 2000)
