import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Server, type Socket } from 'socket.io'
import { type Conversation, conversations, findConversation, type Line } from './conversations.ts'
import { isRecord } from './json.ts'
import { type Answer, close, listen, publicFile, respondWith } from './site.ts'
import { config, identityTile, suggestionTile, summaryTile, transcriptTile } from './tiles.ts'

export interface Workspace {
  /** The static front end. */
  readonly page: URL
  /** The backend that the front end opens its socket to. */
  readonly api: URL
  readonly apiToken: string
  close(): Promise<void>
}

/** An event of a client's, as it reaches the backend. */
export interface Heard {
  /** That of its socket's handshake; the same name stands in the gateway's log. */
  readonly requestId: string
  readonly event: string
  readonly said: readonly unknown[]
}

/**
 * A workspace that behaves as Agent Copilot does: a static page on one host, its backend on another.
 * Port 0 takes a free one; `pace` is the time between two lines of a conversation, in milliseconds.
 */
export async function startWorkspace(options: {
  readonly pagePort: number
  readonly apiPort: number
  readonly secret: Buffer
  readonly host?: string
  readonly apiToken?: string
  /** What `config.js` says of the backend's address; where it listens unless given. */
  readonly apiUrl?: string
  readonly pace?: number
  readonly onEvent?: (heard: Heard) => void
}): Promise<Workspace> {
  const { host = '127.0.0.1', apiToken = randomBytes(32).toString('hex'), pace = 3500 } = options
  const { onEvent = () => {} } = options
  const api = createServer(respondWith(() => null))
  const stopBackend = startBackend(new Server(api, { serveClient: false }), {
    apiToken,
    secret: options.secret,
    pace,
    onEvent,
  })
  const apiPort = await listen(api, options.apiPort, host)
  const files = pageFiles({
    accessTokenSecret: apiToken,
    // Its own address, as Copilot's chart has it: what stands in front changes it on the way.
    agentAssistAPIUrl: options.apiUrl ?? `http://${host}:${apiPort}/`,
    liveAgentUrl: '',
  })
  const page = createServer(respondWith((path) => files.get(path) ?? null))
  const pagePort = await listen(page, options.pagePort, host)
  return {
    page: new URL(`http://${host}:${pagePort}/`),
    api: new URL(`http://${host}:${apiPort}/`),
    apiToken,
    close: async () => {
      await stopBackend()
      await Promise.all([close(page), close(api)])
    },
  }
}

function pageFiles(serverConfig: Readonly<Record<string, string>>): ReadonlyMap<string, Answer> {
  const socketIo = new URL(
    './client-dist/socket.io.esm.min.js',
    import.meta.resolve('socket.io/package.json'),
  )
  const client = readFileSync(socketIo, 'utf8').replace(/\n\/\/# sourceMappingURL=.*/, '')
  const clientName = hashed('socket.io.js', client)
  const app = publicText('assets/index.js').replace('./socket.io.js', `./${clientName}`)
  const appName = hashed('index.js', app)
  const style = publicText('assets/index.css')
  const styleName = hashed('index.css', style)
  const document = publicText('index.html')
    .replace('/assets/index.js', `/assets/${appName}`)
    .replace('/assets/index.css', `/assets/${styleName}`)

  const script = 'text/javascript; charset=utf-8'
  const forever = { 'cache-control': 'public, max-age=31536000, immutable' }
  const renderer = 'assets/renderPlugins/message-renderer.js'
  return new Map<string, Answer>([
    [
      '/',
      {
        type: 'text/html; charset=utf-8',
        body: document,
        headers: {
          'cache-control': 'no-cache',
          // No script-src or frame-src: tiles inherit this policy and bring scripts of their own.
          'content-security-policy': "base-uri 'self'; object-src 'none'; frame-ancestors *",
        },
      },
    ],
    [`/assets/${appName}`, { type: script, body: app, headers: forever }],
    [`/assets/${clientName}`, { type: script, body: client, headers: forever }],
    [`/assets/${styleName}`, { type: 'text/css; charset=utf-8', body: style, headers: forever }],
    [`/${renderer}`, publicFile(`workspace/${renderer}`)],
    ['/manifest.json', publicFile('workspace/manifest.json')],
    ['/favicon.ico', publicFile('workspace/favicon.ico')],
    [
      '/config.js',
      { type: script, body: `window.serverConfig = ${JSON.stringify(serverConfig)}\n` },
    ],
  ])
}

function publicText(path: string): string {
  return publicFile(`workspace/${path}`).body.toString()
}

function hashed(name: string, body: string): string {
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 8)
  return name.replace(/(\.\w+)$/, `-${hash}$1`)
}

interface Ids {
  readonly userId: string
  readonly sessionId: string
  readonly URLToken: string
}

interface Session {
  readonly room: string
  readonly conversation: Conversation
  readonly lines: Line[]
  readonly pending: Line[]
  turn: number
  timer: NodeJS.Timeout | null
}

