// Tokens near the edges, judged twice: by the gateway, and by jose with the contract's own rules.
import { isUtf8 } from 'node:buffer'
import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto'
import fc from 'fast-check'
import { jwtVerify } from 'jose'
import { decide } from '../../src/access/access.ts'
import type { TokenPolicy } from '../../src/access/token.ts'
import { createGate, exchange, secret, startGateway, startUpstream } from '../stage.ts'
import { property } from './property.ts'

/** A token and the link that it is in, in JSON or in what is nearly JSON. */
export interface Case {
  readonly token: string
  readonly ids: { readonly userId: string; readonly sessionId: string; readonly URLToken: string }
  readonly policy: TokenPolicy
}

type Part = 'header' | 'claims'
type Text = (text: Buffer, part: Part) => Buffer

const now = Date.UTC(2026, 5, 1)
const key = new TextEncoder().encode(secret)
const another = 'another-secret-of-256-bits-as-text'
const { privateKey: rsa, publicKey: rsaPublic } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = rsaPublic.export({ type: 'spki', format: 'pem' })

/** JSON members, each value as it is to be written; a name may stand twice. */
type Members = readonly (readonly [name: string, json: string])[]

const algorithms = [
  '"HS256"',
  '"HS384"',
  '"HS512"',
  '"RS256"',
  '"ES256"',
  '"PS256"',
  '"EdDSA"',
  '"none"',
  '"None"',
  '"hs256"',
  '"HS256 "',
  '"HS256\\u0000"',
  '"\\u0048S256"',
  '""',
  'null',
  'true',
  '256',
  '["HS256"]',
  '{"toString":"HS256"}',
] as const

const headerEdits = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('alg'), fc.constantFrom(...algorithms)) },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constant('crit'),
      fc.constantFrom(
        '["b64"]',
        '["exp"]',
        '["x"]',
        '["b64","b64"]',
        '["alg"]',
        '[]',
        '[""]',
        '[null]',
        '{}',
        'null',
        'false',
        '""',
        '0',
      ),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant('b64'), fc.constantFrom('true', 'false', 'null', '"true"')),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constantFrom('typ', 'cty', 'kid', 'jku', 'jwk', 'x5u', 'x5c', 'zip', 'enc', '__proto__', 'x'),
      fc.constantFrom(
        '"JWT"',
        '"at+jwt"',
        '"JWE"',
        '""',
        'null',
        '1',
        '["a"]',
        '"../../dev/null"',
        '"https://evil.example/k"',
        '{"kty":"oct","k":"AA"}',
        '{"alg":"none","crit":["x"]}',
        '"DEF"',
      ),
    ),
  },
)

/** Times, as JSON; `@n` is n seconds from now. Edges of every tolerance are among them. */
const times = [
  ...[-86_400, -60, -6, -5.5, -5, -4, -1, 0, 0.5, 1, 4, 5, 6, 59, 60, 61, 86_400].map((s) => `@${s}`),
  '1780272000000',
  '-1',
  '0',
  '-0',
  '0.0',
  '1e300',
  '-1e300',
  '1e400',
  '-1e400',
  '9007199254740993',
  'null',
  'true',
  'false',
  '""',
  '[]',
  '{}',
  '"@60"',
  '[@60]',
] as const

const idJson = [
  '"agent-7"',
  '"session-1"',
  '"f38791ae"',
  '7',
  '-0',
  '7.0',
  '70e-1',
  '7.5',
  '1e21',
  '9007199254740991',
  '9007199254740992',
  '1e400',
  '""',
  '" "',
  'null',
  'true',
  '[]',
  '["agent-7"]',
  '{}',
  '{"toString":"agent-7"}',
  '"agent-7\\u0000"',
  '"\\u0061gent-7"',
  '"AGENT-7"',
  '"u\\u0308"',
  '"\\u00fc"',
  '"ü"',
  '"\\ud83d\\ude00"',
  '"\\ud83d"',
  '"\\ufffd"',
  '"VICTIM"',
] as const

