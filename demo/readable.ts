/**
 * An audit line as a person reads it: every refusal, and whoever is let in to a page or a socket.
 * Null: the rest of what a page loads.
 */
export function readable(line: string): string | null {
  const event: Readonly<Record<string, unknown>> = JSON.parse(line)
  const time = new Date(Number(event['time'])).toTimeString().slice(0, 8)
  const words = wordsOf(event, line)
  return words && [time, ...words].filter((word) => word !== undefined).join('  ')
}

function wordsOf(
  event: Readonly<Record<string, unknown>>,
  line: string,
): readonly unknown[] | null {
  switch (event['event']) {
    case 'access':
      return access(event)
    case 'link':
      return signed(event)
    default:
      return [event['msg'] ?? line.trim()]
  }
}

/** What the links API did. */
function signed({
  asked,
  status,
  client,
  sessionId,
  requestId,
}: Readonly<Record<string, unknown>>) {
  if (status === 200 || status === 303) return ['signed ', 'link', sessionId, `for ${client}`]
  return ['refused', status, asked, 'link', `request ${requestId}`]
}

function access(event: Readonly<Record<string, unknown>>): readonly unknown[] | null {
  const { decision, status, reason, path, socket, ended, sessionId, requestId } = event
  if (decision === 'deny') {
    return ['refused', `${status} ${reason}`, path, sessionId, `request ${requestId}`]
  }
  if (socket !== undefined)
    return [socket === 'open' ? 'let in ' : 'closed ', 'socket', sessionId, ended]
  return path === '/' ? ['let in ', 'page', sessionId] : null
}
