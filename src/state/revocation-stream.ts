import type { Redis } from 'ioredis'
import { prefix, type Round } from './redis.ts'
import {
  decodeRevocation,
  encodeRevocation,
  includes,
  nameOfRevoked,
  type Revocation,
} from './revocations.ts'

/** Carries revocations to other processes; what they revoke comes back through `hear`. */
export interface Carrier {
  /** Tells the others, at the latest when they can be reached again. */
  readonly publish: (revocation: Revocation) => void
}

const key = `${prefix}revocations`
const field = 'revocation'
/** Entries that are read or written at a time, so that what waits for Redis beside them waits little. */
const batch = 500
/** By how much a replica's clock may be behind that of Redis, in ms. */
const clockDifference = 3_600_000

/**
 * A stream that all replicas append to and read, from the start where the server may be another. What
 * is known here and is not in it is written to it, so that a server that has lost it gets it back.
 */
export function createRevocationStream(
  known: () => readonly Revocation[],
  hear: (revocation: Revocation) => void,
): Carrier & { readonly round: Round } {
  /** By what they name: however often the same is revoked, it is told once a round. */
  let untold = new Map<string, Revocation>()
  let last = '0-0'

  async function read(client: Redis): Promise<void> {
    for (;;) {
      const [stream] = (await client.xread('COUNT', batch, 'STREAMS', key, last)) ?? []
      const entries = stream?.[1] ?? []
      for (const [id, fields] of entries) {
        last = id
        const revocation = readEntry(fields)
        if (revocation === null) continue
        hear(revocation)
        const name = nameOfRevoked(revocation)
        const own = untold.get(name)
        if (own !== undefined && includes(revocation, own)) untold.delete(name)
      }
      if (entries.length < batch) return
    }
  }

  async function write(client: Redis, mode: readonly 'NOMKSTREAM'[]): Promise<void> {
    const all = [...untold]
    for (let i = 0; i < all.length; i += batch) {
      const some = all.slice(i, i + batch).map(async ([name, one]) => {
        const id = await client.xadd(key, ...mode, '*', field, encodeRevocation(one))
        if (id !== null && untold.get(name) === one) untold.delete(name)
      })
      await Promise.all(some)
    }
    if (all.length > 0) await tidy(client)
  }

  return {
    publish(revocation) {
      untold.set(nameOfRevoked(revocation), revocation)
    },
    async round(client, fresh) {
      const all = fresh || (await client.exists(key)) === 0
      if (all) {
        last = '0-0'
        untold = new Map(known().map((revocation) => [nameOfRevoked(revocation), revocation]))
      }
      await read(client)
      // Who tells less than all makes no stream: one that was lost just now would look complete.
      await write(client, all ? [] : ['NOMKSTREAM'])
    },
  }
}

/** Deletes what is over by the clock of Redis: a replica's own may be wrong, an entry's id be forged. */
async function tidy(client: Redis): Promise<void> {
  const [[seconds], oldest] = await Promise.all([
    client.time(),
    client.xrange(key, '-', '+', 'COUNT', batch),
  ])
  const over = oldest.filter(([, fields]) => {
    const until = readEntry(fields)?.until ?? 0
    return until + clockDifference < Number(seconds) * 1000
  })
  if (over.length > 0) await client.xdel(key, ...over.map(([id]) => id))
}

function readEntry([name, text]: readonly string[]): Revocation | null {
  return name === field && text !== undefined ? decodeRevocation(text) : null
}
