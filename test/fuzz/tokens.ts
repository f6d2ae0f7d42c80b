// Tokens near the edges, judged twice: by the gateway and by jose.
import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { jwtVerify } from 'jose'
import { type Claims, type Keyring, type TokenPolicy, verifyToken } from '../../src/access/token.ts'
import { createGate, secret, withPolicy } from '../stage.ts'
import { property } from './property.ts'
import { few, words } from './requests.ts'

const now = Date.UTC(2026, 5, 1)

/** A JSON member, its value as it is written; `@n` in it is n seconds from now. */
type Member = readonly [name: string, json: string]

const odd = words(`
  "JWT" "at+jwt" "" null 0 1 true false [] {} ["agent-7"] "../../dev/null" "VICTIM" {"userId":"V"}
  {"kty":"oct","k":"AA"} {"alg":"none","crit":["x"]} "DEF"
`)
const oddHeader = fc.oneof(
  members('alg', [
    ...words(
      '"HS256" "HS384" "HS512" "RS256" "ES256" "PS256" "EdDSA" "none" "None" "hs256" "" null',
    ),
    ...words('"\\u0048S256" "HS256\\u0000" ["HS256"] true {}'),
    '"HS256 "',
  ]),
  members('crit', words('["b64"] ["exp"] ["x"] ["alg"] [] [null] {} null false ""')),
  members('b64 typ cty kid jku jwk x5c zip enc __proto__', odd),
)
const oddClaims = fc.oneof(
  // The edges of every tolerance are among them.
  members('exp nbf iat', [
    ...words(
      '@-3600 @-66 @-65 @-64 @-60 @-6 @-5 @-4.5 @-1 @0 @0.5 @4 @5 @6 @60 @61 @3600 "@60" [@60]',
    ),
    ...words('0 -0 -1 1e300 -1e300 1e400 -1e400 9007199254740993'),
    ...odd,
  ]),
  members('userId sessionId URLToken', [
    ...words(
      '"agent-7" "session-1" 7 -0 7.0 70e-1 7.5 1e21 9007199254740991 9007199254740992 1e400',
    ),
    ...words('"agent-7\\u0000" "\\ud83d" "ü" {"toString":"7"}'),
    ...odd,
  ]),
  members('userid user\\u0049d __proto__ aud x', odd),
  fc.json().map((json): Member => ['x', json]),
)

function members(names: string, values: readonly string[]): fc.Arbitrary<Member> {
  return fc.tuple(fc.constantFrom(...words(names)), fc.constantFrom(...values))
}

const inserted =
  (bytes: string, at: number) =>
  (text: Buffer): Buffer =>
    Buffer.concat([text.subarray(0, at), Buffer.from(bytes, 'latin1'), text.subarray(at)])

/** JSON that is nearly none, or no object. */
const texts: readonly ((text: Buffer) => Buffer)[] = [
  ...[' \t\r\n', '\xef\xbb\xbf', '\0', 'x'].map((bytes) => inserted(bytes, 0)),
  ...['\xff', '\xc0\x80', '\xed\xa0\x80'].map((bytes) => inserted(bytes, 4)),
  (text) => Buffer.from(`${text}\n`),
  (text) => Buffer.from(`${text}}`),
  (text) => text.subarray(0, -1),
  (text) => Buffer.from(`[${text}]`),
  (text) => Buffer.from(JSON.stringify(String(text))),
  (text) => Buffer.from(String(text), 'utf16le'),
  ...['null', '{}', ''].map((text) => () => Buffer.from(text)),
]

/** Spellings of base64url, right and wrong. */
const spellings: readonly ((text: string) => string)[] = [
  ...words('= == A AA AAAA ü . .e30').map((end) => (text: string) => text + end),
  ...[' ', '\n', '\0', '+/', '='].map(
    (part) => (text: string) => text.slice(0, 8) + part + text.slice(8),
  ),
  (text) => text.replaceAll('-', '+').replaceAll('_', '/'),
  (text) => text.slice(0, -1),
  (text) => text.slice(1),
  (text) => text.toUpperCase(),
  // The last letter has bits that make no byte.
  (text) => text.slice(0, -1) + String.fromCharCode((text.codePointAt(text.length - 1) ?? 0) + 1),
  () => '',
]
const respelt = few(93, fc.constantFrom(...spellings))

const hmac = (hash: string, key: string) => (input: string) =>
  createHmac(hash, key).update(input).digest('base64url')
const honestly = hmac('sha256', secret)
const signatures: readonly ((input: string) => string)[] = [
  hmac('sha384', secret),
  hmac('sha512', secret),
  hmac('sha256', 'another-secret-of-256-bits-as-text'),
  hmac('sha256', ''),
  hmac('sha256', `${secret}\n`),
  (input) => hmac('sha512', secret)(input).slice(0, 43),
  (input) => honestly(input.split('.')[1] ?? ''),
  () => Buffer.alloc(32).toString('base64url'),
  () => '',
]

