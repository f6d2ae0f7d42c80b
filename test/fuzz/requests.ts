// Requests near the edges of the contract: an honest one, made of pieces, and a few edits to it.
import fc from 'fast-check'
import type { AccessRequest } from '../../src/access/access.ts'
import { keepSession, openSession } from '../../src/access/session.ts'
import type { Key } from '../../src/access/token.ts'
import { jwt } from '../stage.ts'
import type { Line } from './wire.ts'

export interface Identity {
  readonly userId: string
  readonly sessionId: string
  readonly URLToken: string
}

/** One request as a client writes it, Latin-1: a character a byte. */
export interface Played {
  readonly method: string
  readonly target: string
  readonly version: string
  /** `{host}` in a value stands for the gateway's own. */
  readonly lines: readonly Line[]
  readonly body: string
  /** Whose tokens and cookies are in it, in whatever state. */
  readonly carried: readonly Carried[]
}

/** null: by a token that binds no URLToken, as the product page's does not. */
export type Carried = Omit<Identity, 'URLToken'> & { readonly URLToken: string | null }

interface Piece {
  readonly name: string
  /** null: no `=`. */
  readonly value: string | null
}

type Edit = (pieces: readonly Piece[], identity: Identity) => readonly Piece[]

export const idNames = ['userId', 'sessionId', 'URLToken'] as const
const ourNames = [...idNames, 'auth', 'copilotSession'] as const
/** Nobody has a token or a cookie for this one. */
export const victim: Identity = { userId: 'VICTIM', sessionId: 'VICTIM-1', URLToken: 'V1C71M00' }

// In the year 2100: one seed makes the same bytes on any day.
const farFuture = 4_102_444_800
const start = Date.UTC(2026, 0, 1)

const oddIds = [
  '7',
  '0',
  '-7',
  'A b+c',
  ' a ',
  'a%41',
  'a&userId=b',
  'a;userId=b',
  'a=b',
  'a]=b',
  '[a]',
  'a[]',
  'a,b',
  'a.b',
  'a#b',
  'a?b/c\\d',
  'a"b\'c`d',
  '<a>{b}|^~',
  'a\0b',
  'a\r\nb',
  '\ufeffa',
  '\u202ea',
  'ü',
  'u\u0308',
  'ſ',
  'ı',
  'ß',
  '😀',
  'null',
  'undefined',
  '__proto__',
  'toString',
  'userId',
] as const

/** Any text that can stand in a URL: no half of a surrogate pair. */
export const id: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[a-z\d-]{1,12}$/) },
  { weight: 3, arbitrary: fc.constantFrom(...oddIds) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }) },
)

export const identity: fc.Arbitrary<Identity> = fc
  .record({ userId: id, sessionId: id, URLToken: id })
  .filter(({ userId, sessionId, URLToken }) => !`${userId}${sessionId}${URLToken}`.includes('VICTIM'))

/** Texts that a careless comparison takes for the given one. */
const near: readonly ((text: string) => string)[] = [
  () => 'VICTIM',
  (text) => `${text} `,
  (text) => ` ${text}`,
  (text) => `${text}\0`,
  (text) => `${text}\n`,
  (text) => `${text},${text}`,
  (text) => text.toUpperCase(),
  (text) => text.toLowerCase(),
  (text) => text.normalize('NFC'),
  (text) => text.normalize('NFD'),
  (text) => text.normalize('NFKC'),
  (text) => `0${text}`,
  (text) => `+${text}`,
  (text) => `${text}.0`,
  (text) => text.slice(1),
  () => '',
  (text) => text,
]

const percent = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')
const shift = (name: string, to: number): string =>
  name.replace(/[a-z]/g, (letter) => String.fromCodePoint(to + letter.charCodeAt(0) - 0x61))
const swap = (text: string): string =>
  text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase()

