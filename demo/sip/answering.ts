import { setImmediate } from 'node:timers/promises'
import {
  answeredVia,
  type Field,
  formatMessage,
  type SipRequest,
  type SipResponse,
  tagOf,
  uriOf,
  valueIn,
  viaOf,
} from './message.ts'
import { lifetime, repeat, type Times, usualTimes } from './repeating.ts'
import { newBranch, openSipSocket, type Peer, unique } from './socket.ts'

/** A call that was placed, and what may be done about it; nothing where that is too late. */
export interface IncomingCall {
  /** The user that is called. */
  readonly callee: string
  /** Those of its INVITE. */
  readonly fields: readonly Field[]
  readonly state: () => 'asked' | 'ringing' | 'open' | 'over'
  readonly ring: () => void
  readonly answer: () => void
  /** A status of 400 or more, and a reason phrase. */
  readonly refuse: (status: number, reason: string) => void
  readonly hangUp: () => void
  readonly ended: Promise<Ending>
}

/** `lost`: nobody has acknowledged the answer. */
export type Ending = 'refused' | 'cancelled' | 'expired' | 'hung-up' | 'caller-hung-up' | 'lost'

export interface Answering extends Peer {
  readonly close: () => Promise<void>
}

/** A request, the answer to it so far, and what sends that again. */
interface Transaction {
  readonly request: SipRequest
  readonly from: Peer
  readonly tag: string
  last: Buffer | null
  stop: () => void
  /** Nothing is sent again; what comes again is answered for a while. */
  settle: () => void
}

interface Leg {
  readonly callId: string
  readonly localTag: string
  readonly remoteTag: string
  readonly invite: Transaction
  /** Its answer was acknowledged. */
  readonly acknowledged: () => void
  readonly end: (ending: Ending) => void
}

const allowed = 'INVITE, ACK, CANCEL, BYE, OPTIONS'
/** RFC 7433 §7.3, RFC 7866 §6.1.1. */
const extensions: ReadonlySet<string> = new Set(['uui', 'siprec'])
/** What is under way at once; who calls then is told to come back. */
const most = 500
/** No call rings for longer, in ms. */
const longestRing = 180_000

/**
 * A small SIP user agent server over UDP on loopback (RFC 3261 §8.2, §9.2, §12 to §15, §17.2): signalling
 * alone, each medium that is offered is declined. What comes is answered to where it came from.
 */
