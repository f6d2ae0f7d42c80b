// Operators are answered; other pages, other names and whoever guesses are not.
import { once } from 'node:events'
import { hostname, networkInterfaces } from 'node:os'
import t from 'tap'
import { createHostCheck } from '../../src/admin/host.ts'
import { answersIn, ask, exchange } from '../stage.ts'
import { dial } from '../websocket/peer.ts'
import { authorized, startAdmin, token } from './stage.ts'

const open = ['/healthz', '/readyz', '/', '/assets/uPlot.esm.js']
const closed = [
  ['GET', '/metrics'],
  ['HEAD', '/metrics'],
  ['GET', '/sessions'],
  ['GET', '/sessions?search=a'],
  ['GET', '/events'],
  ['HEAD', '/events'],
  ['GET', '/nothing'],
  ['POST', '/'],
  ['OPTIONS', '/sessions'],
  ['DELETE', '/sessions/1'],
  ['DELETE', '/sessions/%zz'],
  ['DELETE', '/healthz'],
] as const

t.test('what is not for all needs the token', async (t) => {
  // Past ten failures an answer takes a second.
  for (const some of [closed.slice(0, 9), closed.slice(9)]) {
    const { origin, revoked, log } = await startAdmin(t)
    for (const path of open) t.not((await ask(origin, path)).status, 401, path)
    for (const [method, path] of some) {
      const { status, headers } = await ask(origin, path, { method })
      t.equal(status, 401, `${method} ${path}`)
      t.equal(headers['www-authenticate'], 'Bearer realm="copilot-gateway admin"')
      t.equal(headers['content-type'], 'application/problem+json')
    }
    t.match(log[0], { event: 'admin', status: 401, method: some[0]?.[0], ip: '127.0.0.1' })
    t.notMatch(JSON.stringify(log), '/sessions', 'no path: there is a session in it')
    t.same(revoked, [])
  }
})

t.test('the token is all of it, as a bearer', async (t) => {
  const { origin, log } = await startAdmin(t)
  for (const [name, value] of Object.entries({
    'another one': 'Bearer another-token',
    'its beginning': `Bearer ${token.slice(0, -1)}`,
    'more than it': `Bearer ${token}x`,
    'another scheme': `Basic ${token}`,
    'the token alone': token,
    'the token twice': `Bearer ${token} ${token}`,
    'an empty one': 'Bearer ',
  })) {
    const { status, body } = await ask(origin, '/metrics', { headers: { Authorization: value } })
    t.equal(status, 401, name)
    t.notMatch(body, token.slice(0, 8), name)
  }
  t.notMatch(JSON.stringify(log), token.slice(0, 8), 'what was tried is not logged')
  for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
    const headers = { Authorization: `${scheme} ${token}` }
    t.equal((await ask(origin, '/metrics', { headers })).status, 200, scheme)
  }
})

t.test('who guesses is logged up to a rate and then waits; the token does not', async (t) => {
  const { origin, log } = await startAdmin(t)
  const took = async (headers: Readonly<Record<string, string>>): Promise<number> => {
    const start = performance.now()
    await ask(origin, '/sessions', { headers })
    return performance.now() - start
  }
  const guess = { Authorization: 'Bearer a-guess' }
  for (let i = 0; i < 10; i += 1) await took(guess)
  const guessing = took(guess)
  const with5 = await Promise.all(Array.from({ length: 5 }, () => took(authorized)))
  t.ok(Math.min(...with5) < 990, 'one of five at least, however busy the machine is')
  t.ok((await guessing) >= 990)
  t.equal(log.filter(({ event }) => event === 'admin').length, 10)
})

t.test('without a token whoever may connect may read', async (t) => {
  const { origin } = await startAdmin(t, { token: null })
  for (const [site, status] of [
    [undefined, 200],
    ['none', 200],
    ['same-origin', 200],
    ['same-site', 403],
    ['cross-site', 403],
  ] as const) {
    const headers = site === undefined ? {} : { 'Sec-Fetch-Site': site }
    t.equal((await ask(origin, '/sessions', { headers })).status, status, `read: ${site}`)
    t.equal((await ask(origin, '/healthz', { headers })).status, 200, `open: ${site}`)
    const changed = await ask(origin, '/sessions/1', { method: 'DELETE', headers })
    t.equal(changed.status, site === 'same-origin' ? 200 : 403, `change: ${site}`)
  }
})

t.test('with the token no page of another origin is answered either', async (t) => {
  const { origin, revoked } = await startAdmin(t)
  for (const site of ['same-site', 'cross-site']) {
    const headers = { ...authorized, 'Sec-Fetch-Site': site }
    t.equal((await ask(origin, '/metrics', { headers })).status, 403, site)
    t.equal((await ask(origin, '/sessions/1', { method: 'DELETE', headers })).status, 403, site)
  }
  t.same(revoked, [])
  const { status } = await ask(origin, '/sessions/1', { method: 'DELETE', headers: authorized })
  t.equal(status, 200, 'a script with the token has no Fetch Metadata')
})

