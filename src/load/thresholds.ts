import { number, percent, plural } from '../report/words.ts'
import { duration } from '../settings/parsers.ts'
import type { Finding, Problems } from '../settings/reader.ts'
import type { Results } from './results.ts'

export type Threshold =
  | { readonly name: Percentile /** ms */; readonly most: number }
  | { readonly name: 'errors' /** Of all steps, 0 to 1. */; readonly most: number }

/** What a run was held to. */
export interface Judged {
  readonly name: string
  readonly limit: string
  readonly found: string
  readonly passed: boolean
}

type Percentile = (typeof percentiles)[number]

const percentiles = ['p50', 'p90', 'p99', 'p999'] as const

/** Flags of the command line: latencies such as `50ms`, errors such as `0.1%`. */
export type ThresholdFlags = Readonly<Partial<Record<Threshold['name'], string | undefined>>>

/** The thresholds, or what is wrong with each flag that can't be read. */
export function parseThresholds(flags: ThresholdFlags): readonly Threshold[] | Problems {
  const thresholds: Threshold[] = []
  const problems: Finding[] = []
  const refuse = (name: Threshold['name'], ...messages: readonly string[]): unknown =>
    problems.push(...messages.map((message) => ({ setting: `--${name}`, message })))
  for (const name of percentiles) {
    const text = flags[name]
    if (text === undefined) continue
    const parsed = duration(1)(text)
    if ('problems' in parsed) refuse(name, ...parsed.problems)
    // The parser would round it.
    else if (/\.\d+ms$/.test(text)) refuse(name, 'must be whole milliseconds')
    else thresholds.push({ name, most: parsed.value })
  }
  if (flags.errors !== undefined) {
    const [, digits] = /^(\d{1,3}(?:\.\d{1,9})?)%$/.exec(flags.errors) ?? []
    const most = Number(digits) / 100
    if (most <= 1) thresholds.push({ name: 'errors', most })
    else refuse('errors', 'must be a share of all steps from 0% to 100%, such as 0.1%')
  }
  return problems.length > 0 ? { problems } : thresholds
}

/**
 * Holds a run to the thresholds, and each run to some more: it ran to its end, some step was answered
 * as it was due, none failed and no attack stayed undecided unless `errors` allows it, and none was let in. What could not be
 * measured does not pass.
 */
export function judge(results: Results, thresholds: readonly Threshold[]): readonly Judged[] {
  const { total, attacks, interrupted } = results
  const answered = total.count - total.failed
  const letIn = attacks.reduce((sum, attack) => sum + attack.letIn, 0)
  const sent = attacks.reduce((sum, attack) => sum + attack.sent, 0)
  const undecided = attacks.reduce((sum, attack) => sum + attack.undecided, 0)
  // Of a kind that nobody looked at, all may have been let in.
  const unknown = attacks.filter(({ refused, letIn }) => refused + letIn === 0).length
  const errors = thresholds.find(({ name }) => name === 'errors')?.most ?? 0
  return [
    {
      name: 'ran to its end',
      limit: 'yes',
      found: interrupted ? 'no' : 'yes',
      passed: !interrupted,
    },
    {
      name: 'steps answered',
      limit: 'at least 1',
      found: `${number(answered)} of ${number(total.count)}`,
      passed: answered >= 1 && total.latency !== null,
    },
    {
      name: 'steps failed',
      limit: shareLimit(errors),
      found: shareOf(total.failed, total.count),
      passed: total.failed / total.count <= errors,
    },
    {
      name: 'attacks let in',
      limit: 'none',
      found: `${number(letIn)} of ${number(sent)}${unknown > 0 ? `, and of ${plural(unknown, 'kind')} nothing is known` : ''}`,
      passed: letIn === 0 && unknown === 0,
    },
    {
      name: 'attacks undecided',
      limit: shareLimit(errors),
      found: shareOf(undecided, sent),
      passed: undecided <= errors * sent,
    },
    ...thresholds.flatMap((one) => (one.name === 'errors' ? [] : [judgeLatency(results, one)])),
  ]
}

function shareLimit(most: number): string {
  return most === 0 ? 'none' : `at most ${exactly(most * 100)} %`
}

function shareOf(part: number, whole: number): string {
  return `${number(part)} of ${number(whole)}${whole > 0 ? ` (${percent(part / whole)})` : ''}`
}

function judgeLatency(
  { total }: Results,
  { name, most }: Extract<Threshold, { name: Percentile }>,
): Judged {
  const found = total.latency?.[name]
  return {
    name: `${name === 'p999' ? 'p99.9' : name} latency`,
    limit: `at most ${exactly(most)} ms`,
    found: found === undefined ? 'no latency' : `${exactly(found)} ms`,
    passed: found !== undefined && found <= most,
  }
}

/** Unrounded, so that what is just past a limit is seen to be. */
function exactly(value: number): string {
  return exact.format(value)
}

const exact = new Intl.NumberFormat('en-US', { maximumFractionDigits: 9 })
