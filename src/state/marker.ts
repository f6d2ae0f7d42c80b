import type { Redis } from 'ioredis'
import { longestAway, prefix } from './redis.ts'

/** What a server has only as long as it has its memory: which run of it that is, and since when. */
export interface Marker {
  /**
   * Has `tell` tell the server all that is known here, where it may have lost it: on a new connection,
   * and when the marker is gone or is not that of the round before.
   */
  readonly round: (client: Redis, fresh: boolean, tell: () => Promise<void>) => Promise<void>
  /** Whether every replica has had the time to tell the server again. */
  readonly isOld: () => boolean
  /** Whether what was asked just before was asked of the memory that the latest round saw. */
  readonly holds: (client: Redis) => Promise<boolean>
}

const key = `${prefix}since`

/** For all replicas the same: whoever finds the marker gone makes it anew, by the clock of Redis. */
export function createMarker(): Marker {
  let known = ''
  let run = ''
  /** By this process's own clock that nobody sets, in ms. */
  let oldAt = Number.POSITIVE_INFINITY
  return {
    async round(client, fresh, tell) {
      // A snapshot that a server starts from has a marker, and not what was used after it.
      const info = fresh ? await client.info('server') : ''
      if (fresh) run = /^run_id:(\w+)/m.exec(info)?.[1] ?? ''
      // Who was connected before would have made one by now: nobody was, for as long as it runs.
      const uptime = Number(/^uptime_in_seconds:(\d+)/m.exec(info)?.[1] ?? 0) * 1000
      let marker = await client.get(key)
      if (!fresh && marker === known) return
      const [seconds, microseconds] = await client.time()
      const now = Number(seconds) * 1000 + Number(microseconds) / 1000
      const [ofRun, made = ''] = marker?.split(' ') ?? []
      let since = Number.parseFloat(made)
      if (ofRun !== run || Number.isNaN(since)) {
        since = now - uptime
        marker = `${run} ${since}`
        await client.set(key, marker)
      }
      await tell()
      oldAt = performance.now() + longestAway - Math.max(0, now - since)
      known = marker ?? ''
    },
    isOld: () => performance.now() >= oldAt,
    holds: async (client) => (await client.get(key)) === known,
  }
}
