import type { Known } from '../explain/explain.ts'
import type { Report } from '../observe/observations.ts'
import type { Scope } from '../observe/overview.ts'
import type { Tracing } from '../observe/tracing.ts'
import { sentence } from '../settings/reader.ts'
import type { Revoked } from '../state/revocations.ts'
import type { ProcessLog } from './process-log.ts'
import type { Loaded } from './reload.ts'

/** All processes that serve, as whoever steers them sees them. */
export interface Fleet {
  /** Where they listen, as origins. */
  readonly addresses: readonly string[]
  /** How far a revocation reaches. */
  readonly scope: () => Scope
  /** What links are explained by, now. */
  readonly known: () => Promise<Known>
  /** Rejects where the settings can't be gone on with; those of before stay then. */
  readonly reload: (loaded: Loaded) => Promise<void>
  /** Says how a reload ended: with these problems, or none. */
  readonly reloaded: (problems: readonly string[]) => void
  readonly revoke: (revoked: Revoked) => void
  /** Has every process report, by a name of its own; those that don't answer in a moment are left out. */
  readonly collect: (
    take: (process: string, report: Report) => void,
    withMetrics: boolean,
  ) => Promise<void>
  /** Tells of each process that has ended, by its name. */
  readonly onGone: (listener: (process: string) => void) => void
  /** Answers say from now on that their connections end. */
  readonly drain: () => void
  /** Ends what is under way within DRAIN_TIMEOUT. */
  readonly close: () => Promise<void>
}

/** This process alone. Rejects where the address can't be had. */
export async function serveAlone(
  { config, warnings }: Loaded,
  { log, linesDropped }: ProcessLog,
  tracing: Tracing | null,
): Promise<Fleet> {
  const { serve } = await import('../serve.ts')
  const serving = await serve(config, log, {
    tracing,
    linesDropped,
    warnings: warnings.map(sentence),
  })
  return {
    addresses: serving.addresses,
    scope: serving.scope,
    known: async () => serving.known(),
    reload: ({ config, warnings }) => serving.reload(config, warnings.map(sentence)),
    reloaded: serving.reloaded,
    revoke: serving.revoke,
    async collect(take, withMetrics) {
      take('', await serving.report(withMetrics))
    },
    onGone: () => {},
    drain: serving.drain,
    close: serving.close,
  }
}
