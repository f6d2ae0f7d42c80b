import { createHmac } from 'node:crypto'
import t from 'tap'
import { parseQuery, type Query } from '../../src/access/query.ts'
import {
  isSessionCookie,
  keepSession,
  names,
  openSession,
  proves,
  readSessions,
  type SessionPolicy,
  splitCookies,
} from '../../src/access/session.ts'
import { type Key, type Keyring, verifyToken } from '../../src/access/token.ts'
import { createGate, ids, jwt, secret, withKeys } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const hour = 3_600_000
const policy: SessionPolicy = { maxAge: 12 * hour, outliveToken: false }
const { keyring } = await createGate()
const key = first(keyring)

function first({ keys }: Keyring): Key {
  const [one] = keys
  if (one === undefined) throw new Error('no key')
  return one
}

interface Opened {
  readonly by?: Key
  readonly userId?: string
  readonly sessionId?: string
  readonly URLToken?: string
  /** ms; null: a token without exp. */
  readonly expires?: number | null
  readonly sessions?: SessionPolicy
  readonly at?: number
  /** The Cookie header that the browser sends. */
  readonly cookie?: string
  readonly known?: Keyring
}

/** The Set-Cookie lines for a session of these ids. */
function open({
  by = key,
  at = now,
  cookie = '',
  known = keyring,
  ...opened
}: Opened = {}): string[] {
  const { expires = at + hour, sessions = policy, ...named } = { ...ids, ...opened }
  const session = openSession(by, named, expires, sessions, at)
  return keepSession(session, named.URLToken, splitCookies(cookie), known, at)
}

/** A Set-Cookie line as a browser takes it apart. */
function parse(line = ''): { name: string; value: string; attributes: readonly string[] } {
  const [pair = '', ...attributes] = line.split('; ')
  const equals = pair.indexOf('=')
  return { name: pair.slice(0, equals), value: pair.slice(equals + 1), attributes }
}

const pairOf = (lines: readonly string[]): string => (lines[0] ?? '').split(';')[0] ?? ''

/** The sessions that a Cookie header proves, by their session ids. */
function read(cookie: string, { at = now, known = keyring } = {}): string[] {
  return readSessions(splitCookies(cookie), known, at).map((session) => session.sessionId)
}

t.test('a session lasts no longer than sessions last by now', (t) => {
  const session = openSession(key, ids, null, policy, now)
  const cookies = splitCookies(
    pairOf(keepSession(session, ids.URLToken, splitCookies(''), keyring, now)),
  )
  const sessions = (at: number): number => readSessions(cookies, keyring, at, hour).length
  t.equal(sessions(now + hour - 1), 1)
  t.equal(sessions(now + hour), 0)
  t.end()
})

/** A browser's cookies, those made first in front (RFC 6265 §5.4). */
class Jar {
  readonly cookies = new Map<string, string>()

  get header(): string {
    return [...this.cookies].map((pair) => pair.join('=')).join('; ')
  }

  get bytes(): number {
    return [...this.cookies].reduce((sum, pair) => sum + pair.join('').length, 0)
  }

