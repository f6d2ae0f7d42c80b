import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Past so many connections the one goes that has asked nothing for longest, so that whoever holds them
 * keeps no probe out; the new one itself where all others are being answered. What it returns ends those
 * that are not being answered.
 */
export function makeRoom(server: Server, connections: number): () => void {
  const idle = new Set<Socket>()
  let open = 0
  server.on('connection', (socket: Socket) => {
    open += 1
    idle.add(socket)
    socket.once('close', () => {
      open -= 1
      idle.delete(socket)
    })
    if (open <= connections) return
    const [longest = socket] = idle
    idle.delete(longest)
    longest.destroy()
  })
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket)
    response.once('close', () => {
      if (!socket.destroyed) idle.add(socket)
    })
  })
  return () => {
    for (const socket of idle) socket.destroy()
  }
}
