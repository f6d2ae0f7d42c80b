import { randomBytes } from 'node:crypto'
import { type IncomingHttpHeaders, type IncomingMessage, request as startRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { connectPlain, connectSecurely, type Place } from './connection.ts'

/** What a check asks. Nothing here changes anything: no bodies, no methods but these. */
export interface Request {
  readonly method?: 'GET' | 'OPTIONS'
  /** The request target, sent as it stands. */
  readonly target: string
  /** Sent beside Host, User-Agent and Accept. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly accept?: string
  readonly upgrade?: boolean
  readonly http2?: boolean
  /** Whether the gateway should let it in. */
  readonly welcome?: boolean
  /** Whether a proxy in front does well to refuse it already. */
  readonly malformed?: boolean
}

export interface Answer {
  /** What a report calls it, such as `401 page` or `403 to an upgrade`. */
  readonly kind: string
  readonly welcome: boolean
  /** Refused before it came to the gateway, whose answers all have a request id. */
  readonly stopped: boolean
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Latin-1, the first MiB. */
  readonly body: string
}

export interface Probe {
  /** Rejects with a system error where no answer comes, and with RateLimited from the first 429 on. */
  readonly ask: (request: Request) => Promise<Answer>
  /** Everything that was answered so far. */
  readonly answers: readonly Answer[]
}

/** The gateway answers no more: it counts refusals, and has had its fill of them. */
export class RateLimited extends Error {}

const userAgent = 'copilot-gateway-doctor'
const mostBytes = 2 ** 20

/** Asks one gateway, one request a connection. `trusted`: its certificate has to go on being valid. */
export function createProbe(place: Place, trusted: boolean): Probe {
  const answers: Answer[] = []
  let limited = false
  return {
    answers,
    async ask(request) {
      if (limited) throw new RateLimited()
      const signal = AbortSignal.timeout(place.deadline)
      const answer = request.http2
        ? await exchangeHttp2(place, trusted, request, signal)
        : await exchange(await connect(place, trusted, signal), place.url.host, request, signal)
      limited = answer.status === 429
      if (limited) throw new RateLimited()
      answers.push(answer)
      return answer
    },
  }
}

function connect(place: Place, trusted: boolean, signal: AbortSignal): Promise<Socket> {
  if (place.url.protocol === 'http:') return connectPlain(place, signal)
  return connectSecurely(place, { rejectUnauthorized: trusted }, signal)
}

/** One request over HTTP/1.1 on an open connection, which is closed after it. */
export async function exchange(
  socket: Socket,
  host: string,
  request: Request,
  signal: AbortSignal,
): Promise<Answer> {
  const { method = 'GET', target, headers = [], accept = '*/*', upgrade = false } = request
  const lines = [
    ['Host', host],
    ['User-Agent', userAgent],
    ['Accept', accept],
    ...(upgrade ? handshake() : [['Connection', 'close']]),
    ...headers,
  ]
  const sent = startRequest({
    method,
    path: target,
    headers: lines.flat(),
    createConnection: () => socket,
    signal,
  })
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('error', reject)
      sent.on('response', resolve)
      sent.on('upgrade', resolve)
      sent.end()
    })
    const status = Number(response.statusCode)
    const body = status === 101 ? '' : await read(response)
    return answerTo(request, status, response.headers, body)
  } finally {
    socket.destroy()
  }
}

// RFC 6455 §4.1
function handshake(): string[][] {
  return [
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', randomBytes(16).toString('base64')],
  ]
}

async function exchangeHttp2(
  place: Place,
  trusted: boolean,
  request: Request,
  signal: AbortSignal,
): Promise<Answer> {
  const options = { rejectUnauthorized: trusted, ALPNProtocols: ['h2'] }
  const socket = await connectSecurely(place, options, signal)
  const session = connectHttp2(place.url.origin, { createConnection: () => socket })
  try {
    const stream = session.request(
      { ':path': request.target, 'user-agent': userAgent, accept: '*/*' },
      { signal },
    )
    const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
      session.on('error', reject)
      stream.on('error', reject)
      stream.on('response', resolve)
      // A session that is destroyed closes its streams without a word.
      stream.on('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })))
    })
    return answerTo(request, Number(headers[':status']), headers, await read(stream))
  } finally {
    session.destroy()
  }
}

async function read(stream: Readable): Promise<string> {
  let body = ''
  for await (const chunk of stream.setEncoding('latin1')) {
    body += chunk
    if (body.length > mostBytes) break
  }
  return body
}

function answerTo(
  { upgrade = false, http2 = false, welcome = false, malformed = false }: Request,
  status: number,
  headers: IncomingHttpHeaders,
  body: string,
): Answer {
  const words = [
    String(status),
    isHtml(headers) ? ' page' : '',
    upgrade ? ' to an upgrade' : '',
    http2 ? ' over HTTP/2' : '',
  ]
  // 401 asks for a credential, and says nothing of what is malformed.
  const refused = status >= 400 && status < 500 && status !== 401
  const stopped = malformed && refused && headers['x-request-id'] === undefined
  return { kind: words.join(''), welcome, stopped, status, headers, body }
}

export function isHtml(headers: IncomingHttpHeaders): boolean {
  return /^text\/html\b/i.test(headers['content-type'] ?? '')
}
