import { stripVTControlCharacters } from 'node:util'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { ask, link, startGateway, startUpstream } from '../stage.ts'
import { accepting, closeWith, dial, handshake, headOf, masked } from '../websocket/peer.ts'
import { eight, forged, line, report } from './log.ts'

const minute = 60_000
const mixed = [
  line(),
  line(forged),
  line({ ...forged, time: eight + minute, requestId: 'request-3', ip: '192.0.2.9' }),
  line({ reason: 'claim-mismatch', page: 'https://desk.example', time: eight + 2 * minute }),
  line({ decision: 'deny', status: 403, reason: 'origin-refused', hint: 'PUBLIC_URL is missing' }),
].join('')
const around = [
  '{"level":30,"time":1,"event":"listening"}\n',
  'Starting nginx\n',
  `${'x'.repeat(10_000_000)}\n`,
  line().slice(0, 100),
].join('')

const dir = t.testdir({
  'mixed.log': mixed,
  'mixed.log.gz': gzipSync(mixed),
  'cut.log.gz': gzipSync(mixed.repeat(2000)).subarray(0, -50),
  'text.log.gz': mixed,
  'around.log': `${mixed}${around}`,
  'empty.log': '',
  'other.log': '{"level":40,"time":1,"event":"setting-warning"}\n',
  folder: {},
})

t.test('it says what enforcement would refuse, what is refused, and what to do', async (t) => {
  const { stdout, stderr, code } = await report(['mixed.log'], dir)
  t.equal(stderr, '')
  t.equal(code, 0)
  t.equal(
    stdout,
    `Enforcement would refuse 2 of 3 integrations (3 of 5 requests, 1 user) since
2026-11-20 08:00 UTC.
1 integration is refused requests already (1 of 5 requests, 1 user).

Would be refused

  1. contact center not proven, https://old.example
     token-invalid: no secret or key verifies the token
     2 requests (100 % of those not proven), 2 addresses
     2026-11-20 08:00 to 2026-11-20 08:01 UTC, such as request request-2
     No shared secret verifies the token, or its header or times are unusable.
     To do: Compare the secrets and their encoding (hex:, base64:; without one a
     secret is text). In the log, hint tells what is wrong.

  2. cc, https://desk.example
     claim-mismatch
     1 request (33.3 % of those of cc), 1 user, 1 session, 1 address
     2026-11-20 08:02 to 2026-11-20 08:02 UTC, such as request request-1
     The query names another user, session or URLToken than the token or the
     session does, or lacks one of the three.
     To do: Sign the very ids that the link carries. In the log, hint tells of a
     link that was not signed.

Refused already

  1. cc, page not known
     origin-refused: PUBLIC_URL is missing
     1 request (33.3 % of those of cc), 1 user, 1 session, 1 address
     2026-11-20 08:00 to 2026-11-20 08:00 UTC, such as request request-1
     A page other than the workspace used the session.
     To do: The line may hold a hint: PUBLIC_URL is missing where TLS ends in
     front.

Read 5 access lines.
`,
  )
})

t.test('logs are files, packed files, several, and stdin', async (t) => {
  const rows: readonly (readonly [string, readonly string[], string, number])[] = [
    ['a packed file', ['mixed.log.gz'], '', 5],
    ['several', ['mixed.log', 'mixed.log.gz'], '', 10],
    ['stdin', ['-'], mixed, 5],
    ['a file and stdin', ['mixed.log', '-'], line(), 6],
  ]
  const runs = rows.map(async ([name, args, stdin, requests]) => {
    const { stdout, stderr, code } = await report([...args, '--json'], dir, stdin)
    t.equal(JSON.parse(stdout).total.requests, requests, name)
    t.equal(stderr, '')
    t.equal(code, 0)
  })
  await Promise.all(runs)
})

