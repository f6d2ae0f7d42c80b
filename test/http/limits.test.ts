import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { exchange, link, startGateway, startUpstream } from '../stage.ts'

/** The whole of what an HTTP/1.1 request on a connection of its own is answered. */
function ask(port: number, target: string, ...lines: string[]): Promise<string> {
  const head = [`GET ${target} HTTP/1.1`, 'Host: gateway.example', 'Connection: close', ...lines]
  return exchange(port, `${head.join('\r\n')}\r\n\r\n`)
}

const status = (answer: string): number => Number(answer.split(' ')[1])
const retryAfter = (answer: string): number => Number(/^retry-after: (\d+)\r$/im.exec(answer)?.[1])

t.test('refusals past RATE_LIMIT are 429, whatever they are refused for', async (t) => {
  const upstream = await startUpstream(t)
  const rows = [
    ['no token', (port: number) => ask(port, '/')],
    ['a wrong token', (port: number) => ask(port, link({ auth: 'a.b.c' }))],
    ['another’s ids', (port: number) => ask(port, link({ userId: 'x' }))],
    ['a refused target', (port: number) => ask(port, '/a/../b')],
    ['no HTTP', (port: number) => exchange(port, 'what?\r\n\r\n')],
    [
      'an upgrade',
      (port: number) =>
        exchange(
          port,
          'GET /socket.io/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
        ),
    ],
  ] as const
  const limited = rows.map(async ([name, refused]) => {
    const gateway = await startGateway(t, upstream.origin, { RATE_LIMIT: '3/10m' })
    for (let i = 0; i < 3; i += 1) t.not(status(await refused(gateway.port)), 429, name)
    const answer = await refused(gateway.port)
    t.equal(status(answer), 429, name)
    t.ok(retryAfter(answer) > 60 && retryAfter(answer) <= 600, 'the rest of ten minutes')
    t.match(answer, /^content-security-policy: .*frame-ancestors/im)
    t.match(answer, /"title":"Too Many Requests","status":429/)
    for (const [other, alsoRefused] of rows) {
      t.equal(status(await alsoRefused(gateway.port)), 429, `${name}, then ${other}`)
    }
    t.equal(status(await ask(gateway.port, link())), 200, 'what passes is never limited')
    const lines = await gateway.audited(5 + rows.length)
    t.same(
      lines.map((line) => line['reason'] === 'rate-limited'),
      [false, false, false, ...Array(1 + rows.length).fill(true), false],
      'one line each',
    )
    t.match(lines[3], { decision: 'deny', status: 429 })
  })
  await Promise.all(limited)
})

t.test('one address’s refusals are not another’s', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, {
    RATE_LIMIT: '1/10m',
    TRUST_PROXY: '127.0.0.1',
  })
  const from = (ip: string): Promise<string> => ask(gateway.port, '/', `X-Forwarded-For: ${ip}`)
  t.equal(status(await from('192.0.2.1')), 401)
  t.equal(status(await from('192.0.2.1')), 429)
  t.equal(status(await from('192.0.2.2')), 401)
})

t.test('IPv4 clients of a listener for both are told apart, whatever they say', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { HOST: '::', RATE_LIMIT: '1/10m' })
  const say = async (localAddress: string): Promise<number> => {
    const socket = connect({ port: gateway.port, host: '127.0.0.1', localAddress })
    socket.write('what?\r\n\r\n')
    const [chunk] = await once(socket, 'data')
    socket.destroy()
    return status(String(chunk))
  }
  t.equal(await say('127.0.0.1'), 400)
  t.equal(await say('127.0.0.1'), 429)
  t.equal(await say('127.0.0.2'), 400)
  const lines = await gateway.audited(3)
  t.same(
    lines.map(({ ip }) => ip),
    ['127.0.0.1', '127.0.0.1', '127.0.0.2'],
  )
})

t.test('what the workspace lacks is not held against its agents', async (t) => {
  const gateway = await startGateway(t, 'http://127.0.0.1:9', { RATE_LIMIT: '1/10m' })
  for (let i = 0; i < 3; i += 1) t.equal(status(await ask(gateway.port, link())), 502)
})

t.test('a connection past MAX_CONNECTIONS gets 503, and those before it go on', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { MAX_CONNECTIONS: '3' })
  const held: Socket[] = []
  t.teardown(() => {
    for (const socket of held) socket.destroy()
  })
  const say = async (socket: Socket): Promise<string> => {
    socket.write(`GET ${link()} HTTP/1.1\r\nHost: gateway.example\r\n\r\n`)
    const [chunk] = await once(socket, 'data')
    return String(chunk)
  }
  for (let i = 0; i < 3; i += 1) {
    const socket = connect(gateway.port, '127.0.0.1')
    held.push(socket)
    t.equal(status(await say(socket)), 200, 'room')
  }
  const refused = await ask(gateway.port, link())
  t.equal(status(refused), 503)
  t.match(refused, /^retry-after: \d+\r$/im)
  t.match(refused, /^connection: close\r$/im)
  const upgrade = await exchange(
    gateway.port,
    `GET ${link({}, '/socket.io/')} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  )
  t.equal(status(upgrade), 503, 'an upgrade too')
  t.equal(upstream.seen.length, 3, 'nothing of it goes upstream')
  const [first] = held
  t.equal(first && status(await say(first)), 200, 'a connection that was in time goes on')
  first?.destroy()
  for (let answer = 503, tries = 0; tries < 1000; tries += 1) {
    answer = status(await ask(gateway.port, link()))
    if (answer === 200) return
  }
  t.fail('a connection that went makes no room')
})

t.test('an overloaded process lets no new session in, and goes on with those it has', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const first = await ask(gateway.port, link())
  const cookie = `Cookie: ${/^set-cookie: (__Host-copilot-[^;]+)/im.exec(first)?.[1]}`
  // Keeps the loop from turning, as an overload does, until the gateway has noticed: it takes turns
  // of more than a second for one, and each turn that the requests need is waited for.
  const spin = setInterval(() => {
    const end = performance.now() + 1500
    while (performance.now() < end);
  }, 1)
  let answer = ''
  for (let tries = 0; tries < 20 && status(answer) !== 503; tries += 1) {
    answer = await ask(gateway.port, link({ sessionId: 'session-1' }))
  }
  const [other, known, reload] = await Promise.all([
    ask(gateway.port, '/'),
    ask(gateway.port, '/', cookie),
    ask(gateway.port, link(), cookie),
  ])
  clearInterval(spin)
  t.equal(status(answer), 503)
  t.match(answer, /^retry-after: \d+\r$/im)
  t.equal(status(other), 401, 'a refusal is what it is')
  t.equal(status(known), 200, 'a session that is in')
  t.equal(status(reload), 200, 'its document, opened again')
  // It looks once a second; whoever asks in between is told what it last saw.
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (status(await ask(gateway.port, link())) === 200) return
  }
  t.fail('it never recovers')
})
