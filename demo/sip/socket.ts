import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo } from 'node:dgram'
import { parseMessage, type SipRequest, type SipResponse } from './message.ts'

export type Peer = Pick<RemoteInfo, 'address' | 'port'>

export interface SipSocket extends Peer {
  readonly send: (message: Buffer, peer: Peer) => void
  readonly close: () => Promise<void>
}

/** Hears SIP messages on loopback; 0 takes a free port, as does one that is taken. Junk is not heard. */
export async function openSipSocket(
  preferred: number,
  hear: (message: SipRequest | SipResponse, from: Peer) => void,
): Promise<SipSocket> {
  const socket = createSocket('udp4')
  socket.on('message', (datagram, from) => {
    const message = parseMessage(datagram)
    if (message !== null) hear(message, from)
  })
  let open = false
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: '127.0.0.1', port: preferred, exclusive: true }, resolve)
    })
    open = true
  } catch (error) {
    socket.close()
    if (preferred === 0) throw error
    return openSipSocket(0, hear)
  }
  const { address, port } = socket.address()
  return {
    address,
    port,
    // What can't be sent is lost, as any datagram may be.
    send: (message, peer) => open && socket.send(message, peer.port, peer.address, () => {}),
    close: () =>
      new Promise((resolve) => {
        if (!open) return resolve()
        open = false
        socket.close(() => resolve())
      }),
  }
}

/** Tags, branches and Call-IDs: nobody guesses them (RFC 3261 §19.3). */
export function unique(): string {
  return randomBytes(12).toString('hex')
}

/** RFC 3261 §8.1.1.7: what a branch begins with. */
export function newBranch(): string {
  return `z9hG4bK${unique()}`
}