t.test('what is no access line is counted, by kind', async (t) => {
  const { stdout, code } = await report(['around.log'], dir)
  t.match(
    stdout.replaceAll('\n', ' '),
    'Read 5 access lines, 1 other line of the gateway, 1 line of something else, 1 line cut short, 1 line too long',
  )
  t.equal(code, 0)
  const { stdout: machines } = await report(
    ['around.log', '--json', '--since', '2026-11-20T08:01Z'],
    dir,
  )
  t.same(JSON.parse(machines).lines, {
    access: 2,
    before: 3,
    other: 1,
    foreign: 1,
    cut: 1,
    long: 1,
  })
})

t.test('a log that cannot be read, or holds nothing, is a problem', async (t) => {
  const none = 'There is no access line of the gateway'
  const rows: readonly (readonly [string, readonly string[], string, RegExp])[] = [
    [
      'no file',
      ['no.log'],
      `no.log cannot be read to its end (ENOENT)\n${none}: read no line\n`,
      /^$/,
    ],
    [
      'a folder',
      ['folder'],
      `folder cannot be read to its end (EISDIR)\n${none}: read no line\n`,
      /^$/,
    ],
    [
      'no packed file',
      ['no.gz'],
      `no.gz cannot be read to its end (ENOENT)\n${none}: read no line\n`,
      /^$/,
    ],
    [
      'not packed',
      ['text.log.gz'],
      `text.log.gz cannot be read to its end (Z_DATA_ERROR)\n${none}: read no line\n`,
      /^$/,
    ],
    [
      'a packed file cut short',
      ['cut.log.gz'],
      'cut.log.gz cannot be read to its end (Z_BUF_ERROR)\n',
      /^Enforcement/,
    ],
    [
      'one of two',
      ['no.log', 'mixed.log'],
      'no.log cannot be read to its end (ENOENT)\n',
      /^Enforcement/,
    ],
    ['an empty file', ['empty.log'], `${none}: read no line\n`, /^$/],
    [
      'a quiet log',
      ['other.log'],
      `${none}: read 1 other line of the gateway\nAccess lines are of level info: a higher LOG_LEVEL silences them\n`,
      /^$/,
    ],
    [
      'nothing so young',
      ['mixed.log', '--since', '2026-11-21'],
      `${none} since 2026-11-21 00:00 UTC: read 5 access lines before that time\n`,
      /^$/,
    ],
  ]
  const runs = rows.map(async ([name, args, problem, shown]) => {
    const { stdout, stderr, code } = await report(args, dir)
    t.equal(stderr, problem, name)
    t.match(stdout, shown, name)
    t.equal(code, 1, name)
  })
  await Promise.all(runs)
})

t.test('--since is a duration or a time', async (t) => {
  const now = Date.now()
  const log = [1, 2, 3].map((hours) => line({ time: now - hours * 60 * minute + minute })).join('')
  const rows: readonly (readonly [string, string, number])[] = [
    ['a duration', '2h', 2],
    ['a time in UTC', new Date(now - 120 * minute).toISOString(), 2],
    [
      'as the report writes it',
      `${new Date(now - 60 * minute).toISOString().slice(0, 16).replace('T', ' ')} UTC`,
      1,
    ],
    ['without a zone', new Date(now - 120 * minute).toISOString().slice(0, -1), 2],
    ['another zone', `${new Date(now - 0 * minute).toISOString().slice(0, -1)}+02:00`, 2],
    ['a day', '2020-01-01', 3],
  ]
  const runs = rows.map(async ([name, since, requests]) => {
    const { stdout } = await report(['-', '--json', '--since', since], dir, log)
    t.equal(JSON.parse(stdout).total.requests, requests, name)
  })
  await Promise.all(runs)
})

t.test('wrong usage', async (t) => {
  const rows: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no log', [], /^report needs a log: files, or - for stdin\n/],
    ['no time', ['-', '--since', 'yesterday'], /^--since must be a duration/],
    ['no day', ['-', '--since', '2026-13-01'], /^--since must be a duration/],
    ['no such option', ['-', '--all'], /^Unknown option '--all'/],
  ]
  const runs = rows.map(async ([name, args, message]) => {
    const { stdout, stderr, code } = await report(args, dir)
    t.equal(code, 2, name)
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^Usage: copilot-gateway /m)
  })
  await Promise.all(runs)
})

