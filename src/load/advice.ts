import { plural, printable } from '../report/words.ts'
import type { Results } from './results.ts'

/** What to look at first, in sentences, where the results show what went wrong. */
export function advice(results: Results): readonly string[] {
  const { statuses } = results
  const limited = (statuses.agents['429'] ?? 0) + (statuses.attackers['429'] ?? 0)
  const all = sameFailure(results)
  return [
    ...(all === null ? [] : [all]),
    ...(limited === 0
      ? []
      : [
          `${plural(limited, 'request')} got 429 before anyone looked at what was asked: raise RATE_LIMIT for the test.`,
        ]),
  ]
}

/** Where no document was answered as it should be, and all in the same way. */
function sameFailure({ kinds, statuses, failures, target }: Results): string | null {
  const { count, failed } = kinds.document
  if (count === 0 || failed < count) return null
  const [status, ...others] = Object.keys(statuses.agents)
  if (others.length > 0) return null
  if (status === '401') return 'None was let in (401): is this the gateway’s JWT_SECRET?'
  if (status === '403') return 'None was let in (403): is the URLToken one of its URL_TOKENS?'
  const silent = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH'].some((code) => code in failures)
  return status === undefined && silent ? `Nothing answers at ${printable(target)}.` : null
}
