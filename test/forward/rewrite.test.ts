import { promisify } from 'node:util'
import { brotliCompress, deflate, gzip, zstdCompress } from 'node:zlib'
import t from 'tap'
import {
  createRewriter,
  decodeBody,
  forReadableAnswer,
  type Kind,
  kindOf,
  mostWhole,
  type Rewriter,
  textOf,
} from '../../src/forward/rewrite.ts'

const api = new URL('https://api.copilot.example')
const token = 'b7/f3"&c4e5-real-token'
const origin = 'https://gateway.example:8443'
const strict = createRewriter(api, token)

interface Read {
  readonly by?: Rewriter
  readonly kind?: Kind
  readonly path?: string
  readonly copilotSession?: string | null
}

function rewrite(
  text: string,
  { by = strict, kind = 'code', path = '/x.js', copilotSession = null }: Read = {},
): string | null {
  return by.rewrite(text, kind, { origin, path, copilotSession: () => copilotSession })
}

async function readAnswer(body: Buffer, headers: Record<string, string>): Promise<string | null> {
  const decoded = await decodeBody(body, headers['content-encoding'] ?? '')
  return decoded === null ? null : textOf(decoded, headers['content-type'] ?? '')
}

t.test('the backend’s address becomes the gateway’s', (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['"https://api.copilot.example"', `"${origin}"`],
    ['"https://api.copilot.example/"', `"${origin}/"`],
    ['https://api.copilot.example/v1/x', `${origin}/v1/x`],
    ['https://api.copilot.example?x', `${origin}?x`],
    ['https://api.copilot.example:443/', `${origin}/`],
    ['HTTPS://API.Copilot.Example', origin],
    ['wss://api.copilot.example/socket.io/', 'wss://gateway.example:8443/socket.io/'],
    [String.raw`"https:\/\/api.copilot.example\/"`, String.raw`"https:\/\/gateway.example:8443\/"`],
    ['a https://api.copilot.example. b', `a ${origin}. b`],
    ['https://api.copilot.example,https://api.copilot.example', `${origin},${origin}`],
  ]
  for (const [text, expected] of rows) t.equal(rewrite(text), expected, text)
  const others = [
    'https://api.copilot.example.com',
    'https://api.copilot.example-x',
    'https://api.copilot.example:8443',
    'https://xapi.copilot.example',
    'http://api.copilot.example',
    'https://api-copilot.example',
    'https://copilot.example',
  ]
  for (const text of others) t.equal(rewrite(text), null, text)
  const local = createRewriter(new URL('http://127.0.0.1:3000'), null)
  t.equal(rewrite('ws://127.0.0.1:3000', { by: local }), 'wss://gateway.example:8443')
  t.equal(rewrite('http://127.0.0.1:30001', { by: local }), null)
  t.end()
})

t.test('the API token becomes a word, however it is written', (t) => {
  const rows = [
    token,
    JSON.stringify(token).slice(1, -1),
    JSON.stringify(token).slice(1, -1).replaceAll('/', String.raw`\/`),
    encodeURIComponent(token),
    token.replaceAll('&', '&amp;').replaceAll('"', '&#34;'),
    token.replaceAll('&', '&amp;').replaceAll('"', '&quot;'),
    JSON.stringify(token).slice(1, -1).replaceAll('&', String.raw`\u0026`),
    token.replaceAll('/', String.raw`\u{2f}`),
    token.replaceAll('"', '&#0034;'),
  ]
  for (const text of rows) t.equal(rewrite(`a${text}b`), 'acopilot-gatewayb', text)
  t.equal(rewrite(`${token} ${token}`), 'copilot-gateway copilot-gateway')
  t.equal(rewrite(token, { by: createRewriter(api, null) }), null, 'where it is known')
  t.end()
})

t.test('whatever token config.js names is kept back, once there is one to keep', (t) => {
  const word = 'copilot-gateway'
  const rows: readonly (readonly [string, string])[] = [
    ['{accessTokenSecret:"rotated"}', `{accessTokenSecret:"${word}"}`],
    ["accessTokenSecret = 'rotated'", `accessTokenSecret = '${word}'`],
    ['{"accessTokenSecret": "a\\"b", "x": 1}', `{"accessTokenSecret": "${word}", "x": 1}`],
  ]
  for (const [text, expected] of rows) {
    t.equal(rewrite(text, { path: '/config.js' }), expected, text)
    t.equal(rewrite(text), null, 'and no other script is guessed at')
    const by = createRewriter(api, null)
    t.equal(rewrite(text, { path: '/config.js', by }), null, 'nor where none is known')
  }
  t.equal(rewrite('{accessTokenSecret:""}', { path: '/config.js' }), null, 'none at all')
  t.end()
})

