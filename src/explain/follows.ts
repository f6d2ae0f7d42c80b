import type { Gate } from '../access/access.ts'
import { type Decision, denials, type Grant } from '../access/decision.ts'
import { isOwn } from '../access/paths.ts'
import { parseQuery } from '../access/query.ts'
import { framedBy } from '../forward/frame-ancestors.ts'
import { printable } from '../report/words.ts'
import type { Known } from './explain.ts'
import { moment } from './values.ts'

/** What the client, the workspace and the browser get by a decision. */
export function next(decision: Decision, { gate }: Known, now: number): string[] {
  const said: string[] = []
  if (!decision.allow) {
    said.push(
      `The client is answered ${denials[decision.reason]}, and not told why. Nothing goes upstream.`,
    )
  } else {
    said.push(...opening(decision, now))
    if (isOwn(decision.path)) said.push('The gateway answers by itself: nothing goes upstream.')
    else said.push(`The request goes upstream ${carried(decision, gate)}.`)
  }
  return said
}

/** Who may frame the answer. `page` is an origin, `own` the gateway’s. */
export function framing(
  { subject }: Decision,
  { gate }: Known,
  page: string | null,
  own: string,
): string[] {
  const { contactCenters } = gate.keyring
  const contactCenter = contactCenters.get(subject.contactCenter ?? '')
  const sources = contactCenter?.frameAncestors ?? []
  const said =
    contactCenter === undefined
      ? 'No contact center is proven: any page that one of them allows may frame the answer.'
      : `Pages that may frame it: ${sources.join(' ') || 'none'}.`
  if (page === null) return [said]
  const all = [...contactCenters.values()].flatMap(({ frameAncestors }) => frameAncestors)
  return framedBy(contactCenter === undefined ? all : sources, page, own)
    ? [said, `${page} may frame it.`]
    : [said, `${page} may not frame it: FRAME_ANCESTORS has to name it.`]
}

function opening(decision: Grant, now: number): string[] {
  if (decision.reported !== null)
    return ['It is let through as it is and reported: no session is opened.']
  const { opened, setCookies } = decision
  if (opened === null) return []
  const [cookie = ''] = setCookies
  const name = cookie.slice(0, cookie.indexOf('='))
  return [`It opens a session until ${moment(opened.end, now)}, in the cookie ${name}.`]
}

function carried({ query }: Grant, { forwardAuth }: Gate): string {
  if (parseQuery(query)?.auth == null) return 'without auth'
  return forwardAuth === 'resign'
    ? 'with a fresh auth, signed by the gateway'
    : 'with auth as it came'
}

/** What could be otherwise where a gateway runs. */
export function unknown(decision: Decision, { gate, by }: Known): string[] {
  const said: string[] = []
  if (by === 'gateway') return said
  const publishing = [...gate.keyring.contactCenters.values()].filter(
    ({ jwksUrl }) => jwksUrl !== null,
  )
  if (publishing.length > 0) {
    const names = publishing
      .slice(0, 5)
      .map(({ name }) => printable(name))
      .join(', ')
    const more = publishing.length > 5 ? ` and ${publishing.length - 5} more` : ''
    said.push(
      `The public keys of ${names}${more} are published, and were not fetched: a gateway may verify what nothing here does.`,
    )
  }
  if (by === 'settings' && decision.allow) said.push('Sessions that were ended before their time.')
  return said
}
