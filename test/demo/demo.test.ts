import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startDemo } from '../../demo/main.ts'
import { readable } from '../../demo/readable.ts'
import { listen, pickPorts } from '../../demo/site.ts'
import { createLog } from '../../src/observe/log.ts'
import { know, knowSecret, pour, pourAnswer } from '../sinks.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const log = createLog('trace', { write: (line) => pour('log', line) })

t.test('the desktop’s links open the workspace, and the links that must fail do', async (t) => {
  const demo = await startDemo({ pace: 5, log })
  t.teardown(() => demo.close())
  knowSecret(demo.secret)
  know('secret', demo.urlToken)
  t.equal(demo.gateway.hostname, 'localhost')
  t.equal(demo.desktop.hostname, 'contact-center.localhost')
  t.equal(demo.stranger.hostname, 'stranger.localhost')

  const desktop = await get(demo.desktop)
  t.match(desktop.headers['content-security-policy'], `frame-src ${demo.gateway.origin};`)
  t.match(desktop.body, `href="${demo.stranger.href}"`)
  const { chats } = JSON.parse((await get(new URL('/chats.json', demo.desktop))).body)
  t.strictSame(
    chats.map(({ sessionId }: { sessionId: string }) => sessionId),
    ['chat-2041', 'chat-2042'],
  )
  for (const { link, customer } of chats) {
    const opened = await get(new URL(link))
    t.equal(opened.status, 200, customer)
    t.match(opened.body, '<title>Copilot workspace</title>')
    t.match(
      opened.headers['content-security-policy'],
      `frame-ancestors ${demo.desktop.origin}`,
      'the contact center alone may frame it',
    )
  }

  t.match((await get(demo.refusals)).body, 'Links that must fail')
  const { refusals } = JSON.parse((await get(new URL('/refusals.json', demo.desktop))).body)
  t.strictSame(
    refusals.map(({ reason }: { reason: string }) => reason),
    ['token-expired', 'claim-mismatch', 'token-invalid', 'token-missing'],
  )
  for (const { link, status, reason } of refusals) {
    t.equal((await get(new URL(link))).status, status, reason)
  }

  const stranger = await get(demo.stranger)
  const [, link = ''] = /<iframe src="([^"]+)"/.exec(stranger.body) ?? []
  t.equal((await get(new URL(link.replaceAll('&amp;', '&')))).status, 200, 'a valid link')

  for (const path of [
    '/style.css',
    '/desktop.js',
    '/desk.js',
    '/copilot-workspace.js',
    '/refusals.js',
  ]) {
    t.equal((await get(new URL(path, demo.desktop))).status, 200, path)
  }
  t.equal((await get(new URL('/no', demo.desktop))).status, 404)
  for (const path of ['/chats.json', '/desk', '/']) {
    const rebound = await get(new URL(path, demo.desktop), undefined, 'evil.example')
    t.match(rebound, { status: 421, body: '' }, `${path}: DNS rebinding`)
  }
  t.equal((await get(demo.link('chat-2043'))).status, 200)
})

t.test('over HTTPS, under names of one’s own', async (t) => {
  const names = {
    gateway: 'gateway.test',
    contactCenter: 'contact-center.test',
    stranger: 'stranger.test',
  }
  const folder = t.testdir()
  const script = join(root, 'certs/make-dev-certs.sh')
  execFileSync(script, ['--out', folder, ...Object.values(names)], { stdio: 'ignore' })
  const [cert, key, ca] = ['server.pem', 'server-key.pem', 'ca.pem'].map((file) =>
    readFileSync(join(folder, file), 'utf8'),
  )
  t.ok(cert && key && ca)
  const demo = await startDemo({ names, tls: { cert: cert ?? '', key: key ?? '' }, log })
  t.teardown(() => demo.close())
  for (const [url, origin] of [
    [demo.desktop, `https://contact-center.test:${demo.desktop.port}`],
    [demo.stranger, `https://stranger.test:${demo.stranger.port}`],
    [demo.link('chat-2041'), `https://gateway.test:${demo.gateway.port}`],
  ] as const) {
    t.equal(url.origin, origin)
    t.equal((await get(url, ca)).status, 200, origin)
  }
  const { headers } = await get(demo.link('chat-2041'), ca)
  t.match(headers['content-security-policy'], `frame-ancestors ${demo.desktop.origin}`)
})

t.test('close ends every server', async (t) => {
  const demo = await startDemo()
  await demo.close()
  const { gateway, desktop, stranger, workspace, links } = demo
  for (const url of [gateway, desktop, stranger, workspace.page, workspace.api, links]) {
    await t.rejects(get(url), { code: 'ECONNREFUSED' }, url.href)
  }
})

