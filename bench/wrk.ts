// Load over HTTP/1.1: so many connections, each with its next request as soon as it has an answer, or a while later.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export interface Load {
  /** Whole requests in turn, in a file, a NUL behind each. */
  readonly file: string
  readonly connections: number
  /** Whole ones. */
  readonly seconds: number
  readonly port: number
  /** The longest that a connection waits with its next request, in ms. */
  readonly pause?: number
}

export interface Answered {
  readonly requests: number
  readonly seconds: number
  /** Of those, with a status of 400 or more. */
  readonly refused: number
  /** Connections that failed, broke or were silent. */
  readonly failed: number
  /** Percentiles of the time from request to answer, in µs. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

const script = fileURLToPath(new URL('wrk.lua', import.meta.url))

export async function wrk({
  file,
  connections,
  seconds,
  port,
  pause = 0,
}: Load): Promise<Answered> {
  const options = [`-t1`, `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script]
  const { stdout } = await promisify(execFile)('wrk', [
    ...options,
    `http://127.0.0.1:${port}`,
    file,
    String(pause),
  ])
  return JSON.parse(stdout.slice(stdout.lastIndexOf('\n{')))
}
