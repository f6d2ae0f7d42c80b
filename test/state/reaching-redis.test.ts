import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import t from 'tap'
import { listen } from '../stage.ts'
import {
  answered,
  freePort,
  redisMissing,
  season,
  startRedis,
  startReplica,
  use,
} from './redis-server.ts'

const folder = t.testdir({})
const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
execFileSync('bash', [script, '--out', folder], { stdio: 'ignore' })
const path = (name: string): string => join(folder, name)
const read = (name: string): string => readFileSync(path(name), 'utf8')

t.test('over TLS the server is verified', { skip: redisMissing }, async (t) => {
  const port = await freePort()
  const files = ['cert', 'key', 'ca-cert'].flatMap((option, i) => [
    `--tls-${option}-file`,
    path(['server.pem', 'server-key.pem', 'ca.pem'][i] ?? ''),
  ])
  const redis = await startRedis(t, [
    ...['--tls-port', String(port), '--tls-auth-clients', 'no'],
    ...['--bind', '127.0.0.1', '127.0.0.2'],
    ...files,
  ])
  const certificates = getCACertificates()
  t.teardown(() => setDefaultCACertificates(certificates))
  for (const [name, trusted, url, expected] of [
    ['a name', true, `rediss://localhost:${port}`, { state: 'up' }],
    ['an IPv4 address', true, `rediss://127.0.0.1:${port}/`, { state: 'up' }],
    ['no CA', false, `rediss://localhost:${port}`, { code: 'SELF_SIGNED_CERT_IN_CHAIN' }],
    ['another name', true, `rediss://127.0.0.2:${port}`, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }],
    ['no TLS there', true, `rediss://localhost:${redis.port}`, { state: 'down' }],
    ['no TLS here', true, `redis://localhost:${port}`, { state: 'down' }],
  ] as const) {
    setDefaultCACertificates(trusted ? [read('ca.pem')] : [])
    const replica = await startReplica(t, url)
    if (replica.lines.length === 0) await replica.is('down')
    t.match(replica.lines, [expected], name)
    await replica.close()
  }
})

t.test('over TLS the server is named, so that one address may serve several', async (t) => {
  const names: string[] = []
  const server = createServer({
    cert: read('server.pem'),
    key: read('server-key.pem'),
    SNICallback: (name, done) => {
      names.push(name)
      done(null)
    },
  })
  server.on('tlsClientError', () => {})
  const port = await listen(server)
  t.teardown(() => server.close())
  const certificates = getCACertificates()
  t.teardown(() => setDefaultCACertificates(certificates))
  setDefaultCACertificates([read('ca.pem')])
  const replica = await startReplica(t, `rediss://localhost:${port}`)
  await replica.close()
  t.equal(names[0], 'localhost')
})

t.test(
  'a user, a password and a database are taken from the URL',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis(t)
    const password = 'p@ss/wörd?#:%'
    // All that a gateway needs; operators may grant no more.
    const rights =
      '+select +exists +xread +xadd +xrange +xdel +time +info +get +set +del +eval +incr +incrby +pttl +pexpire'
    const other = new Redis({ port: redis.port, db: 2 })
    t.teardown(() => other.disconnect())
    await season(other)
    await redis.client.acl('SETUSER', 'gate+way', 'on', `>${password}`, '~copilot-gateway:*')
    await redis.client.acl('SETUSER', 'gate+way', ...rights.split(' '))
    await redis.client.acl('SETUSER', 'default', 'resetpass', '>another')
    const url = `redis://gate%2Bway:${encodeURIComponent(password)}@127.0.0.1:${redis.port}/2`
    const [a, b] = [await startReplica(t, url), await startReplica(t, url)]
    const heard = new Promise((resolve) => b.onRevoked(resolve))
    a.revocations.add({
      contactCenter: 'sales',
      userId: null,
      sessionId: null,
      before: Date.now(),
      until: Date.now() + 60_000,
    })
    t.match(await heard, { contactCenter: 'sales' })
    t.equal(await use(a, 'token'), 'first')
    a.refusals({ count: 1, window: 60_000 }).count('2001:db8::1', Date.now())
    await answered(a)
    const keys = await other.keys('*')
    t.same(keys.filter((key) => !key.includes('asked-')).sort(), [
      'copilot-gateway:refusals:2001:db8:0:0',
      'copilot-gateway:revocations',
      'copilot-gateway:since',
      'copilot-gateway:used:token',
    ])
  },
)