/** How a name can be written so that somebody takes it for another one. */
const respellings: readonly ((name: string) => string)[] = [
  (name) => `${name}[]`,
  (name) => `${name}[0]`,
  (name) => `${name}[a]`,
  (name) => `${name}[a`,
  (name) => `${name}[`,
  (name) => `${name}]`,
  (name) => `${name}]x`,
  (name) => `[${name}]`,
  (name) => `[${name}`,
  (name) => `[${name}]x`,
  (name) => `[${name}][x]`,
  (name) => `[${name}]x[y]`,
  (name) => `[[${name}]]`,
  (name) => `[]${name}`,
  (name) => `][${name}]`,
  (name) => `]${name}]x`,
  (name) => `x[${name}]`,
  (name) => `[x][${name}]`,
  (name) => `__proto__[${name}]`,
  (name) => `constructor[prototype][${name}]`,
  (name) => `${name}[__proto__]`,
  (name) => `%5B${name}%5D`,
  (name) => `%5b${name}%5dx`,
  (name) => `${name}%5B%5D`,
  (name) => `${name}%255B%255D`,
  (name) => `${name}.x`,
  (name) => `x.${name}`,
  (name) => `.${name}`,
  (name) => `${name}.`,
  (name) => `${name.slice(0, 2)}.${name.slice(2)}`,
  (name) => `${name.slice(0, 2)}_${name.slice(2)}`,
  (name) => `${name.slice(0, 2)}+${name.slice(2)}`,
  (name) => `${name.slice(0, 2)}[${name.slice(2)}`,
  (name) => `+${name}`,
  (name) => `${name}+`,
  (name) => `%20${name}`,
  (name) => `%09${name}`,
  (name) => `${name}%0D%0A`,
  (name) => `${name}%00`,
  (name) => `${name}%00x`,
  (name) => `%00${name}`,
  (name) => `${name.slice(0, 1)}%00${name.slice(1)}`,
  (name) => `${name}%3Dx`,
  (name) => `${name}%26x`,
  (name) => `${name}%3B`,
  (name) => `${name}%23`,
  (name) => `${name};`,
  (name) => `;${name}`,
  (name) => `x;${name}`,
  (name) => `x=y;${name}`,
  (name) => `amp;${name}`,
  (name) => `?${name}`,
  (name) => `x?${name}`,
  (name) => `/?${name}`,
  (name) => `#${name}`,
  (name) => `!${name}`,
  (name) => `_${name}`,
  (name) => `$${name}`,
  (name) => `${name}:x`,
  (name) => `${name},x`,
  (name) => `'${name}'`,
  (name) => `${name}s`,
  (name) => `x${name}`,
  (name) => name.slice(1),
  (name) => name.toUpperCase(),
  (name) => name.toLowerCase(),
  (name) => swap(name.slice(0, 1)) + name.slice(1),
  (name) => name.slice(0, -1) + swap(name.slice(-1)),
  (name) => percent(name),
  (name) => percent(name).toLowerCase(),
  (name) => percent(name.slice(0, 1)) + name.slice(1),
  (name) => percent(percent(name.slice(0, 1))) + name.slice(1),
  (name) => name.replace(/^./, (letter) => `%u00${letter.charCodeAt(0).toString(16)}`),
  (name) => percent(shift(name, 0xff41)),
  (name) => percent(shift(name, 0x24d0)),
  (name) => percent(shift(name, 0x1d41a)),
  (name) => percent(name.replace(/s/, 'ſ')),
  (name) => percent(name.replace(/i/i, 'ı')),
  (name) => percent(name.replace(/i/i, 'İ')),
  (name) => percent(name.replace(/k/, '\u212a')),
  (name) => percent(name.replace(/e/, 'е')),
  (name) => percent(name.replace(/e/, 'é')),
  (name) => `${name}${percent('\u200b')}`,
  (name) => `${name.slice(0, 3)}${percent('\u00ad')}${name.slice(3)}`,
  (name) => `${percent('\ufeff')}${name}`,
  (name) => `${name}${percent('\u0301')}`,
  (name) => `${name}${percent('［］')}`,
  (name) => `${name.slice(0, 4)}%0${name.slice(4)}`,
  (name) => `${name}%`,
  (name) => `${name}%ff`,
  (name) => `${name}%c0%80`,
]

