// One property: what it plays, how it judges, and how a failure is found again.
import fc from 'fast-check'
import type { Scope } from './wire.ts'

export interface Property {
  /** In one word, as `--path` names it. */
  readonly name: string
  /** What holds. */
  readonly promise: string
  /** How often CI tries it. */
  readonly runs: number
  readonly start: (scope: Scope) => Promise<(how: How) => Promise<Outcome>>
}

export interface How {
  readonly runs: number
  readonly seed?: number
  /** Leads to one case, and its shrunk form. */
  readonly path?: string
  /** ms; what was tried by then counts. */
  readonly within?: number
}

export interface Outcome {
  readonly failed: boolean
  readonly seed: number
  readonly runs: number
  /** The failing case, why it fails, and the command that plays it again. */
  readonly report: string
  /** How many cases got which verdict. */
  readonly tally: ReadonlyMap<string, number>
}

interface Play<T> {
  readonly cases: fc.Arbitrary<T>
  /** Throws where the promise is broken, else says what the case came to. */
  readonly judge: (one: T) => string | Promise<string>
}

export function property<T>(
  name: string,
  promise: string,
  runs: number,
  prepare: (scope: Scope) => Promise<Play<T>>,
): Property {
  return {
    name,
    promise,
    runs,
    async start(scope) {
      const { cases, judge } = await prepare(scope)
      return async ({ runs, seed, path, within }) => {
        const tally = new Map<string, number>()
        const details = await fc.check(
          fc.asyncProperty(cases, async (one) => {
            const verdict = await judge(one)
            tally.set(verdict, (tally.get(verdict) ?? 0) + 1)
          }),
          {
            numRuns: runs,
            // What hangs is found as well.
            timeout: 20_000,
            includeErrorInReport: true,
            ...(seed === undefined ? {} : { seed }),
            ...(path === undefined ? {} : { path }),
            ...(within === undefined ? {} : { interruptAfterTimeLimit: within }),
          },
        )
        const again = `--seed ${details.seed} --path ${name}:${details.counterexamplePath}`
        return {
          failed: details.failed,
          seed: details.seed,
          runs: details.numRuns,
          tally,
          report: details.failed
            ? `${promise}: not so\nnpm run fuzz -- ${again}\n${await fc.asyncDefaultReportMessage(details)}`
            : '',
        }
      }
    },
  }
}
