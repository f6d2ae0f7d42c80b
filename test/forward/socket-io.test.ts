import t from 'tap'
import { Lease } from '../../src/access/lease.ts'
import { openSession, type Session } from '../../src/access/session.ts'
import { Channel, Channels } from '../../src/forward/channels.ts'
import { ChannelReader, isReadablePoll, type Verdict } from '../../src/forward/socket-io.ts'
import { createGate, ids } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const { keyring } = await createGate()
const [key] = keyring.keys
if (key === undefined) throw new Error('no key')

function session(changes: Readonly<Record<string, string>> = {}, expires = now + 60_000): Session {
  if (key === undefined) throw new Error('no key')
  return openSession(key, { ...ids, ...changes }, expires, policy, now)
}

const policy = { maxAge: 3_600_000, outliveToken: false }
const own = session()
const other = session({ sessionId: 'session-2', URLToken: 'other-token' })

function reader(lease = new Lease([own]), apiToken: string | null = null): ChannelReader {
  return new ChannelReader(new Channel(), lease, apiToken, null)
}

const json = JSON.stringify
const event = (...values: readonly unknown[]): string => `42${json(values)}`
const read = (text: string, by = reader()): Verdict => by.readText(Buffer.from(text))
const pass = { pass: true, rewritten: null } as const
const foreign = { pass: false, problem: 'foreign-event' } as const
const unreadable = { pass: false, problem: 'unreadable-event' } as const

t.test('what names no session, or its own, passes', (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['the page’s join', event('join', ids)],
    ['its message', event('sendMessage', { text: 'userId' })],
    ['its postback', event('sendPostbackAction', { ...ids, action: 'use-answer' })],
    ['one of the three', event('x', { userId: ids.userId })],
    ['no argument', event('x')],
    ['an event with a number for a name', event(7, { ...ids })],
    ['arguments of every type', event('x', null, true, 1.5, 'userId', [], {}, ids)],
    ['another’s id below the top level', event('x', { filter: { userId: 'agent-8' } })],
    ['another’s id in a list', event('x', [{ userId: 'agent-8' }])],
    ['a name that only looks like one', event('x', { userid: 'agent-8', 'userId ': 'agent-8' })],
    ['an id spelled with escapes', '42["x",{"user\\u0049d":"agent\\u002d7"}]'],
    ['white space', ` 42["x"]`.trimStart().replace('[', '[ \n\t{} , ').replace('{} , ', '')],
    ['an ack asked for', event('join', ids).replace('42', '4217')],
    ['an ack given', `4317${json([ids])}`],
    ['an empty ack', '4317[]'],
    ['a namespace', event('x', ids).replace('42', '42/admin,')],
    ['a namespace and an ack', event('x', ids).replace('42', '42/admin,3')],
    ['connect', '40'],
    ['connect with a token', '40{"token":"t"}'],
    ['connect to a namespace', '40/admin,{"token":"t"}'],
    ['connect to a namespace, bare', '40/admin'],
    ['disconnect', '41'],
    ['disconnect from a namespace', '41/admin,'],
    ['ping', '2'],
    ['ping of a probe', '2probe'],
    ['pong', '3'],
    ['pong of a probe', '3probe'],
    ['upgrade', '5'],
    ['close', '1'],
    ['noop', '6'],
  ]
  for (const [name, text] of rows) t.same(read(text), pass, name)
  t.end()
})

t.test('another session’s event is refused', (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['another user', event('join', { ...ids, userId: 'agent-8' })],
    ['another session', event('join', { ...ids, sessionId: 'session-2' })],
    ['another URLToken', event('join', { ...ids, URLToken: 'other-token' })],
    ['in a later argument', event('x', ids, { userId: 'agent-8' })],
    ['in an earlier one', event('x', { userId: 'agent-8' }, ids)],
    ['in any event', event('sendPostbackAction', { userId: 'agent-8', action: 'a' })],
    ['empty', event('x', { userId: '' })],
    ['of another case', event('x', { userId: 'Agent-7' })],
    ['with a space', event('x', { userId: 'agent-7 ' })],
    ['of another normal form', event('x', { userId: 'ａgent-7' })],
    ['in a namespace', event('join', { userId: 'agent-8' }).replace('42', '42/admin,')],
    ['with an ack', event('join', { userId: 'agent-8' }).replace('42', '421')],
    ['in an ack', `431${json([{ userId: 'agent-8' }])}`],
    [
      'with an attachment',
      `451-${json(['x', { userId: 'agent-8', a: { _placeholder: true, num: 0 } }])}`,
    ],
    ['in an ack with an attachment', `461-1${json([{ userId: 'agent-8' }])}`],
    ['in connect', `40${json({ token: 't', userId: 'agent-8' })}`],
    ['in connect to a namespace', `40/admin,${json({ userId: 'agent-8' })}`],
  ]
  for (const [name, text] of rows) t.same(read(text), foreign, name)
  t.end()
})

