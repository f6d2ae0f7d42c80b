// Files named by their content are fetched once for all, and given to nobody who is not let in.
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { type Answer, ask, ids, openSession, startGateway, startUpstream } from '../stage.ts'

const forAll = { 'Cache-Control': 'public, max-age=31536000, immutable' }
const png = { 'Content-Type': 'image/png', ...forAll }
const script = { 'Content-Type': 'text/javascript', ...forAll }

interface Row {
  readonly path?: string
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
  /** Without a length. */
  readonly chunked?: boolean
  readonly trailers?: boolean
  /** Of both requests; of the second alone. */
  readonly asks?: Readonly<Record<string, string>>
  readonly second?: Readonly<Record<string, string>>
  readonly method?: string
}

let row: Row = {}
const upstream = await startUpstream(t, (_, response) => {
  const { status = 200, headers = png, body = 'what is in the file', trailers = false } = row
  const length = row.chunked || trailers ? {} : { 'Content-Length': Buffer.byteLength(body) }
  response.writeHead(status, { ...headers, ...length })
  if (trailers) response.addTrailers({ 'X-Sum': '1' })
  response.end(body)
})
const gateway = await startGateway(t, upstream.origin, {
  COPILOT_API_URL: 'https://api.copilot.example',
  PUBLIC_PATHS: '/open/*',
})
const Cookie = await openSession(gateway)
let count = 0

/** How often the upstream is asked for a file that two want, one after the other. */
async function fetched(next: Row): Promise<{ times: number; answers: readonly Answer[] }> {
  row = next
  count += 1
  const path = next.path ?? `/assets/index-${String(count).padStart(8, 'B')}.png`
  const headers = path.startsWith('/open/') ? {} : { Cookie }
  const asked = upstream.seen.length
  const { asks = {}, second: more = {}, method = 'GET' } = next
  const answers: Answer[] = []
  for (const changes of [{}, more]) {
    const sent = { ...headers, 'Sec-Fetch-Site': 'same-origin', ...asks, ...changes }
    answers.push(await ask(gateway.origin, path, { method, headers: sent }))
  }
  return { times: upstream.seen.length - asked, answers }
}

t.test('what never changes is fetched once', async (t) => {
  const kept: readonly (readonly [string, Row])[] = [
    ['a picture', {}],
    ['a script in which nothing had to change', { headers: script }],
    ['in a coding', { headers: { ...png, 'Content-Encoding': 'gzip' }, body: gzipSync('file') }],
    ['in chunks', { chunked: true }],
    [
      'on several lines',
      {
        headers: {
          'Content-Type': 'image/png',
          'Cache-Control': ['public', 'max-age=60, immutable'],
        },
      },
    ],
    ['varying by its coding', { headers: { ...png, Vary: 'Accept-Encoding' } }],
    ['named with a dot', { path: '/assets/main.5f2a91c7.png' }],
    [
      'by a browser',
      { asks: { Accept: '*/*', 'User-Agent': 'Mozilla/5.0', Referer: 'http://a/' } },
    ],
    ['for whoever has cookies of the workspace', { asks: { Cookie: `${Cookie}; theme=dark` } }],
    [
      'fresh for shared caches',
      { headers: { ...png, 'Cache-Control': `${forAll['Cache-Control']}, s-maxage=9` } },
    ],
  ]
  for (const [name, given] of kept) {
    const { times, answers } = await fetched(given)
    const [first, second] = answers
    t.equal(times, 1, name)
    t.equal(second?.status, 200, name)
    t.equal(second?.body, first?.body, name)
    t.equal(second?.headers['content-length'], String(second?.body.length), name)
    const unalike = ['x-request-id', 'age', 'date', 'content-length', 'transfer-encoding']
    const alike = (answer: Answer | undefined): object =>
      Object.fromEntries(
        Object.entries(answer?.headers ?? {}).filter(([name]) => !unalike.includes(name)),
      )
    t.same(alike(second), alike(first), name)
    t.match(second?.headers['cache-control'], /^private, /, name)
    t.match(second?.headers['age'], /^\d+$/, name)
    t.not(second?.headers['x-request-id'], first?.headers['x-request-id'], name)
  }
})

