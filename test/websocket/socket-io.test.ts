// Copilot's own client and server meet through the gateway, with a session cookie and nothing else.
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import type { ContactCenter } from '../../src/settings/config.ts'
import {
  contactCenters,
  ids,
  inAnHour,
  jwt,
  link,
  listen,
  type Stage,
  startGateway,
  startUpstream,
  type Upstream,
} from '../stage.ts'
import { sessionCookie } from './peer.ts'

interface Backend {
  readonly server: Server
  readonly port: number
  /** What the backend saw of each request: method, URL and headers. */
  readonly seen: { readonly url: string; readonly headers: NodeJS.Dict<string | string[]> }[]
}

const ways = [
  ['a WebSocket', ['websocket']],
  ['long-polling', ['polling']],
  ['long-polling, then a WebSocket', ['polling', 'websocket']],
] as const

t.test('a conversation', async (t) => {
  const { page, backend, gateway } = await startAll(t)
  const cookie = await sessionCookie(t, gateway.port)
  t.equal(page.seen.length, 1, 'the page came from the page’s host')

  for (const [name, transports] of ways) {
    await t.test(name, async (t) => {
      const before = backend.seen.length
      const socket = connect(t, gateway, transports, { cookie: `${cookie}; lang=de` })
      await connected(socket, transports)
      const transport = transports.at(-1) ?? ''
      t.equal(socket.io.engine.transport.name, transport)

      const join = { ...ids }
      t.same(await socket.emitWithAck('join', join), [join], 'an event and its answer')
      t.same(await socket.emitWithAck('echo', 'grüße 😀'), ['grüße 😀'])
      const large = 'x'.repeat(600_000)
      t.ok((await socket.emitWithAck('echo', large))[0] === large, 'a large one')
      const [binary] = await socket.emitWithAck('echo', Buffer.from([0, 255, 1]))
      t.same([...Buffer.from(binary)], [0, 255, 1], 'a binary one')
      const updates = Array.from({ length: 20 }, (_, i) => i)
      const received: number[] = []
      socket.on('tileUpdate', (i: number) => received.push(i))
      await socket.emitWithAck('updates', updates.length)
      t.same(received, updates, 'events of the server’s own, in order')

      const closed = new Promise((resolve) => {
        for (const one of backend.server.sockets.sockets.values()) one.on('disconnect', resolve)
      })
      socket.disconnect()
      await closed

      const seen = backend.seen.slice(before)
      t.ok(seen.every(({ url }) => url.startsWith('/socket.io/?EIO=4&transport=')))
      for (const { headers } of seen) {
        t.match(headers, {
          host: `127.0.0.1:${backend.port}`,
          cookie: 'lang=de',
          'x-forwarded-host': `127.0.0.1:${gateway.port}`,
          'x-request-id': /./,
        })
        t.equal(headers['sec-websocket-extensions'], undefined)
        if (headers['origin'] !== undefined) {
          t.equal(headers['origin'], `http://127.0.0.1:${backend.port}`)
        }
      }
    })
  }
  t.equal(page.seen.length, 1, 'nothing of it reached the page’s host')
  const log = JSON.stringify(gateway.lines)
  t.notMatch(log, ids.URLToken)
  t.notMatch(log, /sid=|eyJ/)
})

t.test('the server may close, and says why', async (t) => {
  const { backend, gateway } = await startAll(t)
  const cookie = await sessionCookie(t, gateway.port)
  for (const [name, transports] of ways) {
    const socket = connect(t, gateway, transports, { cookie })
    const disconnected = next(socket, 'disconnect')
    await connected(socket, transports)
    backend.server.disconnectSockets(true)
    t.match(await disconnected, /^(?:io server disconnect|transport close)$/, name)
    socket.disconnect()
  }
})

t.test('several chats of one agent, each on its own', async (t) => {
  const { gateway } = await startAll(t)
  const cookies = await Promise.all(
    ['a', 'b', 'c'].map((sessionId) => sessionCookie(t, gateway.port, linkOf(sessionId))),
  )
  const cookie = cookies.join('; ')
  const sockets = ['a', 'b', 'c'].map(() => connect(t, gateway, ['websocket'], { cookie }))
  const answers = await Promise.all(
    sockets.map(async (socket, i) => socket.emitWithAck('join', { ...ids, sessionId: 'abc'[i] })),
  )
  t.same(
    answers.map(([join]) => join.sessionId),
    ['a', 'b', 'c'],
  )
})

