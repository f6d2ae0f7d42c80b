import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ContactCenter } from '../settings/config.ts'

/** Who asks for links, and whose. */
export interface Client {
  readonly id: string
  readonly contactCenter: ContactCenter
}

/** Who asks without being known. */
export interface Stranger {
  readonly reason: 'client-missing' | 'client-invalid'
  /** The id that was named, where a client has it. */
  readonly claimed: string | null
  /** What its operators may have done wrong. */
  readonly hint: string | null
}

/** Who an Authorization header proves to ask. */
export type FindClient = (authorization: string | undefined) => Client | Stranger

const weak = 'a secret is 64 hex digits, as openssl rand -hex 32 prints, and this is none'

/**
 * Knows the clients of these contact centers by their credentials (RFC 7617). A secret is what `openssl
 * rand -hex 32` prints, so that its plain SHA-256 gives nothing away: what could be guessed from a hash
 * is refused whatever the settings say.
 */
export function createClients(contactCenters: readonly ContactCenter[]): FindClient {
  const known = new Map<string, Client & { readonly hashes: Buffer[] }>()
  for (const contactCenter of contactCenters) {
    for (const { id, hash } of contactCenter.linksClients) {
      const client = known.get(id) ?? { id, contactCenter, hashes: [] }
      client.hashes.push(hash)
      known.set(id, client)
    }
  }
  const nobodys = [randomBytes(32)]

  return (authorization) => {
    if (authorization === undefined) {
      return { reason: 'client-missing', claimed: null, hint: null }
    }
    const [, encoded = ''] = /^basic +([\w+/]{1,256}={0,2}) *$/i.exec(authorization) ?? []
    const given = Buffer.from(encoded, 'base64').toString('latin1')
    const [, id = '', secret = ''] = /^([\w.~-]{1,64}):(.*)$/s.exec(given) ?? []
    const isRandom = /^[\da-f]{64}$/i.test(secret)
    const client = known.get(id)
    const digest = createHash('sha256').update(secret).digest()
    // All of them, somebody's or nobody's: how long it takes tells neither who is known nor which is right.
    const right = (client?.hashes ?? nobodys).filter((hash) => timingSafeEqual(hash, digest))
    if (client !== undefined && isRandom && right.length > 0) return client
    return {
      reason: 'client-invalid',
      claimed: client?.id ?? null,
      hint: client === undefined || isRandom ? null : weak,
    }
  }
}
