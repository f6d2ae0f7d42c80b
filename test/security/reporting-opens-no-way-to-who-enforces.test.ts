import t from 'tap'
import type { ContactCenter } from '../../src/settings/config.ts'
import {
  ask,
  auditOf,
  contactCenters,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  type Stage,
} from '../stage.ts'
import { bodyOf, heard, inWords, masked, type Pair, startSockets } from '../websocket/peer.ts'

const letters = ['r', 'e'] as const
const centers = letters.map((letter): Partial<ContactCenter> => {
  const enforcement = letter === 'r' ? 'report' : 'enforce'
  const secrets = [Buffer.from(letter.repeat(32))]
  const frameAncestors = [`https://${letter}.example`]
  return { name: letter, secrets, urlTokens: [`of-${letter}`], enforcement, frameAncestors }
})
const tokenOf = (letter: string, kid?: string): string => {
  const claims = { userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour() }
  return jwt(claims, { key: letter.repeat(32), header: { alg: 'HS256', kid } })
}
const [reporting, enforcing] = ['of-r', 'of-e']
const stage = await startSockets(
  t,
  { IDENTITY_HEADERS: 'true' },
  { configure: contactCenters(...centers) },
)
const { gateway, upstream, pair } = stage
const cookieOf = (by: Stage, letter: string): Promise<string> =>
  openSession(by, { URLToken: `of-${letter}`, auth: tokenOf(letter) })

t.test('a request with anything of who enforces is held to it', async (t) => {
  const script = { 'Sec-Fetch-Site': 'same-origin' }
  const [r, e] = [await cookieOf(gateway, 'r'), await cookieOf(gateway, 'e')]
  const rows: readonly (readonly [string, number, string, Record<string, string>?])[] = [
    ['its URLToken', 401, link({ URLToken: enforcing, auth: null })],
    [
      'its URLToken, and a token of who reports',
      401,
      link({ URLToken: enforcing, auth: tokenOf('r') }),
    ],
    ['the same by its kid', 403, link({ URLToken: enforcing, auth: tokenOf('r', 'r') })],
    [
      'its URLToken, and a cookie of who reports',
      403,
      link({ URLToken: enforcing, auth: null }),
      { ...script, Cookie: r },
    ],
    ['its cookie', 403, link({ URLToken: reporting, auth: null }), { ...script, Cookie: e }],
    ['its token, by its kid', 403, link({ URLToken: reporting, auth: tokenOf('e', 'e') })],
    [
      'a page of who reports',
      401,
      link({ URLToken: enforcing, auth: null }),
      { Referer: 'https://r.example/' },
    ],
    ['nothing of either', 401, '/', { Referer: 'https://r.example/' }],
  ]
  for (const [name, status, target, headers = {}] of rows) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, target, { headers })
    t.equal(answer.status, status, name)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { decision: 'deny' }, name)
    t.equal(upstream.seen.length, 0, name)
  }
})

t.test('what passes by the URLToken of who reports has no one’s proof', async (t) => {
  const e = await cookieOf(gateway, 'e')
  const headers = { Cookie: `${e}; x=y`, 'Sec-Fetch-Site': 'same-origin' }
  const target = link({ URLToken: reporting, auth: tokenOf('e') })
  upstream.seen.length = 0
  const answer = await ask(gateway.origin, target, { headers })
  t.equal(answer.status, 200)
  t.equal(answer.headers['set-cookie'], undefined)
  t.equal(answer.headers['content-security-policy'], 'frame-ancestors https://r.example')
  const [got] = upstream.seen
  t.equal(got?.headers.cookie, 'x=y')
  t.equal(got?.headers['x-copilot-user-id'], undefined)
  const line = await auditOf(gateway, answer.headers['x-request-id'])
  t.match(line, { decision: 'allow', reason: 'token-invalid', contactCenter: 'r' })
  t.strictSame([line['userId'], line['sessionId']], [undefined, undefined])
})

t.test('nor does an event of a socket that is reported reach who enforces', async (t) => {
  const path = '/socket.io/'
  const named = (URLToken = '') => `42${JSON.stringify(['join', { URLToken }])}`
  const sockets: Readonly<Record<string, string>> = {
    'without proof': link({ URLToken: reporting, auth: null }, path),
    'with proof': link({ URLToken: reporting, auth: tokenOf('r') }, path),
  }
  for (const [name, target] of Object.entries(sockets)) {
    const one: Pair = await pair(target)
    one.client.socket.write(masked(named('of-nobody')))
    t.same(await heard(one, 1), [`text ${named('of-nobody')}`], `${name}: another’s passes`)
    one.client.socket.write(masked(named(enforcing)))
    t.same(inWords(bodyOf(await one.client.ended)), ['close 1008 session-mismatch'], name)
    t.equal(inWords(one.upstream.bytes()).filter((word) => word.startsWith('text')).length, 1, name)
  }
  const poll = await ask(
    gateway.origin,
    link({ URLToken: reporting, auth: null, EIO: '4', transport: 'polling' }, path),
    { method: 'POST', body: named(enforcing) },
  )
  t.equal(poll.status, 403, 'nor by a poll')
})
