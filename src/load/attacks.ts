import { randomBytes } from 'node:crypto'
import { denials, type Reason } from '../access/decision.ts'
import { broken, queryOf, tampered, unsigned } from '../doctor/credentials.ts'
import { isRefusal } from '../doctor/refusals.ts'
import { closes } from '../forward/close.ts'
import { type Answer, type Headers, navigation, subresource } from './browser.ts'
import { openChannel } from './channel.ts'
import { Failure } from './failure.ts'
import type { Ticket } from './tickets.ts'
import { readConfig, socketPath } from './workspace-config.ts'

/** What must not get in, and why the gateway refuses it. */
export interface Attack {
  readonly name: string
  readonly reason: Reason
  /** Rejects where it came to neither. */
  readonly act: (attacker: Attacker) => Promise<Outcome>
}

/** What an attack came to; one that is `rate-limited` was refused before it was looked at. */
export type Outcome = 'let in' | 'refused' | 'rate-limited'

/** Somebody whom nobody has seen before, with a browser of their own. */
export interface Attacker {
  /** Would let in. */
  readonly ticket: Ticket
  /** The same with something wrong. */
  readonly forge: (made: { readonly secret?: Buffer; readonly now?: number }) => Ticket
  /** Does what anybody may; its answer is not counted. */
  readonly prepare: (asked: Asked) => Promise<Answer>
  readonly ask: (asked: Asked) => Promise<Answer>
  /** Of the gateway. */
  readonly origin: string
  /** Ms for an answer. */
  readonly patience: number
}

interface Asked {
  /** Below the gateway's base. */
  readonly path: string
  readonly headers?: Headers
  readonly upgrade?: true
}

const month = 30 * 86_400_000

export const attacks: readonly Attack[] = [
  request('no token', 'token-missing', ({ ticket }) => page(withoutToken(ticket.query))),
  request('changed signature', 'token-invalid', ({ ticket: { link } }) =>
    page(queryOf(link, { auth: tampered(link.auth) })),
  ),
  request('other secret', 'token-invalid', ({ forge }) =>
    page(forge({ secret: randomBytes(32) }).query),
  ),
  request('unsigned token (alg none)', 'token-invalid', ({ ticket: { link } }) =>
    page(queryOf(link, { auth: unsigned(link) })),
  ),
  request('expired token', 'token-expired', ({ forge }) =>
    page(forge({ now: Date.now() - month }).query),
  ),
  request('other agent in the query', 'claim-mismatch', ({ ticket: { link } }) =>
    page(queryOf(link, { userId: other(link.userId) })),
  ),
  request('other session in the query', 'claim-mismatch', ({ ticket: { link } }) =>
    page(queryOf(link, { sessionId: other(link.sessionId) })),
  ),
  request('look-alike of a parameter', 'query-ambiguous', ({ ticket: { link, query } }) =>
    page(`${query}&User.Id%5B%5D=${other(link.userId)}`),
  ),
  request('way out of the path', 'target-invalid', ({ ticket }) => ({
    path: `/assets/..%2fconfig.js?${ticket.query}`,
  })),
  request('made-up session cookie', 'token-missing', () => ({
    path: '/config.js',
    headers: { cookie: `__Host-copilot-AAAAAAAAAAAAAAAA=${broken}` },
  })),
  request('own cookie, other session', 'claim-mismatch', async ({ prepare, ticket }) => {
    const { link, query } = ticket
    await prepare(page(query))
    return page(withoutToken(queryOf(link, { sessionId: other(link.sessionId) })))
  }),
  request('cookie of an ended session', 'session-revoked', async ({ prepare, ticket }) => {
    const { headers, status } = await prepare(page(ticket.query))
    const [cookie] = [headers['set-cookie'] ?? []].flat()
    if (cookie === undefined) throw new Failure(`${status} without a cookie`)
    await prepare({ path: '/.copilot-gateway/logout', headers: navigation })
    return { path: '/', headers: { ...navigation, cookie: cookie.replace(/;.*/, '') } }
  }),
  request('socket without a credential', 'token-missing', () => ({
    path: socketPath,
    upgrade: true,
  })),
  request('socket of a foreign page', 'origin-refused', ({ ticket }) => ({
    path: `${socketPath}&${ticket.query}`,
    headers: { origin: 'https://copilot-gateway-load.invalid' },
    upgrade: true,
  })),
  { name: 'own socket, other session', reason: 'session-mismatch', act: joinAnother },
]

function page(query: string): Asked {
  return { path: `/?${query}`, headers: navigation }
}

function withoutToken(query: string): string {
  return query.replace(/&auth=.*/, '')
}

function other(id: string): string {
  return `${id}-other`
}

function request(
  name: string,
  reason: Reason,
  make: (attacker: Attacker) => Asked | Promise<Asked>,
): Attack {
  return {
    name,
    reason,
    async act(attacker) {
      const answer = await attacker.ask(await make(attacker))
      if (wasLetIn(answer)) return 'let in'
      const { status } = answer
      if (status === denials[reason]) return 'refused'
      if (status === denials['rate-limited']) return 'rate-limited'
      throw new Failure(`${status}, not ${denials[reason]}`)
    },
  }
}

/** Whatever the workspace then answered, or if it did not. */
function wasLetIn({ status, headers, text }: Answer): boolean {
  const refusal = isRefusal({ status, headers, body: text() })
  const away: readonly number[] = [denials['upstream-unreachable'], denials['upstream-timeout']]
  return !refusal || away.includes(status)
}

/** What Copilot's own backend lets everyone do who has its page. */
async function joinAnother({ prepare, origin, patience, ticket }: Attacker): Promise<Outcome> {
  const { link, query } = ticket
  await prepare(page(query))
  const config = await prepare({ path: '/config.js', headers: subresource })
  const { apiToken, socketPath } = readConfig(config.text())
  const asked = { path: socketPath, headers: { origin }, upgrade: true } as const
  const { socket, status } = await prepare(asked)
  if (socket === null) throw new Failure(String(status))
  const opened = openChannel(socket, apiToken, patience, () => {})
  const { userId, sessionId, URLToken } = link
  try {
    await opened.connected
    return await opened.join({ userId, sessionId: other(sessionId), URLToken }).then(
      () => 'let in',
      (error) => {
        const { code, reason } = closes['foreign-event']
        if (error instanceof Failure && error.message === `${code} ${reason}`) return 'refused'
        throw error
      },
    )
  } finally {
    opened.leave()
  }
}
