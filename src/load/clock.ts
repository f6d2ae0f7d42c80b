import { longestTimer } from '../settings/parsers.ts'

/** The time of a run, in ms since it began. */
export interface Clock {
  readonly now: () => number
  /** Resolves at that time, or at once where it has passed; to false where the run was ended before. */
  readonly reached: (due: number) => Promise<boolean>
  /** Ends the run: nobody waits any longer. */
  readonly stop: () => void
}

/** `onWake` hears how late, in ms, whoever waited was woken. */
export function startClock(onWake: (late: number) => void): Clock {
  const began = performance.now()
  const waiting = new Set<() => void>()
  let stopped = false
  const now = (): number => performance.now() - began

  const wait = (due: number): Promise<boolean> =>
    new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined
      const end = (reached: boolean): void => {
        clearTimeout(timer)
        waiting.delete(give)
        resolve(reached)
      }
      const give = (): void => end(false)
      const look = (): void => {
        const left = due - now()
        if (stopped) return
        if (left > 2) {
          timer = setTimeout(look, Math.min(left - 1, longestTimer))
        } else if (left > 0) {
          // Timers are up to a millisecond late, as long as a good answer takes.
          setImmediate(look)
        } else {
          onWake(-left)
          end(true)
        }
      }
      waiting.add(give)
      look()
    })

  return {
    now,
    async reached(due) {
      if (stopped) return false
      return now() >= due || wait(due)
    },
    stop() {
      stopped = true
      for (const give of waiting) give()
    },
  }
}