t.test('a name that is made to lead here is not answered (DNS rebinding)', async (t) => {
  const { origin, revoked } = await startAdmin(t, { token: null })
  const port = Number(new URL(origin).port)
  for (const host of [
    `rebound.example:${port}`,
    'rebound.example',
    '192.0.2.1',
    '',
    'localhost.',
  ]) {
    for (const path of [...open, '/metrics', '/sessions', '/events', '/%zz']) {
      t.equal((await ask(origin, path, { headers: { Host: host } })).status, 421, `${host} ${path}`)
    }
    const headers = { Host: host, 'Sec-Fetch-Site': 'same-origin' }
    t.equal((await ask(origin, '/sessions/1', { method: 'DELETE', headers })).status, 421, host)
  }
  t.same(revoked, [])
  for (const [name, head, status] of [
    ['two', 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost', 421],
    ['none', 'GET /metrics HTTP/1.0', 421],
    [
      'another in the target',
      'GET http://rebound.example/metrics HTTP/1.1\r\nHost: localhost',
      400,
    ],
    ['one', 'GET /metrics HTTP/1.1\r\nHost: localhost', 200],
  ] as const) {
    const [answer] = answersIn(await exchange(port, `${head}\r\nConnection: close\r\n\r\n`))
    t.equal(answer?.status, status, name)
  }
})

t.test('who holds all connections keeps nobody out', async (t) => {
  const { origin } = await startAdmin(t)
  const port = Number(new URL(origin).port)
  const request = (path: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`
  const stream = await dial(t, port)
  stream.socket.write(request('/events'))
  await once(stream.socket, 'data')
  const first = await dial(t, port)
  const rows = ['', 'GET /healthz HTTP/1.1\r\n', request('/healthz')]
  for (let i = 0; i < 198; i += 1) {
    const { socket } = await dial(t, port)
    const said = rows[i % rows.length] ?? ''
    if (said === '') continue
    socket.write(said)
    if (said.endsWith('\r\n\r\n')) await once(socket, 'data')
  }
  t.notOk(first.socket.destroyed, 'two hundred are held')
  for (let i = 0; i < 250; i += 1) t.equal((await ask(origin, '/healthz')).status, 200)
  // Its time being over would be said.
  t.equal(String(await first.ended), '', 'who asked nothing for longest made room')
  t.notOk(stream.socket.destroyed, 'what is being answered is not cut')
})

t.test('a connection that says nothing is not held', async (t) => {
  const { origin } = await startAdmin(t)
  const { ended } = await dial(t, Number(new URL(origin).port))
  t.match(String(await ended), /^(HTTP\/1.1 408 |$)/)
})

const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all)
const [own] = addresses.filter(({ internal }) => !internal)

t.test('which names are the listener’s', (t) => {
  const local = [
    '127.0.0.1',
    'localhost',
    'LOCALHOST:1',
    '[::1]',
    '[::1]:9090',
    '[0:0:0:0:0:0:0:1]',
  ]
  const strange = ['rebound.example', 'localhost.rebound.example', '127.0.0.1.rebound.example', '']
  const broken = [
    'localhost:',
    'localhost:x',
    '[::1:80',
    '::1:80',
    'a@localhost',
    'localhost/',
    '::1',
    '[::1',
    'local host',
  ]
  const machine = [hostname(), `${hostname().toUpperCase()}:80`, own?.address ?? '127.0.0.1']
  for (const [listening, yes, no] of [
    ['127.0.0.1', local, [...strange, ...broken, '10.0.0.1', '0.0.0.0']],
    ['localhost', local, [...strange, ...broken]],
    ['::1', local, [...strange, ...broken]],
    ['127.0.0.2', [...local, '127.0.0.2:9090'], [...strange, '127.0.0.3']],
    ['10.1.2.3', ['10.1.2.3', '10.1.2.3:80'], [...strange, ...broken, ...local, '10.1.2.4']],
    ['admin.internal', ['admin.internal', 'ADMIN.internal:1'], [...strange, ...local, 'internal']],
    [
      '2001:db8::1',
      ['[2001:db8::1]:80', '[2001:DB8:0::1]'],
      [...strange, ...local, '[2001:db8::2]'],
    ],
    ['0.0.0.0', [...local, ...machine], [...strange, ...broken, '192.0.2.1', '0.0.0.0']],
    ['::', [...local, ...machine], [...strange, ...broken, '192.0.2.1', '[::]']],
  ] as const) {
    const isOwn = createHostCheck(listening)
    for (const host of yes) t.equal(isOwn(host), true, `${listening}: ${host}`)
    for (const host of no) t.equal(isOwn(host), false, `${listening}: not ${host}`)
  }
  t.end()
})
