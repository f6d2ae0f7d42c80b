import t from 'tap'
import {
  ask,
  auditOf,
  inAnHour,
  jwt,
  link,
  openSession,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const cookie = await openSession(gateway)
const own = gateway.origin
const fetched = (site: string, mode = 'cors'): Record<string, string> => ({
  'Sec-Fetch-Site': site,
  'Sec-Fetch-Mode': mode,
})

type Headers = Readonly<Record<string, string>>
type Rows = readonly (readonly [name: string, allowed: boolean, method: string, headers: Headers])[]

/** With the session cookie as the only credential. */
const rows: Rows = [
  ['the page asks', true, 'GET', fetched('same-origin')],
  ['the page posts', true, 'POST', { ...fetched('same-origin'), Origin: own }],
  ['the page posts, without Origin', true, 'POST', fetched('same-origin')],
  ['the user types', true, 'GET', fetched('none', 'navigate')],
  ['the user posts by a tool', true, 'POST', fetched('none')],
  ['another site frames', true, 'GET', fetched('cross-site', 'navigate')],
  ['a sibling site frames', true, 'GET', fetched('same-site', 'navigate')],
  ['another site asks', false, 'GET', fetched('cross-site')],
  ['another site embeds', false, 'GET', fetched('cross-site', 'no-cors')],
  ['a sibling site asks', false, 'GET', fetched('same-site')],
  ['another site posts a form', false, 'POST', fetched('cross-site', 'navigate')],
  ['a sibling site posts a form', false, 'POST', fetched('same-site', 'navigate')],
  ['another site posts', false, 'POST', fetched('cross-site')],
  [
    'another site posts and says it is ours',
    false,
    'POST',
    { ...fetched('cross-site'), Origin: own },
  ],
  ['another site asks for the head', false, 'HEAD', fetched('cross-site', 'no-cors')],
  ['another site navigates by HEAD', false, 'HEAD', fetched('cross-site', 'navigate')],
  ['another site asks what may be asked', false, 'OPTIONS', fetched('cross-site')],
  ['a word nobody knows', false, 'GET', fetched('elsewhere')],
  ['an empty word', false, 'GET', fetched('')],
  ['two words', false, 'GET', fetched('same-origin, cross-site')],
  ['another case', false, 'GET', fetched('Same-Origin')],
  ['a mode alone', true, 'GET', { 'Sec-Fetch-Mode': 'navigate' }],
  ['no Fetch Metadata', true, 'GET', {}],
  ['no Fetch Metadata, HEAD', true, 'HEAD', {}],
  ['no Fetch Metadata, OPTIONS', true, 'OPTIONS', {}],
  ['no Fetch Metadata, GET of another origin', true, 'GET', { Origin: 'https://evil.example' }],
  ...['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'QUERY'].flatMap(
    (method): Rows => [
      [`${method}, its own Origin`, true, method, { Origin: own }],
      [`${method}, no Origin`, false, method, {}],
      [`${method}, another Origin`, false, method, { Origin: 'https://evil.example' }],
      [`${method}, its own Origin in a header for another`, false, method, { 'X-Origin': own }],
    ],
  ),
  ['Origin null', false, 'POST', { Origin: 'null' }],
  ['Origin empty', false, 'POST', { Origin: '' }],
  ['another port', false, 'POST', { Origin: `http://127.0.0.1:${gateway.port + 1}` }],
  ['another scheme', false, 'POST', { Origin: own.replace('http', 'https') }],
  ['another host', false, 'POST', { Origin: own.replace('127.0.0.1', 'localhost') }],
  ['a host that begins alike', false, 'POST', { Origin: `${own}.evil.example` }],
  ['a path behind it', false, 'POST', { Origin: `${own}/` }],
  ['two origins', false, 'POST', { Origin: `${own} https://evil.example` }],
  ["the upstream's", false, 'POST', { Origin: upstream.origin }],
  ["the contact center's", false, 'POST', { Origin: 'https://cc.example' }],
  ['a Referer is no Origin', false, 'POST', { Referer: `${own}/` }],
  ['an override of the method', false, 'POST', { 'X-HTTP-Method-Override': 'GET' }],
]

t.test('where cookies are the only credential', async (t) => {
  for (const [name, allowed, method, headers] of rows) {
    upstream.seen.length = 0
    const answer = await ask(own, '/x', { method, headers: { ...headers, Cookie: cookie } })
    t.equal(answer.status, allowed ? 200 : 403, name)
    t.equal(upstream.seen.length, allowed ? 1 : 0, name)
    if (allowed) continue
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['reason'], 'origin-refused', name)
  }
})

