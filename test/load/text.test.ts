import t from 'tap'
import type { Results } from '../../src/load/results.ts'
import { presentText } from '../../src/load/text.ts'
import { judge, parseThresholds } from '../../src/load/thresholds.ts'
import { measured, resultsOf, saying } from './results.ts'

function present(results: Results): string {
  const thresholds = parseThresholds({ p99: '20ms', errors: '0.1%' })
  return presentText(results, judge(results, 'problems' in thresholds ? [] : thresholds))
}

t.test('a run is told whole', async (t) => {
  const results = resultsOf({
    failing: (at) => (at === 12 ? 0.02 : 0),
    changes: {
      failures: { ECONNRESET: 1, 'status 502': 3 },
      sockets: { opened: 600, peak: 240, lost: { '1006': 1, '1012 draining': 2 } },
    },
  })
  t.equal(
    present(results),
    `Load on http://127.0.0.1:8080
Copilot Gateway 0.1.0, started 2026-11-20T08:00:00.000Z.
Ran for 1 min.
12,000 steps, 200 per second; 4 failed (0.03 %).
Half were answered within 1.6 ms, 99 of 100 within 9.6 ms, the slowest in 64 ms.
600 sockets opened, 240 at once at most; 3 closed by the other side.
1 step failed with ECONNRESET: something cut the connection: where the port
speaks TLS write https://, else look at its log.

Thresholds
  Threshold          Limit          Found                 Result
  ran to its end     yes            yes                   met
  steps answered     at least 1     11,996 of 12,000      met
  steps failed       at most 0.1 %  4 of 12,000 (0.03 %)  met
  attacks let in     none           0 of 600              met
  attacks undecided  at most 0.1 %  0 of 600 (0 %)        met
  p99 latency        at most 20 ms  9.6 ms                met

Latency by kind of step, in ms
  Step             Count  Failed   p50   p90  p99  p99.9   max
  document           600       0   1.6   3.2  9.6     24    64
  asset            4,800       2   1.6   3.2  9.6     24    64
  socket             600       0   1.6   3.2  9.6     24    64
  join               600       0   1.6   3.2  9.6     24    64
  message          5,400       2   1.6   3.2  9.6     24    64
  attack             600       0  1.07  2.13  6.4     16  42.7
  all but attack  12,000       4   1.6   3.2  9.6     24    64
  Latency counts from when a step was due. A socket is open with the answer to
  its socket.io CONNECT, a join ends with its acknowledgement, a message with
  the pong of a ping behind it, an attack with its refusal. A socket that is
  lost is a failed step more.

Statuses of answers
  Status  Agents  Attackers
  101        600          0
  200      5,398          0
  401          0        360
  403          0        240

Why steps failed
  Steps  Cause
      3  status 502
      1  ECONNRESET

Attacks
  What is wrong                     Reason it deserves  Sent  Rate-limited  Undecided  Let in
  an expired token                  token-expired        120             0          0       0
  a token of another secret         token-invalid        120             0          0       0
  no token                          token-missing        120             0          0       0
  another user than the token’s     claim-mismatch       120             0          0       0
  another session than the token’s  claim-mismatch       120             0          0       0
  The reason is what the gateway ought to log; seen from here are statuses and
  close codes. Undecided had no answer, or another one than it deserves.

Sockets closed by the other side
  Sockets  Code and reason
        2  1012 draining
        1  1006

Lag of this machine
  Percentile  Lag, ms
  p50          0.0167
  p90          0.0333
  p99             0.1
  p99.9          0.25
  max           0.667
  How late the machine that made the load began its steps.

What was asked for
  Option     Value
  duration   60 s
  arrivals   200 steps per second
  attackers  5 % of arrivals

Passed: all 6 thresholds are met.
`,
  )
})