t.test('what can’t be read is refused', (t) => {
  const rows: readonly (readonly [string, string | Buffer])[] = [
    ['nothing', ''],
    ['an unknown packet', '7'],
    ['a key given twice, his own last', '42["x",{"userId":"agent-8","userId":"agent-7"}]'],
    ['a key given twice, his own first', '42["x",{"userId":"agent-7","userId":"agent-8"}]'],
    ['a key given twice, alike', '42["x",{"userId":"agent-7","userId":"agent-7"}]'],
    ['twice, once with escapes', '42["x",{"userId":"agent-7","\\u0075serId":"agent-7"}]'],
    [
      'twice, with room between',
      `42["x",{"userId":"agent-7","userId"${' '.repeat(99)}:"agent-7"}]`,
    ],
    ['twice, around an object', '42["x",{"userId":"agent-7","a":{"b":[{}]},"userId":"agent-7"}]'],
    ['twice, around strings', '42["x",{"userId":"agent-7","a":"\\\\\\"}{","userId":"agent-7"}]'],
    ['in the second of two arguments', '42["x",{},{"userId":"agent-7","userId":"agent-7"}]'],
    ['a list of ids', event('x', { userId: [ids.userId] })],
    ['a number', event('x', { userId: 7 })],
    ['null', event('x', { userId: null })],
    ['an object', event('x', { userId: { toString: 'agent-7' } })],
    ['in connect, twice', '40{"userId":"agent-7","userId":"agent-7"}'],
    ['open, which is the server’s', '0{"sid":"x"}'],
    ['text of no packet', 'hello'],
    ['a message of nothing', '4'],
    ['an unknown message', '47[]'],
    ['an error, which is the server’s', '44{"message":"x"}'],
    ['no JSON', '42["x"'],
    ['more than JSON', '42["x"]]'],
    ['an event without a name', '42[]'],
    ['an event whose name is an object', '42[{"userId":"agent-8"}]'],
    ['an event that is an object', '42{"userId":"agent-8"}'],
    ['an event that is text', '42"x"'],
    ['an event of nothing', '42'],
    ['an ack that is an object', '431{}'],
    ['an ack of nothing', '431'],
    ['connect with a list', '40[]'],
    ['connect with text', '40"x"'],
    ['connect with an ack', '401{}'],
    ['disconnect with data', '41{}'],
    ['attachments of an event that has none', '421-["x"]'],
    ['an event of attachments without a count', '45["x"]'],
    ['with too many', '451001-["x"]'],
    ['with a count that is none', '45-["x"]'],
    ['with a fraction', '451.5-["x"]'],
    ['a number with white space, which another takes for an ack', '42 ["x"]'],
    ['of other digits', '42٣["x"]'],
    ['a namespace with a query', event('x', ids).replace('42', '42/admin?userId=agent-8,')],
    ['connect to a namespace with a query', '40/admin?userId=agent-8,'],
    ['more arguments that name ids than a caller has', event('x', ...Array(17).fill(ids))],
    ['a namespace without an end', '42/admin["x"]'],
    ['a ping that says more', '2x'],
    ['a pong that is a form', '3&d=42["join",{"userId":"agent-8"}]'],
    ['an upgrade that says more', '542["x"]'],
    ['a close that says more', '142["x"]'],
    ['a noop that says more', '642["x"]'],
    ['an attachment for nothing', 'bAAEC'],
    ['a byte order mark', '\ufeff42["x"]'],
    ['bytes that are no UTF-8', Buffer.from('42["x","\xff"]', 'latin1')],
    ['overlong UTF-8', Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xc1, 0xb5, 0x22, 0x5d])],
    ['a lone surrogate', Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d])],
  ]
  for (const [name, text] of rows) {
    t.same(reader(new Lease([own]), 'real').readText(Buffer.from(text)), unreadable, name)
  }
  // From Node.js 26 on JSON nests without end; before, the stack ends first.
  const nested = `40{"a":${'['.repeat(9000)}${']'.repeat(9000)}`
  const verdict = reader(new Lease([own]), 'real').readText(Buffer.from(`${nested}}`))
  const read = { pass: true, rewritten: `${nested},"token":"real"}` }
  const endless = Number(process.versions.node.split('.')[0]) >= 26
  t.same(verdict, endless ? read : unreadable, 'a CONNECT nested beyond all measure')
  t.end()
})

t.test('attachments come after their event, and no others', (t) => {
  const by = reader()
  t.same(by.readBinary(), unreadable, 'none was announced')
  t.same(read('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', by), pass)
  t.same(read('42["y"]', by), unreadable, 'an event before they are there')
  t.same(read('2', by), pass, 'but a ping')
  t.same(by.readBinary(), pass)
  t.same(read('bAAEC', by), pass, 'in base64 too')
  t.same(by.readBinary(), unreadable, 'one more')
  t.same(read('42["y"]', by), pass)
  const base64 = reader()
  read('451-["x",{"_placeholder":true,"num":0}]', base64)
  t.same(read('bno base64!', base64), unreadable)
  t.end()
})

