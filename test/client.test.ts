import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import t from 'tap'
import { type Client, clientReader, originOf } from '../src/client.ts'

type Lines = Readonly<Record<string, string | readonly string[]>>

const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/
const proxy = '10.0.0.1'
const trusted = ['10.0.0.0/8', '2001:db8:1::/48']
const read = clientReader(trusted, 'http')

/** A request from this address with these header lines. */
function request(address: string | undefined, lines: Lines = {}): IncomingMessage {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: address })
  const message = new IncomingMessage(socket)
  // Node joins repeated lines so.
  for (const [name, values] of Object.entries({ Host: 'gateway.example', ...lines })) {
    message.headers[name.toLowerCase()] = [values].flat().join(', ')
  }
  return message
}

const forged = {
  'X-Forwarded-For': '203.0.113.66',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'evil.example',
  Forwarded: 'for=203.0.113.66;host=evil.example;proto=https',
  'X-Request-Id': 'forged',
  'X-Real-IP': '203.0.113.66',
}

t.test('what a client says of itself is not believed', (t) => {
  const rows: readonly (readonly [string, readonly string[], string])[] = [
    ['no proxy is trusted', [], '192.0.2.7'],
    ['no proxy is trusted, from one', [], proxy],
    ['from loopback', [], '127.0.0.1'],
    ['not from a trusted proxy', trusted, '192.0.2.7'],
    ['from an address beside', ['10.0.0.2', '10.0.1.0/24'], proxy],
    ['from an IPv6 address beside', trusted, '2001:db8:2::1'],
  ]
  for (const [name, proxies, address] of rows) {
    const { requestId, ...said } = clientReader(proxies, 'http')(request(address, forged))
    t.strictSame(
      said,
      { ip: address, addresses: address, scheme: 'http', host: 'gateway.example', trusted: false },
      name,
    )
    t.match(requestId, uuid, name)
  }
  t.equal(clientReader([], 'https')(request('192.0.2.7')).scheme, 'https', 'the listener’s scheme')
  const [one, two] = [read(request('192.0.2.7')), read(request('192.0.2.7'))]
  t.not(one.requestId, two.requestId, 'each request has an id of its own')
  const gone = read(request(undefined, forged))
  t.match(gone, { ip: '', addresses: '', host: 'gateway.example' }, 'a client that has left')
  t.end()
})

