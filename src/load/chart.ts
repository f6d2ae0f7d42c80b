/** Where values are on one side of a chart, and what stands beside it. */
export interface Axis {
  /** 0 to 1 */
  place(value: number): number
  readonly ticks: readonly Tick[]
  say(value: number): string
}

interface Tick {
  readonly value: number
  readonly label: string
}

export interface LineChart {
  /** Unique in its document. */
  readonly id: string
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  /** At most as many as the style sheet has colours. `y` null: a gap. */
  readonly lines: readonly {
    readonly name: string
    readonly points: readonly { readonly x: number; readonly y: number | null }[]
  }[]
}

/**
 * A legend and an SVG that is as wide as its place, whose text keeps its size. Colours, dashes and
 * measures are the style sheet's, by class.
 */
export function lineChart({ id, title, x, y, lines }: LineChart): string {
  const legend = lines.map(
    ({ name }, index) =>
      `<span><svg class="swatch" width="28" height="10" aria-hidden="true"><line class="line-${index + 1}" x2="28" y1="5" y2="5"/></svg>${escapeHtml(name)}</span>`,
  )
  const across = y.ticks.map(({ value, label }) => {
    const place = percent(1 - y.place(value))
    return `<line class="grid" x2="100%" y1="${place}" y2="${place}"/><text dx="-8" y="${place}" dy=".32em" text-anchor="end">${escapeHtml(label)}</text>`
  })
  const along = x.ticks.map(
    ({ value, label }) =>
      `<text x="${percent(x.place(value))}" y="100%" dy="1.5em" text-anchor="middle">${escapeHtml(label)}</text>`,
  )
  const paths = lines.map(
    ({ points }, index) => `<path class="line-${index + 1}" d="${path(points, x, y)}"/>`,
  )
  const said = lines.map(({ name, points }) => `${name} ${describe(points, y)}`).join('; ')
  return `<p class="legend">${legend.join('')}</p>
<svg class="plot" role="img" aria-labelledby="${id}-title" aria-describedby="${id}-desc"><title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-desc">${escapeHtml(said)}</desc>
${[...across, ...along].join('\n')}
<svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none">${paths.join('')}</svg>
</svg>`
}

export interface BarChart {
  readonly id: string
  readonly title: string
  /** What the parts of each bar are, each with the class that colours it. */
  readonly parts: readonly { readonly name: string; readonly style: string }[]
  /** `said`: its figures in words. */
  readonly rows: readonly {
    readonly label: string
    readonly said: string
    readonly values: readonly number[]
  }[]
}

const rowHeight = 38
const longestLabel = 28

/** A legend and an SVG of one bar a row, below its label. Long labels are cut. */
export function barChart({ id, title, parts, rows }: BarChart): string {
  const legend = parts.map(
    ({ name, style }) =>
      `<span><svg class="swatch" width="12" height="12" aria-hidden="true"><rect class="${style}" width="12" height="12"/></svg>${escapeHtml(name)}</span>`,
  )
  const most = Math.max(1, ...rows.map(({ values }) => sum(values)))
  const bars = rows.map(({ label, said, values }, index) => {
    const top = index * rowHeight
    const rects = values.map((value, part) =>
      value > 0
        ? `<rect class="${parts[part]?.style}" x="${percent(sum(values.slice(0, part)) / most)}" width="${percent(value / most)}" y="${top + 21}" height="8"/>`
        : '',
    )
    const [short, rest] = [[...label].slice(0, longestLabel), [...label].slice(longestLabel)]
    const shown = `${short.join('')}${rest.length > 0 ? '…' : ''}`
    return `<text class="label" y="${top + 14}">${escapeHtml(shown)}</text><text x="100%" y="${top + 14}" text-anchor="end">${escapeHtml(said)}</text><line class="grid" x2="100%" y1="${top + 29.5}" y2="${top + 29.5}"/>${rects.join('')}`
  })
  const described = rows.map(({ label, said }) => `${label} ${said}`).join('; ')
  return `<p class="legend">${legend.join('')}</p>
<svg class="bars" role="img" height="${rows.length * rowHeight}" aria-labelledby="${id}-title" aria-describedby="${id}-desc"><title id="${id}-title">${escapeHtml(title)}</title><desc id="${id}-desc">${escapeHtml(described)}</desc>
${bars.join('\n')}
</svg>`
}

