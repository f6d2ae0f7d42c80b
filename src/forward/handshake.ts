import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isSocketIo } from '../access/paths.ts'

/** A client that waits for its 101. */
export interface Upgrade {
  readonly socket: Duplex
  /** Calls back once, instead of destroying the socket, where the client ends its side: nobody who waits does that. */
  readonly onLeave: (left: () => void) => void
  /** From now on it is this answer that is told when the socket has room again, as Node tells its own. */
  readonly answerWith: (response: ServerResponse) => void
  /** Lets go of the socket, which keeps nothing of its request, and returns what the client has said on it so far. */
  readonly take: () => Buffer
}

/** What a client may say ahead of its 101, in bytes, before it is read no further. */
const earlyLimit = 64 * 1024

/**
 * Listens to a client that waits: a FIN is heard only where somebody reads. `head` is what it has said
 * so far, `before` the answer that is on its way to it, which Node no longer tells that there is room.
 */
export function awaitUpgrade(
  socket: Duplex,
  head: Buffer,
  before: () => ServerResponse | undefined,
): Upgrade {
  let early = head
  let left = (): void => {
    socket.destroy()
  }
  let answer = before
  const onData = (chunk: Buffer): void => {
    early = Buffer.concat([early, chunk])
    if (early.length > earlyLimit) socket.pause()
  }
  const onEnd = (): void => left()
  const onDrain = (): unknown => answer()?.emit('drain')
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.on('drain', onDrain)
  return {
    socket,
    onLeave(callback) {
      left = callback
    },
    answerWith(response) {
      answer = () => response
    },
    take() {
      socket.off('data', onData)
      socket.off('end', onEnd)
      socket.off('drain', onDrain)
      return early
    },
  }
}

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
  return !isSocketIo(path)
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
