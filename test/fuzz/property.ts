// One property: what it plays, how it judges, and how a failure is found again.
import fc from 'fast-check'
import type { Scope } from './wire.ts'

export interface Property {
  /** In one word, as `--only` and `--path` name it. */
  readonly name: string
  /** What holds. */
  readonly promise: string
  readonly start: (scope: Scope) => Promise<(again?: Again) => Promise<Outcome>>
}

export interface Again {
  readonly seed: number
  /** Leads to one case. */
  readonly path?: string
}

export interface Outcome {
  /** The seed, and how many cases got which verdict. */
  readonly summary: string
  /** null, or what failed, why, and the command that plays it again. */
  readonly failure: string | null
}

interface Play<T> {
  readonly cases: fc.Arbitrary<T>
  /** Played first, every time: what has failed once. */
  readonly examples: readonly T[]
  /** Throws where the promise is broken, else says what the case came to. */
  readonly judge: (one: T) => string | Promise<string>
}

export interface Described {
  readonly name: string
  readonly promise: string
  /** How many cases are played at a time. */
  readonly runs: number
  /** The least share of cases that are let in: who sees nothing but refusals has seen nothing. */
  readonly allowed: number
}

export function property<T>(
  { name, promise, runs, allowed }: Described,
  prepare: (scope: Scope) => Promise<Play<T>>,
): Property {
  return {
    name,
    promise,
    async start(scope) {
      const { cases, examples, judge } = await prepare(scope)
      return async (again) => {
        const tally = new Map<string, number>()
        const details = await fc.check(
          fc.asyncProperty(cases, async (one) => {
            const verdict = await judge(one)
            // New sessions wait while the machine is busy: that says nothing of the request.
            fc.pre(verdict !== 'overloaded')
            tally.set(verdict, (tally.get(verdict) ?? 0) + 1)
          }),
          {
            numRuns: runs,
            examples: examples.map((one) => [one]),
            // A case that hangs has failed.
            timeout: 30_000,
            includeErrorInReport: true,
            ...again,
          },
        )
        const total = [...tally.values()].reduce((sum, count) => sum + count, 0)
        const share = (tally.get('allow') ?? 0) / total
        const command = `npm run fuzz -- --seed=${details.seed}`
        const counts = [...tally]
          .sort(([, one], [, other]) => other - one)
          .map(([verdict, count]) => `${verdict} ${((100 * count) / total).toFixed(1)} %`)
        const summary = `${name}: ${total} cases, seed ${details.seed}: ${counts.join(', ')}`
        let failure: string | null = null
        if (details.failed) {
          const at = ` --path ${name}:${details.counterexamplePath}`
          const report = await fc.asyncDefaultReportMessage(details)
          failure = `not so: ${promise}\n${command}${at}\n${report}`
        } else if (again?.path === undefined && share < allowed) {
          failure = `too few are let in\n${command} --only ${name}\n${summary}`
        }
        return { failure, summary }
      }
    },
  }
}
