// Who reads the log, or no longer does, decides nothing: neither whether the gateway serves nor when it
// ends. What was lost is counted, and a log that is read loses nothing.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { environment } from '../environment.ts'
import { pour } from '../sinks.ts'
import { ask, link, listen, secret, startUpstream } from '../stage.ts'
import { start } from './child.ts'

const upstream = await startUpstream(t)
const agent = new Agent({ keepAlive: true })
t.teardown(() => agent.destroy())

/** Makes audit lines of some 20 kB each. */
async function fill(origin: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const { status } = await ask(origin, link({}, `/${i}/${'x'.repeat(20_000)}`), { agent })
    // What a starved machine's gateway refuses has a line as long.
    if (status !== 200 && status !== 503) throw new Error(`${status}`)
  }
}

const isAccess = ({ event }: Readonly<Record<string, unknown>>): boolean => event === 'access'

t.test('it serves on, and says how much was lost once the log is read again', async (t) => {
  const gateway = await start(t, upstream.origin)
  gateway.stopReading()
  await fill(gateway.origin, 260)
  t.notOk(gateway.lines.some(({ event }) => event === 'log-lines-dropped'))
  gateway.readOn()
  const { count } = await gateway.logged(({ event }) => event === 'log-lines-dropped')
  const kept = gateway.lines.filter(isAccess).length
  t.equal(kept + Number(count), 260)
  t.ok(kept > 190 && kept < 230, `4 MiB are kept: ${kept}`)
  await fill(gateway.origin, 1)
  gateway.kill('SIGTERM')
  const { code, lines } = await gateway.ended
  t.equal(code, 0)
  t.equal(lines.filter(isAccess).length, kept + 1)
  t.match(lines.slice(-2), [{ event: 'access' }, { event: 'draining' }], 'it flows as before')
})

t.test('SIGTERM ends it in time', async (t) => {
  for (const count of [50, 260]) {
    const gateway = await start(t, upstream.origin, { DRAIN_TIMEOUT: '1s' })
    gateway.stopReading()
    await fill(gateway.origin, count)
    gateway.kill('SIGTERM')
    // What is left is read when it is gone.
    t.match(await gateway.ended, { code: 0, signal: null, stderr: '' }, `${count} lines`)
  }
})

t.test('a reader that is late still gets all that waits', async (t) => {
  const gateway = await start(t, upstream.origin)
  gateway.stopReading()
  await fill(gateway.origin, 100)
  gateway.kill('SIGTERM')
  gateway.readOn()
  const { code, lines } = await gateway.ended
  t.equal(code, 0)
  t.equal(lines.filter(isAccess).length, 100)
})

t.test('a crash has its line, behind all that waited', async (t) => {
  const folder = t.testdir({
    'fault.mjs': `process.on('SIGUSR2', () => { throw new Error('${secret}') })`,
  })
  const env = { NODE_OPTIONS: `--import=${folder}/fault.mjs` }
  for (const count of [100, 260]) {
    const gateway = await start(t, upstream.origin, env)
    gateway.stopReading()
    await fill(gateway.origin, count)
    gateway.kill('SIGUSR2')
    gateway.readOn()
    const { code, stderr, lines } = await gateway.ended
    t.same({ code, stderr }, { code: 1, stderr: '' })
    t.match(lines.at(-1), { level: 60, event: 'internal-error' })
    const dropped = Number(lines.find(({ event }) => event === 'log-lines-dropped')?.['count'] ?? 0)
    t.equal(lines.filter(isAccess).length + dropped, count)
  }
  const unread = await start(t, upstream.origin, env)
  unread.stopReading()
  await fill(unread.origin, 260)
  unread.kill('SIGUSR2')
  t.match(await unread.ended, { code: 1 }, 'read by nobody')
})

t.test('wherever the log goes', async (t) => {
  const folder = t.testdir()
  const pipe = `${folder}/pipe`
  await once(spawn('mkfifo', [pipe]), 'close')
  const rows = {
    'a file': { path: `${folder}/file`, lines: 20 },
    'a full disk': { path: '/dev/full', lines: null },
    'a pipe that nobody reads': { path: pipe, lines: null },
    'a pipe whose reader left': { path: pipe, lines: null },
  } as const
  for (const [name, { path, lines }] of Object.entries(rows)) {
    const reader = path === pipe ? openSync(pipe, 'r+') : null
    const log = openSync(path, 'w')
    const port = await freePort()
    const child = spawnInto(t, log, port)
    closeSync(log)
    await accepted(port)
    const origin = `http://127.0.0.1:${port}`
    await fill(origin, 10)
    if (reader !== null && name.includes('left')) closeSync(reader)
    await fill(origin, 10)
    child.kill('SIGTERM')
    t.same(await child.ended, { code: 0, stderr: '' }, name)
    if (reader !== null && !name.includes('left')) closeSync(reader)
    if (lines === null) continue
    const text = readFileSync(path, 'utf8')
    pour('log', text)
    const written = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.equal(written.filter(isAccess).length, lines, name)
  }
})

interface Quiet {
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<{ readonly code: unknown; readonly stderr: string }>
}

/** The gateway with this file as its stdout. */
function spawnInto(t: Test, stdout: number, port: number): Quiet {
  const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
  const child = spawn(process.execPath, [cli, 'start'], {
    cwd: t.testdirName,
    env: {
      ...environment,
      COPILOT_URL: upstream.origin,
      JWT_SECRET: secret,
      FRAME_ANCESTORS: 'https://cc.example',
      PORT: String(port),
      ADMIN_PORT: 'off',
      DRAIN_TIMEOUT: '1s',
    },
    stdio: ['ignore', stdout, 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  return {
    kill: (signal) => child.kill(signal),
    ended: once(child, 'close').then(([code]) => ({ code, stderr })),
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until something listens. */
async function accepted(port: number): Promise<void> {
  for (let taken = false; !taken; ) {
    const socket = connect(port, '127.0.0.1')
    taken = await new Promise((resolve) => {
      socket.on('connect', () => resolve(true))
      socket.on('error', () => setTimeout(() => resolve(false), 20))
    })
    socket.destroy()
  }
}