/** What splits, ends or joins something for somebody; each byte is one of the request's. */
const odd = [
  '&',
  ';',
  '#',
  '?',
  '=',
  '[',
  ']',
  ']=',
  '[]',
  '.',
  '+',
  '%',
  '%00',
  '%20',
  '%23',
  '%26',
  '%3B',
  '%3F',
  '%2523',
  '%u0026',
  '%C0%A6',
  '%ED%A0%80',
  '%EF%BC%86',
  '%E2%80%8B',
  '\\',
  '\t',
  ' ',
  '\0',
  '\x7f',
  '\x85',
  '\xa0',
  '\xc3\xbc',
  '/',
  '//',
  '/../',
  '/./',
  '/%2e%2e/',
  '/..%3Bx/',
  '/..;x/',
  '%2F',
  '%5C',
  '@',
  ':',
  ',',
  '|',
  '__proto__',
  '&amp;',
  '&copilotSession=x',
] as const

/** What names are made of that nest or end within one another; '' is the name itself. */
const soup = [
  '',
  '',
  '[',
  ']',
  '[]',
  '%5B',
  '%5D',
  '.',
  '=',
  '%3D',
  '%00',
  '+',
  '_',
  'x',
  '0',
  ';',
  'x=',
  '%C3%BC',
] as const

const paths = [
  '/',
  '/index.html',
  '/config.js',
  '/assets/index-1.js',
  '/socket.io/',
  '/socket.io/x',
  '/socket.io',
  '/Socket.IO/',
  '/%73ocket.io/',
  '/socket.io;x/',
  '/x/../socket.io/',
  '/a//b/',
  '/a;b=c/d;e',
  '/;userId=VICTIM',
  '/&userId=VICTIM',
  '/a%3FuserId=VICTIM',
  '/a%23b',
  '/...',
  '/..a/b..',
  '/.',
  '/..',
  '/%2e%2e/',
  '/..;/a',
  '/..%3B/a',
  '/%252e%252e/',
  '/a%2Fb',
  '/a%5Cb',
  '/a\\b',
  '/%C3%BC/%F0%9F%98%80',
  '/%C0%AE/',
  '/%EF%BC%8F..',
  '/a%00b',
  '/a%20b+c',
  '/100%25',
  '/%41%2541',
  '/.copilot-gateway',
  "/!$'()*,:@~{}|^`\"<>[]",
] as const

/** The name of what is no parameter of ours: extras that honest links have. */
export const extraName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('EIO', 'transport', 'sid', 't', 'lang', 'x', 'x[]', 'x[y]', 'a.b', 'users', 'author'),
  fc.stringMatching(/^[a-z]{1,8}$/),
)

const styles = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 })

/** One of the ways to write a text into a query, each character by a style of its own. */
function spell(text: string, choices: readonly number[]): string {
  return [...text]
    .map((character, i) => {
      const style = choices[i % choices.length]
      if (style === 0 && /[\w.~-]/.test(character)) return character
      if (style === 1 && character === ' ') return '+'
      if (style === 2) return percent(character).toLowerCase()
      if (style === 3 && /[!$'()*,/:?@"<>^`{|}\w.~=[\]-]/.test(character)) return character
      return percent(character)
    })
    .join('')
}

const spelling: fc.Arbitrary<(name: string) => string> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...respellings) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(...respellings), fc.constantFrom(...respellings))
      .map(
        ([first, second]) =>
          (name: string) =>
            second(first(name)),
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .array(fc.constantFrom(...soup), { maxLength: 6 })
      .map((parts) => (name: string) => parts.map((part) => part || name).join('')),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...odd), fc.nat(15))
      .map(
        ([text, at]) =>
          (name: string) =>
            name.slice(0, at) + text + name.slice(at),
      ),
  },
)

const valueNear = fc
  .tuple(fc.constantFrom(...near), styles)
  .map(
    ([change, choices]) =>
      (text: string) =>
        spell(change(text), choices),
  )

function valueIn(identity: Identity, name: string): string {
  const known = idNames.find((one) => one === name)
  return known === undefined ? 'x' : identity[known]
}

