// Fastify's hooks never run for an upgrade that was let in.
import t from 'tap'
import { ask, ids } from '../stage.ts'
import { startSockets } from '../websocket/peer.ts'

t.test('each has a line when it opens and one when it closes', async (t) => {
  const stage = await startSockets(t)
  const pairs = [await stage.pair(), await stage.pair(), await stage.pair()]
  const opened = await stage.gateway.audited(3)
  const subject = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }
  const common = { decision: 'allow', status: 101, transport: 'websocket', ...subject }
  for (const line of opened) t.match(line, { ...common, socket: 'open' })
  for (const { client, upstream } of pairs) {
    client.socket.end()
    upstream.socket.end()
  }
  const closed = (await stage.gateway.audited(6)).slice(3)
  for (const line of closed) t.match(line, { ...common, socket: 'close', ended: 'client' })
  const idsOf = (lines: readonly Record<string, unknown>[]): unknown[] =>
    lines.map((line) => line['requestId']).sort()
  t.strictSame(idsOf(closed), idsOf(opened), 'two lines a socket')
})

t.test('each counts as a connection for as long as it is open', async (t) => {
  const stage = await startSockets(t, { MAX_CONNECTIONS: '2' })
  const pairs = [await stage.pair(), await stage.pair()]
  const status = async (): Promise<number> => (await ask(stage.gateway.origin)).status
  t.equal(await status(), 503, 'two are too many for a third')
  for (const { client, upstream } of pairs) {
    client.socket.end()
    upstream.socket.end()
    await Promise.all([client.closed, upstream.closed])
  }
  let now = 503
  for (let tries = 0; tries < 1000 && now === 503; tries += 1) now = await status()
  t.equal(now, 200, 'and none, once they are gone')
})

t.test('each is closed before the gateway is', async (t) => {
  const stage = await startSockets(t)
  const pairs = [await stage.pair(), await stage.pair()]
  await Promise.all([
    stage.gateway.close(),
    ...pairs.map(async ({ client }) => {
      await client.ended
      client.socket.end()
    }),
  ])
  const closes = (await stage.gateway.audited(4)).filter((line) => line['socket'] === 'close')
  t.match(closes, [
    { code: 1012, ended: 'drain' },
    { code: 1012, ended: 'drain' },
  ])
})
