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

const events: readonly (readonly [string, string, string])[] = [
  ['another session', join({ sessionId: 'session-2' }), 'foreign-event'],
  ['another user', join({ userId: 'agent-8' }), 'foreign-event'],
  ['an id twice', '42["x",{"userId":"a","userId":"agent-7"}]', 'foreign-event'],
  ['an id that is no text', '42["x",{"userId":7}]', 'foreign-event'],
  ['no packet', 'x', 'unreadable-event'],
  ['no JSON', '42[', 'unreadable-event'],
]

t.test('events that should not pass do, and the close says so', async (t) => {
  for (const [name, event, error] of events) {
    const { gateway, pair } = await startSockets(t, env, { configure: report })
    const one = await pair(proven)
    one.client.socket.write(masked(event))
    one.client.socket.write(masked('40'))
    t.same(await heard(one, 2), [`text ${event}`, `text 40{"token":"${apiToken}"}`], name)
    leave(one)
    const [open, close] = await gateway.audited(2)
    t.strictSame([open?.['decision'], open?.['reason']], ['allow', undefined], name)
    const expected = { decision: 'allow', reason: 'session-mismatch', error, socket: 'close' }
    t.match(close, { ...expected, userId: ids.userId, sessionId: ids.sessionId }, name)
  }
})

t.test('the same are refused where that is enforced', async (t) => {
  const stage = await startSockets(t, env)
  for (const [name, event] of events) {
    const one = await stage.pair(proven)
    one.client.socket.write(masked(event))
    t.same(await ends(one), ['close 1008 session-mismatch'], name)
    t.same(
      inWords(one.upstream.bytes()).filter((word) => word.startsWith('text')),
      [],
      name,
    )
  }
  const refused = await stage.ask(unproven)
  t.match(`${await refused.ended}`, /^HTTP\/1\.1 401 /)
})

t.test('polls are reported alike', async (t) => {
  const { gateway, upstream } = await startSockets(t, env, { configure: report })
  const poll = (target: string, body: string, headers = {}) =>
    ask(gateway.origin, target, { method: 'POST', body, headers })
  const path = '/socket.io/?EIO=4&transport=polling'
  const own = link({ EIO: '4', transport: 'polling' }, '/socket.io/')
  const rows: readonly (readonly [string, string, string, object, string | null, string])[] = [
    ['another session', own, join({ userId: 'agent-8' }), {}, 'session-mismatch', 'foreign-event'],
    ['unreadable', own, 'x', {}, 'session-mismatch', 'unreadable-event'],
    ['encoded', own, 'x', { 'Content-Encoding': 'gzip' }, 'session-mismatch', 'unreadable-event'],
    [
      'the protocol before',
      own.replace('EIO=4', 'EIO=3'),
      'x',
      {},
      'session-mismatch',
      'unreadable-event',
    ],
    ['without proof', path, '2', {}, 'token-missing', ''],
  ]
  for (const [name, target, body, headers, reason, error] of rows) {
    upstream.seen.length = 0
    const answer = await poll(target, body, headers)
    t.equal(answer.status, 200, name)
    t.equal(upstream.seen.length, 1, name)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.match(line, { decision: 'allow', reason, ...(error === '' ? {} : { error }) }, name)
  }
  gateway.revoke(shutOut)
  upstream.seen.length = 0
  for (const target of [own, path]) {
    const answer = await poll(target, join({ sessionId: 'ended' }))
    t.equal(answer.status, 403, 'an event that names who was shut out')
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

t.test('an open socket ends with what it claims', async (t) => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ['in its query', `${channel}&sessionId=ended`, null],
    ['in an event', channel, join({ sessionId: 'ended' })],
    ['in an event beside a proof', proven, join({ sessionId: 'ended' })],
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