  take(lines: readonly string[]): this {
    for (const { name, value, attributes } of lines.map(parse)) {
      if (attributes.includes('Max-Age=0')) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return this
  }
}

t.test('the cookie is spelt byte by byte as browsers need it in a third-party frame', (t) => {
  const lines = open()
  t.equal(lines.length, 1)
  t.match(
    lines[0],
    /^__Host-copilot-[\w-]{16}=[\w-]+\.[\w-]+\.[\w-]+; Path=\/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=3600$/,
  )
  const { value } = parse(lines[0])
  const [head = '', body = '', signature] = value.split('.')
  const text = (part: string): string => Buffer.from(part, 'base64url').toString()
  t.match(JSON.parse(text(head)), { alg: 'HS256' })
  t.notMatch(text(body), ids.URLToken, 'the URLToken is a hash')
  t.match(text(body), ids.userId)
  for (const name of Object.keys(JSON.parse(text(body)))) {
    t.ok(name.length <= 3, `${name} is a short claim name`)
  }
  const bySecret = createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')
  t.not(signature, bySecret, 'the secret itself signs no session')
  t.end()
})

t.test('a name stands for contact center, userId, sessionId and URLToken', async (t) => {
  const nameOf = (opened: Opened): string => parse(open(opened)[0]).name
  const own = nameOf({})
  t.equal(nameOf({ at: now + hour, expires: null }), own, 'at any time')
  const rotated = (await createGate(['another secret of the same center', secret])).keyring
  t.equal(
    nameOf({ by: first(rotated), known: rotated }),
    own,
    'by any secret of the contact center',
  )
  const other = (await createGate([secret], {}, 'other')).keyring
  const others = [
    nameOf({ by: first(other), known: other }),
    nameOf({ userId: 'agent-8' }),
    nameOf({ sessionId: 'session-2' }),
    nameOf({ URLToken: 'f38791af' }),
    nameOf({ userId: ids.sessionId, sessionId: ids.userId }),
    nameOf({ userId: 'AGENT-7' }),
    ...[
      ['ab', 'c', 'd'],
      ['a', 'bc', 'd'],
      ['a', 'b', 'cd'],
      ['a"', '"b', 'c'],
      ['a","b', 'c', 'd'],
      ['a', 'b","c', 'd'],
      ['a\0b', 'c', 'd'],
      ['a', 'b\0c', 'd'],
      ['a,b', 'c', 'd'],
      ['a', 'b,c', 'd'],
      ['a\nb', 'c', 'd'],
      ['a', 'b\nc', 'd'],
      ['', '', 'abcd'],
    ].map(([userId = '', sessionId = '', URLToken = '']) =>
      nameOf({ userId, sessionId, URLToken }),
    ),
  ]
  t.equal(new Set([own, ...others]).size, others.length + 1, 'no two share one')
  t.ok([own, ...others].every((name) => /^__Host-copilot-[\w-]{16}$/.test(name)))
})

t.test('a session ends with its token, or earlier or later as the settings have it', (t) => {
  const outlive: SessionPolicy = { maxAge: 12 * hour, outliveToken: true }
  const rows: readonly (readonly [string, Opened, number])[] = [
    ['with the token', { expires: now + hour + 5000 }, hour + 5000],
    ['with a token that ends soon', { expires: now + 1000 }, 1000],
    ['without exp, after SESSION_MAX_AGE', { expires: null }, 12 * hour],
    ['a token that ends later', { expires: now + 13 * hour }, 12 * hour],
    ['a token that ends then', { expires: now + 12 * hour }, 12 * hour],
    ['a token that never ends', { expires: Number.POSITIVE_INFINITY }, 12 * hour],
    ['a ticket', { expires: now + 1000, sessions: outlive }, 12 * hour],
    ['a ticket that ends later', { expires: now + 13 * hour, sessions: outlive }, 12 * hour],
    ['a ticket without exp', { expires: null, sessions: outlive }, 12 * hour],
    [
      'a shorter SESSION_MAX_AGE',
      { expires: null, sessions: { ...policy, maxAge: 60_000 } },
      60_000,
    ],
    ['within a second', { at: now + 999, expires: now + hour + 5000 }, hour + 4001],
    ['within a second, without exp', { at: now + 999, expires: null }, 12 * hour],
    [
      'one second, begun within another',
      { at: now + 999, expires: null, sessions: { ...policy, maxAge: 1000 } },
      1000,
    ],
    ['a fraction of a second', { expires: now + 1500 }, 1500],
    ['less than a second', { expires: null, sessions: { ...policy, maxAge: 500 } }, 500],
  ]
  for (const [name, opened, length] of rows) {
    const at = opened.at ?? now
    const lines = open(opened)
    const cookie = pairOf(lines)
    t.strictSame(read(cookie, { at }), [ids.sessionId], `${name}: at once`)
    t.strictSame(read(cookie, { at: at + length - 1 }), [ids.sessionId], `${name}: to the last`)
    t.strictSame(read(cookie, { at: at + length }), [], `${name}: no longer`)
    t.strictSame(read(cookie, { at: at + 10 * 365 * 24 * hour }), [], `${name}: for ever`)
    const seconds = Number(/; Max-Age=(\d+)/.exec(lines[0] ?? '')?.[1])
    t.ok(Math.abs(seconds - length / 1000) < 1, `${name}: Max-Age=${seconds}`)
    t.ok(seconds > 0, `${name}: Max-Age=0 would take the cookie away`)
  }
  t.end()
})

t.test('a cookie is read back as the session that was opened', (t) => {
  const rows: readonly (readonly [string, Opened])[] = [
    ['as usual', {}],
    ['other scripts', { userId: 'Jürgen 😀', sessionId: 'セッション', URLToken: 'ü' }],
    [
      'what cookies may not hold',
      { userId: 'a;b,c "d"\\', sessionId: '=\t\n\0', URLToken: '; Path' },
    ],
    ['what JSON escapes', { userId: '\u2028"\\', sessionId: '{"u":"x"}', URLToken: '\x7f' }],
    ['digits', { userId: '7', sessionId: '0', URLToken: '1' }],
  ]
  for (const [name, opened] of rows) {
    const lines = open(opened)
    const cookies = splitCookies(pairOf(lines))
    const [session, ...more] = readSessions(cookies, keyring, now)
    const { userId, sessionId, URLToken } = { ...ids, ...opened }
    t.strictSame(more, [], name)
    t.match(session, { keyId: key.sessions.id, userId, sessionId, end: now + hour }, name)
    const query = new URLSearchParams({ userId, sessionId, URLToken }).toString()
    t.ok(session && names(session, parsed(query)), `${name}: the query names it`)
    t.match(lines[0], /^[\x21-\x7e]+(; [\x21-\x7e]+)+$/, `${name}: one line of ASCII`)
  }
  t.end()
})

function parsed(query: string): Query {
  const parameters = parseQuery(query)
  if (parameters === null) throw new Error(`${query} is ambiguous`)
  return parameters
}

t.test('what the query names has to be the session', (t) => {
  const [session] = readSessions(splitCookies(pairOf(open())), keyring, now)
  const rows: readonly (readonly [string, boolean])[] = [
    ['', true],
    ['x=y', true],
    ['userId=agent-7', true],
    ['sessionId=session-1', true],
    ['URLToken=f38791ae', true],
    ['userId=agent-7&sessionId=session-1&URLToken=f38791ae', true],
    ['userId=agent%2D7', true],
    ['userId=agent-8', false],
    ['userId=agent-8&sessionId=session-1&URLToken=f38791ae', false],
    ['userId=agent-7&sessionId=session-2&URLToken=f38791ae', false],
    ['userId=agent-7&sessionId=session-1&URLToken=f38791af', false],
    ['userId=', false],
    ['sessionId', false],
    ['URLToken=', false],
    ['userId=agent-7&sessionId=', false],
    ['userId=AGENT-7', false],
    ['userId=agent-7%20', false],
    ['userId=agent-7%00', false],
    ['sessionId=agent-7', false],
    ['URLToken=F38791AE', false],
  ]
  for (const [query, expected] of rows) {
    t.equal(session && names(session, parsed(query)), expected, query)
  }
  const [, body = ''] = pairOf(open()).split('.')
  const hash = String(JSON.parse(Buffer.from(body, 'base64url').toString()).t)
  t.equal(session && names(session, parsed(`URLToken=${hash}`)), false, 'the hash is no URLToken')
  t.end()
})

t.test('a token and a session are the same where all that the token names is', async (t) => {
  const [session] = readSessions(splitCookies(pairOf(open())), keyring, now)
  const claims = { userId: ids.userId, sessionId: ids.sessionId, URLToken: null }
  const same = (changes: object, by = key): boolean | undefined =>
    session && proves(session, by, { ...claims, ...changes })
  t.equal(same({}), true, 'the token binds no URLToken')
  t.equal(same({ URLToken: ids.URLToken }), true, 'it binds this one')
  t.equal(same({ URLToken: 'other' }), false, 'another URLToken')
  t.equal(same({ userId: 'agent-8' }), false, 'another user')
  t.equal(same({ sessionId: 'session-2' }), false, 'another session')
  t.equal(same({ userId: 'Agent-7' }), false, 'case')
  const other = await createGate([secret], {}, 'other')
  t.equal(same({}, first(other.keyring)), false, 'another contact center')
})

t.test('a cookie that is not the gateway’s own proves nothing', async (t) => {
  const pair = pairOf(open())
  const { name, value } = parse(pair)
  const [head = '', body = '', signature = ''] = value.split('.')
  const payload = JSON.parse(Buffer.from(body, 'base64url').toString())
  const other = (await createGate(['another secret of 32 bytes or more'])).keyring
  const retired = pairOf(open({ by: first(other), known: other }))
  const bySecret = jwt(payload)
  const longer = jwt({ ...payload, exp: payload.exp + 86_400 })
  const rows: readonly (readonly [string, string])[] = [
    ['none', ''],
    ['an empty value', `${name}=`],
    ['no value', name],
    ['text', `${name}=1`],
    ['a token', `${name}=${jwt()}`],
    ['its claims, signed by the secret itself', `${name}=${bySecret}`],
    ['more time, signed by the secret itself', `${name}=${longer}`],
    ['of a secret that is not or no longer here', retired],
    ['without its signature', `${name}=${head}.${body}.`],
    ['alg none', `${name}=${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`],
    ['cut', pair.slice(0, -1)],
    ['with a character more', `${pair}A`],
    ['with a dot more', `${pair}.`],
    ['in quotes', `${name}="${value}"`],
    ['percent-encoded', `${name}=${value.replaceAll('.', '%2E')}`],
    ['padded', `${pair}=`],
    ['with a comma', `${pair},`],
    ['with another in one value', `${pair},${pair}`],
    ['under a name of the workspace', `copilot-session=${value}`],
    ['under a name that begins alike', `__Host-copilot=${value}`],
    ['under a name without its prefix', `copilot-${name.slice(15)}=${value}`],
    ['under __Secure-', `__Secure-copilot-${name.slice(15)}=${value}`],
    ['in another cookie', `x=${pair}`],
  ]
  for (const [what, cookie] of rows) t.strictSame(read(cookie), [], what)
  t.strictSame(read(pair), [ids.sessionId], 'as it was')
  t.strictSame(
    read(pair, { known: withKeys(keyring, [...other.keys, ...keyring.keys]) }),
    [ids.sessionId],
    'by the older secret',
  )
  t.strictSame(read(pair, { known: other }), [], 'its secret retired')
  t.strictSame(read(pair, { known: withKeys(keyring, []) }), [], 'no secret at all')

  const parts = [head, body, signature].map((part) => Buffer.from(part, 'base64url'))
  parts.forEach((part, index) => {
    for (let bit = 0; bit < part.length * 8; bit += 1) {
      const changed = parts.map((bytes) => Buffer.from(bytes))
      const target = changed[index] ?? part
      target[bit >> 3] = (target[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const text = changed.map((bytes) => bytes.toString('base64url')).join('.')
      if (read(`${name}=${text}`).length > 0) t.fail(`bit ${bit} of part ${index}`)
    }
  })
})

t.test('no session is a token', async (t) => {
  const { keyring: both } = await createGate([secret, 'another secret of 32 bytes or more'])
  for (const by of both.keys) {
    const { value } = parse(open({ by })[0])
    t.match(verifyToken(value, null, both, now), { state: 'refused', reason: 'token-invalid' })
    const named = by.sessions.cookie.sign({ userId: ids.userId, sessionId: ids.sessionId })
    t.match(
      verifyToken(named, null, both, now),
      { state: 'refused', reason: 'token-invalid', key: null },
      'not even with a token’s claims',
    )
  }
})

t.test('what a session’s key signed is a session only if it says all of it', (t) => {
  const [name = '', value = ''] = pairOf(open()).split('=')
  const [, body = ''] = value.split('.')
  const whole: Record<string, string | number> = JSON.parse(
    Buffer.from(body, 'base64url').toString(),
  )
  t.strictSame(read(`${name}=${key.sessions.cookie.sign(whole)}`), [ids.sessionId], 'all of it')
  for (const claim of Object.keys(whole)) {
    const { [claim]: told, ...rest } = whole
    t.strictSame(read(`${name}=${key.sessions.cookie.sign(rest)}`), [], `no ${claim}`)
    // An `exp` that is no number is not even signed.
    if (claim === 'exp') continue
    const wrong = { ...rest, [claim]: typeof told === 'string' ? 7 : String(told) }
    t.strictSame(read(`${name}=${key.sessions.cookie.sign(wrong)}`), [], `another type of ${claim}`)
  }
  t.end()
})

t.test('the gateway’s cookies are told from the workspace’s', (t) => {
  const rows: readonly (readonly [string, string, readonly string[], string])[] = [
    ['none', '', [], ''],
    ['others only', 'a=1; b=2', [], 'a=1; b=2'],
    ['others, as odd as they came', ' a=1;b=2 ;; c', [], ' a=1;b=2 ;; c'],
    ['one', '__Host-copilot-a=1', ['__Host-copilot-a 1'], ''],
    ['first', '__Host-copilot-a=1; b=2', ['__Host-copilot-a 1'], 'b=2'],
    ['last', 'b=2; __Host-copilot-a=1', ['__Host-copilot-a 1'], 'b=2'],
    ['between', 'a=1; __Host-copilot-a=1; b=2', ['__Host-copilot-a 1'], 'a=1; b=2'],
    [
      'several',
      '__Host-copilot-a=1; x=y; __Host-copilot-b=2',
      ['__Host-copilot-a 1', '__Host-copilot-b 2'],
      'x=y',
    ],
    [
      'one twice',
      '__Host-copilot-a=1; __Host-copilot-a=2',
      ['__Host-copilot-a 1', '__Host-copilot-a 2'],
      '',
    ],
    ['without space', 'a=1;__Host-copilot-a=1;b=2', ['__Host-copilot-a 1'], 'a=1; b=2'],
    ['with much space', 'a=1;   __Host-copilot-a  =  1  ;b=2', ['__Host-copilot-a 1'], 'a=1; b=2'],
    ['with a tab', 'a=1;\t__Host-copilot-a\t=\t1', ['__Host-copilot-a 1'], 'a=1'],
    ['in lower case', '__host-copilot-a=1; b=2', ['__host-copilot-a 1'], 'b=2'],
    ['in upper case', '__HOST-COPILOT-A=1; b=2', ['__HOST-COPILOT-A 1'], 'b=2'],
    ['in mixed case', '__hOsT-cOpIlOt-a=1', ['__hOsT-cOpIlOt-a 1'], ''],
    ['without an id', '__Host-copilot-=1; b=2', ['__Host-copilot- 1'], 'b=2'],
    ['without a value', '__Host-copilot-a=; b=2', ['__Host-copilot-a '], 'b=2'],
    ['without an equals sign', '__Host-copilot-a; b=2', ['__Host-copilot-a '], 'b=2'],
    ['an equals sign in the value', '__Host-copilot-a=b=c', ['__Host-copilot-a b=c'], ''],
    ['a long id', `__Host-copilot-${'a'.repeat(99)}=1`, [`__Host-copilot-${'a'.repeat(99)} 1`], ''],
    ['a name that begins alike', '__Host-copilot=1; b=2', [], '__Host-copilot=1; b=2'],
    ['a name that goes on otherwise', '__Host-copilots-a=1', [], '__Host-copilots-a=1'],
    ['the name in a value', 'a=__Host-copilot-a', [], 'a=__Host-copilot-a'],
    ['the name at the end of one', 'a__Host-copilot-a=1', [], 'a__Host-copilot-a=1'],
    ['empty pieces', ';; a=1;; __Host-copilot-a=1; ;b=2;', ['__Host-copilot-a 1'], 'a=1; b=2'],
  ]
  for (const [what, header, own, others] of rows) {
    const split = splitCookies(header)
    t.strictSame(
      split.own.map((pair) => pair.join(' ')),
      own,
      what,
    )
    t.equal(split.others, others, `${what}: the others`)
  }
  t.ok(isSessionCookie('__Host-copilot-x'))
  t.ok(isSessionCookie('__HOST-COPILOT-x'))
  for (const name of ['', '__Host-', '__Host-copilot', 'copilot-x', ' __Host-copilot-x', 'x']) {
    t.notOk(isSessionCookie(name), JSON.stringify(name))
  }
  t.end()
})

t.test('many cookies prove many sessions', (t) => {
  const jar = new Jar()
  for (const sessionId of ['a', 'b', 'c']) jar.take(open({ sessionId }))
  t.strictSame(read(jar.header), ['a', 'b', 'c'])
  const ended = pairOf(open({ sessionId: 'ended', expires: now + 1000 }))
  const at = now + 1000
  const mixed = `x=y; ${ended}; ${jar.header}; __Host-copilot-x=1`
  t.strictSame(read(mixed, { at }), ['a', 'b', 'c'], 'those that hold, beside those that do not')
  t.end()
})

t.test('a browser keeps 20 sessions, and the oldest goes first', (t) => {
  const opened = (count: number, step: number): Jar => {
    const jar = new Jar()
    for (let i = 0; i < count; i += 1) {
      jar.take(open({ sessionId: `s${i}`, at: now + i * step, cookie: jar.header }))
    }
    return jar
  }
  const last = (count: number, of: number): string[] =>
    Array.from({ length: count }, (_, i) => `s${of - count + i}`)
  for (const [name, step] of [
    ['a second apart', 1000],
    ['within one second', 0],
    ['some of them within one second', 300],
  ] as const) {
    const at = now + 30_000
    t.strictSame(read(opened(20, step).header, { at }), last(20, 20), `20, ${name}`)
    t.strictSame(read(opened(21, step).header, { at }), last(20, 21), `21, ${name}`)
    t.strictSame(read(opened(30, step).header, { at }), last(20, 30), `30, ${name}`)
  }

  const jar = opened(20, 1000)
  const oldest = [...jar.cookies.keys()][0] ?? ''
  const at = now + 20_000
  const lines = open({ sessionId: 's20', at, cookie: jar.header })
  t.equal(lines.length, 2)
  const { name, value, attributes } = parse(lines[1])
  t.strictSame({ name, value }, { name: oldest, value: '' }, 'the oldest is taken away')
  t.strictSame(
    [...attributes].sort(),
    ['HttpOnly', 'Max-Age=0', 'Partitioned', 'Path=/', 'SameSite=None', 'Secure'],
    'in the partition that it is in',
  )
  const shuffled = [...jar.cookies].reverse().map((pair) => pair.join('='))
  const again = open({ sessionId: 's20', at, cookie: `x=y; ${shuffled.join('; ')}` })
  t.strictSame(
    again
      .slice(1)
      .map(parse)
      .map(({ name }) => name),
    [oldest],
    'in whatever order',
  )
  const renewed = open({ sessionId: 's0', at, cookie: jar.header })
  t.equal(renewed.length, 1, 'a session opened again takes no other’s place')
  t.equal(parse(renewed[0]).name, oldest)
  const after = new Jar().take([])
  for (const [key, text] of jar.cookies) after.cookies.set(key, text)
  after.take(renewed)
  const next = open({ sessionId: 's21', at: at + 1000, cookie: after.header })
  t.equal(parse(next[1]).name, [...jar.cookies.keys()][1], 'opened again it is the newest')
  t.end()
})

t.test('what no longer counts goes before what does', async (t) => {
  const jar = new Jar()
  for (let i = 0; i < 18; i += 1) {
    jar.take(open({ sessionId: `s${i}`, at: now + i * 1000, cookie: jar.header }))
  }
  const at = now + 30_000
  const other = (await createGate(['another secret of 32 bytes or more'])).keyring
  const useless: readonly (readonly [string, string])[] = [
    ['text', '__Host-copilot-x=1'],
    ['nothing', '__Host-copilot-x='],
    ['a large text', `__Host-copilot-x=${'x'.repeat(4000)}`],
    [
      'a session of a retired secret',
      pairOf(open({ by: first(other), known: other, sessionId: 'r', at })),
    ],
    ['a session that has ended', pairOf(open({ sessionId: 'e', at: at - 1000, expires: at }))],
  ]
  for (const [what, cookie] of useless) {
    const one = open({ sessionId: 'n', at, cookie: `${cookie}; ${jar.header}` })
    const gone = one.slice(1).map((line) => parse(line).name)
    if (what !== 'a large text') t.strictSame(gone, [], `${what}: there is a place left`)
    const two = open({ sessionId: 'n', at, cookie: `${cookie}; __Host-copilot-y=1; ${jar.header}` })
    for (const line of two.slice(1)) {
      const { name } = parse(line)
      t.notOk(jar.cookies.has(name), `${what}: ${name} goes, no session does`)
    }
    t.ok(two.length > 1, `${what}: something goes`)
  }
  t.end()
})

t.test('sessions with long ids keep 6 kB together', (t) => {
  for (const length of [1, 40, 70, 100, 150, 199, 250, 400, 801, 1500]) {
    const jar = new Jar()
    const longest = 6 * 1024
    for (let i = 0; i < 25; i += 1) {
      const before = [...jar.cookies]
      const sessionId = `${i}`.padStart(2, '0').padEnd(length, 's')
      jar.take(open({ sessionId, at: now + i * 1000, cookie: jar.header }))
      const at = now + 60_000
      const kept = read(jar.header, { at }).map((id) => Number(id.slice(0, 2)))
      const newest = Array.from({ length: kept.length }, (_, k) => i + 1 - kept.length + k)
      t.strictSame(kept, newest, `length ${length}, session ${i}: the newest stay`)
      t.ok(jar.cookies.size <= 20, `length ${length}, session ${i}: 20 at most`)
      t.ok(jar.bytes <= longest, `length ${length}, session ${i}: ${jar.bytes} bytes`)
      const evicted = before.filter(([name]) => !jar.cookies.has(name)).at(-1)
      if (evicted === undefined || jar.cookies.size === 20) continue
      const more = jar.bytes + evicted.join('').length
      // Within what the separators in a Cookie header take.
      t.ok(more > longest - 80, `length ${length}, session ${i}: no more than needed goes`)
    }
    t.ok(jar.cookies.size > 0)
  }
  t.end()
})