/** Returns what ends it. */
function startBackend(
  io: Server,
  {
    apiToken,
    secret,
    pace,
    onEvent,
  }: {
    readonly apiToken: string
    readonly secret: Buffer
    readonly pace: number
    readonly onEvent: (heard: Heard) => void
  },
): () => Promise<void> {
  const sessions = new Map<string, Session>()

  io.use((socket, next) => {
    const { auth } = socket.handshake.query
    const welcome =
      socket.handshake.auth['token'] === apiToken && (auth === undefined || claimsOf(auth, secret))
    next(welcome ? undefined : new Error('Authentication error'))
  })

  io.on('connection', (socket: Socket) => {
    const { auth } = socket.handshake.query
    const claims = auth === undefined ? null : claimsOf(auth, secret)
    const requestId = String(socket.handshake.headers['x-request-id'])
    let joined: Session | null = null

    socket.onAny((event: unknown, ...said: unknown[]) =>
      onEvent({ requestId, event: String(event), said }),
    )

    socket.on('join', (ids: unknown, done: unknown) => {
      const answer = typeof done === 'function' ? done : () => {}
      if (!areIds(ids)) return answer('userId, sessionId and URLToken are required')
      if (claims && !areOf(claims, ids)) return answer('Authentication error')
      joined = sessionOf(ids)
      socket.join(joined.room)
      answer()
      socket.emit('config', config)
      for (const [tileId, html] of Object.entries(tilesOf(joined))) {
        socket.emit('tileUpdate', { tileId, type: 'html', data: { html } })
      }
      speak(joined)
    })

    socket.on('sendMessage', (message: unknown) => {
      if (!joined || !isRecord(message) || typeof message['text'] !== 'string') return
      joined.lines.push({ from: 'agent', text: message['text'] })
      show(joined, 'transcript')
    })

    // Acts on the session that the event names, joined or not: so does the real backend.
    socket.on('sendPostbackAction', (event: unknown) => {
      if (!areIds(event) || !isRecord(event) || event['action'] !== 'use-answer') return
      const session = sessionOf(event)
      const text = turnOf(session).suggestion
      const next = session.conversation.turns[session.turn]
      if (text === null || !next || session.pending.length > 0) return
      session.lines.push({ from: 'agent', text })
      session.pending.push(...next.lines)
      session.turn += 1
      show(session, 'transcript', 'suggestion')
      speak(session)
    })
  })

  function sessionOf({ userId, sessionId, URLToken }: Ids): Session {
    const room = JSON.stringify([userId, sessionId, URLToken])
    const known = sessions.get(room)
    if (known) return known
    const conversation = findConversation(sessionId) ?? conversations[2]
    const pending = [...conversation.opening.lines]
    const lines = pending.splice(0, 1)
    const session = { room, conversation, lines, pending, turn: 0, timer: null }
    sessions.set(room, session)
    return session
  }

  function speak(session: Session): void {
    if (session.timer || session.pending.length === 0) return
    session.timer = setTimeout(() => {
      session.timer = null
      session.lines.push(...session.pending.splice(0, 1))
      show(session, 'transcript')
      if (session.pending.length === 0) show(session, 'summary', 'suggestion')
      speak(session)
    }, pace)
  }

  function show(session: Session, ...tileIds: readonly (keyof typeof config.tiles)[]): void {
    const tiles = tilesOf(session)
    for (const tileId of tileIds) {
      io.to(session.room).emit('tileUpdate', {
        tileId,
        type: 'html',
        data: { html: tiles[tileId] },
      })
    }
  }

  return async () => {
    for (const { timer } of sessions.values()) if (timer) clearTimeout(timer)
    await io.close()
  }
}

function tilesOf(session: Session): Readonly<Record<keyof typeof config.tiles, string>> {
  const { conversation, lines, pending } = session
  const listening = pending.length > 0
  const turn = turnOf(session)
  return {
    identity: identityTile(conversation),
    suggestion: suggestionTile(turn.suggestion, listening),
    summary: summaryTile(turn.summary),
    transcript: transcriptTile(lines, conversation.customer.name),
  }
}

function turnOf({ conversation, turn }: Session): Conversation['opening'] {
  return conversation.turns[turn - 1] ?? conversation.opening
}

/** The claims of a valid HS256 token, else null. */
function claimsOf(auth: unknown, secret: Buffer): Readonly<Record<string, unknown>> | null {
  const [header, body = '', signature = '', ...rest] = String(auth).split('.')
  const expected = createHmac('sha256', secret).update(`${header}.${body}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (rest.length > 0 || given.length !== expected.length) return null
  if (!timingSafeEqual(given, expected) || decode(String(header))?.['alg'] !== 'HS256') return null
  const claims = decode(body)
  const exp = claims?.['exp'] ?? Number.POSITIVE_INFINITY
  return typeof exp === 'number' && exp * 1000 > Date.now() ? claims : null
}

function decode(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return isRecord(value) ? value : null
  } catch {
    return null
  }
}

function areOf(claims: Readonly<Record<string, unknown>>, ids: Ids): boolean {
  return (
    claims['userId'] === ids.userId &&
    claims['sessionId'] === ids.sessionId &&
    (claims['URLToken'] === undefined || claims['URLToken'] === ids.URLToken)
  )
}

function areIds(value: unknown): value is Ids {
  return (
    isRecord(value) &&
    ['userId', 'sessionId', 'URLToken'].every((name) => {
      const id = value[name]
      return typeof id === 'string' && id !== ''
    })
  )
}