t.test('who has no session gets no channel, and the backend hears nothing', async (t) => {
  const { backend, gateway } = await startAll(t)
  const cookie = await sessionCookie(t, gateway.port)
  const [name = '', value = ''] = cookie.split('=')
  const rows: readonly (readonly [string, Record<string, string>])[] = [
    ['no cookie', {}],
    ['another cookie', { cookie: 'a=1' }],
    ['a forged one', { cookie: `${name}=${value.slice(0, -2)}AA` }],
    [
      'a foreign page’s',
      { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    ],
  ]
  for (const [what, headers] of rows) {
    for (const [way, transports] of ways) {
      const socket = connect(t, gateway, transports, headers)
      const error = await next(socket, 'connect_error')
      t.ok(error instanceof Error, `${what}: ${way}`)
      socket.disconnect()
    }
  }
  t.same(backend.seen, [])
})

t.test('where that is only reported, who has no session speaks as ever', async (t) => {
  const { backend, gateway } = await startAll(t, { enforcement: 'report' })
  gateway.revoke({ contactCenter: null, userId: 'agent-8', sessionId: 'ended' })
  for (const [way, transports] of ways) {
    const before = gateway.lines.length
    // What is no browser sends no Origin.
    const socket = io(gateway.origin, {
      transports: [...transports],
      reconnection: false,
      forceNew: true,
    })
    t.teardown(() => socket.disconnect())
    await connected(socket, transports)
    t.equal(socket.io.engine.transport.name, transports.at(-1), way)
    for (const named of [ids, { ...ids, sessionId: 'session-2' }, { URLToken: ids.URLToken }]) {
      t.same(await socket.emitWithAck('join', named), [named], `${way}: of whomever`)
    }
    const [bytes] = await socket.emitWithAck('echo', Buffer.from([0, 255, 1]))
    t.same([...Buffer.from(bytes)], [0, 255, 1], `${way}: and in binary`)
    const closed = new Promise((resolve) => {
      for (const one of backend.server.sockets.sockets.values()) one.on('disconnect', resolve)
    })
    socket.disconnect()
    await closed
    const lines = gateway.lines.slice(before).filter(({ decision }) => decision !== undefined)
    t.ok(lines.length > 0, `${way}: and is reported`)
    for (const line of lines) t.match(line, { decision: 'allow', reason: 'token-missing' }, way)
  }
})

t.test('a foreign page’s client that tells less gets no further than a poll', async (t) => {
  const { backend, gateway } = await startAll(t)
  const headers = {
    cookie: await sessionCookie(t, gateway.port),
    origin: 'https://evil.example',
  }
  let connections = 0
  backend.server.on('connection', () => {
    connections += 1
  })
  for (const [way, transports] of ways) {
    const socket = connect(t, gateway, transports, headers)
    t.ok((await next(socket, 'connect_error')) instanceof Error, way)
    socket.disconnect()
  }
  t.equal(connections, 0, 'nobody came in')
})

t.test('a poll that waits is let go when its client leaves', async (t) => {
  const { backend, gateway } = await startAll(t)
  const cookie = await sessionCookie(t, gateway.port)
  const socket = connect(t, gateway, ['polling'], { cookie })
  await next(socket, 'connect')
  const [there] = [...backend.server.sockets.sockets.values()]
  const left = new Promise((resolve) => there?.conn.on('close', resolve))
  socket.disconnect()
  await left
  t.equal(backend.server.engine.clientsCount, 0)
})

function linkOf(sessionId: string): string {
  const { userId } = ids
  return link({ sessionId, auth: jwt({ userId, sessionId, exp: inAnHour() }) })
}

async function startAll(
  t: Test,
  center: Partial<ContactCenter> = {},
): Promise<{ readonly page: Upstream; readonly backend: Backend; readonly gateway: Stage }> {
  const page = await startUpstream(t)
  const backend = await startBackend(t)
  const env = { COPILOT_API_URL: `http://127.0.0.1:${backend.port}` }
  const gateway = await startGateway(t, page.origin, env, { configure: contactCenters(center) })
  return { page, backend, gateway }
}

async function startBackend(t: Test): Promise<Backend> {
  const http = createServer()
  const seen: Backend['seen'] = []
  const record = ({ url = '', headers }: { url?: string; headers: object }): void => {
    seen.push({ url, headers: { ...headers } })
  }
  http.on('request', record)
  http.on('upgrade', record)
  const server = new Server(http, { serveClient: false })
  server.on('connection', (socket) => {
    socket.on('join', (ids, answer) => answer([ids]))
    socket.on('echo', (what, answer) => answer([what]))
    socket.on('updates', (count, answer) => {
      for (let i = 0; i < count; i++) socket.emit('tileUpdate', i)
      answer()
    })
  })
  const port = await listen(http)
  t.teardown(() => server.close())
  return { server, port, seen }
}

function connect(
  t: Test,
  gateway: Stage,
  transports: readonly string[],
  headers: Readonly<Record<string, string>>,
): Socket {
  const socket = io(gateway.origin, {
    transports: [...transports],
    extraHeaders: { origin: gateway.origin, ...headers },
    reconnection: false,
    forceNew: true,
  })
  t.teardown(() => socket.disconnect())
  return socket
}

/** Waits until the socket is open, over the last of its transports. */
async function connected(socket: Socket, transports: readonly string[]): Promise<void> {
  const upgraded = new Promise((resolve) => socket.io.engine.once('upgrade', resolve))
  await next(socket, 'connect')
  if (transports.length > 1) await upgraded
}

function next(socket: Socket, event: string): Promise<unknown> {
  return new Promise((resolve) => socket.once(event, resolve))
}
