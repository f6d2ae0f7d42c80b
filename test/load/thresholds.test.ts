import t from 'tap'
import type { Results } from '../../src/load/results.ts'
import { judge, parseThresholds, type ThresholdFlags } from '../../src/load/thresholds.ts'
import { sentence } from '../../src/settings/reader.ts'
import { resultsOf } from './results.ts'

const base = resultsOf()

/** What the run is held to, with these flags and changes, by name. */
function judged(flags: ThresholdFlags, results: Results = base) {
  const thresholds = parseThresholds(flags)
  if ('problems' in thresholds) throw new Error(thresholds.problems.map(sentence).join())
  return judge(results, thresholds).map(({ name, limit, found, passed }) => [
    name,
    limit,
    found,
    passed,
  ])
}

t.test('each flag is a limit, whose value itself is within it', async (t) => {
  const total = {
    count: 10_000,
    failed: 10,
    latency: { min: 1, mean: 4, p50: 3, p90: 20.25, p99: 50, p999: 1500, max: 2000 },
  }
  const rows: readonly (readonly [ThresholdFlags, readonly unknown[]])[] = [
    [{ p50: '3ms' }, ['p50 latency', 'at most 3 ms', '3 ms', true]],
    [{ p90: '20ms' }, ['p90 latency', 'at most 20 ms', '20.25 ms', false]],
    [{ p99: '0.05s' }, ['p99 latency', 'at most 50 ms', '50 ms', true]],
    [{ p99: '49ms' }, ['p99 latency', 'at most 49 ms', '50 ms', false]],
    [{ p999: '1.5s' }, ['p99.9 latency', 'at most 1,500 ms', '1,500 ms', true]],
    [{ p999: '1s' }, ['p99.9 latency', 'at most 1,000 ms', '1,500 ms', false]],
    [{ errors: '0.1%' }, ['steps failed', 'at most 0.1 %', '10 of 10,000 (0.10 %)', true]],
    [{ errors: '0.0999%' }, ['steps failed', 'at most 0.0999 %', '10 of 10,000 (0.10 %)', false]],
    [{ errors: '0%' }, ['steps failed', 'none', '10 of 10,000 (0.10 %)', false]],
    [{ errors: '100%' }, ['steps failed', 'at most 100 %', '10 of 10,000 (0.10 %)', true]],
  ]
  for (const [flags, expected] of rows) {
    const at = 'errors' in flags ? 2 : 5
    t.strictSame(judged(flags, { ...base, total })[at], expected, JSON.stringify(flags))
  }
})

t.test('all that is asked for is held to, and nothing else', async (t) => {
  t.strictSame(
    judged({ errors: '1%', p999: '1s', p50: '1s', p99: undefined }).map(([name]) => name),
    [
      'ran to its end',
      'steps answered',
      'steps failed',
      'attacks let in',
      'attacks undecided',
      'p50 latency',
      'p99.9 latency',
    ],
  )
})