type Edit = readonly [member: Member, how: string]

function edited(all: readonly Member[], [one, how]: Edit): readonly Member[] {
  if (how === 'before') return [one, ...all]
  const others = how === 'after' ? all : all.filter(([name]) => name !== one[0])
  return how === 'drop' ? others : [...others, one]
}

/** The header or the claims, first as they are signed and then as they are sent. */
function part(base: readonly Member[], odd: fc.Arbitrary<Member>) {
  const how = fc.constantFrom('replace', 'replace', 'before', 'after', 'drop')
  return fc
    .record({
      edits: few(60, fc.tuple(odd, how), 2),
      text: few(90, fc.constantFrom(...texts)),
      signed: respelt,
      sent: respelt,
    })
    .map(({ edits, text, signed, sent }) => {
      const json = edits.reduce(edited, base).map(([name, value]) => `"${name}":${value}`)
      const timed = `{${json}}`.replace(/@(-?[\d.]+)/g, (_, s) => `${now / 1000 + Number(s)}`)
      const bytes = text.reduce<Buffer>((all, change) => change(all), Buffer.from(timed))
      const first = signed.reduce((all, spell) => spell(all), bytes.toString('base64url'))
      return [first, sent.reduce((all, spell) => spell(all), first)] as const
    })
}

interface Case {
  readonly token: string
  readonly policy: TokenPolicy
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    header: part([['alg', '"HS256"']], oddHeader),
    claims: part(
      Object.entries({ userId: '"agent-7"', sessionId: '7', iat: '@0', exp: '@60' }),
      oddClaims,
    ),
    signs: few(90, fc.constantFrom(...signatures)),
    sent: respelt,
    policy: fc.record({
      requireExp: fc.boolean(),
      maxAge: fc.constantFrom(null, 60_000),
      clockTolerance: fc.constantFrom(5000, 0, 60_000),
    }),
  })
  .map(({ header, claims, signs: [sign = honestly], sent, policy }) => {
    const signature = sign(`${header[0]}.${claims[0]}`)
    const last = sent.reduce((text, spell) => spell(text), signature)
    return { token: `${header[1]}.${claims[1]}.${last}`, policy }
  })

export interface Difference {
  readonly what: string
  readonly why: string
  readonly stricter: 'the gateway' | 'jose'
  /** A token that the two judge differently. */
  readonly example: Case
  readonly explains: (token: string, policy: TokenPolicy) => boolean
}

const policy: TokenPolicy = { requireExp: false, maxAge: null, clockTolerance: 5000 }
const encoded = (text: string): string => Buffer.from(text, 'latin1').toString('base64url')

/** A signed token for `a` and `b`; `more` begins its claims or, as `before`, stands before them. */
function example(more: string, { header = '{"alg":"HS256"}', before = '', end = '' } = {}): Case {
  const claims = `${before}{${more}"userId":"a","sessionId":"b"}`
  const input = `${encoded(header)}${end}.${encoded(claims)}`
  return { token: `${input}.${honestly(input)}`, policy }
}

