// What both ends of a socket or an event stream say.
import { frame, masked } from '../test/websocket/peer.ts'

const size = 200

interface Ids {
  readonly userId: string
  readonly sessionId: string
  readonly urlToken: string
}

/** A client's frame of 200 bytes that name the session: the most that there is to be read in so many. */
export function messageOf({ userId, sessionId, urlToken }: Ids): Buffer {
  const named = `42${JSON.stringify(['event', { userId, sessionId, URLToken: urlToken, text: '' }])}`
  return masked(named.replace('""', `"${'.'.repeat(size - named.length)}"`))
}

export const messageLength = masked('.'.repeat(size)).length

/** The server's answer. */
export const answered = frame('.'.repeat(size))

/** One of an event stream, and the ms between two. */
export const event = `data: ${'.'.repeat(size - 8)}\n\n`
export const eventPause = 10
