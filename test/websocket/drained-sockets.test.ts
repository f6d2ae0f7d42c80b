// A gateway that drains ends its sockets with 1012, and is done when they are, or DRAIN_TIMEOUT is over.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { link, listen, startGateway } from '../stage.ts'
import {
  accepting,
  bodyOf,
  closeWith,
  dial,
  frame,
  handshake,
  headOf,
  heard,
  inWords,
  masked,
  type Pair,
  type SocketStage,
  startSockets,
  wire,
} from './peer.ts'

const restart = /^close 1012\b/

t.test('every socket gets 1012 and nothing behind it', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '60s' })
  const pairs = await Promise.all(
    ['/ws', '/socket.io/', '/ws', '/ws'].map((path) => stage.pair(link({}, path))),
  )
  for (const pair of pairs) {
    pair.client.socket.write(masked('42["before"]'))
    t.same(await heard(pair, 1), ['text 42["before"]'])
  }
  const closed = stage.gateway.close()
  for (const pair of pairs) t.match(await ends(pair), [restart])
  await closed
  const lines = await stage.gateway.audited(8)
  t.equal(lines.length, 8, 'two lines each')
  await refusesConnections(t, stage)
})

t.test('a frame under way is let finish', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '60s' })
  const large = frame(Buffer.alloc(500_000, 'x'))
  const [pair, witness] = [await stage.pair(), await stage.pair()]
  pair.upstream.socket.write(large.subarray(0, 300_000))
  await pair.client.until((b) => (b.length < pair.head.length + 300_000 ? null : true))
  const closed = stage.gateway.close()
  t.match(await ends(witness), [restart])
  pair.upstream.socket.write(Buffer.concat([large.subarray(300_000), frame('too late')]))
  t.match(await ends(pair), ['text (500000)', restart])
  await closed
})

t.test('honest peers on both sides see 1012', async (t) => {
  const http = createServer()
  const server = new WebSocketServer({ server: http })
  const port = await listen(http)
  t.teardown(() => http.close())
  const gateway = await startGateway(t, `http://127.0.0.1:${port}`, { DRAIN_TIMEOUT: '60s' })
  const connected = once(server, 'connection')
  const client = new WebSocket(gateway.origin.replace('http', 'ws') + link({}, '/ws'))
  await once(client, 'open')
  const [accepted] = await connected
  const ended = [once(client, 'close'), once(accepted, 'close')]
  await gateway.close()
  const [mine, theirs] = await Promise.all(ended)
  t.equal(mine?.[0], 1012, 'the client')
  t.equal(theirs?.[0], 1012, 'the upstream')
})

t.test('peers that never answer hold it no longer than DRAIN_TIMEOUT', async (t) => {
  const rows: readonly (readonly [string, (pair: Pair) => void])[] = [
    ['silent', () => {}],
    ['a frame that never ends', ({ upstream }) => upstream.socket.write(frame('x', { says: 9 }))],
    ['a client that does not read', ({ client }) => client.socket.pause()],
    ['an upstream that does not read', ({ upstream }) => upstream.socket.pause()],
    ['a client that has half closed', ({ client }) => client.socket.end()],
    ['an upstream that has half closed', ({ upstream }) => upstream.socket.end()],
  ]
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '1s' })
  const pairs: Pair[] = []
  for (const [, behave] of rows) {
    const pair = await stage.pair()
    behave(pair)
    pairs.push(pair)
  }
  await stage.gateway.close()
  for (const [index, { client, upstream }] of pairs.entries()) {
    client.socket.resume()
    upstream.socket.resume()
    await Promise.all([client.ended, upstream.ended])
    t.pass(rows[index]?.[0] ?? '')
  }
  t.equal((await stage.gateway.audited(2 * rows.length)).length, 2 * rows.length)
})

t.test('DRAIN_TIMEOUT=0s ends them at once', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '0s' })
  const { client, upstream } = await stage.pair()
  await stage.gateway.close()
  await Promise.all([client.ended, upstream.ended])
  t.equal((await stage.gateway.audited(2)).length, 2)
})

t.test('an upgrade that waits for its upstream is let finish, and then closed', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '60s' })
  const client = await stage.ask()
  const { request, socket } = await stage.next()
  const upstream = wire(socket)
  const closed = stage.gateway.close()
  socket.write(accepting(request))
  const bytes = await client.ended
  t.equal(headOf(bytes)?.status, 101)
  t.match(inWords(bodyOf(bytes)), [restart])
  client.socket.end(closeWith(1012, '', { mask: true }))
  await upstream.ended
  socket.end()
  await closed
  t.match(await stage.gateway.audited(2), [{ status: 101 }, { status: 101 }])
})

t.test('an upgrade that waits and is refused gets its refusal', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '60s' })
  const client = await stage.ask()
  const { socket } = await stage.next()
  const closed = stage.gateway.close()
  socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
  const bytes = await client.ended
  t.equal(headOf(bytes)?.status, 403)
  t.equal(`${bodyOf(bytes)}`, 'no')
  await closed
})

t.test('an upgrade whose upstream never answers is cut by DRAIN_TIMEOUT', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '1s' })
  const client = await stage.ask()
  const upstream = wire((await stage.next()).socket)
  await stage.gateway.close()
  await Promise.all([client.ended, upstream.ended])
  t.equal((await stage.gateway.audited(1)).length, 1)
})

t.test('connections at rest, or half begun, do not hold it', async (t) => {
  const stage = await startSockets(t, { DRAIN_TIMEOUT: '60s' })
  const head = handshake(stage.gateway.port, link({}, '/ws'))
  const [silent, half, kept] = await Promise.all([0, 1, 2].map(() => dial(t, stage.gateway.port)))
  half?.socket.write(head.slice(0, 30))
  kept?.socket.write(`GET ${link()} HTTP/1.1\r\nHost: a\r\n\r\n`)
  await kept?.until((b) => (bodyOf(b).length === 0 ? null : true))
  await stage.gateway.close()
  await Promise.all([silent?.ended, half?.ended, kept?.ended])
  t.pass('all are closed')
})

async function ends({ client, upstream }: Pair): Promise<string[]> {
  const bytes = await client.ended
  client.socket.end(closeWith(1012, '', { mask: true }))
  const told = inWords(await upstream.ended).filter((word) => !word.startsWith('text'))
  for (const word of told) if (!restart.test(word)) throw new Error(`the upstream got ${word}`)
  upstream.socket.end()
  return inWords(bodyOf(bytes))
}

async function refusesConnections(t: Test, { gateway }: SocketStage): Promise<void> {
  const late = connect(gateway.port, '127.0.0.1')
  await t.rejects(once(late, 'connect'), { code: 'ECONNREFUSED' })
}