t.test('where one session asks, config.js gets a credential, and so does what it names', (t) => {
  const copilotSession = 'eyJ.a.b'
  const config = { path: '/config.js', copilotSession } as const
  const rows: readonly (readonly [string, string])[] = [
    ['"https://api.copilot.example"', `"${origin}?copilotSession=eyJ.a.b"`],
    ["'https://api.copilot.example/'", `'${origin}/?copilotSession=eyJ.a.b'`],
    ['`wss://api.copilot.example`', '`wss://gateway.example:8443?copilotSession=eyJ.a.b`'],
    [
      String.raw`"https:\/\/api.copilot.example\/"`,
      String.raw`"https:\/\/gateway.example:8443\/?copilotSession=eyJ.a.b"`,
    ],
    // A query there would end a path, and a path is a namespace.
    ['"https://api.copilot.example/v1"', `"${origin}/v1"`],
  ]
  for (const [text, expected] of rows) t.equal(rewrite(text, config), expected, text)
  const [[address = '', plain = ''] = []] = [['"https://api.copilot.example"', `"${origin}"`]]
  t.equal(rewrite(address, { path: '/config.js' }), plain, 'no one session')
  t.equal(rewrite(address, { copilotSession }), plain, 'no other script')

  const page = { kind: 'html', path: '/', copilotSession } as const
  const credential = '?copilotSession=eyJ.a.b'
  const documents: readonly (readonly [string, string])[] = [
    ['<script src="./config.js">', `<script src="./config.js${credential}">`],
    ['<script src="config.js">', `<script src="config.js${credential}">`],
    ['<script src="/config.js">', `<script src="/config.js${credential}">`],
    ["<script src = './config.js'>", `<script src = './config.js${credential}'>`],
    ['<script src=./config.js></script>', `<script src=./config.js${credential}></script>`],
    ['<SCRIPT SRC="config.js">', `<SCRIPT SRC="config.js${credential}">`],
    ['<link rel=preload href="./config.js">', `<link rel=preload href="./config.js${credential}">`],
    ['<script src="config.js?v=3">', '<script src="config.js?v=3&amp;copilotSession=eyJ.a.b">'],
    [`<script src="${origin}/config.js">`, `<script src="${origin}/config.js${credential}">`],
  ]
  for (const [text, expected] of documents) t.equal(rewrite(text, page), expected, text)
  const foreign = [
    '<script src="//cdn.example/config.js">',
    '<script src="https://cdn.example/config.js">',
    '<script src="assets/config.js">',
    '<script src="/my-config.js">',
    '<script src="./config.json">',
    '<a data-x="config.js">',
  ]
  for (const text of foreign) t.equal(rewrite(text, page), null, text)
  t.equal(rewrite('<script src="./config.js">', { kind: 'html', path: '/' }), null)
  const below = { ...page, path: '/below/page' } as const
  t.equal(rewrite('<script src="./config.js">', below), null, 'another config.js')
  t.equal(rewrite('<script src="../config.js">', below), `<script src="../config.js${credential}">`)
  t.end()
})

t.test('a page that is nothing but beginnings is read in no time', (t) => {
  const page = { kind: 'html', path: '/', copilotSession: 'eyJ.a.b' } as const
  for (const text of ['src=', 'src="', 'href=a', 'src =', 'https://']) {
    t.equal(rewrite(text.repeat(2 ** 20 / text.length), page), null, text)
  }
  t.end()
})

t.test('what is read', (t) => {
  const rows: readonly (readonly [string, string, Kind | null])[] = [
    ['/', 'text/html; charset=utf-8', 'html'],
    ['/', 'TEXT/HTML', 'html'],
    ['/', 'application/xhtml+xml', 'html'],
    ['/x', 'text/javascript', 'code'],
    ['/x', 'application/javascript;charset=utf-8', 'code'],
    ['/x', 'application/x-javascript', 'code'],
    ['/x', 'text/ecmascript', 'code'],
    ['/x', 'application/json', 'code'],
    ['/x', 'application/problem+json', 'code'],
    ['/x', 'application/manifest+json', 'code'],
    ['/config.js', '', 'code'],
    ['/config.js', 'text/plain', 'code'],
    ['/x.mjs', 'application/octet-stream', 'code'],
    ['/x.js.map', 'application/octet-stream', 'code'],
    ['/x.css', 'text/css', null],
    ['/x.png', 'image/png', null],
    ['/x', 'text/event-stream', null],
    ['/x', '', null],
    ['/socket.io/', 'text/plain; charset=UTF-8', null],
    ['/socket.io/', 'application/json', 'code'],
    ['/socket.io/x', 'text/html', 'html'],
    ['/config.j%73', 'text/plain', 'code'],
    ['/x', 'text/javascript1.5', 'code'],
    ['/config.js.gz', 'application/gzip', 'sealed'],
    ['/x.html.br', '', 'sealed'],
    ['/x.tar.gz', 'application/gzip', null],
    ['/x', 'multipart/byteranges; boundary=x', 'sealed'],
  ]
  for (const [path, type, kind] of rows) t.equal(kindOf(path, type), kind, `${path} ${type}`)
  t.end()
})

