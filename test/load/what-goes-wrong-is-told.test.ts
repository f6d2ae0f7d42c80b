import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import t from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { listen, startUpstream } from '../stage.ts'
import { play } from './run.ts'

interface Workspace {
  /** Ms that it is waited for, where that will be in vain. */
  readonly deadline?: number
  readonly page?: (response: ServerResponse) => void
  /** null: no sockets at all. */
  readonly onPacket?: ((client: WebSocket, packet: string) => void) | null
}

function answer(client: WebSocket, packet: string): void {
  if (packet.startsWith('40')) client.send('40{"sid":"b"}')
  if (packet.startsWith('420')) client.send('430[]')
}

/** Lets everyone in and does as it should, but for what is said. */
async function startWorkspace(
  t: Parameters<typeof startUpstream>[0],
  { page = (response) => response.end(), onPacket = answer }: Workspace,
): Promise<string> {
  const server = new WebSocketServer({ noServer: true })
  const { origin } = await startUpstream(
    t,
    (_, response) => page(response),
    onPacket === null
      ? undefined
      : (request: IncomingMessage, socket, head) =>
          server.handleUpgrade(request, socket, head, (client) => {
            client.on('message', (message) => onPacket(client, String(message)))
            client.send('0{"sid":"a"}')
          }),
  )
  return origin
}

const healthy = { document: 0, socket: 0, join: 0, message: 0 }
/** What a lost socket fails: itself, and all messages of the run, which are due whether or not they can be said. */
const gone = { socket: 1, message: 4 }

t.test('each step that fails says why, and what depends on it is not begun', async (t) => {
  type Failed = Partial<typeof healthy>
  const after =
    (beginning: string, act: (client: WebSocket) => void) =>
    (client: WebSocket, packet: string): void =>
      packet.startsWith(beginning) ? act(client) : answer(client, packet)
  const rows: readonly (readonly [
    string,
    Workspace,
    Failed,
    Readonly<Record<string, number>>,
    Readonly<Record<string, number>>,
  ])[] = [
    ['nothing', {}, {}, {}, {}],
    [
      'a page that is refused',
      { page: (response) => response.writeHead(503).end() },
      { document: 1 },
      { 503: 1 },
      {},
    ],
    [
      'a page that is cut short',
      { page: (response) => response.writeHead(200, { 'content-length': 9 }).destroy() },
      { document: 1 },
      { UND_ERR_SOCKET: 1 },
      {},
    ],
    [
      'a page that never comes',
      { page: () => {}, deadline: 500 },
      { document: 1 },
      { timeout: 1 },
      {},
    ],
    ['no sockets', { onPacket: null }, { socket: 1 }, { 404: 1 }, {}],
    [
      'a CONNECT that is refused',
      { onPacket: after('40', (client) => client.send('44{"message":"Authentication error"}')) },
      { socket: 1 },
      { 'CONNECT refused': 1 },
      {},
    ],
    [
      'a CONNECT without an answer',
      { onPacket: () => {}, deadline: 500 },
      { socket: 1 },
      { timeout: 1 },
      {},
    ],
    [
      'a join that is refused',
      { onPacket: after('420', (client) => client.send('430["Authentication error"]')) },
      { join: 1 },
      { 'join refused': 1 },
      {},
    ],
    [
      'a socket that the other side closes',
      { onPacket: after('420', (client) => client.close(1008, 'session-expired')) },
      { join: 1, ...gone },
      { '1008 session-expired': 2, 'socket lost': 4 },
      { '1008 session-expired': 1 },
    ],
    [
      'a socket that is closed for a reason that may hold a token',
      { onPacket: after('420', (client) => client.close(1008, 'Bearer \u001b-eyJ')) },
      { join: 1, ...gone },
      { 1008: 2, 'socket lost': 4 },
      { 1008: 1 },
    ],
    [
      'a socket that is closed without a code',
      { onPacket: after('420', (client) => client.close()) },
      { join: 1, ...gone },
      { 1005: 2, 'socket lost': 4 },
      { 1005: 1 },
    ],
    [
      'a socket that breaks',
      { onPacket: after('420', (client) => client.terminate()) },
      { join: 1, ...gone },
      { 1006: 2, 'socket lost': 4 },
      { 1006: 1 },
    ],
    [
      'a client that is disconnected',
      { onPacket: after('420', (client) => client.send('41')) },
      { join: 1, ...gone },
      { disconnected: 2, 'socket lost': 4 },
      { disconnected: 1 },
    ],
    [
      'an answer without an end',
      { onPacket: after('420', (client) => client.send(Buffer.alloc(17 * 2 ** 20))) },
      { join: 1, ...gone },
      { 1006: 2, 'socket lost': 4 },
      { 1006: 1 },
    ],
  ]
  const runs = rows.map(async ([name, workspace, failed, failures, lost]) => {
    const origin = await startWorkspace(t, workspace)
    const target = {
      url: new URL(origin),
      addresses: [{ address: '127.0.0.1', family: 4 }],
      deadline: workspace.deadline ?? 10_000,
    }
    const found = await play(origin, { chats: 1 }, { target })
    t.strictSame(
      Object.fromEntries(
        Object.keys(healthy).map((kind) => [kind, Reflect.get(found.kinds, kind).failed]),
      ),
      { ...healthy, ...failed },
      name,
    )
    t.strictSame(found.failures, failures, name)
    t.strictSame(found.sockets.lost, lost, name)
    t.equal(found.kinds.message.count, failed.message ?? (name === 'nothing' ? 4 : 0), name)
    t.equal(found.seconds.at(-1)?.sockets, 0, 'no socket is left open')
  })
  await Promise.all(runs)
})

