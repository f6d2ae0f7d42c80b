import t from 'tap'
import { decide } from '../../src/access/access.ts'
import type { Grant } from '../../src/access/decision.ts'
import type { Client } from '../../src/client.ts'
import { connectionOptions, pairs, requestHeaders } from '../../src/forward/request-headers.ts'
import { createGate, link } from '../stage.ts'

const decision = decide(
  {
    method: 'GET',
    target: link(),
    hosts: ['gateway.example'],
    authorizations: [],
    cookie: '',
    upgrade: false,
    origin: undefined,
    fetchSite: undefined,
    fetchMode: undefined,
    own: [],
  },
  await createGate(),
  Date.now(),
)
if (!decision.allow) throw new Error(decision.reason)
const grant: Grant = decision
const client: Client = {
  ip: '192.0.2.7',
  addresses: '192.0.2.7',
  scheme: 'https',
  host: 'gateway.example:8443',
  requestId: 'request-1',
  trusted: false,
}
const origin = 'https://copilot.example'
const own = [
  ['X-Forwarded-For', '192.0.2.7'],
  ['X-Forwarded-Host', 'gateway.example:8443'],
  ['X-Forwarded-Proto', 'https'],
  ['Forwarded', 'for=192.0.2.7;host="gateway.example:8443";proto=https'],
  ['X-Request-Id', 'request-1'],
] as const

type Lines = readonly (readonly [name: string, value: string])[]

function headersFor(
  raw: readonly string[],
  granted: Partial<Grant> = {},
  from: Partial<Client> = {},
): string[] {
  return requestHeaders(raw, { ...grant, ...granted }, { ...client, ...from }, origin, false)
}

/** What goes upstream of a client's header lines, less what the gateway itself says. */
function sent(lines: Lines, changes: Partial<Grant> = {}): Lines {
  const all = [...pairs(headersFor(lines.flat(), changes))]
  const isOwn = ([name]: readonly [string, string]): boolean =>
    own.some(([known]) => known === name)
  if (JSON.stringify(all.filter(isOwn)) !== JSON.stringify(own)) {
    throw new Error(`the gateway says ${JSON.stringify(all.filter(isOwn))}`)
  }
  return all.filter((line) => !isOwn(line))
}

/** A name in other cases, and with underscores for some or all of its dashes. */
function spellings(name: string): string[] {
  const snake = name.replaceAll('-', '_')
  return [
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    snake,
    snake.toLowerCase(),
    snake.toUpperCase(),
    name.replace('-', '_'),
    name.replace(/-(?=[^-]*$)/, '_'),
  ]
}

