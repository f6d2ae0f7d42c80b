// What becomes no TLS connection is ended in time, told once, and harms nobody.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, getCiphers, type TLSSocket } from 'node:tls'
import t from 'tap'
import { link, type Stage, startGateway, startUpstream } from '../stage.ts'
import { dial, headOf, type Wire, wire } from '../websocket/peer.ts'
import { clientHello } from './client-hello.ts'

const folder = t.testdir()
const path = (name: string): string => join(folder, name)
for (const [name, ...key] of [
  ['rsa', 'rsa:2048'],
  ['ecdsa', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
] as const) {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', path(`${name}-key.pem`), '-out', path(`${name}.pem`)]
  const args = ['req', '-x509', '-nodes', '-days', '2', '-newkey', ...key, ...subject, ...files]
  execFileSync('openssl', args, { stdio: 'ignore' })
}
const tls = (name: string): Record<string, string> => ({
  TLS_CERT_FILE: path(`${name}.pem`),
  TLS_KEY_FILE: path(`${name}-key.pem`),
})
const upstream = await startUpstream(t)

const hello = await clientHello()
const rows: readonly (readonly [name: string, bytes: string | Buffer, code: string])[] = [
  ['nothing', '', 'ERR_TLS_HANDSHAKE_TIMEOUT'],
  ['half a record', hello.subarray(0, 3), 'ERR_TLS_HANDSHAKE_TIMEOUT'],
  ['half a hello', hello.subarray(0, 100), 'ERR_TLS_HANDSHAKE_TIMEOUT'],
  ['a hello and no more', hello, 'ERR_TLS_HANDSHAKE_TIMEOUT'],
  ['plain HTTP', `GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`, 'ERR_SSL_HTTP_REQUEST'],
  ['a proxy’s CONNECT', 'CONNECT a:443 HTTP/1.1\r\n\r\n', 'ERR_SSL_HTTPS_PROXY_REQUEST'],
  ['plain HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'ERR_SSL_WRONG_VERSION_NUMBER'],
  ['zeros', Buffer.alloc(100), 'ERR_SSL_WRONG_VERSION_NUMBER'],
  ['a line for the log', '{"event":"access","ip":"192.0.2.1"}\n', 'ERR_SSL_WRONG_VERSION_NUMBER'],
  ['a hello spoilt', spoilt(hello, 43), 'ERR_SSL_'],
  ['an alert', Buffer.from('15030300020228', 'hex'), 'ERR_SSL_'],
]

t.test('each is ended in time, with one line that holds nothing of the client’s', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    ...tls('rsa'),
    HEADERS_TIMEOUT: '500ms',
  })
  for (const [name, bytes, code] of rows) {
    const before = gateway.lines.length
    const client = await dial(t, gateway.port)
    client.socket.write(bytes)
    await client.ended
    client.socket.end()
    await client.closed
    const lines = await logged(t, gateway, before)
    t.equal(lines.length, 1, `${name}: one line`)
    t.match(lines[0], { event: 'tls-error', ip: '127.0.0.1', level: 30 }, name)
    t.ok(String(lines[0]?.['code']).startsWith(code), `${name}: ${lines[0]?.['code']}`)
    t.same(Object.keys(lines[0] ?? {}), ['level', 'time', 'event', 'code', 'ip'], name)
  }
  t.strictSame(upstream.seen.splice(0).length, rows.length, 'but for the honest ones')
})

t.test('who leaves before it is through is no failure', async (t) => {
  const gateway = await startGateway(t, upstream.origin, tls('rsa'))
  const ways: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['a FIN', (socket) => socket.end()],
    ['a reset', (socket) => socket.resetAndDestroy()],
  ]
  for (const [name, bytes, code] of rows) {
    if (code !== 'ERR_TLS_HANDSHAKE_TIMEOUT') continue
    for (const [way, leave] of ways) {
      const before = gateway.lines.length
      const client = await dial(t, gateway.port)
      await new Promise((resolve) => client.socket.write(bytes, resolve))
      leave(client.socket)
      await client.closed
      t.same(await logged(t, gateway, before), [], `${name}, ${way}`)
    }
  }
})

t.test('a flood of them fills no log', async (t) => {
  const env = { ...tls('rsa'), RATE_LIMIT: '3/10m' }
  const gateway = await startGateway(t, upstream.origin, env)
  for (let i = 0; i < 30; i += 1) {
    const client = await dial(t, gateway.port)
    client.socket.write('what?\r\n\r\n')
    await client.ended
    client.socket.destroy()
  }
  t.equal((await logged(t, gateway, 0)).length, 3)
})

t.test('silence holds a connection no longer than HEADERS_TIMEOUT', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    ...tls('rsa'),
    HEADERS_TIMEOUT: '500ms',
    MAX_CONNECTIONS: '20',
  })
  const silent: Wire<Socket>[] = []
  for (let i = 0; i < 20; i += 1) silent.push(await dial(t, gateway.port))
  await Promise.all(silent.map(({ ended }) => ended))
  t.equal((await serves(t, gateway)).status, 200, 'and then there is room again')
})

t.test('every connection has forward secrecy, whatever the certificate', async (t) => {
  for (const name of ['rsa', 'ecdsa']) {
    const gateway = await startGateway(t, upstream.origin, tls(name))
    const agreed: string[] = []
    for (const cipher of getCiphers().filter((one) => !one.startsWith('tls_'))) {
      const ciphers = `${cipher.toUpperCase()}@SECLEVEL=0`
      const socket = connectTls({ ...to(gateway), maxVersion: 'TLSv1.2', ciphers })
      const outcome = await new Promise((resolve) => {
        socket.on('secureConnect', () => resolve('agreed'))
        socket.on('error', () => resolve('refused'))
      })
      if (outcome === 'agreed') agreed.push(socket.getCipher().standardName)
      socket.destroy()
    }
    t.same(
      agreed.filter((suite) => !suite.startsWith('TLS_ECDHE_')),
      [],
      `${name}: no suite without it`,
    )
    t.ok(agreed.length >= 3, `${name}: ${agreed.join(', ')}`)
    const newest = connectTls(to(gateway))
    await once(newest, 'secureConnect')
    t.equal(newest.getProtocol(), 'TLSv1.3', name)
    newest.destroy()
  }
})

/** What was logged since, beside the line of an honest request that comes last. */
async function logged(t: Scope, gateway: Stage, since: number): Promise<Record<string, unknown>[]> {
  const { id } = await serves(t, gateway)
  const honest = (line: Record<string, unknown>): boolean => line['requestId'] === id
  for (let count = 1; !gateway.lines.some(honest); count += 1) await gateway.audited(count)
  return gateway.lines.slice(since).filter((line) => !honest(line))
}

interface Scope {
  teardown(done: () => unknown): void
}

async function serves(
  t: Scope,
  gateway: Stage,
): Promise<{ readonly status: number | undefined; readonly id: string | undefined }> {
  const socket = connectTls(to(gateway))
  t.teardown(() => socket.destroy())
  const client = wire<TLSSocket>(socket)
  socket.write(`GET ${link()} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
  const head = headOf(await client.ended)
  return { status: head?.status, id: head?.headers['x-request-id']?.[0] }
}

function to({ port }: Stage) {
  return { port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }
}

function spoilt(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.fill(0xff, at, at + 1)
  return copy
}
