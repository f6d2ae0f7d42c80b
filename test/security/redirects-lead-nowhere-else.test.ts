import t from 'tap'
import { ask, link, startGateway, startUpstream } from '../stage.ts'
import { openDoors } from './doors.ts'

t.test('the gateway makes no redirect of what a client sends', async (t) => {
  const { doors, upstream } = await openDoors(t)
  const query = link().slice(1)
  const targets = [
    '//evil.example/..',
    '//evil.example/%2e%2e',
    '/\\evil.example',
    '/%5cevil.example/',
    '/.evil.example/..',
    '/socket.io',
    '/socket.io//evil.example',
    '/a//evil.example//',
    '/?next=//evil.example',
    '/;/evil.example',
  ]
  for (const { name: door, knock } of doors) {
    for (const target of targets) {
      const linked = target.includes('?') ? `${target}&${query.slice(1)}` : target + query
      const { status, headers } = await knock({ target: linked })
      t.equal(headers['location'], undefined, `${door}: ${target}`)
      t.notOk(status >= 300 && status < 400, `${door}: ${target} is ${status}`)
    }
    for (const { url } of upstream.seen.splice(0)) t.ok(targets.some((one) => url.startsWith(one)))
  }
})

t.test('the workspace’s redirects do not tell where it lives', async (t) => {
  let location = ''
  const redirecting = await startUpstream(t, (_, response) => {
    response.writeHead(302, { Location: location }).end()
  })
  const api = await startUpstream(t)
  const gateway = await startGateway(t, redirecting.origin, {
    COPILOT_API_URL: api.origin,
    PUBLIC_URL: 'https://gateway.example',
  })
  const page = new URL(redirecting.origin).host
  const rows = [
    ['the page’s host', `http://${page}/a?b=c`, 'https://gateway.example/a?b=c'],
    ['the backend’s host', `${api.origin}/a`, 'https://gateway.example/a'],
    ['without a scheme', `//${page}/a`, 'https://gateway.example/a'],
    ['in upper case', `HTTP://${page}/a`, 'https://gateway.example/a'],
    ['with credentials', `http://root:secret@${page}/a`, 'https://gateway.example/a'],
    ['relative', '/a', '/a'],
  ] as const
  for (const [name, from, to] of rows) {
    location = from
    // A name that the client made up is nowhere in it.
    for (const Host of ['gateway.example', 'evil.example']) {
      const { headers, status } = await ask(gateway.origin, link(), { headers: { Host } })
      t.equal(status, 302, name)
      t.equal(headers.location, to, `${name}, Host: ${Host}`)
    }
  }
})
