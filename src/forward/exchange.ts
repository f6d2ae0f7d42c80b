import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { constants, Http2ServerResponse } from 'node:http2'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Dispatcher } from 'undici'
import type { Decision, Reason } from '../access/decision.ts'
import type { Client } from '../client.ts'
import type { Audit, AuditEvent, Ending } from '../observe/audit.ts'
import { countsAsRefusal, refuse } from '../refusal.ts'
import type { Refusals } from '../state/refusals.ts'
import { earlyHints, head101, responseTrailers } from './answer.ts'
import {
  acceptsHandshake,
  extensionsAllowed,
  type Upgrade,
  withoutExtensions,
} from './handshake.ts'
import type { Open, OpenExchanges } from './open.ts'
import { Relay } from './relay.ts'
import { RequestBody } from './request-body.ts'
import { requestHeaders } from './request-headers.ts'
import { type Framing, type Headers, responseHeaders } from './response-headers.ts'
import { hostFor, type Upstream } from './upstream.ts'

/** What all exchanges of a gateway share. Sizes in bytes, times in ms. */
export interface Carrier {
  readonly upstream: Upstream
  readonly open: OpenExchanges
  readonly audit: Audit
  readonly refusals: Refusals
  readonly identityHeaders: boolean
  readonly bodyLimit: number
  readonly messageLimit: number
  readonly idleTimeout: number
  readonly upstreamTimeout: number
}

/** A request that has been decided on. */
export interface Decided {
  readonly decision: Decision
  readonly client: Client
  readonly framing: Framing
  /** The gateway's own origin, as this client reached it. */
  readonly origin: string
  readonly hint: string | null
}

/** How long a body that nobody wants may still take, in ms. */
const unwantedTimeout = 5000

/**
 * One request from its decision to its audit line: refused, or carried to the upstream and back by
 * undici, straight into the raw response. An upgrade differs only in what a 101 becomes.
 */
