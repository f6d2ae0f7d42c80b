import t from 'tap'
import { ask, exchange, link, openSession, startGateway, startUpstream } from '../stage.ts'

let headers: Readonly<Record<string, string>> = {}
const upstream = await startUpstream(t, (_, response) => {
  response.writeHead(200, { ...headers })
  response.end('ok')
})
const api = await startUpstream(t)
const gateway = await startGateway(t, `${upstream.origin}/base`)

/** What the upstream is asked for. */
function asked(): string[] {
  return upstream.seen.splice(0).map(({ url }) => url)
}

t.test('the page lies below its base, the backend does not', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['/', '/base/'],
    ['/index.html', '/base/index.html'],
    ['/assets/', '/base/assets/'],
    ['/a//b', '/base/a//b'],
    ['/base', '/base/base'],
    ['/base/', '/base/base/'],
    ['/base/x', '/base/base/x'],
    ['/based', '/base/based'],
    ['/a%20b/%C3%BC', '/base/a%20b/%C3%BC'],
    ['/a;b=c', '/base/a;b=c'],
    ['/@evil.example/', '/base/@evil.example/'],
    ['/:80/', '/base/:80/'],
    ['/*', '/base/*'],
    ['/...', '/base/...'],
    ['/http://evil.example/', '/base/http://evil.example/'],
    ['/socket.io', '/base/socket.io'],
    ['/Socket.io/', '/base/Socket.io/'],
    ['/socket%2dio/', '/base/socket%2dio/'],
    ['/x/socket.io/', '/base/x/socket.io/'],
    ['/socket.io/', '/socket.io/'],
    ['/socket.io/x', '/socket.io/x'],
  ]
  for (const [path, expected] of rows) {
    const target = link({}, path)
    t.equal((await ask(gateway.origin, target)).status, 200, path)
    t.strictSame(asked(), [target.replace(path, expected)], path)
  }
})

t.test('nothing leads out of the base', async (t) => {
  const { host } = new URL(gateway.origin)
  const paths = [
    '/..',
    '/../',
    '/../x',
    '/x/../../x',
    '/%2e%2e/x',
    '/..%2fx',
    '/..\\x',
    '//evil.example/',
    '/.',
  ]
  for (const path of paths) {
    const target = link().replace('/', path)
    const bytes = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    t.match(await exchange(gateway.port, bytes), /^HTTP\/1\.1 400 /, path)
    t.strictSame(asked(), [], path)
  }
})

t.test('other bases', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['/', '/x'],
    ['/base/', '/base/x'],
    ['/base//', '/base/x'],
    ['/a/b/c', '/a/b/c/x'],
    ['/b%20c', '/b%20c/x'],
    ['/%C3%BC', '/%C3%BC/x'],
    ['/socket.io', '/socket.io/x'],
    ['/b;c', '/b;c/x'],
  ]
  for (const [base, expected] of rows) {
    const gateway = await startGateway(t, upstream.origin + base)
    const target = link({}, '/x')
    t.equal((await ask(gateway.origin, target)).status, 200, base)
    t.strictSame(asked(), [target.replace('/x', expected)], base)
  }
})

t.test('a backend of its own has no base', async (t) => {
  const gateway = await startGateway(t, `${upstream.origin}/base`, { COPILOT_API_URL: api.origin })
  const target = link({}, '/socket.io/')
  t.equal((await ask(gateway.origin, target)).status, 200)
  t.strictSame(
    api.seen.map(({ url, headers }) => [url, headers.host]),
    [[target, new URL(api.origin).host]],
  )
  t.strictSame(asked(), [])

  // Whichever it is taken for, it is that to the router and to the forwarder alike.
  api.seen.length = 0
  const encoded = link({}, '/%73ocket.io/')
  await ask(gateway.origin, encoded)
  const to = [...asked().map((url) => `page ${url}`), ...api.seen.map(({ url }) => `api ${url}`)]
  t.equal(to.length, 1)
  t.ok([`page /base${encoded}`, `api ${encoded}`].includes(String(to[0])), `${to[0]}`)
})

t.test('a Location below the base is one of the gateway', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    [`${upstream.origin}/base/x?a=b#c`, `${gateway.origin}/x?a=b#c`],
    [`${upstream.origin}/base/`, `${gateway.origin}/`],
    [`${upstream.origin}/base`, `${gateway.origin}/`],
    [`${upstream.origin}/base/base/x`, `${gateway.origin}/base/x`],
    [`${upstream.origin}/based`, `${gateway.origin}/based`],
    ['/base/x', '/x'],
    ['/base', '/'],
    ['/base?a', '/?a'],
    ['x', 'x'],
    ['?a', '?a'],
    ['https://login.example/base/x', 'https://login.example/base/x'],
  ]
  for (const [location, expected] of rows) {
    headers = { Location: location }
    t.equal((await ask(gateway.origin, link())).headers.location, expected, location)
  }
  headers = {}
})

t.test('a cookie for the base is one for the gateway', async (t) => {
  const cookie = await openSession(gateway)
  for (const [path, expected] of [
    ['/base', '/'],
    ['/base/', '/'],
    ['/base/x', '/x'],
    ['/', '/'],
  ] as const) {
    headers = { 'Set-Cookie': `a=b; Path=${path}` }
    const answer = await ask(gateway.origin, '/x', { headers: { Cookie: cookie } })
    t.match(answer.headers['set-cookie']?.[0]?.split('; '), ['a=b', `Path=${expected}`], path)
  }
  headers = {}
})

t.test('the log tells the path that the client asked for', async (t) => {
  const before = (await gateway.audited(0)).length
  await ask(gateway.origin, link({}, '/desk'))
  t.match((await gateway.audited(before + 1)).at(-1), { path: '/desk', status: 200 })
})
