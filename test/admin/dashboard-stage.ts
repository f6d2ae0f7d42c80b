// A small admin listener with a scripted hour behind it: what the dashboard is developed and tested
// against. It holds the page to the very policy it is served under.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { close, listen } from '../../demo/site.ts'
import { readDashboard } from '../../src/admin/files.ts'
import { explain } from '../../src/explain/explain.ts'
import { createGate } from '../stage.ts'

const files = readDashboard()

const interval = 5000
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"

type Fields = Readonly<Record<string, unknown>>

export interface Session {
  readonly contactCenter: string | null
  readonly userId: string
  readonly sessionId: string
  readonly start: number
  readonly end: number
  readonly lastSeen: number
  readonly sockets: number
}

export interface Script {
  readonly token: string | null
  readonly points: readonly Fields[]
  readonly status: Fields
  readonly refusals: readonly Fields[]
  readonly sessions: readonly Session[]
  readonly scope: 'process' | 'workers' | 'replicas'
}

export interface DashboardStage {
  readonly origin: string
  /** Method, target and Authorization of what was asked for, in its order. */
  readonly asked: readonly { readonly line: string; readonly authorization: string | undefined }[]
  /** To every page that follows. */
  send(event: 'history' | 'point' | 'status' | 'refusal', fields: Fields): void
  /** Writes these bytes to every page that follows. */
  write(text: string): void
  /** Ends all streams; new ones get 503 until `open`. */
  shut(): void
  open(): void
  /** What is asked for from now on. */
  change(changes: Partial<Script>): void
}

export interface Scope {
  teardown(done: () => unknown): void
}

export async function startDashboardStage(
  t: Scope,
  changes: Partial<Script> = {},
): Promise<DashboardStage> {
  let script: Script = { ...scriptedHour(Date.now()), ...changes }
  let shut = false
  const streams = new Set<ServerResponse>()
  const asked: { line: string; authorization: string | undefined }[] = []
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://stage')
    const { authorization } = request.headers
    asked.push({ line: `${request.method} ${request.url}`, authorization })
    response.setHeader('content-security-policy', policy)
    response.setHeader('x-content-type-options', 'nosniff')
    const file = files.get(pathname)
    if (file !== undefined) {
      response.setHeader('content-type', file.type)
      response.end(file.body)
    } else if (script.token !== null && authorization !== `Bearer ${script.token}`) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    } else if (shut) {
      response.writeHead(503).end()
    } else if (pathname === '/events') {
      stream(response)
    } else if (pathname === '/sessions' && request.method === 'GET') {
      answer(response, find(searchParams))
    } else if (pathname === '/explain' && request.method === 'POST') {
      explainTo(request, response).catch(() => response.destroy())
    } else if (pathname.startsWith('/sessions/') && request.method === 'DELETE') {
      answer(response, end(request, decodeURIComponent(pathname.slice('/sessions/'.length))))
    } else {
      response.writeHead(404).end()
    }
  })
  const port = await listen(server, 0, '127.0.0.1')
  t.teardown(() => close(server))

  function stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    streams.add(response)
    response.on('close', () => streams.delete(response))
    response.write(event('history', { interval, points: script.points }))
    response.write(event('status', script.status))
    for (const refusal of script.refusals) response.write(event('refusal', refusal))
  }

  function find(query: URLSearchParams): Fields {
    const search = (query.get('search') ?? '').toLowerCase()
    const found = script.sessions.filter(({ contactCenter, userId, sessionId }) =>
      [contactCenter ?? '', userId, sessionId].some((id) => id.toLowerCase().includes(search)),
    )
    const sessions = found.slice(0, Number(query.get('limit') ?? 100))
    return { scope: script.scope, total: found.length, sessions }
  }

  async function explainTo(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { link, page } = JSON.parse(await text(request))
    const known = { gate: await createGate(), publicOrigins: null, by: 'gateway' } as const
    const explained = explain(link, known, { page, show: false, now: Date.now() })
    if ('problem' in explained) {
      response.writeHead(400, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ field: explained.field, detail: explained.problem }))
    } else answer(response, { ...explained })
  }

  function end(_: IncomingMessage, sessionId: string): Fields {
    const left = script.sessions.filter((session) => session.sessionId !== sessionId)
    script = { ...script, sessions: left }
    return { scope: script.scope, revoked: { contactCenter: null, userId: null, sessionId } }
  }

  const write = (text: string): void => {
    for (const response of streams) response.write(text)
  }
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    write,
    send: (name, fields) => write(event(name, fields)),
    shut() {
      shut = true
      for (const response of streams) response.destroy()
    },
    open() {
      shut = false
    },
    change(changes) {
      script = { ...script, ...changes }
    },
  }
}

