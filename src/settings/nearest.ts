/** The known word that was probably meant; null where none is near. */
export function nearest(written: string, known: readonly string[]): string | null {
  const word = bare(written)
  // Longer ones are no slip of the pen, and comparing takes the product of both lengths.
  if (word.length > 40) return null
  const near = known
    .map((candidate) => ({ candidate, distance: distance(word, bare(candidate)) }))
    .filter(({ candidate, distance }) => distance <= candidate.length / 4)
    .sort((a, b) => a.distance - b.distance)
  return near[0]?.candidate ?? null
}

/** COPILOT_URL, copilot-url and copilotUrl are one word. */
function bare(word: string): string {
  return word.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** How many letters to put in, take out or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1]
    for (const [column, other] of [...b].entries()) {
      const changed = (row[column] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(changed, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