t.test('two Origins are not one that is ours', async (t) => {
  const Origin = [own, 'https://evil.example']
  for (const values of [Origin, Origin.toReversed()]) {
    upstream.seen.length = 0
    await ask(own, '/x', { method: 'POST', headers: { Origin: values, Cookie: cookie } })
    t.notMatch(JSON.stringify(upstream.seen), 'evil')
  }
})

t.test('a token is a credential of its own', async (t) => {
  for (const [name, , method, headers] of rows) {
    upstream.seen.length = 0
    const both = { ...headers, Cookie: cookie }
    for (const sent of [headers, both]) {
      const { status } = await ask(own, link(), { method, headers: sent })
      t.equal(status, 200, name)
    }
    t.equal(upstream.seen.length, 2, name)
  }
  const headers = { ...fetched('cross-site'), Authorization: `Bearer ${jwt()}`, Cookie: cookie }
  const { status } = await ask(own, link({ auth: null }), { method: 'POST', headers })
  t.equal(status, 200, 'as a header too')
})

t.test('what is not a token is none beside a cookie', async (t) => {
  for (const authorization of ['Basic dTpw', 'Bearer abc', 'Digest x']) {
    const headers = { ...fetched('cross-site'), Authorization: authorization, Cookie: cookie }
    t.equal((await ask(own, '/x', { headers })).status, 403, authorization)
  }
})

t.test('PUBLIC_URL says which origins are its own', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    PUBLIC_URL: 'https://gateway.example https://second.example:8443',
  })
  const given = await openSession(gateway)
  for (const [origin, status] of [
    ['https://gateway.example', 200],
    ['https://second.example:8443', 200],
    ['https://gateway.example:8443', 403],
    ['http://gateway.example', 403],
    ['https://second.example', 403],
    ['https://other.example', 403],
    [gateway.origin, 403],
  ] as const) {
    const headers = { Cookie: given, Origin: origin, Host: new URL(origin).host }
    t.equal((await ask(gateway.origin, '/x', { method: 'POST', headers })).status, status, origin)
  }
})

t.test('a refused https origin is logged with what would help', async (t) => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['gateway.example', 'https://gateway.example', true],
    ['gateway.example', 'https://evil.example', false],
    ['gateway.example', 'http://evil.example', false],
    ['gateway.example:8443', 'https://gateway.example:8443', true],
  ]
  for (const [host, origin, hinted] of rows) {
    const headers = { Cookie: cookie, Host: host, Origin: origin }
    const answer = await ask(own, '/x', { method: 'POST', headers })
    t.equal(answer.status, 403)
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    const text = JSON.stringify(
      gateway.lines.filter(({ requestId }) => requestId === line['requestId']),
    )
    t.equal(text.includes('PUBLIC_URL'), hinted, `${host} ${origin}`)
  }
})

t.test('the origin is judged before the credential, and after the query', async (t) => {
  const expired = link({ auth: jwt({ exp: inAnHour() - 9999 }) })
  for (const [name, target, reason] of [
    ['a query', '/?userid=x', 'query-ambiguous'],
    ['a binding', '/?userId=VICTIM', 'origin-refused'],
    ['an expired token', expired, 'token-expired'],
  ] as const) {
    const headers = { ...fetched('cross-site'), Cookie: cookie }
    const answer = await ask(own, target, { headers })
    const line = await auditOf(gateway, answer.headers['x-request-id'])
    t.equal(line['reason'], reason, name)
  }
})
