import { decode } from '../access/target.ts'
import type { Revoked } from '../state/revocations.ts'
import { Invalid, isMalformed, readParameters } from './parameters.ts'

/**
 * The sessions that a DELETE's target names: one in the path, or all of a user's or contact center's
 * in the query. An empty value is refused: what a script left out must not end everybody's session.
 */
export function readRevocation(
  target: string,
  contactCenters: readonly string[],
): Revoked | Invalid {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  const ofOne = path !== '/sessions'
  const values = readParameters(query, ofOne ? [] : ['userId', 'contactCenter'])
  if (values instanceof Invalid) return values
  if (ofOne) return readSessionId(path.slice('/sessions/'.length))
  const contactCenter = values.get('contactCenter') ?? null
  const userId = values.get('userId') ?? null
  if (userId === '') return new Invalid('userId', 'is empty')
  if (contactCenter === null && userId === null) {
    return new Invalid('userId', 'is missing, and so is contactCenter: one of them is needed')
  }
  if (contactCenter !== null && !contactCenters.includes(contactCenter)) {
    return new Invalid('contactCenter', 'is the name of none')
  }
  return { contactCenter, userId, sessionId: null }
}

function readSessionId(segment: string): Revoked | Invalid {
  const sessionId = decode(segment)
  if (sessionId === null) return new Invalid('sessionId', isMalformed)
  if (sessionId === '') return new Invalid('sessionId', 'is empty')
  if (segment.includes('/')) return new Invalid('sessionId', 'must have its / written as %2F')
  return { contactCenter: null, userId: null, sessionId }
}
