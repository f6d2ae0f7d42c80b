// What the benchmark says of its aims: ratios are taken round by round, and their median decides.
import t from 'tap'
import { judge, judged } from '../../bench/aims.ts'
import type { Turn } from '../../bench/scenarios.ts'
import { ratios, shown, spread } from '../../bench/statistics.ts'

t.test('a spread is the median with both quartiles', async (t) => {
  t.same(spread([5, 1, 4, 2, 3]), { median: 3, lower: 2, upper: 4 })
  t.same(spread([1, 2]), { median: 1.5, lower: 1.25, upper: 1.75 })
  t.equal(spread([]), null)
  t.equal(shown([1, 2], 2), '1.50 (1.25–1.75)')
  t.equal(shown([], 1), '–')
})

t.test('a ratio is of one round, and of none where the other was not measured', async (t) => {
  t.same(ratios([10, 30], [20, 40]), [0.5, 0.75])
  t.same(ratios([10, 30], [20]), [0.5])
  t.same(ratios([10], [0]), [])
})

const rows = [
  { name: 'over the aim', ratio: 1.5, stretch: 1, verdict: 'not met' },
  { name: 'the aim itself', ratio: 1.4, stretch: 1, verdict: 'met' },
  { name: 'the stretch itself', ratio: 1, stretch: 1, verdict: 'met, with the stretch' },
  { name: 'no stretch', ratio: 0.1, stretch: undefined, verdict: 'met' },
]
for (const { name, ratio, stretch, verdict } of rows) {
  t.test(name, async (t) => {
    t.equal(judged('x', [ratio, 0, 9], 1.4, stretch)[0]?.verdict, verdict)
  })
}

t.test('only what was measured on both sides is judged', async (t) => {
  const turn = (cpu: number, upstreamCpu: number): Turn => ({
    cpu,
    upstreamCpu,
    rate: 1,
    latency: null,
    peak: 1,
  })
  t.same(judge(new Map([['page', new Map([['gateway', [turn(1, 1)]]])]])), [])
  const page = new Map([
    ['gateway', [turn(10, 2), turn(10, 2), turn(99, 1)]],
    ['haproxy', [turn(10, 10), turn(20, 4), turn(50, 50)]],
  ] as const)
  t.match(judge(new Map([['page', page]])), [{ ratio: '0.60 (0.55–0.80)', verdict: 'met' }])
})