t.test('what is asked for is whole, and can be decoded', (t) => {
  const conditions = ['Range', 'bytes=0-', 'If-None-Match', '"a"', 'If-Range', '"a"']
  const encodings = (headers: readonly string[]): string | undefined =>
    headers[headers.findIndex((name) => name.toLowerCase() === 'accept-encoding') + 1]
  const asked = (headers: readonly string[], path: string, method = 'GET') =>
    forReadableAnswer(headers, method, path, headers[headers.indexOf('Sec-Fetch-Dest') + 1] ?? '')

  for (const path of ['/', '/below/', '/x.html', '/config.js']) {
    t.same(asked([...conditions, 'X', 'y'], path), ['X', 'y', 'Accept-Encoding', 'identity'], path)
    t.equal(encodings(asked(['accept-encoding', 'gzip, br'], path)), 'identity', path)
  }
  for (const path of ['/assets/index-1a2b.js', '/x.mjs', '/x.json', '/x.map']) {
    t.same(asked([...conditions, 'X', 'y'], path), ['X', 'y'], path)
    t.equal(encodings(asked(['Accept-Encoding', 'gzip, br;q=0.5'], path)), 'gzip, br;q=0.5', path)
    t.equal(encodings(asked(['Accept-Encoding', 'gzip, lzma'], path)), 'gzip', path)
    t.equal(encodings(asked(['Accept-Encoding', 'dcb'], path)), 'identity', path)
  }
  t.same(asked(conditions, '/x.png'), conditions, 'other files')
  t.same(asked(conditions, '/api/x'), conditions, 'what can’t be told')
  const document = ['Sec-Fetch-Dest', 'iframe']
  t.same(asked([...conditions, ...document], '/chat'), [...document, 'Accept-Encoding', 'identity'])
  const script = ['Sec-Fetch-Dest', 'script']
  t.same(asked([...conditions, ...script], '/chat'), script)
  t.same(asked(['Range', 'bytes=0-1,5-6'], '/api/x'), [], 'not in many parts')
  t.same(asked(['Request-Range', 'bytes=0-1,5-6'], '/api/x'), [], 'by no name of it')
  t.same(asked(conditions, '/config.j%73'), [], 'however the path is spelled')
  t.same(
    asked(['If-Match', '"a"'], '/x.json', 'PUT'),
    ['If-Match', '"a"'],
    'a change on a condition',
  )
  t.same(asked(conditions, '/socket.io/x.js'), conditions, 'the channel')
  t.end()
})

t.test('what comes encoded is decoded, within bounds', async (t) => {
  const text = 'window.serverConfig = {} // ä'
  const latin1 = Buffer.from(text).toString('latin1')
  const type = { 'content-type': 'text/javascript' }
  const coded: readonly (readonly [string, Buffer])[] = [
    ['gzip', await promisify(gzip)(text)],
    ['x-gzip', await promisify(gzip)(text)],
    ['GZIP', await promisify(gzip)(text)],
    ['deflate', await promisify(deflate)(text)],
    ['br', await promisify(brotliCompress)(text)],
    ['zstd', await promisify(zstdCompress)(text)],
    ['identity', Buffer.from(text)],
    ['', Buffer.from(text)],
  ]
  for (const [coding, body] of coded) {
    t.equal(await readAnswer(body, { ...type, 'content-encoding': coding }), latin1, coding)
  }
  t.equal(await readAnswer(Buffer.from(text), type), latin1)
  t.equal(await readAnswer(Buffer.alloc(0), { ...type, 'content-encoding': 'gzip' }), '', 'empty')
  const zip = await promisify(gzip)(text)
  const bomb = await promisify(gzip)(Buffer.alloc(mostWhole + 1))
  const unreadable: readonly (readonly [string, Buffer, Record<string, string>])[] = [
    ['a coding that is none', zip, { 'content-encoding': 'lzma' }],
    ['a name of an object’s', zip, { 'content-encoding': 'constructor' }],
    ['two codings', zip, { 'content-encoding': 'gzip, br' }],
    ['another coding than it says', zip, { 'content-encoding': 'br' }],
    ['cut short', zip.subarray(0, -9), { 'content-encoding': 'gzip' }],
    ['a bomb', bomb, { 'content-encoding': 'gzip' }],
    ['UTF-16 by name', Buffer.from(text), { 'content-type': 'text/html; charset=UTF-16LE' }],
    ['UTF-16, quoted', Buffer.from(text), { 'content-type': 'text/html; charset="utf-16"' }],
    ['UTF-16 by its mark', Buffer.from(`\ufeff${text}`, 'utf16le'), {}],
    ['UTF-16 by its other mark', Buffer.from([0xfe, 0xff, 0, 0x61]), {}],
    ['UTF-16 by another name', Buffer.from(text), { 'content-type': 'text/html; charset=unicode' }],
    ['UTF-7', Buffer.from(text), { 'content-type': 'text/html; charset=utf-7' }],
  ]
  for (const [name, body, headers] of unreadable) {
    t.equal(await readAnswer(body, { ...type, ...headers }), null, name)
  }
})
