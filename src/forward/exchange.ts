import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Dispatcher } from 'undici'
import type { Gate } from '../access/access.ts'
import type { Decision, Grant, Reason, Subject } from '../access/decision.ts'
import { Lease } from '../access/lease.ts'
import { configPath, isSocketIo } from '../access/paths.ts'
import { type Named, type Session, signParameter } from '../access/session.ts'
import type { Keyring } from '../access/token.ts'
import type { Client } from '../client.ts'
import type { Audit, AuditEvent, Ending } from '../observe/audit.ts'
import type { Trace, Tracing } from '../observe/tracing.ts'
import { type Answer, countsAsRefusal, refusal, sendHead } from '../refusal.ts'
import { errorCode } from '../settings/parsers.ts'
import type { Refusals } from '../state/refusals.ts'
import { earlyHints, head101, responseTrailers } from './answer.ts'
import type { Channels } from './channels.ts'
import { ClientAnswer, isHttp2 } from './client-answer.ts'
import { type ClientFrames, ReadFrames, UnreadFrames } from './client-frames.ts'
import type { Close } from './close.ts'
import { acceptsHandshake, extensionsAllowed, type Upgrade } from './handshake.ts'
import { assetKey, type Gathering, type HashedAssets } from './hashed-assets.ts'
import type { InFlight } from './in-flight.ts'
import type { Open, OpenExchanges } from './open.ts'
import { Relay } from './relay.ts'
import { RequestBody } from './request-body.ts'
import { requestHeaders, withoutHeader } from './request-headers.ts'
import { type Framing, type Headers, responseHeaders } from './response-headers.ts'
import { asRewritten, forReadableAnswer, kindOf, type Reader, type Rewriter } from './rewrite.ts'
import { ChannelReader, isReadablePoll, type Problem, type ReportForeign } from './socket-io.ts'
import { hostFor, type Upstream } from './upstream.ts'
import { WholeAnswer } from './whole-answer.ts'

/** What all exchanges of a gateway share. Sizes in bytes, times in ms. */
export interface Carrier {
  readonly upstream: Upstream
  readonly keyring: Keyring
  readonly isRevoked: Gate['isRevoked']
  readonly claimedBy: ClaimedBy
  readonly open: OpenExchanges
  /** The requests that the gateway has not yet answered. */
  readonly inFlight: InFlight
  readonly audit: Audit
  /** Null where nobody traces. */
  readonly tracing: Tracing | null
  readonly refusals: Refusals
  readonly rewriter: Rewriter
  readonly channels: Channels
  readonly assets: HashedAssets
  /** The backend's API token, for the sockets that are let in; null where they bring it. */
  readonly apiToken: string | null
  readonly identityHeaders: boolean
  readonly bodyLimit: number
  readonly messageLimit: number
  readonly idleTimeout: number
  readonly upstreamTimeout: number
}

/** A request as it goes upstream. */
interface Sent extends Dispatcher.DispatchOptions {
  readonly origin: string
  readonly headers: string[]
}

/** What is claimed without proof on something open; null where the gateway that serves by now enforces. */
export type ClaimedBy = (
  contactCenter: string | null,
  named: Named,
  now: number,
) => readonly Session[] | null

/** A request that has been decided on. */
export interface Decided {
  readonly decision: Decision
  readonly client: Client
  readonly framing: Framing
  /** The gateway's own origin, as this client reached it. */
  readonly origin: string
  readonly hint: string | null
  /** The origin of the page that led here; null where there is none that can be told. */
  readonly page: () => string | null
}

/** Who is refused over and over waits, in ms, and costs the others no more than once in that time. */
const floodDelay = 250
/** How long a body that nobody wants may still take, in ms. */
const unwantedTimeout = 5000

/**
 * One request from its decision to its audit line: refused, or carried to the upstream and back by
 * undici, straight into the raw response. An upgrade differs only in what a 101 becomes.
 */