/** From 0 to a round number, `most` or past it. */
export function linearAxis(most: number, say: (value: number) => string): Axis {
  const step = Math.max(1, round(most / 4, Math.ceil))
  const count = Math.max(1, Math.ceil(most / step))
  const top = count * step
  return {
    place: (value) => value / top,
    ticks: Array.from({ length: count + 1 }, (_, index) => tick(index * step, say)),
    say,
  }
}

const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600] as const

/** From 0 to `last` seconds. */
export function timeAxis(last: number, say: (value: number) => string): Axis {
  const end = Math.max(1, last)
  const step = timeSteps.find((one) => one >= end / 5) ?? Math.ceil(end / 5 / 86_400) * 86_400
  return {
    place: (value) => value / end,
    ticks: Array.from({ length: Math.floor(end / step) + 1 }, (_, index) =>
      tick(index * step, say),
    ),
    say,
  }
}

/** Logarithmic, between round numbers around these; what is not above 0 stands at the bottom. */
export function logAxis(values: readonly number[], say: (value: number) => string): Axis {
  const above = values.filter((value) => value > 0)
  // One by one: an argument each would be too many for long runs.
  const least = above.reduce((one, other) => Math.min(one, other), Number.MAX_VALUE)
  const most = above.reduce((one, other) => Math.max(one, other), 0)
  const low = above.length === 0 ? 1 : round(least, Math.floor)
  const high = Math.max(round(most, Math.ceil), low * 10)
  const ticks: number[] = []
  for (let value = low; value < high * 1.01 && ticks.length < 100; value = next(value)) {
    ticks.push(value)
  }
  const few = ticks.length <= 9 ? ticks : ticks.filter((value) => isPower(value))
  const decades = Math.log10(high / low)
  return {
    place: (value) => (value <= low ? 0 : Math.log10(value / low) / decades),
    ticks: few.map((value) => tick(value, say)),
    say,
  }
}

/** Percentiles, a decade of the rest to 100 each: 0, 90, 99, 99.9 and so on. */
export function percentileAxis(highest: number): Axis {
  const nines = (value: number): number => -Math.log10(1 - Math.min(value, 99.99999) / 100)
  const top = Math.max(1, Math.ceil(nines(highest) - 1e-9))
  const say = (value: number): string => String(Number(value.toFixed(5)))
  return {
    place: (value) => nines(value) / top,
    ticks: Array.from({ length: top + 1 }, (_, index) => tick(100 - 100 / 10 ** index, say)),
    say,
  }
}

const special: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A text as HTML and SVG can hold it, between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (one) => special[one] ?? '')
}

type Points = LineChart['lines'][number]['points']

function path(points: Points, x: Axis, y: Axis): string {
  let pen = 'M'
  const parts = points.map((point, index) => {
    if (point.y === null) {
      pen = 'M'
      return ''
    }
    const at = `${pen}${thousandths(x.place(point.x))} ${thousandths(1 - y.place(point.y))}`
    // A point between gaps would have no length.
    const isAlone = pen === 'M' && (points[index + 1]?.y ?? null) === null
    pen = 'L'
    return isAlone ? `${at}m-6 0h12` : at
  })
  return parts.join('')
}

function describe(points: Points, y: Axis): string {
  const values = points.flatMap((point) => point.y ?? [])
  const [first, last] = [values[0], values.at(-1)]
  if (first === undefined || last === undefined) return 'none'
  const most = values.reduce((one, other) => Math.max(one, other))
  return `${y.say(first)} at first, ${y.say(most)} at most, ${y.say(last)} at last`
}

/** To 1, 2 or 5 of its decade. */
function round(value: number, way: (value: number) => number): number {
  if (value <= 0) return 1
  const decade = 10 ** Math.floor(Math.log10(value))
  const digit = value / decade
  const fits = [1, 2, 5, 10].filter((one) =>
    way === Math.ceil ? one >= digit - 1e-9 : one <= digit + 1e-9,
  )
  const found = way === Math.ceil ? fits[0] : fits.at(-1)
  return tidy((found ?? 1) * decade)
}

function next(value: number): number {
  const digit = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9))
  return tidy(value * (digit === 2 ? 2.5 : 2))
}

function isPower(value: number): boolean {
  return Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9
}

/** Without what binary fractions add. */
function tidy(value: number): number {
  return Number(value.toPrecision(3))
}

function tick(value: number, say: (value: number) => string): Tick {
  return { value, label: say(value) }
}

function thousandths(place: number): number {
  return Math.round(place * 10_000) / 10
}

function percent(place: number): string {
  return `${Math.round(place * 100_000) / 1000}%`
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
