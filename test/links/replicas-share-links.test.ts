// Two processes and one Redis: a link that one has made opens at the other, once, and Redis can open none.
import t from 'tap'
import { run } from '../process/child.ts'
import { ask, secret } from '../stage.ts'
import { type RedisServer, redisMissing, startRedis } from '../state/redis-server.ts'
import { byIds, call, client, led, shorten, startLinks } from './stage.ts'

const gateway = 'https://gateway.example'
const path = '/links/by-conversation/conversation-17'

/** Everything that Redis has, as text. */
async function everything({ client }: RedisServer): Promise<string> {
  const keys = await client.keys('*')
  const values = keys.map(async (key) => {
    const type = await client.type(key)
    if (type === 'hash') return [key, await client.hgetall(key)]
    return [key, type === 'zset' ? await client.zrange(key, '0', '-1') : await client.get(key)]
  })
  return JSON.stringify(await Promise.all(values))
}

t.test('two processes', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const starting = [1, 2].map(async () => {
    const child = run(t, {
      COPILOT_URL: 'http://127.0.0.1:1',
      JWT_SECRET: secret,
      PUBLIC_URL: gateway,
      PORT: '0',
      ADMIN_PORT: 'off',
      LINKS_PORT: '0',
      LINKS_CLIENTS: client(),
      REDIS_URL: redis.url,
    })
    const { addresses } = await child.logged(({ event }) => event === 'listening')
    return String([addresses].flat()[1])
  })
  const [one = '', other = ''] = await Promise.all(starting)

  await t.test('a short link opens once at either', async (t) => {
    for (let i = 0; i < 10; i += 1) {
      const path = await shorten(i % 2 === 0 ? one : other)
      const opened = [one, other, one, other].map((origin) => ask(origin, path))
      const statuses = (await Promise.all(opened)).map(({ status }) => status)
      t.same(statuses.sort(), [303, 404, 404, 404])
    }
    const thrice = await shorten(one, { short: { uses: 3 } })
    const opened = Array.from({ length: 8 }, (_, i) => ask(i % 2 === 0 ? one : other, thrice))
    const statuses = (await Promise.all(opened)).map(({ status }) => status)
    t.equal(statuses.filter((status) => status === 303).length, 3)
    t.same(await redis.client.keys('*link*'), [], 'and nothing of them stays')
  })

  await t.test('a conversation’s link is found at the other', async (t) => {
    t.equal((await call(one, path, byIds, { method: 'PUT' })).status, 200)
    for (const origin of [one, other, one]) {
      const { status, body } = await call(origin, path, undefined)
      t.equal(status, 200)
      t.equal(led(JSON.parse(body).url).origin, gateway)
    }
  })

  await t.test('who reads Redis can open nothing, and nothing is there for ever', async (t) => {
    const short = await shorten(one, { short: { uses: 2, expiresIn: '2m' } })
    const all = await everything(redis)
    t.match(all, 'copilot-gateway:link:')
    for (const text of [
      ...Object.values(byIds),
      'eyJ',
      short.slice('/o/'.length),
      'conversation-17',
    ]) {
      t.notMatch(all, text)
    }
    for (const key of await redis.client.keys('*link*')) {
      const left = await redis.client.pttl(key)
      t.ok(left > 0 && left <= 12 * 3_600_000, `${left} ms`)
    }
    // What is put in its place is not taken for it.
    const [key = ''] = await redis.client.keys('copilot-gateway:link:*')
    const names = await redis.client.keys('copilot-gateway:link:*')
    const text = await redis.client.hget(key, 'text')
    for (const name of names) await redis.client.hset(name, 'text', `A${String(text).slice(1)}`)
    t.equal((await ask(other, short)).status, 404)
  })

  await t.test('without Redis links are signed and none is kept', async (t) => {
    const short = await shorten(one)
    await redis.stop()
    const { status, headers } = await call(one, '/links', { ...byIds, short: true })
    t.equal(status, 503)
    t.equal(headers['retry-after'], '30')
    t.equal((await ask(one, short)).status, 503)
    t.equal((await call(one, path, undefined)).status, 503)
    t.equal((await call(one, path, byIds, { method: 'PUT' })).status, 503)
    t.equal((await call(one, '/links', byIds)).status, 200)
  })
})

t.test('no contact center takes all of Redis', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const { origin, told } = await startLinks(t, gateway, { REDIS_URL: redis.url })
  const full = Array.from({ length: 20_000 }, (_, i) => [Date.now() + 3_600_000, `key-${i}`])
  await redis.client.zadd('copilot-gateway:links:default', ...full.flat())
  t.equal((await call(origin, '/links', { ...byIds, short: true })).status, 503)
  await redis.client.zadd('copilot-gateway:links:default', Date.now() - 1, 'key-7')
  const short = await shorten(origin)
  t.match(short, /^\/o\//, 'what is over makes room')
  await redis.stop()
  t.equal((await call(origin, '/links', { ...byIds, short: true })).status, 503)
  t.equal((await ask(origin, short)).status, 503)
  const [isFull, , isAway, isAwayToo] = (await told(4)).map(({ reason }) => reason)
  t.same(
    [isFull, isAway, isAwayToo],
    ['store-full', 'state-unreachable', 'state-unreachable'],
    'the log tells one from the other',
  )
})
