import { isUtf8 } from 'node:buffer'
import type { Lease } from '../access/lease.ts'
import type { Named } from '../access/session.ts'
import { type Channel, parametersOf } from './channels.ts'
import { repeatedKey } from './repeated-key.ts'

/** What may be made of a message of the client's: nothing where it can't be read or names another session. */
export type Verdict =
  | { readonly pass: true; readonly rewritten: string | null }
  | { readonly pass: false; readonly problem: Problem }

export type Problem = 'unreadable-event' | 'foreign-event' | 'revoked-session'

/** Told whom a foreign event names, where that is only reported: null, or why it must not pass all the same. */
export type ReportForeign = (named: readonly Named[]) => Problem | null

/** The word that stands in the browser where the backend's API token would. */
export const standIn = 'copilot-gateway'

const passed: Verdict = { pass: true, rewritten: null }
const unreadable: Verdict = { pass: false, problem: 'unreadable-event' }
const foreign: Verdict = { pass: false, problem: 'foreign-event' }

/** socket.io servers wait for this many attachments and no more, by default less. */
const mostAttachments = 1000
/** Of one event that name ids; each costs a comparison with every session of the lease. */
const mostNaming = 16

/**
 * Reads what a client says on Copilot's channel: socket.io 4 over engine.io 4, protocol revisions 5
 * and 4. Whatever names a session at the top level of an argument has to name one of the lease's,
 * and leaves it no other.
 */
export class ChannelReader {
  readonly #channel: Channel
  readonly #lease: Lease
  readonly #apiToken: string | null
  readonly #report: ReportForeign | null

  /** `report`: null where foreign events do not pass; what can't be read never does. */
  constructor(
    channel: Channel,
    lease: Lease,
    apiToken: string | null,
    report: ReportForeign | null,
  ) {
    this.#channel = channel
    this.#lease = lease
    this.#apiToken = apiToken
    this.#report = report
  }

  /** Nothing more will be said or heard. */
  leave(): void {
    this.#channel.leave(this.#lease)
  }

  /** A binary WebSocket message: an attachment, whose bytes name nothing. */
  readBinary(): Verdict {
    if (this.#channel.attachments === 0) return unreadable
    this.#channel.attachments -= 1
    return passed
  }

  /** A text WebSocket message: one packet. */
  readText(payload: Buffer): Verdict {
    return isUtf8(payload) ? this.#readPacket(payload.toString()) : unreadable
  }

  /** The body of a poll: packets with a record separator between them. */
  readPoll(body: Buffer): Verdict {
    if (!isUtf8(body)) return unreadable
    let rewritten = false
    const packets: string[] = []
    for (const packet of body.toString().split('\x1e')) {
      const verdict = this.#readPacket(packet)
      if (!verdict.pass) return verdict
      rewritten ||= verdict.rewritten !== null
      packets.push(verdict.rewritten ?? packet)
    }
    return rewritten ? { pass: true, rewritten: packets.join('\x1e') } : passed
  }

  /** An engine.io packet. What pings, closes and upgrades may say besides, another parser could read. */
  #readPacket(packet: string): Verdict {
    try {
      return this.#readReadable(packet)
    } catch {
      // What is nested deeper than the stack, for one.
      return unreadable
    }
  }

