// A gateway between two wires on which every byte counts: what goes in and what comes out is read by
// this file alone, not by the parsers that the gateway uses itself.
import { createServer, type Socket } from 'node:net'
import { exchange, listen, type Stage, startGateway } from '../stage.ts'

export interface Scope {
  teardown(done: () => unknown): void
}

export type Line = readonly [name: string, value: string]

/** The head of a message, Latin-1: a character a byte. */
export interface Message {
  readonly start: string
  readonly lines: readonly Line[]
  readonly body: string
}

export interface Arrived extends Message {
  readonly host: 'page' | 'api'
  readonly method: string
  readonly target: string
}

export interface Exchanged {
  readonly answers: readonly Message[]
  readonly arrived: readonly Arrived[]
  readonly audit: readonly Readonly<Record<string, unknown>>[]
}

export interface Wire {
  readonly host: string
  /** The upstreams' Host headers. */
  readonly upstreams: { readonly page: string; readonly api: string }
  /** Sends one connection's bytes and resolves to all they led to, once `audited` lines are there. */
  readonly send: (bytes: string, audited?: number) => Promise<Exchanged>
}

// A token (RFC 9110 §5.6.2), and a value without control characters but tab.
const headerLine = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*((?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)[ \t]*$/
const requestLine = /^([A-Z-]+) (\/[!-~]*) HTTP\/1\.1$/
const statusLine = /^HTTP\/1\.1 [1-5]\d\d [\t -~\x80-\xff]*$/

/** A workspace that says what the gateway must not pass on. */
const answer = [
  'HTTP/1.1 200 OK',
  'Content-Type: text/plain',
  'Content-Length: 2',
  'Server: workspace/1',
  'X-Powered-By: workspace',
  'X-Frame-Options: DENY',
  "Content-Security-Policy: default-src 'self'; frame-ancestors *",
  'Referrer-Policy: unsafe-url',
  'Access-Control-Allow-Origin: *',
  'Keep-Alive: timeout=60',
  'X-Request-Id: workspace',
  'Set-Cookie: __Host-copilot-0000000000000000=forged; Path=/',
].join('\r\n')

const refused = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'

export async function startWire(
  scope: Scope,
  basePath = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Wire> {
  const arrived: Arrived[] = []
  const wrong: string[] = []
  const page = await startRecorder(scope, 'page', arrived, wrong)
  const api = await startRecorder(scope, 'api', arrived, wrong)
  const gateway: Stage = await startGateway(scope, `http://127.0.0.1:${page}${basePath}`, {
    COPILOT_API_URL: `http://127.0.0.1:${api}`,
    // No other deadline is met by an exchange that is whole.
    IDLE_TIMEOUT: '5s',
    ...env,
  })
  let expected = 0
  const isAccess = (line: Readonly<Record<string, unknown>>): boolean => line['event'] === 'access'
  return {
    host: `localhost:${gateway.port}`,
    upstreams: { page: `127.0.0.1:${page}`, api: `127.0.0.1:${api}` },
    async send(bytes, audited = 1) {
      const late = gateway.lines.filter(isAccess).length - expected
      gateway.lines.length = 0
      expected = 0
      const early = arrived.splice(0)
      if (late !== 0 || early.length > 0) throw new Error(`${late} audit lines came late`)
      const text = await exchange(gateway.port, Buffer.from(bytes, 'latin1'))
      const audit = await gateway.audited(audited)
      expected = audit.length
      const got = arrived.splice(0)
      const other = gateway.lines.filter((line) => !isAccess(line))
      if (other.length > 0) throw new Error(`the log says ${JSON.stringify(other)}`)
      if (wrong.length > 0) throw new Error(`the upstream got ${wrong.splice(0).join(' and ')}`)
      return { answers: readAnswers(text, bytes.startsWith('HEAD ')), arrived: got, audit }
    },
  }
}

async function startRecorder(
  scope: Scope,
  host: 'page' | 'api',
  arrived: Arrived[],
  wrong: string[],
): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    let text = ''
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (;;) {
        let request: (Message & { readonly rest: string }) | null
        try {
          request = readMessage(text, '')
          if (request === null) return
          const [, method, target] = requestLine.exec(request.start) ?? []
          if (method === undefined || target === undefined) throw new Error('no request line')
          arrived.push({ ...request, host, method, target })
          text = request.rest
          const isUpgrade = request.lines.some(([name]) => /^upgrade$/i.test(name))
          socket.write(isUpgrade ? refused : `${answer}\r\n\r\n${method === 'HEAD' ? '' : 'ok'}`)
        } catch (error) {
          wrong.push(`${JSON.stringify(text)}: ${error}`)
          socket.destroy()
          return
        }
      }
    })
  })
  const port = await listen(server)
  scope.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return port
}

