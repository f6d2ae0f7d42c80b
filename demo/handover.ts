import { request } from 'undici'
import { parseUui } from '../packages/copilot-link/src/uui.ts'
import { isRecord } from './json.ts'
import type { Field } from './sip/message.ts'

/** A conversation whose link was signed. */
export interface Handed {
  readonly link: URL
  readonly userId: string
  readonly sessionId: string
}

/** Why there is no link, with a status as of HTTP and SIP. */
export interface NotHanded {
  readonly status: number
  readonly problem: string
}

/** Has links signed that came without a signature. */
export interface Handovers {
  /** As the header fields of an INVITE carry it. */
  readonly ofCall: (fields: readonly Field[]) => Promise<Handed | NotHanded>
  /** As a native integration is given it. */
  readonly ofLink: (url: string) => Promise<Handed | NotHanded>
}

/** `X-Custom-Header` is what Cognigy's Transfer node calls it unless told otherwise. */
const carrying: ReadonlySet<string> = new Set([
  'user-to-user',
  'x-user-to-user',
  'x-custom-header',
  'x-user-id',
  'x-session-id',
])

/** Asks a links API with a client's credentials, from server to server. */
export function createHandovers(options: {
  /** The links API's origin. */
  readonly api: string
  /** `id:secret` */
  readonly credentials: string
  /** Where signed links lead. */
  readonly gateway: URL
  /** For what carries ids alone, as SIPREC does. */
  readonly urlToken: string
}): Handovers {
  const { api, credentials, gateway, urlToken } = options
  const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`

  return { ofCall, ofLink: (url) => sign({ url }) }

  async function ofCall(fields: readonly Field[]): Promise<Handed | NotHanded> {
    const lines = fields.filter(({ name }) => carrying.has(name))
    if (lines.length === 0) return { status: 400, problem: 'User-to-User is missing' }
    const found = parseUui(lines.map(({ name, value }) => `${name}: ${value}`).join('\r\n'))
    switch (found.kind) {
      case 'problem':
        return { status: 400, problem: found.message }
      case 'ids':
        return sign({ userId: found.userId, sessionId: found.sessionId, urlToken })
      case 'short-link':
        return open(found.url)
      case 'link':
        return found.signed ? handed(found.url) : sign({ url: found.url })
    }
  }

  async function sign(body: object): Promise<Handed | NotHanded> {
    try {
      const answer = await request(`${api}/links`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      const said: unknown = await answer.body.json()
      if (answer.statusCode === 200 && isRecord(said)) return handed(String(said['url']))
      return { status: answer.statusCode, problem: faultsOf(said) }
    } catch {
      return unreachable
    }
  }

  /** Follows a short link for the agent's browser: nothing else is ever asked than the links API. */
  async function open(url: string): Promise<Handed | NotHanded> {
    const { origin, pathname } = new URL(url)
    if (origin !== api) return { status: 403, problem: 'The short link is of another links API' }
    try {
      const { statusCode, headers, body } = await request(`${api}${pathname}`)
      await body.dump()
      if (statusCode === 303) return handed(String(headers['location']))
      const problem = 'The short link leads nowhere, or no more'
      return statusCode === 404 ? { status: 404, problem } : unreachable
    } catch {
      return unreachable
    }
  }

  /** Whether the signature is right, the gateway says; the desktop frames nothing but the gateway. */
  function handed(url: string): Handed | NotHanded {
    const link = new URL(url)
    const problem = 'The link leads to another gateway'
    if (link.origin !== gateway.origin) return { status: 403, problem }
    const [userId = '', sessionId = ''] = ['userId', 'sessionId'].map(
      (name) => link.searchParams.get(name) ?? '',
    )
    return { link, userId, sessionId }
  }
}

const unreachable: NotHanded = { status: 503, problem: 'The links API cannot be reached' }

/** Of problem details (RFC 9457) as the links API writes them. */
function faultsOf(said: unknown): string {
  const errors = isRecord(said) && Array.isArray(said['errors']) ? said['errors'] : []
  const faults = errors.filter(isRecord).map(({ field, problem }) => `${field} ${problem}`)
  return faults.join('; ') || 'The links API refuses'
}
