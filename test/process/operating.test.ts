// What operators are told, and what they ask for, holds of the gateway as it runs.
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { ask, link, startUpstream } from '../stage.ts'
import { run } from './child.ts'
import { closed, operate, startWorkspace, until } from './operated.ts'

t.test('what happens is measured, listed and ended', async (t) => {
  const gateway = await operate(t, await startWorkspace(t))
  t.equal((await gateway.admin('/readyz')).status, 200)
  t.equal(await gateway.opens(), 200)
  t.equal((await ask(gateway.origin, '/')).status, 401)
  const socket = await gateway.socket()
  const { body: metrics } = await gateway.admin('/metrics')
  for (const line of [
    'requests_total{decision="allow",reason="",contact_center="default",transport="http"} 1',
    'requests_total{decision="deny",reason="token-missing",contact_center="",transport="http"} 1',
    'sockets{contact_center="default"} 1',
    'sessions{contact_center="default"} 1',
    'tokens_verified_total{contact_center="default",key="1"} 2',
    'upstream_up{upstream="backend"} 1',
  ]) {
    t.match(metrics, `copilot_gateway_${line}`)
  }
  const { sessions, total } = JSON.parse((await gateway.admin('/sessions')).body)
  t.equal(total, 1)
  const ids = { contactCenter: 'default', userId: 'agent-7', sessionId: 'session-1' }
  t.match(sessions, [{ ...ids, sockets: 1 }])

  const end = closed(socket)
  const { status, body } = await gateway.admin('/sessions/session-1', 'DELETE')
  t.equal(status, 200)
  t.match(JSON.parse(body), { scope: 'process', revoked: { sessionId: 'session-1' } })
  t.equal(await end, '1008 session-revoked')
  t.equal(await gateway.opens(), 403)
  t.equal(await gateway.opens('session-2'), 200, 'and no other')
})

t.test('a secret in use and one that is not are told apart', async (t) => {
  const unused = 'another-secret-that-nobody-signs-with'
  const gateway = await operate(t, await startWorkspace(t), {
    JWT_SECRET: `a-shared-secret-of-256-bits-as-text ${unused}`,
  })
  await gateway.opens()
  const { body } = await gateway.admin('/metrics')
  t.match(body, /key_last_used_timestamp_seconds\{contact_center="default",key="1"\} 1\d{9}/)
  t.match(body, 'key_last_used_timestamp_seconds{contact_center="default",key="2"} 0')
})

t.test('without its upstream the gateway is not ready', async (t) => {
  const gateway = await operate(t, await startWorkspace(t), {
    COPILOT_API_URL: 'http://127.0.0.1:1',
  })
  const { status, body } = await gateway.admin('/readyz')
  t.equal(status, 503)
  t.match(JSON.parse(body), { upstreams: [{ name: 'backend', error: 'ECONNREFUSED' }] })
  t.equal((await gateway.admin('/healthz')).status, 200, 'but alive')
})

t.test('it serves on for DRAIN_DELAY while it is not ready, and then finishes', async (t) => {
  const waiting: ServerResponse[] = []
  const upstream = await startUpstream(t, (request, response) => {
    if (request.url?.startsWith('/slow')) waiting.push(response)
    else response.end('ok')
  })
  const gateway = await operate(t, upstream, { DRAIN_DELAY: '5s' })
  const slow = ask(gateway.origin, link({}, '/slow'))
  await until(() => waiting.length === 1)
  gateway.kill('SIGTERM')
  await until(async () => (await gateway.admin('/readyz')).status === 503)
  t.match(JSON.parse((await gateway.admin('/readyz')).body), { status: 'draining' })
  const { status, headers } = await ask(gateway.origin, link())
  t.equal(status, 200, 'new requests are still served')
  t.equal(headers.connection, 'close', 'and their connections end')
  waiting[0]?.end('at last')
  t.match(await slow, { status: 200, body: 'at last' })
  t.match(await gateway.ended, { code: 0, signal: null, stderr: '' })
})

t.test('a contact center with published keys is served by a process alone', async (t) => {
  const upstream = await startUpstream(t, (_, response) => response.end('{"keys":[]}'))
  const yaml = [
    `copilotUrl: ${upstream.origin}`,
    'adminPort: off',
    'port: 0',
    'sessionSecret: { env: SESSIONS }',
    `contactCenters: [{ name: a, keys: { jwks: ${upstream.origin}/jwks } }]`,
  ]
  const folder = t.testdir({ 'gateway.yaml': yaml.join('\n') })
  const gateway = run(
    t,
    { SESSIONS: 'the-secret-of-sessions-of-this-test' },
    {
      args: ['start', '--config', `${folder}/gateway.yaml`],
    },
  )
  await gateway.logged((line) => line['event'] === 'listening')
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0 })
})

t.test('SIGTERM under load loses nothing that was accepted', async (t) => {
  for (const WORKERS of ['1', '2']) {
    const gateway = await operate(t, await startWorkspace(t), { WORKERS })
    const sockets = await Promise.all(Array.from({ length: 200 }, () => gateway.socket()))
    const ends = Promise.all(sockets.map(closed))
    const wrong: string[] = []
    let answered = 0
    let refused = false
    const client = async (): Promise<void> => {
      while (!refused) {
        await ask(gateway.origin).then(
          ({ status, complete }) => {
            if (status === 200 && complete) answered += 1
            else wrong.push(`${status}${complete ? '' : ' cut short'}`)
          },
          (error: unknown) => {
            refused = true
            // Nobody listens any more: what was not accepted is not lost.
            const code = String(Reflect.get(Object(error), 'code'))
            if (code !== 'ECONNREFUSED' && code !== 'ECONNRESET') wrong.push(code)
          },
        )
      }
    }
    const clients = Array.from({ length: 64 }, client)
    await until(() => answered > 500)
    gateway.kill('SIGTERM')
    t.same(new Set(await ends), new Set(['1012 draining']), `${WORKERS}: sockets`)
    await Promise.all(clients)
    t.same(wrong, [], `${WORKERS}: requests`)
    t.match(await gateway.ended, { code: 0, signal: null, stderr: '' }, `${WORKERS}: its end`)
  }
})
