import t from 'tap'
import { openSession, type Session } from '../../src/access/session.ts'
import { createRevocationStream } from '../../src/state/revocation-stream.ts'
import type { Revocation } from '../../src/state/revocations.ts'
import type { State } from '../../src/state/state.ts'
import { createGate, ids } from '../stage.ts'
import { answered, redisMissing, startRedis, startReplica, use } from './redis-server.ts'

const gate = await createGate()
const hour = 3_600_000
const stream = 'copilot-gateway:revocations'
const rate = { count: 3, window: hour }
const always = Number.POSITIVE_INFINITY

function session(userId: string, at = Date.now()): Session {
  const [key] = gate.keyring.keys
  if (key === undefined) throw new Error('no key')
  return openSession(key, { ...ids, userId }, null, gate.sessions, at)
}

function revocation(userId: string, before = always): Revocation {
  return { contactCenter: null, userId, sessionId: null, before, until: Date.now() + hour }
}

function isRevoked(state: State, userId: string): boolean {
  return state.revocations.has(session(userId), Date.now())
}

/** The next revocation that a replica hears of. */
function heard(state: State): Promise<Revocation> {
  return new Promise((resolve) => {
    const stop = state.onRevoked((revocation) => {
      stop()
      resolve(revocation)
    })
  })
}

t.test('what one replica revokes is revoked at the other', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
  t.equal(a.scope(), 'replicas')
  t.match(a.redis(), { up: true, since: Number })

  const hears = heard(b)
  const told = revocation('agent-1')
  a.revocations.add(told)
  t.ok(isRevoked(a, 'agent-1'), 'at once here')
  t.same(await hears, told, 'word for word there')
  t.ok(isRevoked(b, 'agent-1'))
  t.notOk(isRevoked(b, 'agent-2'), 'and nobody else')

  const hearsLogout = heard(a)
  const now = Date.now()
  b.revocations.add(revocation('agent-2', now))
  t.match(await hearsLogout, { userId: 'agent-2', before: now }, 'and the other way round')
  t.ok(a.revocations.has(session('agent-2', now - 1), now))
  t.notOk(a.revocations.has(session('agent-2', now), now), 'a later link opens it again')

  const late = await startReplica(t, redis.url)
  t.ok(isRevoked(late, 'agent-1'), 'a replica that starts later knows it from its start')

  await redis.client.flushall()
  const another = revocation('agent-3')
  const hearsAnother = heard(b)
  a.revocations.add(another)
  t.same(await hearsAnother, another, 'and what comes after its loss is heard')
  const last = await startReplica(t, redis.url)
  t.same(
    ['agent-1', 'agent-2', 'agent-3'].map((id) => last.revocations.has(session(id, now - 1), now)),
    [true, true, true],
    'a server that lost all of it is told again',
  )
})

t.test('a listener that left hears nothing', async (t) => {
  const alone = await startReplica(t, null)
  const heard: string[] = []
  const stop = alone.onRevoked(({ userId }) => heard.push(String(userId)))
  const first = revocation('agent-1')
  alone.revocations.add(first)
  alone.revocations.add(first)
  stop()
  alone.revocations.add(revocation('agent-2'))
  t.same(heard, ['agent-1'], 'and what is no news is not told twice')
  t.equal(alone.scope(), 'process')
  t.equal(alone.redis(), null)
})

t.test(
  'a token that was used at one replica is used at the other',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
    const soon = Date.now() + 60_000
    for (const [name, until] of [
      ['a token that ends', soon],
      ['one that never does', null],
      ['one whose end is far', Number.MAX_VALUE],
      ['one that is over at this clock', Date.now() - 60_000],
    ] as const) {
      t.equal(await use(a, name, until), 'first', name)
      t.equal(await use(b, name, until), 'used', `${name}: at the other`)
      t.equal(await use(a, name, until), 'used', `${name}: where it was`)
    }
    const left = await redis.client.pttl('copilot-gateway:used:a token that ends')
    t.ok(
      left > 3_600_000 && left <= 3_660_000,
      'kept as long as a clock an hour behind would take it',
    )

    const uses = await Promise.all([a, b, a, b].map((replica) => use(replica, 'at once', soon)))
    t.same(uses.sort(), ['first', 'used', 'used', 'used'], 'one of those who ask at once is first')
  },
)

t.test(
  'a server that lost its memory lets no used token pass',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
    for (const [name, lose] of [
      ['flushed', () => redis.client.flushall()],
      [
        'started again from an old snapshot',
        async () => {
          await redis.client.del('copilot-gateway:used:started again from an old snapshot')
          await redis.client.save()
          await redis.stop()
          await Promise.all([a.is('down'), b.is('down')])
          await redis.start()
          await Promise.all([a.is('up'), b.is('up')])
        },
      ],
    ] as const) {
      t.equal(await use(a, name), 'first', name)
      await lose()
      // As if the one that used it were not back yet.
      await redis.client.del(`copilot-gateway:used:${name}`)
      t.equal(await b.usedTokens.use(name, null), 'unreachable', `${name}: just then`)
      t.equal(await b.usedTokens.use(`${name}, another`, null), 'unreachable')
      const late = await startReplica(t, redis.url)
      t.equal(await late.usedTokens.use(name, null), 'unreachable', `${name}: at one that starts`)
      await redis.client.del(`copilot-gateway:used:${name}`)
    }
    await redis.client.flushall()
    t.equal(await use(b, 'flushed'), 'used', 'and it is told again')
    t.equal(await use(b, 'another'), 'first')
  },
)

