// The dashboard's modules that touch no page: what they read, count and say.
import t from 'tap'

const at = (file: string): string =>
  new URL(`../../src/admin/dashboard/${file}`, import.meta.url).href
const { createParser } = await import(at('stream.js'))
const { createHistory, countReasons } = await import(at('series.js'))
const { describeKey } = await import(at('contact-centers.js'))
const { notices, sentence } = await import(at('state.js'))
const words = await import(at('words.js'))

const hour = 3_600_000
const day = 24 * hour
const now = 100 * day

t.test('an event stream is read as HTML says', async (t) => {
  const streams = [
    ['one event', 'event: a\ndata: 1\n\n', [['a', '1']]],
    ['CRLF', 'event: a\r\ndata: 1\r\n\r\n', [['a', '1']]],
    [
      'CR',
      'event: a\rdata: 1\r\rdata: 2\n\n',
      [
        ['a', '1'],
        ['message', '2'],
      ],
    ],
    ['several lines of data', 'data: 1\ndata:  2\ndata\n\n', [['message', '1\n 2\n']]],
    ['a comment', ': still here\n\nevent: a\n:\ndata: 1\n\n', [['a', '1']]],
    ['a name without data', 'event: a\n\ndata: 1\n\n', [['message', '1']]],
    [
      'a colon and a line separator in the data',
      'data: a: b\u2028c\n\n',
      [['message', 'a: b\u2028c']],
    ],
    ['fields of no use', 'id: 1\nretry: 9\nwhat\ndata: 1\n\n', [['message', '1']]],
    ['no end', 'event: a\ndata: 1\n', []],
  ] as const
  for (const [name, text, expected] of streams) {
    for (const size of [1, 2, 3, 1000]) {
      const parse = createParser()
      const events: unknown[] = []
      for (let from = 0; from < text.length; from += size) {
        for (const event of parse(text.slice(from, from + size))) {
          events.push([event.name, event.text])
        }
      }
      t.strictSame(events, expected, `${name}, ${size} at a time`)
    }
  }
  const parse = createParser()
  t.throws(() => [...parse('x'.repeat(17 * 1024 * 1024))], 'not without a bound')
})

t.test('points become buckets', async (t) => {
  const point = (time: number, changes = {}): object => ({
    time,
    allowed: 10,
    refused: 2,
    reported: 1,
    reasons: { a: 2, b: 1 },
    latency: null,
    sockets: 4,
    sessions: 5,
    connections: 6,
    ...changes,
  })
  const history = createHistory()
  t.strictSame(history.buckets(5 * 60_000).length, 60, 'empty ones where there is nothing yet')
  const points = Array.from({ length: 2000 }, (_, index) => point((index + 1) * 5000))
  history.replace({ interval: 5000, points })
  history.add(point(2000 * 5000, { allowed: 1_000_000 }))
  t.equal(history.last(60_000).allowed, 120, 'a point that is there already is not counted twice')
  history.add(point(2001 * 5000, { latency: { p50: 1, p90: 5, p99: 6 } }))
  history.add(point(2002 * 5000, { latency: { p50: 2, p90: 4, p99: 9 }, sockets: 0 }))
  // Nothing for five minutes.
  history.add(point(2062 * 5000))
  for (const [range, seconds] of [
    [5 * 60_000, 5],
    [15 * 60_000, 15],
    [hour, 60],
  ] as const) {
    const buckets = history.buckets(range)
    t.equal(buckets.length, 60)
    const all = buckets.reduce((sum: number, one: { seconds: number }) => sum + one.seconds, 0)
    t.ok(all <= range / 1000 - 4 * 60, 'what is not known is no zero')
    t.ok(buckets.every((one: { seconds: number }) => one.seconds <= seconds))
  }
  const slowest = history
    .buckets(15 * 60_000)
    .find((one: { latency: object | null }) => one.latency !== null)
  t.match(slowest, { latency: { p50: 2, p90: 5, p99: 9 }, sockets: 0 })
  t.strictSame(countReasons(history.buckets(60_000)), [
    ['a', 2],
    ['b', 1],
  ])
})

t.test('what is said of a key', async (t) => {
  const startedAt = now - 31 * hour
  const used = (idle: number | null, changes = {}): object => ({
    kind: 'secret',
    label: '1',
    since: startedAt,
    uses: idle === null ? 0 : 7,
    lastUsed: idle === null ? null : now - idle,
    ...changes,
  })
  const rows = [
    ['the only one', [used(5000)], 0, 'newest secret', 'in use'],
    ['seldom used', [used(3 * hour)], 0, 'newest secret', 'last used 3 h ago'],
    ['nobody yet', [used(null)], 0, 'newest secret', 'not used since the gateway started 31 h ago'],
    [
      'a new one, while the old one is used',
      [used(null, { since: now - 600_000 }), used(5000)],
      0,
      'newest secret',
      'not used since it was added 10 min ago: links are still signed with an older one',
    ],
    ['an old one in use', [used(0), used(5000)], 1, 'previous secret', 'still in use'],
    [
      'an old one that was used today',
      [used(0), used(23 * hour)],
      1,
      'previous secret',
      'last used 23 h ago: too early to remove it',
    ],
    [
      'an old one that was used yesterday',
      [used(0), used(26 * hour)],
      1,
      'previous secret',
      'last used 26 h ago: safe to remove, unless sessions last longer',
    ],
    [
      'an old one in whose place nothing is used',
      [used(null), used(26 * hour)],
      1,
      'previous secret',
      'last used 26 h ago: keep it',
    ],
    [
      'an old one that was never used, for long',
      [used(0), used(null)],
      1,
      'previous secret',
      'not used since the gateway started 31 h ago: safe to remove, unless sessions last longer',
    ],
    [
      'an old one that was never used, for a short time',
      [used(0), used(null, { since: now - hour })],
      1,
      'previous secret',
      'not used since it was added 1 h ago: too early to remove it',
    ],
    ['a third', [used(0), used(0), used(0, { label: '3' })], 2, 'secret 3', 'still in use'],
    [
      'a public key',
      [used(0), used(26 * hour, { kind: 'public key', label: 'k1' })],
      1,
      'public key k1',
      'last used 26 h ago',
    ],
  ] as const
  for (const [name, keys, index, label, verdict] of rows) {
    const said = describeKey(keys[index], index, keys, { now, startedAt })
    t.match(said, { name: label, verdict: verdict }, name)
  }
})