t.test('a socket that may belong to several sessions belongs to the first it names', (t) => {
  const start = (): { lease: Lease; by: ChannelReader } => {
    const lease = new Lease([own, other])
    return { lease, by: reader(lease) }
  }
  const { lease, by } = start()
  t.equal(lease.session, null)
  t.same(read(event('x', { userId: ids.userId }), by), pass, 'both are of this user')
  t.equal(lease.session, null, 'so it belongs to none yet')
  t.same(read(event('join', { ...ids, sessionId: 'session-2', URLToken: 'other-token' }), by), pass)
  t.equal(lease.session, other)
  t.same(read(event('join', ids), by), foreign, 'and to no other after')
  t.equal(lease.session, other)

  const mixed = start()
  t.same(
    read(event('join', { ...ids, URLToken: 'other-token' }), mixed.by),
    foreign,
    'ids of two sessions are of none',
  )
  t.equal(mixed.lease.session, null)
  const both = start()
  const { userId, sessionId } = other
  t.same(read(event('x', ids, { userId, sessionId }), both.by), foreign, 'two in one event')
  t.end()
})

t.test('what was named before its session was ended passes no more', (t) => {
  const lease = new Lease([own, other])
  const by = reader(lease)
  const ofBoth = event('x', { userId: ids.userId })
  t.same(read(ofBoth, by), pass)
  lease.revoke((session) => session === own)
  t.same(read(event('join', ids), by), foreign, 'the one that is over')
  t.same(read(ofBoth, by), pass, 'the other')
  lease.revoke(() => true)
  t.same(read(ofBoth, by), foreign, 'none is left')
  t.end()
})

