// Over TLS, on either side, a WebSocket is checked and relayed as it is without.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, constants } from 'node:http2'
import { createServer } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { link, listen, type Stage, startGateway, startUpstream } from '../stage.ts'
import { handshake, headOf, type Wire, wire } from './peer.ts'

const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
const dir = t.testdir()
execFileSync(script, ['--out', dir], { stdio: 'ignore' })
const file = (name: string): string => join(dir, name)
const [ca, cert, key] = ['ca.pem', 'server.pem', 'server-key.pem'].map((name) =>
  readFileSync(file(name)),
)
const tls = { TLS_CERT_FILE: file('server.pem'), TLS_KEY_FILE: file('server-key.pem') }

t.test('both sides over TLS', async (t) => {
  const https = createServer({ cert, key })
  const server = new WebSocketServer({ server: https, perMessageDeflate: { threshold: 0 } })
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const port = await listen(https)
  t.teardown(() => https.close())
  const upstream = `https://localhost:${port}`
  const gateway = await startGateway(t, upstream, {
    ...tls,
    UPSTREAM_CA_FILE: file('ca.pem'),
    WS_MAX_PAYLOAD: '10mb',
  })
  const origin = `https://localhost:${gateway.port}`
  const client = new WebSocket(`${origin.replace('https', 'wss')}${link({}, '/ws')}`, {
    ca,
    origin,
  })
  const upgraded = once(client, 'upgrade')
  await once(client, 'open')
  const [answer] = await upgraded
  t.match(answer.headers, { 'strict-transport-security': /max-age=\d+/ })
  t.equal(client.extensions, 'permessage-deflate')
  for (const message of ['hello', 'x'.repeat(5_000_000)]) {
    client.send(message)
    const [data] = await once(client, 'message')
    t.ok(`${data}` === message, `${message.length} bytes there and back`)
  }
  const closed = once(client, 'close')
  await gateway.close()
  t.match(await closed, [1012])
})

t.test('an upstream that cannot be verified is not spoken to', async (t) => {
  const https = createServer({ cert, key })
  let upgrades = 0
  https.on('upgrade', () => {
    upgrades += 1
  })
  const port = await listen(https)
  t.teardown(() => https.close())
  const rows: readonly (readonly [string, string, Record<string, string>])[] = [
    ['an unknown authority', `https://localhost:${port}`, {}],
    ['another name', `https://127.0.0.2:${port}`, { UPSTREAM_CA_FILE: file('ca.pem') }],
    ['no TLS', `http://localhost:${port}`, {}],
  ]
  for (const [name, upstream, env] of rows) {
    const gateway = await startGateway(t, upstream, { ...tls, ...env })
    const client = await dialTls(t, gateway)
    client.socket.write(handshake(gateway.port, link({}, '/ws')))
    t.equal(headOf(await client.ended)?.status, 502, name)
    t.match(await gateway.audited(1), [{ reason: 'upstream-unreachable', status: 502 }], name)
  }
  t.equal(upgrades, 0)
})

t.test('an upgrade’s origin is https', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, tls)
  const rows: readonly (readonly [string, string, number])[] = [
    ['own', `https://127.0.0.1:${gateway.port}`, 404],
    ['http', `http://127.0.0.1:${gateway.port}`, 403],
    ['another port', 'https://127.0.0.1', 403],
  ]
  for (const [name, Origin, status] of rows) {
    const client = await dialTls(t, gateway)
    client.socket.write(handshake(gateway.port, link({}, '/ws'), { Origin }))
    const head = headOf(await client.ended)
    t.equal(head?.status, status, name)
    t.match(head?.headers['strict-transport-security'], [/max-age/])
  }
  t.equal(upstream.seen.length, 1)
})

t.test('over HTTP/2 there is no upgrade', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, tls)
  const session = connectHttp2(`https://localhost:${gateway.port}`, { ca })
  t.teardown(() => session.destroy())
  await once(session, 'remoteSettings')
  t.not(session.remoteSettings.enableConnectProtocol, true, 'RFC 8441 is not offered')
  const connectTo = session.request({
    ':method': 'CONNECT',
    ':authority': `127.0.0.1:${upstream.port}`,
  })
  connectTo.end()
  const [headers] = await once(connectTo, 'response')
  t.equal(headers[constants.HTTP2_HEADER_STATUS], 400)
  t.same(upstream.seen, [])
})

t.test('clients that leave in the middle of anything do not end the process', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, tls)
  const head = handshake(gateway.port, link({}, '/ws'))
  const leaves: ((socket: TLSSocket, raw: Socket) => unknown)[] = [
    (socket) => socket.destroy(),
    (_, raw) => raw.resetAndDestroy(),
    (socket, raw) => socket.write(head.slice(0, 40), () => raw.resetAndDestroy()),
    (socket, raw) => socket.write(head, () => raw.resetAndDestroy()),
    (socket) => socket.write(head, () => socket.destroy()),
    (socket) => socket.end(head),
    (_, raw) => raw.end('no TLS any more'),
  ]
  for (const leave of [...leaves, ...leaves]) {
    const raw = connectTcp(gateway.port, '127.0.0.1')
    raw.on('error', () => {})
    const client = await dialTls(t, gateway, raw)
    leave(client.socket, raw)
    await client.closed
  }
  const last = await dialTls(t, gateway)
  last.socket.write(head)
  t.equal(headOf(await last.ended)?.status, 404, 'it serves')
})

async function dialTls(t: Test, { port }: Stage, raw?: Socket): Promise<Wire<TLSSocket>> {
  const over = raw === undefined ? { port, host: '127.0.0.1' } : { socket: raw }
  const socket = connect({ ...over, ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] })
  t.teardown(() => socket.destroy())
  const dialled = wire(socket)
  await once(socket, 'secureConnect')
  return dialled
}
