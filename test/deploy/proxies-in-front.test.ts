// deploy/nginx.conf and deploy/haproxy.cfg as they are, but for ports and files: the doctor finds
// nothing, what is large or open for long passes, and no link is in their logs.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { request as startRequest } from 'node:https'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { missingPackage } from '../browser/executable.ts'
import { examined, found, host, makeCertificate, serverConfig } from '../doctor/clinic.ts'
import { basic, byIds, client } from '../links/stage.ts'
import { closed, freshLink, operate, until } from '../process/operated.ts'
import { listen, startUpstream } from '../stage.ts'

const file = (name: string): string =>
  readFileSync(new URL(`../../deploy/${name}`, import.meta.url), 'utf8')

/** Replaces each text, which has to be there. */
function changed(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`${from} is not in the file`)
    return text.replaceAll(from, to)
  }, text)
}

interface Ports {
  readonly own: number
  readonly gateway: number
  readonly admin: number
  readonly links: number
}

interface Proxy {
  readonly name: string
  readonly executable: string
  /** Writes its files, and returns its arguments. */
  readonly configure: (dir: string, ports: Ports) => readonly string[]
  /** What it has logged. */
  readonly log: (dir: string, stdout: string) => string
}

const proxies: readonly Proxy[] = [
  {
    name: 'nginx',
    executable: '/usr/sbin/nginx',
    configure(dir, { own, gateway, links }) {
      const server = changed(file('nginx.conf'), {
        'listen 443': `listen 127.0.0.1:${own}`,
        'server 127.0.0.1:8080': `server 127.0.0.1:${gateway}`,
        'server_name gateway.example': `server_name ${host}`,
        '$http_host != gateway.example': `$http_host != ${host}:${own}`,
        '/etc/nginx/gateway.pem': `${dir}/server.pem`,
        '/etc/nginx/gateway-key.pem': `${dir}/server-key.pem`,
        '/var/log/nginx': dir,
      })
      const api = changed(file('nginx-links.conf'), {
        'listen 443': `listen 127.0.0.1:${own}`,
        'server 127.0.0.1:8081': `server 127.0.0.1:${links}`,
        'server_name links.example': `server_name links.${host}`,
        '$http_host != links.example': `$http_host != links.${host}:${own}`,
        '/etc/nginx/links.pem': `${dir}/server.pem`,
        '/etc/nginx/links-key.pem': `${dir}/server-key.pem`,
        '/var/log/nginx': dir,
      })
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      const paths = temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')
      const main = `daemon off; pid ${dir}/pid; events { worker_connections 128; } http { ${paths} ${server} ${api} }`
      writeFileSync(join(dir, 'nginx.conf'), main)
      return ['-c', join(dir, 'nginx.conf'), '-e', 'stderr']
    },
    log: (dir) =>
      ['copilot.log', 'copilot-links.log', 'error.log']
        .map((file) => readFileSync(join(dir, file), 'utf8'))
        .join(''),
  },
  {
    name: 'haproxy',
    executable: '/usr/sbin/haproxy',
    configure(dir, { own, gateway, admin, links }) {
      const both = ['server.pem', 'server-key.pem'].map((name) => readFileSync(join(dir, name)))
      writeFileSync(join(dir, 'both.pem'), Buffer.concat(both))
      const config = changed(file('haproxy.cfg').replaceAll('#links ', ''), {
        'bind :443': `bind 127.0.0.1:${own}`,
        '/etc/haproxy/gateway.pem': `${dir}/both.pem`,
        'check port 9090 inter 2s': `check port ${admin} inter 100ms`,
        'str gateway.example': `str ${host}:${own}`,
        '127.0.0.1:8080': `127.0.0.1:${gateway}`,
        'str links.example': `str links.${host}:${own}`,
        '127.0.0.1:8081': `127.0.0.1:${links}`,
        // A second replica that is gone, and whose checks go to the first and succeed.
        '# server two 10.0.0.12:8080': 'server two 127.0.0.1:1 #',
      })
      writeFileSync(join(dir, 'haproxy.cfg'), config)
      return ['-db', '-f', join(dir, 'haproxy.cfg')]
    },
    log: (_, stdout) => stdout,
  },
]