function event(name: string, fields: Fields): string {
  return `event: ${name}\ndata: ${JSON.stringify(fields)}\n\n`
}

function answer(response: ServerResponse, fields: Fields): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(fields))
}

/** A quiet hour with one bad quarter in it, up to `now`. */
export function scriptedHour(now: number): Script {
  const count = hour / interval
  return {
    token: null,
    scope: 'process',
    points: Array.from({ length: count }, (_, index) =>
      pointAt(now - (count - 1 - index) * interval, index),
    ),
    status: statusAt(now),
    refusals: Array.from({ length: 24 }, (_, index) =>
      refusalAt(now - (24 - index) * 37_000, index),
    ),
    sessions: Array.from({ length: 42 }, (_, index) => sessionAt(now, index)),
  }
}

/** The same for the same index: pictures of it can be compared. */
export function pointAt(time: number, index: number): Fields {
  const wave = Math.sin(index / 40) + 0.6 * Math.sin(index / 7.3) + 0.4 * Math.sin(index / 2.1)
  const trouble = index > 560 && index < 640
  const mismatch = trouble ? Math.max(0, Math.round(5 * Math.sin((index - 560) / 25.5))) : 0
  const reasons = {
    ...(mismatch > 0 ? { 'claim-mismatch': mismatch } : {}),
    ...(index % 9 === 0 ? { 'token-expired': 1 + (index % 4) } : {}),
    ...(index % 31 === 4 ? { 'token-missing': 2 } : {}),
    ...(index % 97 === 50 ? { 'origin-refused': 1 } : {}),
  }
  const all = Object.values(reasons).reduce((sum, n) => sum + n, 0)
  const reported = index % 27 === 0 ? 1 : 0
  const slow = trouble ? 2.4 : 1
  return {
    time,
    allowed: Math.round(62 + 11 * wave),
    refused: all - Math.min(reported, all),
    reported: Math.min(reported, all),
    reasons,
    latency: {
      p50: 14 + 2 * wave,
      p90: slow * (41 + 6 * wave),
      p99: slow * (120 + 22 * wave + (index % 53 === 0 ? 90 : 0)),
    },
    sockets: Math.round(225 + index / 60 + 6 * wave),
    sessions: Math.round(240 + index / 50),
    connections: Math.round(301 + index / 30 + 9 * wave),
  }
}

export function statusAt(now: number): Fields {
  const startedAt = now - 31 * hour
  return {
    version: '0.1.0',
    startedAt,
    now,
    scope: 'process',
    workers: 1,
    enforcement: 'enforce',
    draining: false,
    hanging: false,
    ready: true,
    upstreams: [
      {
        name: 'workspace',
        origin: 'https://copilot.internal.example',
        up: true,
        since: now - 5 * hour,
        error: null,
      },
      {
        name: 'backend',
        origin: 'https://copilot-api.internal.example',
        up: true,
        since: startedAt,
        error: null,
      },
    ],
    redis: null,
    reload: { time: now - 3 * hour, ok: true, problems: [] },
    warnings: ['URL_TOKENS is not set: any URLToken is accepted.'],
    certificate: { expires: now + 61 * day },
    contactCenters: [
      contactCenter(now, 'Northline Rail'),
      {
        ...contactCenter(now, 'Harbour Health'),
        frameAncestors: ['https://agents.harbour-health.example', "'self'"],
        urlTokens: 2,
        keys: [key(now, '1', 3 * hour, 812, 4000), key(now, '2', 31 * hour, 5120, 26 * hour)],
      },
      {
        ...contactCenter(now, 'Meridian Bank'),
        enforcement: 'report',
        frameAncestors: ['https://desktop.meridian.example'],
        keys: [
          { ...key(now, 'meridian-2026', 31 * hour, 96, 8 * minute), kind: 'public key' },
          { ...key(now, 'meridian-2025', 31 * hour, 0, null), kind: 'public key' },
        ],
        jwks: { up: true, lastSuccess: now - 4 * minute },
      },
    ],
  }
}

