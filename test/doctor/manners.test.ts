import { createServer } from 'node:http'
import t from 'tap'
import { ids, jwt, listen, startGateway, startUpstream } from '../stage.ts'
import { examined, found, host, startFront, startWorkspace } from './clinic.ts'

const upstream = await startWorkspace(t)

t.test('no other place is ever asked', async (t) => {
  let connections = 0
  const elsewhere = createServer()
  elsewhere.on('connection', () => {
    connections += 1
  })
  t.teardown(() => elsewhere.close())
  const location = `http://127.0.0.1:${await listen(elsewhere)}/`
  const base = await startFront(t, 0, {
    instead: () => ({ status: 302, headers: [['location', location]], body: '' }),
  })
  const asked: string[] = []
  const results = await examined(`http://localhost:${new URL(base).port}`, {
    async resolve(name) {
      asked.push(name)
      return [{ address: '127.0.0.1', family: 4 }]
    },
  })
  t.equal(results.get('no-token')?.verdict, 'fail')
  t.equal(connections, 0)
  t.same(asked, ['localhost'], 'the name is looked up once')
})

t.test('a link stays here where others may read it', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const results = await examined(`http://${host}:${gateway.port}`)
  t.same(found(results), { 'https-only': 'fail', 'public-address': 'warn' })
  t.match(results.get('link-opens')?.seen, /^the link is not sent over a connection/)
  t.notOk(gateway.lines.some(({ decision }) => decision === 'allow'))
})

t.test('nobody is there', async (t) => {
  const server = createServer()
  const port = await listen(server)
  const origin = `http://127.0.0.1:${port}`
  const rows = [
    ['a closed port', {}, /^no answer: ECONNREFUSED$/],
    [
      'a name that is none',
      { resolve: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })) },
      /^no answer: ENOTFOUND$/,
    ],
  ] as const
  await new Promise((resolve) => server.close(resolve))
  for (const [name, changes, seen] of rows) {
    const results = await examined(origin, changes)
    t.same(found(results), { reachable: 'fail' }, name)
    t.match(results.get('reachable')?.seen, seen)
    t.equal(results.get('no-token')?.seen, 'nothing answers there')
  }
  const nameless = await examined(`http://${host}`, rows[1][1])
  t.equal(nameless.get('public-address')?.seen, 'the name has no address')
  await t.rejects(examined(origin, { resolve: () => Promise.reject(new Error('own fault')) }), {
    message: 'own fault',
  })
})

t.test('the usual ports, at addresses that lead nowhere', async (t) => {
  // RFC 5737 and RFC 3849: for documentation.
  const addresses = [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 },
  ]
  for (const scheme of ['http', 'https']) {
    const changes = { deadline: 30, resolve: async () => addresses }
    const results = await examined(`${scheme}://${host}`, changes)
    t.equal(results.get('public-address')?.verdict, 'pass')
    t.match(results.get('reachable'), { verdict: 'fail', seen: /^no answer/ })
  }
})

t.test('addresses that are not public', async (t) => {
  const rows = [
    ['10.1.2.3', 'warn'],
    ['172.31.0.1', 'warn'],
    ['192.168.1.1', 'warn'],
    ['169.254.1.1', 'warn'],
    ['100.127.0.1', 'warn'],
    ['127.0.0.1', 'warn'],
    ['::1', 'warn'],
    ['fd12::1', 'warn'],
    ['fe80::1', 'warn'],
    ['::ffff:10.0.0.1', 'warn'],
    ['172.32.0.1', 'pass'],
    ['100.128.0.1', 'pass'],
    ['2001:db8::1', 'pass'],
    ['::ffff:192.0.2.1', 'pass'],
  ] as const
  for (const [address, verdict] of rows) {
    const family = address.includes(':') ? 6 : 4
    const results = await examined(`https://${host}`, {
      deadline: 0,
      resolve: async () => [
        { address: '192.0.2.1', family: 4 },
        { address, family },
      ],
    })
    t.equal(results.get('public-address')?.verdict, verdict, address)
  }
})

t.test('nobody answers', async (t) => {
  const held = new Set<{ destroy(): void }>()
  const silent = createServer()
  silent.on('connection', (socket) => held.add(socket))
  silent.on('request', () => {})
  t.teardown(() => {
    for (const socket of held) socket.destroy()
    silent.close()
  })
  const origin = `http://127.0.0.1:${await listen(silent)}`
  const results = await examined(origin, { deadline: 30 })
  t.equal(results.get('reachable')?.verdict, 'pass')
  t.equal(results.get('no-token')?.seen, 'no answer within 30 ms')
  t.equal(results.get('no-token')?.verdict, 'fail')
  t.equal(results.get('nosniff')?.seen, 'there was no answer')
})

t.test('an answer that does not end', async (t) => {
  const slow = await startUpstream(t, (_, response) => response.write('<!doctype html>'))
  const results = await examined(slow.origin, { deadline: 30 })
  t.match(results.get('no-token'), { verdict: 'fail', seen: /^no answer/ })
})

t.test('an answer that is cut short', async (t) => {
  const short = await startUpstream(t, (_, response) => {
    response.setHeader('content-length', 100)
    response.write('<!doctype html>', () => response.destroy())
  })
  const results = await examined(short.origin)
  t.equal(results.get('no-token')?.seen, 'no answer: ECONNRESET')
})

t.test('what is quoted is fit for a terminal', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const rows = [
    ['a token', (target: string) => `php/8 ${/auth=(.*)/.exec(target)?.[1]}`, /php\/8 \[hidden\]/],
    ['a URLToken', () => `php/8 ${ids.URLToken}`, /php\/8 \[hidden\]/],
    ['somebody else’s token', () => `php/8 ${jwt({ other: true })}`, /php\/8 \[hidden\]/],
    ['control characters', () => 'php/8 \x9b31m\xff', /php\/8 \?31m\?/],
    ['a long text', () => `php/8 ${'x'.repeat(5000)}`, /^.{300}$/],
  ] as const
  for (const [name, server, seen] of rows) {
    const base = await startFront(t, gateway.port, {
      answer: (one, { target }) =>
        target.includes('auth=') && one.status === 200
          ? { ...one, headers: [...one.headers, ['Server', server(target)]] }
          : one,
    })
    const results = await examined(base)
    t.match(results.get('product-names')?.seen, seen, name)
  }
})

t.test('a long body is not read to its end', async (t) => {
  const endless = await startUpstream(t, (_, response) => {
    const timer = setInterval(() => response.write(Buffer.alloc(2 ** 18)), 1)
    response.on('close', () => clearInterval(timer))
  })
  const gateway = await startGateway(t, endless.origin)
  const results = await examined(gateway.origin)
  t.equal(results.get('link-opens')?.verdict, 'pass')
})
