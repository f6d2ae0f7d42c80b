// The three ways into one gateway over TLS: HTTP/1.1, HTTP/2 and an upgrade. What is refused at one
// of them has to be refused at all.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import {
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import {
  answersIn,
  link,
  type Stage,
  startGateway,
  startUpstream,
  type Upstream,
} from '../stage.ts'
import { accepting, handshake, wire } from '../websocket/peer.ts'

export interface Knock {
  readonly target?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

export interface Told {
  readonly status: number
  /** By lowered name; of repeated ones all, joined. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Door {
  readonly name: 'HTTP/1.1' | 'HTTP/2' | 'an upgrade'
  /** The status of what is let through. */
  readonly open: 200 | 101
  readonly knock: (knock?: Knock) => Promise<Told>
}

export interface House {
  readonly doors: readonly Door[]
  readonly gateway: Stage
  readonly upstream: Upstream
  /** The authority that clients know the gateway by. */
  readonly host: string
}

const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))

/** A gateway over TLS, before an upstream that answers 200 and accepts every upgrade. */
export async function openDoors(
  t: Test,
  env: Readonly<Record<string, string>> = {},
  answer?: RequestListener,
): Promise<House> {
  const folder = t.testdir({})
  execFileSync('bash', [script, '--out', folder, '--client', 'agent'], { stdio: 'ignore' })
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8')
  const upstream = await startUpstream(t, answer, (request, socket) => {
    socket.end(accepting(request))
  })
  const gateway = await startGateway(t, upstream.origin, {
    TLS_CERT_FILE: join(folder, 'server.pem'),
    TLS_KEY_FILE: join(folder, 'server-key.pem'),
    ...env,
  })
  const { port } = gateway
  const host = `localhost:${port}`

  /** All that comes back for these bytes until the gateway closes. */
  async function overHttp1(bytes: string): Promise<Told> {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca })
    t.teardown(() => socket.destroy())
    const client = wire(socket)
    socket.write(bytes, 'latin1')
    const answers = answersIn((await client.ended).toString('latin1'))
    socket.end()
    const [answer, ...others] = answers
    if (answer === undefined || others.length > 0) throw new Error(`${answers.length} answers`)
    return answer
  }

  function plainHead({ target = link(), method = 'GET', headers = {} }: Knock): string {
    const none = { Upgrade: null, 'Sec-WebSocket-Version': null, 'Sec-WebSocket-Key': null }
    const lines = { ...none, Host: host, Connection: 'close', ...headers }
    return handshake(port, target, lines, `${method} ${target} HTTP/1.1`)
  }

  async function overHttp2({
    target = link(),
    method = 'GET',
    headers = {},
  }: Knock): Promise<Told> {
    const session = connectHttp2(`https://${host}`, { ca })
    t.teardown(() => session.destroy())
    session.on('error', () => {})
    const { Host = host, ...rest } = headers
    const sent: OutgoingHttpHeaders = {
      ':method': method,
      ':path': target,
      ':authority': String(Host),
      ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, [value].flat()])),
    }
    const stream = session.request(sent, { endStream: true })
    const told: { headers: IncomingHttpHeaders; body: string } = { headers: {}, body: '' }
    stream.on('error', () => {})
    stream.on('response', (got) => {
      told.headers = got
    })
    stream.on('data', (chunk: Buffer) => {
      told.body += chunk.toString('latin1')
    })
    await new Promise((resolve) => stream.once('close', resolve))
    session.close()
    const { ':status': status, ...others } = told.headers
    const got = Object.entries(others).map(([name, value]) => [name, [value].flat().join(', ')])
    return { status: Number(status ?? 0), headers: Object.fromEntries(got), body: told.body }
  }

  return {
    gateway,
    upstream,
    host,
    doors: [
      { name: 'HTTP/1.1', open: 200, knock: (knock = {}) => overHttp1(plainHead(knock)) },
      { name: 'HTTP/2', open: 200, knock: (knock = {}) => overHttp2(knock) },
      {
        name: 'an upgrade',
        open: 101,
        knock: ({ target = link(), headers = {} } = {}) =>
          overHttp1(handshake(port, target, { Host: host, ...headers })),
      },
    ],
  }
}

/** What is told but for what differs from one answer to the next. */
export function constant({ status, headers, body }: Told): string {
  const { date: _, connection: __, ...rest } = headers
  const requestId = rest['x-request-id'] ?? ''
  const plain = JSON.stringify({ status, headers: Object.entries(rest).sort(), body })
  return plain.replaceAll(requestId, 'REQUEST-ID')
}
