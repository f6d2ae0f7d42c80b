// A socket ends with its session: 1008 at the next frame boundary, and nothing behind it.
import t from 'tap'
import { ids, jwt, link } from '../stage.ts'
import {
  bodyOf,
  closeWith,
  continuation,
  frame,
  heard,
  inWords,
  masked,
  type Pair,
  ping,
  type SocketStage,
  said,
  sessionCookie,
  startSockets,
  stopClock,
} from './peer.ts'

const expired = 'close 1008 session-expired'
const seconds = (): number => Math.floor(Date.now() / 1000)

/** A link whose token ends in so many seconds, of the clock as it stands. */
function linkFor(lasts: number, session: Readonly<Record<string, string>> = {}, path = '/'): string {
  const claims = { userId: ids.userId, sessionId: ids.sessionId, ...session }
  return link({ ...session, auth: jwt({ ...claims, exp: seconds() + lasts }) }, path)
}

const strict = { CLOCK_TOLERANCE: '0s' }

t.test('a token’s end, plus tolerance, is the socket’s', async (t) => {
  const rows: readonly (readonly [string, Record<string, string>, number, number])[] = [
    ['no tolerance', strict, 60, 60_000],
    ['the default tolerance', {}, 60, 65_000],
    ['SESSION_MAX_AGE, which is earlier', { ...strict, SESSION_MAX_AGE: '40s' }, 60, 40_000],
    ['the token, which is earlier', { ...strict, SESSION_MAX_AGE: '2m' }, 60, 60_000],
    [
      'a token that is a ticket',
      { ...strict, SESSION_OUTLIVES_TOKEN: 'true', SESSION_MAX_AGE: '2m' },
      60,
      120_000,
    ],
    [
      'a ticket that outlives its session',
      { ...strict, SESSION_OUTLIVES_TOKEN: 'true', SESSION_MAX_AGE: '30s' },
      60,
      30_000,
    ],
  ]
  for (const [name, env, lasts, end] of rows) {
    await t.test(name, async (t) => {
      const forward = stopClock(t)
      const stage = await startSockets(t, env)
      const sooner = await startSockets(t, strict)
      const pair = await stage.pair(linkFor(lasts, {}, '/ws'))
      forward(end - 1000)
      await tick(t, sooner)
      await stillOpen(t, pair)
      forward(1000)
      t.same(await ends(pair), [expired])
      const audited = await stage.gateway.audited(2)
      t.match(audited, [{ status: 101 }, { status: 101, transport: 'websocket' }])
    })
  }
})

t.test('a token without exp lasts for SESSION_MAX_AGE', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, { ...strict, SESSION_MAX_AGE: '1h' })
  const auth = jwt({ userId: ids.userId, sessionId: ids.sessionId })
  const pair = await stage.pair(link({ auth }, '/ws'))
  forward(3_599_000)
  await tick(t, stage)
  await stillOpen(t, pair)
  forward(1000)
  t.same(await ends(pair), [expired])
})

t.test('a token in the header ends a socket as one in the query does', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const auth = jwt({ userId: ids.userId, sessionId: ids.sessionId, exp: seconds() + 60 })
  const target = link({ auth: null }, '/ws')
  const pair = await stage.pair(target, { Authorization: `Bearer ${auth}` })
  forward(60_000)
  t.same(await ends(pair), [expired])
})

t.test('a cookie’s socket ends with the session it is bound to', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { port, origin } = stage.gateway
  const cookies = [
    await sessionCookie(t, port, linkFor(60, { sessionId: 'short' })),
    await sessionCookie(t, port, linkFor(120, { sessionId: 'long' })),
  ]
  const headers = { Cookie: cookies.join('; '), Origin: origin }
  const short = await stage.pair('/ws?sessionId=short', headers)
  const long = await stage.pair('/ws?sessionId=long', headers)
  const both = await stage.pair('/ws', headers)
  const alone = await stage.pair('/socket.io/?EIO=4&transport=websocket', {
    ...headers,
    Cookie: cookies[0] ?? '',
  })
  forward(60_000)
  t.same(await ends(short), [expired], 'narrowed to the one that is over')
  t.same(await ends(alone), [expired], 'with one cookie only')
  await stillOpen(t, long)
  await stillOpen(t, both)
  forward(60_000)
  t.same(await ends(long), ['text open', expired])
  t.same(await ends(both), ['text open', expired], 'a set ends with its last')
})

