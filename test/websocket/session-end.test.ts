// A socket ends with its session: 1008 at the next frame boundary, and nothing behind it.
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
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
const seconds = (): number => Date.now() / 1000

/** A link whose token ends in so many seconds, of the clock as it stands. */
function linkFor(
  lasts: number,
  session: Readonly<Record<string, string>> = {},
  path = '/',
): string {
  const claims = { userId: ids.userId, sessionId: ids.sessionId, ...session }
  return link({ ...session, auth: jwt({ ...claims, exp: seconds() + lasts }) }, path)
}

const strict = { CLOCK_TOLERANCE: '0s' }

t.test('a socket ends when its session does, no sooner', async (t) => {
  const forward = stopClock(t)
  const ticket = { ...strict, SESSION_OUTLIVES_TOKEN: 'true' }
  const inHeader = linkFor(60).replace(/.*auth=/, 'Bearer ')
  const endless = jwt({ userId: ids.userId, sessionId: ids.sessionId })
  const rows: readonly (readonly [string, number, Record<string, string>, string, object?])[] = [
    ['the token’s', 60, strict, linkFor(60, {}, '/ws')],
    ['the token’s, plus the default tolerance', 65, {}, linkFor(60, {}, '/ws')],
    ['SESSION_MAX_AGE, earlier', 40, { ...strict, SESSION_MAX_AGE: '40s' }, linkFor(60)],
    ['the token’s, earlier', 60, { ...strict, SESSION_MAX_AGE: '2m' }, linkFor(60)],
    ['of a ticket, later', 120, { ...ticket, SESSION_MAX_AGE: '2m' }, linkFor(60)],
    ['of a ticket, earlier', 30, { ...ticket, SESSION_MAX_AGE: '30s' }, linkFor(60)],
    ['of a token without exp', 120, { SESSION_MAX_AGE: '2m' }, link({ auth: endless })],
    ['of a token in the header', 60, strict, link({ auth: null }), { Authorization: inHeader }],
    ['on /socket.io/', 60, strict, linkFor(60, {}, '/socket.io/')],
  ]
  const open = await Promise.all(
    rows.map(async ([name, end, env, target, headers]) => {
      const stage = await startSockets(t, env)
      return { name, end, stage, pair: await stage.pair(target, { ...headers }) }
    }),
  )
  const clock = await startSockets(t, strict)
  let now = 0
  for (const end of [30, 40, 60, 65, 120]) {
    forward((end - 3 - now) * 1000)
    await tick(t, clock, forward)
    for (const one of open) if (one.end >= end) await stillOpen(t, one.pair, one.name)
    forward(1000)
    for (const one of open.filter((one) => one.end === end)) {
      t.same(await ends(one.pair), [expired], one.name)
      const audited = await one.stage.gateway.audited(2)
      t.match(audited, [{ status: 101 }, { status: 101, transport: 'websocket' }])
    }
    now = end
  }
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
  await stillOpen(t, long, 'the other')
  await stillOpen(t, both, 'the set')
  forward(60_000)
  t.same(await ends(long), [expired])
  t.same(await ends(both), [expired], 'a set ends with its last')
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
  await tick(t, await startSockets(t, strict), forward)
  await stillOpen(t, pair, 'eleven hours later')
  forward(3_600_000)
  t.same(await ends(pair), [expired])
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
  const target = linkFor(60, {}, '/ws')
  const open = await Promise.all(
    rows.map(async ([name, first, rest, expected]) => {
      const pair = await stage.pair(target)
      pair.upstream.socket.write(first)
      const arrived = pair.head.length + first.length
      await pair.client.until((b) => (b.length < arrived ? null : b))
      return { name, pair, rest, expected }
    }),
  )
  const witness = await stage.pair(target)
  forward(60_000)
  t.same(await ends(witness), [expired])
  for (const { name, pair, rest, expected } of open) {
    pair.upstream.socket.write(Buffer.concat([rest, frame('too late')]))
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

t.test('an upstream whose frames make no sense is passed on, and still ends in time', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const rows: readonly (readonly [string, Buffer, readonly string[]])[] = [
    ['2⁶⁴ - 1 bytes to come', frame('x', { says: 2n ** 64n - 1n }), []],
    ['an unknown opcode', frame('x', { opcode: 5 }), ['opcode-5 x', expired]],
    ['a masked frame', masked('x'), ['text x', expired]],
    ['a long control', frame('x'.repeat(300), { opcode: ping }), ['ping (300)', expired]],
    ['a continuation of nothing', frame('x', { opcode: 0 }), ['continuation x', expired]],
    ['no frames at all', Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), []],
  ]
  const target = linkFor(60, {}, '/ws')
  const open = await Promise.all(
    rows.map(async ([name, bytes, expected]) => {
      const pair = await stage.pair(target)
      pair.upstream.socket.write(bytes)
      const length = pair.head.length + bytes.length
      const arrived = await pair.client.until((b) => (b.length < length ? null : b))
      t.ok(bodyOf(arrived).equals(bytes), `${name}: as it is`)
      return { name, pair, expected }
    }),
  )
  const witness = await stage.pair(target)
  forward(60_000)
  t.same(await ends(witness), [expired])
  forward(1001)
  for (const { name, pair, expected } of open) {
    const words = await ends(pair)
    if (expected.length > 0) t.same(words, expected, name)
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
  upstream.socket.write(frame('after the end'))
  const leaked = client.until((b) => (inWords(bodyOf(b)).includes('text after the end') ? 1 : null))
  await t.rejects(leaked, { message: /^ended after/ }, 'nothing gets through after the end')
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
  return inWords(bodyOf(bytes)).filter((word) => !word.startsWith('text still open'))
}

/** Both directions carry on. */
async function stillOpen(t: Test, { client, upstream }: Pair, name: string): Promise<void> {
  const id = randomUUID()
  client.socket.write(masked(`42["hello","${id}"]`))
  upstream.socket.write(frame(`still open ${id}`))
  const there = upstream.until((b) => inWords(b).find((word) => word.includes(id)) ?? null)
  const back = client.until((b) => inWords(bodyOf(b)).find((word) => word.includes(id)) ?? null)
  const both = await Promise.allSettled([there, back])
  t.same(
    both.map(({ status }) => status),
    ['fulfilled', 'fulfilled'],
    `${name}: still open`,
  )
}

/** Two seconds in which every gateway looks at its sockets' ends: they do so at one pace. */
async function tick(t: Test, stage: SocketStage, forward: (ms: number) => void): Promise<void> {
  for (const _ of ['begun before', 'begun since']) {
    const due = await stage.pair(linkFor(1, {}, '/due'))
    forward(1000)
    t.same(await ends(due), [expired])
  }
}
