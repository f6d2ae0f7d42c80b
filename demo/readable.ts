/**
 * An audit line as a person reads it: every refusal, and whoever is let in to a page or a socket.
 * Null: the rest of what a page loads.
 */
export function readable(line: string): string | null {
  const event: Readonly<Record<string, unknown>> = JSON.parse(line)
  const { decision, status, path, transport, socket, sessionId, requestId } = event
  const time = new Date(Number(event['time'])).toTimeString().slice(0, 8)
  if (event['event'] !== 'access') return `${time}  ${event['msg'] ?? line.trim()}`

  const denied = decision === 'deny'
  if (!denied && transport === 'http' && path !== '/') return null
  const cells = [
    time,
    denied ? 'refused' : 'let in ',
    status,
    denied ? event['reason'] : transport === 'http' ? 'page' : `socket ${socket ?? ''}`,
    path,
    sessionId,
    denied ? `request ${requestId}` : null,
  ]
  return cells.filter((cell) => cell !== undefined && cell !== null).join('  ')
}
