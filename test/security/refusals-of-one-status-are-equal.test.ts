import t from 'tap'
import { ids, inAnHour, jwt, link } from '../stage.ts'
import { constant, type Knock, openDoors } from './doors.ts'

const { doors, gateway } = await openDoors(t, { TOKEN_MAX_AGE: '30m' })
const now = inAnHour() - 3600
const base = { userId: ids.userId, sessionId: ids.sessionId, iat: now, exp: now + 3600 }
const good = jwt(base)
const signed = (changes: object): Knock => ({
  target: link({ auth: jwt({ ...base, ...changes }) }),
})
const forged = (changes: object): Knock => ({
  target: link({ auth: jwt({ ...base, ...changes }, { key: 'another-secret-as-long-as-ours' }) }),
})
const foreign = { Cookie: '__Host-copilot-x=x', Origin: 'https://evil.example' }

// Every way to each reason that the same status hides.
const statuses: Readonly<Record<number, Readonly<Record<string, Knock>>>> = {
  400: {
    'target-invalid': { target: `/../${link({ auth: good }).slice(1)}` },
    'target-invalid, malformed': { target: '/%zz' },
    'query-ambiguous': { target: `${link({ auth: good })}&UserId=x` },
    'token-conflict': {
      target: link({ auth: good }),
      headers: { Authorization: `Bearer ${jwt({})}` },
    },
  },
  401: {
    'token-missing': { target: '/' },
    'token-missing, another user': { target: '/?userId=VICTIM' },
    'token-invalid, nothing': { target: link({ auth: '' }) },
    'token-invalid, garbage': { target: link({ auth: 'x' }) },
    'token-invalid, no JSON': { target: link({ auth: 'a.b.c' }) },
    'token-invalid, another secret': forged({}),
    'token-invalid, another secret and over': forged({ exp: 1 }),
    'token-invalid, another algorithm': {
      target: link({ auth: jwt(base, { header: { alg: 'RS256' } }) }),
    },
    'token-invalid, of the right secret': signed({ exp: 'never' }),
    'token-not-active': signed({ nbf: now + 600 }),
    'token-expired': signed({ exp: now - 60 }),
    'token-too-old': signed({ iat: now - 3600 }),
  },
  403: {
    'origin-refused': { target: '/', method: 'POST', headers: foreign },
    'claim-mismatch, the user': { target: link({ auth: good, userId: 'VICTIM' }) },
    'claim-mismatch, the session': { target: link({ auth: good, sessionId: 'VICTIM' }) },
    'claim-mismatch, nothing named': { target: `/?auth=${good}` },
    'claim-missing': signed({ userId: undefined }),
  },
}

for (const { name: door, knock } of doors) {
  for (const [status, refusals] of Object.entries(statuses)) {
    for (const Accept of ['text/html', 'application/json']) {
      t.test(`${status} over ${door}, ${Accept}`, async (t) => {
        let first: string | null = null
        for (const [name, { headers = {}, ...rest }] of Object.entries(refusals)) {
          // The page that frames it: without one, who may frame a refusal depends on who is known.
          const Referer = 'https://cc.example/'
          const told = await knock({ ...rest, headers: { Accept, Referer, ...headers } })
          t.equal(told.status, Number(status), name)
          // That a fresh link would help is told on purpose, to pages, of what was authentic.
          const renews = /^token-(?:expired|too-old)/.test(name) && Accept === 'text/html'
          t.equal(told.body.includes('data-renew="true"'), renews, `${name}: renew`)
          const bytes = constant(told).replace('data-renew=\\"true\\"', 'data-renew=\\"false\\"')
          first ??= bytes.replace(/"content-length","\d+"/, '')
          t.equal(bytes.replace(/"content-length","\d+"/, ''), first, `${name}: the same bytes`)
        }
      })
    }
  }
}

t.test('without a Referer they differ in frame-ancestors alone', async (t) => {
  const shown = (text: string): string => text.replace(/frame-ancestors [^;"]*/, 'frame-ancestors')
  for (const { name: door, knock } of doors) {
    for (const [status, refusals] of Object.entries(statuses)) {
      const told = await Promise.all(Object.values(refusals).map((one) => knock(one)))
      const different = new Set(told.map((one) => shown(constant(one))))
      t.equal(different.size, 1, `${status} over ${door}`)
    }
  }
})

t.test('and the log tells them all apart', async (t) => {
  const reasons = Object.values(statuses).flatMap((refusals) =>
    Object.keys(refusals).map((name) => name.split(',')[0]),
  )
  const seen = new Set((await gateway.audited(1)).map((line) => line['reason']))
  t.strictSame([...seen].sort(), [...new Set(reasons)].sort())
})