t.test('the backend’s API token is put into CONNECT', (t) => {
  const token = 'the-real/"token"'
  const rows: readonly (readonly [string, string, unknown])[] = [
    ['in the place of the word', '40{"token":"copilot-gateway"}', { token }],
    ['of another', '40{"token":"guess"}', { token }],
    ['where there is none', '40', { token }],
    ['beside what else is there', '40{"a":[1],"token":"x"}', { a: [1], token }],
    ['where it is there twice', '40{"token":"x","token":"y"}', { token }],
  ]
  for (const [name, text, expected] of rows) {
    const verdict = read(text, reader(new Lease([own]), token))
    const rewritten = verdict.pass ? (verdict.rewritten ?? '') : ''
    t.match(rewritten, /^40\{/, name)
    t.same(JSON.parse(rewritten.slice(2)), expected, name)
  }
  const by = (): ChannelReader => reader(new Lease([own]), token)
  for (const text of ['40/admin,{"token":"x"}', '40/admin,', '40/admin']) {
    t.same(read(text, by()), { pass: true, rewritten: `40/admin,${json({ token })}` }, text)
  }
  t.same(read(event('x', { token: 'copilot-gateway' }), by()), pass, 'and nowhere else')
  const recovery = '40{"token":"x","pid":"of-another","offset":"1"}'
  const recovered = { pass: true, rewritten: `40${json({ token })}` }
  t.same(read(recovery, by()), recovered, 'and no connection before is taken up')
  t.same(read(recovery), { pass: true, rewritten: '40{"token":"x"}' }, 'with no token either')
  t.same(read('40{"userId":"agent-8"}', by()), foreign)
  t.end()
})

t.test('the body of a poll is packets', (t) => {
  const poll = (text: string | Buffer, by = reader()): Verdict => by.readPoll(Buffer.from(text))
  const good = event('join', ids)
  t.same(poll(good), pass)
  t.same(poll(`2\x1e${good}\x1e3`), pass, 'several')
  t.same(poll('451-["x",{"_placeholder":true,"num":0}]\x1ebAAEC'), pass, 'an attachment')
  t.same(poll(`${good}\x1e${event('join', { userId: 'agent-8' })}`), foreign, 'the last is foreign')
  t.same(poll(`${event('join', { userId: 'agent-8' })}\x1e${good}`), foreign, 'the first is')
  t.same(poll(''), unreadable)
  t.same(poll(`${good}\x1e`), unreadable, 'an empty packet')
  t.same(poll(`${good.length}:${good}`), unreadable, 'the protocol before')
  t.same(poll(`d=${encodeURIComponent(good)}`), unreadable, 'JSONP')
  t.same(poll(Buffer.from([0, 1, 255, 4])), unreadable, 'binary of the protocol before')
  const completed = poll('40\x1e2', reader(new Lease([own]), 'real'))
  t.same(completed, { pass: true, rewritten: '40{"token":"real"}\x1e2' })

  const channel = new Channel()
  const part = (): ChannelReader => new ChannelReader(channel, new Lease([own]), null, null)
  t.same(poll('451-["x",{"_placeholder":true,"num":0}]', part()), pass)
  t.same(poll('bAAEC', part()), pass, 'an attachment in the next poll')
  t.end()
})

t.test('a poll that another protocol would read differently is refused', (t) => {
  const rows: readonly (readonly [string, boolean, boolean])[] = [
    ['EIO=4&transport=polling', true, true],
    ['EIO=4&transport=polling&sid=x&t=y', true, true],
    ['t=y&%45IO=4', true, true],
    ['EIO=3&transport=polling', false, false],
    ['transport=polling', false, false],
    ['transport=polling&sid=x', false, false],
    ['sid=x', false, false],
    ['EIO=4&EIO=3', false, false],
    ['EIO=4&EIO=4', false, false],
    ['EIO=04', false, false],
    ['EIO=', false, false],
    ['EIO=4&j=0', false, false],
    ['EIO=4&%6a=0', false, false],
    ['EIO=4&j', false, false],
    ['?EIO=4', true, false],
    ['?EIO=4&transport=polling', false, false],
    ['', true, false],
    ['v=1', true, false],
  ]
  for (const [query, reads, writes] of rows) {
    t.equal(isReadablePoll(query, false), reads, `GET ?${query}`)
    t.equal(isReadablePoll(query, true), writes, `POST ?${query}`)
  }
  t.end()
})

const lease = (...sessions: readonly Session[]): Lease => new Lease(sessions)

t.test('the polls of one engine.io session are one channel', (t) => {
  const channels = new Channels()
  const of = (query: string, who = lease(own)): Channel | null => channels.of(query, who, now)
  const channel = of('EIO=4&sid=a')
  t.ok(channel)
  t.equal(of('sid=a&EIO=4'), channel)
  t.not(of('sid=b'), channel)
  t.not(of('EIO=4'), of('EIO=4'), 'without one each is its own')
  for (const query of ['sid=a&sid=a', 'sid=a&sid=b', 'sid=', 'sid=a%00', `sid=${'a'.repeat(65)}`]) {
    t.equal(of(query), null, query)
  }
  t.end()
})

t.test('whose a channel is, is remembered for as long as its session lasts', (t) => {
  const channels = new Channels()
  const bound = channels.of('sid=bound', lease(own), now)
  bound?.enter(lease(own))
  const busy = channels.of('sid=busy', lease(own, other), now)
  busy?.enter(lease(own, other))
  for (let i = 0; i < 25_000; i += 1) channels.of(`sid=flood-${i}`, lease(own, other), now)
  t.equal(channels.of('sid=bound', lease(other), now), bound, 'however many others come')
  t.equal(channels.of('sid=busy', lease(own, other), now), busy)

  const few = new Channels()
  const open = (i: number): Channel | null => few.of(`sid=${i}`, lease(own), now)
  for (let i = 0; i < 100; i += 1) open(i)?.enter(lease(own))
  t.equal(open(100), null, 'one session has so many and no more')
  t.ok(few.of('sid=x', lease(other), now), 'which is no matter to another')

  const full = new Channels()
  for (let i = 0; i < 20_000; i += 1) {
    full.of(`sid=${i}`, lease(own, other), now)?.enter(lease(session({ sessionId: `${i}` })))
  }
  t.equal(full.of('sid=x', lease(own, other), now), null, 'a gateway has no more than that')
  t.ok(full.of('sid=x', lease(own, other), now + 60_000), 'until the sessions are over')
  t.end()
})

t.test('what was there before a channel had its session belongs to that, or ends', (t) => {
  const [early, late, stranger] = [lease(own, other), lease(own, other), lease(other)]
  const channel = new Channel()
  for (const one of [early, late]) t.equal(channel.enter(one), true)
  t.equal(early.session, null)
  const by = new ChannelReader(channel, late, null, null)
  t.same(read(event('join', ids), by), pass)
  t.equal(channel.session, own)
  t.equal(early.session, own)
  t.equal(channel.enter(stranger), false)
  t.equal(stranger.revoked, false, 'which costs it nothing')

  const shared = new Channel()
  const [mine, foreignLease] = [
    lease(own, other),
    lease(session({ sessionId: 'session-3' }), other),
  ]
  shared.enter(foreignLease)
  shared.enter(mine)
  read(event('join', ids), new ChannelReader(shared, mine, null, null))
  t.equal(foreignLease.revoked, true, 'who is of none of its sessions')
  const gone = lease(own, other)
  const left = new Channel()
  left.enter(gone)
  left.leave(gone)
  left.enter(lease(other))
  t.equal(gone.session, null, 'who has left is left alone')
  t.end()
})