export class Exchange implements Open, Dispatcher.DispatchHandler {
  place = -1
  lease: Lease
  readonly #carrier: Carrier
  #decided: Decided
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #upgrade: Upgrade | null
  readonly #body: RequestBody
  readonly #answer: ClientAnswer
  readonly #trace: Trace | null
  readonly #start = Date.now()
  /** When the side that it waits for has kept it waiting for long enough. */
  #patience: number
  /** Which side the exchange waits for. */
  #waitsFor: 'client' | 'upstream' = 'client'
  /** An event stream: no deadline but its session's. */
  #endless = false
  /** What was sent upstream, while it may have to be sent again. */
  #sent: Sent | null = null
  #controller: Dispatcher.DispatchController | null = null
  /** Reads what the client says on Copilot's channel; null elsewhere. */
  #channel: ChannelReader | null = null
  /** The answer, while it is read before it goes on. */
  #whole: WholeAnswer | null = null
  /** The answer, where it may be one to keep. */
  #asset: Gathering | null = null
  #retried = false
  /** The upstream has nothing more to say, or will not be heard. */
  #finished = false
  #closed = false
  /** What is still to be sent or read is no part of a session: an answer of the gateway's own, a body that nobody wants. */
  #isNobodys = false
  #reason: Reason | null = null
  #ended: Ending | null = null
  #error: string | null = null
  /** What was wrong with an event that passed, since its contact center only reports. */
  readonly #reported: { problem: Problem | null } = { problem: null }
  #hint: string | null

