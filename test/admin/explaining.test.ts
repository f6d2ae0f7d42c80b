// Operators have links explained, and no link comes out again.
import t from 'tap'
import { operate } from '../process/operated.ts'
import { type Answer, ask, ids, jwt, link, startUpstream } from '../stage.ts'
import { authorized, startAdmin } from './stage.ts'

const good = `https://gateway.example${link()}`
const json = { 'Content-Type': 'application/json' }

function post(origin: string, body: string, headers: object = authorized): Promise<Answer> {
  return ask(origin, '/explain', { method: 'POST', body, headers: { ...json, ...headers } })
}

t.test('a link is explained, or what it lacks is said by its field', async (t) => {
  const { origin, log } = await startAdmin(t)
  const asked = (link: unknown, page?: unknown): string => JSON.stringify({ link, page })
  const rows: Readonly<Record<string, readonly [string, number, object]>> = {
    'a good link': [asked(good), 200, { verdict: 'let in', reason: null }],
    'one that has ended': [
      asked(link({ auth: jwt({ ...ids, exp: 1 }) })),
      200,
      { verdict: 'refused', reason: 'token-expired', status: 401 },
    ],
    'a page': [
      asked(good, 'https://else.example/desk'),
      200,
      { next: [/session/, /upstream/, /^Pages/, /^https:\/\/else\.example may not frame it/] },
    ],
    'no link': [asked(undefined), 400, { field: 'link', detail: 'must be text' }],
    'a list': [asked([good]), 400, { field: 'link', detail: 'must be text' }],
    'an empty link': [asked(' '), 400, { field: 'link', detail: 'is empty' }],
    'no URL': [asked(`x${good}`), 400, { field: 'link', detail: /^must begin with/ }],
    'a page that is none': [asked(good, 'desk'), 400, { field: 'page', detail: /^must be a URL/ }],
    'a page that is no text': [asked(good, 7), 400, { field: 'page', detail: 'must be text' }],
    null: ['null', 400, { field: 'link' }],
    'no JSON': [good, 400, { status: 400 }],
    nothing: ['', 400, { status: 400 }],
    'too much': [asked(good + 'x'.repeat(64 * 1024)), 413, { status: 413 }],
  }
  for (const [name, [body, status, expected]] of Object.entries(rows)) {
    const answer = await post(origin, body)
    t.equal(answer.status, status, name)
    t.match(JSON.parse(answer.body), expected, name)
    t.equal(answer.headers['cache-control'], 'no-store', name)
    for (const text of [ids.userId, ids.sessionId, ids.URLToken, 'eyJ']) {
      t.notOk(answer.body.includes(text), `${name}: ${text} is not repeated`)
    }
  }
  t.equal(
    (await post(origin, `link=${good}`, { ...authorized, 'Content-Type': 'text/x' })).status,
    415,
  )
  t.equal((await ask(origin, '/explain', { headers: authorized })).status, 404, 'GET')
  t.strictSame(log, [], 'nothing is logged')
})

t.test('it is for those who may change something', async (t) => {
  const body = JSON.stringify({ link: good })
  const guarded = await startAdmin(t)
  t.equal((await post(guarded.origin, body, {})).status, 401)
  t.equal(
    (await post(guarded.origin, body, { ...authorized, 'Sec-Fetch-Site': 'cross-site' })).status,
    403,
  )
  const open = await startAdmin(t, { token: null })
  t.equal((await post(open.origin, body, {})).status, 403)
  t.equal((await post(open.origin, body, { 'Sec-Fetch-Site': 'same-origin' })).status, 200)
})

for (const workers of ['1', '2']) {
  t.test(`what was revoked is known, with WORKERS=${workers}`, async (t) => {
    const gateway = await operate(t, await startUpstream(t), { WORKERS: workers })
    const reasonOf = async (): Promise<unknown> => {
      const body = JSON.stringify({ link: gateway.origin + link() })
      const headers = { Authorization: `Bearer ${gateway.token}` }
      return JSON.parse((await post(gateway.adminOrigin, body, headers)).body).reason
    }
    t.equal(await reasonOf(), null)
    await gateway.admin(`/sessions/${ids.sessionId}`, 'DELETE')
    t.equal(await reasonOf(), 'session-revoked')
  })
}