t.test('a replica that shares nothing knows what it used', async (t) => {
  const alone = await startReplica(t, null)
  const use = () => alone.usedTokens.use('once', null)
  t.same(await Promise.all([use(), use()]), ['first', 'used'])
})

t.test('refusals at one replica count at the other', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
  const now = Date.now()
  const ip = '192.0.2.1'
  for (let i = 0; i < 3; i += 1) t.equal(a.refusals(rate).count(ip, now), 0)
  await answered(a)
  t.equal(b.refusals(rate).count(ip, now), 0, 'the first is answered before the others are asked')
  await answered(b)
  const wait = b.refusals(rate).count(ip, now)
  t.ok(wait > 0 && wait <= hour, 'from then on it is past the rate')
  t.equal(b.refusals({ count: 10, window: hour }).count(ip, now), 0, 'unless the rate has changed')
  await answered(b)

  const key = `copilot-gateway:refusals:${ip}`
  const before = await redis.client.get(key)
  for (let i = 0; i < 100; i += 1) b.refusals(rate).count(ip, now)
  await answered(b)
  t.equal(await redis.client.get(key), before, 'a flood is not told to Redis')

  await redis.client.persist(key)
  b.refusals({ count: 1000, window: 1000 }).count(ip, now)
  await answered(b)
  t.ok((await redis.client.pttl(key)) > 0, 'no count is for ever')
})

t.test('what is shared holds when Redis comes back empty', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const [a, b] = [await startReplica(t, redis.url), await startReplica(t, redis.url)]
  const now = Date.now()
  const hears = heard(b)
  a.revocations.add(revocation('before'))
  await hears
  t.equal(await use(a, 'token'), 'first')
  for (let i = 0; i < 3; i += 1) a.refusals(rate).count('192.0.2.1', now)
  // The next server's clock is behind this one's.
  await redis.client.xadd(stream, '9999999999999-0', 'revocation', '{}')

  await redis.stop()
  await Promise.all([a.is('down'), b.is('down')])
  t.ok(isRevoked(b, 'before'), 'what is known holds')
  t.match(b.redis(), { up: false })
  t.equal(b.scope(), 'process')
  t.equal(await b.usedTokens.use('another', null), 'unreachable', 'no token is let in')
  t.equal(await use(a, 'token'), 'used')
  t.equal(b.refusals(rate).count('192.0.2.2', now), 0, 'refusals are counted here')
  for (let i = 0; i < 2; i += 1) b.refusals(rate).count('192.0.2.2', now)
  t.ok(b.refusals(rate).count('192.0.2.2', now))
  a.revocations.add(revocation('meanwhile'))
  a.revocations.add(revocation('meanwhile'))
  t.notOk(isRevoked(b, 'meanwhile'))

  const hearsLater = heard(b)
  await redis.start()
  t.match(await hearsLater, { userId: 'meanwhile' }, 'what was revoked meanwhile is told')
  await Promise.all([a.is('up'), b.is('up')])
  t.equal(await use(b, 'token'), 'used', 'a used token stays used')
  t.equal(await use(b, 'another'), 'first', 'one that was refused is not used')
  a.refusals({ count: 10, window: hour }).count('192.0.2.1', now)
  await answered(a)
  b.refusals(rate).count('192.0.2.1', now)
  await answered(b)
  t.ok(b.refusals(rate).count('192.0.2.1', now), 'what was counted counts')

  const late = await startReplica(t, redis.url)
  t.same(
    ['before', 'meanwhile', 'agent-1'].map((id) => isRevoked(late, id)),
    [true, true, false],
    'a new replica is told all',
  )
  t.same(
    a.lines.map(({ event, state }) => [event, state]),
    ['up', 'down', 'up'].map((state) => ['redis', state]),
    'the log has a line a change',
  )
})

t.test('what a server lost is told to it, and nothing else', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const replica = await startReplica(t, redis.url)
  const told = async (count: number): Promise<void> => {
    for (let i = 0; i < 1000 && (await redis.client.xlen(stream)) < count; i += 1) {
      await answered(replica)
    }
  }
  replica.revocations.add(revocation('kept'))
  await told(1)
  await redis.client.save()
  replica.revocations.add(revocation('lost'))
  await told(2)
  // A round is under way when the server dies.
  redis.signal('SIGSTOP')
  t.equal(await replica.usedTokens.use('token', null), 'unreachable')
  await redis.stop()
  await replica.is('down')
  await redis.start()
  await replica.is('up')
  const entries = await redis.client.xrange(stream, '-', '+')
  t.match(
    entries.map(([, [, text]]) => text),
    [/"kept"/, /"lost"/],
  )
})

t.test(
  'a stream that is lost in the middle of a round is told again',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const known = [revocation('agent-1')]
    const lose = () => void redis.client.flushall()
    const { publish, round } = createRevocationStream(() => known, lose)
    await round(redis.client, true)
    known.push(revocation('agent-2'))
    known.slice(1).forEach(publish)
    // What it reads now is its own first entry.
    await round(redis.client, false)
    t.equal(await redis.client.exists(stream), 0)
    await round(redis.client, false)
    const entries = await redis.client.xrange(stream, '-', '+')
    t.match(
      entries.map(([, [, text]]) => text),
      [/"agent-1"/, /"agent-2"/],
    )
  },
)