t.test('nothing that a log quotes acts on a terminal', async (t) => {
  const wild = '\u001b[2J\u009b31m\u202e\u2028\u0007\u{e0041}\ud800'
  const log = line({
    ...forged,
    page: wild,
    hint: wild,
    reason: wild,
    requestId: wild,
    contactCenter: wild,
  })
  const { stdout } = await report(['-'], dir, log)
  t.match(stdout, '\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{2028}\\u{7}\\u{e0041}')
  t.notMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  const { stdout: machines } = await report(['-', '--json'], dir, log)
  t.notMatch(machines.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  t.equal(JSON.parse(machines).causes[0].page, wild)
  t.equal(JSON.parse(machines).causes[0].happened, 'This version knows no such reason.')
})

t.test('the lines fit a terminal, and colours are never the only sign', async (t) => {
  const log = Array.from({ length: 60 }, (_, i) =>
    line({ ...forged, page: `https://desk-${i}.contact-center.example`, time: eight + i }),
  ).join('')
  const plain = await report(['-'], dir, log)
  t.equal(stripVTControlCharacters(plain.stdout), plain.stdout)
  t.ok(plain.stdout.split('\n').every((one) => one.length <= 80))
  t.match(plain.stdout, /^10 more are not shown here; --json has them all\.$/m)
  t.equal(plain.stdout.match(/^ +\d+\. /gm)?.length, 50)
  const bright = await report(['-'], dir, log, { FORCE_COLOR: '1' })
  t.match(bright.stdout, '\u001b[31mEnforcement')
  t.equal(stripVTControlCharacters(bright.stdout), plain.stdout)
})

t.test('more than is told apart is said', async (t) => {
  const log = [
    ...Array.from({ length: 10_001 }, (_, i) => line({ reason: 'token-expired', userId: `${i}` })),
    ...Array.from({ length: 600 }, (_, i) => line({ ...forged, page: `https://${i}.example` })),
  ].join('')
  const { stdout } = await report(['-'], dir, log)
  const told = stdout.replaceAll(/\s+/g, ' ')
  t.match(told, 'of 10,601 requests, more than 10,000 users)')
  t.match(told, '101 requests, 1 address')
  t.match(
    told,
    'There were more pages and reasons than are told apart. To do: Ask for a shorter time',
  )
})

t.test('the log of a gateway: requests, refusals and sockets', async (t) => {
  const upstream = await startUpstream(t, undefined, (request, socket) => {
    socket.write(accepting(request))
    socket.on('data', () => {})
  })
  const gateway = await startGateway(t, upstream.origin)
  const calm = await report(['-'], dir, `${JSON.stringify((await passed())[0])}\n`)
  t.match(calm.stdout, /^Enforcement would refuse none of 1 request since /)
  t.notMatch(calm.stdout, /refused|token/)

  await ask(gateway.origin, '/')
  await ask(gateway.origin, link({ userId: 'agent-8' }))
  for (const event of ['42["join",{"userId":"agent-8"}]', null]) {
    const client = await dial(t, gateway.port)
    client.socket.write(handshake(gateway.port, link({}, '/socket.io/')))
    await client.until(headOf)
    client.socket.end(event === null ? closeWith(1000, '', { mask: true }) : masked(event))
    await client.closed
  }
  const lines = await gateway.audited(7)
  const all = gateway.lines.map((one) => `${JSON.stringify(one)}\n`).join('')
  const { stdout, code } = await report(['-', '--json'], dir, all)
  t.equal(code, 0)
  const { total, reported, refused, causes, lines: read } = JSON.parse(stdout)
  t.equal(total.requests, 5, 'a socket is one')
  t.equal(read.access, lines.length)
  t.equal(reported.requests, 0)
  t.equal(refused.requests, 3)
  const told = causes.map((one: Record<string, unknown>) => [
    one['reason'],
    one['detail'],
    one['requests'],
  ])
  t.same(told.sort(), [
    ['claim-mismatch', null, 1],
    ['session-mismatch', 'foreign-event', 1],
    ['token-missing', null, 1],
  ])

  async function passed() {
    await ask(gateway.origin)
    return gateway.audited(1)
  }
})
