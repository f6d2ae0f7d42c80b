/** What a request says of where it comes from, and what it wants. */
export interface Provenance {
  readonly method: string
  readonly upgrade: boolean
  readonly origin: string | undefined
  /** Fetch Metadata (W3C, §2): set by browsers, out of scripts' reach. */
  readonly fetchSite: string | undefined
  readonly fetchMode: string | undefined
  /** The gateway's own origins. */
  readonly own: readonly string[]
}

// RFC 9110 §9.2.1
const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/**
 * Whether the request may use the credential it carries. Browsers send cookies for whichever page
 * asks (CSRF, cross-site WebSocket hijacking), so where cookies are the only credential the request
 * has to come from the workspace's own page.
 */
export function originAllowed(request: Provenance, cookiesOnly: boolean): boolean {
  const { origin, fetchSite } = request
  const ownOrigin = origin !== undefined && request.own.includes(origin)
  if (request.upgrade) return ownOrigin || (origin === undefined && !cookiesOnly)
  if (!cookiesOnly) return true
  if (fetchSite === undefined) return safe.has(request.method) || ownOrigin
  return fetchSite === 'same-origin' || fetchSite === 'none' || isNavigation(request)
}

/** Whether a browser asks for a document. */
export function isNavigation(request: Provenance): boolean {
  return request.method === 'GET' && request.fetchMode === 'navigate'
}
