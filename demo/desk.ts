import type { ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { formatUui } from '../packages/copilot-link/src/uui.ts'
import { agent, type Conversation, findConversation } from './conversations.ts'
import type { Handed, Handovers, NotHanded } from './handover.ts'
import type { Ending, IncomingCall } from './sip/answering.ts'
import { type PlacedCall, placeCall } from './sip/calling.ts'
import type { Peer } from './sip/socket.ts'
import type { Handle } from './site.ts'

/** An agent's telephone, and what is handed over to the agent. */
export interface Desk {
  /** Rings for a call, or refuses it. */
  readonly take: (call: IncomingCall) => Promise<void>
  /** What the desktop's page asks. */
  readonly handle: Handle
  readonly close: () => Promise<void>
}

/** What the page shows. */
interface Shown {
  readonly call: null | (Named & { readonly state: 'ringing' | 'open'; readonly link: string })
  /** What has happened last. */
  readonly said: string
}

interface Named {
  readonly sessionId: string
  readonly customer: string
  readonly topic: string
}

type Done = readonly [status: number, body: object]

const noCall: Done = [409, { problem: 'There is no such call' }]

const endings: Readonly<Record<Ending, string>> = {
  refused: 'The call was refused.',
  cancelled: 'The caller gave up.',
  expired: 'Nobody answered.',
  'hung-up': 'You ended the call.',
  'caller-hung-up': 'The caller hung up.',
  lost: 'The call was lost.',
}

export function createDesk(options: {
  /** The origin of the desktop's page, which alone may act here. */
  readonly origin: string
  readonly handovers: Handovers
  /** Where calls are placed. */
  readonly endpoint: () => Peer
  /** The plain link to a session, as Cognigy hands it over. */
  readonly plainLink: (sessionId: string) => URL
  readonly waiting: { readonly call: Conversation; readonly chat: Conversation }
  readonly log: Logger
}): Desk {
  const { origin, handovers, endpoint, plainLink, waiting, log } = options
  const pages = new Set<ServerResponse>()
  const handedOver = new Set<string>()
  let shown: Shown = { call: null, said: 'No call.' }
  let current: IncomingCall | null = null
  let placed: PlacedCall | null = null
  let rounds = 0

  return {
    take,
    handle(request, response) {
      if (request.method === 'GET' && request.url === '/desk') {
        watch(response)
        return true
      }
      if (request.method !== 'POST') return false
      // A page of any other site may post here, too.
      if (request.headers.origin !== origin) answer(response, 403, {})
      else act(request.url ?? '').then((done) => answer(response, ...done))
      return true
    },
    async close() {
      for (const page of pages) page.end()
      await placed?.close()
    },
  }

  function watch(page: ServerResponse): void {
    page.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    pages.add(page)
    page.once('close', () => pages.delete(page))
    tell(page)
  }

  async function act(path: string): Promise<Done> {
    const [, session] = /^\/links\/([\w-]+)$/.exec(path) ?? []
    if (session !== undefined) return renew(session)
    switch (path) {
      case '/call':
        return place()
      case '/call/answer':
        if (shown.call?.state !== 'ringing') return noCall
        current?.answer()
        show({ call: { ...shown.call, state: 'open' }, said: '' })
        return [200, {}]
      case '/call/end':
        if (shown.call === null) return noCall
        current?.hangUp()
        return [200, {}]
      case '/handover':
        return handOver()
    }
    return [404, {}]
  }

  /** What a PBX does that was told to by Cognigy's Transfer node. */
  async function place(): Promise<Done> {
    if (current !== null) return [409, { problem: 'There is a call already' }]
    await placed?.close()
    const value = formatUui(plainLink(waiting.call.sessionId).href)
    placed = await placeCall(endpoint(), agent.userId, [{ name: 'user-to-user', value }])
    return [202, {}]
  }

  /** Each is a session of its own: the plain link to one that was opened, its cookie would let in. */
  async function handOver(): Promise<Done> {
    rounds += 1
    const plain = plainLink(`${waiting.chat.sessionId}-${rounds}`).href
    const found = ofAgent(await handovers.ofLink(plain))
    if ('problem' in found) return [found.status, { problem: found.problem }]
    handedOver.add(found.sessionId)
    return [200, { ...named(found), plain, link: found.link.href }]
  }

  /** A new link for one that has ended. */
  async function renew(sessionId: string): Promise<Done> {
    if (!handedOver.has(sessionId)) return [404, {}]
    const found = await handovers.ofLink(plainLink(sessionId).href)
    if ('problem' in found) return [found.status, { problem: found.problem }]
    return [200, { link: found.link.href }]
  }

  async function take(call: IncomingCall): Promise<void> {
    const refuse = (status: number, reason: string): void => {
      log.info({ event: 'call', status }, `call     refused  ${status} ${reason}`)
      if (current === null) show({ call: null, said: `A call was refused: ${status} ${reason}.` })
      call.refuse(status, reason)
    }
    if (call.callee !== agent.userId) return refuse(404, 'Nobody of that name is here')
    const found = ofAgent(await handovers.ofCall(call.fields))
    if ('problem' in found) return refuse(found.status, found.problem)
    if (call.state() === 'over') return
    // What can never be opened is said first.
    if (current !== null) return refuse(486, 'Busy Here')
    current = call
    const { sessionId, link } = found
    handedOver.add(sessionId)
    call.ring()
    show({ call: { ...named(found), state: 'ringing', link: link.href }, said: '' })
    log.info({ event: 'call', sessionId }, `call     ringing  ${sessionId}`)
    const ending = await call.ended
    current = null
    show({ call: null, said: endings[ending] })
    log.info({ event: 'call', sessionId }, `call     ${ending}  ${sessionId}`)
  }

  /** The agent's own conversations, and none that nobody has. */
  function ofAgent(found: Handed | NotHanded): (Handed & { of: Conversation }) | NotHanded {
    if ('problem' in found) return found
    if (found.userId !== agent.userId) {
      return { status: 403, problem: 'The conversation is of another agent' }
    }
    const of = findConversation(found.sessionId)
    return of === null
      ? { status: 404, problem: 'There is no such conversation' }
      : { ...found, of }
  }

  function named({ sessionId, of }: { sessionId: string; of: Conversation }): Named {
    return { sessionId, customer: of.customer.name, topic: of.topic }
  }

  function show(next: Shown): void {
    shown = next
    for (const page of pages) tell(page)
  }

  function tell(page: ServerResponse): void {
    page.write(`data: ${JSON.stringify(shown)}\n\n`)
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}
