import type { Verdict } from './check.ts'
import { groups } from './checks.ts'
import type { Result } from './examine.ts'

/** Makes a text stand out where the output can show it; the words alone say all. */
export type Paint = (style: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string) => string

const styles = { pass: 'green', fail: 'red', warn: 'yellow', skipped: 'dim' } as const
const widest = Math.max(...groups.flatMap(([, checks]) => checks.map(({ id }) => id.length)))
const indent = ' '.repeat(11)

export function heading(group: string, paint: Paint): string {
  return `\n${paint('bold', group)}\n`
}

/** One line, and where something is to be done, what should be and what to do. */
export function line({ check, verdict, seen }: Result, paint: Paint): string {
  const said = verdict === 'pass' || verdict === 'skipped' ? paint('dim', seen) : seen
  const first = `  ${paint(styles[verdict], verdict.padEnd(7))}  ${check.id.padEnd(widest)}  ${said}\n`
  if (verdict === 'pass' || verdict === 'skipped') return first
  return `${first}${indent}expected: ${check.promise}\n${indent}to do: ${check.remedy}\n`
}

export function closing(results: readonly Result[]): string {
  const { pass, fail, warn, skipped } = counts(results)
  return `\n${pass} passed, ${fail} failed, ${warn} warned, ${skipped} skipped\n`
}

/** The whole report for programs. */
export function json(url: URL, results: readonly Result[]): string {
  const checks = results.map(({ group, check: { id, promise, remedy }, verdict, seen }) => ({
    id,
    group,
    verdict,
    promise,
    seen,
    remedy,
  }))
  return `${JSON.stringify({ url: url.href, counts: counts(results), checks }, null, 2)}\n`
}

function counts(results: readonly Result[]): Record<Verdict, number> {
  const count = (verdict: Verdict): number =>
    results.filter((result) => result.verdict === verdict).length
  return {
    pass: count('pass'),
    fail: count('fail'),
    warn: count('warn'),
    skipped: count('skipped'),
  }
}
