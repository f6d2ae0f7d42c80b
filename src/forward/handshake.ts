import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

/** A WebSocket handshake (RFC 6455 §4.1), as far as a proxy depends on it; the upstream judges the rest. */
export function isHandshake({ method, httpVersion, headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['transfer-encoding'] === undefined &&
    Number(headers['content-length'] ?? 0) === 0 &&
    /^[a-z\d+/]{22}==$/i.test(headers['sec-websocket-key'] ?? '')
  )
}

/** Copilot's own socket is one whose messages the gateway has to be able to read. */
export function extensionsAllowed(path: string): boolean {
  return !path.startsWith('/socket.io/')
}

/** Request headers, names and values in turn, without an offer of extensions. */
export function withoutExtensions(headers: readonly string[]): string[] {
  const nameOf = (i: number): string | undefined => headers[i - (i % 2)]?.toLowerCase()
  return headers.filter((_, i) => nameOf(i) !== 'sec-websocket-extensions')
}

/** Whether a 101 answers this very handshake (RFC 6455 §4.1), and agrees on nothing it must not. */
export function acceptsHandshake(
  { headers }: IncomingMessage,
  answer: IncomingHttpHeaders,
  extensions: boolean,
): boolean {
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
  const expected = createHash('sha1')
    .update(headers['sec-websocket-key'] + guid)
    .digest('base64')
  if (answer['sec-websocket-accept'] !== expected) return false
  if (answer.upgrade?.toLowerCase() !== 'websocket') return false
  return extensions || answer['sec-websocket-extensions'] === undefined
}
