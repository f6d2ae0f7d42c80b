// The links API opens, reloads and closes with the gateway it makes links for.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { basic, byIds, client, led, otherSecret, shorten } from '../links/stage.ts'
import { ask, listen, secret, startUpstream } from '../stage.ts'
import { dial } from '../websocket/peer.ts'
import { type Child, run, start } from './child.ts'

const upstream = await startUpstream(t)
const links = { LINKS_PORT: '0', LINKS_CLIENTS: client() }

async function listening(child: Child): Promise<readonly string[]> {
  const { addresses } = await child.logged(({ event }) => event === 'listening')
  return [addresses].flat().map(String)
}

async function letsIn(t: Test, origin: string, gateway: string): Promise<void> {
  const path = await shorten(origin)
  const { status, headers } = await ask(origin, path)
  t.equal(status, 303)
  t.equal(led(headers.location).origin, gateway)
  t.equal((await ask(gateway, led(headers.location).target)).status, 200)
  t.equal((await ask(origin, path)).status, 404)
}

t.test('its address stands beside the others, and it closes with them', async (t) => {
  // Of several workers the primary serves it.
  const env = { ...links, ADMIN_PORT: '0', WORKERS: '2', DRAIN_TIMEOUT: '1h' }
  const gateway = await start(t, upstream.origin, env)
  const [, admin = '', origin = '', ...more] = await listening(gateway)
  t.same(more, [])
  t.equal((await ask(admin, '/healthz')).status, 200)
  await letsIn(t, origin, gateway.origin)
  await ask(origin, '/links', { method: 'POST' })
  const series = ({ body }: { readonly body: string }): string[] =>
    body.match(/^copilot_gateway_links_total.*$/gm)?.sort() ?? []
  t.same(series(await ask(admin, '/metrics')), [
    'copilot_gateway_links_total{asked="open",reason="",contact_center="default"} 1',
    'copilot_gateway_links_total{asked="open",reason="link-unknown",contact_center=""} 1',
    'copilot_gateway_links_total{asked="shorten",reason="",contact_center="default"} 1',
    'copilot_gateway_links_total{asked="sign",reason="client-missing",contact_center=""} 1',
  ])
  // Who says nothing is not waited for.
  const idle = await dial(t, Number(new URL(origin).port))
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, signal: null, stderr: '' })
  await idle.ended
  t.notMatch(JSON.stringify(gateway.lines), /eyJ|\?/)
})

t.test('an address that can’t be had ends the start', async (t) => {
  const taken = createServer()
  const port = await listen(taken)
  t.teardown(() => taken.close())
  const needed = { COPILOT_URL: upstream.origin, JWT_SECRET: secret, PORT: '0', ADMIN_PORT: '0' }
  const { code, stderr, lines } = await run(t, { ...needed, ...links, LINKS_PORT: `${port}` }).ended
  t.equal(code, 1)
  t.match(stderr, `Cannot listen on LINKS_HOST 127.0.0.1, LINKS_PORT ${port}: EADDRINUSE`)
  t.notOk(lines.some(({ event }) => event === 'listening'))
})

t.test('over TLS where the gateway is, by what a reload brings', async (t) => {
  const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
  const dir = t.testdir({ old: {}, new: {} })
  const text = (name: string): string => readFileSync(join(dir, name), 'utf8')
  for (const name of ['old', 'new']) {
    const args = ['--out', join(dir, name), '--client', 'agent']
    execFileSync(script, args, { stdio: 'ignore' })
  }
  const env = (name: string, clients: string): string =>
    Object.entries({
      COPILOT_URL: upstream.origin,
      JWT_SECRET: secret,
      PORT: '0',
      ADMIN_PORT: 'off',
      LINKS_PORT: '0',
      LINKS_CLIENTS: clients,
      TLS_CERT_FILE: join(dir, name, 'server.pem'),
      TLS_KEY_FILE: join(dir, name, 'server-key.pem'),
      TLS_CLIENT_CA_FILE: join(dir, name, 'ca.pem'),
    })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')
  writeFileSync(join(dir, '.env'), env('old', client()))
  const gateway = run(t, {}, { cwd: dir })
  const [inside = '', origin = ''] = await listening(gateway)
  t.match(origin, /^https:/)
  const get = (path: string, ca: string) =>
    new Promise<{ status: number; location: string }>((resolve, reject) => {
      const agent = new Agent({ ca: text(`${ca}/ca.pem`), servername: 'localhost' })
      request(origin + path, { agent }, (response) => {
        response.resume()
        const { statusCode: status = 0, headers } = response
        t.match(headers['strict-transport-security'], /max-age/)
        resolve({ status, location: headers.location ?? '' })
      })
        .on('error', reject)
        .end()
    })
  const ask = (path: string, body: string, authorization: string) =>
    new Promise<string>((resolve, reject) => {
      const headers = { Authorization: authorization, 'Content-Type': 'application/json' }
      const agent = new Agent({ rejectUnauthorized: false })
      const asking = request(origin + path, { agent, method: 'POST', headers }, (response) => {
        response.setEncoding('utf8').once('data', resolve)
      })
      asking.on('error', reject).end(body)
    })
  const { shortUrl } = JSON.parse(
    await ask('/links', JSON.stringify({ ...byIds, short: { uses: 2 } }), basic().Authorization),
  )
  t.equal(led(shortUrl).origin, origin, 'Host over TLS')
  const first = await get(led(shortUrl).target, 'old')
  t.equal(first.status, 303, 'without a client’s certificate')
  t.equal(led(first.location).origin, inside, 'which the gateway itself asks for')
  await t.rejects(get('/', 'new'))

  writeFileSync(join(dir, '.env'), env('new', `${client()} ${client('pbx', otherSecret)}`))
  gateway.kill('SIGHUP')
  await gateway.logged(({ event }) => event === 'reloaded')
  await t.rejects(get('/', 'old'))
  t.equal((await get(led(shortUrl).target, 'new')).status, 303, 'what was kept stays')
  const pbx = basic('pbx', otherSecret).Authorization
  t.match(await ask('/links', JSON.stringify(byIds), pbx), /"url"/, 'a client of now')
})
