import type { CopilotLinkError, LinkErrorCode } from '../../packages/copilot-link/src/link.ts'
import { parseUui } from '../../packages/copilot-link/src/uui.ts'
import { parseLink } from '../../packages/copilot-link/src/uui-link.ts'
import { duration } from '../settings/parsers.ts'
import type { Fault } from './faults.ts'
import { type LinkBody, linkLasts, longest, longestId } from './schemas.ts'

/** What a link is to open, and for how long, in ms. */
export interface Asked {
  readonly userId: string
  readonly sessionId: string
  readonly urlToken: string
  readonly expiresIn: number
}

interface Read extends Asked {
  /** What is odd about it, in sentences that quote nothing. */
  readonly warnings: readonly string[]
}

/** Bytes of the ids of one entry, as JSON: what bounds the store. */
const mostKept = 600

/** Reads what a body that its schema accepts names; `kept`: to be signed later. */
export function readAsked(body: LinkBody, kept: boolean): Read | Fault {
  const expiresIn = readDuration('expiresIn', body.expiresIn ?? linkLasts)
  if (typeof expiresIn !== 'number') return expiresIn
  const found = readIds(body)
  if ('problem' in found) return found
  const { warnings, ...named } = found
  const ids = Object.entries(named).map(([field, id]) => ({
    field,
    id,
    length: Array.from(id).length,
  }))
  const tooLong = ids.find(({ length }) => length > longestId)
  if (tooLong) return { field: tooLong.field, problem: `has more than ${longestId} characters` }
  if (kept && Buffer.byteLength(JSON.stringify(named)) > mostKept) {
    const [{ field } = { field: '' }] = ids.sort((a, b) => b.length - a.length)
    return { field, problem: `is too long to be kept: with the others over ${mostKept} bytes` }
  }
  return { ...named, warnings: [...warnings, ...ids.flatMap(oddOfId)], expiresIn }
}

/** In ms. */
export function readDuration(field: string, text: string): number | Fault {
  const read = duration(1000, longest)(text)
  return 'value' in read ? read.value : { field, problem: read.problems.join('; ') }
}

/** The field that a link could not be made for. */
export function faultOf(error: CopilotLinkError): Fault {
  return { field: fields[error.code] ?? '', problem: error.message }
}

const fields: Partial<Readonly<Record<LinkErrorCode, string>>> = {
  'user-id-invalid': 'userId',
  'session-id-invalid': 'sessionId',
  'url-token-invalid': 'urlToken',
}

function readIds({ url, uui, ...given }: LinkBody): Omit<Read, 'expiresIn'> | Fault {
  if (url !== undefined) return ofLink('url', parseLink(url))
  if (uui === undefined) {
    const { userId = '', sessionId = '', urlToken = '' } = given
    return { userId, sessionId, urlToken, warnings: [] }
  }
  const found = parseUui(uui)
  const { urlToken } = given
  if (found.kind === 'ids') {
    const { userId, sessionId } = found
    if (urlToken !== undefined) return { userId, sessionId, urlToken, warnings: [] }
    return { field: 'urlToken', problem: 'is missing, and the value names none' }
  }
  const ids = ofLink('uui', found)
  if ('problem' in ids || urlToken === undefined || urlToken === ids.urlToken) return ids
  return { field: 'urlToken', problem: 'is not the one that the value names' }
}

function ofLink(
  field: 'url' | 'uui',
  found: Exclude<ReturnType<typeof parseUui>, { kind: 'ids' }> | ReturnType<typeof parseLink>,
): Omit<Read, 'expiresIn'> | Fault {
  if (found.kind === 'problem') return { field, problem: found.message }
  if (found.kind === 'short-link') return { field, problem: 'is a short link already' }
  if (found.signed) return { field, problem: 'has an auth already: give the plain link' }
  const { userId, sessionId, urlToken } = found
  const said = 'warnings' in found ? found.warnings : []
  // It has arrived, however long, and is signed here.
  const odd = said.filter(({ warning }) => !/^(?:not-signed$|longer-)/.test(warning))
  const warnings = [...odd.map(({ message }) => message), ...oddOfLink(new URL(found.url))]
  return { userId, sessionId, urlToken, warnings }
}

/** What the gateway would not take as it is. */
function oddOfLink({ search, hash }: URL): string[] {
  const escaped =
    'The link was HTML-escaped: it has &amp; where & belongs, and only here that is read'
  const rest = 'What stands behind the # of the link is left out; in an id it is written %23'
  return [...(search.includes('&amp;') ? [escaped] : []), ...(hash === '' ? [] : [rest])]
}

/** The desktop has such an id too, or nothing matches. */
function oddOfId({ field, id }: { readonly field: string; readonly id: string }): string[] {
  const isOdd = /\p{Cc}|^\s|\s$/u.test(id)
  return isOdd ? [`${field} has a control character, or white space at one of its ends`] : []
}
