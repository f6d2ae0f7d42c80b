// `start` says in one line where it listens; what keeps it from that it says whole, and ends with 1.
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { link, listen, secret, startUpstream } from '../stage.ts'
import { run, start } from './child.ts'

const upstream = await startUpstream(t)
const needed = { COPILOT_URL: upstream.origin, JWT_SECRET: secret, ADMIN_PORT: 'off' }

t.test('one line, with every address, when it serves', async (t) => {
  const gateway = await start(t, upstream.origin)
  t.match(gateway.origin, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  const response = await fetch(gateway.origin + link())
  t.equal(`${response.status} ${await response.text()}`, '200 ok')
  gateway.kill('SIGTERM')
  const { code, signal, stderr, lines } = await gateway.ended
  t.same({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
  t.equal(lines.filter(({ event }) => event === 'listening').length, 1)
  t.equal(lines.filter(({ event }) => event === 'access').length, 1)
  for (const line of lines) {
    t.type(line['level'], 'number')
    t.type(line['time'], 'number')
  }
  t.notMatch(JSON.stringify(lines), secret, 'no secret is in the log')
})

t.test('start is the default, and takes its settings from .env', async (t) => {
  const dir = t.testdir()
  const env = { ...needed, PORT: '0', FRAME_ANCESTORS: 'cc.example' }
  writeFileSync(
    join(dir, '.env'),
    Object.entries(env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const gateway = run(t, {}, { args: [], cwd: dir })
  const { addresses } = await gateway.logged(({ event }) => event === 'listening')
  t.match(addresses, [/^http:/])
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0 })
})

t.test('IPv6', async (t) => {
  const gateway = await start(t, upstream.origin, { HOST: '::1' })
  t.match(gateway.origin, /^http:\/\/\[::1\]:\d+$/)
  t.equal((await fetch(gateway.origin)).status, 401)
})

t.test('a port in use', async (t) => {
  const taken = createServer()
  const port = await listen(taken)
  t.teardown(() => taken.close())
  const { code, stderr, lines } = await run(t, { ...needed, PORT: `${port}` }).ended
  t.equal(code, 1)
  t.match(stderr, /^.*PORT.*EADDRINUSE.*\n$/, 'one clear line')
  t.match(stderr, `${port}`)
  t.notMatch(stderr, /\n\s+at /, 'no stack')
  t.notOk(lines.some(({ event }) => event === 'listening'))
})

t.test('nothing is set', async (t) => {
  const { code, stderr, lines } = await run(t, {}).ended
  t.equal(code, 1)
  t.match(stderr, /^COPILOT_URL /m)
  t.match(stderr, /^JWT_SECRET /m)
  t.match(stderr, /npm run demo/, 'where to begin')
  t.notMatch(stderr, /\n\s+at /, 'no stack')
  t.same(lines, [])
})

t.test('everything is wrong, and said at once', async (t) => {
  const wrong = {
    COPILOT_URL: 'ftp://copilot.example',
    COPILOT_API_URL: 'https://api.example/path',
    JWT_SECRET: 'too-short',
    FRAME_ANCESTORS: '*',
    PUBLIC_URL: 'gateway.example',
    HOST: 'a b',
    PORT: '99999',
    TLS_CERT_FILE: '/nowhere/cert.pem',
    TLS_KEY_FILE: '/nowhere/key.pem',
    TLS_CLIENT_CA_FILE: '/nowhere/ca.pem',
    UPSTREAM_CA_FILE: '/nowhere/upstream.pem',
    UPSTREAM_CERT_FILE: '/nowhere/cert.pem',
    UPSTREAM_KEY_FILE: '/nowhere/key.pem',
    REQUIRE_EXP: 'yes',
    TOKEN_MAX_AGE: '5 minutes',
    CLOCK_TOLERANCE: '-1s',
    SESSION_MAX_AGE: 'forever',
    SESSION_OUTLIVES_TOKEN: '1',
    FORWARD_AUTH: 'TRUE',
    TRUST_PROXY: 'proxy.example',
    BODY_LIMIT: '10 gb',
    WS_MAX_PAYLOAD: '0',
    HEADERS_TIMEOUT: '10',
    IDLE_TIMEOUT: 'x',
    UPSTREAM_TIMEOUT: '1y',
    DRAIN_TIMEOUT: '-5s',
    LOG_LEVEL: 'loud',
  }
  const { code, stderr, lines } = await run(t, wrong).ended
  t.equal(code, 1)
  for (const name of Object.keys(wrong)) t.match(stderr, new RegExp(`^${name} `, 'm'), name)
  t.notMatch(stderr, 'too-short', 'what may be a secret is not repeated')
  t.match(stderr, /npm run demo/)
  t.same(lines, [], 'nothing started')
})

t.test('a secret in two places, or nowhere it is said to be', async (t) => {
  const file = join(t.testdir({ secret: `${secret}\n` }), 'secret')
  const both = await run(t, { ...needed, JWT_SECRET_FILE: file }).ended
  t.equal(both.code, 1)
  t.match(both.stderr, /JWT_SECRET.*JWT_SECRET_FILE/)
  const { JWT_SECRET, ...others } = needed
  const missing = await run(t, { ...others, JWT_SECRET_FILE: `${file}-gone` }).ended
  t.equal(missing.code, 1)
  t.match(missing.stderr, /^JWT_SECRET_FILE .*ENOENT/m)
  for (const { stderr } of [both, missing]) t.notMatch(stderr, JWT_SECRET)
})

t.test('a secret in a file', async (t) => {
  const file = join(t.testdir({ secret: `${secret}\n` }), 'secret')
  const gateway = await start(t, upstream.origin, { JWT_SECRET: '', JWT_SECRET_FILE: file })
  t.equal((await fetch(gateway.origin + link())).status, 200)
  gateway.kill('SIGINT')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})