const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.nat(6), fc.constantFrom(...ourNames), spelling, valueNear, fc.boolean())
      .map(([at, name, respell, change, bare]): Edit => (pieces, identity) => {
        const value = bare ? null : change(valueIn(identity, name))
        return pieces.toSpliced(at, 0, { name: respell(name), value })
      }),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(6), fc.constantFrom(...ourNames), valueNear)
      .map(([at, name, change]): Edit => (pieces, identity) =>
        pieces.toSpliced(at, 0, { name, value: change(valueIn(identity, name)) }),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.nat(6).map((at): Edit => (pieces) => pieces.toSpliced(at, 1)),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(4), spelling)
      .map(([at, respell]): Edit => (pieces) =>
        pieces.map((piece, i) => (i === at ? { ...piece, name: respell(piece.name) } : piece)),
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(4), valueNear)
      .map(([at, change]): Edit => (pieces, identity) =>
        pieces.map((piece, i) =>
          i === at ? { ...piece, value: change(valueIn(identity, piece.name)) } : piece,
        ),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.nat(6), extraName, fc.option(id), styles)
      .map(([at, name, value, choices]): Edit => (pieces) =>
        pieces.toSpliced(at, 0, { name, value: value === null ? null : spell(value, choices) }),
      ),
  },
)

const separator = fc.oneof(
  { weight: 40, arbitrary: fc.constant('&') },
  { weight: 1, arbitrary: fc.constantFrom(';', '&&', '&;', '#', '?', '%26', '&amp;', ',', '&+', '&?') },
)

const insertion = fc.tuple(fc.nat(60), fc.constantFrom(...odd))

/** A token of one identity's, in one of the states that tokens come in. */
const tokenKinds = {
  good: (of: Identity) => jwt({ ...of, URLToken: undefined, exp: farFuture }),
  'good, URLToken bound': (of: Identity) => jwt({ ...of, exp: farFuture }),
  'good, endless': (of: Identity) => jwt({ userId: of.userId, sessionId: of.sessionId }),
  'good, ids as numbers': (of: Identity) =>
    jwt({ userId: numeric(of.userId), sessionId: numeric(of.sessionId), exp: farFuture }),
  expired: (of: Identity) => jwt({ ...of, exp: 1 }),
  "of another's key": (of: Identity) => jwt(of, { key: 'another-secret-of-256-bits-as-text' }),
  'of no key': (of: Identity) => `${jwt(of).replace(/[^.]+$/, '')}`,
  'alg none': (of: Identity) => jwt(of, { header: { alg: 'none' } }).replace(/[^.]+$/, ''),
  'for the victim, with a signature of its own': (of: Identity) =>
    [jwt(victim).replace(/\.[^.]+$/, ''), jwt(of).split('.')[2]].join('.'),
} as const
type TokenKind = keyof typeof tokenKinds
const unbound = /^good(?:, endless|, ids as numbers)?$/

function numeric(text: string): string | number {
  const value = Number(text)
  return Number.isSafeInteger(value) && String(value) === text ? value : text
}

const tokenKind: fc.Arbitrary<TokenKind> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<TokenKind>('good', 'good, URLToken bound') },
  { weight: 2, arbitrary: fc.constantFrom<TokenKind>('good, endless', 'good, ids as numbers') },
  { weight: 1, arbitrary: fc.constant<TokenKind>('expired') },
  {
    weight: 1,
    arbitrary: fc.constantFrom<TokenKind>(
      "of another's key",
      'of no key',
      'alg none',
      'for the victim, with a signature of its own',
    ),
  },
)

const schemes: readonly ((token: string) => string)[] = [
  (token) => `Bearer ${token}`,
  (token) => `bearer  ${token}`,
  (token) => `BEARER ${token} `,
  (token) => `Bearer\t${token}`,
  (token) => `Bearer ${token},`,
  (token) => `Bearer "${token}"`,
  (token) => `Bearer ${token}=`,
  (token) => `Bearer ${token} ${token}`,
  (token) => `Token ${token}`,
  (token) => `JWT ${token}`,
  () => 'Bearer opaque',
  () => 'Basic dTpw',
  () => '',
]

