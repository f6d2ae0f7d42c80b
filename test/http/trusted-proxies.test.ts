import t from 'tap'
import {
  ask,
  auditOf,
  ids,
  link,
  openSession,
  startGateway,
  startUpstream,
  valuesOf,
} from '../stage.ts'

const upstream = await startUpstream(t)
const none = await startGateway(t, upstream.origin)
const one = await startGateway(t, upstream.origin, { TRUST_PROXY: '127.0.0.1' })
const other = await startGateway(t, upstream.origin, { TRUST_PROXY: '192.0.2.1 10.0.0.0/8' })
const chain = await startGateway(t, upstream.origin, {
  TRUST_PROXY: '127.0.0.0/8, 10.0.0.0/8 2001:db8:ffff::/48',
})

interface Told {
  readonly ip: string
  readonly chain?: string
  readonly host?: string
  readonly proto?: string
}

t.test('who asks', async (t) => {
  const forged = {
    'X-Forwarded-For': '203.0.113.9',
    'X-Forwarded-Host': 'gateway.example',
    'X-Forwarded-Proto': 'https',
  }
  const believed = { ip: '203.0.113.9', host: 'gateway.example', proto: 'https' }
  const rows: readonly (readonly [string, typeof one, Record<string, string | string[]>, Told])[] =
    [
      ['nobody is trusted', none, forged, { ip: '127.0.0.1' }],
      ['another is trusted', other, forged, { ip: '127.0.0.1' }],
      ['who asks is trusted', one, forged, { ...believed, chain: '203.0.113.9, 127.0.0.1' }],
      ['a trusted proxy that says nothing', one, {}, { ip: '127.0.0.1' }],
      [
        'what the client wrote before the proxy did',
        one,
        { 'X-Forwarded-For': '192.0.2.66, 203.0.113.9' },
        { ip: '203.0.113.9' },
      ],
      [
        'in lines of their own',
        one,
        { 'X-Forwarded-For': ['192.0.2.66', '203.0.113.9'] },
        { ip: '203.0.113.9' },
      ],
      [
        'a chain of trusted proxies',
        chain,
        { 'X-Forwarded-For': '203.0.113.9, 10.1.2.3, 10.4.5.6' },
        { ip: '203.0.113.9', chain: '203.0.113.9, 10.1.2.3, 10.4.5.6, 127.0.0.1' },
      ],
      [
        'a chain that a stranger breaks',
        chain,
        { 'X-Forwarded-For': '10.9.9.9, 203.0.113.9, 10.4.5.6' },
        { ip: '203.0.113.9', chain: '203.0.113.9, 10.4.5.6, 127.0.0.1' },
      ],
      [
        'trusted proxies alone',
        chain,
        { 'X-Forwarded-For': '10.1.2.3' },
        { ip: '10.1.2.3', chain: '10.1.2.3, 127.0.0.1' },
      ],
      ['IPv6', one, { 'X-Forwarded-For': '2001:db8::7' }, { ip: '2001:db8::7' }],
      [
        'IPv6 of a trusted network',
        chain,
        { 'X-Forwarded-For': '2001:db8::7, 2001:db8:ffff::1' },
        { ip: '2001:db8::7' },
      ],
      ['no space', one, { 'X-Forwarded-For': '192.0.2.66,203.0.113.9' }, { ip: '203.0.113.9' }],
      ['much space', one, { 'X-Forwarded-For': '  203.0.113.9 \t' }, { ip: '203.0.113.9' }],
      ['empty items', one, { 'X-Forwarded-For': ', 203.0.113.9, ,' }, { ip: '203.0.113.9' }],
      ['a name for an address', one, { 'X-Forwarded-For': 'localhost' }, { ip: '127.0.0.1' }],
      ['garbage', one, { 'X-Forwarded-For': '"><script>' }, { ip: '127.0.0.1' }],
      ['unknown', one, { 'X-Forwarded-For': 'unknown' }, { ip: '127.0.0.1' }],
      [
        'garbage behind which an address is',
        one,
        { 'X-Forwarded-For': '203.0.113.9, garbage' },
        { ip: '127.0.0.1' },
      ],
      ['a look-alike', one, { X_Forwarded_For: '203.0.113.9' }, { ip: '127.0.0.1' }],
      ['X-Real-IP', one, { 'X-Real-IP': '203.0.113.9' }, { ip: '127.0.0.1' }],
      [
        'a host and its port',
        one,
        { 'X-Forwarded-Host': 'g.example:8443' },
        { ip: '127.0.0.1', host: 'g.example:8443' },
      ],
      ['a host that is none', one, { 'X-Forwarded-Host': 'g.example/path' }, { ip: '127.0.0.1' }],
      ['a host with a user', one, { 'X-Forwarded-Host': 'u@g.example' }, { ip: '127.0.0.1' }],
      ['a host in quotes', one, { 'X-Forwarded-Host': 'g.example";x="' }, { ip: '127.0.0.1' }],
      ['an empty host', one, { 'X-Forwarded-Host': '' }, { ip: '127.0.0.1' }],
      ['http', one, { 'X-Forwarded-Proto': 'http' }, { ip: '127.0.0.1' }],
      [
        'https in upper case',
        one,
        { 'X-Forwarded-Proto': 'HTTPS' },
        { ip: '127.0.0.1', proto: 'https' },
      ],
      ['a scheme that is none', one, { 'X-Forwarded-Proto': 'javascript' }, { ip: '127.0.0.1' }],
      ['an empty scheme', one, { 'X-Forwarded-Proto': '' }, { ip: '127.0.0.1' }],
    ]
  for (const [name, gateway, headers, told] of rows) {
    const { host = new URL(gateway.origin).host, proto = 'http', ip } = told
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, link(), { headers })
    t.equal(answer.status, 200, name)
    const raw = upstream.seen[0]?.rawHeaders
    t.strictSame(valuesOf(raw, 'x-forwarded-host'), [host], `${name}: host`)
    t.strictSame(valuesOf(raw, 'x-forwarded-proto'), [proto], `${name}: proto`)
    const [forwardedFor = '', ...more] = valuesOf(raw, 'x-forwarded-for')
    t.strictSame(more, [], `${name}: one X-Forwarded-For`)
    t.equal(forwardedFor.split(/, */)[0], ip, `${name}: client`)
    if (told.chain !== undefined) t.equal(forwardedFor, told.chain, `${name}: chain`)
    const node = ip.includes(':') ? `"[${ip}]"` : ip
    const [forwarded = ''] = valuesOf(raw, 'forwarded')
    t.ok(forwarded.startsWith(`for=${node};`), `${name}: Forwarded ${forwarded}`)
    t.match(forwarded, `host="${host}"`, `${name}: Forwarded host`)
    t.match(forwarded, `proto=${proto}`, `${name}: Forwarded proto`)
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { ip }, `${name}: audit`)
    t.notMatch(JSON.stringify(raw), '192.0.2.66', `${name}: nothing forged goes on`)
  }
})

