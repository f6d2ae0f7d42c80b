// Both ends of the sockets: a client that says one event again and again, a server that answers it.
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { ids, link, listen } from '../../test/stage.ts'
import { accepting, frame, handshake, masked } from '../../test/websocket/peer.ts'

/** 200 bytes that name their session: the most that there is to be read in so many. */
const event = JSON.stringify(['event', { ...ids, text: '' }])
const payload = `42${event.replace('""', `"${'x'.repeat(198 - event.length)}"`)}`
const asked = masked(payload)
const answered = frame(payload)

export interface Upstream {
  readonly port: number
  readonly close: () => void
}

/** Answers as many whole messages as have arrived. */
export async function startUpstream(): Promise<Upstream> {
  const server = createServer()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    let bytes = 0
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      for (; bytes >= asked.length; bytes -= asked.length) socket.write(answered)
    })
    socket.write(accepting(request))
  })
  const port = await listen(server)
  return { port, close: () => server.close() }
}

export interface Target {
  readonly port: number
  readonly path: string
  readonly tls: boolean
}

/** Opens so many sockets, a few at a time. */
export async function openAll(target: Target, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  let started = 0
  const some = async (): Promise<void> => {
    while (started < count) {
      started += 1
      const { socket, head } = await dial(target, link({}, target.path))
      if (!head.startsWith('HTTP/1.1 101')) throw new Error(`socket ${started}: ${head}`)
      sockets.push(socket)
    }
  }
  await Promise.all(Array.from({ length: 16 }, some))
  return sockets
}

/** The status that somebody gets whose token is of another session. */
export async function refusal(target: Target): Promise<string> {
  const { socket, head } = await dial(target, link({ sessionId: 'of-another' }, target.path))
  socket.destroy()
  return head.slice(9, 12)
}

async function dial(
  { port, tls }: Target,
  path: string,
): Promise<{ readonly socket: Socket; readonly head: string }> {
  const options = { port, host: '127.0.0.1', noDelay: true }
  const socket = tls
    ? connectTls({ ...options, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
    : connect(options)
  socket.on('error', () => socket.destroy())
  socket.write(handshake(port, path))
  const [head] = await once(socket, 'data')
  return { socket, head: String(head) }
}

/** Says the event `count` times on each socket, one after the answer to the other. */
export async function converse(sockets: readonly Socket[], count: number): Promise<void> {
  await Promise.all(sockets.map((socket) => echo(socket, count)))
}

function echo(socket: Socket, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count
    let bytes = 0
    const onClose = (): void => reject(new Error(`closed with ${left} answers to come`))
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes < answered.length) return
      bytes -= answered.length
      left -= 1
      if (left > 0) {
        socket.write(asked)
      } else {
        socket.off('data', onData)
        socket.off('close', onClose)
        resolve()
      }
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.write(asked)
  })
}
