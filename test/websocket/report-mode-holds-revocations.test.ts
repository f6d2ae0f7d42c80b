// Where a contact center only reports, sockets speak for whom they like, but for those who were shut out.
import t, { type Test } from 'tap'
import { ask, auditOf, contactCenters, ids, inAnHour, jwt, link } from '../stage.ts'
import { bodyOf, heard, inWords, masked, type Pair, said, startSockets } from './peer.ts'

const report = contactCenters({ enforcement: 'report' })
const apiToken = 'the-real-api-token-of-the-backend'
const env = { COPILOT_API_TOKEN: apiToken }
const channel = '/socket.io/?EIO=4&transport=websocket'
const unproven = `${channel}&userId=${ids.userId}&sessionId=${ids.sessionId}&URLToken=${ids.URLToken}`
const proven = link({ EIO: '4', transport: 'websocket' }, '/socket.io/')
const join = (named: object = { userId: ids.userId }): string =>
  `42${JSON.stringify(['join', named])}`
const foreign = join({ userId: 'agent-8' })
const shutOut = { contactCenter: null, userId: null, sessionId: 'ended' }

function leave({ client, upstream }: Pair): void {
  client.socket.destroy()
  upstream.socket.destroy()
}

async function ends({ client }: Pair): Promise<string[]> {
  return inWords(bodyOf(await client.ended))
}

t.test('a socket without proof opens, and its lines say why', async (t) => {
  const { gateway, pair } = await startSockets(t, env, { configure: report })
  const one = await pair(unproven)
  t.equal(one.head.status, 101)
  one.client.socket.write(masked('40{"token":"copilot-gateway"}'))
  one.client.socket.write(masked(join()))
  t.same(await heard(one, 2), [`text 40{"token":"${apiToken}"}`, `text ${join()}`])
  leave(one)
  const base = { decision: 'allow', reason: 'token-missing', contactCenter: 'default', status: 101 }
  t.match(await gateway.audited(2), [
    { ...base, socket: 'open' },
    { ...base, socket: 'close', ended: 'client' },
  ])
})

const events: Readonly<Record<string, string>> = {
  'another session': join({ sessionId: 'session-2' }),
  'another user': foreign,
}
const unreadable: Readonly<Record<string, string>> = {
  'an id twice': '42["x",{"userId":"a","userId":"agent-7"}]',
  'an id that is no text': '42["x",{"userId":7}]',
  'no packet': 'x',
  'no JSON': '42[',
}

t.test('events of other sessions pass, and the close says so', async (t) => {
  for (const [name, event] of Object.entries(events)) {
    const { gateway, pair } = await startSockets(t, env, { configure: report })
    const one = await pair(proven)
    one.client.socket.write(masked(event))
    one.client.socket.write(masked('40'))
    t.same(await heard(one, 2), [`text ${event}`, `text 40{"token":"${apiToken}"}`], name)
    leave(one)
    const [open, close] = await gateway.audited(2)
    t.strictSame([open?.['decision'], open?.['reason']], ['allow', undefined], name)
    const expected = { decision: 'allow', reason: 'session-mismatch', socket: 'close' }
    const subject = { userId: ids.userId, sessionId: ids.sessionId }
    t.match(close, { ...expected, ...subject, error: 'foreign-event' }, name)
  }
})

t.test('what can’t be read never does, nor do they where that is enforced', async (t) => {
  const reporting = await startSockets(t, env, { configure: report })
  const enforcing = await startSockets(t, env)
  for (const [{ pair }, refused] of [
    [reporting, unreadable],
    [enforcing, { ...events, ...unreadable }],
  ] as const) {
    for (const [name, event] of Object.entries(refused)) {
      const one = await pair(proven)
      one.client.socket.write(masked(event))
      t.same(await ends(one), ['close 1008 session-mismatch'], name)
      t.same(
        inWords(one.upstream.bytes()).filter((word) => word.startsWith('text')),
        [],
        name,
      )
    }
  }
  const refused = await enforcing.ask(unproven)
  t.match(`${await refused.ended}`, /^HTTP\/1\.1 401 /)
})