t.test('where there is nothing, that is said', async (t) => {
  const rows: readonly (readonly [string, Results, readonly RegExp[]])[] = [
    [
      'an empty run',
      resultsOf({ seconds: 0 }),
      [
        /^Ran for 0 ms\.\n0 steps; 0 failed\.\nNo step was answered\.\n0 sockets opened/m,
        /^ {2}all but attack +0 +0( +–){5}$/m,
        /There was no answer\.[\s\S]*No step failed\.[\s\S]*No attack was sent\.[\s\S]*No socket was lost\.[\s\S]*It was not measured\./,
        /^Failed: 3 of 6 thresholds are not met \(steps answered, steps failed, p99\nlatency\)\.\n$/m,
      ],
    ],
    [
      'one that failed',
      resultsOf({ failing: () => 1 }),
      [/12,000 failed \(100 %\)\.\nNo step was answered\./, /^ {2}12,000 {2}ECONNREFUSED$/m],
    ],
    [
      'one that was ended',
      resultsOf({ seconds: 5000, changes: { interrupted: true } }),
      [/^Ran for 1 h 23 min 20 s, ended before its time\.$/m],
    ],
  ]
  for (const [name, results, patterns] of rows) {
    const text = present(results)
    for (const pattern of patterns) t.match(text, pattern, name)
    t.notMatch(text, /NaN|Infinity|undefined|null|\[object/, name)
  }
})

t.test('it warns where this machine was too slow itself', async (t) => {
  const late = (p99: number, latency: number | null): Results => {
    const lag = measured(100, 0, p99 / 6).latency
    const total = measured(100, latency === null ? 100 : 0, (latency ?? 0) / 6)
    return { ...resultsOf(), lag: lag && { ...lag, p99 }, total }
  }
  const rows: readonly (readonly [string, Results, string | null])[] = [
    ['no lag', late(0, 12), null],
    ['a timer’s', late(1, 2), null],
    ['past a timer’s', late(1.5, 12), '1.5 ms late or more, .* limit is 1.2 ms'],
    ['a tenth', late(10, 100), null],
    ['more than a tenth', late(10.5, 100), '10.5 ms late or more, .* limit is 10 ms'],
    ['nothing was answered', late(2, null), null],
    ['none measured', { ...resultsOf(), lag: null }, null],
  ]
  for (const [name, results, pattern] of rows) {
    const text = present(results).replaceAll('\n', ' ')
    if (pattern === null) t.notMatch(text, 'doubtful', name)
    else t.match(text, new RegExp(`figures are doubtful: .* ${pattern} `), name)
  }
})

t.test('what went wrong is told with what to do, above the tables', async (t) => {
  const down = resultsOf({ failing: () => 1 })
  const limited = { agents: { 429: 1000 }, attackers: { 429: 1 } }
  const rows: readonly (readonly [string, Results, string | null])[] = [
    [
      'nobody there',
      down,
      '12,000 steps failed with ECONNREFUSED: nothing listens at http://127.0.0.1:8080: start the gateway, or correct host and port.',
    ],
    ['no words for it', { ...down, failures: { others: 9 } }, null],
    [
      'refused too often',
      { ...down, statuses: limited, failures: { 429: 1000 } },
      '1,001 requests got 429 before anyone looked at what was asked: raise RATE_LIMIT for the test.',
    ],
    ['an empty run', resultsOf({ seconds: 0 }), null],
  ]
  for (const [name, results, expected] of rows) {
    const [, said = ''] = present(results).split(/closed by the other\sside\./)
    const [first = ''] = said.trim().split('\n\n')
    if (expected === null) t.match(first, /^Thresholds/, name)
    else t.equal(first.replaceAll('\n', ' '), expected, name)
  }
})

t.test('what is frequent comes first, and what is rare is summed up', async (t) => {
  const failures = Object.fromEntries(
    Array.from({ length: 60 }, (_, index) => [`cause-${index}`, index + 1]),
  )
  const lines = present(resultsOf({ changes: { failures } })).split('\n')
  const first = lines.indexOf('  Steps  Cause') + 1
  t.equal(lines[first], '     60  cause-59')
  t.equal(lines[first + 50], '     55  10 others')
  t.equal(lines[first + 51], '')
})

t.test(
  'nothing that the other side said acts on a terminal, and a line of it is cut',
  async (t) => {
    const wild = '\u001b[2J\u009b31m\u202e\u2028\u0007\n\ud800'
    const long = 'word '.repeat(100)
    const results = saying(wild)
    const text = present({ ...results, failures: { ...results.failures, [long]: 2, '': 3 } })
    t.notMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    t.match(text, '\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{2028}\\u{7}\\u{a}')
    t.match(text, /^ {6}3 {2}\(none\)\n {6}2 {2}word .* word(?:\n {9}word .*)+…\n {6}1 {2}\\u/m)
  },
)

t.test('what stands out does by style alone', async (t) => {
  const results = resultsOf({ lag: 5 })
  for (const judged of [judge(results, []), judge(resultsOf({ seconds: 0 }), [])]) {
    const styles = new Set<string>()
    const painted = presentText(results, judged, (style, text) => {
      styles.add(style)
      return `<${style}>${text}</>`
    })
    t.equal(painted.replaceAll(/<\w*>|<\/>/g, ''), presentText(results, judged))
    const passed = judged.every((one) => one.passed)
    t.strictSame([...styles].sort(), ['bold', 'dim', passed ? 'green' : 'red', 'yellow'].sort())
  }
})