const claimEdits = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constantFrom('exp', 'nbf', 'iat'), fc.constantFrom(...times)) },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constantFrom('userId', 'sessionId', 'URLToken'),
      fc.constantFrom(...idJson),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      fc.constantFrom('userid', 'UserId', 'user\\u0049d', '__proto__', 'constructor', 'aud', 'iss', 'x'),
      fc.constantFrom('"VICTIM"', '{"userId":"VICTIM","exp":1}', '{"a":{"b":[[[[1]]]]}}', 'null', '1'),
    ),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('x'), fc.json()) },
)

/** What replaces a member, stands before it or after it, or takes it away. */
const place = fc.constantFrom('replace', 'replace', 'before', 'after', 'drop')

function members(
  base: Members,
  edits: readonly (readonly [readonly [string, string], string])[],
): string {
  const edited = edits.reduce<Members>((before, [member, where]) => {
    if (where === 'before') return [member, ...before]
    const others = before.filter(([name]) => name !== member[0])
    if (where === 'drop') return others
    return where === 'after' ? [...before, member] : [...others, member]
  }, base)
  return `{${edited.map(([name, json]) => `"${name}":${json}`).join(',')}}`
}

const insert =
  (bytes: Buffer, at: number): Text =>
  (text) =>
    Buffer.concat([text.subarray(0, at), bytes, text.subarray(at)])

/** JSON that is nearly none, or no object. */
const textEdits: readonly Text[] = [
  insert(Buffer.from(' \t\r\n'), 0),
  insert(Buffer.from('\ufeff'), 0),
  insert(Buffer.from('\0'), 0),
  insert(Buffer.from([0xff]), 2),
  insert(Buffer.from([0xc0, 0x80]), 12),
  insert(Buffer.from([0xed, 0xa0, 0x80]), 12),
  insert(Buffer.from([0xff]), 12),
  insert(Buffer.from('x'), 0),
  (text) => Buffer.concat([text, Buffer.from('\n')]),
  (text) => Buffer.concat([text, Buffer.from('}')]),
  (text) => Buffer.concat([text, Buffer.from('\0')]),
  (text) => text.subarray(0, -1),
  (text) => Buffer.from(`[${text}]`),
  (text) => Buffer.from(JSON.stringify(text.toString())),
  (text) => Buffer.from(text.toString(), 'utf16le'),
  () => Buffer.from('null'),
  () => Buffer.from('{}'),
  () => Buffer.from(''),
]

type Spell = (encoded: string) => string

/** Spellings of base64url, right and wrong. */
const spellings: readonly Spell[] = [
  (text) => text.padEnd(Math.ceil(text.length / 4) * 4, '='),
  (text) => `${text}=`,
  (text) => text.replaceAll('-', '+').replaceAll('_', '/'),
  (text) => `${text.slice(0, 5)}+/${text.slice(5)}`,
  (text) => ` ${text}`,
  (text) => `${text}\n`,
  (text) => `${text.slice(0, 8)}\n${text.slice(8)}`,
  (text) => `${text}\0`,
  (text) => `${text}A`,
  (text) => `${text}AA`,
  (text) => text.slice(0, -1),
  (text) => text.slice(1),
  (text) => text.slice(0, 22),
  (text) => text.replace(/.$/, nextInAlphabet),
  (text) => text.replace(/^./, nextInAlphabet),
  (text) => text.toUpperCase(),
  (text) => `${text}${text}`,
  (text) => `${text}ü`,
  (text) => encodeURIComponent(encodeURIComponent(`${text}=`)),
  () => '',
  () => 'e30',
]

function nextInAlphabet(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[(alphabet.indexOf(letter) + 1) % 64] ?? 'A'
}

const hmac =
  (hash: string, by: string) =>
  (input: string): string =>
    createHmac(hash, by).update(input).digest('base64url')

const signatures: readonly ((input: string) => string)[] = [
  hmac('sha384', secret),
  hmac('sha512', secret),
  hmac('sha1', secret),
  hmac('sha256', another),
  hmac('sha256', ''),
  hmac('sha256', `${secret}\n`),
  hmac('sha256', Buffer.from(secret).toString('hex')),
  hmac('sha256', String(pem)),
  (input) => hmac('sha512', secret)(input).slice(0, 43),
  (input) => hmac('sha256', secret)(input.toLowerCase()),
  (input) => hmac('sha256', secret)(input.split('.')[1] ?? ''),
  (input) => signWith('sha256', Buffer.from(input), rsa).toString('base64url'),
  (input) =>
    signWith('sha256', Buffer.from(input), { key: ec, dsaEncoding: 'ieee-p1363' }).toString(
      'base64url',
    ),
  () => '',
  () => Buffer.alloc(32).toString('base64url'),
]

