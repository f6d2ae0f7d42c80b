import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { denials, type Reason } from './access/decision.ts'
import { type Framing, type Headers, ownHeaders } from './forward/response-headers.ts'
import { type Message, page, pageCsp, refusalPage } from './pages.ts'

/** An answer of the gateway's own. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/**
 * What the client gets to see of a refusal: a status, and nothing of the reason but whether a fresh
 * link would help. A page where HTML is accepted, else problem details (RFC 9457). `wait`: how long
 * the client is past the rate of refusals, in ms.
 */
export function refusal(
  reason: Reason,
  framing: Framing,
  accept: string | undefined,
  wait: number,
): Answer {
  const status = denials[reason]
  const { requestId } = framing
  const headers = ownHeaders(framing)
  headers['cache-control'] = 'no-store'
  // RFC 9110 §15.5.2
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="copilot"'
  // RFC 9110 §10.2.3, in seconds
  if (status === 429) headers['retry-after'] = String(Math.ceil(wait / 1000))
  if (status === 503) headers['retry-after'] = '30'
  if (acceptsHtml(accept)) {
    return html(status, headers, refusalPage(status, requestId, renewable.has(reason)), framing)
  }
  const title = STATUS_CODES[status] ?? ''
  const body = JSON.stringify({ type: 'about:blank', title, status, requestId })
  headers['content-type'] = 'application/problem+json'
  headers['content-length'] = String(Buffer.byteLength(body))
  return { status, headers, body }
}

/** The token was authentic and has ended: a fresh link would be let in. */
const renewable: ReadonlySet<Reason> = new Set(['token-expired', 'token-too-old', 'token-replayed'])

/** A page that says something was done, to whoever looks and to the frames around it. */
export function notice(
  title: string,
  text: string,
  message: Message,
  framing: Framing,
  setCookies: readonly string[],
): Answer {
  const headers = ownHeaders(framing)
  headers['cache-control'] = 'no-store'
  if (setCookies.length > 0) headers['set-cookie'] = [...setCookies]
  return html(200, headers, page(title, `<p>${text}</p>`, message), framing)
}

function html(status: number, headers: Headers, body: string, framing: Framing): Answer {
  headers['content-type'] = 'text/html; charset=utf-8'
  headers['content-security-policy'] = `${pageCsp}; frame-ancestors ${framing.frameAncestors}`
  headers['content-length'] = String(Buffer.byteLength(body))
  return { status, headers, body }
}

/** Whether text/html is asked for by name (RFC 9110 §12.5.1). */
export function acceptsHtml(accept = ''): boolean {
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    return type === 'text/html' && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
}

/** Begins an answer over HTTP/1.1, HTTP/2, or the socket of an upgrade: all but its body. */
export function sendHead(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers }: Answer,
): void {
  // What of an upstream's head Node would not take is still there, and would fail this too.
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  if (!('stream' in request)) response.statusMessage = ''
  response.writeHead(status, headers)
}

/** Whether a refusal is the client's doing: what the gateway or the workspace lacks is not. */
export function countsAsRefusal(reason: Reason): boolean {
  return denials[reason] < 500
}