t.test('what is not HTTP fails a step, and none of it is repeated', async (t) => {
  const answers = [
    '\u001b[2Jnot HTTP <script>alert(1)</script>\r\n\r\n',
    'HTTP/1.1 2\u001b]0;title\u0007\r\n\r\n',
    'HTTP/1.1 200 OK\r\nSet-Cookie: a=\u001b[31m<b>\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\u001b[2Jx',
  ]
  const runs = answers.map(async (answer) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(answer))
    })
    t.teardown(() => server.close())
    const { failures, kinds } = await play(`http://127.0.0.1:${await listen(server)}`)
    t.match(kinds.document, { count: 2, failed: 2 }, JSON.stringify(answer))
    t.strictSame(failures, { 'no HTTP': 2 }, JSON.stringify(answer))
  })
  await Promise.all(runs)
})

t.test('messages that are due after a socket was lost fail, and so does the socket', async (t) => {
  const origin = await startWorkspace(t, {
    onPacket(client, packet) {
      if (packet.includes('sendMessage')) client.terminate()
      else answer(client, packet)
    },
  })
  const { kinds, total } = await play(origin, { chats: 1 })
  t.match(kinds, { socket: { failed: 1 }, message: { count: 4, failed: 4 } })
  t.equal(total.failed, 5)
})

t.test('large and broken-up messages are read as they come', async (t) => {
  const origin = await startWorkspace(t, {
    onPacket(client, packet) {
      if (packet.startsWith('420')) {
        client.send('42["tile', { fin: false })
        client.ping('asked')
        client.send('Update"]', { fin: true })
        client.send(`42["tileUpdate","${'.'.repeat(200_000)}"]`)
      }
      answer(client, packet)
    },
  })
  const found = await play(origin, { chats: 1 })
  t.strictSame(found.failures, {})
  t.equal(found.kinds.join.count, 1)
  t.ok(found.kinds.message.count > 0)
})

t.test('failures of too many names are counted as others', async (t) => {
  let closed = 0
  const origin = await startWorkspace(t, {
    onPacket(client, packet) {
      if (packet.startsWith('420')) client.close(4000 + (closed % 900))
      else answer(client, packet)
      closed += 1
    },
  })
  const found = await play(origin, { agents: 60, chats: 1 })
  t.equal(Object.keys(found.failures).length, 51)
  t.equal(found.kinds.socket.failed, 60)
  t.equal(found.sockets.lost['others'], 10)
})
