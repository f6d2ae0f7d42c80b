// Clients of sockets and event streams.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { handshake } from '../test/websocket/peer.ts'
import { type Chat, documentOf, linkOf } from './requests.ts'
import { answered, messageOf } from './words.ts'

/** Opens so many WebSockets on a path, a few at a time. */
export async function openSockets(
  port: number,
  chat: Chat,
  path: string,
  count: number,
): Promise<Socket[]> {
  return await openAll(port, handshake(port, linkOf(chat, path)), count, 'HTTP/1.1 101')
}

/** Opens so many event streams, a few at a time. */
export async function openStreams(port: number, chat: Chat, count: number): Promise<Socket[]> {
  return await openAll(port, documentOf(chat, '/events'), count, 'HTTP/1.1 200')
}

async function openAll(
  port: number,
  request: string,
  count: number,
  answer: string,
): Promise<Socket[]> {
  const sockets: Socket[] = []
  let started = 0
  const some = async (): Promise<void> => {
    while (started < count) {
      started += 1
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.on('error', () => socket.destroy())
      socket.write(request)
      const [head] = await once(socket, 'data')
      if (!String(head).startsWith(answer)) throw new Error(`socket ${started}: ${head}`)
      sockets.push(socket)
    }
  }
  await Promise.all(Array.from({ length: 16 }, some))
  return sockets
}

export function closeAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy()
}

/** Says one message again and again on each socket, one after the answer to the other. */
export async function converse(
  sockets: readonly Socket[],
  chat: Chat,
  goesOn: (said: number) => boolean,
): Promise<number> {
  const asked = messageOf(chat)
  const counts = await Promise.all(sockets.map((socket) => echo(socket, asked, goesOn)))
  return counts.reduce((sum, count) => sum + count, 0)
}

function echo(socket: Socket, asked: Buffer, goesOn: (said: number) => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = 1
    let bytes = 0
    const onClose = (): void => reject(new Error(`a socket closed after ${said} messages`))
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes < answered.length) return
      bytes -= answered.length
      if (goesOn(said)) {
        said += 1
        socket.write(asked)
        return
      }
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(said)
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.write(asked)
  })
}

/** How many events come on these streams in so many seconds. */
export async function hearEvents(sockets: readonly Socket[], seconds: number): Promise<number> {
  let count = 0
  const onData = (chunk: Buffer): void => {
    // Each has one colon, whatever chunks it comes in.
    for (let at = chunk.indexOf(':'); at >= 0; at = chunk.indexOf(':', at + 1)) count += 1
  }
  for (const socket of sockets) socket.on('data', onData)
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  if (sockets.some(({ destroyed }) => destroyed)) throw new Error('an event stream broke')
  return count
}
