// Under one-time tokens a link that was seen over a shoulder, or in a log, opens nothing a second time.
import { createServer } from 'node:http'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Channels } from '../../src/forward/channels.ts'
import { OpenExchanges } from '../../src/forward/open.ts'
import { createGateway } from '../../src/gateway.ts'
import { readConfig } from '../../src/settings/config.ts'
import { createRefusals } from '../../src/state/refusals.ts'
import { createRevocations } from '../../src/state/revocations.ts'
import {
  type Answer,
  ask,
  auditOf,
  contactCenters,
  ids,
  inAnHour,
  jwt,
  link,
  listen,
  ownCookies,
  secret,
  startGateway,
  startUpstream,
} from '../stage.ts'
import { dial, handshake, headOf } from '../websocket/peer.ts'

const navigation = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }
const configure = contactCenters({ oneTimeTokens: true })
let made = 0

/** A token that was never used. */
function fresh(): string {
  made += 1
  return jwt({ userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour(), jti: made })
}

const upstream = await startUpstream(t, undefined, (_, socket) =>
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'),
)
const gateway = await startGateway(t, upstream.origin, {}, { configure })

const open = (auth: string, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(gateway.origin, link({ auth }), { headers: { ...navigation, ...headers } })

const cookieOf = ({ headers }: Answer): string => {
  const [cookie] = ownCookies(headers['set-cookie'])
  return `${cookie?.name}=${cookie?.value}`
}

async function refused(t: Test, answer: Answer, name: string): Promise<void> {
  t.equal(answer.status, 403, name)
  t.equal(answer.headers['set-cookie'], undefined, `${name}: no session`)
  t.match(await auditOf(gateway, answer.headers['x-request-id']), {
    decision: 'deny',
    reason: 'token-replayed',
    contactCenter: 'default',
    ...{ userId: ids.userId, sessionId: ids.sessionId },
  })
  t.equal(upstream.seen.splice(0).length, 0, `${name}: nothing goes upstream`)
}

t.test('a second navigation is refused, and asks for a fresh link', async (t) => {
  const auth = fresh()
  t.equal((await open(auth)).status, 200)
  upstream.seen.length = 0
  const Referer = 'https://cc.example/desk'
  const again = await open(auth, { Accept: 'text/html', Referer })
  await refused(t, again, 'the link once more')
  t.match(again.body, 'data-renew="true"')
  t.match(again.headers['content-security-policy'], /frame-ancestors https:\/\/cc\.example/)
  const audit = await auditOf(gateway, again.headers['x-request-id'])
  t.equal(audit['page'], 'https://cc.example')

  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(auth.at(-1) ?? '')
  const spelled = auth.slice(0, -1) + alphabet[last ^ 1]
  await refused(t, await open(spelled), 'another spelling of its signature')
  const bearer = { headers: { ...navigation, Authorization: `Bearer ${auth}` } }
  await refused(t, await ask(gateway.origin, link({ auth: null }), bearer), 'as a Bearer')
  await refused(t, await ask(gateway.origin, link({ auth })), 'without Fetch Metadata')
  const cookie = '__Host-copilot-x=1'
  await refused(t, await open(auth, { Cookie: cookie }), 'beside a cookie that is none')
  t.equal((await open(fresh())).status, 200, 'another token opens')
})

t.test('whoever has the session goes on, without the token', async (t) => {
  const auth = fresh()
  const Cookie = cookieOf(await open(auth))
  upstream.seen.length = 0
  const f5 = await open(auth, { Cookie, Authorization: `Bearer ${auth}` })
  t.equal(f5.status, 200)
  const [got] = upstream.seen
  t.notMatch(got?.url, /auth=/)
  t.equal(got?.headers.authorization, undefined)
  t.equal(f5.headers['set-cookie'], undefined)
  const audit = await auditOf(gateway, f5.headers['x-request-id'])
  t.match(audit, { decision: 'allow', userId: ids.userId, sessionId: ids.sessionId })
  t.equal(audit['reason'], undefined)
  const other = jwt({ userId: 'agent-8', sessionId: ids.sessionId, exp: inAnHour(), jti: 'other' })
  const theirs = link({ auth: other, userId: 'agent-8' })
  t.equal((await ask(gateway.origin, theirs, { headers: navigation })).status, 200)
  const stolen = await ask(gateway.origin, theirs, { headers: { ...navigation, Cookie } })
  t.equal(stolen.status, 403, 'another’s link, beside a session of one’s own')
})

t.test('of twenty navigations at once one is let in', async (t) => {
  const auth = fresh()
  upstream.seen.length = 0
  const answers = await Promise.all(Array.from({ length: 20 }, () => open(auth)))
  const statuses = answers.map(({ status }) => status).sort()
  t.same(statuses, [200, ...Array(19).fill(403)])
  t.equal(upstream.seen.length, 1)
  t.equal(answers.filter(({ headers }) => headers['set-cookie'] !== undefined).length, 1)
})

async function upgrade(auth: string): Promise<number | undefined> {
  const client = await dial(t, gateway.port)
  client.socket.write(handshake(gateway.port, link({ auth }, '/ws')))
  return headOf(await client.ended)?.status
}

t.test('what uses a token up, and what does not', async (t) => {
  const get = (auth: string, path: string, headers: Record<string, string>, method = 'GET') =>
    ask(gateway.origin, link({ auth }, path), { method, headers }).then(({ status }) => status)
  const rows: readonly (readonly [string, boolean, number, (auth: string) => Promise<unknown>])[] =
    [
      ['an upgrade', true, 404, upgrade],
      ['renew', true, 200, (auth) => get(auth, '/.copilot-gateway/renew', navigation)],
      [
        'renew by fetch',
        true,
        200,
        (auth) =>
          get(auth, '/.copilot-gateway/renew', {
            'Sec-Fetch-Mode': 'cors',
            'Sec-Fetch-Site': 'cross-site',
          }),
      ],
      [
        'a script',
        false,
        200,
        (auth) =>
          get(auth, '/a.js', { 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Site': 'cross-site' }),
      ],
      ['HEAD', false, 200, (auth) => get(auth, '/', navigation, 'HEAD')],
      ['POST', false, 200, (auth) => get(auth, '/', navigation, 'POST')],
      [
        'a refused navigation',
        false,
        403,
        (auth) =>
          ask(gateway.origin, link({ auth, userId: 'x' }), { headers: navigation }).then(
            ({ status }) => status,
          ),
      ],
      [
        'a refused upgrade',
        false,
        403,
        async (auth) => {
          const client = await dial(t, gateway.port)
          client.socket.write(
            handshake(gateway.port, link({ auth }, '/ws'), { Origin: 'https://evil.example' }),
          )
          return headOf(await client.ended)?.status
        },
      ],
      [
        'no handshake',
        false,
        400,
        async (auth) => {
          const client = await dial(t, gateway.port)
          client.socket.write(
            handshake(gateway.port, link({ auth }, '/ws'), { 'Sec-WebSocket-Key': 'x' }),
          )
          return headOf(await client.ended)?.status
        },
      ],
    ]
  for (const [name, uses, status, play] of rows) {
    const auth = fresh()
    t.equal(await play(auth), status, name)
    t.equal((await open(auth)).status, uses ? 403 : 200, `${name}: and then a navigation`)
    t.equal(await upgrade(auth), 403, `${name}: and then an upgrade`)
    const renewed = await get(auth, '/.copilot-gateway/renew', {
      'Sec-Fetch-Mode': 'cors',
      'Sec-Fetch-Site': 'cross-site',
    })
    t.equal(renewed, 403, `${name}: and then renew`)
  }
})

t.test('what does not use a token up gets no proof to go on with', async (t) => {
  const types = { '/': 'text/html', '/config.js': 'text/javascript' } as const
  const pages = await startUpstream(t, ({ url = '', headers }, response) => {
    const path = url.startsWith('/config.js') ? '/config.js' : '/'
    response.setHeader('content-type', types[path])
    const script = '<script src="config.js"></script>'
    response.end(path === '/' ? script : `api = "http://${headers.host}"`)
  })
  const opening = await startGateway(t, pages.origin, {}, { configure })
  for (const path of ['/', '/config.js']) {
    for (const mode of ['cors', 'no-cors']) {
      const auth = fresh()
      const headers = { 'Sec-Fetch-Mode': mode, 'Sec-Fetch-Site': 'none' }
      const early = await ask(opening.origin, link({ auth }, path), { headers })
      t.notMatch(early.body, /copilotSession=/, `${path}, ${mode}, before the link is opened`)
      const opened = await ask(opening.origin, link({ auth }), { headers: navigation })
      t.match(opened.body, /copilotSession=/, 'which then proves its session')
      const late = await ask(opening.origin, link({ auth }, path), { headers })
      t.notMatch(late.body, /copilotSession=/, `${path}, ${mode}, and afterwards`)
    }
  }
})

t.test('where nobody can tell, nothing is opened', async (t) => {
  const read = readConfig(
    { COPILOT_URL: upstream.origin, JWT_SECRET: secret, FRAME_ANCESTORS: 'https://cc.example' },
    { readFile: () => '', now: Date.now() },
  )
  if ('problems' in read) throw new Error('wrong settings')
  const audited: object[] = []
  const failing = await createGateway(
    configure(read.config),
    {
      open: new OpenExchanges(),
      channels: new Channels(),
      revocations: createRevocations(),
      usedTokens: { use: async () => 'unreachable' },
      refusals: createRefusals(read.config.rateLimit),
      audit: (event) => audited.push(event),
      tracing: null,
      publishedKeys: () => [],
      keyWanted: () => {},
      claimedBy: () => null,
      logOut: () => {},
      observations: { seen: () => {}, tokenVerified: () => {} },
    },
    pino({ enabled: false }),
    60_000,
  )
  const server = createServer((request, response) => failing.handle(request, response))
  const origin = `http://127.0.0.1:${await listen(server)}`
  t.teardown(async () => {
    server.close()
    await failing.close()
  })
  upstream.seen.length = 0
  const auth = fresh()
  const answer = await ask(origin, link({ auth }), { headers: navigation })
  t.equal(answer.status, 503)
  t.equal(answer.headers['retry-after'], '30')
  t.equal(answer.headers['set-cookie'], undefined)
  t.match(audited, [{ decision: 'deny', reason: 'state-unreachable', status: 503 }])
  t.equal(upstream.seen.length, 0)
  const Cookie = cookieOf(await open(fresh()))
  const f5 = await ask(origin, link({ auth }), { headers: { ...navigation, Cookie } })
  t.equal(f5.status, 200, 'whoever has the session goes on')
  t.notMatch(upstream.seen.at(-1)?.url, /auth=/)
  const script = await ask(origin, '/a', { headers: { Cookie, 'Sec-Fetch-Site': 'same-origin' } })
  t.equal(script.status, 200, 'and nothing else asks')
})