t.test('a proxy that speaks RFC 7239 is believed where it is trusted', async (t) => {
  const headers = { Forwarded: 'for=203.0.113.9;host=gateway.example;proto=https' }
  for (const [gateway, ip] of [
    [none, '127.0.0.1'],
    [other, '127.0.0.1'],
    [one, '203.0.113.9'],
  ] as const) {
    const answer = await ask(gateway.origin, link(), { headers })
    t.match(await auditOf(gateway, answer.headers['x-request-id']), { ip })
  }
})

t.test('a request id is taken over from trusted proxies, if it is one', async (t) => {
  const rows: readonly (readonly [string, typeof one, string | string[], string | null])[] = [
    ['trusted', one, '0af7651916cd43dd8448eb211c80319c', '0af7651916cd43dd8448eb211c80319c'],
    ['a UUID', one, '9f86d081-884c-4d65-9a2f-eaa0c55ad015', '9f86d081-884c-4d65-9a2f-eaa0c55ad015'],
    ['nobody is trusted', none, 'canary', null],
    ['another is trusted', other, 'canary', null],
    ['a line of HTML', one, '<script>canary</script>', null],
    ['quotes', one, '"canary"', null],
    ['space', one, 'can ary', null],
    ['a log line', one, 'canary{"event":"access"}', null],
    ['very long', one, 'canary'.repeat(1000), null],
    ['not ASCII', one, 'can\u00e4ry', null],
    ['empty', one, '', null],
  ]
  for (const [name, gateway, sent, expected] of rows) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, link(), { headers: { 'X-Request-Id': sent } })
    const id = String(answer.headers['x-request-id'])
    if (expected === null) t.notMatch(id, /can.?ary|^$/, name)
    else t.equal(id, expected, name)
    t.strictSame(valuesOf(upstream.seen[0]?.rawHeaders, 'x-request-id'), [id], name)
    t.match(await auditOf(gateway, id), { requestId: id }, name)
    const refused = await ask(gateway.origin, '/', { headers: { 'X-Request-Id': sent } })
    if (expected !== null) t.match(JSON.parse(refused.body), { requestId: expected }, name)
    else t.notMatch(refused.body, /can.?ary/, name)
  }
})