const cookieShapes: readonly ((pair: string) => string)[] = [
  (pair) => pair,
  (pair) => pair.toLowerCase().slice(0, 15) + pair.slice(15),
  (pair) => pair.toUpperCase().slice(0, 15) + pair.slice(15),
  (pair) => pair.slice(0, -1),
  (pair) => pair.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
  (pair) => pair.replace(/=.{9}/, '=eyJhbGciO'),
  (pair) => pair.replace('=', '="').concat('"'),
  (pair) => pair.replace('=', ' = '),
  (pair) => pair.replace(/=.*/, ''),
  (pair) => pair.replace(/=.*/, '='),
  (pair) => pair.replace('__Host-', ''),
  (pair) => `x${pair}`,
  (pair) => `\xa0${pair}`,
  (pair) => `\t${pair}`,
  (pair) => `$Version=1; ${pair}; $Path="/"`,
  (pair) => `x="a; ${pair}; b"`,
  (pair) => `${pair}; ${pair}`,
  (pair) => pair.replace('copilot-', 'copilot-\xe9'),
  () => 'theme=dark',
  () => 'a=b; c; =d; ;',
  () => '=__Host-copilot-x=y',
  () => 'userId=VICTIM',
  () => '__Host-copilot=x',
  () => '__Host-copilot-0000000000000000=eyJhbGciOiJub25lIn0.e30.',
]

/** What must not get through, in the spellings that somebody takes for it, and what may. */
const headerNames = [
  'X-Forwarded-For',
  'X_Forwarded_For',
  'X-Forwarded-Host',
  'X-Forwarded-Proto',
  'x-forwarded_proto',
  'X-Forwarded-Port',
  'Forwarded',
  'X-Request-Id',
  'X_Request_Id',
  'X-Real-IP',
  'X_Real_IP',
  'X-Original-URL',
  'X-Rewrite-URL',
  'X_Rewrite-Url',
  'X-HTTP-Method',
  'X-HTTP-Method-Override',
  'X_HTTP_METHOD_OVERRIDE',
  'X-Copilot-User-Id',
  'x_copilot_user_id',
  'X-Copilot-Session-Id',
  'X-Copilot-Contact-Center',
  'X-Copilot-',
  'X-Copilots',
  'Keep-Alive',
  'Proxy-Connection',
  'Proxy-Authorization',
  'Proxy-Authenticate',
  'TE',
  'Trailer',
  'HTTP2-Settings',
  'Host_',
  'Cookie_',
  'Accept',
  'Accept-Language',
  'Range',
  'X-Custom',
  'X.Custom',
  'X-Custom_Two',
  "!#$%&'*+.^_`|~1",
] as const

const headerValue = fc.oneof(
  fc.constantFrom('1', 'VICTIM', '10.0.0.1', '/?userId=VICTIM', '', 'a, b', 'x\ty', '\xfc\xff', '"q"'),
  fc.stringMatching(/^[!-~](?:[ -~]{0,10}[!-~])?$/),
)

const headerLine: fc.Arbitrary<Line> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...headerNames), headerValue) },
  {
    weight: 2,
    arbitrary: fc
      .subarray(['X-Custom', 'x-custom', 'Cookie', 'Authorization', 'Host', 'X-Request-Id', 'close', 'TE', 'Accept'])
      .map((named): Line => ['Connection', named.join(', ')]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        'https://cc.example/desk?auth=T#x',
        'http://{host}/?userId=VICTIM&auth=T',
        'about:blank',
        'javascript:x',
        'not a URL',
        'https://u:p@evil.example/a',
        'data:,x',
      )
      .map((value): Line => ['Referer', value]),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('http://{host}', 'https://{host}', 'https://evil.example', 'null', '')
      .map((value): Line => ['Origin', value]),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Line>(
      ['Expect', '100-continue'],
      ['Upgrade', 'h2c'],
      ['Upgrade', 'websocket'],
      ['Host', 'evil.example'],
      ['Host', '{host}'],
      ['Transfer-Encoding', 'identity'],
      ['Content-Length', '0'],
    ),
  },
)

