/**
 * An audit line as a person reads it: every refusal, whoever is let in to a page or a socket, and what
 * became of links. Null: the rest of what a page loads.
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
      return link(event)
    default:
      return [event['msg'] ?? line.trim()]
  }
}

/** What the links API did, by what was asked of it; of the rest, such as its reference, nobody is told. */
const done: Readonly<Record<string, readonly [verb: string, what: string]>> = {
  sign: ['signed ', 'link'],
  shorten: ['signed ', 'short link'],
  keep: ['kept   ', 'link'],
  'look-up': ['found  ', 'link'],
  open: ['opened ', 'short link'],
}

function link(event: Readonly<Record<string, unknown>>): readonly unknown[] | null {
  const { asked, status, reason, client, sessionId, requestId } = event
  if (Number(status) >= 400) {
    return ['refused', status, reason, asked, 'link', `request ${requestId}`]
  }
  const words = done[String(asked)]
  // Who asks only for the head of a short link opens none.
  return words === undefined || sessionId === undefined
    ? null
    : [...words, sessionId, `for ${client}`]
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
