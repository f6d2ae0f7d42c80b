import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Revocation } from '../../src/state/revocations.ts'
import { knowSecret } from '../sinks.ts'
import { listen } from '../stage.ts'
import {
  answered,
  freePort,
  type Replica,
  redisMissing,
  startRedis,
  startReplica,
  use,
} from './redis-server.ts'

const hour = 3_600_000
const password = 'a-password-that-nobody-may-read'
knowSecret(Buffer.from(password))

const revocation = (): Revocation => ({
  contactCenter: null,
  userId: 'agent-7',
  sessionId: null,
  before: Number.POSITIVE_INFINITY,
  until: Date.now() + hour,
})

/** A server that does this with each connection; resolves to its port. */
async function startServer(t: Test, answer: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    answer(socket)
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return listen(server)
}

/** How long a use takes that finds nobody, in ms: the shortest, since others load this machine. */
async function timeOfUse(t: Test, { usedTokens }: Replica): Promise<number> {
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i += 1) {
    const start = performance.now()
    t.equal(await usedTokens.use('token', null), 'unreachable')
    shortest = Math.min(shortest, performance.now() - start)
  }
  return shortest
}

/** What comes first: the end, or a second. Timers fire in order, however busy the machine is. */
async function endsWithinASecond(closing: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, 1000, false)
  })
  const closed = await Promise.race([closing.then(() => true), late])
  clearTimeout(timer)
  return closed
}

const silent = (socket: Socket): unknown => socket.resume()
const says =
  (answer: string) =>
  (socket: Socket): unknown =>
    socket.on('data', () => socket.write(answer))

const ways: readonly (readonly [string, string, (t: Test) => Promise<number>])[] = [
  ['nobody listens', 'ECONNREFUSED', freePort],
  ['it never answers', 'ETIMEDOUT', (t) => startServer(t, silent)],
  ['it hangs up', 'ECONNRESET', (t) => startServer(t, (socket) => socket.resetAndDestroy())],
  ['it ends at once', 'ECONNRESET', (t) => startServer(t, (socket) => socket.end())],
  ['it speaks something else', 'ECONNRESET', (t) => startServer(t, says('HTTP/1.1 400 x\r\n\r\n'))],
  ['it is still loading', 'LOADING', (t) => startServer(t, says('-LOADING Redis is loading\r\n'))],
  ['the password is wrong', 'WRONGPASS', async (t) => (await startRedis(t, guarded)).port],
]
const guarded = ['--requirepass', 'another']

t.test('without Redis there is a gateway all the same', async (t) => {
  for (const [name, code, startAway] of ways) {
    await t.test(name, { skip: code === 'WRONGPASS' && redisMissing }, async (t) => {
      const port = await startAway(t)
      const replica = await startReplica(t, `redis://:${password}@127.0.0.1:${port}/`)
      await replica.is('down')
      t.match(replica.redis(), { up: false, since: Number })
      t.equal(replica.scope(), 'process')
      let heard = 0
      replica.onRevoked(() => {
        heard += 1
      })
      replica.revocations.add(revocation())
      t.equal(heard, 1, 'revocations hold here')
      t.ok((await timeOfUse(t, replica)) < 50, 'one-time tokens do not pass, and nobody waits')
      const refusals = replica.refusals({ count: 1, window: hour })
      t.same(
        [0, 0].map((now) => refusals.count('192.0.2.1', now)),
        [0, hour],
      )
      t.ok(await endsWithinASecond(replica.close()))
      t.match(replica.lines, [{ level: 50, event: 'redis', state: 'down', code }])
      t.equal(replica.lines.length, 1, 'it is said once')
      t.same(Object.keys(replica.lines[0] ?? {}).sort(), [
        'code',
        'event',
        'level',
        'state',
        'time',
      ])
    })
  }
})

t.test('a server that hangs holds nobody up', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  redis.signal('SIGSTOP')
  t.ok((await timeOfUse(t, replica)) < 50)
  await replica.is('down')
  t.match(replica.lines.at(-1), { code: 'ETIMEDOUT' })
  t.equal(await replica.usedTokens.use('token-2', null), 'unreachable')
  redis.signal('SIGCONT')
  await replica.is('up')
  t.equal(await use(replica, 'token-2'), 'first')

  redis.signal('SIGSTOP')
  replica.revocations.add(revocation())
  t.ok(await endsWithinASecond(replica.close()), 'and no end')
  redis.signal('SIGCONT')
})

t.test(
  'a token whose use was not answered in time is not used',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const replica = await startReplica(t, redis.url)
    redis.signal('SIGSTOP')
    t.equal(await replica.usedTokens.use('token', null), 'unreachable')
    redis.signal('SIGCONT')
    await answered(replica)
    t.equal(await use(replica, 'token'), 'first')
  },
)

t.test('a flood of refusals does not pile up', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  const refusals = replica.refusals({ count: 1, window: hour })
  redis.signal('SIGSTOP')
  for (let i = 0; i < 2000; i += 1) refusals.count(`10.0.${i >> 8}.${i & 255}`, 0)
  redis.signal('SIGCONT')
  await answered(replica)
  t.equal((await redis.client.keys('copilot-gateway:refusals:*')).length, 1000)
})

t.test('replicas that can’t get in wait longer each time', async (t) => {
  const times: number[] = []
  const full = '-ERR max number of clients reached\r\n'
  const sixth = Promise.withResolvers<void>()
  const port = await startServer(t, (socket) => {
    socket.end(full)
    if (times.push(performance.now()) === 6) sixth.resolve()
  })
  const replica = await startReplica(t, `redis://127.0.0.1:${port}`)
  await sixth.promise
  const [first = 0] = times
  // At least half of 100, 200, 400, 800 and 1600 ms.
  t.ok((times[5] ?? 0) - first > 1500)
  t.equal(replica.lines.length, 1)
})

t.test('what was revoked last is told before the end', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  replica.revocations.add(revocation())
  await replica.close()
  t.equal(await redis.client.xlen('copilot-gateway:revocations'), 1)
})

t.test('nothing keeps a process alive that has closed its state', async (t) => {
  const state = fileURLToPath(new URL('../../src/state/state.ts', import.meta.url))
  const source = `
    const { createState } = await import(process.argv[1])
    const log = { info() {}, error() {} }
    const state = await createState({ redisUrl: process.argv[2] || null }, log)
    await state.close()
    await state.close()`
  const rows: readonly (readonly [string, false | string, () => Promise<string>])[] = [
    ['no Redis', false, async () => ''],
    ['Redis', redisMissing, async () => (await startRedis(t)).url],
    ['nobody', false, async () => `redis://127.0.0.1:${await freePort()}`],
    ['silence', false, async () => `redis://127.0.0.1:${await startServer(t, silent)}`],
  ]
  for (const [name, skip, url] of rows) {
    await t.test(name, { skip }, async (t) => {
      const args = ['--input-type=module', '-e', source, state, await url()]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] })
      t.teardown(() => child.kill('SIGKILL'))
      const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
      t.same([code, stderr], [0, ''])
    })
  }
})
