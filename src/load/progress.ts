import { number, type Paint, plural, wrap } from '../report/words.ts'
import type { Measured, Second } from './results.ts'
import { figure, milliseconds, span } from './words.ts'

/** Shows how a run goes while it does. */
export interface Progress {
  /** `total`: of the run so far. */
  update(second: Second, total: Measured): void
  /** Takes the bar away; elsewhere says what was last. */
  end(): void
}

/** What `process.stderr` is of. */
export interface Output {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

/**
 * A bar with figures, drawn in place on a terminal; elsewhere a line now and then. `duration` of the
 * run in ms.
 */
export function createProgress(
  output: Output,
  duration: number,
  paint: Paint = (_, text) => text,
): Progress {
  return output.isTTY ? drawn(output, duration, paint) : written(output, duration)
}

function drawn(output: Output, duration: number, paint: Paint): Progress {
  let height = 0
  // The cursor stays in the last line, where a run that is killed leaves it.
  const clear = (): string => {
    const up = height > 1 ? `\u001b[${height - 1}A` : ''
    return height === 0 ? '' : `${up}\r\u001b[J`
  }
  return {
    update(second, total) {
      // A line as wide as the terminal would wrap in some.
      const width = Math.max(1, (output.columns || 80) - 1)
      const lines = [
        bar(second.at * 1000, duration, width, paint),
        ...figures(second, total).flatMap((parts) => flow(parts, width)),
      ]
      output.write(clear() + lines.join('\n'))
      height = lines.length
    },
    end() {
      output.write(clear())
      height = 0
    },
  }
}

/** What a run does past its end. */
const waiting = 'waiting for the last answers'

function bar(elapsed: number, duration: number, width: number, paint: Paint): string {
  const done = Math.min(1, elapsed / Math.max(1, duration))
  const left = elapsed > duration ? waiting : `${span(duration - elapsed)} left`
  const said = ` ${String(Math.floor(done * 100)).padStart(3)} %, ${left}`
  const room = width - said.length - 2
  if (room < 4) return said.trim().slice(0, width)
  const full = Math.floor(done * room)
  return `[${paint('bold', '#'.repeat(full))}${paint('dim', '.'.repeat(room - full))}]${said}`
}

/** Lines of whole parts, unless one is wider than all of the terminal. */
function flow(parts: readonly string[], width: number): readonly string[] {
  const words = parts.map((part) => part.replaceAll(' ', '\u00a0')).join(', ')
  return wrap(words, '', '', width)
    .trimEnd()
    .split('\n')
    .map((line) => line.replaceAll('\u00a0', ' ').slice(0, width))
}

/** Seconds from one line to the next, for runs of less than `from` ms and others. */
const interval = { short: 5, long: 10, from: 60_000 } as const

function written(output: Output, duration: number): Progress {
  const step = duration < interval.from ? interval.short : interval.long
  let said = 0
  let unsaid = ''
  return {
    update(second, total) {
      const time = `${figure(second.at)} s of ${span(duration)}`
      const happened = figures(second, total).map((parts) => `; ${parts.join(', ')}`)
      unsaid = `${[time, ...happened].join('')}\n`
      const due = Math.floor(second.at / step)
      if (due === said) return
      const isOver = second.at * 1000 > duration
      output.write(`${[isOver ? `${time}, ${waiting}` : time, ...happened].join('')}\n`)
      said = due
      unsaid = ''
    },
    end() {
      if (unsaid !== '') output.write(unsaid)
      unsaid = ''
    },
  }
}

/** The last second, the run so far, and what is open. */
function figures(
  { steps, agents, sockets }: Second,
  total: Measured,
): readonly (readonly string[])[] {
  return [
    [`now ${number(steps.count)} per second`, ...latency(steps)],
    [`in all ${plural(total.count, 'step')}`, `${number(total.failed)} failed`, ...latency(total)],
    [plural(agents, 'agent'), plural(sockets, 'socket')],
  ]
}

function latency({ latency }: Measured): readonly string[] {
  if (latency === null) return ['none answered']
  const { p50, p90, p99 } = latency
  return Object.entries({ p50, p90, p99 }).map(([name, value]) => `${name} ${milliseconds(value)}`)
}