export function contactCenter(now: number, name: string): Fields {
  return {
    name,
    enforcement: 'enforce',
    frameAncestors: ['https://desktop.northline.example'],
    urlTokens: null,
    jwks: null,
    keys: [key(now, '1', 31 * hour, 20_411, 2000)],
  }
}

/** `known` and `idle` in ms before now. */
export function key(
  now: number,
  label: string,
  known: number,
  uses: number,
  idle: number | null,
): Fields {
  const lastUsed = idle === null ? null : now - idle
  return { label, kind: 'secret', since: now - known, uses, lastUsed }
}

const refusalKinds: readonly Fields[] = [
  {
    reason: 'token-expired',
    status: 401,
    method: 'GET',
    path: '/',
    contactCenter: 'Northline Rail',
    userId: 'dana.whitfield',
    sessionId: 'chat-2041',
    page: 'https://desktop.northline.example',
  },
  {
    reason: 'claim-mismatch',
    status: 403,
    method: 'GET',
    path: '/config.js',
    contactCenter: 'Harbour Health',
    userId: 'i.okafor',
    sessionId: 'chat-88213',
    page: 'https://agents.harbour-health.example',
    hint: 'The query names sessionId twice removed: the link was made for another chat.',
  },
  {
    reason: 'token-missing',
    status: 401,
    method: 'GET',
    path: '/manifest.json',
  },
  {
    reason: 'token-invalid',
    status: 200,
    decision: 'allow',
    method: 'GET',
    path: '/',
    contactCenter: 'Meridian Bank',
    page: 'https://desktop.meridian.example',
    hint: 'Signed with a secret that looks like hex: write hex: before it.',
  },
  {
    reason: 'origin-refused',
    status: 403,
    transport: 'websocket',
    method: 'GET',
    path: '/socket.io/',
    contactCenter: 'Northline Rail',
    page: 'https://elsewhere.example',
    hint: 'PUBLIC_URL lacks https://gateway.example',
  },
  {
    reason: 'upstream-unreachable',
    status: 502,
    method: 'POST',
    path: '/api/tiles/render',
    contactCenter: 'Northline Rail',
    userId: 'dana.whitfield',
    sessionId: 'chat-2042',
    error: 'ECONNREFUSED',
  },
]

export function refusalAt(time: number, index: number): Fields {
  return {
    decision: 'deny',
    transport: 'http',
    ip: `10.20.${index % 7}.${40 + index}`,
    requestId: `0b6e1c3e-7d55-4c1f-9a0e-${String(index).padStart(12, '0')}`,
    ...refusalKinds[index % refusalKinds.length],
    time,
  }
}

const users = ['dana.whitfield', 'i.okafor', 'marta.lindqvist', 'tomas.havel', 'p.adeyemi'] as const
const centers = ['Northline Rail', 'Harbour Health', 'Meridian Bank'] as const

function sessionAt(now: number, index: number): Session {
  const start = now - 2 * minute - index * 7 * minute
  return {
    contactCenter: centers[index % centers.length] ?? null,
    userId: users[index % users.length] ?? '',
    sessionId: `chat-${2100 - index}`,
    start,
    end: start + 12 * hour,
    lastSeen: now - (index % 6) * 41_000,
    sockets: index % 4 === 3 ? 0 : 1,
  }
}
