import type { Duplex } from 'node:stream'
import { clientFrame, closeFrame, headerLength, payloadLength } from '../forward/frames.ts'
import { Failure } from './failure.ts'

/** A chat's end of Copilot's socket: socket.io 4 over engine.io 4. Whatever waits for an answer rejects with a Failure. */
export interface Channel {
  /** Once the workspace has let the socket in. */
  readonly connected: Promise<unknown>
  readonly join: (ids: Readonly<Record<string, string>>) => Promise<unknown>
  /** Until a ping behind it is answered: Copilot acknowledges no message. */
  readonly say: (text: string) => Promise<unknown>
  readonly isOpen: () => boolean
  readonly leave: () => void
}

interface Waiter {
  readonly resolve: (answer: string) => void
  readonly reject: (why: Failure) => void
}

/** Workspaces send tiles, not films. */
const mostBytes = 16 * 2 ** 20
/** Of a frame, to know what it says. */
const enough = 4096
/** Ms that the other side has for its half of the close. */
const farewell = 1000

/** `patience`: ms for an answer. `onEnd` hears once why the other side closed it; null where it did not. */
export function openChannel(
  socket: Duplex,
  apiToken: string | null,
  patience: number,
  onEnd: (lost: string | null) => void,
): Channel {
  const waiting = new Map<string, Waiter>()
  let open = true
  let said = 0

  const answerTo = (what: string): Promise<string> =>
    new Promise((resolve, reject) => {
      if (!open) return reject(new Failure('socket lost'))
      const timer = setTimeout(() => settle(what, new Failure('timeout')), patience)
      const done = (): void => {
        clearTimeout(timer)
        waiting.delete(what)
      }
      waiting.set(what, {
        resolve(answer) {
          done()
          resolve(answer)
        },
        reject(why) {
          done()
          reject(why)
        },
      })
    })
  const settle = (what: string, answer: string | Failure): void => {
    const waiter = waiting.get(what)
    if (answer instanceof Failure) waiter?.reject(answer)
    else waiter?.resolve(answer)
  }
  const send = (...packets: readonly Buffer[]): void => {
    if (open) socket.write(packets.length === 1 ? packets[0] : Buffer.concat(packets))
  }
  const lose = (why: string): void => {
    if (!open) return
    open = false
    for (const { reject } of waiting.values()) reject(new Failure(why))
    onEnd(why)
  }
  const close = (code: number): void => {
    socket.end(closeFrame(code, '', true))
    setTimeout(() => socket.destroy(), farewell).unref()
  }

  const hear = (first: number, payload: Buffer): void => {
    const opcode = first & 0x0f
    if (opcode === text) read(payload)
    else if (opcode === ping) send(clientFrame(pong, payload))
    else if (opcode === pong) settle(payload.toString(), '')
    else if (opcode === closing) {
      lose(closeOf(payload))
      close(1000)
    }
  }
  const read = (payload: Buffer): void => {
    // Events are most of it, and nothing in them is of use here.
    if (payload[0] === 0x34 && payload[1] === 0x32) return
    const packet = payload.toString()
    const token = apiToken === null ? {} : { token: apiToken }
    if (packet.startsWith('0')) send(textFrame(`40${JSON.stringify(token)}`))
    else if (packet === '2') send(textFrame('3'))
    else if (packet.startsWith('40')) settle('connected', packet)
    else if (packet.startsWith('44')) settle('connected', new Failure('CONNECT refused'))
    else if (packet === '430[]' || packet === '430[null]') settle('joined', packet)
    else if (packet.startsWith('430')) settle('joined', new Failure('join refused'))
    else if (packet === '1' || packet.startsWith('41')) {
      lose('disconnected')
      close(1000)
    }
  }

  const take = framesOf(hear, () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    take(chunk)
    // Who does not read what is answered is not heard, either.
    if (!socket.writableNeedDrain) return
    socket.pause()
    socket.once('drain', () => socket.resume())
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => lose('1006'))
  return {
    connected: answerTo('connected'),
    join(ids) {
      const joined = answerTo('joined')
      send(textFrame(`420${JSON.stringify(['join', ids])}`))
      return joined
    },
    say(message) {
      said += 1
      const answered = answerTo(String(said))
      const event = textFrame(`42${JSON.stringify(['sendMessage', { text: message }])}`)
      send(event, clientFrame(ping, Buffer.from(String(said))))
      return answered
    },
    isOpen: () => open,
    leave() {
      if (!open) return
      open = false
      onEnd(null)
      // As a page does that is closed.
      close(1001)
    },
  }
}

const text = 1
const closing = 8
const ping = 9
const pong = 10
const none = Buffer.alloc(0)

function textFrame(packet: string): Buffer {
  return clientFrame(text, Buffer.from(packet))
}

/**
 * Reads what a server sends (RFC 6455 §5.2): of each frame the beginning, and of a fragmented message only the first
 * frame, which has the packet's type.
 */
function framesOf(
  onFrame: (first: number, payload: Buffer) => void,
  onExcess: () => void,
): (chunk: Buffer) => void {
  let held = none
  /** Of a frame that was told of already. */
  let left = 0
  return (chunk) => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let at = Math.min(left, bytes.length)
    left -= at
    while (bytes.length - at >= 2) {
      const header = headerLength(bytes[at + 1] ?? 0)
      if (bytes.length - at < header) break
      const length = payloadLength(bytes, at)
      if (length > mostBytes) return onExcess()
      const begins = at + header
      const kept = begins + Math.min(length, enough)
      if (bytes.length < kept) break
      onFrame(bytes[at] ?? 0, bytes.subarray(begins, kept))
      at = Math.min(begins + length, bytes.length)
      left = begins + length - at
    }
    // A copy: the rest would keep the whole chunk.
    held = at === bytes.length ? none : Buffer.from(bytes.subarray(at))
  }
}

/** A code, and its reason where it is one of the gateway's: another may hold whatever was sent, a token too. */
function closeOf(payload: Buffer): string {
  if (payload.length < 2) return '1005'
  const reason = payload.toString('latin1', 2)
  return `${payload.readUInt16BE()} ${/^session-[a-z]{1,20}$/.test(reason) ? reason : ''}`.trim()
}
