// Ways that were found into another session's socket, or to be heard on it past its end.
import t, { type Test } from 'tap'
import {
  ask,
  auditOf,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  type Stage,
  startGateway,
  startSocketUpstream,
  startUpstream,
} from '../stage.ts'
import { bodyOf, heard, inWords, masked, said, startSockets } from '../websocket/peer.ts'

const second = { userId: ids.userId, sessionId: 'session-2', URLToken: 'other' }
const join = (sessionId: string): string => `42${JSON.stringify(['join', { sessionId }])}`
const mismatch = 'close 1008 session-mismatch'

async function twoChats(gateway: Stage): Promise<readonly [string, string]> {
  const { userId, sessionId } = second
  const auth = jwt({ userId, sessionId, exp: inAnHour() })
  return [await openSession(gateway), await openSession(gateway, { ...second, auth })]
}

const poll = (sid: string): string => `/socket.io/?EIO=4&transport=polling&sid=${sid}`

async function post(gateway: Stage, target: string, cookie: string, body: string): Promise<number> {
  const headers = { Cookie: cookie, Origin: gateway.origin }
  return (await ask(gateway.origin, target, { method: 'POST', headers, body })).status
}

t.test('a socket that opened before the channel had its session has it too', async (t) => {
  const stage = await startSockets(t)
  const { gateway } = stage
  const both = (await twoChats(gateway)).join('; ')
  const headers = { Cookie: both, Origin: gateway.origin }
  const early = await stage.pair('/socket.io/?EIO=4&transport=websocket&sid=x', headers)
  t.equal(await post(gateway, poll('x'), both, join(ids.sessionId)), 200)
  early.client.socket.write(masked(join(ids.sessionId)))
  t.same(await heard(early, 1), [`text ${join(ids.sessionId)}`])
  gateway.revoke({ contactCenter: null, userId: null, sessionId: ids.sessionId })
  t.same(await said(early, 1), ['close 1008 session-revoked'], 'and ends with it')
  early.client.socket.destroy()
  early.upstream.socket.destroy()

  const other = await stage.pair('/socket.io/?EIO=4&transport=websocket&sid=y', headers)
  t.equal(await post(gateway, poll('y'), both, join(second.sessionId)), 200)
  other.client.socket.write(masked(join(ids.sessionId)))
  t.same(await said(other, 1), [mismatch])
  other.client.socket.destroy()
  other.upstream.socket.destroy()
})

t.test('a sid is one, and of a length that is read', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const [mine, other] = await twoChats(gateway)
  t.equal(await post(gateway, poll('x'), mine, join(ids.sessionId)), 200)
  upstream.seen.length = 0
  for (const target of [
    poll('x'),
    `${poll('x')}&sid=x`,
    `${poll('y')}&sid=x`,
    `${poll('x')}&%73id=y`,
    `/socket.io/?sid=x&?EIO=4&transport=polling`,
    poll('x'.repeat(65)),
    poll(''),
  ]) {
    const headers = { Cookie: other, 'Sec-Fetch-Site': 'same-origin' }
    const answer = await ask(gateway.origin, target, { headers })
    t.equal(answer.status, 403, target.slice(0, 80))
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['reason'], 'session-mismatch')
  }
  t.equal(upstream.seen.length, 0)
})

// Before Node.js 26 the stack ends first.
const skip = Number(process.versions.node.split('.')[0]) >= 26 && 'JSON nests without end'
t.test('a packet that nobody can take apart ends its socket, and no more', { skip }, async (t) => {
  const stage = await startSockets(t, { COPILOT_API_TOKEN: 'the-real-api-token' })
  const deep = `40{"a":${'['.repeat(9000)}${']'.repeat(9000)}}`
  const pair = await stage.pair(link({}, '/socket.io/'))
  pair.client.socket.write(masked(deep))
  t.same(await said(pair, 1), [mismatch])
  pair.client.socket.destroy()
  pair.upstream.socket.destroy()
  const cookie = await openSession(stage.gateway)
  t.equal(await post(stage.gateway, poll('x'), cookie, deep), 403)
  t.equal((await ask(stage.gateway.origin)).status, 200)
})

