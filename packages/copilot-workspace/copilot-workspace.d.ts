/**
 * - `idle`: there is no link, or the element is on no page
 * - `opening`, `open`: the link's frame loads, or has loaded
 * - `asking`: the link had ended, and a new one was asked for
 * - `failed`: the agent is told, and has a button where trying again can help
 */
export type CopilotState = 'idle' | 'opening' | 'open' | 'asking' | 'failed'

/**
 * - `expired`: the gateway refused the link, which was right and has ended
 * - `renew`: the session is about to end
 * - `retry`: the agent asked for it
 */
export type CopilotLinkReason = 'expired' | 'renew' | 'retry'

export interface CopilotLinkRequest {
  readonly reason: CopilotLinkReason
  /** Aborted when the link is no longer waited for, at the latest after 30 seconds. */
  readonly signal: AbortSignal
}

/** The page's way to a new link for the same chat, from a server that signs it. Where it rejects it is asked again, a few times. */
export type GetCopilotLink = (request: CopilotLinkRequest) => string | URL | Promise<string | URL>

export interface CopilotChange {
  readonly state: CopilotState
  /** Of the gateway's refusal, where one led to this, be it over a new link that was not got. */
  readonly status: number | null
  /** Leads to the reason in the gateway's log. */
  readonly requestId: string | null
}

/** Frames the workspace that a link of Copilot Gateway opens, and keeps it open. */
export class CopilotWorkspace extends HTMLElement {
  /** The signed link; never an attribute. Setting it opens it; '' and null close. Throws a TypeError where it is no URL. */
  get src(): string
  set src(link: string | URL | null)
  getLink: GetCopilotLink | null
  readonly state: CopilotState

  addEventListener(
    type: 'copilot-change',
    listener: (this: CopilotWorkspace, event: CustomEvent<CopilotChange>) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: CopilotWorkspace, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void
}

declare global {
  interface HTMLElementTagNameMap {
    'copilot-workspace': CopilotWorkspace
  }
}
