// A gateway between two recording hosts, asked by a client that sends bytes as they are.
import { connect, type Socket } from 'node:net'
import { type Recorded, startGateway, startUpstream } from '../stage.ts'

export interface Scope {
  teardown(done: () => unknown): void
}

export type Line = readonly [name: string, value: string]

export interface Settings {
  readonly basePath: '' | '/base'
  readonly forwardAuth: boolean
  readonly identityHeaders: boolean
}

export interface Arrived extends Recorded {
  readonly host: 'page' | 'api'
}

/** All that one request led to. */
export interface Exchanged {
  readonly status: number
  readonly lines: readonly Line[]
  readonly body: string
  /** The one that reached an upstream, if one did. */
  readonly arrived: Arrived | null
  readonly audit: Readonly<Record<string, unknown>>
}

export interface Wire {
  readonly settings: Settings
  readonly host: string
  /** The upstreams' Host headers. */
  readonly upstreams: { readonly page: string; readonly api: string }
  /** Sends a request's bytes, Latin-1; rejects where it led to anything twice, or to nothing. */
  readonly send: (bytes: string) => Promise<Exchanged>
}

/** What a workspace may say and the gateway must not pass on. */
const answer = [
  ['Content-Length', '2'],
  ['Server', 'workspace/1'],
  ['X-Powered-By', 'workspace'],
  ['X-Frame-Options', 'DENY'],
  ['Content-Security-Policy', "default-src 'self'; frame-ancestors *"],
  ['Access-Control-Allow-Origin', '*'],
  ['X-Request-Id', 'workspace'],
  ['Set-Cookie', '__Host-copilot-0000000000000000=workspace; Path=/'],
].flat()

export async function startWire(scope: Scope, settings: Settings): Promise<Wire> {
  const page = await startUpstream(scope, (_, response) =>
    response.writeHead(200, answer).end('ok'),
  )
  const api = await startUpstream(scope, (_, response) => response.writeHead(200, answer).end('ok'))
  const gateway = await startGateway(scope, page.origin + settings.basePath, {
    COPILOT_API_URL: api.origin,
    FORWARD_AUTH: String(settings.forwardAuth),
    IDENTITY_HEADERS: String(settings.identityHeaders),
  })
  const send = startClient(scope, gateway.port)
  const took = (): Arrived[] => [
    ...page.seen.splice(0).map((one) => ({ ...one, host: 'page' as const })),
    ...api.seen.splice(0).map((one) => ({ ...one, host: 'api' as const })),
  ]
  // What the start logs, and what a failed case leaves behind, is nobody's fault.
  let hasFailed = true
  return {
    settings,
    host: `localhost:${gateway.port}`,
    upstreams: { page: `127.0.0.1:${page.port}`, api: `127.0.0.1:${api.port}` },
    async send(bytes) {
      // Nobody is waited for who might yet arrive: whoever is late is found here.
      const late = [...took(), ...gateway.lines.splice(0)]
      if (late.length > 0 && !hasFailed) throw new Error(`came late: ${JSON.stringify(late)}`)
      hasFailed = true
      const answered = await send(bytes)
      await gateway.audited(1)
      const [audit = {}, ...others] = gateway.lines.splice(0)
      const [arrived = null, ...more] = took()
      if (others.length + more.length > 0) {
        throw new Error(`twice: ${JSON.stringify([audit, ...others, arrived, ...more])}`)
      }
      hasFailed = false
      return { ...answered, arrived, audit }
    },
  }
}

type Answered = Pick<Exchanged, 'status' | 'lines' | 'body'>

/** A client that keeps its connection for as long as the gateway does. */
function startClient(scope: Scope, port: number): (bytes: string) => Promise<Answered> {
  let text = ''
  let check = (): void => {}
  const dial = (): Socket =>
    connect(port, '127.0.0.1')
      .on('error', () => {})
      .on('close', () => check())
      .on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        check()
      })
  let socket = dial()
  scope.teardown(() => socket.destroy())
  /** null: the connection ended without a byte. */
  const ask = (bytes: string): Promise<Answered | null> =>
    new Promise((resolve, reject) => {
      check = () => {
        try {
          const answer = readAnswer(text, bytes.startsWith('HEAD '), socket.closed)
          if (answer === null && !socket.closed) return
          if (answer === null && text !== '') throw new Error(`cut short: ${text}`)
          resolve(answer)
        } catch (error) {
          socket.destroy()
          reject(error)
        }
        check = () => {}
        text = ''
      }
      socket.write(bytes, 'latin1')
    })
  return async (bytes) => {
    const isKept = !socket.destroyed
    if (!isKept) socket = dial()
    let answer = await ask(bytes)
    // A gateway may end an idle connection just when it is asked, but not a fresh one.
    if (answer === null && isKept) {
      socket = dial()
      answer = await ask(bytes)
    }
    if (answer === null) throw new Error('no answer')
    return answer
  }
}

const statusLine = /^HTTP\/1\.1 ([1-5]\d\d) [\t -~\x80-\xff]*$/
const headerLine = /^([!#$%&'*+.^_`|~\w-]+): ((?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)$/

/** The one answer in what came back; null where it is not whole, throws where more came. */
function readAnswer(text: string, headOnly: boolean, isOver: boolean): Answered | null {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...rows] = text.slice(0, end).split('\r\n')
  const status = Number(statusLine.exec(first)?.[1])
  const lines = rows.map((row): Line => {
    const [, name, value] = headerLine.exec(row) ?? []
    if (name === undefined || value === undefined) throw new Error(`line ${JSON.stringify(row)}`)
    return [name, value]
  })
  const body = text.slice(end + 4)
  if (status < 200) return readAnswer(body, headOnly, isOver)
  const closes = valuesOf(lines, 'connection').includes('close')
  if (closes && !isOver) return null
  const [length, ...others] = valuesOf(lines, 'content-length').map(Number)
  if (status && headOnly && body === '') return { status, lines, body }
  if (!status || length === undefined || others.length > 0) throw new Error(`no answer: ${text}`)
  if (body.length === length) return { status, lines, body }
  if (body.length < length && !closes) return null
  throw new Error(`more than an answer, or less: ${JSON.stringify(text)}`)
}

/** The values of one header, a line each. `name` is in lower case. */
export function valuesOf(lines: readonly Line[], name: string): string[] {
  return lines.flatMap(([known, value]) => (known.toLowerCase() === name ? [value] : []))
}
