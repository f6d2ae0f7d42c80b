// What is built, started as a user starts it: two workers beside a Redis, on the tests' own Node.js.
import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ask, jwt, link } from '../stage.ts'
import { redisMissing, startRedis } from '../state/redis-server.ts'
import { closed, operate, startWorkspace, until } from './operated.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const before = 'the-secret-before-of-256-bits-as-text'
const after = 'the-secret-after-of-256-bits-as-text'

/** A clone, in which is built. */
const folder = t.testdir({ secret: before })
for (const path of [
  'build.ts',
  'tsconfig.json',
  'tsconfig.build.json',
  'packages',
  'src',
  'demo',
]) {
  cpSync(join(root, path), join(folder, path), { recursive: true })
}
const { name, version, type, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
// Without dependencies, which npx would fetch.
writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version, type, bin }))

/** Runs without what tap has every Node.js load: the compiler can't bear it. */
function run(...command: readonly string[]) {
  const compilers = join(root, 'node_modules/.bin')
  const { status, stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', ...command], {
    cwd: folder,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: [dirname(process.execPath), compilers, process.env['PATH']].join(delimiter),
      npm_config_cache: join(folder, 'cache'),
      npm_config_offline: 'true',
    },
  })
  return { status, stdout, stderr: status === 0 ? '' : stderr }
}

function build(): void {
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  t.match(run(process.execPath, 'build.ts'), { status: 0 })
  // What runs finds it further up, and npx is not to touch it.
  unlinkSync(join(folder, 'node_modules'))
}

build()

t.test('npx runs what was built, and what is built anew', async (t) => {
  const expected = { status: 0, stdout: `${version}\n`, stderr: '' }
  t.same(run('npx', name, '--version'), expected)
  // The first time npx has made the file one that can be run.
  build()
  t.same(run('npx', name, '--version'), expected)
})

t.test('it serves, revokes, reloads and ends', { skip: redisMissing }, async (t) => {
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
