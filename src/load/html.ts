import { createHash } from 'node:crypto'
import { number, printable } from '../report/words.ts'
import {
  barChart,
  escapeHtml,
  linearAxis,
  lineChart,
  logAxis,
  percentileAxis,
  timeAxis,
} from './chart.ts'
import { style } from './html-style.ts'
import type { Results } from './results.ts'
import { type Span, spansOf } from './spans.ts'
import {
  countStatuses,
  noAnswer,
  noSecond,
  percentileTable,
  spanTable,
  summary,
  type Table,
  tables,
  verdict,
} from './tables.ts'
import type { Judged } from './thresholds.ts'
import { doubt, figure, milliseconds, span } from './words.ts'

/** The report as one page that asks for nothing else and runs no script. */
export function presentHtml(results: Results, judged: readonly Judged[]): string {
  const { thresholds, kinds, statuses, failures, attacks, lost, lag, plan } = tables(
    results,
    judged,
  )
  const spans = spansOf(results.seconds)
  const length = spans[0]?.seconds ?? 1
  const slowest = length === 1 ? 'of each second' : `slowest of every ${length} seconds`
  const target = escapeHtml(printable(results.target))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${csp}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Load on ${target}</title>
<style>${style}</style>
</head>
<body>
<header><h1>Copilot Gateway <span>${escapeHtml(printable(results.version))}</span></h1><p>Load on ${target}, started ${escapeHtml(printable(results.started))}</p></header>
<main>
${state(results, judged, thresholds)}
<div class="sections">
${section('Latency', `${slowest}, logarithmic`, latencyChart(spans))}
${section('Percentiles', 'of all steps, logarithmic', percentileChart(results) + folded('Percentiles as a table', percentileTable(results)))}
${section('Steps', 'per second', rateChart(spans))}
${section('Open', 'agents and sockets', openChart(spans))}
${section('Statuses', 'of answers', statusChart(results) + tableHtml(statuses))}
${section('Attacks', 'by the reason they deserve', attackChart(results) + tableHtml(attacks))}
${section(kinds.title, null, tableHtml(kinds), 'whole')}
${section(failures.title, null, tableHtml(failures))}
${section(lost.title, null, tableHtml(lost))}
${section(plan.title, null, tableHtml(plan))}
${section(lag.title, null, tableHtml(lag))}
${section('Over time', 'all that the charts show', folded('Over time as a table', spanTable(spans)), 'whole')}
</div>
</main>
</body>
</html>
`
}

const csp = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

function state(results: Results, judged: readonly Judged[], thresholds: Table): string {
  const warning = doubt(results)
  const note =
    warning === null ? '' : `\n<p class="doubtful"><b>▲ Note:</b> ${escapeHtml(warning)}</p>`
  const passed = judged.every((one) => one.passed)
  return `<section id="state" class="${passed ? 'good' : 'bad'}">
<h2>${escapeHtml(verdict(judged))}</h2>${note}
<p>${summary(results).map(escapeHtml).join('<br>')}</p>
${tableHtml(thresholds)}
</section>`
}

function section(title: string, note: string | null, html: string, style = 'chart'): string {
  const said = note === null ? '' : ` <span>${escapeHtml(note)}</span>`
  return `<section class="${style}"><h2>${escapeHtml(title)}${said}</h2>
${html}
</section>`
}

function folded(title: string, table: Table): string {
  if (table.rows.length === 0) return tableHtml(table)
  return `<details><summary>${escapeHtml(title)}</summary>
<div class="scroller" role="region" tabindex="0" aria-label="${escapeHtml(title)}">${tableHtml(table)}</div></details>`
}

const marks = new Map([
  ['met', 'good'],
  ['not met', 'bad'],
])

/** A table whose rows become blocks in a narrow window, where it has many columns. */
function tableHtml({ columns, rows, none, note }: Table): string {
  if (rows.length === 0) return `<p class="empty">${escapeHtml(none)}</p>`
  const heads = columns.map(
    ({ name, isNumber }) =>
      `<th scope="col"${isNumber ? ' class="number"' : ''}>${escapeHtml(name)}</th>`,
  )
  const key = Math.max(
    0,
    columns.findIndex(({ isNumber }) => !isNumber),
  )
  const lines = rows.map((row) => {
    const cells = columns.map(({ name, isNumber }, index) => {
      const text = row[index] ?? ''
      const tag = index === key ? 'th scope="row"' : 'td'
      const mark = isNumber ? 'number' : (marks.get(text) ?? '')
      return `<${tag} class="${mark}" data-label="${escapeHtml(name)}">${escapeHtml(text)}</${tag.slice(0, 2)}>`
    })
    return `<tr>${cells.join('')}</tr>`
  })
  const said = note === null ? '' : `\n<p class="note">${escapeHtml(note)}</p>`
  return `<table${columns.length > 3 ? ' class="wide"' : ''}><thead><tr>${heads.join('')}</tr></thead><tbody>
${lines.join('\n')}
</tbody></table>${said}`
}

function latencyChart(spans: readonly Span[]): string {
  const lines = (['p50', 'p99', 'max'] as const).map((name) => ({
    name,
    points: spans.map(({ at, latency }) => ({ x: at, y: latency?.[name] ?? null })),
  }))
  const values = lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []))
  if (values.length === 0) return empty(noAnswer)
  return lineChart({
    id: 'latency',
    title: 'Latency over time',
    x: time(spans),
    y: logAxis(values, milliseconds),
    lines,
  })
}

function percentileChart({ percentiles }: Results): string {
  const points = percentiles
    .filter(({ percentile }) => percentile < 100)
    .map(({ percentile, latency }) => ({ x: percentile, y: latency }))
  if (points.length === 0) return ''
  return lineChart({
    id: 'percentiles',
    title: 'Latency by percentile',
    x: percentileAxis(Math.max(...points.map(({ x }) => x))),
    y: logAxis(
      points.map(({ y }) => y),
      milliseconds,
    ),
    lines: [{ name: 'latency', points }],
  })
}

function rateChart(spans: readonly Span[]): string {
  const lines = [
    { name: 'all', of: ({ count }: Span) => count },
    { name: 'failed', of: ({ failed }: Span) => failed },
  ].map(({ name, of }) => ({
    name,
    points: spans.map((span) => ({ x: span.at, y: of(span) / span.seconds })),
  }))
  return counts('rate', 'Steps per second', spans, lines)
}

function openChart(spans: readonly Span[]): string {
  const lines = (['agents', 'sockets'] as const).map((name) => ({
    name,
    points: spans.map((span) => ({ x: span.at, y: span[name] })),
  }))
  return counts('open', 'Agents and open sockets', spans, lines)
}

function counts(
  id: string,
  title: string,
  spans: readonly Span[],
  lines: readonly { name: string; points: readonly { x: number; y: number }[] }[],
): string {
  if (spans.length === 0) return empty(noSecond)
  const most = Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)))
  return lineChart({ id, title, x: time(spans), y: linearAxis(most, figure), lines })
}

function time(spans: readonly Span[]) {
  return timeAxis(spans.at(-1)?.at ?? 0, (value) => (value === 0 ? '0' : span(value * 1000)))
}

/** More bars than that tell nothing; the table has the rest. */
const mostBars = 12

function statusChart(results: Results): string {
  const statuses = countStatuses(results)
  if (statuses.length === 0) return ''
  return barChart({
    id: 'statuses',
    title: 'Statuses of answers',
    parts: [
      { name: 'agents', style: 'bar-1' },
      { name: 'attackers', style: 'bar-2' },
    ],
    rows: statuses.slice(0, mostBars).map(({ status, agents, attackers }) => ({
      label: printable(status),
      said: number(agents + attackers),
      values: [agents, attackers],
    })),
  })
}

function attackChart({ attacks }: Results): string {
  const reasons = new Map<string, { refused: number; unknown: number; letIn: number }>()
  for (const { reason, refused, rateLimited, undecided, letIn } of attacks) {
    const before = reasons.get(reason) ?? { refused: 0, unknown: 0, letIn: 0 }
    reasons.set(reason, {
      refused: before.refused + refused,
      unknown: before.unknown + undecided + rateLimited,
      letIn: before.letIn + letIn,
    })
  }
  if (reasons.size === 0) return ''
  return barChart({
    id: 'attacks',
    title: 'Attacks by the reason they deserve',
    parts: [
      { name: 'refused', style: 'bar-2' },
      { name: 'rate-limited or undecided', style: 'bar-1' },
      { name: 'let in', style: 'bar-bad' },
    ],
    rows: [...reasons].slice(0, mostBars).map(([reason, { refused, unknown, letIn }]) => ({
      label: printable(reason),
      said: [
        number(refused + unknown + letIn),
        ...(unknown > 0 ? [`${number(unknown)} rate-limited or undecided`] : []),
        ...(letIn > 0 ? [`${number(letIn)} let in`] : []),
      ].join(', '),
      values: [refused, unknown, letIn],
    })),
  })
}

function empty(sentence: string): string {
  return `<p class="empty">${escapeHtml(sentence)}</p>`
}
