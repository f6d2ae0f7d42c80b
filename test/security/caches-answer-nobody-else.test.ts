import t from 'tap'
import { ask, link, openSession, startGateway, startUpstream } from '../stage.ts'

// What the workspace says of caching, by the path that asks for it.
const said: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/asset.js': { 'Content-Type': 'text/javascript', 'Cache-Control': 'public, max-age=31536000' },
  '/cdn.js': { 'Content-Type': 'text/javascript', 'Cache-Control': 's-maxage=600, max-age=0' },
  '/api': { 'Content-Type': 'application/json', 'Cache-Control': 'Public , s-maxage=60' },
  '/page': { 'Content-Type': 'text/html', 'Cache-Control': 'public, max-age=600' },
  '/xhtml': { 'Content-Type': 'application/xhtml+xml', 'Cache-Control': 'public' },
}
const upstream = await startUpstream(t, (request, response) => {
  response.writeHead(200, said[request.url?.split('?')[0] ?? ''] ?? {})
  // What a poisoned cache would keep: whatever the client could say of its host or path.
  response.end(JSON.stringify(request.rawHeaders))
})
const gateway = await startGateway(t, upstream.origin, { PUBLIC_URL: 'http://gateway.example' })
const cookie = await openSession(gateway)
const Host = 'gateway.example'

/** Whether a cache that several people share may keep an answer (RFC 9111 §3). */
function shared(cacheControl: string | undefined): boolean {
  const directives = (cacheControl ?? '').toLowerCase().split(/ *, */)
  return !directives.some((one) => one === 'private' || one === 'no-store')
}

t.test('nothing that is said to be for all is', async (t) => {
  for (const path of Object.keys(said)) {
    for (const method of ['GET', 'HEAD']) {
      const { status, headers } = await ask(gateway.origin, path, {
        method,
        headers: { Host, Cookie: cookie },
      })
      t.equal(status, 200)
      t.notOk(shared(headers['cache-control']), `${method} ${path}`)
      t.notMatch(headers['cache-control'], /public|s-maxage/i, `${method} ${path}`)
    }
    const opened = await ask(gateway.origin, link({}, path), { headers: { Host } })
    t.ok(opened.headers['set-cookie'], `${path} opens a session`)
    t.equal(opened.headers['cache-control'], 'no-store', `${path} that opens a session`)
  }
})

t.test('nor is a refusal, whatever it is for', async (t) => {
  const rows: readonly (readonly [number, string, Readonly<Record<string, string>>])[] = [
    [400, '/../asset.js', {}],
    [400, '/asset.js?userid=x', {}],
    [401, '/asset.js', {}],
    [401, link({ auth: 'x' }, '/asset.js'), {}],
    [403, link({ userId: 'VICTIM' }, '/asset.js'), {}],
    [403, '/asset.js', { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' }],
  ]
  for (const [status, target, more] of rows) {
    for (const Accept of ['text/html', '*/*']) {
      const headers = { Host, Accept, ...more }
      const answer = await ask(gateway.origin, target, { headers })
      t.equal(answer.status, status, target)
      t.equal(answer.headers['cache-control'], 'no-store', `${status} ${Accept}`)
    }
  }
})

t.test('what is no part of a cache’s key reaches the workspace from nobody', async (t) => {
  const names = [
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Scheme',
    'X-Forwarded-Port',
    'X-Forwarded-Prefix',
    'X-Forwarded-Server',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method-Override',
    'X-Real-IP',
    'X_Forwarded_Host',
    'Forwarded',
    'Origin',
  ]
  for (const name of names) {
    for (const target of ['/api', link({}, '/api')]) {
      const headers = { Host, Cookie: cookie, [name]: 'https://evil.example/canary' }
      const { status, body, rawHeaders } = await ask(gateway.origin, target, { headers })
      t.equal(status, 200, name)
      t.notMatch(body + rawHeaders.join(), /evil|canary/, name)
    }
  }
})