t.test('a token beside cookies narrows the socket to its own session', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { port, origin } = stage.gateway
  const Cookie = await sessionCookie(t, port, linkFor(3600))
  const pair = await stage.pair(linkFor(60, {}, '/ws'), { Cookie, Origin: origin })
  forward(60_000)
  t.same(await ends(pair), [expired])
})

t.test('an ended token counts as absent: the cookie’s session is the socket’s', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, { ...strict, SESSION_OUTLIVES_TOKEN: 'true' })
  const { port, origin } = stage.gateway
  const ticket = linkFor(60, {}, '/ws')
  const headers = { Cookie: await sessionCookie(t, port, ticket), Origin: origin }
  forward(3_600_000)
  const pair = await stage.pair(ticket, headers)
  forward(10 * 3_600_000)
  await tick(t, stage)
  await stillOpen(t, pair)
  forward(3_600_000)
  t.same(await ends(pair), ['text open', expired].slice(0, 2))
})

t.test('a frame under way is let finish, and nothing follows the close', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const large = frame(Buffer.alloc(500_000, 'x'))
  const rows: readonly (readonly [string, Buffer, Buffer, readonly string[]])[] = [
    ['inside a payload', large.subarray(0, 300_000), large.subarray(300_000), ['text (500000)']],
    ['inside a header', large.subarray(0, 5), large.subarray(5), ['text (500000)']],
    ['after one byte', large.subarray(0, 1), large.subarray(1), ['text (500000)']],
    ['before the last byte', large.subarray(0, -1), large.subarray(-1), ['text (500000)']],
    [
      'inside a second frame',
      Buffer.concat([frame('a'), frame('bc').subarray(0, 3)]),
      frame('bc').subarray(3),
      ['text a', 'text bc'],
    ],
    [
      'between fragments',
      frame('a', { fin: false }),
      frame('b', { opcode: continuation }),
      ['text… a'],
    ],
    [
      'inside a fragment',
      frame('ab', { fin: false }).subarray(0, 3),
      Buffer.concat([frame('ab', { fin: false }).subarray(3), frame('c', { opcode: 0 })]),
      ['text… ab'],
    ],
    ['at a boundary', frame('a'), frame('b'), ['text a']],
    [
      'inside a ping',
      frame('ping', { opcode: ping }).subarray(0, 4),
      frame('ping', { opcode: ping }).subarray(4),
      ['ping ping'],
    ],
  ]
  for (const [name, first, rest, expected] of rows) {
    const pair = await stage.pair(linkFor(60, {}, '/ws'))
    const witness = await stage.pair(linkFor(60, {}, '/ws'))
    const { client, upstream, head } = pair
    upstream.socket.write(first)
    await client.until((b) => (b.length < head.length + first.length ? null : b))
    forward(60_000)
    t.same(await ends(witness), [expired])
    upstream.socket.write(Buffer.concat([rest, frame('too late')]))
    t.same(await ends(pair), [...expected, expired], name)
  }
})

t.test('a frame that never ends is cut after a second, without a close inside it', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  for (const part of [frame('x'.repeat(1000)).subarray(0, 500), frame('x').subarray(0, 1)]) {
    const pair = await stage.pair(linkFor(60, {}, '/ws'))
    const witness = await stage.pair(linkFor(60, {}, '/ws'))
    const { client, upstream, head } = pair
    upstream.socket.write(part)
    await client.until((b) => (b.length < head.length + part.length ? null : b))
    forward(60_000)
    t.same(await ends(witness), [expired])
    forward(1001)
    const bytes = bodyOf(await client.ended)
    t.ok(bytes.equals(part), 'only what the upstream had said')
    await upstream.ended
    upstream.socket.end()
    client.socket.end()
  }
})

