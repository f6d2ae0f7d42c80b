import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { type Headers, isForwarded } from './response-headers.ts'

/** Passes a 1xx answer on, where Node can say it. */
export function earlyHints(
  response: ServerResponse,
  status: number,
  headers: IncomingHttpHeaders,
): void {
  // HTTP/2 has no such method.
  if (status === 102 && 'writeProcessing' in response) response.writeProcessing()
  if (status !== 103 || headers['link'] === undefined) return
  // Node takes one link a string.
  const link = [headers['link']].flat().flatMap((line) => line.split(/,\s*(?=<)/))
  try {
    response.writeEarlyHints({ link })
  } catch {
    // Node throws at links that it can't read. A hint is not worth a request.
  }
}

/** Fields that a trailer must not carry (RFC 9110 §6.5.1), and those the gateway sets. */
const headersOnly: ReadonlySet<string> = new Set([
  'cache-control',
  'content-encoding',
  'content-length',
  'content-security-policy',
  'content-type',
  'location',
  'set-cookie',
])

/** The trailers of an answer that go on; null for none. */
export function responseTrailers(trailers: IncomingHttpHeaders): IncomingHttpHeaders | null {
  const sent = Object.entries(trailers)
  if (sent.length === 0) return null
  const kept = sent
    .filter(([name]) => isForwarded(name) && !headersOnly.has(name))
    .map(([name, value]) => [name, [value].flat().join(', ')] as const)
  return kept.length === 0 ? null : Object.fromEntries(kept)
}

/** The head of a 101 to the client, with the upstream's headers as the gateway has made them. */
export function head101(headers: Headers): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    // RFC 9110 §8.6
    name === 'content-length' ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`),
  )
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  return `HTTP/1.1 101 Switching Protocols\r\n${upgrade}${lines.join('')}\r\n`
}