t.test(
  'without a flag, a run ends as planned, no step fails, and attacks are refused',
  async (t) => {
    const [first, ...attacks] = base.attacks
    const good = {
      'ran to its end': ['yes', true],
      'steps answered': ['12,000 of 12,000', true],
      'steps failed': ['0 of 12,000 (0 %)', true],
      'attacks let in': ['0 of 600', true],
      'attacks undecided': ['0 of 600 (0 %)', true],
    }
    const rows: readonly (readonly [
      string,
      Results,
      Readonly<Record<string, readonly unknown[]>>,
    ])[] = [
      ['as it should be', base, {}],
      ['ended early', { ...base, interrupted: true }, { 'ran to its end': ['no', false] }],
      [
        'no attacks',
        { ...base, attacks: [] },
        { 'attacks let in': ['0 of 0', true], 'attacks undecided': ['0 of 0', true] },
      ],
      [
        'no step',
        resultsOf({ seconds: 0 }),
        {
          'steps answered': ['0 of 0', false],
          'steps failed': ['0 of 0', false],
          'attacks let in': ['0 of 0', true],
          'attacks undecided': ['0 of 0', true],
        },
      ],
      [
        'one step failed',
        { ...base, total: { ...base.total, failed: 1 } },
        {
          'steps answered': ['11,999 of 12,000', true],
          'steps failed': ['1 of 12,000 (0.01 %)', false],
        },
      ],
      [
        'all failed, each in its time',
        { ...base, total: { ...base.total, failed: base.total.count } },
        {
          'steps answered': ['0 of 12,000', false],
          'steps failed': ['12,000 of 12,000 (100 %)', false],
        },
      ],
      [
        'steps without a latency',
        { ...base, total: { ...base.total, latency: null } },
        { 'steps answered': ['12,000 of 12,000', false] },
      ],
      [
        'one attack without an answer',
        first ? { ...base, attacks: [...attacks, { ...first, undecided: 1 }] } : base,
        { 'attacks undecided': ['1 of 600 (0.17 %)', false] },
      ],
      [
        'no attack of a kind answered',
        first ? { ...base, attacks: [...attacks, { ...first, refused: 0, undecided: 120 }] } : base,
        {
          'attacks let in': ['0 of 600, and of 1 kind nothing is known', false],
          'attacks undecided': ['120 of 600 (20.0 %)', false],
        },
      ],
      [
        'nobody looked at an attack of a kind',
        first
          ? { ...base, attacks: [...attacks, { ...first, refused: 0, rateLimited: 120 }] }
          : base,
        { 'attacks let in': ['0 of 600, and of 1 kind nothing is known', false] },
      ],
      [
        'one attack let in',
        first ? { ...base, attacks: [...attacks, { ...first, letIn: 1 }] } : base,
        { 'attacks let in': ['1 of 600', false] },
      ],
    ]
    for (const [name, results, changes] of rows) {
      t.strictSame(
        Object.fromEntries(judged({}, results).map(([name, , ...found]) => [name, found])),
        { ...good, ...changes },
        name,
      )
    }
  },
)

t.test('--errors allows attacks without an answer, but not of a whole kind', async (t) => {
  const [first, ...attacks] = base.attacks
  const rows = [
    [119, [true, true]],
    [120, [false, true]],
  ] as const
  for (const [undecided, expected] of rows) {
    const refused = 120 - undecided
    const results = first
      ? { ...base, attacks: [...attacks, { ...first, refused, undecided }] }
      : base
    t.strictSame(
      judged({ errors: '20%' }, results)
        .slice(3)
        .map(([, , , passed]) => passed),
      expected,
      String(undecided),
    )
  }
})

t.test('what was not measured passes no threshold', async (t) => {
  const flags = { p50: '1d', p90: '1d', p99: '1d', p999: '1d', errors: '100%' }
  t.strictSame(
    judged(flags, resultsOf({ seconds: 0 }))
      .filter(([, , , passed]) => !passed)
      .slice(2),
    [
      ['p50 latency', 'at most 86,400,000 ms', 'no latency', false],
      ['p90 latency', 'at most 86,400,000 ms', 'no latency', false],
      ['p99 latency', 'at most 86,400,000 ms', 'no latency', false],
      ['p99.9 latency', 'at most 86,400,000 ms', 'no latency', false],
    ],
  )
})

t.test('what is no limit is said, with its flag, of all flags', async (t) => {
  const share = '--errors must be a share of all steps from 0% to 100%, such as 0.1%'
  const wholes = '--p999 must be whole milliseconds'
  const unit = 'must be a number and ms, s, m, h or d, such as 90s or 1.5h'
  const rows: readonly (readonly [ThresholdFlags, ...string[]])[] = [
    [{ p50: '50' }, `--p50 ${unit}`],
    [{ p90: '' }, `--p90 ${unit}`],
    [{ p99: '-5ms' }, `--p99 ${unit}`],
    [{ p999: '0ms' }, '--p999 must be 1ms or more'],
    [{ p99: '0.5ms' }, '--p99 must be whole milliseconds'],
    [{ p99: '1.4ms' }, '--p99 must be whole milliseconds'],
    [{ errors: '0.1' }, share],
    [{ errors: '100.1%' }, share],
    [{ errors: '-1%' }, share],
    [{ errors: '%' }, share],
    [{ errors: '1e1%' }, share],
    [{ errors: '' }, share],
    [{ p50: '5ms', p99: '50', p999: '0.5ms', errors: '1' }, `--p99 ${unit}`, wholes, share],
  ]
  for (const [flags, ...sentences] of rows) {
    const limits = parseThresholds(flags)
    t.strictSame(
      'problems' in limits && limits.problems.map(sentence),
      sentences,
      JSON.stringify(flags),
    )
  }
})