const fine = {
  now,
  draining: false,
  hanging: false,
  ready: true,
  enforcement: 'enforce',
  upstreams: [{ name: 'workspace', origin: 'https://w', up: true, since: now, error: null }],
  redis: null,
  reload: { time: now, ok: true, problems: [] },
  certificate: { expires: now + 60 * day },
  contactCenters: [{ name: 'A', enforcement: 'enforce', jwks: null }],
  warnings: [],
}

t.test('what is wrong is said, worst first', async (t) => {
  t.strictSame(notices(fine), [])
  const report = { name: 'B', enforcement: 'report', jwks: null }
  const rows = [
    [{ draining: true }, 'bad', /^Draining/],
    [{ hanging: true }, 'bad', /^No worker answers/],
    [
      { upstreams: [{ ...fine.upstreams[0], up: false, error: 'ECONNREFUSED' }] },
      'bad',
      /^The workspace https:\/\/w cannot be reached since .* \(ECONNREFUSED\)\.$/,
    ],
    [
      { upstreams: [{ ...fine.upstreams[0], up: false, since: null }] },
      'bad',
      /cannot be reached\.$/,
    ],
    [{ redis: { up: false, since: now } }, 'bad', /^Redis cannot be reached since /],
    [{ certificate: { expires: now - 2 * hour } }, 'bad', /ended 2 h ago/],
    [{ certificate: { expires: now + 2 * day } }, 'bad', /ends in 2 days/],
    [{ certificate: { expires: now + 5 * day } }, 'doubtful', /ends in 5 days/],
    [{ reload: { time: now, ok: false, problems: ['P'] } }, 'doubtful', /reload .* failed/],
    [{ contactCenters: [report] }, 'doubtful', /^1 contact center only reports: B\.$/],
    [
      { contactCenters: Array.from({ length: 7 }, () => report) },
      'doubtful',
      /^7 contact centers only report: B, B, B, B, B and 2 more\.$/,
    ],
    [
      { contactCenters: [{ ...report, enforcement: '', jwks: { up: false, lastSuccess: null } }] },
      'bad',
      /^The public keys of B cannot be fetched \(never yet\)\.$/,
    ],
    [{ enforcement: 'report' }, 'doubtful', /^What belongs to no contact center/],
    [{ warnings: ['W'] }, 'note', /^1 setting to look at/],
  ] as const
  for (const [change, level, text] of rows) {
    const [only, ...others] = notices({ ...fine, ...change })
    t.match(only, { level, text })
    t.strictSame(others, [])
  }
  const all = notices(Object.assign({}, fine, ...rows.map(([change]) => change)))
  const levels = all.map(({ level }: { level: string }) => level)
  t.strictSame(levels, [...levels].sort())
})

t.test('the state is one sentence', async (t) => {
  const minute = { allowed: 717, refused: 3, reported: 0, seconds: 60, sockets: 231 }
  const rows = [
    [{}, {}, 'Ready. 12 requests/s, 0.4 % refused, 231 sockets open.'],
    [{}, { refused: 0, sockets: 1 }, 'Ready. 12 requests/s, 0 % refused, 1 socket open.'],
    [{}, { allowed: 0, refused: 0 }, 'Ready. No requests in the last minute, 231 sockets open.'],
    [{}, { seconds: 0 }, 'Ready. No figures yet.'],
    [{ ready: false }, { seconds: 0 }, 'Not ready. No figures yet.'],
    [{ draining: true }, { seconds: 0 }, 'Draining. No figures yet.'],
  ] as const
  for (const [status, change, expected] of rows) {
    const said = sentence({ ...fine, ...status }, { ...minute, ...change })
    t.equal(said.replaceAll('\u00a0', ' '), expected)
  }
})

t.test('figures are short', async (t) => {
  const { duration, latency, percent, rate } = words
  t.strictSame([0.04, 0.26, 1.26, 12.6, 12_345].map(rate), ['0.04', '0.3', '1.3', '13', '12,345'])
  t.strictSame([4.25, 212.4, 1234].map(latency), ['4.3 ms', '212 ms', '1.23 s'])
  t.strictSame([59_999, 60_000, 47 * hour, 2 * day].map(duration), [
    '59 s',
    '1 min',
    '47 h',
    '2 days',
  ])
  t.strictSame([percent(1, 100_000), percent(1, 3)], ['under 0.1\u00a0%', '33\u00a0%'])
})
