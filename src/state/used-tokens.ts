import { setTimeout as after } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { createMarker, type Marker } from './marker.ts'
import { prefix, type RedisConnection, type Round } from './redis.ts'

export interface UsedTokens {
  /**
   * Uses up a token. `id`: a hash of its signed part; `until`: when it ends, in ms since the epoch,
   * null for never. Within 50 ms; `unreachable`: nobody can say, and it must not pass.
   */
  readonly use: (id: string, until: number | null) => Promise<Use>
}

export type Use = 'first' | 'used' | 'unreachable'

interface KnownUsedTokens extends UsedTokens {
  /** Resolves once what Redis says of tokens counts, or it is away. */
  readonly trusted: () => Promise<void>
  /** Tells a server that may have lost it what was used here; until all have, no token passes. */
  readonly round: Round
}

/** ms */
const times = {
  /** What is left of the 50 is for the timer and the way there and back through the event loop. */
  answer: 40,
  /** By how much clocks may differ: until the last replica takes a token to be over. */
  clockDifference: 3_600_000,
  betweenSweeps: 60_000,
  /** Redis takes no number that doesn't fit 64 bits. */
  longest: 2 ** 50,
} as const

/** Told at a time, so that what waits for Redis beside them waits little. */
const batch = 500

/** Remembers what was used here, and asks `redis` first, where there is one, who else used it. */
export function createUsedTokens(redis: () => RedisConnection | null): KnownUsedTokens {
  /** Until when; null where a token never ends. */
  const known = new Map<string, number | null>()
  const marker = createMarker()
  let swept = 0

  function forget(): void {
    const now = Date.now()
    if (now - swept < times.betweenSweeps) return
    swept = now
    for (const [id, until] of known) {
      if (until !== null && until + times.clockDifference <= now) known.delete(id)
    }
  }
  return {
    async use(id, until) {
      forget()
      if (known.has(id)) return 'used'
      const connection = redis()
      const use = connection === null ? 'first' : await claim(connection, marker, id, until)
      if (use === 'first') known.set(id, until)
      return use
    },
    async trusted() {
      // Each turn ends, since a server that is away is not waited for.
      while (redis()?.state().up && !marker.isOld()) await after(100)
    },
    round: (client, fresh) =>
      marker.round(client, fresh, async () => {
        const all = [...known]
        for (let i = 0; i < all.length; i += batch) {
          await Promise.all(all.slice(i, i + batch).map(([id, until]) => mark(client, id, until)))
        }
      }),
  }
}

/** Whoever writes first was first; of several replicas, and of several requests. */
function claim(
  { client, state }: RedisConnection,
  marker: Marker,
  id: string,
  until: number | null,
): Promise<Use> {
  // A server that has just come back may not know yet what it has lost.
  if (!state().up || !marker.isOld()) return Promise.resolve('unreachable')
  return new Promise((resolve) => {
    let late = false
    // An answer that came while the event loop was busy is read before the time is said to be up.
    const timer = setTimeout(() => setImmediate(giveUp), times.answer)
    function giveUp(): void {
      late = true
      resolve('unreachable')
    }
    Promise.all([mark(client, id, until), marker.holds(client)]).then(
      ([marked, holds]) => {
        clearTimeout(timer)
        // Nobody was let in by it, so that it may be used again.
        if (late && marked && holds) client.del(keyOf(id)).catch(() => {})
        resolve(marked ? (holds ? 'first' : 'unreachable') : 'used')
      },
      () => {
        clearTimeout(timer)
        resolve('unreachable')
      },
    )
  })
}

async function mark(client: Redis, id: string, until: number | null): Promise<boolean> {
  const left = until === null ? times.longest : until - Date.now() + times.clockDifference
  const ttl = Math.ceil(Math.min(Math.max(left, 1), times.longest))
  return (await client.set(keyOf(id), '1', 'PX', ttl, 'NX')) === 'OK'
}

function keyOf(id: string): string {
  return `${prefix}used:${id}`
}
