/**
 * An audit line as a person reads it: every refusal, and whoever is let in to a page or a socket.
 * Null: the rest of what a page loads.
 */
export function readable(line: string): string | null {
  const event: Readonly<Record<string, unknown>> = JSON.parse(line)
  const time = new Date(Number(event['time'])).toTimeString().slice(0, 8)
  const words = event['event'] === 'access' ? access(event) : [event['msg'] ?? line.trim()]
  return words && [time, ...words].filter((word) => word !== undefined).join('  ')
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
