import t from 'tap'
import type { Revocation } from '../../src/state/revocations.ts'
import { stopClock } from '../websocket/peer.ts'
import {
  answered,
  type Replica,
  redisMissing,
  startRedis,
  startReplica,
  use,
} from './redis-server.ts'

const key = 'copilot-gateway:revocations'
const hour = 3_600_000
const valid = {
  contactCenter: null,
  userId: 'agent-7',
  sessionId: null,
  before: null,
  until: Date.now() + hour,
}

/** The ids of the users whose sessions a replica hears are over, once this one is among them. */
function heardUntil(replica: Replica, last: string): Promise<unknown[]> {
  const heard: unknown[] = []
  return new Promise((resolve) => {
    replica.onRevoked(({ userId }) => {
      heard.push(userId)
      if (userId === last) resolve(heard)
    })
  })
}

const revocation = (userId: string, until = Date.now() + hour): Revocation => ({
  ...valid,
  userId,
  before: Number.POSITIVE_INFINITY,
  until,
})

t.test('an entry that can’t be read revokes nothing', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  const { contactCenter: _, ...noCenter } = valid
  const { userId: __, ...noUser } = valid
  const { before: ___, ...noBefore } = valid
  const { until: ____, ...noUntil } = valid
  for (const [name, fields] of [
    ['no JSON', ['revocation', '{']],
    ['nothing', ['revocation', '']],
    ['null', ['revocation', 'null']],
    ['a number', ['revocation', '7']],
    ['a text', ['revocation', '"agent-7"']],
    ['a list', ['revocation', '[null,null,null,null,9e12]']],
    ['an empty object', ['revocation', '{}']],
    ['another field', ['revoked', JSON.stringify(valid)]],
    ['the field after another', ['other', 'x', 'revocation', JSON.stringify(valid)]],
    ['no contact center', ['revocation', JSON.stringify(noCenter)]],
    ['no user', ['revocation', JSON.stringify(noUser)]],
    ['no beginning', ['revocation', JSON.stringify(noBefore)]],
    ['no end', ['revocation', JSON.stringify(noUntil)]],
    ['a user without a name', ['revocation', JSON.stringify({ ...valid, userId: '' })]],
    ['a number for a user', ['revocation', JSON.stringify({ ...valid, userId: 7 })]],
    ['users', ['revocation', JSON.stringify({ ...valid, userId: ['agent-7'] })]],
    ['a text for a time', ['revocation', JSON.stringify({ ...valid, before: '1e15' })]],
    ['no end ever', ['revocation', JSON.stringify(valid).replace(/\d{13}/, '1e999')]],
    ['one that is over', ['revocation', JSON.stringify({ ...valid, until: Date.now() - 1 })]],
    ['bytes', ['revocation', Buffer.from([0xff, 0xfe, 0])]],
    ['a prototype', ['revocation', JSON.stringify(valid).replace('userId', '__proto__')]],
  ] as const) {
    const heard = heardUntil(replica, name)
    const own = { ...valid, userId: name }
    await redis.client.xadd(key, '*', ...fields)
    await redis.client.xadd(key, '*', 'revocation', JSON.stringify(own))
    t.same(await heard, [name], name)
  }
  t.equal(replica.lines.length, 1, 'and Redis is up all the while')
})

t.test(
  'an entry with the last of all ids stops nothing it should not',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
    const heard = heardUntil(b, 'before')
    a.revocations.add(revocation('before'))
    await heard
    await redis.client.xadd(key, '18446744073709551615-0', 'revocation', '{}')
    const heardAfter = heardUntil(b, 'after')
    a.revocations.add(revocation('after'))
    await heardAfter
    await a.close()
    const entries = await redis.client.xrange(key, '-', '+')
    t.match(
      entries.map(([, [, text]]) => text),
      [/"before"/, /"after"/],
      'what can’t be read is deleted, what still holds is not',
    )
  },
)