  #readReadable(packet: string): Verdict {
    const data = packet.slice(1)
    switch (packet[0]) {
      // close, upgrade, noop
      case '1':
      case '5':
      case '6':
        return data === '' ? passed : unreadable
      // ping, pong
      case '2':
      case '3':
        return data === '' || data === 'probe' ? passed : unreadable
      case '4':
        return this.#readMessage(data)
      case 'b':
        return /^[\w+/-]*={0,2}$/.test(data) ? this.readBinary() : unreadable
      default:
        return unreadable
    }
  }

  /** A socket.io packet: `<type>[<attachments>-][/<namespace>,][<ack id>][<JSON>]`. */
  #readMessage(message: string): Verdict {
    const parts = partsOf(message)
    if (parts === null || this.#channel.attachments > 0) return unreadable
    const [head = '', type, count, namespace = '', id = ''] = parts
    const json = message.slice(head.length)
    const attachments = Number(count ?? 0)
    const isBinary = type === '5' || type === '6'
    if ((count !== undefined) !== isBinary || attachments > mostAttachments) return unreadable
    // To the protocol before, a query there is what a client says of itself.
    if (namespace.includes('?')) return unreadable
    // White space here is an ack id to other parsers.
    if (json !== '' && json[0] !== '[' && json[0] !== '{') return unreadable
    const data = json === '' ? undefined : parse(json)
    if (data === invalid) return unreadable
    switch (type) {
      case '0':
        return id === '' ? this.#readConnect(namespace, data, json) : unreadable
      case '1':
        return data === undefined ? passed : unreadable
      case '2':
      case '5': {
        if (!Array.isArray(data) || !isEventName(data[0])) return unreadable
        return this.#readArguments(data, json, attachments)
      }
      case '3':
      case '6':
        return Array.isArray(data) ? this.#readArguments(data, json, attachments) : unreadable
      default:
        // CONNECT_ERROR is the server's to say.
        return unreadable
    }
  }

  #readConnect(namespace: string, data: unknown, json: string): Verdict {
    if (data !== undefined && !isObject(data)) return unreadable
    if (isObject(data)) {
      const verdict = this.#match([data], json, 1)
      if (!verdict.pass) return verdict
    }
    // By these a server takes up a connection before, whosever it was.
    const { pid, offset, ...rest } = data ?? {}
    if (this.#apiToken === null && pid === undefined && offset === undefined) return passed
    const token = this.#apiToken === null ? {} : { token: this.#apiToken }
    const completed = JSON.stringify({ ...rest, ...token })
    return { pass: true, rewritten: `40${namespace === '' ? '' : `${namespace},`}${completed}` }
  }

  #readArguments(values: readonly unknown[], json: string, attachments: number): Verdict {
    const verdict = this.#match(values, json, 2)
    if (verdict.pass) this.#channel.attachments = attachments
    return verdict
  }

  /** `depth` is that of the values in their JSON text. */
  #match(values: readonly unknown[], json: string, depth: number): Verdict {
    const all: Named[] = []
    for (const value of values) {
      if (!isObject(value) || isNameless(value)) continue
      const named = namedBy(value)
      if (named === null || all.length === mostNaming) return unreadable
      all.push(named)
    }
    // Parsers differ in which of two they keep.
    if (all.length > 0 && hasRepeatedId(json, depth)) return unreadable
    if (!all.every((named) => this.#lease.narrow(named))) {
      if (this.#report === null) return foreign
      const problem = this.#report(all)
      return problem === null ? passed : { pass: false, problem }
    }
    this.#channel.settle(this.#lease)
    return passed
  }
}

const packetGrammar = /^(\d)(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d*)/
const ids = ['userId', 'sessionId', 'URLToken'] as const
const invalid = Symbol('no JSON')

/** What stands before the JSON; null where it is none of what may. */
function partsOf(message: string): readonly (string | undefined)[] | null {
  // Most are `2[…]`, and the grammar takes longer than to read them.
  return message[1] === '[' ? [message[0], message[0]] : packetGrammar.exec(message)
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return invalid
  }
}

function isEventName(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number'
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNameless({ userId, sessionId, URLToken }: Readonly<Record<string, unknown>>): boolean {
  return userId === undefined && sessionId === undefined && URLToken === undefined
}

/** What an argument names; null where an id is no text. */
function namedBy({ userId, sessionId, URLToken }: Readonly<Record<string, unknown>>): Named | null {
  if (!isId(userId) || !isId(sessionId) || !isId(URLToken)) return null
  return { userId: userId ?? null, sessionId: sessionId ?? null, URLToken: URLToken ?? null }
}

function isId(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}

/** Whether an object at a depth of some valid JSON has one of the ids twice, however they are spelled. */
function hasRepeatedId(json: string, depth: number): boolean {
  if (ids.every((name) => isOnce(json, `"${name}"`)) && !json.includes('\\')) return false
  return repeatedKey(json, depth, ids) !== null
}

function isOnce(json: string, key: string): boolean {
  const first = json.indexOf(key)
  return first < 0 || json.indexOf(key, first + 1) < 0
}

/**
 * Whether a poll is engine.io 4, whose bodies can be read. Others are let ask for files, such as the
 * client's, and no more: the older protocol, which an upstream takes a request without an `EIO` for,
 * has bodies of another shape, and so has JSONP (`j`). Over a WebSocket all speak alike.
 */
export function isReadablePoll(query: string, hasBody: boolean): boolean {
  const parameters = parametersOf(query)
  if (parameters.has('j')) return false
  const [revision, ...others] = parameters.getAll('EIO')
  if (revision !== undefined) return revision === '4' && others.length === 0
  return !hasBody && !parameters.has('transport') && !parameters.has('sid')
}
