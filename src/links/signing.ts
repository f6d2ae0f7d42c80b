import { createHmac } from 'node:crypto'
import { CopilotLinkError } from '../../packages/copilot-link/src/link.ts'
import { createLink } from '../link/link.ts'
import type { ContactCenter } from '../settings/config.ts'
import { type Asked, faultOf } from './asked.ts'
import type { Fault } from './faults.ts'

export interface Signed {
  readonly url: string
  /** ISO 8601, in UTC. */
  readonly expiresAt: string
}

/** Why a contact center gets no such link. */
export interface Unsigned extends Fault {
  readonly reason: 'request-malformed' | 'url-token-unknown'
}

/** Signs as a contact center signs, at a moment in ms since the epoch. */
export type Sign = (contactCenter: ContactCenter, asked: Asked, now: number) => Signed | Unsigned

/** Signs links that lead to `baseUrl`, each with its contact center's newest secret, for its own URLTokens only. */
export function createSigner(baseUrl: URL, contactCenters: readonly ContactCenter[]): Sign {
  const owners = new Map(
    contactCenters.flatMap(({ name, urlTokens }) =>
      (urlTokens ?? []).map((urlToken) => [urlToken, name] as const),
    ),
  )

  return ({ name, secrets, urlTokens, tokens }, asked, now) => {
    const owner = owners.get(asked.urlToken)
    const isOwn = urlTokens === null ? owner === undefined : owner === name
    const [secret] = secrets
    if (!isOwn || secret === undefined) {
      const problem = 'is none of this contact center’s'
      return { reason: 'url-token-unknown', field: 'urlToken', problem }
    }
    // What the gateway would not take for so long is not promised.
    const lasts = Math.max(1000, Math.min(asked.expiresIn, tokens.maxAge ?? asked.expiresIn))
    try {
      const url = createLink({ ...asked, baseUrl, secret, expiresIn: lasts, now })
      const end = Math.floor((now + lasts) / 1000) * 1000
      return { url: url.href, expiresAt: new Date(end).toISOString() }
    } catch (error) {
      if (!(error instanceof CopilotLinkError)) throw error
      return { reason: 'request-malformed', ...faultOf(error) }
    }
  }
}

/**
 * Under what a conversation's link is kept, by each secret of its contact center, newest first: nobody
 * without one finds it, however well the conversation's id is known.
 */
export function namesOf({ name, secrets }: ContactCenter, conversationId: string): Buffer[] {
  const said = JSON.stringify(['copilot-gateway conversation', name, conversationId])
  return secrets.map((secret) => createHmac('sha256', secret).update(said).digest())
}
