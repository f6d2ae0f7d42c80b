import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createHostCheck } from './host.ts'

/** Why a request gets no answer but this; `detail` is for the operator who reads it. */
export interface Denied {
  readonly status: 400 | 401 | 403 | 421
  readonly detail: string
}

/** What is asked for: anybody's to see, an operator's to see, or an operator's to change. */
export type Access = 'open' | 'read' | 'change'

/** Decides who is answered: null where nothing speaks against it. */
export type Guard = (request: IncomingMessage, access: Access) => Denied | null

/** `host`: what the listener listens on; `token`: what operators know by now, null for nothing. */
export function createGuard(host: string, token: () => string | null): Guard {
  const isOwnHost = createHostCheck(host)

  return (request, access) => {
    const { headers, url = '', rawHeaders } = request
    const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host')
    if (!url.startsWith('/')) return { status: 400, detail: 'The target must begin with /.' }
    if (hosts.length !== 1 || !isOwnHost(headers.host ?? '')) {
      return { status: 421, detail: 'Host must be the address or name of the admin listener.' }
    }
    if (access === 'open') return null
    const site = headers['sec-fetch-site']
    if (site === 'cross-site' || site === 'same-site') {
      return { status: 403, detail: 'Pages of other origins are not answered.' }
    }
    const expected = token()
    if (expected !== null) {
      const [, given] = /^bearer +([^ ]+) *$/i.exec(headers.authorization ?? '') ?? []
      if (given === undefined) return { status: 401, detail: 'Authorization: Bearer is missing.' }
      // Of hashes: neither length nor beginning of the token shows in the time it takes.
      if (timingSafeEqual(digest(given), digest(expected))) return null
      return { status: 401, detail: 'The token is not ADMIN_TOKEN.' }
    }
    // Whoever may connect may read; to change something takes more than a form on a page of anybody's.
    if (access === 'change' && site !== 'same-origin') {
      return { status: 403, detail: 'Without ADMIN_TOKEN only the dashboard may change something.' }
    }
    return null
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