export class Exchange implements Open, Dispatcher.DispatchHandler {
  deadline: number
  readonly #carrier: Carrier
  readonly #decided: Decided
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #upgrade: Upgrade | null
  readonly #body: RequestBody
  readonly #start = Date.now()
  readonly #end: number
  /** Which side the exchange waits for. */
  #waitsFor: 'client' | 'upstream' = 'client'
  /** An event stream: no deadline but its session's. */
  #endless = false
  #dispatch: (() => void) | null = null
  #controller: Dispatcher.DispatchController | null = null
  #retried = false
  /** The upstream has nothing more to say, or will not be heard. */
  #finished = false
  #closed = false
  #reason: Reason | null = null
  #ended: Ending | null = null
  #error: string | null = null

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
    this.#end = decided.decision.allow ? decided.decision.end : Number.POSITIVE_INFINITY
    this.deadline = this.#start + carrier.idleTimeout
    this.#body = new RequestBody(request, carrier.bodyLimit, {
      onWaiting: (side) => this.#waitFor(side),
      onTooLarge: () => this.#giveUp('body-too-large', 'client'),
      onSettled: () => this.#bodySettled(),
    })
    carrier.open.add(this)
    response.on('close', () => this.#responseClosed())
    upgrade?.onLeave(() => this.cut('client'))
    // HTTP/2 waits for the rest of an upload whose answer is out.
    if (isHttp2(response)) response.stream.once('finish', () => this.#abandon())
  }

  /** Answers with a refusal, whatever was under way. */
  refuse(reason: Reason): void {
    this.#abandon()
    const { ip } = this.#decided.client
    const limited = countsAsRefusal(reason) && this.#carrier.refusals.count(ip, Date.now())
    this.#reason = limited ? 'rate-limited' : reason
    this.#waitFor('client')
    refuse(this.#request, this.#response, this.#reason, this.#decided.framing)
  }

  /** The rest of the request is no HTTP. Whether there was still time to say so. */
  refuseRest(): boolean {
    if (this.#response.headersSent) return false
    this.#response.shouldKeepAlive = false
    this.refuse('request-malformed')
    return true
  }

  /** Carries the request, if it may pass, to the host its path belongs to. `path` is the host's. */
  forward(path: string): void {
    const { upstream, identityHeaders } = this.#carrier
    const { decision: grant, client } = this.#decided
    if (!grant.allow || this.#body.isTooLarge) {
      this.refuse(grant.allow ? 'body-too-large' : grant.reason)
      return
    }
    const { origin } = hostFor(upstream, grant.path)
    const { rawHeaders } = this.#request
    const headers = requestHeaders(rawHeaders, grant, client, origin, identityHeaders)
    const options = {
      origin,
      path: grant.query === '' ? path : `${path}?${grant.query}`,
      method: this.#request.method ?? '',
      headers: extensionsAllowed(grant.path) ? headers : withoutExtensions(headers),
      upgrade: this.#upgrade === null ? null : 'websocket',
    }
    this.#waitFor('upstream')
    const body = this.#body.read()
    if (body !== null && this.#request.headers.expect?.toLowerCase() === '100-continue') {
      this.#response.writeContinue()
    }
    this.#dispatch = () => upstream.dispatcher.dispatch({ ...options, body }, this)
    this.#dispatch()
  }

  onDeadline(now: number): void {
    if (this.#finished) this.cut()
    else if (now >= this.#end) this.#giveUp('token-expired', 'session-expired')
    else if (this.#waitsFor === 'client') this.#giveUp('request-timeout', 'client-timeout')
    else this.#giveUp('upstream-timeout', 'upstream-timeout')
  }

  /** A request in flight is let finish. */
  onDrain(): void {}

  cut(ended: Ending = this.#finished ? 'client-timeout' : 'drain'): void {
    this.#ended ??= ended
    this.#abandon()
    if (isHttp2(this.#response)) this.#response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else disconnect(this.#request)
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
    const answer = this.#answerHeaders(controller)
    if (isHttp2(response)) {
      response.writeHead(status, answer)
    } else {
      if (this.#carrier.open.draining || this.#upgrade !== null) answer['connection'] = 'close'
      response.writeHead(status, phrase(message), answer)
    }
    this.#endless = /^text\/event-stream\b/i.test(String(headers['content-type']))
    this.#waitFor('upstream')
    if (this.#request.method === 'HEAD' || status === 204 || status === 304) {
      // HTTP/2 ends such a stream by itself; an end from here makes both alike.
      this.#finish()
    } else if (isHttp2(response)) {
      response.flushHeaders()
    } else {
      // flushHeaders() would write Latin-1 values as UTF-8.
      response.write(Buffer.alloc(0))
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#finished) return
    this.#waitFor('upstream')
    if (this.#response.write(chunk)) return
    controller.pause()
    this.#waitFor('client')
    this.#response.once('drain', () => {
      this.#waitFor('upstream')
      controller.resume()
    })
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.#finished) return
    if (this.#carrier.upstream.isResetting()) {
      this.#giveUp('upstream-unreachable', 'upstream')
      return
    }
    const kept = responseTrailers(trailers)
    if (kept !== null) this.#response.addTrailers(kept)
    this.#finish()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#finished) return
    if (this.#canRetry(error)) {
      this.#retried = true
      this.#dispatch?.()
      return
    }
    this.#error = 'code' in error ? String(error.code) : error.name
    const late = this.#error === 'UND_ERR_CONNECT_TIMEOUT'
    this.#giveUp(late ? 'upstream-timeout' : 'upstream-unreachable', 'upstream')
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    _: number,
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
    const { open, messageLimit } = this.#carrier
    const { socket } = this.#upgrade
    this.#finished = true
    this.#response.detachSocket(this.#request.socket)
    this.#audit({ status: 101, socket: 'open' })
    socket.write(head101(this.#answerHeaders(controller)), 'latin1')
    const relay = new Relay(socket, upstream, this.#upgrade.take(), {
      messageLimit,
      extensions,
      end: this.#end,
      onEnd: (ended, code) => {
        open.delete(relay)
        this.#ended = ended
        this.#audit({ status: 101, socket: 'close', ...(code === null ? {} : { code }) })
      },
    })
    open.add(relay)
    open.delete(this)
  }

  #waitFor(side: 'client' | 'upstream'): void {
    this.#waitsFor = side
    const { idleTimeout, upstreamTimeout } = this.#carrier
    const wait = side === 'client' ? idleTimeout : upstreamTimeout
    const idle = this.#endless ? Number.POSITIVE_INFINITY : Date.now() + wait
    this.deadline = Math.min(idle, this.#end)
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

  #finish(): void {
    this.#finished = true
    this.#waitFor('client')
    this.#response.end()
  }

  #abandon(): void {
    const finished = this.#finished
    // Before the abort, which is heard as an error of the upstream's.
    this.#finished = true
    if (!finished) this.#controller?.abort(new Error('abandoned'))
    this.#body.discard()
  }

  #answerHeaders(controller: Dispatcher.DispatchController): Headers {
    const { decision, framing, origin } = this.#decided
    const { upstream } = this.#carrier
    const host = hostFor(upstream, decision.path ?? '/')
    return responseHeaders(latin1(controller.rawHeaders), framing, {
      setCookies: decision.allow ? decision.setCookies : [],
      origin,
      upstreamOrigins: [host.origin, upstream.page.origin, upstream.api.origin],
      basePath: host.basePath,
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
    this.#closed = true
    if (!this.#response.writableFinished) this.#ended ??= 'client'
    this.#abandon()
    const { headersSent, statusCode } = this.#response
    this.#audit({ status: headersSent ? statusCode : 499 })
    if (this.#body.settled) {
      this.#carrier.open.delete(this)
      return
    }
    this.deadline = Date.now() + unwantedTimeout
    // RFC 9113 §8.1: the answer was whole, the rest of the request isn't needed.
    if (isHttp2(this.#response)) this.#response.stream.close(constants.NGHTTP2_NO_ERROR)
    // Node forgets a request that was answered before it was read: only its connection tells.
    else this.#request.socket.once('close', this.#forget)
  }

  readonly #forget = (): void => {
    if (!isHttp2(this.#response)) this.#request.socket.off('close', this.#forget)
    this.#carrier.open.delete(this)
  }

  #bodySettled(): void {
    if (this.#closed) this.#forget()
    else if (!this.#finished) this.#waitFor('upstream')
  }

  #audit(event: Pick<AuditEvent, 'status' | 'socket' | 'code'>): void {
    const { decision, client, hint } = this.#decided
    const reason = this.#reason ?? (decision.allow ? null : decision.reason)
    this.#carrier.audit(
      {
        decision: reason === null ? 'allow' : 'deny',
        ...(reason === null ? {} : { reason }),
        method: this.#request.method ?? '',
        ...(decision.path === null ? {} : { path: decision.path }),
        transport: this.#upgrade === null ? 'http' : 'websocket',
        ...(this.#ended === null ? {} : { ended: this.#ended }),
        ...(this.#error === null ? {} : { error: this.#error }),
        ...(hint === null ? {} : { hint }),
        ...event,
      },
      client,
      decision.subject,
      this.#start,
    )
  }
}

/** RFC 9112 §4: a phrase says nothing, so one that can't be written is left out. */
function phrase(message: string): string {
  return /^[\t -~\x80-\xff]*$/.test(message) ? message : ''
}

/** The end of its connection ends an HTTP/1.0 answer: only a reset tells one that was cut. */
function disconnect({ httpVersion, socket }: IncomingMessage): void {
  if (httpVersion === '1.0' && !(socket instanceof TLSSocket)) socket.resetAndDestroy()
  else socket.destroy()
}

function isHttp2(response: ServerResponse | Http2ServerResponse): response is Http2ServerResponse {
  return response instanceof Http2ServerResponse
}

function latin1(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return []
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}
