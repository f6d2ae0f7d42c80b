// Medians with their spread, and ratios of what was measured in the same turn.

export interface Spread {
  readonly median: number
  readonly lower: number
  readonly upper: number
}

/** The median and both quartiles; of no figures null. */
export function spread(figures: readonly number[]): Spread | null {
  if (figures.length === 0) return null
  const sorted = figures.toSorted((a, b) => a - b)
  const at = (share: number): number => {
    const place = (sorted.length - 1) * share
    const [low, high] = [sorted[Math.floor(place)] ?? 0, sorted[Math.ceil(place)] ?? 0]
    return low + (high - low) * (place - Math.floor(place))
  }
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) }
}

/** Each round's figure by the other's of the same round. */
export function ratios(figures: readonly number[], others: readonly number[]): number[] {
  return figures.flatMap((figure, round) => {
    const other = others[round]
    return other === undefined || other === 0 ? [] : [figure / other]
  })
}

/** `22.3 (20.5–29.5)`; a dash where nothing was measured. */
export function shown(figures: readonly number[], digits: number): string {
  const of = spread(figures)
  if (of === null) return '–'
  const [median, lower, upper] = [of.median, of.lower, of.upper].map((figure) =>
    figure.toFixed(digits),
  )
  return `${median} (${lower}–${upper})`
}
