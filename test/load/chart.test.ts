import t from 'tap'
import {
  type Axis,
  barChart,
  linearAxis,
  lineChart,
  logAxis,
  percentileAxis,
  timeAxis,
} from '../../src/load/chart.ts'

t.test('axes have round ticks, few of them, and hold all values', async (t) => {
  const rows: readonly (readonly [string, Axis, string, readonly number[]])[] = [
    ['from 0', linearAxis(0, String), '0 1', [0]],
    ['of one', linearAxis(1, String), '0 1', [0, 1]],
    ['up to a tick', linearAxis(200, String), '0 50 100 150 200', [0, 200]],
    ['past a tick', linearAxis(201, String), '0 100 200 300', [0, 201]],
    ['of fractions', linearAxis(2.5, String), '0 1 2 3', [2.5]],
    ['of millions', linearAxis(4.2e6, String), '0 2000000 4000000 6000000', [4.2e6]],
    ['time, none', timeAxis(0, String), '0 1', [0]],
    ['time, a minute', timeAxis(60, String), '0 15 30 45 60', [1, 60]],
    ['time, an odd one', timeAxis(61, String), '0 15 30 45 60', [61]],
    ['time, hours', timeAxis(18_000, String), '0 3600 7200 10800 14400 18000', [18_000]],
    ['time, days', timeAxis(700_000, String), '0 172800 345600 518400 691200', [700_000]],
    ['logarithmic', logAxis([1.5, 40], String), '1 2 5 10 20 50', [1.5, 40]],
    ['between ticks', logAxis([1, 10], String), '1 2 5 10', [1, 10]],
    ['below 1', logAxis([0.003, 0.04], String), '0.002 0.005 0.01 0.02 0.05', [0.003, 0.04]],
    ['many decades', logAxis([0.5, 70_000], String), '1 10 100 1000 10000 100000', [0.5, 70_000]],
    ['one value', logAxis([7, 7], String), '5 10 20 50', [7]],
    ['nothing above 0', logAxis([0], String), '1 2 5 10', [0]],
    ['nothing at all', logAxis([], String), '1 2 5 10', []],
    ['0 and more', logAxis([0, 3, 30], String), '2 5 10 20 50', [0, 3, 30]],
    ['percentiles', percentileAxis(99.999), '0 90 99 99.9 99.99 99.999', [0, 50, 99.999]],
    ['few percentiles', percentileAxis(99), '0 90 99', [0, 50, 99]],
    ['one percentile', percentileAxis(0), '0 90', [0]],
    ['all', percentileAxis(100), '0 90 99 99.9 99.99 99.999 99.9999 99.99999', [100]],
  ]
  for (const [name, axis, ticks, values] of rows) {
    t.equal(axis.ticks.map(({ label }) => label).join(' '), ticks, name)
    const places = axis.ticks.map(({ value }) => axis.place(value))
    t.strictSame(
      places,
      places.toSorted((a, b) => a - b),
      `${name}, in order`,
    )
    for (const place of [...places, ...values.map(axis.place)]) {
      if (!(place >= 0 && place <= 1 + 1e-9)) t.fail(`${name}: ${place}`)
    }
  }
  const { place } = percentileAxis(99.9)
  const [none, ninety, more] = [0, 90, 99].map(place)
  t.equal(none, 0)
  t.equal(((ninety ?? 0) * 2).toFixed(9), more?.toFixed(9), 'each nine is as far from the next')
})

t.test('a line ends at a gap, and what stands alone is seen', async (t) => {
  const axis = linearAxis(4, String)
  const drawn = (ys: readonly (number | null)[]): readonly (string | undefined)[] => {
    const points = ys.map((y, x) => ({ x, y }))
    const svg = lineChart({ id: 'a', title: 'A', x: axis, y: axis, lines: [{ name: 'b', points }] })
    return [/<path class="line-1" d="(.*?)"/.exec(svg)?.[1], /<desc.*?>(.*?)</.exec(svg)?.[1]]
  }
  t.strictSame(drawn([0, 1, 4]), ['M0 1000L250 750L500 0', 'b 0 at first, 4 at most, 4 at last'])
  t.strictSame(drawn([2, 3, null, 1, 1]), [
    'M0 500L250 250M750 750L1000 750',
    'b 2 at first, 3 at most, 1 at last',
  ])
  t.strictSame(drawn([null, 3, null]), ['M250 250m-6 0h12', 'b 3 at first, 3 at most, 3 at last'])
  t.strictSame(drawn([null]), ['', 'b none'])
})

t.test('bars stand beside each other, as long as their share of the longest', async (t) => {
  const svg = barChart({
    id: 'a',
    title: 'A',
    parts: [
      { name: 'b', style: 'bar-1' },
      { name: 'c', style: 'bar-2' },
    ],
    rows: [
      { label: 'one', said: '4', values: [1, 3] },
      { label: 'two', said: '1', values: [0, 1] },
      { label: 'a label that is too long for it', said: '0', values: [0, 0] },
    ],
  })
  t.strictSame(
    [...svg.matchAll(/<rect class="(.*?)" x="(.*?)" width="(.*?)"/g)].map((one) => one.slice(1)),
    [
      ['bar-1', '0%', '25%'],
      ['bar-2', '25%', '75%'],
      ['bar-2', '0%', '25%'],
    ],
  )
  t.match(svg, '<desc id="a-desc">one 4; two 1; a label that is too long for it 0</desc>')
  t.match(svg, '>a label that is too long for…<')
})

t.test('no text is markup', async (t) => {
  const wild = `</title></svg><script>"'&`
  const axis = linearAxis(1, () => wild)
  const [x, y] = [axis, axis]
  const line = lineChart({
    id: 'a',
    title: wild,
    x,
    y,
    lines: [{ name: wild, points: [{ x: 0, y: 0 }] }],
  })
  const rows = [{ label: wild, said: wild, values: [1] }]
  const bars = barChart({ id: 'a', title: wild, parts: [{ name: wild, style: 'bar-1' }], rows })
  for (const svg of [line, bars]) {
    t.notMatch(svg, '<script')
    t.match(svg, '>&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;&quot;&#39;&amp;</title>')
  }
})