t.test('polls are reported alike', async (t) => {
  const { gateway, upstream } = await startSockets(t, env, { configure: report })
  const poll = (target: string, body: string, headers = {}) =>
    ask(gateway.origin, target, { method: 'POST', body, headers })
  const path = '/socket.io/?EIO=4&transport=polling'
  const own = link({ EIO: '4', transport: 'polling' }, '/socket.io/')
  const identity = { 'Content-Encoding': 'identity' }
  const [passes, fails] = [
    { decision: 'allow', status: 200, reason: 'session-mismatch', error: 'foreign-event' },
    { decision: 'deny', status: 403, reason: 'session-mismatch', error: 'unreadable-event' },
  ]
  const rows: readonly (readonly [
    string,
    string,
    string,
    object,
    { readonly status: number; readonly [field: string]: unknown },
  ])[] = [
    ['another session', own, foreign, {}, passes],
    ['unreadable', own, 'x', {}, fails],
    ['encoded', own, '2', identity, fails],
    ['the protocol before', own.replace('EIO=4', 'EIO=3'), '2', {}, fails],
    ['of no channel', `${own}&sid=`, '2', {}, fails],
    ['of two channels', `${own}&sid=a&sid=b`, '2', {}, fails],
    ['another’s channel', `${own}&sid=a`, '2', {}, passes],
    ['without proof', path, '2', {}, { ...passes, reason: 'token-missing', error: undefined }],
  ]
  const another = { sessionId: 'session-2' }
  const auth = jwt({ userId: ids.userId, ...another, exp: inAnHour() })
  const theirs = link({ ...another, auth, EIO: '4', transport: 'polling', sid: 'a' }, '/socket.io/')
  t.equal((await ask(gateway.origin, theirs)).status, 200)
  for (const [name, target, body, headers, expected] of rows) {
    upstream.seen.length = 0
    const answer = await poll(target, body, headers)
    t.equal(answer.status, expected.status, name)
    t.equal(upstream.seen.length, expected.status === 200 ? 1 : 0, name)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), expected, name)
  }
  gateway.revoke(shutOut)
  upstream.seen.length = 0
  gateway.revoke({ ...shutOut, ...another })
  for (const [target, event, name] of [
    [own, join({ sessionId: 'ended' }), 'an event that names who was shut out'],
    [path, join({ sessionId: 'ended' }), 'the same without proof'],
    [`${own}&sid=a`, '2', 'their channel'],
    [`${path}&sid=a`, '2', 'the same without proof'],
  ] as const) {
    const answer = await poll(target, event)
    t.equal(answer.status, 403, name)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.match(line, { decision: 'deny', reason: 'session-revoked' })
  }
  t.equal(upstream.seen.length, 0)
})

t.test('who was shut out gets no socket, and none speaks for them', async (t) => {
  const { gateway, ask, pair } = await startSockets(t, env, { configure: report })
  const open = [await pair(unproven), await pair(proven), await pair(channel)]
  gateway.revoke(shutOut)
  const refused = await ask(`${channel}&sessionId=ended`)
  t.match(`${await refused.ended}`, /^HTTP\/1\.1 403 /)
  const base = { userId: ids.userId, sessionId: 'ended', exp: inAnHour() }
  const bare = await ask(`${channel}&auth=${jwt({ ...base, exp: 1 })}`)
  t.match(`${await bare.ended}`, /^HTTP\/1\.1 403 /, 'nor by a token that has ended')
  for (const one of open) {
    one.client.socket.write(masked(join()))
    one.client.socket.write(masked(join({ sessionId: 'ended' })))
    t.same(await ends(one), ['close 1008 session-revoked'])
    t.notMatch(inWords(one.upstream.bytes()).join(), 'ended', 'which goes nowhere')
  }
  const closes = (await gateway.audited(8)).filter(({ socket }) => socket === 'close')
  for (const line of closes) t.match(line, { ended: 'session-revoked', code: 1008 })
})