t.test('what a server may take for the channel is read', async (t) => {
  const stage = await startSockets(t)
  const foreign = '42["join",{"userId":"agent-8"}]'
  for (const path of ['/socket.iox', '/socket.io-x/y', '/socket.io', '/%73ocket.io/']) {
    const { client, upstream } = await stage.pair(link({ EIO: '4' }, path))
    client.socket.write(masked(foreign))
    t.same(await said({ client }, 1), [mismatch], path)
    client.socket.end()
    const passed = inWords(await upstream.ended).filter((word) => word !== mismatch)
    t.same(passed, [], `${path}: nothing of it`)
    upstream.socket.destroy()
    t.ok(bodyOf(client.bytes()))
  }
})

const apiToken = 'f00dfeed-the-real-api-token'

t.test('the token leaves in no part of a file, whoever asks for parts', async (t) => {
  const parts = `--x\r\nContent-Range: bytes 0-30/99\r\n\r\n${apiToken}\r\n--x--\r\n`
  const upstream = await startSocketUpstream(t, (socket, head) => {
    const isPart = /^(?:request-)?range:/im.test(head)
    const type = isPart ? 'multipart/byteranges; boundary=x' : 'text/javascript'
    const body = isPart ? parts : `t="${apiToken}"`
    socket.write(
      `HTTP/1.1 ${isPart ? 206 : 200} OK\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
  })
  const gateway = await startGateway(t, upstream.origin, { COPILOT_API_TOKEN: apiToken })
  const upgrade = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  for (const path of ['/config.js', '/config.j%73', '/x']) {
    for (const name of ['Range', 'Request-Range']) {
      for (const more of [{}, upgrade]) {
        const headers = { [name]: 'bytes=0-10,20-30', ...more }
        const { body, status } = await ask(gateway.origin, link({}, path), { headers })
        t.notMatch(body, apiToken, `${name} of ${path}: ${status}`)
      }
    }
  }
  for (const path of ['/config.js.gz', '/page.html.br']) {
    t.equal((await ask(gateway.origin, link({}, path))).status, 502, path)
  }
})

t.test('a logout ends the sessions of those who ask for it from their own page', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const [mine] = await twoChats(gateway)
  const theirs = jwt({ userId: 'agent-8', sessionId: 'session-8', exp: inAnHour() })
  const target = link(
    { userId: 'agent-8', sessionId: 'session-8', auth: theirs },
    '/.copilot-gateway/logout',
  )
  const foreign = { Cookie: mine, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }
  t.equal((await ask(gateway.origin, target, { headers: foreign })).status, 403)
  await opens(t, gateway, mine)
})

async function opens(t: Test, gateway: Stage, cookie: string): Promise<void> {
  const headers = { Cookie: cookie, 'Sec-Fetch-Site': 'same-origin' }
  t.equal((await ask(gateway.origin, '/', { headers })).status, 200, 'the session goes on')
}

t.test('cookies that nobody was given cost no signature each', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const [mine] = await twoChats(gateway)
  const junk = (count: number, value: string): string =>
    Array.from({ length: count }, (_, i) => `__Host-copilot-${i}=${value}`).join('; ')
  const like = `a.a.${'a'.repeat(43)}`
  for (const [name, Cookie, status] of [
    ['nothing like a session', `${mine}; ${junk(1000, 'a.a.')}`, 200],
    ['like one, before the newest', `${junk(300, like)}; ${mine}`, 200],
    ['like one, after so many as a browser keeps', `${mine}; ${junk(20, like)}`, 401],
    ['the same session many times', Array(60).fill(mine).join('; '), 200],
  ] as const) {
    const headers = { Cookie, 'Sec-Fetch-Site': 'same-origin' }
    t.equal((await ask(gateway.origin, '/', { headers })).status, status, name)
  }
})
