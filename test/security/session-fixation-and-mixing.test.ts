import t from 'tap'
import {
  auditOf,
  type ids,
  inAnHour,
  jwt,
  link,
  openSession,
  startGateway,
  startUpstream,
} from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, gateway, upstream, host } = await openDoors(t)
const plain = await startGateway(t, (await startUpstream(t)).origin)

interface Chat {
  readonly ids: typeof ids | { userId: string; sessionId: string; URLToken: string }
  readonly auth: string
  readonly cookie: string
}

/** Somebody's chat, with a session that a link has opened. */
async function chat(userId: string, sessionId: string, URLToken: string): Promise<Chat> {
  const own = { userId, sessionId, URLToken }
  const auth = jwt({ userId, sessionId, exp: inAnHour() })
  return { ids: own, auth, cookie: await openSession(plain, { ...own, auth }) }
}

const a = await chat('agent-7', 'chat-a', 'urltoken-of-a')
const b = await chat('agent-7', 'chat-b', 'urltoken-of-b')
const attacker = await chat('mallory', 'chat-m', 'urltoken-of-m')
const own = { Origin: `https://${host}`, 'Sec-Fetch-Site': 'same-origin' }
const cookies = (...chats: readonly Chat[]) => chats.map(({ cookie }) => cookie).join('; ')
const query = (named: object) => `/api?${new URLSearchParams(Object.entries(named))}`

type Row = readonly [name: string, target: string, cookie: string]
const refused: readonly Row[] = [
  ['A’s cookie for B', query(b.ids), cookies(a)],
  ['A’s cookie for B’s session', query({ sessionId: 'chat-b' }), cookies(a)],
  [
    'A’s user and B’s session',
    query({ userId: 'mallory', sessionId: 'chat-a' }),
    cookies(a, attacker),
  ],
  ['A’s session, B’s URLToken', query({ ...a.ids, URLToken: 'urltoken-of-b' }), cookies(a, b)],
  [
    'B’s session, A’s URLToken',
    query({ sessionId: 'chat-b', URLToken: 'urltoken-of-a' }),
    cookies(a, b),
  ],
  ['A’s token for B', link({ ...b.ids, auth: a.auth }, '/api'), cookies(a, b)],
  ['A’s token beside B’s cookie, for B', link({ ...b.ids, auth: a.auth }, '/api'), cookies(b)],
  [
    'A’s token for A’s session and B’s URLToken and user',
    link({ ...a.ids, userId: 'mallory', auth: a.auth }, '/api'),
    cookies(a, b, attacker),
  ],
  ['an attacker’s cookie for A', query(a.ids), cookies(attacker)],
  [
    'A’s cookie by the name of B’s',
    query(b.ids),
    `${b.cookie.split('=')[0]}=${a.cookie.split('=')[1]}`,
  ],
]
const narrowed: readonly (readonly [...Row, sessionId: string | undefined])[] = [
  ['A of both', query(a.ids), cookies(a, b), 'chat-a'],
  ['B of both', query({ sessionId: 'chat-b' }), cookies(a, b), 'chat-b'],
  ['A’s token beside B’s cookie', link({ ...a.ids, auth: a.auth }, '/api'), cookies(b), 'chat-a'],
  [
    'A’s token beside an attacker’s',
    link({ ...a.ids, auth: a.auth }, '/api'),
    cookies(attacker),
    'chat-a',
  ],
  ['nothing named, of both', '/api', cookies(a, b), undefined],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    for (const [name, target, Cookie] of refused) {
      const { status, headers } = await knock({ target, headers: { ...own, Cookie } })
      t.equal(status, 403, name)
      t.strictSame(upstream.seen.splice(0), [], `${name}: nothing goes on`)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.equal(line['reason'], 'claim-mismatch', name)
    }
    for (const [name, target, Cookie, sessionId] of narrowed) {
      const { status, headers } = await knock({ target, headers: { ...own, Cookie } })
      t.equal(status, open, name)
      const [seen] = upstream.seen.splice(0)
      t.equal(seen?.headers.cookie, undefined, `${name}: no session goes on`)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.equal(line['sessionId'], sessionId, `${name}: in whose name`)
    }
  })
}

t.test('a session that was planted does not become the agent’s', async (t) => {
  const [http1] = doors
  const navigation = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' }
  for (const planted of [attacker, b]) {
    const headers = { ...navigation, Cookie: planted.cookie }
    const told = await http1?.knock({ target: link({ ...a.ids, auth: a.auth }), headers })
    const [name, value = ''] = (told?.headers['set-cookie'] ?? '').split(/[=;]/)
    t.equal(name, a.cookie.split('=')[0], 'a cookie of the agent’s own')
    t.not(name, planted.cookie.split('=')[0])
    const claims = JSON.parse(String(Buffer.from(value.split('.')[1] ?? '', 'base64url')))
    t.match(claims, { u: a.ids.userId, s: a.ids.sessionId })
  }
})

t.test('the workspace can’t plant one', async (t) => {
  // Over HTTP/1.1 the last line is what is told: the first is the one that is kept.
  const lines = [
    'kept=1',
    attacker.cookie,
    attacker.cookie.replace('__Host', '__HOST'),
    `=${attacker.cookie}`,
    ` ${attacker.cookie}; Domain=gateway.example`,
  ]
  const planting = await openDoors(t, {}, (_, response) => {
    response.writeHead(200, { 'Set-Cookie': lines }).end()
  })
  for (const { name, knock } of planting.doors.filter((door) => door.open === 200)) {
    const { headers } = await knock({ target: link({}, '/api'), method: 'HEAD' })
    t.match(headers['set-cookie'], /^kept=1/, `${name}: others are kept`)
    t.notMatch(headers['set-cookie'], /copilot/i, name)
  }
})