t.test('what is over is deleted by the clock of Redis', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  for (const [name, ago] of [
    ['long over', 2 * hour],
    ['just over', hour / 60],
  ] as const) {
    const old = { ...valid, userId: name, until: Date.now() - ago }
    await redis.client.xadd(key, '*', 'revocation', JSON.stringify(old))
  }
  await redis.client.xadd(key, '*', 'revocation', JSON.stringify(valid))
  const forward = stopClock(t)
  const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
  // Their clocks are a day ahead from here on.
  forward(24 * hour)
  const heard = heardUntil(b, 'agent-8')
  a.revocations.add(revocation('agent-8', Date.now() + hour))
  await heard
  await a.close()
  const entries = await redis.client.xrange(key, '-', '+')
  t.match(
    entries.map(([, [, text]]) => text),
    [/"just over"/, /"agent-7"/, /"agent-8"/],
  )
})

t.test(
  'a long stream is read to its end before a replica serves',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const names = Array.from({ length: 5001 }, (_, i) => `agent-${i}`)
    await Promise.all(
      names.map((userId) =>
        redis.client.xadd(key, '*', 'revocation', JSON.stringify({ ...valid, userId })),
      ),
    )
    const replica = await startReplica(t, redis.url)
    const heard: unknown[] = []
    replica.onRevoked(({ userId }) => heard.push(userId))
    for (const userId of names)
      replica.revocations.add({ ...revocation(userId), until: valid.until })
    t.same(heard, [], 'all of it is known')
    await replica.close()
    t.equal(await redis.client.xlen(key), 5001, 'and not told again')
  },
)

t.test('keys of another kind harm nobody', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  await redis.client.lpush('copilot-gateway:refusals:192.0.2.1', 'x')
  const { count } = replica.refusals({ count: 1, window: hour })
  t.equal(count('192.0.2.1', 0), 0)
  await answered(replica)
  t.equal(count('192.0.2.1', 0), hour, 'refusals are counted here')

  await redis.client.set('copilot-gateway:refusals:192.0.2.2', 9e15, 'PX', 24 * hour)
  t.equal(count('192.0.2.2', 0), 0)
  await answered(replica)
  t.equal(count('192.0.2.2', 0), hour, 'nobody is past the rate for longer than its window')

  await redis.client.hset('copilot-gateway:used:token', 'x', 'x')
  t.equal(await use(replica, 'token'), 'used')

  await redis.client.set(key, 'x')
  await replica.is('down')
  t.match(replica.lines.at(-1), { code: 'WRONGTYPE' })
  t.equal(await replica.usedTokens.use('token-2', null), 'unreachable')
  replica.revocations.add(revocation('agent-7'))
  await redis.client.del(key)
  await replica.is('up')
  t.equal(await redis.client.xlen(key), 1, 'what could not be told is told')
})

t.test(
  'a server that takes nothing more is down until it does',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    for (const [code, on, off] of [
      ['OOM', ['maxmemory', '1'], ['maxmemory', '0']],
      ['NOREPLICAS', ['min-replicas-to-write', '1'], ['min-replicas-to-write', '0']],
    ] as const) {
      const replica = await startReplica(t, redis.url)
      await redis.client.config('SET', ...on)
      t.equal(await replica.usedTokens.use(code, null), 'unreachable')
      replica.revocations.add(revocation(code))
      await replica.is('down')
      t.match(replica.lines.at(-1), { code })
      await redis.client.config('SET', ...off)
      await replica.is('up')
      t.match((await redis.client.xrevrange(key, '+', '-', 'COUNT', 1))[0]?.[1], [
        /./,
        RegExp(code),
      ])
      t.equal(await use(replica, code), 'first')
    }
  },
)

t.test(
  'a server that was demoted is left for the one in its place',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const replica = await startReplica(t, redis.url)
    const connection = async () => {
      const list = String(await redis.client.client('LIST'))
      return /^id=(\d+).* name=copilot-gateway /m.exec(list)?.[1]
    }
    const before = await connection()
    await redis.client.replicaof('127.0.0.1', redis.port)
    replica.revocations.add(revocation('agent-7'))
    await replica.is('down')
    t.match(replica.lines.at(-1), { code: 'READONLY' })
    await redis.client.replicaof('NO', 'ONE')
    await replica.is('up')
    t.not(await connection(), before)
  },
)