/** Whole tokens of another shape. */
const shapes: readonly ((header: string, claims: string, signature: string) => string)[] = [
  (header, claims, signature) => `${header}.${claims}.${signature}.`,
  (header, claims, signature) => `.${header}.${claims}.${signature}`,
  (header, claims, signature) => `${header}.${claims}.${signature}.${signature}`,
  (header, claims, signature) => `${header}..${claims}.${signature}`,
  (header, claims, signature) => `${header}.${signature}.${claims}.${signature}.${signature}`,
  (header, claims) => `${header}.${claims}`,
  (header, claims) => `${header}.${claims}.`,
  (header, _, signature) => `${header}..${signature}`,
  (_, claims, signature) => `.${claims}.${signature}`,
  (header, claims, signature) => ` ${header}.${claims}.${signature}`,
  (header, claims, signature) => `${header}.${claims}.${signature} `,
  (header, claims, signature) => `"${header}.${claims}.${signature}"`,
  (header, claims, signature) => `Bearer ${header}.${claims}.${signature}`,
  (header, claims, signature) => `${header},${claims},${signature}`,
  (header, claims, signature) => `${header}.${claims}.${signature}\0`,
  (header, claims, signature) =>
    JSON.stringify({ protected: header, payload: claims, signature }),
  (header, claims, signature) =>
    JSON.stringify({ payload: claims, signatures: [{ protected: header, signature }] }),
]

function few<T>(arbitrary: fc.Arbitrary<T>, none: number, most = 2): fc.Arbitrary<T[]> {
  return fc.oneof(
    { weight: none, arbitrary: fc.constant([]) },
    { weight: 10 - none, arbitrary: fc.array(arbitrary, { minLength: 1, maxLength: most }) },
  )
}

/** `at`: which of the three parts is spelt otherwise, before it is signed or after. */
const respelt = fc.record({
  spell: fc.constantFrom(...spellings),
  at: fc.nat(2),
  signed: fc.boolean(),
})

const described = fc
  .record({
    header: few(fc.tuple(headerEdits, place), 7),
    claims: few(fc.tuple(claimEdits, place), 5, 3),
    texts: few(
      fc.record({ edit: fc.constantFrom(...textEdits), part: fc.constantFrom<Part>('header', 'claims') }),
      8,
      1,
    ),
    spelt: few(respelt, 8),
    signature: few(fc.constantFrom(...signatures), 8, 1),
    shape: few(fc.constantFrom(...shapes), 9, 1),
    userId: fc.constantFrom('agent-7', 'agent-7', 'agent-7', '7', 'ü', '😀', '\ufffd'),
    ids: fc.constantFrom(...Array<string>(8).fill('agent-7'), '7', '\ufffd', 'VICTIM'),
    policy: fc.record({
      requireExp: fc.boolean(),
      maxAge: fc.constantFrom(null, null, 60_000),
      clockTolerance: fc.constantFrom(5000, 0, 60_000),
    }),
  })

type Description = typeof described extends fc.Arbitrary<infer T> ? T : never

/** Makes the token described, at a time in seconds. */
function make({ userId, ids, policy, ...made }: Description, second: number): Case {
  const base = {
    header: [
      ['alg', '"HS256"'],
      ['typ', '"JWT"'],
    ],
    claims: [
      ['userId', JSON.stringify(userId)],
      ['sessionId', '"session-1"'],
      ['iat', '@0'],
      ['exp', '@3600'],
    ],
  } as const
  const encode = (part: Part): string => {
    const text = members(base[part], made[part]).replace(/@(-?[\d.]+)/g, (_, offset: string) =>
      String(second + Number(offset)),
    )
    const edited = made.texts.reduce(
      (before, { edit, part: at }) => (at === part ? edit(before, part) : before),
      Buffer.from(text),
    )
    return edited.toString('base64url')
  }
  const respell = (parts: readonly string[], signed: boolean): string[] =>
    parts.map((part, i) =>
      made.spelt.reduce(
        (text, { spell, at, signed: when }) => (at === i && when === signed ? spell(text) : text),
        part,
      ),
    )
  const [header = '', claims = ''] = respell([encode('header'), encode('claims')], true)
  const [sign = hmac('sha256', secret)] = made.signature
  const [first = '', middle = '', third = ''] = respell(
    [header, claims, sign(`${header}.${claims}`)],
    false,
  )
  const [shape = (...three: string[]) => three.join('.')] = made.shape
  return {
    token: shape(first, middle, third),
    ids: { userId: ids === 'agent-7' ? userId : ids, sessionId: 'session-1', URLToken: 'f38791ae' },
    policy,
  }
}