/** Every difference there is. What the gateway alone lets in, only who has the secret can make. */
export const differences: readonly Difference[] = [
  {
    what: 'a part of 4n+1 letters',
    why: 'Buffer drops the last letter, which makes no byte; the signature covers it',
    stricter: 'jose',
    example: example('', { end: 'A' }),
    explains: (token) => signedParts(token).some((part) => part.length % 4 === 1),
  },
  {
    what: 'bytes that are no UTF-8',
    why: 'Buffer reads U+FFFD for them, which the query has to name like any other character',
    stricter: 'jose',
    example: example('"x":"\xff",'),
    explains: (token) => signedParts(token).some((part) => !isUtf8(Buffer.from(part, 'base64url'))),
  },
  {
    what: 'white space within a part, or padding after it',
    why: "jose decodes as browsers' atob does; base64url has neither (RFC 7515 §2)",
    stricter: 'the gateway',
    example: example('', { end: '\n' }),
    explains: (token) => /[\s=]/.test(token),
  },
  {
    what: 'a byte order mark before the JSON',
    why: 'a parser may ignore it (RFC 8259 §8.1), and jose does',
    stricter: 'the gateway',
    example: example('', { before: '\xef\xbb\xbf' }),
    explains: (token) => signedParts(token).some((part) => part.startsWith('77u_')),
  },
  {
    what: 'crit',
    why: 'jose understands b64; the gateway refuses whatever has to be understood',
    stricter: 'the gateway',
    example: example('', { header: '{"alg":"HS256","b64":true,"crit":["b64"]}' }),
    explains: (token) => Object.hasOwn(json(token, 0), 'crit'),
  },
  {
    what: 'a time that is not finite',
    why: '1e400 is a number to JSON, and never over',
    stricter: 'the gateway',
    example: example('"exp":1e400,'),
    explains: (token) =>
      ['exp', 'nbf', 'iat'].some(
        (name) => Math.abs(timeIn(token, name)) === Number.POSITIVE_INFINITY,
      ),
  },
  {
    what: 'iat in the future',
    why: 'to jose it is a remark, unless there is a greatest age',
    stricter: 'the gateway',
    example: example('"iat":4102444800,'),
    explains: (token, { clockTolerance }) => timeIn(token, 'iat') > now + clockTolerance,
  },
  {
    what: 'an age that is just over',
    why: 'to jose the greatest age is still good; the gateway ends it on the second, as exp does',
    stricter: 'the gateway',
    example: { ...example(`"iat":${now / 1000 - 65},`), policy: { ...policy, maxAge: 60_000 } },
    explains: (token, { maxAge, clockTolerance }) =>
      maxAge !== null && timeIn(token, 'iat') + maxAge + clockTolerance === now,
  },
  {
    what: 'an id that is neither text nor a safe integer',
    why: 'what a claim means is no business of jose; two numbers past 2^53 may be one to a parser',
    stricter: 'the gateway',
    example: example('"URLToken":9007199254740992,'),
    explains: (token) => idsIn(json(token, 1)) === null,
  },
]

function signedParts(token: string): string[] {
  return token.split('.').slice(0, 2)
}

function json(token: string, part: 0 | 1): object {
  const text = Buffer.from(token.split('.')[part] ?? '', 'base64url').toString()
  return Object(JSON.parse(text.replace(/^\ufeff/, '')))
}

function timeIn(token: string, name: string): number {
  return Number(Reflect.get(json(token, 1), name) ?? 0) * 1000
}

/** What jose read of a token; null where it refuses. */
async function byJose(token: string, policy: TokenPolicy): Promise<object | null> {
  const { requireExp, maxAge, clockTolerance } = policy
  try {
    const { payload } = await jwtVerify(token, Buffer.from(secret), {
      algorithms: ['HS256'],
      clockTolerance: clockTolerance / 1000,
      currentDate: new Date(now),
      ...(requireExp ? { requiredClaims: ['exp'] } : {}),
      ...(maxAge === null ? {} : { maxTokenAge: maxAge / 1000 }),
    })
    return payload
  } catch {
    return null
  }
}

/** Compares the two: `allow` or `deny` where they agree, else the difference that it is. */
export async function judge({ token, policy }: Case, keyring: Keyring): Promise<string> {
  const own = verifyToken(token, null, withPolicy(keyring, policy), now)
  const claims = own.state === 'valid' ? own.claims : null
  const read = await byJose(token, policy)
  if (claims === null && read === null) return 'deny'
  if (claims !== null && read !== null) {
    const [said, expected] = [claims, idsIn(read)].map((one) => JSON.stringify(one))
    if (said !== expected) throw new Error(`${said} is read, not ${expected}`)
  }
  const stricter = read === null ? 'jose' : 'the gateway'
  const found = differences.find((one) => one.stricter === stricter && one.explains(token, policy))
  if (claims !== null && read !== null) {
    if (found !== undefined) throw new Error(`${found.what} is let in`)
    return 'allow'
  }
  if (found === undefined) throw new Error(`only ${stricter} refuses it`)
  return found.what
}

/** The ids as the gateway has to read them; null where one of them is not usable. */
function idsIn(claims: object): Claims | null {
  const [userId, sessionId, URLToken] = ['userId', 'sessionId', 'URLToken'].map((name) => {
    const claim: unknown = Object.hasOwn(claims, name) ? Reflect.get(claims, name) : null
    if (Number.isSafeInteger(claim)) return `${claim}`
    return typeof claim === 'string' && claim !== '' ? claim : null
  })
  const isUnbound = Reflect.get(claims, 'URLToken') === undefined
  if (!userId || !sessionId || (!URLToken && !isUnbound)) return null
  return { userId, sessionId, URLToken: URLToken ?? null }
}

export const tokens = property(
  {
    name: 'tokens',
    promise: 'a token gets the verdict that jose gives it, but for the differences in the table',
    runs: 4000,
    allowed: 0.25,
  },
  async () => {
    const { keyring } = await createGate()
    return {
      cases,
      examples: differences.map(({ example }) => example),
      judge: (one) => judge(one, keyring),
    }
  },
)
