import { clientReader, type ReadClient } from '../client.ts'
import type { Config, ContactCenter } from '../settings/config.ts'
import { type Counts, createRefusals, type Refusals } from '../state/refusals.ts'
import { createClients, type FindClient } from './clients.ts'
import { createSigner, type Sign } from './signing.ts'

/** What the settings come to here: a request goes by those that it found. */
export interface Known {
  /** What short links begin with; null: taken from each request's Host. */
  readonly origin: string | null
  /** Whether browsers come by TLS. */
  readonly secure: boolean
  readonly contactCenters: ReadonlyMap<string, ContactCenter>
  /** Whoever may frame anything. */
  readonly framers: readonly string[]
  readonly find: FindClient
  readonly sign: Sign
  readonly readClient: ReadClient
  readonly refusals: Refusals
  readonly drainTimeout: number
}

/** `gateway` is where the public listener listens, for links without a PUBLIC_URL; `counts` go on from before. */
export function know(config: Config, gateway: string, counts: Counts): Known {
  const { contactCenters, publicOrigins, listener, links, trustedProxies } = config
  const origin = links?.origin ?? null
  return {
    origin,
    secure: listener.tls !== null || origin?.startsWith('https:') === true,
    contactCenters: new Map(contactCenters.map((one) => [one.name, one])),
    framers: contactCenters.flatMap(({ frameAncestors }) => frameAncestors),
    find: createClients(contactCenters),
    sign: createSigner(new URL(publicOrigins?.[0] ?? gateway), contactCenters),
    readClient: clientReader(trustedProxies, listener.tls === null ? 'http' : 'https'),
    refusals: createRefusals(config.rateLimit, counts),
    drainTimeout: config.drainTimeout,
  }
}
