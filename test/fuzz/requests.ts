// Requests near the edges of what is allowed: an honest one, made of pieces, and a few edits to it.
import fc from 'fast-check'
import { keepSession, openSession } from '../../src/access/session.ts'
import { createGate, jwt } from '../stage.ts'
import type { Line } from './wire.ts'

export interface Identity {
  readonly userId: string
  readonly sessionId: string
  readonly URLToken: string
}

/** A request as a client writes it, Latin-1; `{host}` stands for the gateway's own. */
export interface Played {
  readonly method: string
  readonly target: string
  readonly lines: readonly Line[]
  readonly body: string
  /** Whom the credentials in it prove; a token that binds no URLToken proves any. */
  readonly proven: readonly Proven[]
}

export type Proven = Omit<Identity, 'URLToken'> & { readonly URLToken: string | null }

export const idNames = ['userId', 'sessionId', 'URLToken'] as const
const ourNames = [...idNames, 'auth', 'copilotSession'] as const
/** Nobody has a token or a cookie for this one. */
const victim: Identity = { userId: 'VICTIM', sessionId: 'VICTIM-1', URLToken: 'V1C71M00' }
/** One seed makes the same bytes on any day. */
const farFuture = Date.UTC(2100, 0, 1)

/** The words of a text, which stand for themselves. */
export const words = (text: string): string[] => text.trim().split(/\s+/)

const oddIds = [
  ...words('7 -7 a%41 a&userId=b a;userId=b a=b a]=b [a] a[] a,b a.b a#b a?b/c\\d "\'` <{|^~ null'),
  ...words('__proto__ toString userId ü ſ ı ß 😀'),
  ...['A b+c', ' a ', 'a\0b', 'a\r\nb', '\ufeffa', '\u202ea', 'u\u0308'],
]
/** Any text that can stand in a URL: no half of a surrogate pair. */
export const id: fc.Arbitrary<string> = fc.oneof(
  fc.stringMatching(/^[a-z\d-]{1,12}$/),
  fc.constantFrom(...oddIds),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }),
)

export const identity: fc.Arbitrary<Identity> = fc
  .record({ userId: id, sessionId: id, URLToken: id })
  .filter((ids) => !Object.values(ids).some((text) => text.includes('VICTIM')))

/** Values that a careless comparison takes for the given one. */
const near: readonly ((text: string) => string)[] = [
  ...[victim.userId, 'N', 'N ', ' N', 'N\0', 'N,N', '0N', 'N.0'].map(filled),
  (text) => text.slice(1),
  (text) => text.toUpperCase(),
  (text) => text.normalize('NFKC'),
  (text) => text.normalize('NFD'),
]

function filled(template: string): (text: string) => string {
  return (text) => template.replaceAll('N', () => text)
}

/** Names that some parser takes for N. */
const lookAlikes = words(`
  N N[] N[0] N[a] N[a N[ N] N]x [N] [N [N]x [N][x] [[N]] ][N] x[N] N[__proto__] __proto__[N]
  constructor[prototype][N] %5BN%5D %5bN%5dx N%5B%5D N%255B N. .N N.x x.N +N N+ %20N %09N N%0D%0A
  N%00 N%00x %00N N%3Dx N%26x N%3B N; ;N x;N x=y;N amp;N ?N x?N /?N #N N%23 !N _N $N N:x N,x Ns xN
  N%C2%A0 N%E2%80%8B %EF%BB%BFN N%CC%81 N%EF%BC%BB%EF%BC%BD N% N%ff N%c0%80 %u0075N
`).map(filled)

const percent = (text: string): string =>
  Buffer.from(text)
    .toString('hex')
    .replace(/../g, (byte) => `%${byte.toUpperCase()}`)
/** ASCII letters in another block of Unicode, which compatibility folding takes back. */
const shifted = (text: string, to: number): string =>
  text.replace(/[a-z]/g, (letter) => String.fromCodePoint(to + letter.charCodeAt(0) - 0x61))

const respellings: readonly ((name: string) => string)[] = [
  (name) => name.toUpperCase(),
  (name) => name.toLowerCase(),
  (name) => percent(name).toLowerCase(),
  (name) => percent(name.slice(0, 1)) + name.slice(1),
  (name) => percent(percent(name.slice(0, 1))) + name.slice(1),
  ...[0xff41, 0x24d0, 0x1d41a].map((to) => (name: string) => percent(shifted(name, to))),
  (name) => percent(name.replace('s', 'ſ')),
  (name) => percent(name.replace(/i/i, 'ı')),
  (name) => percent(name.replace(/i/i, 'İ')),
  (name) => percent(name.replace(/k/, '\u212a')),
  (name) => percent(name.replace('e', 'е')),
]