const folder = t.testdir()
const { ca } = makeCertificate(folder)
setDefaultCACertificates([...getCACertificates(), ca])

const echo = new WebSocketServer({ noServer: true })
const workspace = await startUpstream(
  t,
  ({ url = '', headers }, response) => {
    if (url.startsWith('/stream')) {
      response.setHeader('Content-Type', 'text/event-stream')
      response.write('data: 1\n\n')
    } else if (url.startsWith('/never')) {
      // Held.
    } else if (url.startsWith('/config.js')) {
      response.setHeader('Content-Type', 'text/javascript')
      response.end(serverConfig('copilot-gateway', `//${headers['x-forwarded-host']}`))
    } else {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.end('<!doctype html><title>Copilot</title>')
    }
  },
  (request, socket, head) =>
    echo.handleUpgrade(request, socket, head, (one) => one.on('message', (data) => one.send(data))),
)

async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

for (const { name, executable, configure, log } of proxies) {
  t.test(name, { skip: missingPackage(executable, name) }, async (t) => {
    const dir = join(folder, name)
    mkdirSync(dir)
    for (const pem of ['server.pem', 'server-key.pem'])
      writeFileSync(join(dir, pem), readFileSync(join(folder, pem)))
    const own = await freePort()
    const base = `https://${host}:${own}`
    const links = `links.${host}:${own}`
    const api = { LINKS_PORT: '0', LINKS_URL: `https://${links}`, LINKS_CLIENTS: client() }
    const env = { PUBLIC_URL: base, TRUST_PROXY: '127.0.0.1', DRAIN_DELAY: '1m', ...api }
    const gateway = await operate(t, workspace, env)
    const admin = Number(new URL(gateway.adminOrigin).port)
    const { addresses } = await gateway.logged(({ event }) => event === 'listening')
    const linksPort = Number(new URL(String([addresses].flat()[2])).port)
    const args = configure(dir, { own, gateway: gateway.port, admin, links: linksPort })
    const child = spawn(executable, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => child.kill('SIGTERM'))
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk
      })

    /** Asks the proxy, and resolves to what came once `enough` of the answer is there. */
    const ask = (
      target: string,
      headers: Readonly<Record<string, string>> = {},
      body: string | null = null,
    ) =>
      new Promise<{ status: number; text: string; cookies: readonly string[]; location: string }>(
        (resolve, reject) => {
          const lookup = { host: '127.0.0.1', servername: host, port: own, ca, agent: false }
          const method = body === null ? 'GET' : 'POST'
          const all = { Host: `${host}:${own}`, ...headers }
          const asked = { ...lookup, method, path: target, headers: all }
          const request = startRequest(asked, (response) => {
            const { statusCode: status = 0, headers } = response
            const cookies = (headers['set-cookie'] ?? []).map((line) => line.split(';')[0] ?? '')
            const { location = '' } = headers
            response.once('data', (chunk) => {
              request.destroy()
              resolve({ status, text: String(chunk), cookies, location })
            })
            response.once('end', () => resolve({ status, text: '', cookies, location }))
          })
          request.on('error', reject).end(body ?? undefined)
        },
      )
    const listens = async (): Promise<boolean> => (await ask('/').catch(() => null)) !== null
    await until(listens)

    const results = await examined(base)
    // nginx can't leave its name out.
    const named = name === 'nginx' ? { 'product-names': 'warn' } : {}
    t.same(found(results), { 'public-address': 'warn', ...named }, 'the doctor finds no fault')
    t.equal(results.get('http2')?.verdict, 'pass')

    let jar = ''
    for (let i = 0; jar.length < 5500; i += 1) {
      const { cookies } = await ask(freshLink(`${i}`.padEnd(60, 's')))
      jar = [jar, ...cookies].filter(Boolean).join('; ')
    }
    const large = await ask(freshLink('chat-second'), { Cookie: jar })
    t.equal(large.status, 200, `a link with ${jar.length} bytes of cookies`)
    const stream = await ask(freshLink('streamed', '/stream'))
    t.match(stream, { status: 200, text: 'data: 1' }, 'an event that comes before the end')

    const spoofed = await ask('/', { 'X-Forwarded-For': '192.0.2.1', 'X-Request-Id': 'mine' })
    const { requestId } = JSON.parse(spoofed.text)
    t.equal(spoofed.status, 401)
    const line = await gateway.logged((line) => line['requestId'] === requestId)
    t.match(line, { ip: '127.0.0.1', event: 'access' })
    t.not(requestId, 'mine')

    const options = { ca, servername: host, headers: { Host: `${host}:${own}` }, origin: base }
    const socket = new WebSocket(`wss://127.0.0.1:${own}${freshLink('talks', '/ws')}`, options)
    await once(socket, 'open')
    socket.send('hello')
    t.equal(String((await once(socket, 'message'))[0]), 'hello', 'a message and its answer')
    const end = closed(socket)
    t.equal((await gateway.admin('/sessions/talks', 'DELETE')).status, 200)
    t.equal(await end, '1008 session-revoked', 'a close code passes')

    const json = { ...basic(), 'Content-Type': 'application/json', Host: links }
    const wanted = JSON.stringify({ ...byIds, short: true })
    const made = await ask('/links', { ...json, 'X-Forwarded-For': '192.0.2.1' }, wanted)
    t.equal(made.status, 200, made.text)
    const short = new URL(JSON.parse(made.text).shortUrl)
    t.equal(short.origin, `https://${links}`)
    for (const Host of [`${host}:${own}`, `LINKS.${host}:${own}`, 'evil.example'])
      t.match(String((await ask(short.pathname, { Host })).status), /401|421/, Host)
    const [opened, again] = [
      await ask(short.pathname, { Host: links }),
      await ask(short.pathname, { Host: links }),
    ]
    t.match(opened, { status: 303, location: `${base}/?userId=` }, 'a short link')
    t.equal(again.status, 404)
    t.match(JSON.parse(again.text), { requestId: String })
    await ask('/links/by-conversation/case-2041', { ...basic(), Host: links })
    const shortened = await gateway.logged((line) => line['asked'] === 'shorten')
    t.match(
      shortened,
      { status: 200, ip: '127.0.0.1' },
      'what the client says of itself is not believed',
    )
    await until(() => / "?\/links\/"? 404 /.test(log(dir, said)))

    const [, auth = ''] = /auth=([^&]+)/.exec(freshLink()) ?? []
    for (const path of ['/%3Fauth=', '/%3fauth%3D', '/;auth=', '/&auth=', '/', '/index-9.js/'])
      t.equal((await ask(path + auth)).status, 401, path)
    for (const Host of [
      'evil.example',
      `${host}:${own}.evil.example`,
      `${host}:${own},evil.example`,
    ])
      t.match(String((await ask(freshLink(), { Host })).status), /400|421/, Host)
    if (name === 'nginx') {
      // Each takes two of its connections.
      const many = Array.from({ length: 80 }, (_, i) => ask(freshLink(`${i}`, '/never')))
      const first = await Promise.race(many.map((one) => one.catch(() => null)))
      t.equal(first?.status, 500, 'more than it has connections for')
    }

    const logged = log(dir, said)
    t.match(logged, / "?\/index-9\.js\/"? 401 /, 'the log has the path')
    t.match(logged, requestId, 'the log has the reference that the agent reads')
    t.notMatch(`${logged}${said}`, /eyJ|auth=|URLToken|__Host/, 'and no link')
    t.match(logged, / "?\/o\/"? 303 /)
    t.notMatch(`${logged}${said}`, short.pathname.slice(3), 'no short one either')
    t.notMatch(`${logged}${said}`, 'case-2041')

    if (name !== 'haproxy') return
    t.equal((await ask(freshLink())).status, 200)
    gateway.kill('SIGTERM')
    await until(async () => (await ask(freshLink())).status === 503)
    t.pass('a replica that drains gets no more, although it still serves')
  })
}
