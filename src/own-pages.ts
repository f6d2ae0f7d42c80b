import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Grant } from './access/decision.ts'
import { logoutPath, renewPath } from './access/paths.ts'
import { endSessions, readSessions, type Session, splitCookies } from './access/session.ts'
import type { Keyring } from './access/token.ts'
import type { Exchange } from './forward/exchange.ts'
import { notice } from './refusal.ts'

export interface OwnPages {
  readonly keyring: Keyring
  /** A session was opened anew: what is open of it lasts as long. */
  readonly onRenewed: (session: Session) => void
  /** A browser's session is over, in all its frames. */
  readonly onLoggedOut: (session: Session, now: number) => void
}

/**
 * The gateway's own pages, which contact centers load in hidden frames and which never go upstream:
 * `renew` with a link's query, and `logout`. Each tells the frames around it what it did.
 */
export function addOwnPages(
  app: FastifyInstance,
  methods: readonly string[],
  { keyring, onRenewed, onLoggedOut }: OwnPages,
): void {
  app.get(renewPath, (request, reply) => {
    const [exchange, grant] = allowed(request, reply)
    if (grant?.opened === null) exchange?.refuse('token-missing')
    if (!exchange || !grant?.opened) return
    onRenewed(grant.opened)
    const { requestId } = exchange.framing
    const message = {
      type: 'copilot-gateway:renewed',
      requestId,
      expires: grant.opened.end,
    } as const
    exchange.answer(
      notice('Session renewed', 'Copilot stays open.', message, exchange.framing, grant.setCookies),
    )
  })

  app.get(logoutPath, (request, reply) => {
    const [exchange, grant] = allowed(request, reply)
    if (!exchange || !grant) return
    const now = Date.now()
    const cookies = splitCookies(request.headers.cookie ?? '')
    for (const session of [...grant.sessions, ...readSessions(cookies, keyring, now)]) {
      onLoggedOut(session, now)
    }
    const message = {
      type: 'copilot-gateway:logged-out',
      requestId: exchange.framing.requestId,
    } as const
    exchange.answer(
      notice('Logged out', 'Copilot is closed.', message, exchange.framing, endSessions(cookies)),
    )
  })

  for (const url of ['/.copilot-gateway', '/.copilot-gateway/*']) {
    app.route({
      method: [...methods],
      url,
      handler(request, reply) {
        reply.hijack()
        request.exchange?.refuse('not-found')
      },
    })
  }
}

function allowed(
  { exchange }: FastifyRequest,
  reply: FastifyReply,
): readonly [Exchange, Grant] | readonly [] {
  reply.hijack()
  return exchange?.decision.allow ? [exchange, exchange.decision] : []
}
