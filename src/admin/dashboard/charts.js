import { element, write } from './elements.js'
import { chartSection, clock, color, fit, lastRange, plotOptions } from './plot.js'
import { reasonsChart } from './reasons-chart.js'
import UPlot from './uPlot.esm.js'
import { count, latency, rate } from './words.js'

const perSecond = (field) => (bucket) =>
  bucket.seconds === 0 ? null : bucket[field] / bucket.seconds
const percentile = (name) => (bucket) => bucket.latency?.[name] ?? null

/** Lines differ in colour, in dashes, and by their place in the legend. */
const lines = {
  first: { color: '--line-1', dash: [] },
  second: { color: '--line-2', dash: [7, 3] },
  third: { color: '--line-3', dash: [2, 3] },
}

const charts = [
  {
    title: 'Requests per second',
    show: rate,
    series: [
      { label: 'allowed', ...lines.first, of: perSecond('allowed') },
      { label: 'refused', ...lines.second, of: perSecond('refused') },
      { label: 'reported', ...lines.third, of: perSecond('reported') },
    ],
  },
  {
    title: 'Latency',
    note: 'at its slowest',
    show: latency,
    series: [
      { label: 'p50', ...lines.first, of: percentile('p50') },
      { label: 'p90', ...lines.second, of: percentile('p90') },
      { label: 'p99', ...lines.third, of: percentile('p99') },
    ],
  },
  {
    title: 'Open',
    show: count,
    series: [
      { label: 'sockets', ...lines.first, of: ({ sockets }) => sockets },
      { label: 'sessions', ...lines.second, of: ({ sessions }) => sessions },
      { label: 'connections', ...lines.third, of: ({ connections }) => connections },
    ],
  },
]

const clockWithoutSeconds = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' })

/** Fills the element with the charts. `onReason` is called with a reason that was chosen. */
export function createCharts(parent, onReason) {
  const [requests, ...others] = charts.map(lineChart)
  const all = [requests, reasonsChart(onReason), ...others]
  parent.append(...all.map(({ node }) => node))
  const wanted = matchMedia('(prefers-color-scheme: dark)')
  wanted.addEventListener('change', () => {
    for (const chart of all) chart.redraw()
  })
  return {
    draw(buckets, range) {
      for (const chart of all) chart.draw(buckets, range)
    },
  }
}

function lineChart({ title, note, show, series }) {
  const section = chartSection(title, note)
  const host = element('div', { class: 'plot', role: 'img' })
  const values = series.map(() => element('b'))
  const entries = series.map(({ label, color, dash }, index) =>
    element('li', {}, swatch(color, dash), label, ' ', values[index]),
  )
  const when = element('span', { class: 'when' })
  section.picture.append(
    element('ul', { class: 'legend', 'aria-hidden': 'true' }, ...entries, when),
    host,
  )
  let shown = []
  const plot = new UPlot(
    {
      ...plotOptions({
        height: 168,
        axes: [timeAxis(), valueAxis(show)],
        series: series.map(({ label, color: name, dash }) => ({
          label,
          stroke: () => color(name),
          width: 2,
          dash,
          points: { show: false },
        })),
        y: (_, high) => [0, high > 0 ? high * 1.1 : 1],
      }),
      hooks: { setCursor: [writeLegend] },
    },
    [[], ...series.map(() => [])],
    host,
  )
  fit(plot, host)

  function writeLegend({ cursor: { idx } }) {
    const pointed = typeof idx === 'number' ? shown[idx] : undefined
    const bucket = pointed ?? shown.at(-1)
    if (bucket === undefined) return
    for (const [index, { of }] of series.entries()) {
      const value = of(bucket)
      write(values[index], value === null ? 'none' : show(value))
    }
    write(when, pointed === undefined ? '' : clock.format(pointed.time))
  }

  return {
    node: section.node,
    redraw: () => plot.redraw(false),
    draw(buckets, range) {
      shown = buckets
      const columns = series.map(({ of }) => buckets.map(of))
      plot.setData([buckets.map(({ time }) => time), ...columns])
      writeLegend(plot)
      const parts = series.map(({ label }, index) => summary(label, columns[index], show))
      host.setAttribute('aria-label', `${title} over ${lastRange(range)}: ${parts.join('; ')}.`)
      section.fillTable(
        series.map(({ label, of }) => ({
          label,
          text: (bucket) => (of(bucket) === null ? 'none' : show(of(bucket))),
        })),
        buckets,
      )
    },
  }
}

function summary(label, column, show) {
  const known = column.filter((value) => value !== null)
  if (known.length === 0) return `${label} none`
  const now = column.at(-1)
  return `${label} ${now === null ? 'none' : show(now)} now, ${show(Math.max(...known))} at most`
}

function timeAxis() {
  return {
    stroke: () => color('--quiet'),
    font: '12px system-ui, sans-serif',
    grid: { show: false },
    ticks: { stroke: () => color('--line'), width: 1, size: 4 },
    border: { show: true, stroke: () => color('--line'), width: 1 },
    size: 26,
    space: 70,
    values: (_, splits) => splits.map((ms) => clockWithoutSeconds.format(ms)),
    incrs: [60_000, 300_000, 600_000, 900_000],
  }
}

function valueAxis(show) {
  return {
    stroke: () => color('--quiet'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: () => color('--line'), width: 1 },
    ticks: { show: false },
    size: (_, values) => 14 + 7 * Math.max(2, ...(values ?? []).map((text) => text.length)),
    space: 26,
    values: (_, splits) => splits.map((value) => show(value)),
  }
}

/** The line as it is drawn. */
function swatch(name, dash) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const line = document.createElementNS(svg.namespaceURI, 'line')
  for (const [attribute, value] of Object.entries({ x1: 0, x2: 26, y1: 5, y2: 5 })) {
    line.setAttribute(attribute, value)
  }
  line.setAttribute('class', `swatch ${name.slice(2)}`)
  if (dash.length > 0) line.setAttribute('stroke-dasharray', dash.join(' '))
  svg.setAttribute('width', '26')
  svg.setAttribute('height', '10')
  svg.append(line)
  return svg
}
