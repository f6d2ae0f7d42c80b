import { createCopilotLink } from '../../packages/copilot-link/src/link.ts'

/** What a contact center knows of the chat or call that a link opens, as settings and clocks give it. */
export interface LinkOptions {
  /** The gateway's origin, and a base path if it has one. */
  readonly baseUrl: URL
  readonly userId: string
  readonly sessionId: string
  /** The URLToken of the Cognigy.AI Endpoint. */
  readonly urlToken: string
  /** The shared secret, at least 32 bytes. */
  readonly secret: Buffer
  /** How long the link opens the workspace, in milliseconds. */
  readonly expiresIn: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** A link made as contact centers make theirs. Throws a CopilotLinkError where the gateway could not accept it. */
export function createLink(options: LinkOptions): URL {
  const { baseUrl, expiresIn, ...rest } = options
  return new URL(createCopilotLink({ ...rest, baseUrl: baseUrl.href, expiresIn: `${expiresIn}ms` }))
}
