import type { Place } from '../doctor/connection.ts'
import { playAgent } from './agent.ts'
import { playAttacker } from './attacker.ts'
import { attacks } from './attacks.ts'
import { type Browser, openBrowser } from './browser.ts'
import { startClock } from './clock.ts'
import type { Measured, Results, Second } from './results.ts'
import { attacksOf, type Plan, shiftsOf } from './schedule.ts'
import type { Stage } from './stage.ts'
import { createTally } from './tally.ts'
import type { Mint } from './tickets.ts'

/**
 * Plays a plan to its end, or until the signal. Every arrival, message and attack has a time of its own
 * from the start, which no answer, and none that fails to come, puts off.
 */
export async function runLoad(options: {
  readonly target: Place
  readonly plan: Plan
  readonly mint: Mint
  readonly signal: AbortSignal
  readonly onSecond: (second: Second, total: Measured) => void
}): Promise<Omit<Results, 'version' | 'plan'>> {
  const { target, plan, mint, signal, onSecond } = options
  const started = new Date().toISOString()
  const tally = createTally()
  const clock = startClock(tally.late)
  const browsers = new Set<Browser>()
  const enter = (): Browser => {
    const browser = openBrowser(target, () => browsers.delete(browser))
    browsers.add(browser)
    return browser
  }
  const stage: Stage = { target, plan, clock, tally, mint, enter }

  const interrupted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  if (signal.aborted) clock.stop()

  let at = 0
  const tell = (): void => {
    // Of a machine that stands still, seconds are left out.
    at = Math.max(at + 1, Math.round(clock.now() / 1000))
    onSecond(...tally.second(at))
  }
  const ticking = setInterval(tell, 1000)
  const shifts = each(
    stage,
    shiftsOf(plan),
    (shift) => shift.arrives,
    (shift, i) => playAgent(stage, shift, String(i + 1)),
  )
  const forged = each(
    stage,
    attacksOf(plan, attacks.length),
    (due) => due,
    (due, i) => playAttacker(stage, due, i),
  )
  try {
    await Promise.race([Promise.all([shifts, forged]), interrupted])
    clearInterval(ticking)
    tell()
    const results = tally.found(clock.now())
    return { ...results, target: target.url.origin, started, interrupted: signal.aborted }
  } finally {
    clearInterval(ticking)
    clock.stop()
    await Promise.all([...browsers].map((browser) => browser.cut()))
  }
}

/** Begins each at its time; resolves once all have ended. */
async function each<T>(
  { clock }: Stage,
  all: readonly T[],
  dueOf: (one: T) => number,
  play: (one: T, index: number) => Promise<void>,
): Promise<void> {
  const playing: Promise<void>[] = []
  for (const [i, one] of all.entries()) {
    if (!(await clock.reached(dueOf(one)))) break
    playing.push(play(one, i))
  }
  await Promise.all(playing)
}