t.test('the client is the last address that no trusted proxy has', (t) => {
  const rows: readonly (readonly [string, string | readonly string[], string, string])[] = [
    ['one hop', '192.0.2.7', '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    ['two proxies', '192.0.2.7, 10.0.0.2', '192.0.2.7', '192.0.2.7, 10.0.0.2, 10.0.0.1'],
    ['a forged one before', '203.0.113.66, 192.0.2.7', '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    ['a forged proxy before', '10.0.0.9, 192.0.2.7', '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    [
      'both',
      '203.0.113.66, 10.0.0.9, 192.0.2.7, 10.0.0.2',
      '192.0.2.7',
      '192.0.2.7, 10.0.0.2, 10.0.0.1',
    ],
    ['in two lines', ['203.0.113.66', '192.0.2.7'], '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    ['without space', '203.0.113.66,192.0.2.7', '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    ['empty items', ', ,192.0.2.7, ,', '192.0.2.7', '192.0.2.7, 10.0.0.1'],
    ['proxies only', '10.0.0.3, 10.0.0.2', '10.0.0.3', '10.0.0.3, 10.0.0.2, 10.0.0.1'],
    ['IPv6', '2001:db8:2::7', '2001:db8:2::7', '2001:db8:2::7, 10.0.0.1'],
    [
      'IPv6 through an IPv6 proxy',
      '2001:db8:2::7, 2001:db8:1::1',
      '2001:db8:2::7',
      '2001:db8:2::7, 2001:db8:1::1, 10.0.0.1',
    ],
    ['an empty header', '', proxy, proxy],
    ['unknown', 'unknown', proxy, proxy],
    ['a name', 'client.example', proxy, proxy],
    ['no address', '999.0.2.7', proxy, proxy],
    ['a short address', '10.1', proxy, proxy],
    ['an octal address', '0192.0.2.7', proxy, proxy],
    ['markup', '<script>', proxy, proxy],
    ['a forged one before no address', '203.0.113.66, unknown', proxy, proxy],
    ['a forged one before a range', '203.0.113.66, 10.0.0.0/8', proxy, proxy],
  ]
  for (const [name, header, ip, addresses] of rows) {
    t.match(read(request(proxy, { 'X-Forwarded-For': header })), { ip, addresses }, name)
  }
  t.match(read(request(proxy)), { ip: proxy, addresses: proxy }, 'none')
  const mapped = read(request(`::ffff:${proxy}`, { 'X-Forwarded-For': '192.0.2.7' }))
  t.match(mapped, { ip: '192.0.2.7', addresses: '192.0.2.7, 10.0.0.1' }, 'IPv4 in IPv6')
  t.equal(read(request('::ffff:192.0.2.7')).ip, '192.0.2.7', 'so for a client')
  const six = read(request('2001:db8:1::9', { 'X-Forwarded-For': '192.0.2.7' }))
  t.match(six, { ip: '192.0.2.7', addresses: '192.0.2.7, 2001:db8:1::9' }, 'an IPv6 proxy')
  t.end()
})

t.test('of scheme, host and id a trusted proxy is believed what makes sense', (t) => {
  const said = (lines: Lines): Client => read(request(proxy, lines))
  const schemes: readonly (readonly [string, string])[] = [
    ['https', 'https'],
    ['http', 'http'],
    ['HTTPS', 'https'],
    ['http, https', 'https'],
    ['https, http', 'http'],
    ['', 'http'],
    ['wss', 'http'],
    ['https://evil.example', 'http'],
    ['javascript', 'http'],
    ['https;', 'http'],
  ]
  for (const [value, scheme] of schemes) {
    t.equal(said({ 'X-Forwarded-Proto': value }).scheme, scheme, `X-Forwarded-Proto: ${value}`)
  }
  const hosts: readonly (readonly [string, string])[] = [
    ['copilot.example', 'copilot.example'],
    ['copilot.example:8443', 'copilot.example:8443'],
    ['[2001:db8::1]:8443', '[2001:db8::1]:8443'],
    ['evil.example, copilot.example', 'copilot.example'],
    ['', 'gateway.example'],
    ['a b', 'gateway.example'],
    ['https://copilot.example', 'gateway.example'],
    ['copilot.example/path', 'gateway.example'],
    ['user@copilot.example', 'gateway.example'],
    ['copilot.example;x', 'gateway.example'],
    ['"copilot.example"', 'gateway.example'],
    ['bücher.example', 'gateway.example'],
  ]
  for (const [value, host] of hosts) {
    t.equal(said({ 'X-Forwarded-Host': value }).host, host, `X-Forwarded-Host: ${value}`)
  }
  const kept = [
    'a',
    '7f2c1a',
    '0af7651916cd43dd8448eb211c80319c',
    'a-b_c.d:e+f/g=',
    'x'.repeat(128),
  ]
  for (const id of kept) t.equal(said({ 'X-Request-Id': id }).requestId, id, id)
  const replaced = [
    '',
    ' ',
    'a b',
    'x'.repeat(129),
    '<b>',
    'a"b',
    "a'b",
    'a;b',
    'a\\b',
    'ü',
    'a{b}',
  ]
  for (const id of replaced) t.match(said({ 'X-Request-Id': id }).requestId, uuid, `not ${id}`)
  t.end()
})

t.test('a trusted proxy may say the same by Forwarded (RFC 7239)', (t) => {
  const said = (forwarded: string | readonly string[], lines: Lines = {}): Client =>
    read(request(proxy, { Forwarded: forwarded, ...lines }))
  const rows: readonly (readonly [string, string | readonly string[], Partial<Client>])[] = [
    ['an address', 'for=192.0.2.7', { ip: '192.0.2.7', addresses: '192.0.2.7, 10.0.0.1' }],
    [
      'all of it',
      'for=192.0.2.7;host=copilot.example;proto=https;by=10.0.0.1',
      { ip: '192.0.2.7', host: 'copilot.example', scheme: 'https' },
    ],
    [
      'in another case and order',
      'PROTO=HTTPS; Host="copilot.example:8443" ; FOR="192.0.2.7"',
      { ip: '192.0.2.7', host: 'copilot.example:8443', scheme: 'https' },
    ],
    ['with a port', 'for="192.0.2.7:4711"', { ip: '192.0.2.7' }],
    ['IPv6', 'for="[2001:db8:2::7]"', { ip: '2001:db8:2::7' }],
    ['IPv6 with a port', 'for="[2001:db8:2::7]:4711"', { ip: '2001:db8:2::7' }],
    ['a forged one before', 'for=203.0.113.66, for=192.0.2.7', { ip: '192.0.2.7' }],
    ['in two lines', ['for=203.0.113.66', 'for=192.0.2.7'], { ip: '192.0.2.7' }],
    [
      'two proxies',
      'for=192.0.2.7, for=10.0.0.2',
      { ip: '192.0.2.7', addresses: '192.0.2.7, 10.0.0.2, 10.0.0.1' },
    ],
    ['hidden', 'for=_secret', { ip: proxy }],
    ['unknown', 'for=unknown', { ip: proxy }],
    ['a forged one before hidden', 'for=203.0.113.66, for=_hidden', { ip: proxy }],
    ['a name that ends alike', 'xfor=203.0.113.66', { ip: proxy }],
    ['a scheme that is none', 'proto=javascript', { scheme: 'http' }],
    ['a host that is none', 'host="a/b"', { host: 'gateway.example' }],
    // The proxy put what the client said into quotes: it stays within them.
    ['a pair within quotes', 'for=192.0.2.7;host="x;for=203.0.113.66"', { ip: '192.0.2.7' }],
    ['an element within quotes', 'for=192.0.2.7;host="x, for=203.0.113.66"', { ip: '192.0.2.7' }],
    [
      'an escaped quote within quotes',
      'for=192.0.2.7;host="x\\";for=203.0.113.66;y=\\""',
      { ip: '192.0.2.7' },
    ],
    ['nothing', '', { ip: proxy, host: 'gateway.example', scheme: 'http' }],
  ]
  for (const [name, header, expected] of rows) t.match(said(header), expected, name)
  const both = said('for=203.0.113.66;host=evil.example;proto=https', {
    'X-Forwarded-For': '192.0.2.7',
  })
  t.match(
    both,
    { ip: '192.0.2.7', host: 'gateway.example', scheme: 'http' },
    'a proxy that writes the one may pass on a client’s other',
  )
  t.end()
})

t.test('an origin is written as browsers write it', (t) => {
  const client: Client = { ...read(request('192.0.2.7')), scheme: 'https' }
  const rows: readonly (readonly ['http' | 'https', string, string])[] = [
    ['https', 'gateway.example', 'https://gateway.example'],
    ['https', 'GATEWAY.Example', 'https://gateway.example'],
    ['https', 'gateway.example:443', 'https://gateway.example'],
    ['https', 'gateway.example:80', 'https://gateway.example:80'],
    ['https', 'gateway.example:8443', 'https://gateway.example:8443'],
    ['https', 'gateway.example:1443', 'https://gateway.example:1443'],
    ['http', 'gateway.example:80', 'http://gateway.example'],
    ['http', 'gateway.example:443', 'http://gateway.example:443'],
    ['http', 'gateway.example:8080', 'http://gateway.example:8080'],
    ['http', '127.0.0.1:3000', 'http://127.0.0.1:3000'],
    ['http', '[::1]:3000', 'http://[::1]:3000'],
    ['https', '[2001:DB8::1]:443', 'https://[2001:db8::1]'],
  ]
  for (const [scheme, host, origin] of rows) {
    t.equal(originOf({ ...client, scheme, host }), origin, `${scheme} ${host}`)
    t.equal(new URL(origin).origin, origin, `${origin} is one`)
  }
  t.end()
})