t.test('all else is fetched each time', async (t) => {
  const names = (cacheControl: string): Row => ({
    headers: { ...png, 'Cache-Control': cacheControl },
  })
  const fetchedTwice: readonly (readonly [string, Row])[] = [
    ['not for all', names('max-age=31536000, immutable')],
    ['it may change', names('public, max-age=31536000')],
    ['private', names('public, private, max-age=31536000, immutable')],
    ['no-store', names('public, max-age=31536000, immutable, no-store')],
    ['no-cache', names('public, max-age=31536000, immutable, no-cache')],
    ['no longer fresh', names('public, max-age=0, immutable')],
    ['fresh for browsers alone', names('public, max-age=60, s-maxage=0, immutable')],
    ['for no time that can be read', names('public, max-age=1e9, immutable')],
    ['old when it came', { headers: { ...png, Age: '31536000' } }],
    ['a name that says nothing of what is in it', { path: '/assets/logo.png' }],
    ['a query', { path: '/assets/index-B3k2hJ9a.png?v=1' }],
    ['a cookie', { headers: { ...png, 'Set-Cookie': 'a=b' } }],
    ['varying by who asks', { headers: { ...png, Vary: 'Accept-Encoding, Cookie' } }],
    [
      'varying by who asks, on two lines',
      { headers: { ...png, Vary: ['Accept-Encoding', 'Origin'] } },
    ],
    ['with trailers', { trailers: true }],
    ['varying by anything', { headers: { ...png, Vary: '*' } }],
    ['no such file', { status: 404 }],
    ['a page', { headers: { 'Content-Type': 'text/html', ...forAll } }],
    ['a script that names the backend', { headers: script, body: '"https://api.copilot.example"' }],
    ['over a megabyte', { body: Buffer.alloc(2 ** 20 + 1) }],
    ['over a megabyte, as it turns out', { body: Buffer.alloc(2 ** 20 + 1), chunked: true }],
    ['a HEAD', { method: 'HEAD' }],
    ['a POST', { method: 'POST', asks: { Origin: gateway.origin } }],
    ['a reload', { asks: { 'Cache-Control': 'no-cache' } }],
    ['a part of it', { asks: { Range: 'bytes=0-1' } }],
    ['a header that browsers don’t send', { asks: { 'X-Host': 'elsewhere.example' } }],
    ['an Authorization of the workspace’s', { asks: { Authorization: 'Basic YTpi' } }],
    [
      'in another coding',
      { asks: { 'Accept-Encoding': 'gzip' }, second: { 'Accept-Encoding': 'br' } },
    ],
    ['by another name of the gateway', { second: { Host: 'gateway.example' } }],
    ['whoever need not prove anything', { path: '/open/index-B3k2hJ9a.png' }],
  ]
  for (const [name, given] of fetchedTwice) {
    const { times, answers } = await fetched(given)
    t.equal(times, 2, name)
    t.same(new Set(answers.map(({ status }) => status)), new Set([given.status ?? 200]), name)
  }
})

t.test('a reload puts the new in the place of the old', async (t) => {
  const path = '/assets/index-reloaded.png'
  const wanted = { path, second: { 'Cache-Control': 'no-cache' } }
  t.equal((await fetched({ ...wanted, body: 'the old' })).times, 2)
  const { times, answers } = await fetched({ path, body: 'the new' })
  t.equal(times, 0)
  t.equal(answers[0]?.body, 'the old')
  await fetched({ ...wanted, body: 'the new' })
  t.equal((await fetched({ path, body: 'neither' })).answers[0]?.body, 'the new')
})

t.test('what is kept is given to those who are let in, and as each may have it', async (t) => {
  const path = '/assets/index-B3k2hJ9a.png'
  await fetched({ path })
  const asked = upstream.seen.length
  const headers = { 'Sec-Fetch-Site': 'same-origin' }
  t.equal((await ask(gateway.origin, path, { headers })).status, 401, 'nobody')
  t.equal(
    (await ask(gateway.origin, path, { headers: { ...headers, Cookie: `${Cookie}x` } })).status,
    401,
    'a cookie that proves nothing',
  )
  t.equal(
    (await ask(gateway.origin, path, { headers: { Cookie, 'Sec-Fetch-Site': 'cross-site' } }))
      .status,
    403,
    'another site',
  )
  gateway.revoke({ contactCenter: null, userId: ids.userId, sessionId: ids.sessionId })
  t.equal(
    (await ask(gateway.origin, path, { headers: { ...headers, Cookie } })).status,
    403,
    'a revoked session',
  )
  t.equal(upstream.seen.length, asked)
})

t.test('who is only reported fills nothing', async (t) => {
  row = {}
  const lenient = await startGateway(t, upstream.origin, { ENFORCEMENT: 'report' })
  const path = '/assets/index-B3k2hJ9a.png'
  const asked = upstream.seen.length
  for (const _ of [1, 2]) t.equal((await ask(lenient.origin, path)).status, 200)
  t.equal(upstream.seen.length - asked, 2)
})