t.test('what a workspace’s page sends goes on, in order and as it is spelt', (t) => {
  const lines = [
    ['User-Agent', 'Mozilla/5.0'],
    ['accept', 'text/html, */*;q=0.8'],
    ['ACCEPT-LANGUAGE', 'de, en;q=0.5'],
    ['Accept-Encoding', 'gzip, br'],
    ['Content-Type', 'application/json'],
    ['Content-Length', '12'],
    ['If-None-Match', '"abc"'],
    ['Range', 'bytes=0-1'],
    ['Cache-Control', 'no-cache'],
    ['Sec-Fetch-Site', 'same-origin'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['X-Custom', 'one'],
    ['X-Custom', 'two'],
    ['x_custom', 'three'],
    ['X-Empty', ''],
    ['X-Latin-1', 'J\xfcrgen'],
    ['X-Forwarded', 'a name of its own'],
    ['X-Copilot', 'another'],
    ['X-Realip', 'another'],
    ['Traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ] as const
  t.strictSame(sent(lines), lines)
  t.strictSame(sent([]), [])
  t.end()
})

t.test('what is for one hop only does not go on', (t) => {
  const names = [
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
  ]
  for (const name of names.flatMap(spellings)) {
    t.strictSame(
      sent([
        [name, 'x'],
        ['A', 'b'],
      ]),
      [['A', 'b']],
      name,
    )
  }
  t.end()
})

t.test('what only the gateway says is not taken from a client', (t) => {
  const names = [
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'Forwarded',
    'X-Request-Id',
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Copilot-User-Id',
    'X-Copilot-Session-Id',
    'X-Copilot-Contact-Center',
    'X-Copilot-',
    'X-Copilot-Anything-Else',
  ]
  for (const name of names.flatMap(spellings)) {
    t.strictSame(
      sent([
        [name, 'evil'],
        ['A', 'b'],
        [name, 'evil'],
      ]),
      [['A', 'b']],
      name,
    )
  }
  t.end()
})

t.test('what Connection names does not go on', (t) => {
  const rows: readonly (readonly [string, readonly string[], Lines, Lines])[] = [
    [
      'one',
      ['x-hop'],
      [
        ['X-Hop', '1'],
        ['A', 'b'],
      ],
      [['A', 'b']],
    ],
    ['in another case', ['X-HOP'], [['x-hop', '1']], []],
    [
      'several',
      ['close, X-One ,x-two'],
      [
        ['X-One', '1'],
        ['X-Two', '2'],
        ['A', 'b'],
      ],
      [['A', 'b']],
    ],
    [
      'in several lines',
      ['X-One', 'X-Two'],
      [
        ['X-One', '1'],
        ['X-Two', '2'],
      ],
      [],
    ],
    ['with odd space', ['\tX-One\t,,\t'], [['X-One', '1']], []],
    [
      'twice there',
      ['X-One'],
      [
        ['X-One', '1'],
        ['X-One', '2'],
      ],
      [],
    ],
    ['spelt with an underscore', ['X-One'], [['X_One', '1']], []],
    ['named with an underscore', ['X_One'], [['X_One', '1']], []],
    ['named so, spelt otherwise', ['x_one'], [['X-One', '1']], []],
    ['only a part of a name', ['X'], [['X-One', '1']], [['X-One', '1']]],
    ['nothing', [''], [['A', 'b']], [['A', 'b']]],
    ['not there', ['X-One'], [['A', 'b']], [['A', 'b']]],
    ['what describes the body', ['Content-Type'], [['Content-Type', 'a/b']], []],
  ]
  for (const [name, options, lines, expected] of rows) {
    const connection = options.map((option) => ['Connection', option] as const)
    t.strictSame(sent([...connection, ...lines]), expected, name)
    t.strictSame(sent([...lines, ...connection]), expected, `${name}, after it`)
  }
  const owned = own.map(([name]) => name).join(', ')
  t.strictSame(sent([['Connection', owned]]), [], 'what the gateway says stays')
  t.end()
})

t.test('cookies and Authorization are what was granted, unless Connection names them', (t) => {
  const lines = [
    ['Cookie', '__Host-copilot-a=1; x=y'],
    ['Authorization', 'Bearer a.b.c'],
    ['cookie', 'z=1'],
    ['AUTHORIZATION', 'Basic YTpi'],
  ] as const
  t.strictSame(sent(lines), [], 'nothing was granted')
  const granted = { cookie: 'x=y', authorization: 'Basic YTpi' }
  t.strictSame(
    [...sent(lines, granted)].sort(),
    [
      ['Authorization', 'Basic YTpi'],
      ['Cookie', 'x=y'],
    ],
    'each once',
  )
  const named = sent([...lines, ['Connection', 'Cookie, authorization']], granted)
  t.strictSame(named, [], 'for this hop only')
  t.end()
})

t.test('Host and Origin become the upstream’s', (t) => {
  t.strictSame(sent([['Host', 'gateway.example']]), [], 'the connection says its own Host')
  t.strictSame(
    sent([
      ['host', 'a'],
      [':authority', 'b'],
    ]),
    [],
    'in HTTP/2 too',
  )
  t.strictSame(sent([['Origin', 'https://gateway.example']]), [['Origin', origin]])
  t.strictSame(sent([['origin', 'https://gateway.example']]), [['Origin', origin]])
  t.strictSame(sent([['Origin', 'null']]), [['Origin', origin]])
  t.strictSame(sent([['A', 'b']]), [['A', 'b']], 'who sent none gets none')
  const twice = [
    ['Origin', 'null'],
    ['Origin', 'https://gateway.example'],
  ] as const
  t.strictSame(sent(twice), [['Origin', origin]], 'and whoever sent two gets one')
  t.end()
})

t.test('pseudo-headers of HTTP/2 are no headers', (t) => {
  const lines = [':method', ':path', ':scheme', ':authority', ':protocol', ':x'].map(
    (name) => [name, 'x'] as const,
  )
  t.strictSame(sent([...lines, ['A', 'b']]), [['A', 'b']])
  t.end()
})

t.test('of a Referer only the origin goes on', (t) => {
  const token = 'userId=a&auth=a.b.c'
  const rows: readonly (readonly [string, string | null])[] = [
    [`https://gateway.example/?${token}`, 'https://gateway.example'],
    [`https://gateway.example/a/b?${token}#c`, 'https://gateway.example'],
    ['https://gateway.example', 'https://gateway.example'],
    ['https://gateway.example:8443/a', 'https://gateway.example:8443'],
    [`http://localhost:3000/?${token}`, 'http://localhost:3000'],
    [`https://user:auth@gateway.example/?${token}`, 'https://gateway.example'],
    [`HTTPS://GATEWAY.example/${token}`, 'https://gateway.example'],
    [`/?${token}`, null],
    [`?${token}`, null],
    [`//gateway.example/?${token}`, null],
    [`auth=${token}`, null],
    [`data:text/html,${token}`, null],
    [`about:blank?${token}`, null],
    [`javascript:${token}`, null],
    [`file:///${token}`, null],
    ['', null],
    ['null', null],
  ]
  for (const [value, expected] of rows) {
    const headers = sent([['Referer', value]])
    t.notMatch(JSON.stringify(headers), /auth|userId/, value)
    const origins = headers.map(([name, text]) => [name, text.replace(/\/$/, '')])
    t.strictSame(origins, expected === null ? [] : [['Referer', expected]], value)
    t.notMatch(JSON.stringify(sent([['REFERER', value]])), /auth|userId/i, `${value}, upper case`)
  }
  const twice = ['https://a.example/', 'https://b.example/x'].map(
    (value) => ['Referer', value] as const,
  )
  t.strictSame(sent(twice), [['Referer', 'https://b.example/']], 'of two there is one')
  t.end()
})

t.test('addresses are written as the headers want them', (t) => {
  const forwarded = (changes: Partial<Client>): Readonly<Record<string, string>> =>
    Object.fromEntries(pairs(headersFor([], {}, changes)))
  t.match(forwarded({ ip: '2001:db8::7', addresses: '2001:db8::7', scheme: 'http' }), {
    'X-Forwarded-For': '2001:db8::7',
    'X-Forwarded-Proto': 'http',
    Forwarded: 'for="[2001:db8::7]";host="gateway.example:8443";proto=http',
  })
  t.match(forwarded({ ip: '192.0.2.1', addresses: '192.0.2.1, 10.0.0.1', host: '[::1]:8080' }), {
    'X-Forwarded-For': '192.0.2.1, 10.0.0.1',
    'X-Forwarded-Host': '[::1]:8080',
    Forwarded: 'for=192.0.2.1;host="[::1]:8080";proto=https',
  })
  t.end()
})

t.test('header lines are names and values in turn', (t) => {
  t.strictSame(
    [...pairs(['a', 'b', 'c', 'd'])],
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  )
  t.strictSame([...pairs([])], [])
  t.strictSame([...pairs(['a'])], [], 'a name without a value is none')
  const raw = ['Connection', 'Close, X-One', 'A', 'connection', 'connection', 'upgrade']
  t.strictSame([...connectionOptions(raw)].sort(), ['close', 'upgrade', 'x-one'])
  t.end()
})
