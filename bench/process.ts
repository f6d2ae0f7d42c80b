// Servers as processes of their own, each on one core, and what the kernel says of them.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { listen } from '../test/stage.ts'
import { path } from './programs.ts'

/** What is measured has the first core for itself; load and workspace share the second. null: any. */
export type Core = 0 | 1 | null

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface Running {
  readonly port: number
  /** Processor time so far, user and system, of all threads, in µs. */
  readonly cpu: () => number
  /** Resident memory, in kB. */
  readonly memory: () => number
  /** The most of it since `forgetPeak`, in kB. */
  readonly peak: () => number
  readonly forgetPeak: () => void
  /** What it said last, where it has ended by itself; else null. */
  readonly lastWords: () => string | null
  readonly stop: () => Promise<void>
}

/** Where servers write their logs: a pipe that is read, as a container's is. */
export interface Drain {
  readonly fd: number
  readonly close: () => Promise<void>
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

export function openDrain(folder: string): Drain {
  const fifo = join(folder, 'log')
  execFileSync('mkfifo', [fifo])
  const reader = spawn('cat', [fifo], { stdio: 'ignore' })
  children.add(reader)
  // Open for both, it waits for nobody.
  const fd = openSync(fifo, 'r+')
  return {
    fd,
    async close() {
      closeSync(fd)
      await end(reader)
    },
  }
}

/** Starts a server that listens on the port which its command is made for, and waits until it does. */
export async function startServer(
  name: string,
  core: Core,
  log: Drain,
  commandFor: (port: number) => Command,
): Promise<Running> {
  const port = await freePort()
  const { file, args, env = {} } = commandFor(port)
  const pinned = core === null ? [] : ['taskset', '-c', String(core)]
  const [first = file, ...rest] = [...pinned, file, ...args]
  const child = spawn(first, rest, {
    cwd: '/',
    env: { PATH: path, ...env },
    stdio: ['ignore', log.fd, 'pipe'],
  })
  children.add(child)
  let errors = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-2000)
  })
  child.on('error', (error) => {
    errors += error
  })
  for (let tries = 0; !(await answers(port)); tries += 1) {
    if (child.exitCode !== null || child.pid === undefined || tries === 1200) {
      await end(child)
      throw new Error(`${name} did not start: ${errors}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  const lastWords = (): string | null =>
    child.exitCode === null && child.signalCode === null ? null : errors
  return running(child, port, lastWords)
}

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

function running(child: ChildProcess, port: number, lastWords: Running['lastWords']): Running {
  const proc = (file: string): string => readFileSync(`/proc/${child.pid}/${file}`, 'utf8')
  const kilobytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(proc('status'))?.[1])
  return {
    port,
    cpu() {
      // Behind the name, which may hold spaces, utime and stime are the 12th and the 13th.
      const fields = proc('stat')
        .replace(/^.*\) /s, '')
        .split(' ')
      return ((Number(fields[11]) + Number(fields[12])) / ticks) * 1e6
    },
    memory: () => kilobytes('VmRSS'),
    peak: () => kilobytes('VmHWM'),
    forgetPeak: () => writeFileSync(`/proc/${child.pid}/clear_refs`, '5'),
    lastWords,
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  children.delete(child)
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      resolve(true)
      socket.destroy()
    })
  })
}