export async function startAnswering({
  port: preferred = 0,
  times = usualTimes,
  onCall,
}: {
  /** Another one where it is taken. */
  readonly port?: number
  readonly times?: Times
  readonly onCall: (call: IncomingCall) => void
}): Promise<Answering> {
  const transactions = new Map<string, Transaction>()
  const legs = new Set<Leg>()
  const timers = new Set<NodeJS.Timeout>()
  /** Requests of our own that wait for an answer, by branch. */
  const asked = new Map<string, () => void>()
  const socket = await openSipSocket(preferred, (message, from) =>
    message.kind === 'request' ? receive(message, from) : conclude(message),
  )
  const { address, port, send } = socket

  return {
    address,
    port,
    async close() {
      for (const { end } of [...legs]) end('hung-up')
      for (const { stop } of transactions.values()) stop()
      for (const stop of asked.values()) stop()
      for (const timer of timers) clearTimeout(timer)
      // What was said last is on its way by then.
      await setImmediate()
      await socket.close()
    },
  }

  function receive(request: SipRequest, from: Peer): void {
    const via = viaOf(request.fields)
    if (via === null) return
    const peer = via.rport || via.port === null ? from : { ...from, port: via.port }
    const { method, fields } = request
    // §17.2.3; older clients have no unique branch, hence the rest.
    const transaction = (of: string): string =>
      JSON.stringify([
        of,
        via.sentBy,
        via.branch,
        valueIn(fields, 'call-id'),
        tagOf(fields, 'from'),
        Number.parseInt(valueIn(fields, 'cseq') ?? '', 10),
      ])
    if (method === 'ACK') {
      acknowledge(request, transactions.get(transaction('INVITE')))
      return
    }
    const key = transaction(method)
    const known = transactions.get(key)
    if (known !== undefined) {
      if (known.last !== null) send(known.last, known.from)
      return
    }
    const forget = (): void => void transactions.delete(key)
    const begun: Transaction = {
      request,
      from: peer,
      tag: unique(),
      last: null,
      stop() {},
      settle() {
        begun.stop()
        begun.stop = later(10 * times.t1, forget)
      },
    }
    if (method === 'INVITE' && transactions.size >= most) {
      send(respond(begun, from, 503, 'Service Unavailable', [field('retry-after', '5')]), peer)
      return
    }
    const invite = transactions.get(transaction('INVITE'))
    const refusal = refusalOf(request)
    // §8.2.7: of what is of no call nothing is kept, so that a flood of it is in no call's way.
    const isOfCall =
      (method === 'CANCEL' && invite !== undefined) ||
      (method === 'BYE' && legOf(request) !== undefined)
    const isKept = method === 'INVITE' || (isOfCall && refusal === null)
    if (isKept) transactions.set(key, begun)
    const reply: Reply = (status, reason, more, body) => {
      const answer = respond(begun, from, status, reason, more, body)
      begun.last = answer
      if (status >= 200 && method === 'INVITE') {
        begun.stop = repeat(times, () => send(answer, peer), forget)
        return
      }
      send(answer, peer)
      if (status >= 200 && isKept) begun.stop = later(lifetime(times), forget)
    }
    if (refusal !== null) reply(...refusal)
    else if (method === 'INVITE') invited(begun, reply)
    else if (method === 'CANCEL') cancel(invite, reply)
    else if (method === 'BYE') bye(request, reply)
    else reply(200, 'OK', [field('allow', allowed), field('accept', 'application/sdp')])
  }

  function invited(invite: Transaction, reply: Reply): void {
    const { request, tag: localTag } = invite
    const { fields } = request
    if (tagOf(fields, 'to') !== '') {
      if (legOf(request) === undefined) reply(481, 'Call Does Not Exist')
      else reply(488, 'Not Acceptable Here')
      return
    }
    const { promise: ended, resolve } = Promise.withResolvers<Ending>()
    let state: ReturnType<IncomingCall['state']> = 'asked'
    let isAcknowledged = false
    const contact = field('contact', `<sip:${address}:${port}>`)
    const routes = fields.filter(({ name }) => name === 'record-route')
    const end = (ending: Ending, status: number, reason: string): void => {
      if (state === 'over') return
      stopRinging()
      if (state === 'open') {
        invite.settle()
        if (ending !== 'caller-hung-up') sendBye(leg)
      } else reply(status, reason)
      state = 'over'
      legs.delete(leg)
      resolve(ending)
    }
    const leg: Leg = {
      callId: valueIn(fields, 'call-id') ?? '',
      localTag,
      remoteTag: tagOf(fields, 'from'),
      invite,
      acknowledged() {
        if (state !== 'open' || isAcknowledged) return
        isAcknowledged = true
        invite.settle()
      },
      end: (ending) => end(ending, 487, terminated),
    }
    legs.add(leg)
    // §13.3.1
    const expires = Number.parseInt(valueIn(fields, 'expires') ?? '', 10)
    const rings = Math.min(longestRing, expires > 0 ? expires * 1000 : longestRing)
    const stopRinging = later(rings, () => end('expired', 487, terminated))
    reply(100, 'Trying')
    onCall({
      callee: decoded(/^sips?:([^@;?]+)@/i.exec(request.uri)?.[1] ?? ''),
      fields,
      state: () => state,
      ended,
      ring() {
        if (state !== 'asked') return
        state = 'ringing'
        reply(180, 'Ringing', [contact, ...routes])
      },
      answer() {
        if (state !== 'asked' && state !== 'ringing') return
        stopRinging()
        state = 'open'
        const type = field('content-type', 'application/sdp')
        const more = [contact, ...routes, field('allow', allowed), type]
        reply(200, 'OK', more, declineMedia(address, request.body))
        later(lifetime(times), () => isAcknowledged || end('lost', 0, ''))
      },
      refuse: (status, reason) => end('refused', status, reason),
      hangUp: () => end('hung-up', 603, 'Decline'),
    })
  }

  function cancel(invite: Transaction | undefined, reply: Reply): void {
    if (invite === undefined) {
      reply(481, 'Transaction Does Not Exist')
      return
    }
    reply(200, 'OK')
    // §9.2: what was answered already goes on.
    if (!isFinal(invite)) [...legs].find((leg) => leg.invite === invite)?.end('cancelled')
  }

  function bye(request: SipRequest, reply: Reply): void {
    const leg = legOf(request)
    if (leg === undefined) reply(481, 'Call Does Not Exist')
    else reply(200, 'OK')
    leg?.end('caller-hung-up')
  }

  function acknowledge(request: SipRequest, invite: Transaction | undefined): void {
    if (invite !== undefined && isFinal(invite)) invite.settle()
    legOf(request)?.acknowledged()
  }

  function legOf({ fields }: SipRequest): Leg | undefined {
    const callId = valueIn(fields, 'call-id')
    return [...legs].find(
      (leg) =>
        leg.callId === callId &&
        leg.localTag === tagOf(fields, 'to') &&
        leg.remoteTag === tagOf(fields, 'from'),
    )
  }

  /** §12.2.1.1, §15.1.1; it goes the way the call came, whatever its Contact names. */
  function sendBye({ callId, localTag, invite }: Leg): void {
    const { fields } = invite.request
    const branch = newBranch()
    const contact = valueIn(fields, 'contact')
    const target = contact === undefined ? valueIn(fields, 'from') : contact
    const message = formatMessage(`BYE ${uriOf(target ?? '')} SIP/2.0`, [
      field('via', `SIP/2.0/UDP ${address}:${port};branch=${branch}`),
      field('max-forwards', '70'),
      ...fields
        .filter(({ name }) => name === 'record-route')
        .map(({ value }) => field('route', value)),
      field('from', `${valueIn(fields, 'to')};tag=${localTag}`),
      field('to', valueIn(fields, 'from') ?? ''),
      field('call-id', callId),
      field('cseq', '1 BYE'),
    ])
    asked.set(
      branch,
      repeat(
        times,
        () => send(message, invite.from),
        () => asked.delete(branch),
      ),
    )
  }

  function conclude({ status, fields }: SipResponse): void {
    const { branch = '' } = viaOf(fields) ?? {}
    if (status < 200) return
    asked.get(branch)?.()
    asked.delete(branch)
  }

  function later(ms: number, act: () => void): () => void {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
    return () => {
      timers.delete(timer)
      clearTimeout(timer)
    }
  }
}

