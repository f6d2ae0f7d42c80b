import type { FastifyRequest } from 'fastify'
import { originOf } from '../client.ts'
import type { Client } from './clients.ts'
import type { Known } from './known.ts'
import type { Reason } from './reasons.ts'

declare module 'fastify' {
  interface FastifyRequest {
    visit: Visit | null
  }
}

/** One request to the links API. */
export interface Visit {
  readonly known: Known
  readonly requestId: string
  readonly ip: string
  /** The API's own, as this request reached it. */
  readonly origin: string
  /** Who was proven to ask. */
  client: Client | null
  /** What its line in the log says beside its end. */
  readonly told: Told
}

interface Told {
  asked?: Asking
  reason?: Reason
  hint?: string
  contactCenter?: string
  /** Of a refusal the one that was named, and may not have been it. */
  client?: string
  userId?: string
  sessionId?: string
}

export type Asking = 'sign' | 'shorten' | 'keep' | 'look-up' | 'open' | 'preview' | 'reference'

export function beginVisit(request: FastifyRequest, known: Known): Visit {
  const client = known.readClient(request.raw)
  const origin = known.origin ?? originOf(client)
  const visit = {
    known,
    requestId: client.requestId,
    ip: client.ip,
    origin,
    client: null,
    told: {},
  }
  request.visit = visit
  return visit
}

export function visitOf({ visit }: FastifyRequest): Visit {
  if (visit === null) throw new Error('A request that was not begun')
  return visit
}

/** Of a route that only clients get to. */
export function clientOf(request: FastifyRequest): Client {
  const { client } = visitOf(request)
  if (client === null) throw new Error('A request without a client')
  return client
}
