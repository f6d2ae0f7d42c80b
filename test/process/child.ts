// The gateway as a process of its own, as `start` runs it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { environment } from '../environment.ts'
import { knowSettings, pour } from '../sinks.ts'
import { secret } from '../stage.ts'

const source = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

interface Scope {
  teardown(done: () => unknown): void
}

type Env = Readonly<Record<string, string>>

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
  /** The log, line by line, parsed. */
  readonly lines: readonly Record<string, unknown>[]
}

export interface Child {
  readonly pid: number
  /** The log so far, line by line, parsed. */
  readonly lines: readonly Record<string, unknown>[]
  readonly kill: (signal: NodeJS.Signals) => void
  /** Reads no more of the log, until told to go on. */
  readonly stopReading: () => void
  readonly readOn: () => void
  /** The log's first line for which this holds; rejects when the process ends without it. */
  readonly logged: (
    holds: (line: Record<string, unknown>) => boolean,
  ) => Promise<Record<string, unknown>>
  readonly ended: Promise<Ended>
}

/**
 * Runs `start` with these settings and no others, in an empty directory unless told where; `alone`
 * as a user does, without tap in it.
 */
export function run(
  t: Scope,
  env: Env,
  options: {
    args?: readonly string[]
    cwd?: string
    alone?: boolean
    /** What runs it, where it is no process of this Node.js. */
    command?: readonly string[]
  } = {},
): Child {
  const { args = ['start'], cwd = emptyDirectory(t), alone = false } = options
  const { command = [process.execPath, source] } = options
  knowSettings(env)
  // tap counts the coverage of every process by NODE_OPTIONS.
  const [file = '', ...rest] = [
    ...(alone ? ['env', '-u', 'NODE_OPTIONS'] : []),
    ...command,
    ...args,
  ]
  const child = spawn(file, rest, {
    cwd,
    env: { ...environment, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  let over = false
  let stderr = ''
  const check = (): void => {
    for (const one of waiting) one()
  }
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
    pour('stderr', chunk)
  })
  const reader = createInterface({ input: child.stdout }).on('line', (line) => {
    pour('log', line)
    lines.push(JSON.parse(line))
    check()
  })
  const ended = once(child, 'close').then(([code, signal]) => {
    over = true
    check()
    return { code, signal, stderr, lines }
  })
  return {
    pid: child.pid ?? 0,
    lines,
    kill: (signal) => child.kill(signal),
    stopReading: () => reader.pause(),
    readOn: () => reader.resume(),
    ended,
    logged: (holds) =>
      new Promise((resolve, reject) => {
        const one = (): void => {
          const found = lines.find(holds)
          if (found === undefined && !over) return
          waiting.delete(one)
          if (found === undefined) reject(new Error(`ended without it: ${stderr}`))
          else resolve(found)
        }
        waiting.add(one)
        one()
      }),
  }
}

export interface Served extends Child {
  readonly origin: string
  readonly port: number
}

/** A gateway that listens on a free port, in front of this upstream. */
export async function start(
  t: Scope,
  upstream: string,
  env: Env = {},
  options: { alone?: boolean; command?: readonly string[] } = {},
): Promise<Served> {
  const settings = {
    COPILOT_URL: upstream,
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    PORT: '0',
    ADMIN_PORT: 'off',
    RATE_LIMIT: '1000000/1m',
    LOG_LEVEL: 'trace',
    ...env,
  }
  const child = run(t, settings, options)
  const { addresses } = await child.logged((line) => line['event'] === 'listening')
  const [origin] = Array.isArray(addresses) ? addresses : []
  return { ...child, origin: String(origin), port: Number(new URL(String(origin)).port) }
}

function emptyDirectory(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'gateway-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}
