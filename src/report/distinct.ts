import { createHash } from 'node:crypto'

/** How many different texts there were; `exact` is false where there were more than were kept. */
export interface Count {
  readonly count: number
  readonly exact: boolean
}

export interface Distinct {
  readonly add: (text: string | null) => void
  readonly count: () => Count
}

/** How many texts all counts of a report may keep together. */
export interface Room {
  left: number
}

/** Counts different texts, exactly up to `most` or until the room is used up. */
export function createDistinct(room: Room, most = 10_000): Distinct {
  const kept = new Set<string>()
  let exact = true
  return {
    add(text) {
      if (text === null || !exact) return
      const short = text.length > 64 ? createHash('sha256').update(text).digest('base64') : text
      if (kept.has(short)) return
      if (kept.size === most || room.left === 0) {
        exact = false
        return
      }
      kept.add(short)
      room.left -= 1
    },
    count: () => ({ count: kept.size, exact }),
  }
}
