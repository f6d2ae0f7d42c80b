const times = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const days = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const numbers = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** 12:03:04, and the day where it is another than that of `now`. */
export function at(ms, now) {
  const time = times.format(ms)
  return days.format(ms) === days.format(now) ? time : `${days.format(ms)}, ${time.slice(0, 5)}`
}

/** 26 h: one unit, rounded down, as people say it. */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} days`
}

/** What lies within the last seconds is now: clocks of several processes are never quite equal. */
export function ago(ms, now) {
  return now - ms < 10_000 ? 'just now' : `${duration(now - ms)} ago`
}

export function count(n) {
  return numbers.format(n)
}

/** `2 sockets`; the plural takes an s. */
export function several(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`
}

/** Two digits that matter, so that a small rate is not 0. */
export function rate(n) {
  if (n >= 10 || n === 0) return count(n)
  return String(Number(n.toPrecision(n < 1 ? 1 : 2)))
}

export function percent(part, whole) {
  if (whole === 0 || part === 0) return '0\u00a0%'
  const value = (100 * part) / whole
  if (value < 0.1) return 'under 0.1\u00a0%'
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, '') : count(value)}\u00a0%`
}

/** Milliseconds under one second, else seconds. */
export function latency(ms) {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`
  return ms < 1000 ? `${count(ms)} ms` : `${Number((ms / 1000).toFixed(2))} s`
}
