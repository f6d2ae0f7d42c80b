import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { formatUui, parseUui } from '../../packages/copilot-link/src/uui.ts'
import { readAsked, readDuration } from './asked.ts'
import type { Found, Keeping } from './keeping.ts'
import { isOpening } from './navigation.ts'
import { refuse } from './refusing.ts'
import { conversationLasts, type LinkBody, schemas, shortLasts } from './schemas.ts'
import { type Asking, clientOf, visitOf } from './visit.ts'

interface OfConversation {
  readonly Params: { readonly conversationId: string }
}

/** What a client hears of a store that takes or gives nothing. */
const unkept = { full: 'store-full', unreachable: 'state-unreachable' } as const

const conversation = '/links/by-conversation/:conversationId'

/** What clients ask, and what agents open. */
export function addRoutes(app: FastifyInstance, { shorten, keep, lookUp, open }: Keeping): void {
  app.post<{ Body: LinkBody }>(
    '/links',
    { schema: schemas.sign, onRequest: asking('sign') },
    async (request, reply) => {
      const { known, told, origin } = visitOf(request)
      const client = clientOf(request)
      const { short = false } = request.body
      if (short !== false) told.asked = 'shorten'
      const now = Date.now()
      const read = readAsked(request.body, short !== false)
      if ('problem' in read) return refuse(request, reply, 'request-malformed', [read])
      const { warnings, ...asked } = read
      const signed = known.sign(client.contactCenter, asked, now)
      if ('problem' in signed) return refuse(request, reply, signed.reason, [signed])
      Object.assign(told, { userId: asked.userId, sessionId: asked.sessionId })
      if (short === false) return { ...signed, warnings }
      const { uses = 1, expiresIn = shortLasts } = short === true ? {} : short
      const lasts = readDuration('short.expiresIn', expiresIn)
      if (typeof lasts !== 'number') return refuse(request, reply, 'request-malformed', [lasts])
      const kept = await shorten(client, asked, uses, lasts)
      if (typeof kept === 'string') return refuse(request, reply, unkept[kept])
      const made = shortened(`${origin}/o/${kept.id}`, now + lasts)
      return { ...signed, ...made, warnings: [...warnings, ...made.warnings] }
    },
  )

  app.put<{ Body: LinkBody } & OfConversation>(
    conversation,
    { schema: schemas.keep, onRequest: asking('keep') },
    async (request, reply) => {
      const { known, told } = visitOf(request)
      const client = clientOf(request)
      const now = Date.now()
      const read = readAsked(request.body, true)
      if ('problem' in read) return refuse(request, reply, 'request-malformed', [read])
      const { warnings, ...asked } = read
      const lasts = readDuration('keepFor', request.body.keepFor ?? conversationLasts)
      if (typeof lasts !== 'number') return refuse(request, reply, 'request-malformed', [lasts])
      // What could not be signed later is refused now.
      const signed = known.sign(client.contactCenter, asked, now)
      if ('problem' in signed) return refuse(request, reply, signed.reason, [signed])
      Object.assign(told, { userId: asked.userId, sessionId: asked.sessionId })
      const kept = await keep(client, request.params.conversationId, asked, lasts)
      if (kept !== 'kept') return refuse(request, reply, unkept[kept])
      return { expiresAt: new Date(now + lasts).toISOString(), warnings }
    },
  )

  app.get<OfConversation>(
    conversation,
    { schema: schemas.lookUp, onRequest: asking('look-up') },
    async (request, reply) => {
      const { known } = visitOf(request)
      const found = await lookUp(known, clientOf(request), request.params.conversationId)
      if (found === 'unreachable') return refuse(request, reply, unkept.unreachable)
      if (found === null) return refuse(request, reply, 'link-unknown')
      tell(request, found, clientOf(request).id)
      return found.signed
    },
  )

  app.get<{ Params: { id: string } }>(
    '/o/:id',
    { schema: schemas.open, exposeHeadRoute: false, onRequest: telling('open') },
    async (request, reply) => {
      if (!isOpening(request.headers)) return refuse(request, reply, 'no-navigation')
      const found = await open(visitOf(request).known, request.params.id)
      if (found === 'unreachable') return refuse(request, reply, unkept.unreachable)
      if (found === null) return refuse(request, reply, 'link-unknown')
      tell(request, found, found.client)
      return reply.code(303).header('location', found.signed.url).send()
    },
  )
  // Nothing is used up, looked at or told: scanners of mail and chats ask so.
  app.head('/o/:id', { schema: { hide: true }, onRequest: telling('preview') }, (_, reply) =>
    reply.send(),
  )
}

function telling(asked: Asking) {
  return async (request: FastifyRequest): Promise<void> => {
    visitOf(request).told.asked = asked
  }
}

/** Lets clients pass, before a body is read. */
function asking(asked: Asking) {
  return async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply | undefined> => {
    const visit = visitOf(request)
    visit.told.asked = asked
    // Secrets are of servers: a browser that was told one would add it for any page.
    const site = request.headers['sec-fetch-site']
    if (site !== undefined && site !== 'none') {
      return refuse(request, reply, 'origin-refused')
    }
    const found = visit.known.find(request.headers.authorization)
    if ('reason' in found) {
      const { claimed, hint, reason } = found
      if (claimed !== null) visit.told.client = claimed
      if (hint !== null) visit.told.hint = hint
      return refuse(request, reply, reason)
    }
    visit.client = found
    const { id, contactCenter } = found
    Object.assign(visit.told, { contactCenter: contactCenter.name, client: id })
    return undefined
  }
}

function tell(request: FastifyRequest, found: Found, client: string): void {
  const { contactCenter, userId, sessionId } = found
  Object.assign(visitOf(request).told, { contactCenter, client, userId, sessionId })
}

function shortened(shortUrl: string, end: number) {
  const uui = formatUui(shortUrl)
  const read = parseUui(uui)
  const warnings = 'warnings' in read ? read.warnings.map(({ message }) => message) : []
  return { shortUrl, shortUrlExpiresAt: new Date(end).toISOString(), uui, warnings }
}