/** What splits, ends or joins something for somebody; each character is one byte of the request. */
const odd = [
  ...words(
    '& ; # ? = [ ] ]= [] . _ + % , | @ : / // \\ /../ /%2e%2e/ /..;x/ &amp; &copilotSession=x',
  ),
  ...words('%00 %20 %23 %26 %3B %3D %3F %5B %5D %2523 %u0026 %C0%A6 %ED%A0%80 %EF%BC%86 %E2%80%8B'),
  ...words('%C2%AD %2F %5C \xc3\xbc'),
  ...['\t', ' ', '\0', '\x7f', '\x85', '\xa0'],
]
const insertion = fc.tuple(fc.constantFrom(...odd), fc.nat(40)).map(
  ([text, at]) =>
    (into: string) =>
      into.slice(0, at) + text + into.slice(at),
)

const respelling = fc
  .array(fc.oneof(fc.constantFrom(...lookAlikes, ...lookAlikes, ...respellings), insertion), {
    minLength: 1,
    maxLength: 2,
  })
  .map((changes) => (name: string) => changes.reduce((text, change) => change(text), name))

const styles = fc.array(fc.nat(3), { minLength: 1, maxLength: 4 })

/** One of the ways to write a text into a query, each character by a style of its own. */
function spelt(text: string, choices: readonly number[]): string {
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

/** null: no `=`. */
type Piece = readonly [name: string, value: string | null]

/** A parameter added, repeated, renamed, set to something else or left out. */
const edit = fc.record({
  at: fc.nat(5),
  how: fc.constantFrom(...words('add add add repeat respell set set drop')),
  name: fc.constantFrom(...ourNames),
  respell: respelling,
  change: fc.option(fc.constantFrom(...near)),
  styles,
})
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never

function edited(pieces: readonly Piece[], one: Edit, of: Identity): readonly Piece[] {
  const { at, how, name, respell, change, styles } = one
  const changed = (known: string): string | null =>
    change && spelt(change(of[idNames.find((id) => id === known) ?? 'userId']), styles)
  if (how === 'add') return pieces.toSpliced(at, 0, [respell(name), changed(name)])
  if (how === 'repeat') return pieces.toSpliced(at, 0, [name, changed(name)])
  if (how === 'drop') return pieces.toSpliced(at, 1)
  return pieces.map(([known, value], i): Piece => {
    if (i !== at) return [known, value]
    return how === 'set' ? [known, changed(known)] : [respell(known), value]
  })
}

/** The names of what is no parameter of ours: extras that honest links have. */
export const extra = fc.tuple(fc.constantFrom(...words('x EIO transport x[] x[y] a.b users')), id)

const honestPaths = words('/ /index.html /config.js /assets/index-1.js /socket.io/')
const oddPaths = words(`
  /socket.io/x /socket.io /Socket.IO/ /%73ocket.io/ /socket.io;x/ /a//b/ /... /a;b=c/d;e /100%25
  /;userId=VICTIM /&userId=VICTIM /a%3FuserId=VICTIM /a%23b /. /.. /%2e%2e/ /..;/a /..%3B/a
  /%252e%252e/ /a%2Fb /a%5Cb /a\\b /%C3%BC/%F0%9F%98%80 /%C0%AE/ /%EF%BC%8F.. /a%00b /%2541
  /x/../socket.io/ /!$'()*,:@~{}|^\`"<>[]
`)

/** A token, and whom it proves. */
type Credential = readonly [token: string, ...proves: Proven[]]

const tokens: readonly ((of: Identity) => Credential)[] = [
  (of) => [jwt({ ...of, exp: farFuture / 1000 }), of],
  ({ userId, sessionId }) => [jwt({ userId, sessionId }), { userId, sessionId, URLToken: null }],
]
const badTokens: readonly ((of: Identity) => Credential)[] = [
  (of) => [jwt({ ...of, exp: 1 })],
  (of) => [jwt(of, { key: 'another-secret-of-256-bits-as-text' })],
  (of) => [jwt(of, { header: { alg: 'none' } }).replace(/[^.]+$/, '')],
  (of) => [jwt(of, { header: { alg: 'HS256', crit: ['x'] } })],
  (of) => [jwt(victim).replace(/[^.]+$/, jwt(of).split('.')[2] ?? '')],
]
const token = oneOf(85, tokens, badTokens)

const schemes = ['Bearer {t}', 'bearer  {t}', 'Bearer\t{t}']
const otherSchemes = [
  'Bearer {t},',
  'Bearer "{t}"',
  'Bearer {t} {t}',
  'JWT {t}',
  'Bearer opaque',
  '',
]

/** `{n}` and `{v}` are the name and the value of a session's cookie; these prove it. */
const goodCookies = [
  '{n}={v}',
  'a=b; {n}={v}',
  '{n}={v}; {n}={v}',
  '\t{n} = {v}',
  '{n}x={v}',
  '\xa0{n}={v}',
]
const badCookies = [
  ...['{n}', '{n}=', '{n}="{v}"', 'x{n}={v}', '$Version=1; {n}=x', 'x="a; {n}=; b"'],
  ...['={n}={v}', '__Host-copilot=x', '__HOST-COPILOT-=eyJhbGciOiJub25lIn0.e30.', 'a=b; c; =d; ;'],
  ...['userId=VICTIM', 'theme=dark'],
]

const headerNames = words(`
  X-Custom x-custom X-Custom_Two X.Custom !#$%&'*+.^_\`|~1 Accept Range Via Cookie_ Host_ _Host
  X-Forwarded-For X_Forwarded_For X-Forwarded-Host x-forwarded_proto X-Forwarded-Port Forwarded
  X-Real-IP X_Real_IP X-Original-URL X-Rewrite-URL X_Rewrite-Url X-HTTP-Method
  X_HTTP_METHOD_OVERRIDE X-Copilot-User-Id x_copilot_session_id X-Copilot- X-Copilots X-Request-Id
  X_Request_Id Keep-Alive Proxy-Connection Proxy-Authorization TE Trailer HTTP2-Settings
`)
const headerValues = ['1', 'VICTIM', '10.0.0.1', '/?userId=VICTIM', '', 'a, b', 'x\ty', '\xfc\xff']
const connectionOptions = words('X-Custom Cookie Authorization Host X-Forwarded-For X_Custom TE')
const otherLines: readonly Line[] = [
  ['Referer', 'https://cc.example/desk?auth=T#x'],
  ['Referer', 'https://u:p@evil.example/a'],
  ['Referer', 'about:blank'],
  ['Origin', 'http://{host}'],
  ['Origin', 'https://evil.example'],
  ['Origin', 'null'],
  ['Accept', 'text/html'],
  ['Expect', '100-continue'],
  ['Upgrade', 'h2c'],
  ['Host', 'evil.example'],
]
const headerLine: fc.Arbitrary<Line> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(fc.constantFrom(...headerNames), fc.constantFrom(...headerValues)),
  },
  {
    weight: 1,
    arbitrary: fc
      .subarray(connectionOptions)
      .map((named): Line => ['Connection', named.join(', ')]),
  },
  { weight: 2, arbitrary: fc.constantFrom(...otherLines) },
)

