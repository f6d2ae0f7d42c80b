// Two gateways and one Redis, which is stopped and started in between.
import t from 'tap'
import { ask } from '../stage.ts'
import { redisMissing, startRedis } from '../state/redis-server.ts'
import { closed, freshLink, type Operated, operate, startWorkspace, until } from './operated.ts'

t.test('two replicas', { skip: redisMissing }, async (t) => {
  const redis = await startRedis(t)
  const upstream = await startWorkspace(t)
  const env = { REDIS_URL: redis.url, ONE_TIME_TOKENS: 'true', RATE_LIMIT: '40/1h' }
  const one = await operate(t, upstream, env)
  const other = await operate(t, upstream, env)
  const readiness = async ({ admin }: Operated): Promise<unknown> => {
    const { status, body } = await admin('/readyz')
    return `${status} ${JSON.parse(body).status}`
  }
  const both = (state: string) => async (): Promise<boolean> =>
    (await readiness(one)) === state && (await readiness(other)) === state
  const session = async (gateway: Operated): Promise<string> => {
    const { headers } = await ask(gateway.origin, freshLink('kept'))
    const [line = ''] = headers['set-cookie'] ?? []
    return line.slice(0, line.indexOf(';'))
  }
  const goesOn = async ({ origin }: Operated, cookie: string): Promise<number> =>
    (await ask(origin, '/a', { headers: { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' } }))
      .status

  await t.test('a session that one ends is over at the other', async (t) => {
    await until(both('200 ready'))
    const socket = await other.socket('ended')
    const end = closed(socket)
    const { body } = await one.admin('/sessions/ended', 'DELETE')
    t.match(JSON.parse(body), { scope: 'replicas' })
    t.equal(await end, '1008 session-revoked')
    t.equal(await other.opens('ended'), 403)
  })

  await t.test('a token that one has seen opens nothing at the other', async (t) => {
    const link = freshLink()
    t.equal((await ask(one.origin, link)).status, 200)
    t.equal((await ask(other.origin, link)).status, 403)
  })

  await t.test('while Redis is away', async (t) => {
    const cookie = await session(one)
    await redis.stop()
    await until(both('200 degraded'))
    t.equal(await goesOn(other, cookie), 200, 'sessions go on')
    t.equal(await other.opens('ended'), 403, 'what was revoked stays so')
    t.equal(await one.opens(), 503, 'a one-time token opens nothing')
    const { body } = await one.admin('/sessions/kept', 'DELETE')
    t.match(JSON.parse(body), { scope: 'process' }, 'a revocation says how far it reaches')
    t.equal(await goesOn(one, cookie), 403)
    t.equal(await goesOn(other, cookie), 200, 'and reaches no further')

    await redis.start()
    await until(both('200 ready'))
    await until(async () => (await goesOn(other, cookie)) === 403)
    t.pass('until Redis is back')
    await until(async () => (await one.opens()) === 200)
    t.pass('and one-time tokens open again, once all that were used are known')
    t.equal(await other.opens('ended'), 403, 'nothing is forgotten')
  })

  await t.test('refusals that one has counted count at the other', async (t) => {
    await until(async () => (await ask(one.origin, '/')).status === 429)
    await until(async () => (await ask(other.origin, '/')).status === 429)
    t.pass('429 at both')
  })
})
