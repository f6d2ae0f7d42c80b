import { number, percent, plural, printable } from '../report/words.ts'
import { advice } from './advice.ts'
import type { Measured, Results } from './results.ts'
import type { Span } from './spans.ts'
import type { Judged } from './thresholds.ts'
import { figure, milliseconds, rate, span } from './words.ts'

/** What a report shows as a table, whatever it is written in. Cells are printable, and not escaped. */
export interface Table {
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly string[])[]
  /** What to say where there is no row. */
  readonly none: string
  /** What a reader has to know of it; null for nothing. */
  readonly note: string | null
}

export interface Column {
  readonly name: string
  readonly isNumber: boolean
}

const mostRows = 50
const latencies = ['p50', 'p90', 'p99', 'p999', 'max'] as const

/** The tables that every report has, in the order they are read. */
export function tables(results: Results, judged: readonly Judged[]) {
  return {
    thresholds: thresholdTable(judged),
    kinds: kindTable(results),
    statuses: statusTable(results),
    failures: failureTable(results),
    attacks: attackTable(results),
    lost: lostTable(results),
    lag: lagTable(results),
    plan: planTable(results),
  } satisfies Readonly<Record<string, Table>>
}

/** The curve of latencies, for a report whose picture shows it. */
export function percentileTable({ percentiles }: Results): Table {
  return {
    title: 'Percentiles',
    columns: [amount('Percentile'), amount('Latency, ms')],
    rows: percentiles.map(({ percentile, latency }) => [String(percentile), figure(latency)]),
    none: noAnswer,
    note: 'So many of 100 steps were answered within that time.',
  }
}

export const noAnswer = 'No step was answered.'
export const noSecond = 'The run was over before its first second.'

/** The run over time, for a report whose pictures show it. */
export function spanTable(spans: readonly Span[]): Table {
  const length = spans[0]?.seconds ?? 1
  return {
    title: 'Over time, latency in ms',
    columns: [
      amount('Second'),
      amount('Steps'),
      amount('Failed'),
      ...latencyColumns,
      amount('Agents'),
      amount('Sockets'),
    ],
    rows: spans.map(({ at, count, failed, latency, agents, sockets }) => [
      number(at),
      number(count),
      number(failed),
      ...latencyCells(latency),
      number(agents),
      number(sockets),
    ]),
    none: noSecond,
    note: length === 1 ? null : `A row is ${length} seconds, with the slowest of them.`,
  }
}

function latencyCells(latency: Span['latency']): readonly string[] {
  return latencies.map((name) => (latency === null ? '–' : figure(latency[name])))
}

const latencyColumns: readonly Column[] = ['p50', 'p90', 'p99', 'p99.9', 'max'].map(amount)

/** The sentences above the tables: what was found in all, and what to do about it. */
export function summary(results: Results): readonly string[] {
  const { total, duration, interrupted, sockets } = results
  const perSecond = rate(total, duration)
  const failed = total.count > 0 ? ` (${percent(total.failed / total.count)})` : ''
  const { latency } = total
  const lost = Object.values(sockets.lost).reduce((sum, count) => sum + count, 0)
  return [
    `Ran for ${span(duration)}${interrupted ? ', ended before its time' : ''}.`,
    `${plural(total.count, 'step')}${perSecond === null ? '' : `, ${figure(perSecond)} per second`}; ` +
      `${number(total.failed)} failed${failed}.`,
    latency === null
      ? noAnswer
      : `Half were answered within ${milliseconds(latency.p50)}, 99 of 100 within ` +
        `${milliseconds(latency.p99)}, the slowest in ${milliseconds(latency.max)}.`,
    `${plural(sockets.opened, 'socket')} opened, ${number(sockets.peak)} at once at most; ` +
      `${number(lost)} closed by the other side.`,
    ...advice(results),
  ]
}

/** Whether the run passed, and what did not. */
export function verdict(judged: readonly Judged[]): string {
  const broken = judged.filter(({ passed }) => !passed).map(({ name }) => name)
  if (broken.length === 0) return `Passed: all ${judged.length} thresholds are met.`
  const are = broken.length === 1 ? 'is' : 'are'
  return `Failed: ${broken.length} of ${judged.length} thresholds ${are} not met (${broken.join(', ')}).`
}