const provenances: readonly (readonly Line[])[] = [
  [
    ['Sec-Fetch-Site', 'cross-site'],
    ['Sec-Fetch-Mode', 'navigate'],
  ],
  [['Sec-Fetch-Site', 'same-origin']],
  [],
  [['Sec-Fetch-Site', 'cross-site']],
]

/** Bodies that would be requests if somebody lost count. */
const bodies = ['', 'userId=VICTIM', 'GET /?userId=VICTIM HTTP/1.1\r\nHost: x\r\n\r\n']

/** One of the first list in `often` of a hundred cases, else one of the second. */
function oneOf<T>(often: number, first: readonly T[], second: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: often, arbitrary: fc.constantFrom(...first) },
    { weight: 100 - often, arbitrary: fc.constantFrom(...second) },
  )
}

/** None in `none` of a hundred cases, else a few. */
export function few<T>(none: number, one: fc.Arbitrary<T>, maxLength = 1): fc.Arbitrary<T[]> {
  return fc.oneof(
    { weight: none, arbitrary: fc.constant<T[]>([]) },
    { weight: 100 - none, arbitrary: fc.array(one, { minLength: 1, maxLength }) },
  )
}

/** An honest request and a few edits to it. */
export async function requests(): Promise<fc.Arbitrary<Played>> {
  const cookieOf = await cookieMaker()
  return fc
    .record({
      identities: fc.array(identity, { minLength: 1, maxLength: 2 }),
      auth: fc.option(token, { freq: 4 }),
      authorizations: few(80, fc.tuple(oneOf(60, schemes, otherSchemes), token, fc.nat(1)), 2),
      cookies: few(30, fc.tuple(oneOf(60, goodCookies, badCookies), fc.nat(1), fc.boolean()), 3),
      mixed: few(90, fc.nat(2)),
      styles,
      extras: few(50, extra, 3),
      edits: few(50, edit, 2),
      separator: oneOf(96, ['&'], words('&& ; &; # ? %26 &+')),
      insertions: few(95, insertion),
      path: oneOf(88, honestPaths, oddPaths),
      prefix: oneOf(98, [''], words('/ //evil.example http://{host}')),
      method: oneOf(70, ['GET'], words('POST HEAD PUT OPTIONS DELETE PATCH')),
      provenance: fc.constantFrom(...provenances),
      extraLines: few(40, headerLine, 4),
      body: fc.constantFrom(...bodies),
    })
    .map(({ identities, auth, authorizations, cookies, styles, ...made }): Played => {
      const of = (index: number): Identity => identities[index % identities.length] ?? victim
      const first = of(0)
      const proven: Proven[] = []
      const tokenOf = ([text, ...proves]: Credential): string => {
        proven.push(...proves)
        return text
      }
      const pieces = idNames.map((name, i): Piece => {
        const whose = of(made.mixed.includes(i) ? 1 : 0)
        return [name, spelt(whose[name], styles)]
      })
      if (auth !== null) pieces.push(['auth', tokenOf(auth(first))])
      pieces.unshift(...made.extras.map(([name, text]): Piece => [name, spelt(text, styles)]))
      const query = made.edits
        .reduce<readonly Piece[]>((all, one) => edited(all, one, first), pieces)
        .map(([name, text]) => (text === null ? name : `${name}=${text}`))
        .reduce((all, piece, i) => all + (i === 2 ? made.separator : '&') + piece, '')
      const target = made.insertions.reduce(
        (text, insert) => insert(text),
        `${made.prefix}${made.path}${query.replace('&', '?')}`,
      )
      const lines: Line[] = [['Host', '{host}'], ...made.provenance]
      for (const [scheme, make, index] of authorizations) {
        lines.push(['Authorization', scheme.replaceAll('{t}', tokenOf(make(of(index))))])
      }
      const jars: string[] = []
      for (const [shape, index, joined] of cookies) {
        if (goodCookies.includes(shape)) proven.push(of(index))
        const { name, value } = cookieOf(of(index))
        const text = shape.replaceAll('{n}', name).replaceAll('{v}', value)
        jars.push(joined && jars.length > 0 ? `${jars.pop()}; ${text}` : text)
      }
      lines.push(...jars.map((jar): Line => ['Cookie', jar]), ...made.extraLines)
      const { method } = made
      const body = /^(?:GET|HEAD)$/.test(method) ? '' : made.body
      if (body !== '') lines.push(['Content-Length', String(body.length)])
      return { method, target, lines, body, proven }
    })
}

/** Makes the cookies that the gateway gives. */
async function cookieMaker(): Promise<(of: Identity) => { name: string; value: string }> {
  const { keyring } = await createGate()
  const [key] = keyring.keys
  if (key === undefined) throw new Error('no key')
  return (of) => {
    const start = Date.UTC(2026, 0, 1)
    const policy = { maxAge: farFuture - start, outliveToken: false }
    const session = openSession(key, of, null, policy, start)
    const none = { own: [], others: '' }
    const [line = ''] = keepSession(session, of.URLToken, none, keyring, start)
    const [, name = '', value = ''] = /^([^=]+)=([^;]+)/.exec(line) ?? []
    return { name, value }
  }
}

/** The request's bytes, for the gateway at this host. */
export function bytesOf({ method, target, lines, body }: Played, host: string): string {
  const rows = lines.map(([name, text]) => `${name}: ${text}`)
  return (
    [`${method} ${target} HTTP/1.1`, ...rows, '', ''].join('\r\n').replaceAll('{host}', host) + body
  )
}
