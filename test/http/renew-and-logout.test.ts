// The gateway's own pages: a fresh link prolongs what is open, a logout ends it, for this browser.
import t, { type Test } from 'tap'
import {
  ask,
  auditOf,
  exchange,
  ids,
  jwt,
  link,
  openSession,
  type Stage,
  startGateway,
  startUpstream,
} from '../stage.ts'
import { bodyOf, inWords, said, startSockets, stopClock } from '../websocket/peer.ts'

const renew = '/.copilot-gateway/renew'
const logout = '/.copilot-gateway/logout'
const strict = { CLOCK_TOLERANCE: '0s' }
const seconds = (): number => Date.now() / 1000

/** A link whose token ends in so many seconds. */
function lasting(
  lasts: number,
  path = '/',
  session: Readonly<Record<string, string>> = {},
): string {
  const { userId, sessionId } = { ...ids, ...session }
  return link({ ...session, auth: jwt({ userId, sessionId, exp: seconds() + lasts }) }, path)
}

const navigation = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }
const navigate = (cookie: string) => ({ headers: { ...navigation, Cookie: cookie } })

/** What a page says to the frames around it, of its data attributes. */
function messageOf(page: string): Readonly<Record<string, string>> {
  const [, root = ''] = /<html([^>]*)>/.exec(page) ?? []
  return Object.fromEntries(
    [...root.matchAll(/data-([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  )
}

async function pair(t: Test) {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, strict)
  const cookie = await openSession(gateway)
  upstream.seen.length = 0
  return { upstream, gateway, cookie }
}

t.test('renew opens the session anew and tells the frames around it', async (t) => {
  const { upstream, gateway, cookie } = await pair(t)
  const answer = await ask(gateway.origin, lasting(7200, renew), navigate(cookie))
  t.equal(answer.status, 200)
  t.match(answer.headers['content-type'], /^text\/html/)
  t.match(
    answer.headers['content-security-policy'],
    /default-src 'none'.*frame-ancestors https:\/\/cc\.example$/,
  )
  t.equal(answer.headers['cache-control'], 'no-store')
  t.equal(answer.headers['x-content-type-options'], 'nosniff')
  const [line = '', ...more] = answer.headers['set-cookie'] ?? []
  t.strictSame(more, [], 'one cookie')
  t.equal(line.split('=')[0], cookie.split('=')[0], 'in the place of the one before')
  t.match(line, /; Max-Age=(?:7200|7199)$/)
  const message = messageOf(answer.body)
  t.match(message, {
    type: 'copilot-gateway:renewed',
    'request-id': answer.headers['x-request-id'],
  })
  t.ok(Math.abs(Number(message['expires']) - Date.now() - 7_200_000) < 5000, 'and until when')
  t.notMatch(answer.body, /agent-7|session-1|f38791ae|eyJ/)
  t.match(await auditOf(gateway, answer.headers['x-request-id']), {
    decision: 'allow',
    status: 200,
    path: renew,
    sessionId: ids.sessionId,
  })
  t.equal(upstream.seen.length, 0, 'the workspace hears nothing of it')
})

t.test('only a token that would open a session renews one', async (t) => {
  const { upstream, gateway, cookie } = await pair(t)
  const other = { userId: 'agent-8', sessionId: ids.sessionId }
  const rows: readonly (readonly [string, string, number, string])[] = [
    ['none', renew, 401, 'token-missing'],
    ['the cookie’s ids', link({ auth: null }, renew), 401, 'token-missing'],
    ['one that is over', lasting(-60, renew), 401, 'token-expired'],
    ['of another', link({ auth: jwt(other) }, renew), 403, 'claim-mismatch'],
    [
      'another’s key',
      link({ auth: jwt(other, { key: 'x'.repeat(32) }) }, renew),
      401,
      'token-invalid',
    ],
  ]
  for (const [name, target, status, reason] of rows) {
    const answer = await ask(gateway.origin, target, {
      headers: { ...navigation, Cookie: cookie, Accept: 'text/html' },
    })
    t.equal(answer.status, status, name)
    t.equal(answer.headers['set-cookie'], undefined, name)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { reason })
    const message = messageOf(answer.body)
    t.match(message, { type: 'copilot-gateway:refused', renew: String(reason === 'token-expired') })
  }
  for (const [method, path] of [
    ['POST', renew],
    ['HEAD', renew],
    ['POST', logout],
    ['GET', '/.copilot-gateway'],
    ['GET', '/.copilot-gateway/'],
    ['GET', '/.copilot-gateway/renewal'],
    ['DELETE', '/.copilot-gateway/sessions'],
    ['GET', '/.copilot%2dgateway/x'],
  ] as const) {
    const answer = await ask(gateway.origin, lasting(60, path), { method })
    t.equal(answer.status, 404, `${method} ${path}`)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { reason: 'not-found' })
  }
  const { host } = new URL(gateway.origin)
  const upgrade = `GET ${lasting(60, renew)} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
  t.match(await exchange(gateway.port, upgrade), /^HTTP\/1\.1 404 /)
  t.equal(upstream.seen.length, 0, 'never forwarded')
})

t.test('renew prolongs what is open of the session, and of no other', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const { gateway } = stage
  const second = { sessionId: 'session-2' }
  const open = await stage.pair(lasting(60, '/ws'))
  const other = await stage.pair(lasting(60, '/ws', second))
  forward(50_000)
  t.equal((await ask(gateway.origin, lasting(60, renew), navigate(''))).status, 200)
  forward(11_000)
  t.same(await said(other, 1), ['close 1008 session-expired'])
  other.client.socket.destroy()
  open.upstream.socket.write(Buffer.from([0x81, 1, 0x61]))
  t.same(await said(open, 1), ['text a'], 'without a break')
  forward(50_000)
  t.same(await said(open, 2), ['text a', 'close 1008 session-expired'], 'until it ends anew')
  for (const { client, upstream } of [open, other]) {
    client.socket.destroy()
    upstream.socket.destroy()
  }
})

t.test('a link that ends sooner takes nothing away', async (t) => {
  const forward = stopClock(t)
  const stage = await startSockets(t, strict)
  const open = await stage.pair(lasting(600, '/ws'))
  t.equal((await ask(stage.gateway.origin, lasting(5, renew), navigate(''))).status, 200)
  forward(60_000)
  open.upstream.socket.write(Buffer.from([0x81, 1, 0x61]))
  t.same(await said(open, 1), ['text a'])
  open.client.socket.destroy()
  open.upstream.socket.destroy()
})

t.test('a reconnect after a renewal goes by the cookie, where there is one', async (t) => {
  const forward = stopClock(t)
  const upstream = await startUpstream(t, (_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end('<script src="config.js"></script>')
  })
  const gateway = await startGateway(t, upstream.origin, strict)
  const opened = await ask(gateway.origin, lasting(60))
  const [, credential = ''] = /copilotSession=([\w.-]+)/.exec(opened.body) ?? []
  const poll = `/socket.io/?EIO=4&transport=polling&copilotSession=${credential}`
  const renewed = await ask(gateway.origin, lasting(3600, renew))
  const cookie = renewed.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  forward(61_000)
  const own = { headers: { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' } }
  t.equal((await ask(gateway.origin, poll, own)).status, 200)
  const alone = await ask(gateway.origin, poll)
  t.equal(alone.status, 401)
  t.match(await auditOf(gateway, alone.headers['x-request-id']), { reason: 'token-expired' })
  const foreign = { headers: { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' } }
  t.equal((await ask(gateway.origin, poll, foreign)).status, 403, 'for its own pages only')
})

t.test('logout ends every session of the browser, and what is open of them', async (t) => {
  const stage = await startSockets(t)
  const { gateway } = stage
  const second = { sessionId: 'session-2' }
  const cookies = [
    await openSession(gateway),
    await openSession(gateway, {
      ...second,
      auth: jwt({ userId: ids.userId, ...second, exp: seconds() + 3600 }),
    }),
  ]
  const headers = { Cookie: cookies.join('; '), Origin: gateway.origin }
  const colleague = { userId: 'agent-8', sessionId: 'session-8' }
  const open = [
    await stage.pair('/ws?sessionId=session-1', headers),
    await stage.pair('/ws?sessionId=session-2', headers),
    await stage.pair('/ws', headers),
  ]
  const other = await stage.pair(lasting(60, '/ws', colleague))
  const answer = await ask(gateway.origin, logout, navigate(cookies.join('; ')))
  t.equal(answer.status, 200)
  t.same(messageOf(answer.body), {
    type: 'copilot-gateway:logged-out',
    'request-id': answer.headers['x-request-id'],
  })
  const lines = answer.headers['set-cookie'] ?? []
  t.strictSame(
    lines.map((line) => line.split('=')[0]).sort(),
    cookies.map((cookie) => cookie.split('=')[0] ?? '').sort(),
  )
  for (const line of lines)
    t.match(line, /=; Path=\/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=0$/)
  for (const one of open) {
    t.same(inWords(bodyOf(await one.client.ended)), ['close 1008 session-revoked'])
    one.client.socket.destroy()
    one.upstream.socket.destroy()
  }
  other.upstream.socket.write(Buffer.from([0x81, 1, 0x61]))
  t.same(await said(other, 1), ['text a'], 'a colleague’s goes on')
  other.client.socket.destroy()
  other.upstream.socket.destroy()

  const copy = await ask(gateway.origin, '/', { headers: { Cookie: cookies[0] ?? '' } })
  t.equal(copy.status, 403, 'a copy of the cookie opens nothing')
  t.match(await auditOf(gateway, copy.headers['x-request-id']), { reason: 'session-revoked' })
  await reopens(t, gateway)
})

async function reopens(t: Test, gateway: Stage): Promise<void> {
  const cookie = await openSession(gateway)
  const again = await ask(gateway.origin, '/', { headers: { Cookie: cookie } })
  t.equal(again.status, 200, 'the next link opens it again')
}

t.test('logout without a session is refused', async (t) => {
  const { gateway, upstream } = await pair(t)
  t.equal((await ask(gateway.origin, logout)).status, 401)
  t.equal(upstream.seen.length, 0)
})