type Reply = (status: number, reason: string, more?: readonly Field[], body?: string) => void

const terminated = 'Request Terminated'

/** §8.2: what is refused of a request whatever it is about. */
function refusalOf({ method, uri, fields, fault, body }: SipRequest): Parameters<Reply> | null {
  if (fault !== null) return [400, fault]
  if (!allowed.split(', ').includes(method)) {
    return [405, 'Method Not Allowed', [field('allow', allowed)]]
  }
  if (method === 'CANCEL') return null
  if (!/^sips?:/i.test(uri)) return [416, 'Unsupported URI Scheme']
  const unknown = fields
    .filter(({ name }) => name === 'require')
    .flatMap(({ value }) => value.split(',').map((tag) => tag.trim()))
    .filter((tag) => tag !== '' && !extensions.has(tag.toLowerCase()))
  if (unknown.length > 0) {
    return [420, 'Bad Extension', [field('unsupported', unknown.join(', '))]]
  }
  const type = valueIn(fields, 'content-type') ?? 'application/sdp'
  if (method !== 'INVITE' || body === '' || /^(?:application\/sdp|multipart\/)/i.test(type)) {
    return null
  }
  return [415, 'Unsupported Media Type', [field('accept', 'application/sdp')]]
}

/** §8.2.6.2; `from`: where the request really came from. */
function respond(
  { request, tag }: Transaction,
  from: Peer,
  status: number,
  reason: string,
  more: readonly Field[] = [],
  body = '',
): Buffer {
  const { fields } = request
  const to = valueIn(fields, 'to')
  const isTagged = status === 100 || tagOf(fields, 'to') !== ''
  return formatMessage(
    `SIP/2.0 ${status} ${reason}`,
    [
      ...answeredVia(fields, from),
      ...fields.filter(({ name }) => name === 'from'),
      ...(to === undefined ? [] : [field('to', isTagged ? to : `${to};tag=${tag}`)]),
      ...fields.filter(({ name }) => name === 'call-id' || name === 'cseq'),
      ...more,
    ],
    body,
  )
}

function field(name: string, value: string): Field {
  return { name, value }
}

function isFinal({ last }: Transaction): boolean {
  return last !== null && last.toString('latin1', 8, 9) !== '1'
}

/** RFC 3264 §6: port 0 declines a medium. Of a SIPREC body, its session descriptions count. */
function declineMedia(address: string, offer: string): string {
  const media = [...offer.matchAll(/^m=(\S+) \d+(?:\/\d+)? (\S+) ([^\r\n]+)/gm)].map(
    ([, kind, protocol, formats]) => `m=${kind} 0 ${protocol} ${formats}`,
  )
  const session = ['v=0', `o=- 0 0 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0']
  return [...session, ...media, ''].join('\r\n')
}

function decoded(user: string): string {
  try {
    return decodeURIComponent(user)
  } catch {
    return ''
  }
}