/** What jose says of a token, and what it read; null where it refuses. */
async function byJose(
  token: string,
  { clockTolerance }: TokenPolicy,
  at: number,
): Promise<{ header: Record<string, unknown>; claims: Record<string, unknown> } | null> {
  try {
    const { protectedHeader, payload } = await jwtVerify(token, key, {
      algorithms: ['HS256'],
      clockTolerance: clockTolerance / 1000,
      currentDate: new Date(at),
    })
    return { header: { ...protectedHeader }, claims: payload }
  } catch {
    return null
  }
}

/** CONTRACT §1, Tokens and Binding, beyond what jose checks: the text, or undefined for no id. */
function idOf(claim: unknown): string | undefined {
  if (typeof claim === 'number' && Number.isSafeInteger(claim)) return BigInt(claim).toString()
  return typeof claim === 'string' && claim.length > 0 ? claim : undefined
}

function byContract(
  { claims, header }: { header: Record<string, unknown>; claims: Record<string, unknown> },
  { ids, policy }: Case,
  at: number,
): boolean {
  const own = (name: string): unknown => (Object.hasOwn(claims, name) ? claims[name] : undefined)
  const { requireExp, maxAge, clockTolerance } = policy
  const [exp, nbf, iat] = ['exp', 'nbf', 'iat'].map(own)
  if (Object.hasOwn(header, 'crit')) return false
  for (const time of [exp, nbf, iat]) {
    if (time !== undefined && !(typeof time === 'number' && Number.isFinite(time))) return false
  }
  if (requireExp && exp === undefined) return false
  const latest = at / 1000 + clockTolerance / 1000
  if (typeof iat === 'number' && iat > latest) return false
  const oldest = at / 1000 - clockTolerance / 1000 - (maxAge ?? 0) / 1000
  if (maxAge !== null && (typeof iat !== 'number' || iat <= oldest)) return false
  const urlToken = own('URLToken')
  return (
    idOf(own('userId')) === ids.userId &&
    idOf(own('sessionId')) === ids.sessionId &&
    (urlToken === undefined || idOf(urlToken) === ids.URLToken)
  )
}

export interface Difference {
  readonly what: string
  readonly why: string
  readonly letInBy: 'jose' | 'the gateway'
  /** A link that the two judge differently. */
  readonly example: string
  /** Whether this is it; absent where byContract decides. */
  readonly explains?: (token: string) => boolean
}

const header = Buffer.from('{"alg":"HS256"}')
const claims = Buffer.from('{"userId":"agent-7","sessionId":"session-1"}')

function signed(...parts: readonly (string | Buffer)[]): string {
  const input = parts
    .map((part) => (typeof part === 'string' ? part : part.toString('base64url')))
    .join('.')
  return `${input}.${hmac('sha256', secret)(input)}`
}

const signedParts = (token: string): readonly string[] => token.split('.').slice(0, 2)

