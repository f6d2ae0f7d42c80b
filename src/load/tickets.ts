import { randomBytes } from 'node:crypto'
import { type Link, makeLink, queryOf } from '../doctor/credentials.ts'

/** A link of one chat, and no other's. */
export interface Ticket {
  readonly link: Link
  /** Of its document. */
  readonly query: string
}

export type Mint = (agent: string, chat: number, made?: Making) => Ticket

/** How a ticket differs from what lets in. */
interface Making {
  /** Signs in the place of the contact center's secret. */
  readonly secret?: Buffer
  /** ms since the epoch */
  readonly now?: number
}

/** Makes links to the gateway at `baseUrl` that end `lasts` ms after they were made. */
export function createMint(options: {
  readonly baseUrl: URL
  readonly secret: Buffer
  readonly urlToken: string
  readonly lasts: number
}): Mint {
  const { lasts, ...signed } = options
  const run = randomBytes(4).toString('hex')
  return (agent, chat, made = {}) => {
    const userId = `load-${run}-${agent}`
    const ids = { userId, sessionId: `${userId}-${chat}`, expiresIn: lasts }
    const link = makeLink({ ...signed, ...ids, now: Date.now(), ...made })
    return { link, query: queryOf(link) }
  }
}