t.test('an upstream that goes on forever is cut off too', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { client, upstream } = await stage.pair(linkFor(60, {}, '/ws'))
  const block = Buffer.concat(Array.from({ length: 500 }, () => frame('x'.repeat(200))))
  let flowing = true
  upstream.socket.on('close', () => {
    flowing = false
  })
  const pump = (): void => {
    if (!flowing) return
    if (upstream.socket.write(block)) setImmediate(pump)
    else upstream.socket.once('drain', pump)
  }
  pump()
  await said({ client }, 100)
  forward(60_000)
  const words = inWords(bodyOf(await client.ended))
  t.equal(words.at(-1), expired, 'the close is the last word')
  t.equal(words.filter((word) => word === expired).length, 1)
  t.ok(words.slice(0, -1).every((word) => word === 'text (200)'))
  client.socket.end(closeWith(1008, '', { mask: true }))
  await upstream.ended
  flowing = false
  upstream.socket.end()
})

t.test('what the client says after the end does not arrive', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { client, upstream } = await stage.pair(linkFor(60, {}, '/ws'))
  client.socket.write(masked('in time'))
  t.same(await heard({ upstream }, 1), ['text in time'])
  forward(60_000)
  t.same(await said({ client }, 1), [expired])
  client.socket.write(masked('too late'))
  client.socket.end(closeWith(1008, '', { mask: true }))
  const words = inWords(await upstream.ended)
  t.equal(words[0], 'text in time')
  t.notOk(words.some((word) => /late/.test(word)))
  for (const word of words.slice(1)) t.match(word, /^close 1008/, 'the upstream may be told why')
  upstream.socket.end()
})

t.test('a message of the client’s under way is not completed by a close', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { client, upstream } = await stage.pair(linkFor(60, {}, '/ws'))
  const half = masked('x'.repeat(1000)).subarray(0, 500)
  client.socket.write(half)
  await upstream.until((b) => (b.length < half.length ? null : b))
  forward(60_000)
  t.same(inWords(bodyOf(await client.ended)), [expired])
  client.socket.end()
  t.ok((await upstream.ended).equals(half))
})

t.test('a client that answers nothing and closes nothing is cut', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { client, upstream } = await stage.pair(linkFor(60, {}, '/ws'))
  forward(60_000)
  t.same(await said({ client }, 1), [expired])
  forward(1001)
  await upstream.ended
  upstream.socket.end()
  t.equal((await stage.gateway.audited(2)).length, 2, 'the gateway is rid of both')
})

t.test('a half-closed socket ends with its session too', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { client, upstream } = await stage.pair(linkFor(5, {}, '/ws'))
  client.socket.end(masked('my last'))
  await upstream.ended
  const witness = await stage.pair(linkFor(5, {}, '/ws'))
  forward(5000)
  t.same(await ends(witness), [expired])
  await client.ended
  upstream.socket.write(frame('after the end'), () => {})
  t.notMatch(inWords(bodyOf(client.bytes())).join(), /after/)
  upstream.socket.end()
})

t.test('a session that ends while the upstream thinks opens nothing', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const client = await stage.ask(linkFor(20, {}, '/ws'))
  const { socket } = await stage.next()
  forward(20_000)
  const bytes = `${await client.ended}`
  t.match(bytes, /^HTTP\/1\.1 401 /)
  t.match(await stage.gateway.audited(1), [{ reason: 'token-expired', status: 401 }])
  socket.on('error', () => {}).resume()
  socket.end()
})

/** Everything the client got, once the gateway has ended the socket; and the upstream's is gone. */
async function ends({ client, upstream }: Pair): Promise<string[]> {
  const bytes = await client.ended
  client.socket.end(closeWith(1008, '', { mask: true }))
  await upstream.ended
  upstream.socket.end()
  return inWords(bodyOf(bytes))
}

/** Both directions carry on. */
async function stillOpen(t: Tap.Test, pair: Pair): Promise<void> {
  pair.client.socket.write(masked('hello'))
  t.same(await heard(pair, 1), ['text hello'])
  pair.upstream.socket.write(frame('open'))
  t.same(await said(pair, 1), ['text open'])
}

/** Waits until the gateway has looked at its sockets' ends: one that is due has been closed. */
async function tick(t: Tap.Test, stage: SocketStage): Promise<void> {
  const due = await stage.pair(linkFor(0.5, {}, '/due'))
  t.same(await ends(due), [expired])
}
