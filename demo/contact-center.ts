import { randomBytes } from 'node:crypto'
import { createLink } from '../src/link/link.ts'
import { agent, type Conversation } from './conversations.ts'
import { type Answer, type Handle, publicFile, type Site, startSite, type Tls } from './site.ts'

/** What the pages of the contact center and of the stranger need to make and frame links. */
export interface SiteOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** The site's name in its URL; it listens on loopback, whatever its name. */
  readonly host: string
  readonly tls: Tls | null
  /** Where the gateway is. */
  readonly gateway: URL
  readonly secret: Buffer
  readonly urlToken: string
  readonly pages: Pages
}

/** Where the pages of the demo are. */
export interface Pages {
  readonly desktop: URL
  readonly refusals: URL
  readonly stranger: URL
}

/** The agent desktop of a contact center: one open chat each, a third that is not open, and what the desk takes. */
export function startContactCenter(
  options: SiteOptions & {
    readonly chats: readonly [Conversation, Conversation, Conversation]
    readonly handle: Handle
    /** The command that calls from outside. */
    readonly sipp: string
  },
): Promise<Site> {
  const [first, second, waiting] = options.chats
  const open = [first, second].map(({ sessionId, topic, customer }) => ({
    sessionId,
    topic,
    customer: customer.name,
  }))
  return start(options, {
    '/': () => page('contact-center/desktop.html', options, { sipp: options.sipp }),
    '/refusals': () => page('contact-center/refusals.html', options),
    '/desktop.js': () => publicFile('contact-center/desktop.js'),
    '/desk.js': () => publicFile('contact-center/desk.js'),
    '/copilot-workspace.js': () =>
      publicFile('../../packages/copilot-workspace/copilot-workspace.js'),
    '/refusals.js': () => publicFile('contact-center/refusals.js'),
    '/chats.json': () =>
      json({
        agent: agent.name,
        chats: open.map((chat) => ({ ...chat, link: signLink(options, chat.sessionId) })),
      }),
    '/refusals.json': () =>
      json({
        gateway: options.gateway.origin,
        refusals: refusals(options, first, second, waiting),
      }),
  })
}

/** A site that is not among the frame ancestors, with a link that is otherwise right. */
export function startStranger(
  options: SiteOptions & { readonly chat: Conversation },
): Promise<Site> {
  return start(options, {
    '/': () => {
      const link = signLink(options, options.chat.sessionId)
      return page('contact-center/stranger.html', options, { link: link.href })
    },
  })
}

const hour = 3_600_000

/** A link for the agent's shift, made anew each time. */
export function signLink(
  { gateway, secret, urlToken }: Pick<SiteOptions, 'gateway' | 'secret' | 'urlToken'>,
  sessionId: string,
  { signedAt = Date.now(), expiresIn = 8 * hour } = {},
): URL {
  return createLink({
    baseUrl: gateway,
    userId: agent.userId,
    sessionId,
    urlToken,
    secret,
    expiresIn,
    now: signedAt,
  })
}

interface Refusal {
  readonly title: string
  readonly text: string
  readonly status: number
  /** Another one that is right where chats are open. */
  readonly or?: number
  readonly reason: string
  readonly link: URL
}

/**
 * Those that a session cookie could make up for are for a chat that was never opened, so that no
 * browser holds its cookie.
 */
function refusals(
  options: SiteOptions,
  first: Conversation,
  second: Conversation,
  waiting: Conversation,
): readonly Refusal[] {
  const expired = signLink(options, waiting.sessionId, {
    signedAt: Date.now() - 2 * hour,
    expiresIn: hour,
  })
  const otherSession = signLink(options, first.sessionId)
  otherSession.searchParams.set('sessionId', second.sessionId)
  const forged = signLink({ ...options, secret: randomBytes(32) }, waiting.sessionId)
  const bare = plainLink(options, waiting.sessionId)
  return [
    {
      title: 'An expired link',
      text: 'Signed two hours ago, for one hour.',
      status: 401,
      reason: 'token-expired',
      link: expired,
    },
    {
      title: 'Another session’s ids',
      text: `Signed for ${first.sessionId}, but its query asks for ${second.sessionId}.`,
      status: 403,
      reason: 'claim-mismatch',
      link: otherSession,
    },
    {
      title: 'A wrong signature',
      text: 'Signed with a secret that is not the contact center’s.',
      status: 401,
      reason: 'token-invalid',
      link: forged,
    },
    {
      title: 'No token',
      text: 'The three ids alone, as Copilot takes them without a gateway. Where this browser has other chats open, their sessions do not name these ids: 403.',
      status: 401,
      or: 403,
      reason: 'token-missing',
      link: bare,
    },
  ]
}

function start(
  { host, port, tls, handle }: SiteOptions & { readonly handle?: Handle },
  routes: Readonly<Record<string, () => Answer>>,
): Promise<Site> {
  const all = new Map(Object.entries(routes))
  all.set('/style.css', () => publicFile('contact-center/style.css'))
  const answer = (path: string): Answer | null => all.get(path)?.() ?? null
  return startSite({ name: host, port, tls, answer, ...(handle && { handle }) })
}

/** The plain link to a session, as Cognigy makes it: without `auth`. */
export function plainLink(
  { gateway, urlToken }: Pick<SiteOptions, 'gateway' | 'urlToken'>,
  sessionId: string,
): URL {
  const link = new URL(gateway)
  const ids = { userId: agent.userId, sessionId, URLToken: urlToken }
  link.search = new URLSearchParams(ids).toString()
  return link
}

/** An HTML file with its `{{names}}` filled in. */
function page(
  path: string,
  { gateway, pages }: SiteOptions,
  more: Readonly<Record<string, string>> = {},
): Answer {
  const texts: Readonly<Record<string, string>> = {
    desktop: pages.desktop.href,
    'desktop-origin': pages.desktop.origin,
    refusals: pages.refusals.href,
    stranger: pages.stranger.href,
    'stranger-origin': pages.stranger.origin,
    ...more,
  }
  const { type, body } = publicFile(path)
  const html = body
    .toString()
    .replace(/\{\{([\w-]+)\}\}/g, (_, name) => String(texts[name]).replaceAll('&', '&amp;'))
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    `frame-src ${gateway.origin}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    type,
    body: html,
    headers: { 'cache-control': 'no-store', 'content-security-policy': policy.join('; ') },
  }
}

function json(value: unknown): Answer {
  return {
    type: 'application/json',
    body: JSON.stringify(value),
    headers: { 'cache-control': 'no-store' },
  }
}
