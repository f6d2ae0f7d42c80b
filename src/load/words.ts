import type { Measured, Results } from './results.ts'

const finest = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** A figure with as many digits as it is worth. */
export function figure(value: number): string {
  return Math.abs(value) < 1000 ? finest.format(value) : whole.format(value)
}

export function milliseconds(value: number): string {
  return `${figure(value)} ms`
}

/** A length of time in ms, as it is spoken of. */
export function span(duration: number): string {
  if (duration < 1000) return `${whole.format(duration)} ms`
  if (duration < 60_000) return `${Math.round(duration / 100) / 10} s`
  const seconds = Math.round(duration / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const parts = [
    [hours, 'h'],
    [minutes, 'min'],
    [seconds % 60, 's'],
  ] as const
  return parts.flatMap(([value, unit]) => (value === 0 ? [] : `${value} ${unit}`)).join(' ')
}

/** Steps per second, over all of the run. */
export function rate({ count }: Measured, duration: number): number | null {
  return duration > 0 ? (count * 1000) / duration : null
}

/** The share of the latency that may be this machine's own, and the least lag that is told from none, in ms. */
const tolerated = { share: 0.1, lag: 1 } as const

/**
 * Why the figures may be this machine's own rather than the target's; null where they are not, or there are none. Each
 * latency counts from when its step was due, so that this machine's lateness is part of it.
 */
export function doubt({ lag, total }: Results): string | null {
  if (lag === null || total.latency === null) return null
  const limit = Math.max(tolerated.lag, tolerated.share * total.latency.p99)
  if (lag.p99 <= limit) return null
  const share = `a tenth of the p99 latency, and ${milliseconds(tolerated.lag)} at least`
  return (
    `The figures are doubtful: this machine began 1 of 100 steps ${milliseconds(lag.p99)} late or more, ` +
    `and latencies count from when a step was due. The limit is ${milliseconds(limit)} (${share}). ` +
    'Ask for less load, measure for longer, or use a machine with more room.'
  )
}
