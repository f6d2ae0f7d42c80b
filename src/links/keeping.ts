import { randomBytes } from 'node:crypto'
import type { Asked } from './asked.ts'
import type { Client } from './clients.ts'
import type { Known } from './known.ts'
import { type Kept, keyOf, seal, unseal } from './sealing.ts'
import { namesOf, type Signed } from './signing.ts'
import type { Store } from './store.ts'

/** Links that are signed when they are asked for. */
export interface Keeping {
  /** Resolves to the 22 characters of a short link. */
  readonly shorten: (
    client: Client,
    asked: Asked,
    uses: number,
    lasts: number,
  ) => Promise<{ readonly id: string } | Unkept>
  /** Keeps a conversation's link. */
  readonly keep: (
    client: Client,
    conversationId: string,
    asked: Asked,
    lasts: number,
  ) => Promise<'kept' | Unkept>
  /** Uses a short link; null where it leads nowhere, or no more. */
  readonly open: (known: Known, id: string) => Promise<Found | null | 'unreachable'>
  readonly lookUp: (
    known: Known,
    client: Client,
    conversationId: string,
  ) => Promise<Found | null | 'unreachable'>
}

/** Why there is no place for it. */
export type Unkept = Exclude<Awaited<ReturnType<Store['keep']>>, 'kept'>

export interface Found {
  readonly signed: Signed
  readonly contactCenter: string
  /** Who had it kept. */
  readonly client: string
  readonly userId: string
  readonly sessionId: string
}

/**
 * Keeps what links are made of, not links: nothing in the store lets anybody in, a link's time runs from
 * when it is signed, and it is signed by what the settings say then.
 */
export function createKeeping(store: Store): Keeping {
  async function put(
    name: Buffer,
    { id, contactCenter }: Client,
    asked: Asked,
    uses: number | null,
    lasts: number,
  ): Promise<'kept' | Unkept> {
    const kept = { ...asked, client: id, contactCenter: contactCenter.name, at: Date.now() }
    const entry = { text: seal(name, kept), contactCenter: contactCenter.name, uses, lasts }
    return store.keep(keyOf(name), entry)
  }

  async function take(name: Buffer): Promise<Kept | null | 'unreachable'> {
    const text = await store.take(keyOf(name))
    return text === null || text === 'unreachable' ? text : unseal(name, text)
  }

  return {
    async shorten(client, asked, uses, lasts) {
      const name = randomBytes(16)
      const done = await put(name, client, asked, uses, lasts)
      return done === 'kept' ? { id: name.toString('base64url') } : done
    },
    // By each secret, so that in a rotation a replica that has only one of them finds and replaces it.
    async keep(client, conversationId, asked, lasts) {
      const names = namesOf(client.contactCenter, conversationId)
      const puts = await Promise.all(names.map((name) => put(name, client, asked, null, lasts)))
      return puts.find((one) => one !== 'kept') ?? 'kept'
    },
    async open(known, id) {
      const name = Buffer.from(id, 'base64url')
      const isId = name.length === 16 && name.toString('base64url') === id
      const kept = isId ? await take(name) : null
      return kept === 'unreachable' ? kept : find(known, kept)
    },
    async lookUp(known, { contactCenter }, conversationId) {
      let latest: Kept | null = null
      for (const kept of await Promise.all(namesOf(contactCenter, conversationId).map(take))) {
        if (kept === 'unreachable') return kept
        if (kept !== null && (latest === null || kept.at > latest.at)) latest = kept
      }
      return find(known, latest)
    },
  }
}

function find(known: Known, kept: Kept | null): Found | null {
  if (kept === null) return null
  const contactCenter = known.contactCenters.get(kept.contactCenter)
  // What a client that is gone has left opens nothing.
  if (!contactCenter?.linksClients.some(({ id }) => id === kept.client)) return null
  const signed = known.sign(contactCenter, kept, Date.now())
  return 'problem' in signed ? null : { ...kept, signed }
}
