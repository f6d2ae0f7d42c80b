import { once } from 'node:events'
import { METHODS } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { answersIn, ask, ids, jwt, link, startGateway, startUpstream } from '../stage.ts'

const page = await startUpstream(t, async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  response.setHeader('x-body', Buffer.concat(chunks).toString('base64url'))
  response.end()
})
const api = await startUpstream(t)
const gateway = await startGateway(t, page.origin, { COPILOT_API_URL: api.origin })
const auth = jwt()
const query = `userId=${ids.userId}&sessionId=${ids.sessionId}&URLToken=${ids.URLToken}&auth=${auth}`

t.test('the path goes on as it came', async (t) => {
  const paths = [
    '/',
    '/index.html',
    '/assets/index-1.js',
    '/a/',
    '/a//b',
    '/a///',
    '/...',
    '/.../a',
    '/.a',
    '/a.',
    '/..a/b..',
    '/.well-known/x',
    '/a;b=c/d',
    '/a%20b',
    '/a+b',
    '/%7Euser',
    '/~user',
    '/%C3%BC',
    '/%c3%bc',
    '/%F0%9F%98%80',
    '/%E2%80%AE',
    '/100%25',
    '/100%25x',
    '/a%3Fb',
    '/a%23b',
    '/a%26userId=B',
    '/a%3Bb',
    '/a%3Ab',
    '/a&b=c',
    '/a=b',
    '/@host:80/',
    '/:80',
    '/a:b',
    '/*',
    '/:param',
    "/!$'()*+,;=:@",
    '/[x]',
    '/{x}',
    '/^|`"<>',
    '/http://evil.example/',
    '/socket.io',
    '/socket.iox/',
    '/Socket.IO/',
    '/SOCKET.IO/x',
    '/x/socket.io/',
    `/${'p'.repeat(6000)}`,
    `/${'p/'.repeat(3000)}`,
  ]
  for (const path of paths) {
    page.seen.length = 0
    const { status } = await ask(gateway.origin, `${path}?${query}`)
    t.equal(status, 200, path.slice(0, 80))
    t.strictSame(
      page.seen.map(({ url }) => url),
      [`${path}?${query}`],
    )
  }
  t.strictSame(api.seen, [], "the page's paths never reach the backend")
})

t.test("the backend's path goes to the backend, and is no other's", async (t) => {
  const paths = [
    '/socket.io/',
    '/socket.io/?',
    '/socket.io/a',
    '/socket.io//a',
    '/socket.io/a%20b;c',
  ]
  for (const path of paths) {
    page.seen.length = 0
    api.seen.length = 0
    const target = `${path}${path.endsWith('?') ? '' : '?'}EIO=4&transport=polling&${query}`
    t.equal((await ask(gateway.origin, target)).status, 200, path)
    t.strictSame(
      api.seen.map(({ url }) => url),
      [target],
    )
    t.strictSame(page.seen, [])
  }
})

t.test(
  'an encoded spelling of the backend path is one thing to router and forwarder',
  async (t) => {
    page.seen.length = 0
    api.seen.length = 0
    const target = `/%73ocket.io/?${query}`
    await ask(gateway.origin, target)
    t.strictSame(
      [...page.seen, ...api.seen].map(({ url }) => url),
      [target],
      'as it came, to one host',
    )
  },
)

t.test('the query goes on as it came, less what is never forwarded', async (t) => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['in another order', `auth=${auth}&URLToken=f38791ae&sessionId=session-1&userId=agent-7`, ''],
    ['encoded values', query.replace('agent-7', '%61gent%2D7'), ''],
    ['a plus is no minus', `${query}&x=a+b`, ''],
    ['parameters of others', `a=1&${query}&b=2&b=3&c[]=4&d[e]=5`, ''],
    ['empty pieces', `&${query}&&x=&=y&z&`, ''],
    ['semicolons between others', `${query}&x=1;y=2;z`, ''],
    ['a question mark', `${query}&x=?&y=/?z`, ''],
    ['an encoded query in a value', `${query}&next=%2F%3FuserId%3DB%26auth%3Dx%23`, ''],
    ['an encoded zero byte in a value', `${query}&x=%00%0d%0a`, ''],
    ['all that may be raw', `${query}&x=!$'()*,:@/"<>[]^\`{|}~`, ''],
    ['names that only begin alike', `${query}&userIds=1&author=2&auth2=3&userIdent=4`, ''],
    ['names that only end alike', `${query}&xuserId=1&my_auth=2&preURLToken=3`, ''],
    ['our names as values', `${query}&name=userId&x=auth`, ''],
    ['256 parameters', `${query}${'&x'.repeat(252)}`, ''],
    ['a long value', `${query}&x=${'y'.repeat(6000)}`, ''],
    ['copilotSession', `${query}&copilotSession=x&y=1`, `${query}&y=1`],
    ['copilotSession, first', `copilotSession=x&${query}`, query],
    ['copilotSession, empty', `${query}&copilotSession=`, query],
    ['copilotSession, bare', `${query}&copilotSession`, query],
  ]
  for (const [name, sent, expected] of rows) {
    page.seen.length = 0
    t.equal((await ask(gateway.origin, `/?${sent}`)).status, 200, name)
    t.strictSame(
      page.seen.map(({ url }) => url),
      [`/?${expected || sent}`],
      name,
    )
  }
})

