// A DELETE ends exactly the sessions that it names, or none.
import t from 'tap'
import { ask } from '../stage.ts'
import { authorized, line, session, startAdmin } from './stage.ts'

const nobody = { contactCenter: null, userId: null, sessionId: null }
const long = 'x'.repeat(2000)

const taken: Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>> = {
  'a session': ['/sessions/session-1', { sessionId: 'session-1' }],
  'a session with a slash, a plus and more': [
    '/sessions/a%2Fb+c%20%C3%A4',
    { sessionId: 'a/b+c ä' },
  ],
  'a session that looks like a query': ['/sessions/%3Fwho=1', { sessionId: '?who=1' }],
  'a long session': [`/sessions/${long}`, { sessionId: long }],
  'a session of a user': ['/sessions/1?userId=agent-7', { sessionId: '1', userId: 'agent-7' }],
  'a session of a user of one': [
    '/sessions/1?userId=a&contactCenter=acme',
    { sessionId: '1', userId: 'a', contactCenter: 'acme' },
  ],
  'a user': ['/sessions?userId=agent-7', { userId: 'agent-7' }],
  'a user with spaces': ['/sessions?userId=agent+7%207', { userId: 'agent 7 7' }],
  'a user with an equals sign': ['/sessions?userId=a=b', { userId: 'a=b' }],
  'a contact center': ['/sessions?contactCenter=acme', { contactCenter: 'acme' }],
  'a user of one': [
    '/sessions?userId=a&contactCenter=acme',
    { userId: 'a', contactCenter: 'acme' },
  ],
  'in the other order': [
    '/sessions?contactCenter=acme&userId=a',
    { userId: 'a', contactCenter: 'acme' },
  ],
}

const refused: Readonly<Record<string, readonly [string, string | undefined]>> = {
  nothing: ['/sessions', 'userId'],
  'nothing in a query': ['/sessions?', 'userId'],
  'both empty': ['/sessions?userId=&contactCenter=', 'userId'],
  'an empty user of a contact center': ['/sessions?userId=&contactCenter=acme', 'userId'],
  'a user of an empty contact center': ['/sessions?userId=a&contactCenter=', 'contactCenter'],
  'a user without a value': ['/sessions?userId', 'userId'],
  'an unknown contact center': ['/sessions?contactCenter=acne', 'contactCenter'],
  'a parameter that is not known': ['/sessions?userId=a&user=b', 'user'],
  'a session in the query': ['/sessions?sessionId=a', 'sessionId'],
  'another case': ['/sessions?userid=a', 'userid'],
  'a list': ['/sessions?userId[]=a', 'userId[]'],
  'a name that is encoded': ['/sessions?%75serId=a', '%75serId'],
  'the user twice': ['/sessions?userId=a&userId=b', 'userId'],
  'the user twice, first empty': ['/sessions?userId=&userId=b', 'userId'],
  'an ampersand too many': ['/sessions?userId=a&', ''],
  'a user that is malformed': ['/sessions?userId=%zz', 'userId'],
  'a user that is no UTF-8': ['/sessions?userId=%ff', 'userId'],
  'a user that is malformed, of a contact center': [
    '/sessions?userId=%zz&contactCenter=acme',
    'userId',
  ],
  'an empty session': ['/sessions/', 'sessionId'],
  'a session that is malformed': ['/sessions/%zz', 'sessionId'],
  'a session that is no UTF-8': ['/sessions/%ff', 'sessionId'],
  'two segments': ['/sessions/a/b', 'sessionId'],
  'a session of nobody': ['/sessions/a?userId=', 'userId'],
  'a session of an unknown contact center': ['/sessions/a?contactCenter=acne', 'contactCenter'],
  'a session and what is not known': ['/sessions/a?sessionId=b', 'sessionId'],
}

t.test('what a DELETE names is revoked, told, and logged as an event of its own', async (t) => {
  const { origin, revoked, log } = await startAdmin(t)
  for (const [name, [path, named]] of Object.entries(taken)) {
    const { status, body } = await ask(origin, path, { method: 'DELETE', headers: authorized })
    const all = { ...nobody, ...named }
    t.equal(status, 200, name)
    t.same(
      JSON.parse(Buffer.from(body, 'latin1').toString()),
      { scope: 'process', revoked: all },
      name,
    )
    t.same(revoked.at(-1), all, name)
    const { level, time, ...said } = log.at(-1) ?? {}
    t.same(said, { event: 'revocation', scope: 'process', ...all, ip: '127.0.0.1' }, name)
  }
  t.equal(revoked.length, Object.keys(taken).length)
  const { body } = await ask(origin, '/metrics', { headers: authorized })
  t.match(body, `copilot_gateway_revocations_total ${revoked.length}\n`)
})

t.test('what is not exactly one of these revokes nothing, and says why', async (t) => {
  const { origin, revoked, log } = await startAdmin(t)
  for (const [name, [path, field]] of Object.entries(refused)) {
    const answer = await ask(origin, path, { method: 'DELETE', headers: authorized })
    t.equal(answer.status, 400, name)
    t.match(JSON.parse(answer.body), { status: 400, field, detail: /./ }, name)
    t.equal(answer.headers['content-type'], 'application/problem+json', name)
  }
  t.same(revoked, [])
  t.same(
    log.filter(({ event }) => event === 'revocation'),
    [],
  )
})

t.test('a revoked session is no longer listed, though its socket closes later', async (t) => {
  const { origin, observations } = await startAdmin(t)
  const list = async (): Promise<unknown> =>
    JSON.parse((await ask(origin, '/sessions', { headers: authorized })).body)
  const ids = { userId: 'a', sessionId: '1' }
  const socket = { ...ids, transport: 'websocket', status: 101 } as const
  observations.seen(session('a', '1'))
  observations.seen(session('a', '2'))
  observations.observe(line({ ...socket, socket: 'open' }))
  t.match(await list(), { total: 2 })
  await ask(origin, '/sessions/1', { method: 'DELETE', headers: authorized })
  observations.revoked({ ...nobody, sessionId: '1' }, false)
  t.match(await list(), { total: 1, sessions: [{ sessionId: '2' }] })
  observations.observe(line({ ...socket, socket: 'close', ended: 'session-revoked' }))
  t.match(await list(), { total: 1, sessions: [{ sessionId: '2' }] })
  observations.seen(session('a', '1'))
  t.match(await list(), { total: 2, sessions: [{ sessionId: '1', sockets: 0 }, {}] }, 'a new one')
})