/** Where the two differ. What the gateway alone lets in, only who has the secret can make. */
export const differences: readonly Difference[] = [
  {
    what: 'a part of 4n+1 letters',
    why: 'Buffer drops the last letter, which makes no byte; what was signed is the same',
    letInBy: 'the gateway',
    example: signed(`${header.toString('base64url')}A`, claims),
    explains: (token) => signedParts(token).some((part) => part.length % 4 === 1),
  },
  {
    what: 'bytes that are no UTF-8',
    why: 'Buffer reads U+FFFD for them, which the query has to name like any other character',
    letInBy: 'the gateway',
    example: signed(header, insert(Buffer.from('"x":"\xff",', 'latin1'), 1)(claims, 'claims')),
    explains: (token) => signedParts(token).some((part) => !isUtf8(Buffer.from(part, 'base64url'))),
  },
  {
    what: 'white space within a part, and padding after it',
    why: "jose decodes as browsers' atob does; base64url has neither (RFC 7515 §2)",
    letInBy: 'jose',
    example: `${signed(header, claims)}=`,
    explains: (token) => /[\s=]/.test(token),
  },
  {
    what: 'a byte order mark before the JSON',
    why: 'a parser may ignore it (RFC 8259 §8.1), and jose does',
    letInBy: 'jose',
    example: signed(header, insert(Buffer.from('\ufeff'), 0)(claims, 'claims')),
    explains: (token) =>
      signedParts(token).some((part) => Buffer.from(part, 'base64url').indexOf('\ufeff') === 0),
  },
  {
    what: 'crit',
    why: 'jose understands b64; the contract refuses any',
    letInBy: 'jose',
    example: signed(Buffer.from('{"alg":"HS256","b64":true,"crit":["b64"]}'), claims),
  },
  {
    what: 'a time that is not finite',
    why: '1e400 is a number to JSON, and never over; the contract wants finite ones',
    letInBy: 'jose',
    example: signed(header, insert(Buffer.from('"exp":1e400,'), 1)(claims, 'claims')),
  },
  {
    what: 'iat in the future',
    why: 'to jose it is a remark, unless there is a greatest age; the contract honours it',
    letInBy: 'jose',
    example: signed(header, insert(Buffer.from('"iat":4102444800,'), 1)(claims, 'claims')),
  },
]

function explained(token: string, letInBy: Difference['letInBy']): string {
  const found = differences.find((one) => one.letInBy === letInBy && one.explains?.(token))
  if (found === undefined) throw new Error(`only ${letInBy} lets it in`)
  return found.what
}

/** The link's target; everything in it is encoded, so that the token arrives as it is. */
function targetOf({ token, ids }: Case): string {
  const { userId, sessionId, URLToken } = ids
  const query = { userId, sessionId, URLToken, auth: token }
  return `/?${new URLSearchParams(query)}`
}

/** Compares a verdict with jose's and the contract's, and names it. */
async function agree(one: Case, allowed: boolean, at: number): Promise<string> {
  const read = await byJose(one.token, one.policy, at)
  const expected = read !== null && byContract(read, one, at)
  if (expected === allowed) return allowed ? 'allow' : 'deny'
  return explained(one.token, allowed ? 'the gateway' : 'jose')
}

export const tokensDecided = property(
  'tokens-decided',
  'a token is let in where jose and the contract let it in, and nowhere else',
  5000,
  async () => {
    const gate = await createGate()
    return {
      cases: described.map((description) => make(description, now / 1000)),
      judge(one) {
        const facts = {
          method: 'GET',
          target: targetOf(one),
          upgrade: false,
          hosts: ['h'],
          authorizations: [],
          cookie: '',
          origin: undefined,
          fetchSite: undefined,
          fetchMode: undefined,
          own: ['http://h'],
        }
        const { allow } = decide(facts, { ...gate, tokens: one.policy }, now)
        return agree(one, allow, now)
      },
    }
  },
)

const policy: TokenPolicy = { requireExp: false, maxAge: null, clockTolerance: 5000 }

export const tokensForwarded = property(
  'tokens-forwarded',
  'over a socket a token is let in where jose and the contract let it in, and nowhere else',
  150,
  async (scope) => {
    const upstream = await startUpstream(scope)
    const gateway = await startGateway(scope, upstream.origin)
    return {
      // Ten minutes old, so that no edge of a time is crossed between the two verdicts.
      cases: described.map((description) => ({
        ...make(description, Math.floor(Date.now() / 1000) - 600),
        policy,
      })),
      async judge(one) {
        upstream.seen.length = 0
        gateway.lines.length = 0
        const lines = [`Host: localhost:${gateway.port}`, 'Connection: close']
        const head = `GET ${targetOf(one)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
        const answer = await exchange(gateway.port, head)
        const [line] = await gateway.audited(1)
        if (line?.['reason'] === 'overloaded') return 'overloaded'
        const allowed = answer.startsWith('HTTP/1.1 200 ')
        if (upstream.seen.length !== (allowed ? 1 : 0)) throw new Error('and yet it arrived')
        return agree(one, allowed, Date.now())
      },
    }
  },
)