t.test('the token stays here where it must', async (t) => {
  const gateway = await startGateway(t, page.origin, { FORWARD_AUTH: 'false' })
  const rest = query.slice(0, query.indexOf('&auth='))
  const rows: readonly (readonly [string, string, string])[] = [
    ['last', `${rest}&auth=${auth}`, `?${rest}`],
    ['first', `auth=${auth}&${rest}`, `?${rest}`],
    ['between', `a=1&auth=${auth}&${rest}&auth2=x`, `?a=1&${rest}&auth2=x`],
    ['encoded', `${rest}&auth=${auth.replace('.', '%2E')}`, `?${rest}`],
  ]
  for (const [name, sent, expected] of rows) {
    page.seen.length = 0
    t.equal((await ask(gateway.origin, `/${`?${sent}`}`)).status, 200, name)
    t.equal(page.seen[0]?.url, `/${expected}`, name)
    t.notMatch(JSON.stringify(page.seen), auth, name)
  }

  page.seen.length = 0
  const headers = { Authorization: `Bearer ${auth}` }
  t.equal((await ask(gateway.origin, `/?${rest}`, { headers })).status, 200)
  t.notMatch(JSON.stringify(page.seen), auth, 'nor as a header')
  t.equal(page.seen.length, 1)

  page.seen.length = 0
  const other = { Authorization: 'Basic dTpw' }
  await ask(gateway.origin, `/?${query}`, { headers: other })
  t.equal(page.seen[0]?.headers.authorization, 'Basic dTpw', "another's Authorization passes")
})

t.test('an Authorization goes on as it came', async (t) => {
  const rest = query.slice(0, query.indexOf('&auth='))
  const rows: readonly (readonly [string, string, string])[] = [
    ['the token', rest, `Bearer ${auth}`],
    ['the token, scheme in lower case', rest, `bearer ${auth}`],
    ['the token, twice the same', query, `Bearer ${auth}`],
    ['Basic beside a token', query, 'Basic dTpw'],
    ['Bearer without the shape of a JWT', query, 'Bearer abc'],
    ['Bearer with two parts', query, 'Bearer abc.def'],
    ['Bearer with four parts', query, 'Bearer a.b.c.d'],
    ['another scheme', query, `Token ${auth}`],
    ['parameters', query, 'Digest username="u", uri="/"'],
  ]
  for (const [name, sent, authorization] of rows) {
    page.seen.length = 0
    const headers = { Authorization: authorization }
    t.equal((await ask(gateway.origin, `/?${sent}`, { headers })).status, 200, name)
    t.strictSame(
      page.seen.map(({ headers }) => headers.authorization),
      [authorization],
      name,
    )
  }
})

t.test('every method goes on as it came, with its body', async (t) => {
  const bodiless = ['GET', 'HEAD', 'CONNECT', 'TRACE']
  for (const method of METHODS.filter((method) => !bodiless.includes(method))) {
    page.seen.length = 0
    const body = Buffer.from([0, 1, 2, 13, 10, 13, 10, 255, 254])
    const { status, headers } = await ask(gateway.origin, link(), { method, body })
    t.equal(status, 200, method)
    t.equal(page.seen[0]?.method, method)
    t.equal(headers['x-body'], body.toString('base64url'), `${method}: the body`)
    t.equal(page.seen[0]?.headers['content-length'], '9', `${method}: its length`)
  }
})

t.test('bodies go on as they came', async (t) => {
  const json = { 'Content-Type': 'application/json' }
  const rows: readonly (readonly [string, string, Record<string, string>, string])[] = [
    ['broken JSON', 'POST', json, '{"a":'],
    ['an empty body that is said to be JSON', 'POST', json, ''],
    ['a type nobody knows', 'POST', { 'Content-Type': 'x/y;z' }, 'abc'],
    ['a type that is none', 'POST', { 'Content-Type': '///' }, 'abc'],
    ['no type', 'PUT', {}, 'abc'],
    ['a form that names a user', 'POST', {}, 'userId=VICTIM&auth=x'],
    ['a GET with a body', 'GET', {}, 'abc'],
    ['a DELETE with a body', 'DELETE', json, '{}'],
    ['chunks', 'POST', { 'Transfer-Encoding': 'chunked' }, 'abc'],
    ['an encoding that is not that of the bytes', 'POST', { 'Content-Encoding': 'gzip' }, 'abc'],
  ]
  for (const [name, method, headers, body] of rows) {
    page.seen.length = 0
    const answer = await ask(gateway.origin, link(), { method, headers, body })
    t.equal(answer.status, 200, name)
    t.equal(answer.headers['x-body'], Buffer.from(body).toString('base64url'), name)
    // How a body is framed is a matter of each connection.
    const { 'Transfer-Encoding': _, ...kept } = headers
    t.match(page.seen[0]?.headers, lowered(kept), name)
  }
})

t.test("what is not checked is not read: one request's bytes stay its own", async (t) => {
  page.seen.length = 0
  const socket = connect(gateway.port, '127.0.0.1')
  const target = link()
  const request = `POST ${target} HTTP/1.1\r\nHost: ${new URL(gateway.origin).host}\r\n`
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
  socket.write(`${request}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`)
  socket.write(
    `${request}Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nX-Trailer: 1\r\n\r\n`,
  )
  socket.write(`${request}Content-Length: 0\r\nConnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  await once(socket, 'close')
  t.strictSame(
    page.seen.map(({ method, url }) => `${method} ${url}`),
    Array.from({ length: 3 }, () => `POST ${target}`),
  )
  t.strictSame(
    answersIn(text).map(({ status }) => status),
    [200, 200, 200],
  )
  t.notMatch(JSON.stringify(page.seen), /trailer/i, 'trailers of requests are not forwarded')
})

function lowered(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  )
}