  constructor(
    carrier: Carrier,
    request: IncomingMessage,
    response: ServerResponse,
    upgrade: Upgrade | null,
    decided: Decided,
  ) {
    this.#carrier = carrier
    this.#request = request
    this.#response = response
    this.#upgrade = upgrade
    this.#decided = decided
    this.#hint = decided.hint
    this.#trace = carrier.tracing?.begin(request, decided.client) ?? null
    const { decision } = decided
    this.lease = leaseOf(decision)
    this.#patience = this.#start + carrier.idleTimeout
    const isChannel = decision.path !== null && isSocketIo(decision.path)
    // A poll's body is held until it has been read, as a message of a socket is.
    const limit = isChannel ? Math.min(carrier.bodyLimit, carrier.messageLimit) : carrier.bodyLimit
    const onWaiting = (side: 'client' | 'upstream'): void => this.#waitFor(side)
    this.#answer = new ClientAnswer(request, response, onWaiting)
    this.#body = new RequestBody(request, limit, {
      onWaiting,
      onTooLarge: () => this.#giveUp('body-too-large', 'client'),
      onSettled: () => this.#bodySettled(),
    })
    carrier.open.add(this)
    carrier.inFlight.enter()
    response.on('close', () => this.#responseClosed())
    upgrade?.onLeave(() => this.cut('client'))
    // HTTP/2 waits for the rest of an upload whose answer is out.
    if (isHttp2(response)) response.stream.once('finish', () => this.#abandon())
  }

  get isStream(): boolean {
    return this.#endless
  }

  get decision(): Decision {
    return this.#decided.decision
  }

  get framing(): Framing {
    return this.#decided.framing
  }

  get deadline(): number {
    return this.#isNobodys ? this.#patience : Math.min(this.#patience, this.lease.end)
  }

  /** Its token had been used before, which only the state could tell. */
  revise(decision: Decision): void {
    this.#decided = { ...this.#decided, decision }
    this.lease = leaseOf(decision)
    this.#hint = decision.hint
  }

  /** Answers with a refusal, whatever was under way; past the rate of refusals, in a while. */
  refuse(reason: Reason): void {
    if (this.#reason !== null) return
    const { client, framing } = this.#decided
    const { refusals } = this.#carrier
    const wait = countsAsRefusal(reason) ? refusals.count(client.ip, Date.now()) : 0
    this.#reason = wait > 0 ? 'rate-limited' : reason
    const answer = refusal(this.#reason, framing, this.#request.headers.accept, wait)
    if (wait === 0) {
      this.answer(answer)
      return
    }
    this.#abandon()
    const timer = setTimeout(() => this.answer(answer), floodDelay)
    this.#response.once('close', () => clearTimeout(timer))
  }

  /** Answers in the upstream's place. */
  answer(answer: Answer): void {
    this.#isNobodys = true
    this.#abandon()
    this.#waitFor('client')
    sendHead(this.#request, this.#response, answer)
    this.#answer.end(!this.#body.settled, answer.body)
  }

  refuseRest(answer: ServerResponse): boolean {
    if (answer !== this.#response) return false
    this.#answer.flush()
    if (answer.headersSent) return false
    this.#response.shouldKeepAlive = false
    this.refuse('request-malformed')
    return true
  }

  /** Carries the request, if it may pass, to the host its path belongs to. `path` is the host's. */
  forward(path: string): void {
    const { upstream, identityHeaders, assets } = this.#carrier
    const { decision: grant, client } = this.#decided
    if (!grant.allow || this.#body.isTooLarge) {
      this.refuse(grant.allow ? 'body-too-large' : grant.reason)
      return
    }
    if (isSocketIo(grant.path)) {
      const problem = this.#enterChannel(grant)
      if (problem !== null) {
        this.#refuseChannel(problem)
        return
      }
    }
    const { method = '', rawHeaders, headers: said } = this.#request
    const isPlain = !this.#body.exists && this.#upgrade === null && this.#channel === null
    const isAnyones = isPlain && !identityHeaders && grant.authorization === null
    const wanted = isAnyones ? assetKey(grant, method, rawHeaders, client) : null
    if (wanted?.isReload) assets.delete(wanted.key)
    const asset = wanted === null ? null : assets.get(wanted.key, Date.now())
    if (asset !== null) {
      if (this.#writeHead(200, 'OK', this.#answerHeaders(asset.headers))) this.#finish(asset.body)
      return
    }
    const { origin } = hostFor(upstream, grant.path)
    const headers = requestHeaders(rawHeaders, grant, client, origin, identityHeaders)
    const options = {
      origin,
      path: grant.query === '' ? path : `${path}?${grant.query}`,
      method,
    }
    this.#waitFor('upstream')
    const destination = said['sec-fetch-dest']?.toString().split(',', 1)[0] ?? ''
    const readable = forReadableAnswer(headers, method, grant.path, destination)
    if (this.#upgrade !== null) {
      const offered = extensionsAllowed(grant.path)
        ? readable
        : withoutHeader(readable, 'sec-websocket-extensions')
      this.#send({ ...options, headers: offered, upgrade: 'websocket', body: null })
      return
    }
    // Who has proven nothing fills nothing that others are given.
    if (wanted !== null && grant.sessions.length > 0) this.#asset = assets.gather(wanted.key)
    const body = this.#body.read()
    const expects = body !== null && this.#request.httpVersion !== '1.0'
    if (expects && said.expect?.toLowerCase() === '100-continue') this.#response.writeContinue()
    if (body === null || this.#channel === null) {
      this.#send({ ...options, headers: readable, body })
      return
    }
    const unsized = { ...options, headers: withoutHeader(headers, 'content-length') }
    // Whoever ends the stream knows why.
    buffer(body)
      .then((bytes) => this.#sendPoll(bytes, unsized))
      .catch(() => {})
  }

  onDeadline(now: number): void {
    if (this.#isNobodys) this.cut()
    else if (this.lease.revoked) this.#giveUp('session-revoked', 'session-revoked')
    else if (now >= this.lease.end) this.#giveUp('token-expired', 'session-expired')
    else if (this.#finished) this.cut()
    else if (this.#waitsFor === 'client') this.#giveUp('request-timeout', 'client-timeout')
    else this.#giveUp('upstream-timeout', 'upstream-timeout')
  }

  /** A request in flight is let finish. */
  onDrain(): void {}

  onRestart(): void {
    this.cut('drain')
  }

  cut(ended: Ending = this.#finished ? 'client-timeout' : 'drain'): void {
    this.#ended ??= ended
    this.#abandon()
    this.#answer.cut()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#finished) controller.abort(new Error('client left'))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message = '',
  ): void {
    const response = this.#response
    if (this.#finished) return
    if (status < 200) {
      const canHint = this.#upgrade === null && this.#request.httpVersion !== '1.0'
      if (canHint) earlyHints(response, status, headers)
      return
    }
    this.#trace?.answered(status)
    this.#asset?.begin(status, headers)
    const answer = this.#answerHeaders(headers)
    const { path } = this.#decided.decision
    const kind = kindOf(path ?? '', String(answer['content-type'] ?? ''))
    const bodiless = this.#answer.isBodiless(status)
    this.#endless = /^text\/event-stream\b/i.test(String(answer['content-type']))
    if (this.#endless) this.#carrier.open.becomes(this, this)
    this.#waitFor('upstream')
    if (kind !== null && !bodiless) {
      this.#whole = new WholeAnswer(kind, status, message, answer)
      if (!this.#whole.isReadable) this.#passUnread(controller, this.#whole)
      return
    }
    if (kind !== null && status !== 304) asRewritten(answer, null)
    if (!this.#writeHead(status, message, answer)) return
    if (bodiless) {
      // HTTP/2 ends such a stream by itself; an end from here makes both alike.
      this.#finish()
    } else {
      this.#answer.release(controller)
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#finished) return
    this.#waitFor('upstream')
    this.#asset?.add(chunk)
    if (this.#whole !== null) {
      if (!this.#whole.add(chunk)) this.#passUnread(controller, this.#whole)
      return
    }
    this.#answer.write(controller, chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#trace?.upstreamEnded()
    if (this.#finished) return
    // They would have to be given to the next as well.
    if (Object.keys(trailers).length > 0) this.#asset?.drop()
    if (this.#carrier.upstream.isResetting()) {
      this.#giveUp('upstream-unreachable', 'upstream')
    } else if (this.#whole === null) {
      this.#asset?.keep()
      this.#end(trailers)
    } else {
      this.#passWhole(controller, this.#whole, trailers)
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#finished) return
    if (this.#sent !== null && this.#canRetry(error)) {
      this.#retried = true
      this.#carrier.upstream.dispatcher.dispatch(this.#sent, this)
      return
    }
    this.#error = errorCode(error) ?? error.name
    const late = this.#error === 'UND_ERR_CONNECT_TIMEOUT'
    this.#giveUp(late ? 'upstream-timeout' : 'upstream-unreachable', 'upstream')
  }

  onRequestUpgrade(
    _: Dispatcher.DispatchController,
    __: number,
    headers: IncomingHttpHeaders,
    upstream: Duplex,
  ): void {
    const { decision } = this.#decided
    if (this.#upgrade === null || this.#finished || !decision.allow) {
      upstream.destroy()
      return
    }
    const extensions = extensionsAllowed(decision.path)
    if (!acceptsHandshake(this.#request, headers, extensions)) {
      upstream.on('error', () => {}).destroy()
      this.#error = 'WS_HANDSHAKE'
      this.#giveUp('upstream-unreachable', 'upstream')
      return
    }
    const { open, messageLimit: limit } = this.#carrier
    const { socket } = this.#upgrade
    const channel = this.#channel
    this.#finished = true
    this.#response.detachSocket(this.#request.socket)
    this.#audit({ status: 101, socket: 'open' })
    const auditClose = this.#closeAudit()
    socket.write(head101(this.#answerHeaders(headers)), 'latin1')
    const relay = new Relay(socket, upstream, this.#upgrade.take(), {
      lease: this.lease,
      readClient: (events): ClientFrames =>
        channel === null
          ? new UnreadFrames(limit, extensions, events)
          : new ReadFrames(channel, limit, events),
      onEnd: (ended, close) => {
        open.delete(relay)
        channel?.leave()
        auditClose(ended, close)
      },
    })
    open.add(relay)
    open.becomes(relay, this)
    this.#settle()
  }

  #waitFor(side: 'client' | 'upstream'): void {
    this.#waitsFor = side
    const { idleTimeout, upstreamTimeout } = this.#carrier
    const wait = side === 'client' ? idleTimeout : upstreamTimeout
    this.#patience = this.#endless ? Number.POSITIVE_INFINITY : Date.now() + wait
  }

  /** Why the request may not speak on Copilot's channel: unreadably, or for another session; null where it may. */
  #enterChannel({ query, reports, subject }: Grant): Problem | null {
    if (this.#upgrade === null && !isReadablePoll(query, this.#body.exists)) {
      return 'unreadable-event'
    }
    const channel = this.#carrier.channels.of(query, this.lease, this.#start)
    if (channel === null) return 'unreadable-event'
    const { session } = channel
    if (!channel.enter(this.lease)) {
      if (!reports || session === null) return 'foreign-event'
      // To poll another session's channel is to speak for it.
      const named = [{ ...session, URLToken: null }]
      const problem = this.#reportForeign(session.contactCenter)(named)
      if (problem !== null) return problem
    }
    const report = reports ? this.#reportForeign(subject.contactCenter) : null
    this.#channel = new ChannelReader(channel, this.lease, this.#carrier.apiToken, report)
    return null
  }

  #reportForeign(contactCenter: string | null): ReportForeign {
    const { isRevoked, claimedBy } = this.#carrier
    const { lease } = this
    const reported = this.#reported
    // Outlives the exchange, and its gateway, with a socket.
    return (named) => {
      const now = Date.now()
      for (const ids of named) {
        const claimed = claimedBy(contactCenter, ids, now)
        if (claimed === null) return 'foreign-event'
        if (claimed.some((session) => isRevoked(session, now))) return 'revoked-session'
        for (const session of claimed) lease.claim(session)
      }
      reported.problem = 'foreign-event'
      return null
    }
  }

  #refuseChannel(problem: Problem): void {
    this.#error = problem
    this.refuse(problem === 'revoked-session' ? 'session-revoked' : 'session-mismatch')
  }

  #send(sent: Sent): void {
    const headers = this.#trace?.toUpstream(sent.headers, sent.origin) ?? sent.headers
    this.#sent = { ...sent, headers }
    this.#carrier.upstream.dispatcher.dispatch(this.#sent, this)
  }

  #sendPoll(bytes: Buffer, options: Sent): void {
    if (this.#finished) return
    // What a server makes of an encoding, be it `identity`, can't be told.
    const isEncoded = this.#request.headers['content-encoding'] !== undefined
    const verdict = isEncoded ? undefined : this.#channel?.readPoll(bytes)
    if (verdict?.pass) this.#send({ ...options, body: verdict.rewritten ?? bytes })
    else this.#refuseChannel(verdict?.problem ?? 'unreadable-event')
  }

  /** False where it is none that can be written: the answer is another one then. */
  #writeHead(status: number, message: string, headers: Headers): boolean {
    const closes = this.#carrier.open.leaving || this.#upgrade !== null
    if (closes && !isHttp2(this.#response)) headers['connection'] = 'close'
    try {
      this.#answer.writeHead(status, message, headers)
      return true
    } catch (error) {
      this.#error = errorCode(error) ?? 'HEAD'
      this.#giveUp('upstream-unreachable', 'upstream')
      return false
    }
  }

  /** An answer that can't be read goes on as it is, where nothing in it has to be kept back. */
  #passUnread(controller: Dispatcher.DispatchController, whole: WholeAnswer): void {
    if (this.#carrier.rewriter.strict) {
      this.#error = 'UNREADABLE'
      this.#giveUp('upstream-unreadable', 'upstream')
      return
    }
    this.#whole = null
    if (!this.#writeHead(whole.status, whole.message, whole.headers)) return
    this.#answer.write(controller, whole.body)
  }

  #passWhole(
    controller: Dispatcher.DispatchController,
    whole: WholeAnswer,
    trailers: IncomingHttpHeaders,
  ): void {
    const decoded = whole.decoded()
    if (!(decoded instanceof Promise)) {
      this.#passRead(controller, whole, decoded, trailers)
      return
    }
    decoded
      .then((bytes) => {
        if (!this.#finished) this.#passRead(controller, whole, bytes, trailers)
      })
      .catch(() => this.#giveUp('upstream-unreadable', 'upstream'))
  }

  #passRead(
    controller: Dispatcher.DispatchController,
    whole: WholeAnswer,
    decoded: Buffer | null,
    trailers: IncomingHttpHeaders,
  ): void {
    const reader = this.#reader()
    const read = whole.read(decoded, this.#carrier.rewriter, reader)
    if (read === null) {
      this.#passUnread(controller, whole)
      if (!this.#finished) this.#end(trailers)
      return
    }
    if (read.changed && this.#isPublic) {
      this.refuse('token-missing')
      return
    }
    if (!read.changed && whole.kind === 'code') this.#asset?.keep()
    const leadsHere = reader.path !== configPath || read.body.includes(reader.origin)
    if (whole.status === 200 && !leadsHere) {
      this.#hint = 'config.js does not name COPILOT_API_URL: the socket goes past the gateway'
    }
    if (!this.#writeHead(whole.status, whole.message, whole.headers)) return
    this.#end(trailers, read.body)
  }

  #reader(): Reader {
    const { decision, origin } = this.#decided
    const session = decision.allow && decision.handsOn ? decision.session : null
    const copilotSession = (): string | null =>
      session === null ? null : signParameter(session, this.#carrier.keyring)
    return { origin, path: decision.path ?? '', copilotSession }
  }

  /** Whether nothing was proven, since nothing had to be. */
  get #isPublic(): boolean {
    const { decision } = this.#decided
    return decision.allow && decision.isPublic
  }

  #end(trailers: IncomingHttpHeaders, body?: Buffer): void {
    const kept = responseTrailers(trailers)
    if (kept !== null) this.#response.addTrailers(kept)
    this.#finish(body)
  }

  /** Refuses where the client has had no answer yet, else cuts it short: it must not look whole. */
  #giveUp(reason: Reason, ended: Ending): void {
    if (this.#response.headersSent) {
      this.#ended = ended
      this.cut()
    } else {
      this.refuse(reason)
    }
  }

  #finish(body?: Buffer): void {
    this.#finished = true
    this.#waitFor('client')
    // A request that still comes has its answer at once: it may be cut next.
    this.#answer.end(!this.#body.settled, body)
  }

  #abandon(): void {
    const finished = this.#finished
    // Before the abort, which is heard as an error of the upstream's.
    this.#finished = true
    if (!finished) this.#controller?.abort(new Error('abandoned'))
    this.#answer.drop()
    this.#body.discard()
  }

  #answerHeaders(received: IncomingHttpHeaders): Headers {
    const { decision, framing, origin } = this.#decided
    const { origins, basePath } = hostFor(this.#carrier.upstream, decision.path ?? '/')
    return responseHeaders(received, framing, {
      setCookies: decision.allow ? decision.setCookies : [],
      origin,
      upstreamOrigins: origins,
      basePath,
      isPublic: this.#isPublic,
    })
  }

  /** RFC 9110 §9.2.2; an answer that has begun is never asked for again. */
  #canRetry(error: Error): boolean {
    const { method } = this.#request
    const repeatable = (method === 'GET' || method === 'HEAD') && !this.#body.exists
    const fresh = !this.#retried && this.#upgrade === null && !this.#response.headersSent
    return repeatable && fresh && this.#carrier.upstream.wasStale(error)
  }

  #responseClosed(): void {
    // Node tells some answers of a connection that is gone, and the gateway all.
    if (this.#closed) return
    this.#closed = true
    this.#isNobodys = true
    this.#channel?.leave()
    this.#asset?.drop()
    if (!this.#response.writableFinished) this.#ended ??= 'client'
    this.#abandon()
    const { headersSent, statusCode } = this.#response
    this.#audit({ status: headersSent ? statusCode : 499 })
    if (this.#body.settled) {
      this.#settle()
      return
    }
    this.#patience = Date.now() + unwantedTimeout
    // RFC 9113 §8.1: the answer was whole, the rest of the request isn't needed.
    if (isHttp2(this.#response)) this.#response.stream.close(constants.NGHTTP2_NO_ERROR)
    // Node forgets a request that was answered before it was read: only its connection tells.
    else this.#request.socket.once('close', this.#forget)
  }

  readonly #forget = (): void => {
    if (!isHttp2(this.#response)) this.#request.socket.off('close', this.#forget)
    this.#settle()
  }

  #settle(): void {
    if (this.#carrier.open.delete(this)) this.#carrier.inFlight.leave()
  }

  #bodySettled(): void {
    if (this.#closed) this.#forget()
    else if (!this.#finished) this.#waitFor('upstream')
  }

  #audit(event: Pick<AuditEvent, 'status' | 'socket'>): void {
    const { decision, client } = this.#decided
    const subject = subjectOf(this.lease, decision.subject)
    const said = { ...this.#event(), ...event }
    this.#carrier.audit(said, client, subject, this.#start)
    this.#trace?.end(said, subject.contactCenter)
  }

  #event(): Omit<AuditEvent, 'status'> {
    const { decision } = this.#decided
    const hint = this.#hint
    const refused = this.#reason ?? (decision.allow ? null : decision.reason)
    const { problem } = this.#reported
    const event = problem === null ? null : 'session-mismatch'
    const reason = refused ?? (decision.allow ? decision.reported : null) ?? event
    const error = this.#error ?? problem
    const page = reason === null ? null : this.#decided.page()
    return {
      decision: refused === null ? 'allow' : 'deny',
      reason: reason ?? undefined,
      method: this.#request.method ?? '',
      path: decision.path ?? undefined,
      transport: this.#upgrade === null ? 'http' : 'websocket',
      ended: this.#ended ?? undefined,
      error: error ?? undefined,
      hint: hint ?? undefined,
      page: page ?? undefined,
    }
  }

  /** For the line of a socket's close: until then the exchange itself, and its request, are not kept. */
  #closeAudit(): (ended: Ending, close: Close | null) => void {
    const { decision, client } = this.#decided
    const { audit } = this.#carrier
    const { subject } = decision
    return closeAudit(
      audit,
      this.#event(),
      client,
      this.#start,
      this.lease,
      subject,
      this.#reported,
    )
  }
}

function leaseOf(decision: Decision): Lease {
  const lease = new Lease(decision.allow ? decision.sessions : [])
  for (const session of decision.allow ? decision.claimed : []) lease.claim(session)
  return lease
}

function closeAudit(
  audit: Audit,
  event: Omit<AuditEvent, 'status'>,
  client: Client,
  start: number,
  lease: Lease,
  subject: Subject,
  reported: { readonly problem: Problem | null },
): (ended: Ending, close: Close | null) => void {
  return (ended, close) => {
    const error = close?.error ?? reported.problem ?? undefined
    const reason = event.reason ?? (reported.problem === null ? undefined : 'session-mismatch')
    const said = {
      ...event,
      ...(reason === undefined ? {} : { reason }),
      ended,
      ...(error === undefined ? {} : { error }),
      ...(close === null ? {} : { code: close.code }),
    }
    audit({ ...said, status: 101, socket: 'close' }, client, subjectOf(lease, subject), start)
  }
}

/** Events may have told which of the sessions it is. */
function subjectOf({ session }: Lease, subject: Subject): Subject {
  if (session === null) return subject
  const { contactCenter, userId, sessionId } = session
  return { contactCenter, userId, sessionId }
}
