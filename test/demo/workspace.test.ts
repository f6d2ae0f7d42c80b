import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { io, type Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import { startWorkspace, type Workspace } from '../../demo/workspace.ts'

const secret = Buffer.alloc(32, 7)
const ids = { userId: 'agent-7', sessionId: 'chat-2041', URLToken: 'f38791ae' }
const never = 3_600_000

t.test('the page is made of the files that Copilot’s page is made of', async (t) => {
  const { page, api, apiToken } = await start(t)
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(new URL(path, page), init)

  const document = await get('/?userId=a&sessionId=b&URLToken=c')
  t.equal(document.headers.get('content-type'), 'text/html; charset=utf-8')
  t.match(document.headers.get('content-security-policy'), /frame-ancestors/)
  t.notMatch(document.headers.get('content-security-policy'), /frame-src|script-src|default-src/)
  const html = await document.text()
  const [app = '', style = ''] = [
    /src="(\/assets\/index-[0-9a-f]+\.js)"/,
    /href="(\/assets\/index-[0-9a-f]+\.css)"/,
  ].map((pattern) => pattern.exec(html)?.[1])
  t.match(html, /"\.\/config\.js".*"\.\/assets\/renderPlugins\/message-renderer\.js"/s)

  const module = await (await get(app)).text()
  const client = /'\.(\/socket\.io-[0-9a-f]+\.js)'/.exec(module)?.[1]
  const script = 'text/javascript; charset=utf-8'
  for (const [path, type, immutable] of [
    [app, script, true],
    [`/assets${client}`, script, true],
    [style, 'text/css; charset=utf-8', true],
    ['/assets/renderPlugins/message-renderer.js', script, false],
    ['/config.js', script, false],
    ['/manifest.json', 'application/json', false],
    ['/favicon.ico', 'image/x-icon', false],
  ] as const) {
    const response = await get(path)
    t.equal(response.status, 200, path)
    t.equal(response.headers.get('content-type'), type, path)
    t.equal(
      response.headers.get('cache-control'),
      immutable ? 'public, max-age=31536000, immutable' : null,
      path,
    )
    t.ok((await response.arrayBuffer()).byteLength > 100, path)
  }

  t.equal(
    await (await get('/config.js')).text(),
    `window.serverConfig = ${JSON.stringify({
      accessTokenSecret: apiToken,
      agentAssistAPIUrl: api.href,
      liveAgentUrl: '',
    })}\n`,
  )
  const head = await get('/', { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), String(Buffer.byteLength(html)))
  t.equal(await head.text(), '')
  t.equal((await get('/index.html')).status, 404)
  t.equal((await get('/', { method: 'POST' })).status, 405)
})

t.test('whoever joins gets the grid and a tile for each of its places', async (t) => {
  const workspace = await start(t)
  const { socket, tile } = await open(t, workspace)
  const config = heard(socket, 'config')
  const tiles = ['identity', 'suggestion', 'summary', 'transcript'].map((name) => tile(name))
  t.equal(await join(socket), undefined)
  t.match(await config, [
    {
      grid: { columns: Number, rows: Number, gap: Number },
      tiles: {
        identity: { x: Number, y: Number, rows: Number, columns: Number },
        suggestion: {},
        summary: {},
        transcript: {},
      },
    },
  ])
  const [identity, suggestion, summary, transcript] = await Promise.all(tiles)
  t.match(identity, /Maria Lindqvist/)
  t.match(suggestion, /Listening/)
  t.match(summary, /cancelled/)
  t.match(transcript, /my train to Oslo/)
  t.notMatch(transcript, /ticket number/, 'the transcript has only begun')
})

t.test('a conversation goes on line by line, then waits for the agent', async (t) => {
  const workspace = await start(t, 5)
  const { socket, tile } = await open(t, workspace)
  const ready = tile('suggestion', /full fare/)
  const opening = tile('transcript', /my money back/)
  await join(socket)
  t.match(await ready, /SDK\.postback\('use-answer'\)/)
  t.match(await opening, /my train to Oslo.*ticket number.*my money back/s)

  const answered = tile('transcript', /full fare/)
  const next = tile('suggestion', /three to five working days/)
  const summary = tile('summary', /21\.50/)
  socket.emit('sendPostbackAction', { ...ids, action: 'use-answer' })
  await Promise.all([answered, next, summary])

  const done = tile('suggestion', /Nothing is open/)
  socket.emit('sendPostbackAction', { ...ids, action: 'use-answer' })
  await done

  // Nothing is left to use: the next change of the transcript is the message.
  socket.emit('sendPostbackAction', { ...ids, action: 'use-answer' })
  const said = tile('transcript')
  socket.emit('sendMessage', { text: '<script>"Bye" & so on</script>' })
  t.match(await said, '&#60;script&#62;&#34;Bye&#34; &#38; so on&#60;/script&#62;')
})

t.test('the API token opens the socket, and nothing else does', async (t) => {
  const workspace = await start(t)
  for (const auth of [{ token: 'copilot-gateway' }, { token: [workspace.apiToken] }, {}]) {
    const socket = client(t, workspace.api, auth)
    t.match(
      await heard(socket, 'connect_error'),
      [{ message: /^Authentication error$/ }],
      JSON.stringify(auth),
    )
  }
})

t.test('auth is verified where it is passed', async (t) => {
  const workspace = await start(t)
  const connected = async (auth: string): Promise<Socket | string> => {
    const url = new URL(`?auth=${auth}`, workspace.api)
    const socket = client(t, url, { token: workspace.apiToken })
    return Promise.race([
      heard(socket, 'connect').then(() => socket),
      heard(socket, 'connect_error').then(String),
    ])
  }
  const { URLToken, ...claims } = ids
  const [, none = ''] = jwt(claims).split('.')
  for (const [name, auth] of [
    ['no JWT', 'abc'],
    ['empty', ''],
    ['another secret', jwt(claims, { key: Buffer.alloc(32, 8) })],
    ['another algorithm', jwt(claims, { header: { alg: 'none' } })],
    ['a fourth part', `${jwt(claims)}.x`],
    ['no signature', `${jwt(claims).split('.')[0]}.${none}.`],
    ['expired', jwt({ ...claims, exp: 1 })],
    ['exp as text', jwt({ ...claims, exp: '9999999999' })],
    ['claims that are a list', jwt([claims])],
    ['claims that are no JSON', jwt(claims, { body: 'e30x' })],
  ] as const) {
    t.equal(await connected(auth), 'Error: Authentication error', name)
  }

  const inAnHour = Math.floor(Date.now() / 1000) + 3600
  for (const [name, auth, asked, answer] of [
    ['the claims’ session', jwt(claims), ids, undefined],
    ['with all claims', jwt({ ...ids, exp: inAnHour }), ids, undefined],
    ['another userId', jwt(claims), { ...ids, userId: 'x' }, 'Authentication error'],
    ['another sessionId', jwt(claims), { ...ids, sessionId: 'x' }, 'Authentication error'],
    ['another URLToken', jwt(ids), { ...ids, URLToken: 'x' }, 'Authentication error'],
  ] as const) {
    const socket = await connected(auth)
    t.not(typeof socket, 'string', name)
    if (typeof socket !== 'string') t.equal(await join(socket, asked), answer, name)
  }
})

t.test('join names all three ids', async (t) => {
  const { socket } = await open(t, await start(t))
  for (const asked of [
    { ...ids, userId: null },
    { ...ids, sessionId: '' },
    { userId: 'a', sessionId: 'b' },
    [],
    null,
    'x',
  ]) {
    t.match(await join(socket, asked), /are required/, JSON.stringify(asked))
  }
  // The acknowledgement is the client's to ask for.
  const config = heard(socket, 'config')
  socket.emit('join', ids)
  await config
})

t.test('sessions stay apart by each of their three ids', async (t) => {
  const workspace = await start(t)
  const first = await open(t, workspace)
  const same = await open(t, workspace)
  await join(first.socket)
  await join(same.socket)
  for (const [name, value] of [
    ['userId', 'agent-8'],
    ['sessionId', 'chat-2042'],
    ['URLToken', 'a4902b'],
  ] as const) {
    const other = await open(t, workspace)
    await join(other.socket, { ...ids, [name]: value })
    const [mine, shared] = [first.tile('transcript', /mine/), same.tile('transcript', /mine/)]
    const theirs = other.tile('transcript', /mine|theirs/)
    first.socket.emit('sendMessage', { text: 'mine' })
    await Promise.all([mine, shared])
    other.socket.emit('sendMessage', { text: 'theirs' })
    t.notMatch(await theirs, /mine/, name)
  }
})

t.test('what does not fit is left alone', async (t) => {
  const { socket, tile } = await open(t, await start(t))
  socket.emit('sendMessage', { text: 'before joining' })
  await join(socket)
  const transcript = tile('transcript', /last/)
  for (const message of [null, 'text', { text: 5 }]) socket.emit('sendMessage', message)
  for (const event of [null, ids, { ...ids, action: 'other' }, { action: 'use-answer' }]) {
    socket.emit('sendPostbackAction', event)
  }
  socket.emit('sendMessage', { text: 'last' })
  t.notMatch(await transcript, /before joining|full fare/)
})

t.test('the backend itself lets any socket act on any session', async (t) => {
  const workspace = await start(t, 5)
  const first = await open(t, workspace)
  const ready = first.tile('suggestion', /full fare/)
  await join(first.socket)
  await ready
  const answered = first.tile('transcript', /full fare/)
  const stranger = await open(t, workspace)
  stranger.socket.emit('sendPostbackAction', { ...ids, action: 'use-answer' })
  t.match(await answered, /full fare/, 'which is what the gateway is for')
})

t.test('an unknown session has a conversation too', async (t) => {
  const { socket, tile } = await open(t, await start(t))
  const identity = tile('identity')
  await join(socket, { ...ids, sessionId: 'never-heard-of' })
  t.match(await identity, /Ines Okafor/)
})

t.test('close ends sockets, timers and both servers', async (t) => {
  const workspace = await start(t)
  const { socket } = await open(t, workspace)
  await join(socket)
  const gone = heard(socket, 'disconnect')
  await workspace.close()
  await gone
  for (const { hostname, port } of [workspace.page, workspace.api]) {
    const [error] = await once(connect(Number(port), hostname), 'error')
    t.equal(error.code, 'ECONNREFUSED')
  }
})

async function start(t: Test, pace = never): Promise<Workspace> {
  const workspace = await startWorkspace({ pagePort: 0, apiPort: 0, secret, pace })
  t.teardown(() => workspace.close())
  return workspace
}

function client(t: Test, api: URL, auth: Readonly<Record<string, unknown>>): Socket {
  const socket = io(api.href, {
    auth,
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
  })
  t.teardown(() => socket.disconnect())
  return socket
}

interface Opened {
  readonly socket: Socket
  /** The next HTML of a tile that matches. */
  readonly tile: (tileId: string, pattern?: RegExp) => Promise<string>
}

async function open(t: Test, { api, apiToken }: Workspace): Promise<Opened> {
  const socket = client(t, api, { token: apiToken })
  await heard(socket, 'connect')
  return {
    socket,
    tile: (tileId, pattern = /^/) =>
      new Promise((resolve) => {
        socket.on('tileUpdate', (update) => {
          if (update.tileId !== tileId || update.type !== 'html') return
          if (pattern.test(update.data.html)) resolve(update.data.html)
        })
      }),
  }
}

/** Resolves to what the next such event carries. */
function heard(socket: Socket, event: string): Promise<readonly unknown[]> {
  return new Promise((resolve) => {
    socket.once(event, (...args: readonly unknown[]) => resolve(args))
  })
}

/** Resolves to what the join is acknowledged with. */
function join(socket: Socket, asked: unknown = ids): Promise<unknown> {
  return new Promise((resolve) => socket.emit('join', asked, resolve))
}

function jwt(
  claims: unknown,
  {
    key = secret,
    header = { alg: 'HS256', typ: 'JWT' },
    body = encode(claims),
  }: { key?: Buffer; header?: unknown; body?: string } = {},
): string {
  const signed = `${encode(header)}.${body}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
