import t from 'tap'
import {
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  startGateway,
  startUpstream,
  valuesOf,
} from '../stage.ts'
import { openDoors } from './doors.ts'

const { doors, upstream, host } = await openDoors(t, { IDENTITY_HEADERS: 'true' })

const claims: readonly (readonly [name: string, claim: string, header: string])[] = [
  ['plain', 'agent-7', 'agent-7'],
  ['a line end', 'a\r\nX-Injected: 1', 'a%0D%0AX-Injected%3A%201'],
  ['a line feed alone', 'a\nX-Injected: 1', 'a%0AX-Injected%3A%201'],
  ['a carriage return alone', 'a\rX-Injected: 1', 'a%0DX-Injected%3A%201'],
  ['the end of a head', 'a\r\n\r\nGET / HTTP/1.1', 'a%0D%0A%0D%0AGET%20%2F%20HTTP%2F1.1'],
  ['NUL', 'a\0b', 'a%00b'],
  ['Latin-1', 'Zo\u00eb', 'Zo%C3%AB'],
  ['another script', '\u5ba2\u670d', '%E5%AE%A2%E6%9C%8D'],
  ['an emoji', '\u{1f600}', '%F0%9F%98%80'],
  ['what looks like a line end', 'a\u560a\u560d', 'a%E5%98%8A%E5%98%8D'],
  ['a comma', 'a, b', 'a%2C%20b'],
  ['a percent sign', '%0d%0a', '%250d%250a'],
  ['white space around', ' a ', '%20a%20'],
]

for (const { name: door, knock, open } of doors) {
  t.test(`over ${door}`, async (t) => {
    for (const [name, claim, header] of claims) {
      upstream.seen.length = 0
      const auth = jwt({ userId: claim, sessionId: claim, exp: inAnHour() })
      const target = link({ userId: claim, sessionId: claim, auth })
      const headers = { 'X-Copilot-User-Id': 'VICTIM', X_Copilot_Session_Id: 'VICTIM' }
      t.equal((await knock({ target, headers })).status, open, name)
      const [seen, ...more] = upstream.seen
      t.strictSame(more, [], `${name}: one request`)
      t.strictSame(valuesOf(seen?.rawHeaders, 'x-copilot-user-id'), [header], name)
      t.strictSame(valuesOf(seen?.rawHeaders, 'x-copilot-session-id'), [header], name)
      t.strictSame(valuesOf(seen?.rawHeaders, 'x-copilot-contact-center'), ['default'], name)
      t.strictSame(valuesOf(seen?.rawHeaders, 'x-injected'), [], `${name}: nothing injected`)
      t.notMatch(JSON.stringify(seen?.rawHeaders), 'VICTIM', `${name}: nothing of the client's`)
    }
  })
}

t.test('an id that is no text has no header to break', async (t) => {
  const auth = `{"userId":"\\ud800","sessionId":"${ids.sessionId}"}`
  for (const { name, knock } of doors) {
    upstream.seen.length = 0
    const { status } = await knock({
      target: link({ userId: '\ud800', auth: jwt(JSON.parse(auth)) }),
    })
    t.equal(status, 403, `${name}: no query can say it`)
    t.strictSame(upstream.seen, [])
  }
})

t.test('where two sessions could be meant, none is named', async (t) => {
  const plain = await startGateway(t, (await startUpstream(t)).origin)
  const auth = jwt({ userId: ids.userId, sessionId: 'session-2', exp: inAnHour() })
  const cookies = [
    await openSession(plain),
    await openSession(plain, { sessionId: 'session-2', auth }),
  ]
  const own = { Cookie: cookies.join('; '), Origin: `https://${host}` }
  for (const { name, knock, open } of doors) {
    const headers = { ...own, 'Sec-Fetch-Site': 'same-origin' }
    const rows = [
      ['/api', []],
      [`/api?sessionId=session-2`, ['session-2']],
    ] as const
    for (const [target, named] of rows) {
      upstream.seen.length = 0
      t.equal((await knock({ target, headers })).status, open, `${name}: ${target}`)
      const raw = upstream.seen[0]?.rawHeaders
      t.strictSame(valuesOf(raw, 'x-copilot-session-id'), named, `${name}: ${target}`)
    }
  }
})

t.test('none goes where none was asked for', async (t) => {
  const quiet = await openDoors(t)
  for (const { name, knock, open } of quiet.doors) {
    quiet.upstream.seen.length = 0
    t.equal((await knock({ headers: { 'X-Copilot-User-Id': 'VICTIM' } })).status, open, name)
    t.notMatch(JSON.stringify(quiet.upstream.seen[0]?.rawHeaders), /x-copilot/i, name)
  }
})
