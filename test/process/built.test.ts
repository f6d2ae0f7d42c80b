// What is built, started as a user starts it: two workers beside a Redis, on the tests' own Node.js.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ask, jwt, link } from '../stage.ts'
import { redisMissing, startRedis } from '../state/redis-server.ts'
import { closed, operate, startWorkspace, until } from './operated.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const before = 'the-secret-before-of-256-bits-as-text'
const after = 'the-secret-after-of-256-bits-as-text'

t.test('it serves, revokes, reloads and ends', { skip: redisMissing }, async (t) => {
  const folder = t.testdir({ secret: before })
  const build = ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')]
  // Without what tap has every Node.js load: the compiler can't bear it.
  execFileSync('env', ['-u', 'NODE_OPTIONS', join(root, 'node_modules/.bin/tsc'), ...build])
  const redis = await startRedis(t)
  const env = {
    WORKERS: '2',
    REDIS_URL: redis.url,
    JWT_SECRET: '',
    JWT_SECRET_FILE: join(folder, 'secret'),
  }
  const workspace = await startWorkspace(t)
  const gateway = await operate(t, workspace, env, {
    command: [process.execPath, join(folder, 'dist/src/cli.js')],
  })
  const linkBy = (key: string, path?: string): string =>
    link({ auth: jwt(undefined, { key }) }, path)
  const statusOf = async (key: string): Promise<number> =>
    (await ask(gateway.origin, linkBy(key))).status

  t.same([await statusOf(before), await statusOf(after)], [200, 401])
  const { body: metrics } = await gateway.admin('/metrics')
  t.match(metrics, `nodejs_version_info{version="${process.version}"`, 'no other Node.js runs it')
  t.comment(`Node.js ${process.version}`)

  writeFileSync(join(folder, 'secret'), after)
  gateway.kill('SIGHUP')
  await gateway.logged((line) => line['event'] === 'reloaded')
  t.same([await statusOf(before), await statusOf(after)], [401, 200])

  const socket = await gateway.socket(undefined, linkBy(after, '/ws'))
  const end = closed(socket)
  const { body } = await gateway.admin('/sessions/session-1', 'DELETE')
  t.match(JSON.parse(body), { scope: 'replicas' })
  t.equal(await end, '1008 session-revoked')
  await until(async () => (await statusOf(after)) === 403)

  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})
