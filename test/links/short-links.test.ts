// A short link leads its agent to the gateway, as often as was asked, and nobody by accident.
import t from 'tap'
import { ask, ids, startGateway, startUpstream } from '../stage.ts'
import {
  basic,
  byIds,
  call,
  client,
  led,
  navigation,
  otherSecret,
  shorten,
  startLinks,
} from './stage.ts'

const gateway = 'https://gateway.example'
const newer = 'a-newer-shared-secret-of-256-bits-as-text'

t.test('an agent is led to a link that lets in', async (t) => {
  const upstream = await startUpstream(t)
  const { origin: inside } = await startGateway(t, upstream.origin)
  const { origin } = await startLinks(t, inside)
  for (const [name, headers] of Object.entries({
    'in a frame': navigation,
    'in a tab': { ...navigation, 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-User': '?1' },
    'by a browser that says nothing of itself': {},
  })) {
    const path = await shorten(origin)
    t.match(path, /^\/o\/[\w-]{22}$/)
    const { status, headers: answered, body } = await ask(origin, path, { headers })
    t.equal(status, 303, name)
    t.equal(body, '')
    t.match(answered, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
    t.equal(led(answered.location).origin, inside)
    t.equal((await ask(inside, led(answered.location).target)).status, 200, name)
    t.equal((await ask(origin, path, { headers })).status, 404, 'once')
  }
})

t.test('as often as was asked', async (t) => {
  const { origin } = await startLinks(t, gateway)
  for (const [short, uses] of [
    [true, 1],
    [{}, 1],
    [{ uses: 3 }, 3],
    [{ uses: 100, expiresIn: '2m' }, 100],
  ] as const) {
    const path = await shorten(origin, { short })
    const all = Array.from({ length: uses + 5 }, () => ask(origin, path))
    const statuses = (await Promise.all(all)).map(({ status }) => status)
    t.equal(statuses.filter((status) => status === 303).length, uses, `${JSON.stringify(short)}`)
    t.equal(statuses.filter((status) => status === 404).length, 5)
  }
  const { body } = await call(origin, '/links', { ...byIds, short: false })
  t.notMatch(body, 'shortUrl')
})

t.test('only who opens it uses it up', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const path = await shorten(origin)
  for (const [name, headers, method = 'GET', status = 403] of [
    ['a preview', {}, 'HEAD', 200],
    ['a prefetch', { ...navigation, 'Sec-Purpose': 'prefetch' }],
    ['a prerender', { ...navigation, 'Sec-Purpose': 'prefetch;prerender' }],
    ['an older prefetch', { ...navigation, Purpose: 'prefetch' }],
    ['an older one of Firefox’s', { 'X-Moz': 'prefetch' }],
    ['a script', { ...navigation, 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Dest': 'empty' }],
    ['a script of an older browser', { 'Sec-Fetch-Mode': 'cors' }],
    ['an image', { ...navigation, 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' }],
    ['an object', { ...navigation, 'Sec-Fetch-Dest': 'object' }],
    ['a form', navigation, 'POST', 404],
  ] as const) {
    const answer = await ask(origin, path, { method, headers })
    t.equal(answer.status, status, name)
    t.equal(answer.headers.location, undefined, name)
  }
  t.equal(
    (await ask(origin, `/o/${'A'.repeat(22)}`, { method: 'HEAD' })).status,
    200,
    'whatever it is',
  )
  t.equal((await ask(origin, path, { headers: navigation })).status, 303)
})

t.test('it is signed when it is opened, by what the settings say then', async (t) => {
  const { origin, reload } = await startLinks(t, gateway)
  const opened = async (path: string): Promise<number> => (await ask(origin, path)).status
  const kept = await shorten(origin, { short: { uses: 9 }, expiresIn: '1h' })
  const signatureOf = async (): Promise<string | undefined> =>
    led((await ask(origin, kept)).headers.location).target.split('.')[2]
  t.equal(await opened(kept), 303)
  reload({ PUBLIC_URL: 'https://other.example', TOKEN_MAX_AGE: '1h' })
  const { location } = (await ask(origin, kept)).headers
  t.equal(led(location).origin, 'https://other.example', 'a reload keeps it, and it leads there')
  const before = await signatureOf()
  reload({ JWT_SECRET: newer })
  t.not(await signatureOf(), before, 'by the newest secret')
  for (const [name, env] of Object.entries({
    'a client that is gone': { LINKS_CLIENTS: client('pbx') },
    'a URLToken that is gone': { URL_TOKENS: '9c2b17aa' },
  })) {
    reload(env)
    t.equal(await opened(kept), 404, name)
  }
  reload()
  t.equal(await opened(kept), 303, 'and back again')
})

t.test('it begins with the address that browsers know, and fits', async (t) => {
  const { origin, reload } = await startLinks(t, gateway)
  const shortUrl = async (headers = {}): Promise<string> => {
    const all = { headers: { ...basic(), ...headers } }
    return JSON.parse((await call(origin, '/links', { ...byIds, short: true }, all)).body).shortUrl
  }
  t.equal(led(await shortUrl()).origin, origin, 'Host')
  const proxied = {
    Host: 'api.internal',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': 'l.example',
  }
  t.equal(led(await shortUrl(proxied)).origin, 'http://api.internal', 'whoever asks is no proxy')
  reload({ TRUST_PROXY: '127.0.0.1' })
  t.equal(
    led(await shortUrl(proxied)).origin,
    'https://l.example',
    'as a proxy says that is believed',
  )
  reload({ LINKS_URL: 'https://links.example' })
  t.equal(led(await shortUrl(proxied)).origin, 'https://links.example', 'LINKS_URL')

  const { body, headers } = await call(origin, '/links', { ...byIds, short: { expiresIn: '2h' } })
  t.match(headers, { 'strict-transport-security': /max-age/ }, 'over TLS')
  const answer = JSON.parse(body)
  t.ok(answer.shortUrl.length < 64, 'a CRM field takes it')
  t.match(answer.uui, /^00[\da-f]+;encoding=hex$/)
  t.ok(answer.uui.length <= 128, 'and so does Genesys Cloud')
  t.same(answer.warnings, [])
  t.ok(Math.abs(Date.parse(answer.shortUrlExpiresAt) - Date.now() - 7_200_000) < 60_000)
  reload({ LINKS_URL: `https://${'links.'.repeat(8)}example` })
  const long = JSON.parse((await call(origin, '/links', { ...byIds, short: true })).body)
  t.match(long.warnings, [/Genesys Cloud advises at most 128/], 'what does not fit is said')
})

t.test('a link that leads nowhere says so to its agent', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const path = `/o/${'A'.repeat(22)}`
  const page = await ask(origin, path, { headers: navigation })
  t.equal(page.status, 404)
  t.match(page.headers['content-type'], 'text/html')
  t.match(page.body, /leads nowhere any more/)
  t.match(
    page.body,
    `data-request-id="${page.headers['x-request-id']}"`,
    'and to the frames around',
  )
  t.match(page.headers['content-security-policy'], /script-src 'sha256-.*frame-ancestors 'none'$/)
  for (const [referer, framer] of [
    ['https://cc.example/desk', 'https://cc.example'],
    ['https://stranger.example/', "'none'"],
    ["https://cc.example;'/", "'none'"],
  ] as const) {
    const { headers } = await ask(origin, path, { headers: { ...navigation, Referer: referer } })
    const policy = String(headers['content-security-policy'])
    t.ok(policy.endsWith(`; frame-ancestors ${framer}`), `${referer}: ${policy}`)
  }
  const problem = await ask(origin, path, { headers: { Accept: 'application/json' } })
  t.match(JSON.parse(problem.body), { status: 404, title: 'Not Found', requestId: String })
})

t.test('each request is one line, which says why it was refused', async (t) => {
  const { origin, told } = await startLinks(t, gateway, { URL_TOKENS: ids.URLToken })
  const path = await shorten(origin)
  await ask(origin, path, { method: 'HEAD' })
  await ask(origin, path, { headers: { 'Sec-Purpose': 'prefetch' } })
  await ask(origin, path)
  await ask(origin, path)
  await call(origin, '/links', byIds)
  await call(origin, '/links', {})
  await call(origin, '/links', '', { headers: { ...basic(), 'Content-Type': 'text/plain' } })
  await call(origin, '/links', JSON.stringify({ uui: 'x'.repeat(16 * 1024) }))
  await call(origin, '/links', byIds, { headers: {} })
  await call(origin, '/links', byIds, { headers: basic('crm', otherSecret) })
  await call(origin, '/links', byIds, { headers: basic('nobody') })
  await call(origin, '/links', byIds, { headers: { ...basic(), 'Sec-Fetch-Site': 'cross-site' } })
  await call(origin, '/links', { ...byIds, urlToken: '9c2b17aa' })
  await call(origin, '/links/by-conversation/17', byIds, { method: 'PUT' })
  await call(origin, '/links/by-conversation/17', undefined)
  await call(origin, '/links/by-conversation/18', undefined)
  await ask(origin, '/openapi.json')
  await ask(origin, '/nothing')
  await ask(origin, '/%zz')
  const who = { contactCenter: 'default', client: 'crm' }
  const whose = { userId: ids.userId, sessionId: ids.sessionId }
  const rows = [
    { asked: 'shorten', status: 200, ...who, ...whose },
    { asked: 'preview', status: 200 },
    { asked: 'open', reason: 'no-navigation', status: 403 },
    { asked: 'open', status: 303, ...who, ...whose },
    { asked: 'open', reason: 'link-unknown', status: 404 },
    { asked: 'sign', status: 200, ...who, ...whose },
    { asked: 'sign', reason: 'request-malformed', status: 400, ...who },
    { asked: 'sign', reason: 'not-json', status: 415, ...who },
    { asked: 'sign', reason: 'body-too-large', status: 413, ...who },
    { asked: 'sign', reason: 'client-missing', status: 401 },
    { asked: 'sign', reason: 'client-invalid', status: 401, client: 'crm' },
    { asked: 'sign', reason: 'client-invalid', status: 401 },
    { asked: 'sign', reason: 'origin-refused', status: 403 },
    { asked: 'sign', reason: 'url-token-unknown', status: 403, ...who },
    { asked: 'keep', status: 200, ...who, ...whose },
    { asked: 'look-up', status: 200, ...who, ...whose },
    { asked: 'look-up', reason: 'link-unknown', status: 404, ...who },
    { asked: 'reference', status: 200 },
    { reason: 'not-found', status: 404 },
    { reason: 'request-malformed', status: 400 },
  ]
  const lines = await told(rows.length)
  t.equal(lines.length, rows.length)
  rows.forEach((row, i) => {
    const { level, time, requestId, durationMs, ...line } = lines[i] ?? {}
    t.same(line, { event: 'link', ip: '127.0.0.1', ...row }, JSON.stringify(row))
    t.same([level, typeof time, typeof durationMs], [30, 'number', 'number'])
    t.match(requestId, /^[\da-f-]{36}$/)
  })
})
