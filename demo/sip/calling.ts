import {
  answeredVia,
  type Field,
  formatMessage,
  type SipRequest,
  type SipResponse,
  uriOf,
  valueIn,
} from './message.ts'
import { repeat, usualTimes } from './repeating.ts'
import { newBranch, openSipSocket, type Peer, unique } from './socket.ts'

export interface PlacedCall {
  /** The final answer's status; null where none came. */
  readonly answered: Promise<number | null>
  readonly close: () => Promise<void>
}

/**
 * Places a call over UDP as a PBX does (RFC 3261 §13.2, §17.1.1): without media, until the other side
 * refuses it, hangs up, or `close` is called.
 */
export async function placeCall(
  peer: Peer,
  callee: string,
  more: readonly Field[],
): Promise<PlacedCall> {
  const { promise: answered, resolve } = Promise.withResolvers<number | null>()
  const socket = await openSipSocket(0, (message, from) =>
    message.kind === 'response' ? hear(message) : receive(message, from),
  )
  const { address, port, send } = socket
  const target = `sip:${encodeURIComponent(callee)}@${peer.address}:${peer.port}`
  const branch = newBranch()
  const from = { name: 'from', value: `<sip:bot@${address}:${port}>;tag=${unique()}` }
  const callId = { name: 'call-id', value: unique() }
  const via = (of: string): Field => ({
    name: 'via',
    value: `SIP/2.0/UDP ${address}:${port};rport;branch=${of}`,
  })
  const invite = formatMessage(`INVITE ${target} SIP/2.0`, [
    via(branch),
    { name: 'max-forwards', value: '70' },
    from,
    { name: 'to', value: `<${target}>` },
    callId,
    { name: 'cseq', value: '1 INVITE' },
    { name: 'contact', value: `<sip:bot@${address}:${port}>` },
    { name: 'expires', value: '60' },
    ...more,
  ])
  const stop = repeat(
    // Timer A has no bound but the last.
    { ...usualTimes, t2: Number.POSITIVE_INFINITY },
    () => send(invite, peer),
    () => resolve(null),
  )
  return {
    answered,
    close() {
      stop()
      resolve(null)
      return socket.close()
    },
  }

  function hear({ status, fields }: SipResponse): void {
    if (valueIn(fields, 'call-id') !== callId.value) return
    if (!/ INVITE$/.test(valueIn(fields, 'cseq') ?? '')) return
    stop()
    if (status < 200) return
    // §13.2.2.4: the answer to a success is a request of its own; §17.1.1.3
    const isOpen = status < 300
    const uri = isOpen ? uriOf(valueIn(fields, 'contact') ?? target) : target
    const ack = formatMessage(`ACK ${uri} SIP/2.0`, [
      via(isOpen ? newBranch() : branch),
      { name: 'max-forwards', value: '70' },
      from,
      { name: 'to', value: valueIn(fields, 'to') ?? '' },
      callId,
      { name: 'cseq', value: '1 ACK' },
    ])
    send(ack, peer)
    resolve(status)
  }

  function receive({ method, fields }: SipRequest, from: Peer): void {
    if (method === 'ACK') return
    const isOurs = method === 'BYE' && valueIn(fields, 'call-id') === callId.value
    const copied = fields.filter(({ name }) => ['from', 'to', 'call-id', 'cseq'].includes(name))
    const start = isOurs ? 'SIP/2.0 200 OK' : 'SIP/2.0 481 Call Does Not Exist'
    send(formatMessage(start, [...answeredVia(fields, from), ...copied]), from)
  }
}
