// Horizontal bars as SVG that reads well on light and dark pages.
import { type Spread, spread } from './statistics.ts'

export interface Bar {
  readonly name: string
  readonly figures: readonly number[]
  /** The one that the chart is about. */
  readonly isOwn: boolean
}

const width = 760
const barStart = 320
const barEnd = 640
const top = 58
const row = 30

const style = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .note { font-size: 12px; fill: #59636e }
  .page { fill: #ffffff }
  .bar { fill: #9aa7b4 }
  .own { fill: #0969da }
  .ownName { font-weight: 600 }
  .whisker { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 }
    text { fill: #f0f6fc }
    .note { fill: #9198a1 }
    .bar { fill: #57606a }
    .own { fill: #4493f8 }
    .whisker { stroke: #f0f6fc }
  }`

/** Medians as bars with their value at the end, and whiskers from quartile to quartile. */
export function chart(title: string, note: string, bars: readonly Bar[]): string {
  const rows = bars.flatMap(({ figures, ...bar }) => {
    const measured = spread(figures)
    return measured === null ? [] : [{ ...bar, measured }]
  })
  const most = Math.max(...rows.map(({ measured }) => measured.upper))
  const digits = most < 100 ? 1 : 0
  const worded = (figure: number): string =>
    figure.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const x = (figure: number): number => barStart + (figure / most) * (barEnd - barStart)
  const line = (
    { name, isOwn, measured }: Omit<Bar, 'figures'> & { measured: Spread },
    i: number,
  ): string => {
    const { median, lower, upper } = measured
    const [y, middle] = [top + i * row, top + i * row + 10]
    const tick = (at: number): string =>
      `<path class="whisker" d="M${at.toFixed(1)} ${middle - 4}v8"/>`
    return [
      `<text${isOwn ? ' class="ownName"' : ''} x="${barStart - 10}" y="${middle + 5}" text-anchor="end">${escaped(name)}</text>`,
      `<rect class="${isOwn ? 'own' : 'bar'}" x="${barStart}" y="${y}" width="${(x(median) - barStart).toFixed(1)}" height="20" rx="2"/>`,
      `<path class="whisker" d="M${x(lower).toFixed(1)} ${middle}H${x(upper).toFixed(1)}"/>${tick(x(lower))}${tick(x(upper))}`,
      `<text${isOwn ? ' class="ownName"' : ''} x="${(x(upper) + 8).toFixed(1)}" y="${middle + 5}">${worded(median)}</text>`,
    ].join('\n')
  }
  const height = top + rows.length * row + 4
  const said = rows.map(({ name, measured }) => `${name} ${worded(measured.median)}`)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(`${title}, ${note}: ${said.join('; ')}`)}">
<style>${style}
</style>
<rect class="page" width="${width}" height="${height}"/>
<text class="title" x="10" y="22">${escaped(title)}</text>
<text class="note" x="10" y="42">${escaped(note)}</text>
${rows.map(line).join('\n')}
</svg>
`
}

function escaped(text: string): string {
  const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '"': '&quot;' }
  return text.replaceAll('`', '').replace(/[&<"]/g, (character) => named[character] ?? '')
}
