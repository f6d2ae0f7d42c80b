import type { AccessRequest } from '../access/access.ts'
import { isShortLink } from './spelling.ts'

/** What can't be explained, without a word of it. */
export interface NoLink {
  readonly field: 'link' | 'page'
  readonly problem: string
}

interface Link {
  readonly url: URL
  /** What is odd about how it is written. */
  readonly notes: readonly string[]
}

/** A link, or what a log has of one: a target, of which PUBLIC_URL says where. */
export function readLink(text: string, publicOrigins: readonly string[] | null): Link | NoLink {
  const notes: string[] = []
  let written = text.trim()
  const [, inner] = /^["'<](.*)["'>]$/s.exec(written) ?? []
  if (inner !== undefined) {
    written = inner.trim()
    notes.push('Quotes around the link were left out.')
  }
  if (written === '') return { field: 'link', problem: 'is empty' }
  if (/[\t\r\n]/.test(written)) {
    notes.push(
      'There are line breaks or tabs in the link: browsers drop them, other programs may not.',
    )
  }
  if (written.startsWith('/')) written = (publicOrigins?.[0] ?? 'http://localhost') + written
  else if (publicOrigins !== null) {
    const { origin = '', pathname = '' } = URL.parse(written) ?? {}
    if (!publicOrigins.includes(origin) && !isShortLink(pathname)) {
      notes.push(
        `The link does not begin with PUBLIC_URL, which is ${publicOrigins.join(' ')}: its session would be of no use there.`,
      )
    }
  }
  const url = URL.parse(written)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return { field: 'link', problem: 'must begin with https://, http:// or /' }
  }
  if (/(?:userId|sessionId|URLToken|auth)=/.test(url.hash)) {
    notes.push(
      'What stands behind the # stays in the browser: the gateway never sees it. Put the parameters before it.',
    )
  }
  return { url, notes }
}

/** A navigation as a frame or a link on a page of somebody's makes it. */
export function navigation(url: URL, own: readonly string[]): AccessRequest {
  return {
    method: 'GET',
    // The fragment stays in the browser.
    target: url.pathname + url.search,
    upgrade: false,
    hosts: [url.host],
    authorizations: [],
    cookie: '',
    origin: undefined,
    fetchSite: 'cross-site',
    fetchMode: 'navigate',
    own,
  }
}

/** The origin of a page; '' where it has none. */
export function pageOf(text: string): string {
  const url = URL.parse(text.trim())
  return url !== null && /^https?:$/.test(url.protocol) ? url.origin : ''
}
