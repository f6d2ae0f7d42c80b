import type { Place } from '../doctor/connection.ts'
import type { Browser } from './browser.ts'
import type { Clock } from './clock.ts'
import { whyOf } from './failure.ts'
import type { Kind } from './results.ts'
import type { Plan } from './schedule.ts'
import type { Tally } from './tally.ts'
import type { Mint } from './tickets.ts'

/** What agents and attackers play on. */
export interface Stage {
  readonly target: Place
  readonly plan: Plan
  readonly clock: Clock
  readonly tally: Tally
  readonly mint: Mint
  /** A browser of somebody's own. */
  readonly enter: () => Browser
}

/**
 * Resolves to what a step came to, or to null where it failed. However late it was begun, its latency
 * counts from when it was due: who waits for a slow gateway must not be left out of what is measured.
 */
export async function step<T>(
  { clock, tally }: Stage,
  kind: Kind,
  due: number,
  act: () => Promise<T>,
): Promise<T | null> {
  try {
    const done = await act()
    tally.answered(kind, clock.now() - due)
    return done
  } catch (error) {
    const why = whyOf(error)
    // Who waited in vain waited no less than those who were answered.
    tally.failed(kind, why, /time?out|timedout/i.test(why) ? clock.now() - due : null)
    return null
  }
}