t.test('a demo that cannot start leaves nothing behind', async (t) => {
  const ports = await pickPorts({ contactCenter: 0, workspacePage: 0 })
  await t.rejects(
    startDemo({
      names: { gateway: 'localhost', contactCenter: 'public.example', stranger: 'localhost' },
      ports: { gateway: 0, stranger: 0, workspaceApi: 0, links: 0, sip: 0, ...ports },
    }),
    { message: /^The demo's settings are wrong: FRAME_ANCESTORS / },
    'plain http from elsewhere may not frame',
  )
  for (const port of Object.values(ports)) {
    await t.rejects(get(new URL(`http://127.0.0.1:${port}`)), { code: 'ECONNREFUSED' })
  }
})

t.test('a port that is taken is left to whoever has it', async (t) => {
  const other = createServer()
  t.teardown(() => other.close())
  const taken = await listen(other, 0, '127.0.0.1')
  const { first, second, third } = await pickPorts({ first: taken, second: 0, third: 0 })
  t.equal(new Set([taken, first, second, third]).size, 4)
})

t.test('npm run demo says where everything is, and ends with the signal', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const demo = spawn(process.execPath, [join(root, 'src/cli.ts'), 'demo'])
    t.teardown(() => demo.kill('SIGKILL'))
    const exit = once(demo, 'exit')
    const problems = text(demo.stderr)
    const told = (pattern: RegExp): Promise<string> =>
      new Promise((resolve) => {
        let said = ''
        demo.stdout.on('data', (chunk) => {
          said += chunk
          if (pattern.test(said)) resolve(said)
        })
      })
    const introduction = await told(/^Ctrl-C/m)
    const [, gateway = ''] = /gateway +(http:\S+)/.exec(introduction) ?? []
    const decision = told(/^.* refused {2}401 token-missing {2}\/ .*$/m)
    t.equal((await get(new URL(gateway))).status, 401)
    await decision
    if (signal === 'SIGINT') {
      const [settings, command = ''] = [
        /^ {2}export (JWT_SECRET=\S+)\n {2}export (PUBLIC_URL=\S+) (URL_TOKENS=\S+)$/m,
        /^ {2}npx copilot-gateway (load .*)$/m,
      ].map((pattern) => pattern.exec(introduction))
      const env = Object.fromEntries(settings?.slice(1).map((one) => one.split('=')) ?? [])
      const [, token = ''] = /^URL_TOKENS=(.*)$/.exec(settings?.[3] ?? '') ?? []
      const linked = execFileSync(
        process.execPath,
        [join(root, 'src/cli.ts'), 'link', '--user', 'u', '--session', 's', '--url-token', token],
        { env: { ...process.env, ...env }, encoding: 'utf8' },
      )
      t.equal((await get(new URL(linked.trim()))).status, 200, 'what it prints signs links')
      t.equal(command?.[1], `load ${gateway}`)
      const [, links = '', client = ''] =
        /links API +(http:\S+) \(curl -u (\S+)\)/.exec(introduction) ?? []
      const authorization = `Basic ${Buffer.from(client).toString('base64')}`
      const unasked = await fetch(new URL('/links', links), {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: '{}',
      })
      t.equal(unasked.status, 400, 'the client that it prints is known')
    }
    demo.kill(signal)
    t.strictSame(await exit, [0, null], signal)
    t.equal(await problems, '')
  }
})

t.test('decisions are shown as a person reads them', async (t) => {
  const time = new Date(2026, 4, 12, 9, 5, 7).getTime()
  const access = { time, event: 'access', decision: 'allow', status: 200, transport: 'http' }
  const denied = { ...access, decision: 'deny', status: 403, reason: 'claim-mismatch' }
  const socket = { ...access, transport: 'websocket', path: '/socket.io/', sessionId: 's' }
  const asked = { time, event: 'link', status: 200, client: 'desktop', sessionId: 's' }
  for (const [line, shown] of [
    [{ ...access, path: '/', sessionId: 's' }, '09:05:07  let in   page  s'],
    [{ ...access, path: '/config.js', sessionId: 's' }, null],
    [{ ...socket, socket: 'open' }, '09:05:07  let in   socket  s'],
    [{ ...socket, socket: 'close', ended: 'drain' }, '09:05:07  closed   socket  s  drain'],
    [
      { ...denied, path: '/', sessionId: 's', requestId: 'r' },
      '09:05:07  refused  403 claim-mismatch  /  s  request r',
    ],
    [{ ...denied, requestId: 'r' }, '09:05:07  refused  403 claim-mismatch  request r'],
    [{ ...asked, asked: 'sign' }, '09:05:07  signed   link  s  for desktop'],
    [{ ...asked, asked: 'shorten' }, '09:05:07  signed   short link  s  for desktop'],
    [{ ...asked, asked: 'keep' }, '09:05:07  kept     link  s  for desktop'],
    [{ ...asked, asked: 'look-up' }, '09:05:07  found    link  s  for desktop'],
    [{ ...asked, asked: 'open', status: 303 }, '09:05:07  opened   short link  s  for desktop'],
    [{ time, event: 'link', status: 200, asked: 'open' }, null],
    [{ time, event: 'link', status: 200, asked: 'reference' }, null],
    [
      { time, event: 'link', status: 403, asked: 'sign', requestId: 'r' },
      '09:05:07  refused  403  sign  link  request r',
    ],
    [{ time, msg: 'REQUIRE_EXP is false' }, '09:05:07  REQUIRE_EXP is false'],
    [{ time, event: 'internal-error' }, `09:05:07  {"time":${time},"event":"internal-error"}`],
  ] as const) {
    t.equal(readable(`${JSON.stringify(line)}\n`), shown)
  }
})

interface Got {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Names lead to loopback, as browsers take those under .localhost. */
async function get(url: URL, ca?: string, host = url.host): Promise<Got> {
  const secure = url.protocol === 'https:'
  const request = (secure ? httpsRequest : httpRequest)({
    host: '127.0.0.1',
    port: url.port,
    path: `${url.pathname}${url.search}`,
    headers: { host },
    agent: false,
    ...(secure ? { servername: url.hostname, ca } : {}),
  })
  request.end()
  const [response] = await once(request, 'response')
  const { statusCode: status, headers } = response
  const body = await text(response)
  pourAnswer(Number(status), headers, body)
  return { status, headers, body }
}
