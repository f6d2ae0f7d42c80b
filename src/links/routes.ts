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
      if ('problem' in read) return refuse(request, reply, 400, [read])
      const { warnings, ...asked } = read
      const signed = known.sign(client.contactCenter, asked, now)
      if ('problem' in signed) return refuse(request, reply, signed.status, [signed])
      Object.assign(told, { userId: asked.userId, sessionId: asked.sessionId })
      if (short === false) return { ...signed, warnings }
      const { uses = 1, expiresIn = shortLasts } = short === true ? {} : short
      const lasts = readDuration('short.expiresIn', expiresIn)
      if (typeof lasts !== 'number') return refuse(request, reply, 400, [lasts])
      const id = await shorten(client, asked, uses, lasts)
      if (id === null) return refuse(request, reply, 503)
      const made = shortened(`${origin}/o/${id}`, now + lasts)
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
      if ('problem' in read) return refuse(request, reply, 400, [read])
      const { warnings, ...asked } = read
      const lasts = readDuration('keepFor', request.body.keepFor ?? conversationLasts)
      if (typeof lasts !== 'number') return refuse(request, reply, 400, [lasts])
      // What could not be signed later is refused now.
      const signed = known.sign(client.contactCenter, asked, now)
      if ('problem' in signed) return refuse(request, reply, signed.status, [signed])
      Object.assign(told, { userId: asked.userId, sessionId: asked.sessionId })
      const kept = await keep(client, request.params.conversationId, asked, lasts)
      if (!kept) return refuse(request, reply, 503)
      return { expiresAt: new Date(now + lasts).toISOString(), warnings }
    },
  )

  app.get<OfConversation>(
    conversation,
    { schema: schemas.lookUp, onRequest: asking('look-up') },
    async (request, reply) => {
      const { known } = visitOf(request)
      const found = await lookUp(known, clientOf(request), request.params.conversationId)
      if (found === 'unreachable') return refuse(request, reply, 503)
      if (found === null) return refuse(request, reply, 404)
      tell(request, found, clientOf(request).id)
      return found.signed
    },
  )

  app.get<{ Params: { id: string } }>(
    '/o/:id',
    { schema: schemas.open, exposeHeadRoute: false, onRequest: opening },
    async (request, reply) => {
      if (!isOpening(request.headers)) return refuse(request, reply, 403)
      const found = await open(visitOf(request).known, request.params.id)
      if (found === 'unreachable') return refuse(request, reply, 503)
      if (found === null) return refuse(request, reply, 404)
      tell(request, found, found.client)
      return reply.code(303).header('location', found.signed.url).send()
    },
  )
  // Nothing is used up, and nothing told: scanners of mail and chats ask so.
  app.head('/o/:id', { schema: { hide: true }, onRequest: opening }, (_, reply) => reply.send())
}

async function opening(request: FastifyRequest): Promise<void> {
  visitOf(request).told.asked = 'open'
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
    if (site !== undefined && site !== 'none') return refuse(request, reply, 403)
    visit.client = visit.known.find(request.headers.authorization)
    if (visit.client === null) return refuse(request, reply, 401)
    const { id, contactCenter } = visit.client
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
