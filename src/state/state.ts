import type { Logger } from 'pino'
import { connectRedis, type RedisConnection, type RedisState } from './redis.ts'
import { type Counts, createRefusals, type Rate, type Refusals } from './refusals.ts'
import { type Carrier, createRevocationStream } from './revocation-stream.ts'
import { createRevocations, type Revocation, type Revocations } from './revocations.ts'
import { shareRefusals } from './shared-refusals.ts'
import { createUsedTokens, type UsedTokens } from './used-tokens.ts'

/** What outlives a gateway, and what its replicas share. */
export interface State {
  /** A revocation holds here at once, and for the others as soon as they hear of it. */
  readonly revocations: Revocations
  readonly usedTokens: UsedTokens
  /** All views of one count: gateways before and after a reload may have different rates. */
  readonly refusals: (rate: Rate) => Refusals
  /** How far a revocation made now reaches. */
  readonly scope: () => 'process' | 'workers' | 'replicas'
  /** null where nothing is shared. */
  readonly redis: () => RedisState | null
  /** Hears of every revocation, own and foreign, until what it returns is called. */
  readonly onRevoked: (listener: (revocation: Revocation) => void) => () => void
  /** Tells the others what they don't know yet, where that takes no longer than a second. */
  readonly close: () => Promise<void>
}

interface StateSettings {
  readonly redisUrl: string | null
  /** Whether a token may open one session only: then a start waits until Redis can tell. */
  readonly oneTimeTokens?: boolean
}

/**
 * Keeps state in memory and, with a Redis URL, shares it. Resolves once all that was revoked before is
 * known, or Redis is known to be away: who served any earlier would let in what was revoked.
 */
export async function createState(
  { redisUrl, oneTimeTokens = false }: StateSettings,
  log: Logger,
): Promise<State> {
  const known = createRevocations()
  const listeners = new Set<(revocation: Revocation) => void>()
  const counts: Counts = new Map()
  const hear = (revocation: Revocation): Revocation | null => {
    const news = known.add(revocation)
    if (news !== null) for (const listener of listeners) listener(news)
    return news
  }
  const usedTokens = createUsedTokens(() => redis)
  const stream = createRevocationStream(known.all, hear)
  const redis: RedisConnection | null =
    redisUrl === null
      ? null
      : connectRedis(new URL(redisUrl), log, async (client, fresh) => {
          await stream.round(client, fresh)
          await usedTokens.round(client, fresh)
        })
  const carrier: Carrier | null = redis === null ? null : stream
  const share = redis === null ? null : shareRefusals(redis)
  await redis?.known
  if (oneTimeTokens) await usedTokens.trusted()

  return {
    revocations: {
      add(revocation) {
        const news = hear(revocation)
        if (news !== null) carrier?.publish(news)
      },
      has: known.has,
    },
    usedTokens,
    refusals: (rate) => createRefusals(rate, counts, share),
    scope: () => (redis?.state().up ? 'replicas' : 'process'),
    redis: () => redis?.state() ?? null,
    onRevoked(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: async () => redis?.close(),
  }
}
