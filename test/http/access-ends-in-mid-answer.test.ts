// An answer lives no longer than its session: streams, polls and downloads end with it.
import { once } from 'node:events'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { ask, auditOf, ids, jwt, link, openSession, startGateway, startUpstream } from '../stage.ts'
import { said, startSockets, stopClock } from '../websocket/peer.ts'

const kinds: Readonly<Record<string, string>> = {
  '/events': 'text/event-stream',
  '/download': 'application/octet-stream',
  '/state.json': 'application/json',
}

/** Answers that never end by themselves; polls that never begin. */
function hold(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split('?')[0] ?? ''
  if (path === '/') response.end('ok')
  if (path.startsWith('/socket.io')) return
  response.writeHead(200, { 'content-type': kinds[path] ?? 'text/plain' })
  response.write('first')
}

interface Held {
  readonly response: IncomingMessage
  readonly ended: Promise<'whole' | 'cut'>
}

/** An answer that has begun. */
async function begin(origin: string, target: string, cookie = ''): Promise<Held> {
  const request = get(`${origin}${target}`, {
    headers: { cookie, 'sec-fetch-site': 'same-origin' },
    agent: false,
  })
  request.on('error', () => {})
  const [response]: IncomingMessage[] = await once(request, 'response')
  if (response === undefined) throw new Error('no answer')
  response.on('error', () => {})
  await once(response, 'data')
  const ended = new Promise<'whole' | 'cut'>((resolve) => {
    response.on('close', () => resolve(response.complete ? 'whole' : 'cut'))
  })
  return { response, ended }
}

const lasting = (seconds: number, path: string): string => {
  const { userId, sessionId } = ids
  return link({ auth: jwt({ userId, sessionId, exp: Date.now() / 1000 + seconds }) }, path)
}

t.test('at the session’s expiry', async (t) => {
  const forward = stopClock(t)
  const upstream = await startUpstream(t, hold)
  const gateway = await startGateway(t, upstream.origin, {
    CLOCK_TOLERANCE: '0s',
    UPSTREAM_TIMEOUT: '1h',
  })
  const held = [
    await begin(gateway.origin, lasting(60, '/events')),
    await begin(gateway.origin, lasting(60, '/download')),
  ]
  const waiting = [
    ask(gateway.origin, lasting(60, '/state.json')),
    ask(gateway.origin, lasting(60, '/socket.io/')),
  ]
  const longer = await begin(gateway.origin, lasting(61, '/events'))
  forward(60_000)
  for (const { ended } of held) t.equal(await ended, 'cut')
  for (const { status } of await Promise.all(waiting)) t.equal(status, 401)
  const lines = await gateway.audited(4)
  t.strictSame(
    lines.map((line) => [line['path'], line['status'], line['ended'] ?? line['reason']]).sort(),
    [
      ['/download', 200, 'session-expired'],
      ['/events', 200, 'session-expired'],
      ['/socket.io/', 401, 'token-expired'],
      ['/state.json', 401, 'token-expired'],
    ],
  )
  t.equal(longer.response.complete || longer.response.destroyed, false, 'no sooner')
  forward(1000)
  t.equal(await longer.ended, 'cut')
})

const { userId, sessionId } = ids
const everything = [
  ['the session', { contactCenter: null, userId: null, sessionId }],
  ['the user', { contactCenter: null, userId, sessionId: null }],
  ['the user, of a contact center', { contactCenter: 'default', userId, sessionId: null }],
  ['the session, of its user', { contactCenter: 'default', userId, sessionId }],
] as const

t.test('when it is revoked', async (t) => {
  for (const [name, revoked] of everything) {
    await t.test(name, async (t) => {
      const stage = await startSockets(t, { UPSTREAM_TIMEOUT: '1h' })
      const { gateway } = stage
      const cookie = await openSession(gateway)
      const other = { userId: 'agent-8', sessionId: 'session-8' }
      const theirs = jwt({ ...other, exp: Date.now() / 1000 + 60 })
      const socket = await stage.pair('/ws', { Cookie: cookie, Origin: gateway.origin })
      const colleague = await stage.pair(link({ ...other, auth: theirs }, '/ws'))

      gateway.revoke(revoked)
      t.same(await said(socket, 1), ['close 1008 session-revoked'])
      socket.client.socket.destroy()
      socket.upstream.socket.destroy()
      await refused(t, gateway.origin, cookie)
      const reasons = (await gateway.audited(4)).flatMap((line) => line['reason'] ?? [])
      t.ok(reasons.every((reason) => reason === 'session-revoked'))

      colleague.upstream.socket.write(Buffer.from([0x81, 1, 0x61]))
      t.same(await said(colleague, 1), ['text a'], 'a colleague’s goes on')
      t.equal((await ask(gateway.origin, link({ ...other, auth: theirs }))).status, 200)
      colleague.client.socket.destroy()
      colleague.upstream.socket.destroy()
    })
  }
})

async function refused(t: Test, origin: string, cookie: string): Promise<void> {
  const headers = { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' }
  t.equal((await ask(origin, '/', { headers })).status, 403, 'the cookie')
  t.equal((await ask(origin, link())).status, 403, 'its token')
  t.equal((await ask(origin, link({ auth: jwt() }))).status, 403, 'any other token for it')
}

t.test('answers under way end when their session is revoked', async (t) => {
  const upstream = await startUpstream(t, hold)
  const gateway = await startGateway(t, upstream.origin, { UPSTREAM_TIMEOUT: '1h' })
  const events = await begin(gateway.origin, link({}, '/events'))
  const poll = ask(gateway.origin, link({}, '/socket.io/'))
  while (upstream.seen.length < 2) await new Promise(setImmediate)
  gateway.revoke({ contactCenter: null, userId: null, sessionId })
  t.equal(await events.ended, 'cut')
  const { status, headers } = await poll
  t.equal(status, 403)
  t.match(await auditOf(gateway, headers['x-request-id']), { reason: 'session-revoked' })
})

t.test('a revocation is forgotten once the session would have ended', async (t) => {
  const forward = stopClock(t)
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { SESSION_MAX_AGE: '1h' })
  gateway.revoke({ contactCenter: null, userId: null, sessionId })
  const endless = link({ auth: jwt({ userId, sessionId }) })
  forward(3_599_000)
  t.equal((await ask(gateway.origin, endless)).status, 403)
  forward(1000)
  t.equal((await ask(gateway.origin, endless)).status, 200)
})

t.test('of several sessions the others go on', async (t) => {
  const stage = await startSockets(t)
  const { gateway } = stage
  const second = { userId, sessionId: 'session-2' }
  const cookies = [
    await openSession(gateway),
    await openSession(gateway, { ...second, auth: jwt({ ...second }) }),
  ].join('; ')
  const both = await stage.pair('/ws', { Cookie: cookies, Origin: gateway.origin })
  gateway.revoke({ contactCenter: null, userId: null, sessionId })
  const answer = await ask(gateway.origin, '/', { headers: { Cookie: cookies } })
  t.equal(answer.status, 200)
  t.match(await auditOf(gateway, answer.headers['x-request-id']), { sessionId: 'session-2' })
  gateway.revoke({ contactCenter: null, userId: null, sessionId: 'session-2' })
  t.same(await said(both, 1), ['close 1008 session-revoked'], 'until the last of them')
  both.client.socket.destroy()
  both.upstream.socket.destroy()
})