function thresholdTable(judged: readonly Judged[]): Table {
  return {
    title: 'Thresholds',
    columns: [words('Threshold'), words('Limit'), words('Found'), words('Result')],
    rows: judged.map(({ name, limit, found, passed }) => [
      name,
      limit,
      found,
      passed ? 'met' : 'not met',
    ]),
    none: 'None.',
    note: null,
  }
}

function kindTable({ kinds, total }: Results): Table {
  const row = (name: string, { count, failed, latency }: Measured): readonly string[] => [
    name,
    number(count),
    number(failed),
    ...latencyCells(latency),
  ]
  return {
    title: 'Latency by kind of step, in ms',
    columns: [words('Step'), amount('Count'), amount('Failed'), ...latencyColumns],
    rows: [
      ...Object.entries(kinds).map(([kind, measured]) => row(kind, measured)),
      row('all but attack', total),
    ],
    none: 'None.',
    note:
      'Latency counts from when a step was due. A socket is open with the answer to its socket.io CONNECT, ' +
      'a join ends with its acknowledgement, a message with the pong of a ping behind it, an attack with its refusal. ' +
      'A socket that is lost is a failed step more.',
  }
}

function statusTable(results: Results): Table {
  return {
    title: 'Statuses of answers',
    columns: [words('Status'), amount('Agents'), amount('Attackers')],
    rows: countStatuses(results).map(({ status, agents, attackers }) => [
      printable(status),
      number(agents),
      number(attackers),
    ]),
    none: 'There was no answer.',
    note: null,
  }
}

export interface StatusCount {
  readonly status: string
  readonly agents: number
  readonly attackers: number
}

export function countStatuses({ statuses }: Results): readonly StatusCount[] {
  const agents = new Map(Object.entries(statuses.agents))
  const attackers = new Map(Object.entries(statuses.attackers))
  return [...new Set([...agents.keys(), ...attackers.keys()])].sort().map((status) => ({
    status,
    agents: agents.get(status) ?? 0,
    attackers: attackers.get(status) ?? 0,
  }))
}

function failureTable({ failures }: Results): Table {
  return {
    title: 'Why steps failed',
    columns: [amount('Steps'), words('Cause')],
    rows: counted(failures),
    none: 'No step failed.',
    note: null,
  }
}

function attackTable({ attacks }: Results): Table {
  return {
    title: 'Attacks',
    columns: [
      words('What is wrong'),
      words('Reason it deserves'),
      amount('Sent'),
      amount('Rate-limited'),
      amount('Undecided'),
      amount('Let in'),
    ],
    rows: attacks.map(({ name, reason, sent, rateLimited, undecided, letIn }) => [
      printable(name),
      printable(reason),
      number(sent),
      number(rateLimited),
      number(undecided),
      number(letIn),
    ]),
    none: 'No attack was sent.',
    note:
      'The reason is what the gateway ought to log; seen from here are statuses and close codes. Undecided had no ' +
      'answer, or another one than it deserves.',
  }
}

function lostTable({ sockets }: Results): Table {
  return {
    title: 'Sockets closed by the other side',
    columns: [amount('Sockets'), words('Code and reason')],
    rows: counted(sockets.lost),
    none: 'No socket was lost.',
    note: null,
  }
}

function lagTable({ lag }: Results): Table {
  const cells = latencyCells(lag)
  return {
    title: 'Lag of this machine',
    columns: [words('Percentile'), amount('Lag, ms')],
    rows: lag === null ? [] : latencyColumns.map(({ name }, index) => [name, cells[index] ?? '']),
    none: 'It was not measured.',
    note: 'How late the machine that made the load began its steps.',
  }
}

function planTable({ plan }: Results): Table {
  return {
    title: 'What was asked for',
    columns: [words('Option'), words('Value')],
    rows: Object.entries(plan).map(([name, value]) => [printable(name), printable(value)]),
    none: 'Nothing in particular.',
    note: null,
  }
}

/** Most frequent first; what is past `mostRows` is summed up. */
function counted(counts: Readonly<Record<string, number>>): readonly (readonly string[])[] {
  const sorted = Object.entries(counts).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  const others = sorted.slice(mostRows)
  const rows = sorted
    .slice(0, mostRows)
    .map(([name, count]) => [number(count), name === '' ? '(none)' : printable(name)])
  if (others.length === 0) return rows
  const rest = others.reduce((sum, [, count]) => sum + count, 0)
  return [...rows, [number(rest), `${number(others.length)} others`]]
}

function amount(name: string): Column {
  return { name, isNumber: true }
}

function words(name: string): Column {
  return { name, isNumber: false }
}
