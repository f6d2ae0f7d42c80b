import { type Paint, printable, wrap } from '../report/words.ts'
import type { Results } from './results.ts'
import { summary, type Table, tables, verdict } from './tables.ts'
import type { Judged } from './thresholds.ts'
import { doubt } from './words.ts'

/** The report for people; nothing that the other side said acts on a terminal. */
export function presentText(
  results: Results,
  judged: readonly Judged[],
  paint: Paint = (_, text) => text,
): string {
  const { version, target, started } = results
  const warning = doubt(results)
  const passed = judged.every((one) => one.passed)
  return [
    paint('bold', wrap(`Load on ${printable(target)}`, '')),
    wrap(`Copilot Gateway ${printable(version)}, started ${printable(started)}.`, ''),
    ...summary(results).map((sentence) => wrap(sentence, '')),
    ...(warning === null ? [] : ['\n', paint('yellow', wrap(warning, ''))]),
    ...Object.values(tables(results, judged)).map((table) => `\n${presentTable(table, paint)}`),
    '\n',
    paint(passed ? 'green' : 'red', wrap(verdict(judged), '')),
  ].join('')
}

function presentTable({ title, columns, rows, none, note }: Table, paint: Paint): string {
  const heading = `${paint('bold', title)}\n`
  if (rows.length === 0) return `${heading}  ${none}\n`
  const widths = columns.map(({ name }, index) =>
    Math.max(name.length, ...rows.map((row) => row[index]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string => {
    const padded = columns.map(({ isNumber }, index) => {
      const [cell = '', width = 0] = [cells[index], widths[index]]
      return isNumber ? cell.padStart(width) : cell.padEnd(width)
    })
    const last = padded.pop() ?? ''
    const before = `  ${padded.map((cell) => `${cell}  `).join('')}`
    if (columns.at(-1)?.isNumber) return `${before}${last}\n`
    return wrap(last.trimEnd(), before, ' '.repeat(before.length))
  }
  return [
    heading,
    paint('dim', line(columns.map(({ name }) => name))),
    ...rows.map(line),
    ...(note === null ? [] : [paint('dim', wrap(note, '  '))]),
  ].join('')
}