t.test("the gateway's own origin is the one that the proxy was reached by", async (t) => {
  const cookie = await openSession(one)
  const headers = {
    Cookie: cookie,
    'X-Forwarded-Host': 'gateway.example',
    'X-Forwarded-Proto': 'https',
  }
  const rows: readonly (readonly [string, typeof one, string, number])[] = [
    ['its own', one, 'https://gateway.example', 200],
    ['with the default port', one, 'https://gateway.example:443', 403],
    ['less safe', one, 'http://gateway.example', 403],
    ['what the proxy reached', one, one.origin, 403],
    ['not believed', none, 'https://gateway.example', 403],
    ['not believed, what was reached', none, none.origin, 200],
  ]
  for (const [name, gateway, origin, status] of rows) {
    const asked = { method: 'POST', headers: { ...headers, Origin: origin } }
    t.equal((await ask(gateway.origin, '/', asked)).status, status, name)
  }
  const named = await ask(one.origin, '/', {
    method: 'POST',
    headers: {
      ...headers,
      'X-Forwarded-Host': 'GATEWAY.example:443',
      Origin: 'https://gateway.example',
    },
  })
  t.equal(named.status, 200, 'a default port and case are no difference')
})

t.test('HSTS follows what the browser speaks with the proxy', async (t) => {
  for (const [gateway, proto, secure] of [
    [one, 'https', true],
    [one, 'http', false],
    [none, 'https', false],
  ] as const) {
    for (const target of [link(), '/']) {
      const headers = { 'X-Forwarded-Proto': proto }
      const answer = await ask(gateway.origin, target, { headers })
      t.equal('strict-transport-security' in answer.headers, secure, `${proto} ${answer.status}`)
    }
  }
})

t.test('an IPv4 proxy is the same to a listener for both families', async (t) => {
  const gateway = await startGateway(t, upstream.origin, {
    HOST: '::',
    TRUST_PROXY: '127.0.0.1',
    COPILOT_URL: upstream.origin.replace('127.0.0.1', 'localhost'),
  })
  const origin = `http://127.0.0.1:${gateway.port}`
  const answer = await ask(origin, link(), { headers: { 'X-Forwarded-For': '203.0.113.9' } })
  t.match(await auditOf(gateway, answer.headers['x-request-id']), {
    ip: '203.0.113.9',
    userId: ids.userId,
  })
  const untold = await ask(origin, link())
  t.match(await auditOf(gateway, untold.headers['x-request-id']), {
    ip: /^(::ffff:)?127\.0\.0\.1$/,
  })
})

t.test('an IPv6 client is told as one', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { HOST: '::1' })
  upstream.seen.length = 0
  const answer = await ask(gateway.origin, link())
  t.equal(answer.status, 200)
  const raw = upstream.seen[0]?.rawHeaders
  t.strictSame(valuesOf(raw, 'x-forwarded-for'), ['::1'])
  t.match(valuesOf(raw, 'forwarded')[0], 'for="[::1]"', 'RFC 7239 §6')
  t.strictSame(valuesOf(raw, 'x-forwarded-host'), [new URL(gateway.origin).host])
  t.match(await auditOf(gateway, answer.headers['x-request-id']), { ip: '::1' })
})