t.test('nobody speaks for them by leaving away the id that was shut out', async (t) => {
  const { gateway, pair } = await startSockets(t, env, { configure: report })
  gateway.revoke({ contactCenter: null, userId: 'agent-8', sessionId: null })
  for (const target of [channel, unproven, proven]) {
    const one = await pair(target)
    const events = [join({ URLToken: 'x' }), join({ userId: 'agent-9', sessionId: 'session-9' })]
    for (const event of events) one.client.socket.write(masked(event))
    t.same(
      await heard(one, 2),
      events.map((event) => `text ${event}`),
    )
    one.client.socket.write(masked(join({ sessionId: 'session-8' })))
    t.same(await ends(one), ['close 1008 session-revoked'])
  }
})

t.test('an open socket ends with what it claims', async (t) => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ['in its query', `${channel}&sessionId=ended`, null],
    ['in an event', channel, join({ sessionId: 'ended' })],
    ['in an event beside a proof', proven, join({ sessionId: 'ended' })],
    ['in an event of a user of whom it may be', channel, join({ userId: 'agent-8' })],
  ]
  for (const [name, target, event] of rows) {
    for (const contactCenter of [null, 'default']) {
      const { gateway, pair } = await startSockets(t, env, { configure: report })
      const [one, other] = [await pair(target), await pair(unproven)]
      if (event !== null) {
        one.client.socket.write(masked(event))
        await heard(one, 1)
      }
      gateway.revoke({ ...shutOut, contactCenter })
      t.same(await ends(one), ['close 1008 session-revoked'], `${name}, of ${contactCenter}`)
      await goesOn(t, other, name)
    }
  }
})

async function goesOn(t: Test, one: Pair, name: string): Promise<void> {
  one.client.socket.write(masked('2'))
  t.same(await heard(one, 1), ['text 2'], `${name}: others go on`)
}

t.test('what may be of any contact center ends with whichever’s is meant', async (t) => {
  const two = contactCenters({ enforcement: 'report' }, { name: 'sales', enforcement: 'report' })
  const { gateway, ask, pair } = await startSockets(t, env, {
    configure: (config) => ({ ...two(config), enforcement: 'report' }),
  })
  const [claims, speaks, other] = [
    await pair(`${channel}&sessionId=ended`),
    await pair(channel),
    await pair(unproven),
  ]
  speaks.client.socket.write(masked(join({ sessionId: 'ended' })))
  await heard(speaks, 1)
  gateway.revoke({ ...shutOut, contactCenter: 'sales' })
  for (const one of [claims, speaks]) t.same(await ends(one), ['close 1008 session-revoked'])
  const again = await ask(`${channel}&sessionId=ended`)
  t.match(`${await again.ended}`, /^HTTP\/1\.1 403 /)
  await goesOn(t, other, 'another')
})

t.test('once that is enforced, what is open is held to it', async (t) => {
  const { gateway, pair } = await startSockets(t, env, { configure: report })
  const [without, by, spoke] = [await pair(unproven), await pair(proven), await pair(proven)]
  spoke.client.socket.write(masked(foreign))
  await heard(spoke, 1)
  await gateway.reload({}, (enforcing) => enforcing)
  t.same(await ends(without), ['close 1008 session-revoked'], 'without proof it ends')
  t.same(await ends(spoke), ['close 1008 session-revoked'], 'what spoke for others too')
  by.client.socket.write(masked(join()))
  await heard(by, 1)
  by.client.socket.write(masked(foreign))
  t.same(await said(by, 1), ['close 1008 session-mismatch'], 'and events are bound again')
})
