// A real Redis that can be stopped, emptied and halted, and what two replicas need beside it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createLog } from '../../src/observe/log.ts'
import { createState, type State } from '../../src/state/state.ts'
import type { Use } from '../../src/state/used-tokens.ts'
import { missingPackage } from '../browser/executable.ts'
import { pour } from '../sinks.ts'
import { listen } from '../stage.ts'

/** What docs/deployment.md says that a gateway's user needs. */
const deployment = readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8')
const rights = /^~copilot-gateway:\* .*$/m.exec(deployment)?.[0].split(' ') ?? []

/** Why there is nothing to test with, or false. In CI the tests fail of it. */
export const redisMissing = missingPackage('/usr/bin/redis-server', 'redis-server')

interface Scope {
  teardown(done: () => unknown): void
}

export interface RedisServer {
  readonly port: number
  /** Of a user who has the rights that are documented. */
  readonly url: string
  /** An operator's own connection. */
  readonly client: Redis
  /** Kills it; it has kept nothing when it starts again. */
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  /** SIGSTOP: connections stay, and nothing is answered on them. SIGCONT ends that. */
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void
}

export async function startRedis(t: Scope, args: readonly string[] = []): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-'))
  const port = await freePort()
  let stop = async (): Promise<void> => {}
  let signal = (_: NodeJS.Signals): void => {}
  async function start(): Promise<void> {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '']
    own.push('--user', 'gateway', 'on', 'nopass', ...rights)
    const child = spawn('redis-server', [...own, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    stop = async () => {
      child.kill('SIGKILL')
      await exit
    }
    signal = (name) => child.kill(name)
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('Ready to accept connections')) break
    }
    child.stdout.resume()
  }
  await start()
  const client = new Redis({ port, protocol: 2, retryStrategy: () => 50 })
  client.on('error', () => {})
  t.teardown(async () => {
    client.disconnect()
    await stop()
    rmSync(dir, { recursive: true })
  })
  // With a password it is the test's to do.
  await season(client).catch(() => {})
  const url = `redis://gateway:any@127.0.0.1:${port}`
  return { port, url, client, start, stop: () => stop(), signal: (name) => signal(name) }
}

/** Makes it a server that replicas have long been at. Its next run is none. */
export async function season(client: Redis): Promise<void> {
  const [, run] = /^run_id:(\w+)/m.exec(await client.info('server')) ?? []
  await client.set('copilot-gateway:since', `${run} 0`)
}

export async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface Replica extends State {
  /** The log's lines about Redis, parsed. */
  readonly lines: readonly Record<string, unknown>[]
  /** Resolves when the log's latest line about Redis says so. */
  readonly is: (state: 'up' | 'down') => Promise<void>
}

/** The state of one replica, as it is once it has started. */
export async function startReplica(t: Scope, redisUrl: string | null): Promise<Replica> {
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const log = createLog('trace', {
    write(line) {
      pour('log', line)
      lines.push(JSON.parse(line))
      for (const check of waiting) check()
    },
  })
  const state = await createState({ redisUrl }, log)
  t.teardown(() => state.close())
  return {
    ...state,
    lines,
    is: (expected) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (lines.at(-1)?.['state'] !== expected) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}

/** Uses a token, again where a busy machine took longer than its 50 ms. */
export async function use(replica: State, id: string, until: number | null = null): Promise<Use> {
  for (let i = 0; i < 100; i += 1) {
    const use = await replica.usedTokens.use(id, until)
    if (use !== 'unreachable') return use
    await answered(replica)
  }
  return 'unreachable'
}

/**
 * Resolves once all that a replica had asked of Redis is answered: answers come in order. Of a server
 * that has lost its memory no token is asked for some seconds.
 */
export async function answered({ usedTokens }: State): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    const use = await usedTokens.use(`asked-${Math.random()}`, Date.now())
    await new Promise(setImmediate)
    if (use === 'first') return
    await setTimeout(100)
  }
}
