import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { framedBy } from '../forward/frame-ancestors.ts'
import { pageCsp, refusalPage } from '../pages.ts'
import { acceptsHtml } from '../refusal.ts'
import type { Fault } from './faults.ts'
import { denials, type Reason } from './reasons.ts'
import { type Visit, visitOf } from './visit.ts'

/** No more faults are told at once. */
const most = 20

/**
 * Answers what gets no other answer: an agent who opens a short link with a page, all others with
 * problem details (RFC 9457). Who guesses at secrets or ids is told of no more than the rate allows.
 */
export function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  wrong: Reason,
  faults: readonly Fault[] = [],
): FastifyReply {
  const visit = visitOf(request)
  const { known, requestId, ip, told } = visit
  const isGuess = denials[wrong] === 401 || (wrong === 'link-unknown' && told.asked === 'open')
  const wait = isGuess ? known.refusals.count(ip, Date.now()) : 0
  told.reason = wait > 0 ? 'rate-limited' : wrong
  const status = denials[told.reason]
  reply.code(status)
  // RFC 9110 §10.2.3, in seconds
  if (status === 429) reply.header('retry-after', String(Math.ceil(wait / 1000)))
  if (status === 503) reply.header('retry-after', '30')
  // RFC 7617 §2.1
  if (status === 401)
    reply.header('www-authenticate', 'Basic realm="copilot links", charset="UTF-8"')
  const { accept, referer } = request.headers
  if (told.asked === 'open' && acceptsHtml(accept)) {
    reply.header('content-security-policy', `${pageCsp}; frame-ancestors ${framer(visit, referer)}`)
    reply.type('text/html; charset=utf-8')
    return reply.send(Buffer.from(refusalPage(status, requestId, false)))
  }
  // A field may be the client's own: no more of it is repeated than it takes to find it.
  const errors = faults
    .slice(0, most)
    .map(({ field, problem }) => ({ field: field.slice(0, 64), problem }))
  const title = STATUS_CODES[status] ?? ''
  const problem = { type: 'about:blank', title, status, requestId }
  const body = errors.length === 0 ? problem : { ...problem, errors }
  reply.type('application/problem+json')
  // To text Fastify would add a charset, of which RFC 8259 knows none.
  return reply.send(Buffer.from(JSON.stringify(body)))
}

/** Whose link it was is not known: the page that asks may show this if it may show anything. */
function framer({ known, origin }: Visit, referer: string | undefined): string {
  const page = referer === undefined ? null : URL.parse(referer)
  return page !== null && framedBy(known.framers, page.origin, origin) ? page.origin : "'none'"
}