const provenances: readonly (readonly Line[])[] = [
  [],
  [],
  [
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-Fetch-Mode', 'navigate'],
    ['Sec-Fetch-Dest', 'iframe'],
  ],
  [
    ['Sec-Fetch-Site', 'same-origin'],
    ['Sec-Fetch-Mode', 'cors'],
  ],
  [
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-Fetch-Mode', 'no-cors'],
  ],
  [['Accept', 'text/html,*/*']],
]

const method = fc.oneof(
  { weight: 12, arbitrary: fc.constant('GET') },
  { weight: 4, arbitrary: fc.constantFrom('POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE', 'PATCH') },
  { weight: 1, arbitrary: fc.constantFrom('PROPFIND', 'TRACE', 'CONNECT', 'QUERY', 'get', 'GET ') },
)

/** Bodies that would be requests if somebody lost count. */
const body = fc.constantFrom(
  '',
  'userId=VICTIM&sessionId=VICTIM-1',
  'GET /?userId=VICTIM HTTP/1.1\r\nHost: x\r\n\r\n',
  '0\r\n\r\nGET /?userId=VICTIM HTTP/1.1\r\nHost: x\r\n\r\n',
  '\r\n\r\n',
  '\0\xff',
)

const credentials = fc.record({
  /** In `auth`; `of` counts the identities. */
  auth: fc.option(fc.record({ kind: tokenKind, of: fc.nat(2) }), { freq: 4 }),
  authorizations: fc.oneof(
    { weight: 8, arbitrary: fc.constant([]) },
    {
      weight: 3,
      arbitrary: fc.array(
        fc.record({ scheme: fc.constantFrom(...schemes), kind: tokenKind, of: fc.nat(2) }),
        { minLength: 1, maxLength: 2 },
      ),
    },
  ),
  cookies: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    {
      weight: 4,
      arbitrary: fc.array(
        fc.record({
          shape: fc.oneof(
            { weight: 3, arbitrary: fc.constant((pair: string) => pair) },
            { weight: 2, arbitrary: fc.constantFrom(...cookieShapes) },
          ),
          of: fc.nat(2),
          before: fc.constantFrom('; ', '; ', ';', ' ;', ', ', '\n'),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    },
  ),
})

const identities = fc.array(identity, { minLength: 1, maxLength: 3 })

/** An honest request and up to four edits to it; `key` is the gateway's. */
export function requests(key: Key): fc.Arbitrary<Played> {
  return fc
    .record({
      identities,
      credentials,
      named: fc.oneof(
        { weight: 6, arbitrary: fc.constant([...idNames]) },
        { weight: 1, arbitrary: fc.subarray([...idNames]) },
      ),
      styles,
      edits: fc.oneof(
        { weight: 3, arbitrary: fc.array(edit, { minLength: 1, maxLength: 1 }) },
        { weight: 1, arbitrary: fc.array(edit, { maxLength: 4 }) },
      ),
      separators: fc.array(separator, { minLength: 8, maxLength: 8 }),
      insertions: fc.oneof(
        { weight: 8, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(insertion, { minLength: 1, maxLength: 2 }) },
      ),
      path: fc.oneof(
        { weight: 9, arbitrary: fc.constantFrom('/', '/socket.io/') },
        { weight: 1, arbitrary: fc.constantFrom(...paths) },
      ),
      prefix: fc.oneof(
        { weight: 40, arbitrary: fc.constant('') },
        { weight: 1, arbitrary: fc.constantFrom('http://{host}', '/', '//evil.example', '*', '?', '#') },
      ),
      method,
      version: fc.oneof(
        { weight: 30, arbitrary: fc.constant('HTTP/1.1') },
        { weight: 1, arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1') },
      ),
      provenance: fc.constantFrom(...provenances),
      extra: fc.oneof(
        { weight: 1, arbitrary: fc.constant([]) },
        { weight: 2, arbitrary: fc.array(headerLine, { minLength: 1, maxLength: 5 }) },
      ),
      body,
      chunked: fc.boolean(),
    })
    .map(({ identities, credentials, ...made }): Played => {
      const of = (index: number): Identity => identities[index % identities.length] ?? victim
      const { auth, authorizations, cookies } = credentials
      const first = of((auth ?? authorizations[0] ?? cookies[0])?.of ?? 0)

      const pieces: Piece[] = made.named.map((name) => ({
        name,
        value: spell(first[name], made.styles),
      }))
      if (auth !== null) {
        pieces.push({ name: 'auth', value: tokenKinds[auth.kind](of(auth.of)) })
      }
      const edited = made.edits.reduce<readonly Piece[]>(
        (before, change) => change(before, first),
        pieces,
      )
      const query = edited
        .map(({ name, value }) => (value === null ? name : `${name}=${value}`))
        .flatMap((piece, i) => (i === 0 ? [piece] : [made.separators[i % 8] ?? '&', piece]))
        .join('')
      const target = made.insertions.reduce(
        (text, [at, odd]) => text.slice(0, at) + odd + text.slice(at),
        `${made.prefix}${made.path}${query === '' ? '' : `?${query}`}`,
      )

      const lines: Line[] = [['Host', '{host}'], ...made.provenance]
      for (const { scheme, kind, of: index } of authorizations) {
        lines.push(['Authorization', scheme(tokenKinds[kind](of(index)))])
      }
      const jar = cookies
        .map(({ shape, of: index, before }) => before + shape(cookieOf(key, of(index))))
        .join('')
        .replace(/^[;,\s]+/, '')
      for (const line of jar.split('\n')) if (line !== '') lines.push(['Cookie', line])
      lines.push(...made.extra)
      const bodiless = /^(?:GET|HEAD|CONNECT|TRACE)/i.test(made.method) || made.version !== 'HTTP/1.1'
      const text = bodiless ? '' : made.body
      if (text !== '' && made.chunked) lines.push(['Transfer-Encoding', 'chunked'])
      else if (!bodiless) lines.push(['Content-Length', String(text.length)])
      lines.push(['Connection', 'close'])
      const { method, version } = made
      const tokens = [...(auth === null ? [] : [auth]), ...authorizations].map(
        ({ kind, of: index }): Carried => ({
          ...of(index),
          ...(unbound.test(kind) ? { URLToken: null } : {}),
        }),
      )
      const carried = [...tokens, ...cookies.map(({ of: index }) => of(index))]
      return { method, target, version, lines, body: text, carried }
    })
}

/** The cookie, as `name=value`, that the gateway would give an agent. */
export function cookieOf(key: Key, ids: Identity): string {
  const policy = { maxAge: farFuture * 1000 - start, outliveToken: false }
  const session = openSession(key, ids, null, policy, start)
  const none = { own: [], others: '' }
  const [line = ''] = keepSession(session, ids.URLToken, none, [key], start)
  return line.slice(0, line.indexOf(';'))
}

/** The request's bytes, for the gateway at this host. */
export function bytesOf({ method, target, version, lines, body }: Played, host: string): string {
  const chunked = lines.some(([name]) => name === 'Transfer-Encoding') && body !== ''
  const framed = chunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body
  const head = [
    `${method} ${target} ${version}`,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ]
  return head.join('\r\n').replaceAll('{host}', host) + framed
}

/** The same request as the decision takes it. */
export function factsOf({ method, target, lines }: Played, upgrade: boolean): AccessRequest {
  const of = (name: string): string[] =>
    lines.flatMap(([known, value]) =>
      known.toLowerCase() === name ? [value.replaceAll('{host}', 'h').trim()] : [],
    )
  return {
    method,
    target,
    upgrade,
    hosts: of('host'),
    authorizations: of('authorization'),
    cookie: of('cookie').join('; '),
    origin: of('origin')[0],
    fetchSite: of('sec-fetch-site')[0],
    fetchMode: of('sec-fetch-mode')[0],
    own: ['http://h'],
  }
}

/** The one key of a gate that has one secret. */
export function keyOf({ keys }: { readonly keys: readonly Key[] }): Key {
  const [key] = keys
  if (key === undefined) throw new Error('no key')
  return key
}
