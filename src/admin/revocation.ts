import { decode } from '../access/target.ts'
import type { Revoked } from '../state/revocations.ts'
import { Invalid, isMalformed, readParameters } from './parameters.ts'

/**
 * The sessions that a DELETE's target names: those of an id in the path, which the query may narrow to
 * a user or contact center, or all of a user's or contact center's. An empty value is refused: what a script left out must not end everybody's session.
 */
export function readRevocation(
  target: string,
  contactCenters: readonly string[],
): Revoked | Invalid {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  const ofOne = path !== '/sessions'
  const values = readParameters(query, ['userId', 'contactCenter'])
  if (values instanceof Invalid) return values
  const contactCenter = values.get('contactCenter') ?? null
  const userId = values.get('userId') ?? null
  if (userId === '') return new Invalid('userId', 'is empty')
  if (!ofOne && contactCenter === null && userId === null) {
    return new Invalid('userId', 'is missing, and so is contactCenter: one of them is needed')
  }
  if (contactCenter !== null && !contactCenters.includes(contactCenter)) {
    return new Invalid('contactCenter', 'is the name of none')
  }
  const sessionId = ofOne ? readSessionId(path.slice('/sessions/'.length)) : null
  return sessionId instanceof Invalid ? sessionId : { contactCenter, userId, sessionId }
}

function readSessionId(segment: string): string | Invalid {
  const sessionId = decode(segment)
  if (sessionId === null) return new Invalid('sessionId', isMalformed)
  if (sessionId === '') return new Invalid('sessionId', 'is empty')
  if (segment.includes('/')) return new Invalid('sessionId', 'must have its / written as %2F')
  return sessionId
}
