// Several workers are one gateway: what is known to one is known to all, and one that ends is replaced.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { ask } from '../stage.ts'
import { freePort } from '../state/redis-server.ts'
import { start } from './child.ts'
import { closed, freshLink, type Operated, operate, startWorkspace, until } from './operated.ts'

/** The processes that the gateway has started. */
function workersOf({ pid }: Pick<Operated, 'pid'>): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}

function all<T>(count: number, one: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, one))
}

// Who hangs is waited for, half a minute, beside all the others.
t.jobs = 2

t.test('one that hangs keeps no reload from the others, and is replaced', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), { WORKERS: '2' })
  const pids = workersOf(gateway)
  const [pid = 0, other = 0] = pids
  const readiness = async (): Promise<string> => (await gateway.admin('/readyz')).body
  for (const one of pids) process.kill(one, 'SIGSTOP')
  await until(async () => /"hanging"/.test(await readiness()))
  process.kill(other, 'SIGCONT')
  await until(async () => /"ready"/.test(await readiness()))
  gateway.kill('SIGHUP')
  await gateway.logged((line) => line['event'] === 'worker-hangs' && line['pid'] === pid)
  await gateway.logged((line) => line['event'] === 'reloaded')
  await gateway.logged((line) => line['event'] === 'worker-ended' && line['pid'] === pid)
  await gateway.logged((line) => line['event'] === 'worker-replaced')
  t.same(new Set(await all(16, () => gateway.opens())), new Set([200]))
})

t.test(
  'all that end at once are replaced, where nothing else keeps the process alive',
  async (t) => {
    const { origin } = await startWorkspace(t)
    const gateway = await start(t, origin, { WORKERS: '2', PORT: String(await freePort()) })
    for (const pid of workersOf(gateway)) process.kill(pid, 'SIGKILL')
    await gateway.logged((line) => line['event'] === 'worker-replaced')
    await until(async () => (await ask(gateway.origin, freshLink())).status === 200)
  },
)

t.test('an operator ends a session in all of them', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), { WORKERS: '2' })
  t.equal(workersOf(gateway).length, 2)
  t.same(new Set(await all(16, () => gateway.opens())), new Set([200]))
  const sockets = await all(8, () => gateway.socket())
  await until(async () => /_sockets\{[^}]*\} 8\n/.test((await gateway.admin('/metrics')).body))
  const { sessions } = JSON.parse((await gateway.admin('/sessions')).body)
  t.match(sessions, [{ sessionId: 'session-1', sockets: 8 }], 'counted once')
  const ends = Promise.all(sockets.map(closed))
  const { body } = await gateway.admin('/sessions/session-1', 'DELETE')
  t.match(JSON.parse(body), { scope: 'workers' })
  t.same(new Set(await ends), new Set(['1008 session-revoked']))
  await until(async () => (await all(16, () => gateway.opens())).every((one) => one === 403))
})

t.test('who logs out of one has logged out of all', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), { WORKERS: '2' })
  const [line = ''] = (await ask(gateway.origin, freshLink())).headers['set-cookie'] ?? []
  const headers = { Cookie: line.slice(0, line.indexOf(';')), 'Sec-Fetch-Site': 'same-origin' }
  const goesOn = async (): Promise<number> => (await ask(gateway.origin, '/a', { headers })).status
  t.same(new Set(await all(16, goesOn)), new Set([200]))
  const left = await ask(gateway.origin, '/.copilot-gateway/logout', {
    headers: { ...headers, 'Sec-Fetch-Mode': 'navigate' },
  })
  t.equal(left.status, 200)
  await until(async () => (await all(16, goesOn)).every((one) => one === 403))
})

t.test('one that ends is replaced by one that knows what was revoked', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), { WORKERS: '2' })
  await gateway.admin('/sessions/session-1', 'DELETE')
  await until(async () => (await all(16, () => gateway.opens())).every((one) => one === 403))
  for (const [before, pid] of workersOf(gateway).entries()) {
    process.kill(pid, 'SIGKILL')
    await gateway.logged((line) => line['event'] === 'worker-ended' && line['pid'] === pid)
    const replaced = gateway.lines.filter(({ event }) => event === 'worker-replaced')
    t.equal(replaced.length, before)
    await gateway.logged((line) => line['event'] === 'worker-replaced' && !replaced.includes(line))
  }
  t.same(new Set(await all(32, () => gateway.opens())), new Set([403]))
  t.same(new Set(await all(32, () => gateway.opens('session-2'))), new Set([200]))
})

t.test('what is revoked while none of them serves holds in the next', async (t) => {
  // Where no worker is left, port 0 would be another one.
  const env = { WORKERS: '2', PORT: String(await freePort()) }
  const gateway = await operate(t, await startWorkspace(t), env)
  const pids = workersOf(gateway)
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  for (const pid of pids) {
    await gateway.logged((line) => line['event'] === 'worker-ended' && line['pid'] === pid)
  }
  t.match(JSON.parse((await gateway.admin('/sessions/session-1', 'DELETE')).body), {
    scope: 'workers',
  })
  t.same(gateway.lines.filter(({ event }) => event === 'worker-replaced').length, 0)
  // The first answer that there is: a new worker knows it before it listens.
  const statuses = new Set<number>()
  await until(async () => {
    for (const status of await all(8, () => gateway.opens().catch(() => 0))) statuses.add(status)
    return gateway.lines.filter(({ event }) => event === 'worker-replaced').length === 2
  })
  for (const status of await all(16, () => gateway.opens())) statuses.add(status)
  statuses.delete(0)
  t.same(statuses, new Set([403]))
})

t.test('a reload reaches all of them', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), { WORKERS: '2' })
  gateway.kill('SIGHUP')
  await gateway.logged((line) => line['event'] === 'reloaded')
  t.same(new Set(await all(16, () => gateway.opens())), new Set([200]))
  const { body } = await gateway.admin('/metrics')
  t.match(body, 'copilot_gateway_reloads_total{result="success"} 1\n', 'one reload')
})