function readAnswers(text: string, headOnly: boolean): Message[] {
  const answers: Message[] = []
  for (let rest = text; rest !== ''; ) {
    const message = readMessage(rest, rest, headOnly)
    if (message === null || !statusLine.test(message.start)) {
      throw new Error(`no answer: ${JSON.stringify(rest)}`)
    }
    answers.push(message)
    rest = message.rest
  }
  return answers
}

/**
 * One message as RFC 9112 wants it written, and what follows it; null where it is not whole yet.
 * `unframed` is the body of a message that tells no length; `headOnly`: it may have none,
 * whatever it tells.
 */
function readMessage(
  text: string,
  unframed: string,
  headOnly = false,
): (Message & { readonly rest: string }) | null {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [start = '', ...rows] = text.slice(0, end).split('\r\n')
  const lines = rows.map((row): Line => {
    const [whole, name, value] = headerLine.exec(row) ?? []
    if (whole === undefined || name === undefined) throw new Error(`line ${JSON.stringify(row)}`)
    return [name, value ?? '']
  })
  const rest = text.slice(end + 4)
  const lengths = valuesOf(lines, 'content-length')
  const codings = valuesOf(lines, 'transfer-encoding')
  if (lengths.length + codings.length > 1) throw new Error('two framings')
  // To bytes that never became a request the gateway answers with a body.
  if (headOnly && (rest === '' || statusLine.test(rest.split('\r\n', 1)[0] ?? ''))) {
    return { start, lines, body: '', rest }
  }
  const [length] = lengths
  if (length !== undefined) {
    if (!/^\d+$/.test(length)) throw new Error(`length ${length}`)
    if (rest.length < Number(length)) return null
    return { start, lines, body: rest.slice(0, Number(length)), rest: rest.slice(Number(length)) }
  }
  const [coding] = codings
  if (coding === undefined) {
    const isWhole = unframed === '' || /^HTTP\/1\.1 (?:1|204|304)/.test(start)
    return { start, lines, body: isWhole ? '' : rest, rest: isWhole ? rest : '' }
  }
  if (coding !== 'chunked') throw new Error(`coding ${coding}`)
  const chunked = readChunks(rest)
  return chunked === null ? null : { start, lines, ...chunked }
}

function readChunks(text: string): { readonly body: string; readonly rest: string } | null {
  let body = ''
  for (let rest = text; ; ) {
    const [head, hex] = /^([\da-f]+)\r\n/i.exec(rest) ?? []
    if (head === undefined || hex === undefined) {
      if (/\r\n/.test(rest)) throw new Error('no chunk')
      return null
    }
    const size = Number.parseInt(hex, 16)
    const next = head.length + size
    if (rest.length < next + 2) return null
    if (rest.slice(next, next + 2) !== '\r\n') throw new Error('a chunk too long, or trailers')
    body += rest.slice(head.length, next)
    rest = rest.slice(next + 2)
    if (size === 0) return { body, rest }
  }
}

/** The values of one header, a line each. */
export function valuesOf(lines: readonly Line[], name: string): string[] {
  return lines.flatMap(([known, value]) => (known.toLowerCase() === name ? [value] : []))
}
