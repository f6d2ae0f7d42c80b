import { randomBytes } from 'node:crypto'
import { denials, type Reason } from '../access/decision.ts'
import { broken, pathAt, queryOf, tampered, unsigned } from '../doctor/credentials.ts'
import { isRefusal } from '../doctor/refusals.ts'
import type { Answer, Headers } from './browser.ts'
import { Failure } from './failure.ts'
import { type Stage, step } from './stage.ts'
import type { Mint, Ticket } from './tickets.ts'

/** A request that must not get in. */
interface Attack {
  readonly name: string
  /** Why the gateway refuses it. */
  readonly reason: Reason
  /** Made of a ticket that would let in, and of what makes others. */
  readonly forge: (ticket: Ticket, again: (made: Parameters<Mint>[2]) => Ticket) => Forged
}

interface Forged {
  /** Below the target's base. */
  readonly path: string
  readonly headers?: Headers
  readonly upgrade?: true
}

const channel = '/socket.io/?EIO=4&transport=websocket'
const page = (query: string): Forged => ({ path: `/?${query}` })
const day = 86_400_000

export const attacks: readonly Attack[] = [
  {
    name: 'no token',
    reason: 'token-missing',
    forge: ({ query }) => page(query.replace(/&auth=.*/, '')),
  },
  {
    name: 'changed signature',
    reason: 'token-invalid',
    forge: ({ link }) => page(queryOf(link, { auth: tampered(link.auth) })),
  },
  {
    name: 'other secret',
    reason: 'token-invalid',
    forge: (_, again) => page(again({ secret: randomBytes(32) }).query),
  },
  {
    name: 'unsigned token (alg none)',
    reason: 'token-invalid',
    forge: ({ link }) => page(queryOf(link, { auth: unsigned(link) })),
  },
  {
    name: 'expired token',
    reason: 'token-expired',
    forge: (_, again) => page(again({ now: Date.now() - 30 * day }).query),
  },
  {
    name: 'other agent in the query',
    reason: 'claim-mismatch',
    forge: ({ link }) => page(queryOf(link, { userId: `${link.userId}-other` })),
  },
  {
    name: 'other session in the query',
    reason: 'claim-mismatch',
    forge: ({ link }) => page(queryOf(link, { sessionId: `${link.sessionId}-other` })),
  },
  {
    name: 'look-alike of a parameter',
    reason: 'query-ambiguous',
    forge: ({ link, query }) => page(`${query}&User.Id%5B%5D=${link.userId}-other`),
  },
  {
    name: 'way out of the path',
    reason: 'target-invalid',
    forge: ({ query }) => ({ path: `/assets/..%2fconfig.js?${query}` }),
  },
  {
    name: 'made-up session cookie',
    reason: 'token-missing',
    forge: () => ({
      path: '/config.js',
      headers: { cookie: `__Host-copilot-AAAAAAAAAAAAAAAA=${broken}` },
    }),
  },
  {
    name: 'socket without a credential',
    reason: 'token-missing',
    forge: () => ({ path: channel, upgrade: true }),
  },
  {
    name: 'socket of a foreign page',
    reason: 'origin-refused',
    forge: ({ query }) => ({
      path: `${channel}&${query}`,
      headers: { origin: 'https://copilot-gateway-load.invalid' },
      upgrade: true,
    }),
  },
]

/** Makes the attack whose turn it is, as somebody whom nobody has seen before. */
export async function playAttack(stage: Stage, due: number, turn: number): Promise<void> {
  const attack = attacks[turn % attacks.length]
  if (attack === undefined) return
  const { target, tally, mint } = stage
  const { name, reason, forge } = attack
  const make = (made: Parameters<Mint>[2]): Ticket => mint(`attacker-${turn}`, 0, made)
  const { path, headers = {}, upgrade } = forge(make({}), make)
  const browser = stage.enter()
  tally.attacked(name, reason)
  await step(stage, 'attack', due, async () => {
    const ask = upgrade ? browser.upgrade : browser.get
    const answer = await ask(pathAt(target.url, path), { accept: '*/*', ...headers })
    tally.status('attackers', answer.status)
    const letIn = wasLetIn(answer)
    if (letIn) tally.letIn(name)
    const status = denials[reason]
    // Whoever is refused too often is refused unread.
    const refused = answer.status === status || answer.status === denials['rate-limited']
    if (letIn || !refused) throw new Failure(`${answer.status}, not ${status}`)
  })
  await browser.cut()
}

/** Whatever the workspace then answered, or if it did not. */
function wasLetIn({ status, headers, text }: Answer): boolean {
  const refusal = isRefusal({ status, headers, body: text() })
  return (
    !refusal || status === denials['upstream-unreachable'] || status === denials['upstream-timeout']
  )
}
