import t, { type Test } from 'tap'
import { type AccessRequest, decide, type Gate } from '../../src/access/access.ts'
import type { Decision, Grant, Reason } from '../../src/access/decision.ts'
import { Lease } from '../../src/access/lease.ts'
import { createGate, ids, jwt, link, secret, withKeys, withPolicy } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const second = now / 1000
const hour = 3_600_000
const older = 'an older secret that is still accepted'
const own = 'https://gateway.example'
const gate = await createGate([secret, older])
const retiredText = 'a secret that was retired long since'
const retired = await createGate([retiredText])

/** A navigation without credentials. */
const bare: AccessRequest = {
  method: 'GET',
  target: '/',
  hosts: ['gateway.example'],
  authorizations: [],
  cookie: '',
  upgrade: false,
  origin: undefined,
  fetchSite: 'cross-site',
  fetchMode: 'navigate',
  own: [own],
}
/** What the workspace's own page asks for. */
const script = { fetchSite: 'same-origin', fetchMode: 'cors' } as const
const socket = { ...script, upgrade: true, origin: own, fetchMode: 'websocket' } as const

function token(changes: Readonly<Record<string, unknown>> = {}, key = secret): string {
  const { userId, sessionId } = ids
  return jwt({ userId, sessionId, exp: second + 3600, ...changes }, { key })
}

const invalid = `${token()}A`
const expired = token({ exp: second - 60 })
const early = token({ nbf: second + 60 })

/** A link with this token, as path and query. */
const linked = (auth: string | null = token(), changes: Readonly<Record<string, string>> = {}) =>
  link({ auth, ...changes })

function ask(changes: Partial<AccessRequest> = {}, by: Gate = gate, at = now): Decision {
  return decide({ ...bare, ...changes }, by, at)
}

/** The cookie of a session that a token opened. */
function session(changes: Readonly<Record<string, string>> = {}, key = secret, by = gate): string {
  const { URLToken, ...named } = { ...ids, ...changes }
  const decision = ask({ target: linked(token(named, key), { URLToken, ...named }) }, by)
  if (!decision.allow) throw new Error(decision.reason)
  return decision.setCookies[0]?.split(';')[0] ?? ''
}

const endOf = (grant: Grant | null): number => new Lease(grant?.sessions ?? []).end

function granted(t: Test, decision: Decision, message = 'allowed'): Grant | null {
  t.equal(decision.allow ? 'allow' : decision.reason, 'allow', message)
  return decision.allow ? decision : null
}

function denied(t: Test, decision: Decision, reason: Reason, message: string): void {
  t.equal(decision.allow ? 'allow' : decision.reason, reason, message)
}

const a = session()
const b = session({ sessionId: 'session-2', URLToken: 'b' })
const colleague = session({ userId: 'agent-8', sessionId: 'session-3', URLToken: 'c' })

t.test('a link opens the workspace, and a session with it', (t) => {
  const grant = granted(t, ask({ target: linked(), cookie: 'x=y' }))
  t.match(grant, {
    path: '/',
    query: linked().slice(2),
    cookie: 'x=y',
    authorization: null,
    subject: {
      contactCenter: 'default',
      userId: ids.userId,
      sessionId: ids.sessionId,
    },
  })
  t.equal(endOf(grant), now + hour + 5000)
  t.equal(grant?.setCookies.length, 1)
  t.match(grant?.setCookies[0], /^__Host-copilot-.{16}=/)
  t.end()
})

t.test('of two failures the one that is checked first is the reason', (t) => {
  type Draft = { -readonly [Name in keyof AccessRequest]: AccessRequest[Name] }
  type Failure = readonly [name: string, reason: Reason, fail: (draft: Draft) => void]
  const suffix = (text: string) => (draft: Draft) => {
    draft.target += text
  }
  const auth = (text: string) => (draft: Draft) => {
    draft.target = draft.target.replace(/auth=[^&#]*/, `auth=${text}`)
  }
  const steps: readonly (readonly Failure[])[] = [
    [
      ['a #', 'target-invalid', suffix('#')],
      ['a control', 'target-invalid', suffix('\t')],
      ['malformed percent-encoding', 'target-invalid', suffix('&x=%ff')],
      ['a dot segment', 'target-invalid', (draft) => (draft.target = `/..${draft.target}`)],
      ['two slashes', 'target-invalid', (draft) => (draft.target = `/${draft.target}`)],
      ['absolute-form', 'target-invalid', (draft) => (draft.target = own + draft.target)],
      ['no Host', 'target-invalid', (draft) => (draft.hosts = [])],
      ['two Hosts', 'target-invalid', (draft) => (draft.hosts = ['gateway.example', 'b'])],
      ['one Host twice', 'target-invalid', (draft) => (draft.hosts = ['a', 'a'])],
      ['a Host with a path', 'target-invalid', (draft) => (draft.hosts = ['a/b'])],
    ],
    [
      ['a look-alike', 'query-ambiguous', suffix('&UserId=x')],
      ['a name twice', 'query-ambiguous', suffix('&sessionId=session-1')],
      ['auth twice', 'query-ambiguous', suffix('&auth=a.b.c')],
      ['too many parameters', 'query-ambiguous', suffix('&x'.repeat(256))],
    ],
    [
      [
        'a foreign upgrade',
        'origin-refused',
        (draft) => Object.assign(draft, { upgrade: true, origin: 'https://evil.example' }),
      ],
    ],
    [
      ['two tokens', 'token-conflict', (draft) => (draft.authorizations = ['Bearer a.b.c'])],
      [
        'two Authorizations',
        'token-conflict',
        (draft) => (draft.authorizations = [`Bearer ${token()}`, 'Bearer a.b.c']),
      ],
    ],
    [
      ['an invalid token', 'token-invalid', auth(invalid)],
      ['an expired one', 'token-expired', auth(expired)],
      ['one not active yet', 'token-not-active', auth(early)],
      ['an empty one', 'token-invalid', auth('')],
      ['one of another secret', 'token-invalid', auth(token({}, retiredText))],
      ['one without ids, expired', 'token-expired', auth(jwt({ exp: 1 }))],
      ['one without ids, not active', 'token-not-active', auth(jwt({ nbf: 1e11 }))],
    ],
    [
      ['a token without ids', 'claim-missing', auth(jwt({ exp: second + 60 }))],
      ['a token for another', 'claim-mismatch', auth(token({ userId: 'agent-8' }))],
      [
        'another session in the query',
        'claim-mismatch',
        (draft) => (draft.target = draft.target.replace('session-1', 'session-2')),
      ],
    ],
  ]
  const decided = (...failures: readonly Failure[]): Decision => {
    const draft: Draft = { ...bare, target: linked(), cookie: b }
    // From the last step on, so that what the first does to the target stays in front.
    for (const [, , fail] of failures.toReversed()) fail(draft)
    return decide(draft, gate, now)
  }
  for (const [index, step] of steps.entries()) {
    for (const failure of step) {
      const [name, reason] = failure
      denied(t, decided(failure), reason, name)
      for (const later of steps.slice(index + 1).flat()) {
        denied(t, decided(failure, later), reason, `${name}, and ${later[0]}`)
      }
    }
  }
  const all = steps.flatMap((step) => step.slice(0, 1))
  denied(t, decided(...all), 'target-invalid', 'one of each')
  t.end()
})

t.test('a refusal repeats nothing of a refused target, and names who is known', (t) => {
  const nobody = { contactCenter: null, userId: null, sessionId: null }
  const known = { contactCenter: 'default', userId: null, sessionId: null }
  const agent = { ...known, userId: ids.userId, sessionId: ids.sessionId }
  const target = (auth: string) => linked(auth).replace('/', '/path')
  const rows: readonly (readonly [Partial<AccessRequest>, Reason, string | null, object])[] = [
    [{ target: `${linked()}#` }, 'target-invalid', null, nobody],
    [{ target: linked(), hosts: [] }, 'target-invalid', null, nobody],
    [{ target: '/path?userId[]=a' }, 'query-ambiguous', '/path', nobody],
    [{ target: '/path' }, 'token-missing', '/path', nobody],
    [{ target: target(invalid) }, 'token-invalid', '/path', nobody],
    [{ target: target(early) }, 'token-not-active', '/path', agent],
    [{ target: target(expired) }, 'token-expired', '/path', agent],
    [{ target: target(jwt({})) }, 'claim-missing', '/path', known],
    [{ target: target(token()).replace('session-1', 'x') }, 'claim-mismatch', '/path', agent],
  ]
  for (const [changes, reason, path, subject] of rows) {
    const decision = ask(changes)
    denied(t, decision, reason, reason)
    t.equal(decision.path, path, `${reason}: path`)
    t.match(decision.subject, subject, `${reason}: subject`)
  }
  t.end()
})

t.test('nothing passes without a credential', (t) => {
  for (const target of ['/', linked(null), '/assets/index.js', '/config.js', '/socket.io/']) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'PROPFIND', 'TRACE', 'X']) {
      denied(t, ask({ target, method }), 'token-missing', `${method} ${target}`)
      denied(t, ask({ target, method, ...script }), 'token-missing', `${method} ${target}, script`)
    }
    denied(t, ask({ target, ...socket }), 'token-missing', `upgrade ${target}`)
    denied(t, ask({ target, ...socket, origin: undefined }), 'token-missing', 'from no page')
  }
  const others = ['Basic YTpi', 'Bearer opaque', 'Bearer', 'Digest a=b', 'JWT a.b.c', '']
  for (const value of others) {
    denied(t, ask({ authorizations: [value] }), 'token-missing', `Authorization: ${value}`)
  }
  for (const cookie of ['a=1', '__Host-copilot-x=1', '__Host-copilot-x', `x=${token()}`]) {
    denied(t, ask({ cookie, ...script }), 'token-missing', `Cookie: ${cookie}`)
  }
  denied(t, ask({ cookie: `__Host-copilot-x=${token()}`, ...script }), 'token-missing', 'a token')
  denied(t, ask({ cookie: a, ...script }, retired), 'token-missing', 'a retired secret’s session')
  denied(t, ask({ cookie: a, ...script }, gate, now + 13 * hour), 'token-missing', 'an ended one')
  t.end()
})

t.test('every method and path is bound alike', (t) => {
  const victim = link({ auth: token(), sessionId: 'session-2' }).slice(1)
  for (const path of ['/', '/socket.io/', '/config.js', '/assets/a.js', '/a//b', '/a;b']) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PROPFIND', 'X']) {
      const bound = ask({ method, target: link({ auth: token() }, path) })
      t.equal(granted(t, bound, `${method} ${path}`)?.path, path)
      denied(t, ask({ method, target: path + victim }), 'claim-mismatch', `${method} ${path}`)
    }
    granted(t, ask({ ...socket, target: link({ auth: token() }, path) }), `upgrade ${path}`)
    denied(t, ask({ ...socket, target: path + victim }), 'claim-mismatch', `upgrade ${path}`)
  }
  t.end()
})

t.test('a token is auth or a Bearer; two different ones conflict', (t) => {
  const target = linked(null)
  const good = token()
  granted(t, ask({ target, authorizations: [`Bearer ${good}`] }), 'a Bearer')
  granted(t, ask({ target, authorizations: [`bearer ${good}`] }), 'a bearer')
  granted(t, ask({ target: linked(good), authorizations: [`Bearer ${good}`] }), 'one, twice told')
  const other = token({ exp: second + 60 })
  const conflicts: readonly (readonly [string, Partial<AccessRequest>])[] = [
    ['both good', { target: linked(good), authorizations: [`Bearer ${other}`] }],
    ['the Bearer bad', { target: linked(good), authorizations: ['Bearer a.b.c'] }],
    ['the Bearer expired', { target: linked(good), authorizations: [`Bearer ${expired}`] }],
    ['auth bad', { target: linked(invalid), authorizations: [`Bearer ${good}`] }],
    ['auth empty', { target: linked(''), authorizations: [`Bearer ${good}`] }],
    ['auth no JWT', { target: linked('x'), authorizations: [`Bearer ${good}`] }],
    ['both expired', { target: linked(expired), authorizations: ['Bearer a.b.c'], cookie: a }],
    ['two Bearers', { target, authorizations: [`Bearer ${good}`, `Bearer ${other}`] }],
    ['two Bearers, the first bad', { target, authorizations: ['Bearer a.b.c', `Bearer ${good}`] }],
    ['beside cookies', { target: linked(good), authorizations: [`Bearer ${other}`], cookie: a }],
  ]
  for (const [name, changes] of conflicts) denied(t, ask(changes), 'token-conflict', name)

  const basic = 'Basic YTpi'
  const beside = granted(t, ask({ target: linked(good), authorizations: [basic] }))
  t.equal(beside?.authorization, basic, 'another Authorization passes')
  const cookies = granted(t, ask({ ...script, cookie: a, authorizations: [basic] }))
  t.equal(cookies?.authorization, basic, 'beside cookies too')
  for (const value of ['Bearer opaque', `Token ${good}`, 'Bearer a.b', 'Bearer a.b.c.d.e', '']) {
    const grant = granted(t, ask({ ...script, cookie: a, authorizations: [value] }), value)
    t.equal(grant?.authorization, value, `${value} passes`)
  }
  t.end()
})

t.test('an invalid token is refused even beside good cookies', (t) => {
  const rows: readonly (readonly [string, string, Reason])[] = [
    ['tampered', invalid, 'token-invalid'],
    ['empty', '', 'token-invalid'],
    ['no JWT', 'x', 'token-invalid'],
    ['alg none', jwt({}, { header: { alg: 'none' } }), 'token-invalid'],
    ['crit', jwt({}, { header: { alg: 'HS256', crit: [] } }), 'token-invalid'],
    ['of another secret', token({}, retiredText), 'token-invalid'],
    ['not active yet', early, 'token-not-active'],
    ['from the future', token({ iat: second + 60 }), 'token-not-active'],
    ['an odd exp', token({ exp: '1' }), 'token-invalid'],
    ['for another', token({ userId: 'agent-8' }), 'claim-mismatch'],
    ['without ids', jwt({}), 'claim-missing'],
    ['a session', a.slice(a.indexOf('=') + 1), 'token-invalid'],
  ]
  for (const [name, auth, reason] of rows) {
    denied(t, ask({ target: linked(auth), cookie: a }), reason, `${name}, as auth`)
    const changes = { target: linked(null), cookie: `${a}; ${b}`, ...script }
    if (auth === '' || auth === 'x') continue
    const bearer = ask({ ...changes, authorizations: [`Bearer ${auth}`] })
    denied(t, bearer, reason, `${name}, as a Bearer`)
  }
  t.end()
})

t.test('with a token the query names all three', (t) => {
  const of = (changes: object, query: Readonly<Record<string, string | null>> = {}): Decision =>
    ask({ target: link({ auth: token({ ...changes }), ...query }), cookie: a })
  granted(t, of({}), 'as they are')
  granted(t, of({ URLToken: ids.URLToken }), 'a token that binds the URLToken')
  granted(t, of({ userId: 7, sessionId: 8 }, { userId: '7', sessionId: '8' }), 'integers')
  for (const name of ['userId', 'sessionId', 'URLToken']) {
    denied(t, of({}, { [name]: null }), 'claim-mismatch', `no ${name}`)
    denied(t, of({}, { [name]: '' }), 'claim-mismatch', `an empty ${name}`)
    denied(t, of({ URLToken: ids.URLToken }, { [name]: null }), 'claim-mismatch', `${name} bound`)
    denied(t, of({ [name]: 'other' }), 'claim-mismatch', `a token for another ${name}`)
    for (const odd of ['', null, true, 1.5, 2 ** 53, [], ['x'], {}, { x: 1 }]) {
      const query = { [name]: String(odd) }
      denied(t, of({ [name]: odd }, query), 'claim-missing', `${name} ${JSON.stringify(odd)}`)
    }
    if (name === 'URLToken') continue
    denied(t, of({ [name]: undefined }), 'claim-missing', `a token without ${name}`)
  }
  denied(t, ask({ target: `/?auth=${token()}` }), 'claim-mismatch', 'auth alone')
  const bearer = { authorizations: [`Bearer ${token()}`] }
  denied(t, ask({ target: '/', ...bearer }), 'claim-mismatch', 'a Bearer alone')
  denied(t, ask({ target: '/config.js', ...bearer, cookie: a }), 'claim-mismatch', 'beside cookies')
  t.end()
})

t.test('with cookies alone, what the query names is one of their sessions', (t) => {
  const three = { ...script, cookie: `x=y; ${a}; ${b}; ${colleague}` }
  const [, second, third] = [
    { userId: 'agent-7', sessionId: 'session-1' },
    { userId: 'agent-7', sessionId: 'session-2' },
    { userId: 'agent-8', sessionId: 'session-3' },
  ]
  const nobody = { userId: null, sessionId: null }
  const agent = { userId: 'agent-7', sessionId: null }
  const rows: readonly (readonly [string, object])[] = [
    ['', nobody],
    ['?x=y', nobody],
    ['?userId=agent-7', agent],
    ['?userId=agent-8', third],
    ['?sessionId=session-2', second],
    ['?URLToken=b', second],
    ['?userId=agent-7&sessionId=session-2', second],
    ['?sessionId=session-3&URLToken=c', third],
    ['?userId=agent-7&sessionId=session-2&URLToken=b', second],
  ]
  for (const [query, subject] of rows) {
    const grant = granted(t, ask({ ...three, target: `/a${query}` }), query)
    t.match(grant?.subject, { contactCenter: 'default', ...subject }, query)
    t.equal(grant?.query, query.slice(1), 'the query goes on as it was')
    t.equal(grant?.cookie, 'x=y', 'the sessions do not')
    t.strictSame(grant?.setCookies, [], 'and no session is opened')
  }
  const refused = [
    '?userId=agent-9',
    '?userId=',
    '?userId',
    '?sessionId=',
    '?URLToken=',
    '?userId=agent-7&sessionId=session-3',
    '?userId=agent-8&sessionId=session-1',
    '?userId=agent-8&sessionId=session-2&URLToken=b',
    '?userId=agent-7&sessionId=session-1&URLToken=b',
    '?userId=agent-7&sessionId=session-2&URLToken=f38791ae',
    '?sessionId=session-1&URLToken=c',
    '?userId=agent-7&sessionId=session-2&URLToken=B',
    '?userId=Agent-7',
  ]
  for (const query of refused) {
    denied(t, ask({ ...three, target: `/a${query}` }), 'claim-mismatch', query)
    const target = `/socket.io/${query}&EIO=4`
    denied(t, ask({ ...three, ...socket, target }), 'claim-mismatch', `upgrade ${query}`)
  }
  granted(t, ask({ ...socket, cookie: a, target: '/socket.io/?EIO=4' }), 'an upgrade')
  t.end()
})

t.test('a grant ends with the last session that it may act for', (t) => {
  const short = ask({
    target: link({ auth: token({ exp: second + 60, sessionId: 's' }), sessionId: 's' }),
  })
  const brief = short.allow ? (short.setCookies[0]?.split(';')[0] ?? '') : ''
  const both = { ...script, cookie: `${brief}; ${a}` }
  t.equal(endOf(granted(t, short)), now + 65_000)
  t.equal(endOf(granted(t, ask(both))), now + hour + 5000)
  t.equal(endOf(granted(t, ask({ ...both, target: '/?sessionId=s' }))), now + 65_000, 'narrowed')
  const later = ask(both, gate, now + 65_000)
  t.match(granted(t, later)?.subject, { sessionId: ids.sessionId }, 'the shorter has ended')
  denied(
    t,
    ask({ ...both, target: '/?sessionId=s' }, gate, now + 65_000),
    'claim-mismatch',
    'it is',
  )
  t.end()
})

t.test('cookies alone are for the workspace’s own page', (t) => {
  const rows: readonly (readonly [string, Partial<AccessRequest>, boolean])[] = [
    ['a script of its own', script, true],
    ['a POST of its own', { ...script, method: 'POST' }, true],
    ['typed into the address bar', { fetchSite: 'none' }, true],
    ['a navigation', {}, true],
    ['an image on another page', { fetchMode: 'no-cors' }, false],
    ['a fetch of another page', { fetchMode: 'cors' }, false],
    ['a form on another page', { method: 'POST' }, false],
    ['a form of a sibling', { method: 'POST', fetchSite: 'same-site' }, false],
    ['a socket', socket, true],
    ['a socket of another page', { ...socket, origin: 'https://evil.example' }, false],
    ['a socket of a sandbox', { ...socket, origin: 'null' }, false],
    ['a socket of no page', { ...socket, origin: undefined }, false],
    ['an old browser’s GET', { fetchSite: undefined, fetchMode: undefined }, true],
    [
      'an old browser’s POST',
      { fetchSite: undefined, fetchMode: undefined, method: 'POST', origin: own },
      true,
    ],
    [
      'an old browser’s POST from elsewhere',
      { fetchSite: undefined, method: 'POST', origin: 'https://evil.example' },
      false,
    ],
    ['an old browser’s POST from nowhere', { fetchSite: undefined, method: 'POST' }, false],
  ]
  for (const [name, changes, allowed] of rows) {
    const decision = ask({ cookie: a, ...changes })
    if (allowed) granted(t, decision, name)
    else denied(t, decision, 'origin-refused', name)
    const basic = ask({ cookie: a, authorizations: ['Basic YTpi'], ...changes })
    if (!allowed) denied(t, basic, 'origin-refused', `${name}, beside another Authorization`)
    const mismatched = ask({ cookie: a, target: '/?userId=x', ...changes })
    if (!allowed) denied(t, mismatched, 'origin-refused', `${name}, before the binding`)
    const byToken = ask({ ...changes, target: linked(), cookie: a })
    const foreign = changes.upgrade === true && ![own, undefined].includes(changes.origin)
    if (foreign) denied(t, byToken, 'origin-refused', `${name}, with a token`)
    else granted(t, byToken, `${name}, with a token`)
  }
  t.end()
})

t.test('a token beside cookies narrows to its session', (t) => {
  const cookie = `${a}; ${b}; ${colleague}; x=y`
  const third = { userId: 'agent-7', sessionId: 'new', exp: second + 60 }
  for (const auth of [token(third), token({ ...third, URLToken: 'n' }, older)]) {
    const target = link({ auth, sessionId: 'new', URLToken: 'n' })
    const grant = granted(t, ask({ target, cookie }))
    t.match(grant?.subject, { userId: 'agent-7', sessionId: 'new' })
    t.equal(endOf(grant), now + 65_000, 'it ends with the token, not with the cookies')
    t.equal(grant?.cookie, 'x=y')
    const frame = ask({ target: link({ auth, sessionId: 'session-2', URLToken: 'b' }), cookie })
    denied(t, frame, 'claim-mismatch', 'a session of another cookie is none of the token’s')
  }
  t.end()
})

t.test('F5: an ended token counts as absent where a cookie proves its very session', (t) => {
  const at = now + hour + 5000
  const long = { ...gate, sessions: { maxAge: 12 * hour, outliveToken: true } }
  const kept = session({}, secret, long)
  const sibling = session({ sessionId: 'session-2', URLToken: 'b' }, secret, long)
  const f5 = (changes: Partial<AccessRequest> = {}, by: Gate = long, when = at): Decision =>
    ask({ target: linked(), cookie: kept, ...changes }, by, when)

  const target = linked()
  const grant = granted(t, f5())
  t.equal(endOf(grant), now + 12 * hour)
  t.match(grant, {
    path: '/',
    query: target.slice(2, target.indexOf('&auth=')),
    cookie: '',
    authorization: null,
    subject: { userId: ids.userId, sessionId: ids.sessionId },
    setCookies: [],
  })
  const rows: readonly (readonly [string, Partial<AccessRequest>])[] = [
    ['beside other cookies', { cookie: `x=y; ${sibling}; ${kept}` }],
    ['a token that binds the URLToken', { target: linked(token({ URLToken: ids.URLToken })) }],
    ['a token of an older secret', { target: linked(token({}, older)) }],
    ['a script of its own page', script],
    ['a socket of its own page', { ...socket, target: link({ auth: token() }, '/socket.io/') }],
    ['typed into the address bar', { fetchSite: 'none' }],
    ['a query that names less', { target: `/?userId=${ids.userId}&auth=${token()}` }],
    ['a query that names nothing', { target: `/?auth=${token()}` }],
    ['a Bearer', { target: linked(null), authorizations: [`Bearer ${token()}`] }],
    ['both, alike', { authorizations: [`Bearer ${token()}`] }],
  ]
  for (const [name, changes] of rows) {
    const grant = granted(t, f5(changes), name)
    t.notMatch(grant?.query, /auth/, `${name}: it is not forwarded`)
    t.equal(grant?.authorization, null, `${name}: nor as a Bearer`)
    t.match(grant?.subject, { userId: ids.userId, sessionId: ids.sessionId }, `${name}: subject`)
    t.strictSame(grant?.setCookies, [], `${name}: no new session`)
    t.equal(endOf(grant), now + 12 * hour, `${name}: the session's end`)
  }
  const basic = granted(t, f5({ authorizations: ['Basic YTpi'] }))
  t.equal(basic?.authorization, 'Basic YTpi', 'another Authorization goes on')
  const middle = `/?x=1&auth=${token()}&userId=${ids.userId}&y=2`
  t.equal(granted(t, f5({ target: middle }))?.query, `x=1&userId=${ids.userId}&y=2`)

  const old = { ...long, keyring: withPolicy(long.keyring, { maxAge: 60_000 }) }
  t.match(granted(t, f5({}, old, now), 'too old, without iat'), { authorization: null })
  const aged = { target: linked(token({ iat: second - 3600 })) }
  t.notMatch(granted(t, f5(aged, old, now), 'too old by its iat')?.query, /auth/)

  const refused: readonly (readonly [string, Reason, Partial<AccessRequest>])[] = [
    ['no cookie', 'token-expired', { cookie: '' }],
    ['the cookie of another session', 'token-expired', { cookie: sibling }],
    ['a cookie that is none', 'token-expired', { cookie: '__Host-copilot-x=1' }],
    [
      'the cookie of a retired secret',
      'token-expired',
      { cookie: session({}, retiredText, retired) },
    ],
    ['a token for another user', 'token-expired', { target: linked(token({ userId: 'agent-8' })) }],
    ['a token for another session', 'token-expired', { target: linked(token({ sessionId: 'x' })) }],
    [
      'a token for another URLToken',
      'token-expired',
      { target: linked(token({ URLToken: 'other' })) },
    ],
    ['a token for nobody', 'token-expired', { target: linked(jwt({ exp: second + 60 })) }],
    ['a token that is not ours', 'token-invalid', { target: linked(token({}, retiredText)) }],
    ['a token that was tampered with', 'token-invalid', { target: linked(`${token()}A`) }],
    ['one not active yet', 'token-not-active', { target: linked(token({ nbf: second + 7200 })) }],
    ['crit', 'token-invalid', { target: linked(jwt(ids, { header: { alg: 'HS256', crit: [] } })) }],
    [
      'a query for another session',
      'claim-mismatch',
      { target: linked(token(), { sessionId: 'x' }) },
    ],
    ['a query for another user', 'claim-mismatch', { target: linked(token(), { userId: 'x' }) }],
    [
      'a query for another URLToken',
      'claim-mismatch',
      { target: linked(token(), { URLToken: 'x' }) },
    ],
    ['an empty id in the query', 'claim-mismatch', { target: linked(token(), { userId: '' }) }],
    ['another token beside it', 'token-conflict', { authorizations: [`Bearer ${expired}`] }],
    ['an image on another page', 'origin-refused', { fetchMode: 'no-cors' }],
    ['a fetch of another page', 'origin-refused', { fetchMode: 'cors' }],
    ['a form on another page', 'origin-refused', { method: 'POST' }],
    ['a socket of no page', 'origin-refused', { ...socket, origin: undefined }],
    ['a socket of another page', 'origin-refused', { ...socket, origin: 'https://evil.example' }],
    ['an old browser’s POST', 'origin-refused', { fetchSite: undefined, method: 'POST' }],
  ]
  for (const [name, reason, changes] of refused) denied(t, f5(changes), reason, name)
  denied(t, f5({}, long, now + 12 * hour), 'token-expired', 'the session has ended too')
  const strict = { ...long, keyring: withPolicy(long.keyring, { requireExp: true }) }
  const endless = { target: linked(token({ exp: undefined })) }
  denied(t, f5(endless, strict, now), 'token-invalid', 'without exp where it is required')
  t.end()
})

t.test('an older link, still valid, takes nothing from a session that was renewed', (t) => {
  const lasting = (seconds: number) => token({ exp: second + seconds })
  const renewed = granted(t, ask({ target: linked(lasting(7200)) }))
  const cookie = renewed?.setCookies[0]?.split(';')[0] ?? ''
  const again = (changes: Partial<AccessRequest> = {}, by: Gate = gate) =>
    granted(t, ask({ target: linked(lasting(60)), cookie, ...changes }, by))
  const kept = again()
  t.equal(endOf(kept), now + 7_205_000)
  t.match(kept?.setCookies[0], /; Max-Age=7205$/)
  const rows: readonly (readonly [string, Grant | null])[] = [
    [
      'of a session that was ended since',
      again({}, { ...gate, isRevoked: ({ end }) => end > now + hour }),
    ],
    [
      'by another secret, which may be retired first',
      again({ target: linked(token({ exp: second + 60 }, older)) }),
    ],
    ['of another session', again({ cookie: session({ sessionId: 'session-2' }) })],
  ]
  for (const [name, grant] of rows) t.equal(endOf(grant), now + 65_000, name)
  t.equal(
    endOf(again({ target: linked(lasting(9000)) })),
    now + 9_005_000,
    'nor holds a newer one back',
  )
  t.end()
})

t.test('F5: a session of one URLToken is not that of another', (t) => {
  const at = now + hour + 5000
  const long = { ...gate, sessions: { maxAge: 12 * hour, outliveToken: true } }
  const cookie = [session({}, secret, long), session({ URLToken: 'other' }, secret, long)].join(
    '; ',
  )
  for (const URLToken of [ids.URLToken, 'other']) {
    granted(t, ask({ target: linked(token(), { URLToken }), cookie }, long, at), URLToken)
  }
  const third = ask({ target: linked(token(), { URLToken: 'third' }), cookie }, long, at)
  denied(t, third, 'claim-mismatch', 'one that no cookie proves')
  t.end()
})

t.test('the contact center of a session is that of the token', async (t) => {
  const other = await createGate([retiredText], {}, 'other')
  const two = {
    ...gate,
    keyring: withKeys(gate.keyring, [...gate.keyring.keys, ...other.keyring.keys]),
  }
  const cookie = session({}, retiredText, two)
  t.match(granted(t, ask({ ...script, cookie }, two))?.subject, {
    contactCenter: 'other',
  })
  const both = granted(t, ask({ ...script, cookie: `${a}; ${cookie}` }, two))
  const { userId, sessionId } = ids
  t.strictSame(both?.subject, { contactCenter: null, userId, sessionId }, 'of both, neither')
  const ended = ask({ target: linked(expired), cookie }, two)
  denied(t, ended, 'token-expired', 'the same ids elsewhere are not the very same session')
})

t.test('a session is opened by a navigation with a token, and by nothing else', (t) => {
  const opens = (changes: Partial<AccessRequest>, name: string): boolean => {
    const grant = granted(t, ask({ target: linked(), ...changes }), name)
    return (grant?.setCookies.length ?? 0) > 0
  }
  const old = { fetchSite: undefined, fetchMode: undefined }
  const bearer = { target: linked(null), authorizations: [`Bearer ${token()}`] }
  const rows: readonly (readonly [string, Partial<AccessRequest>, boolean])[] = [
    ['a frame on another page', {}, true],
    ['a link on its own page', { fetchSite: 'same-origin' }, true],
    ['the address bar', { fetchSite: 'none' }, true],
    ['a client without Fetch Metadata', old, true],
    ['another path', { target: link({ auth: token() }, '/a/b') }, true],
    ['a navigation with a Bearer', bearer, true],
    ['beside the same session', { cookie: a }, true],
    ['a fetch', { fetchMode: 'cors' }, false],
    ['a script tag', { fetchMode: 'no-cors' }, false],
    ['its own script', script, false],
    ['HEAD', { method: 'HEAD' }, false],
    ['HEAD without Fetch Metadata', { ...old, method: 'HEAD' }, false],
    ['POST', { method: 'POST' }, false],
    ['POST without Fetch Metadata', { ...old, method: 'POST' }, false],
    ['OPTIONS', { method: 'OPTIONS' }, false],
    ['a socket', socket, false],
    ['a socket without Fetch Metadata', { ...old, upgrade: true }, false],
  ]
  for (const [name, changes, expected] of rows) t.equal(opens(changes, name), expected, name)
  t.end()
})

t.test('a session holds for what comes after, by whichever secret opened it', (t) => {
  for (const key of [secret, older]) {
    const cookie = session({}, key)
    granted(t, ask({ ...script, cookie }), 'a script')
    granted(t, ask({ ...socket, cookie }), 'a socket')
    granted(
      t,
      ask({ ...script, cookie }, gate, now + hour + 4999),
      'to the end of exp and tolerance',
    )
    denied(t, ask({ ...script, cookie }, gate, now + hour + 5000), 'token-missing', 'no longer')
    denied(t, ask({ ...script, cookie }, retired), 'token-missing', 'its secret retired')
  }
  const withoutOlder = {
    ...gate,
    keyring: withKeys(gate.keyring, gate.keyring.keys.slice(0, 1)),
  }
  const cookie = session({}, older)
  denied(t, ask({ ...script, cookie }, withoutOlder), 'token-missing', 'the older one retired')
  granted(t, ask({ ...script, cookie: `${cookie}; ${a}` }, withoutOlder), 'another session stays')
  t.end()
})

t.test('the upstream gets the query that was checked, with auth if it is to', (t) => {
  const quiet = { ...gate, forwardAuth: false }
  const good = token()
  const query = (changes: Partial<AccessRequest>, by: Gate): string | undefined =>
    granted(t, ask(changes, by))?.query
  const target = `/a?x=%41&userId=agent%2D7&auth=${good}&&sessionId=session-1&URLToken=f38791ae&y=1+2`
  t.equal(query({ target }, gate), target.slice(3), 'as it came, to the byte')
  t.equal(query({ target }, quiet), target.slice(3).replace(`auth=${good}&`, ''), 'without auth')
  const last = `/?userId=agent-7&sessionId=session-1&URLToken=f38791ae&auth=${good}`
  t.equal(query({ target: last }, quiet), last.slice(2, last.indexOf('&auth')))
  const first = `/?auth=${good}&userId=agent-7&sessionId=session-1&URLToken=f38791ae`
  t.equal(query({ target: first }, quiet), first.slice(first.indexOf('userId')))
  for (const by of [gate, quiet]) {
    const grant = granted(t, ask({ target: `${last}&copilotSession=x` }, by))
    t.notMatch(grant?.query, /copilotSession/, 'copilotSession is the gateway’s own')
    t.equal(query({ ...script, cookie: a, target: '/a?b=c' }, by), 'b=c')
    t.equal(query({ ...script, cookie: a, target: '/a' }, by), '')
    t.equal(query({ ...script, cookie: a, target: '/a?' }, by), '')
  }

  const bearer = { target: linked(null), authorizations: [`Bearer ${good}`] }
  t.equal(granted(t, ask(bearer, gate))?.authorization, `Bearer ${good}`)
  t.equal(granted(t, ask(bearer, quiet))?.authorization, null, 'nor the same as a Bearer')
  const both = { target: linked(good), authorizations: [`Bearer ${good}`] }
  t.match(granted(t, ask(both, quiet)), { query: linked(null).slice(2), authorization: null })
  const basic = { target: linked(good), authorizations: ['Basic YTpi'] }
  t.equal(granted(t, ask(basic, quiet))?.authorization, 'Basic YTpi', 'another is none of ours')
  t.end()
})

t.test('one host is named, and as a host', (t) => {
  for (const hosts of [['a'], ['gateway.example:8443'], ['[::1]:8080'], ['127.0.0.1']]) {
    granted(t, ask({ target: linked(), hosts }), hosts.join())
  }
  const rows = [
    [],
    [''],
    ['a', 'a'],
    ['a', 'b'],
    ['gateway.example', ''],
    ['a, b'],
    ['a b'],
    ['a/b'],
    ['a@b'],
    ['a\\b'],
    ['a#b'],
    ['a?b'],
    ['http://a'],
    ['ä'],
  ]
  for (const hosts of rows) {
    denied(t, ask({ target: linked(), hosts }), 'target-invalid', JSON.stringify(hosts))
    denied(t, ask({ ...socket, cookie: a, hosts }), 'target-invalid', `socket ${hosts}`)
  }
  t.end()
})

t.test('the attacks that bypassed other gateways do not pass', (t) => {
  const mine = `userId=agent-7&sessionId=session-1&URLToken=f38791ae&auth=${token()}`
  const rows: readonly (readonly [string, string, Reason])[] = [
    ['a fragment', `/#${mine}&x=?userId=victim`, 'target-invalid'],
    ['a fragment after', `/?${mine}#&userId=victim`, 'target-invalid'],
    ['a list', `/?${mine}&userId[]=victim`, 'query-ambiguous'],
    ['an index', `/?${mine}&userId[0]=victim`, 'query-ambiguous'],
    ['case', `/?${mine}&USERID=victim`, 'query-ambiguous'],
    ['NUL', `/?${mine}&userId%00=victim`, 'query-ambiguous'],
    ['NUL within', `/?${mine}&user%00Id=victim`, 'query-ambiguous'],
    ['a semicolon', `/?${mine};userId=victim`, 'query-ambiguous'],
    ['a semicolon beside', `/?${mine}&x;userId=victim`, 'query-ambiguous'],
    ['a duplicate', `/?${mine}&userId=victim`, 'query-ambiguous'],
    ['a duplicate before', `/?userId=victim&${mine}`, 'query-ambiguous'],
    ['an encoded name', `/?${mine}&%75serId=victim`, 'query-ambiguous'],
    ['a plus sign', `/?${mine}&+userId=victim`, 'query-ambiguous'],
    ['absolute-form', `http://gateway.example/?${mine}`, 'target-invalid'],
    ['absolute-form elsewhere', `http://169.254.169.254/?${mine}`, 'target-invalid'],
    ['network-path', `//169.254.169.254/?${mine}`, 'target-invalid'],
    ['a backslash', `/\\169.254.169.254/?${mine}`, 'target-invalid'],
    ['asterisk-form', '*', 'target-invalid'],
    ['dots', `/a/../admin?${mine}`, 'target-invalid'],
    ['encoded dots', `/a/%2e%2e/admin?${mine}`, 'target-invalid'],
    ['twice encoded dots', `/a/%252e%252e/admin?${mine}`, 'target-invalid'],
    ['a servlet’s dots', `/a/..;/admin?${mine}`, 'target-invalid'],
    ['an encoded slash', `/a%2fadmin?${mine}`, 'target-invalid'],
    ['a new line', `/a%0d%0aX-User:%20victim?${mine}`, 'target-invalid'],
  ]
  for (const [name, target, reason] of rows) {
    denied(t, ask({ target }), reason, name)
    denied(t, ask({ target, cookie: a, ...script }), reason, `${name}, beside cookies`)
    denied(t, ask({ target, ...socket }), reason, `${name}, in an upgrade`)
    denied(t, ask({ target, method: 'POST' }), reason, `${name}, by POST`)
  }
  granted(t, ask({ target: `/?${mine}` }), 'the link itself')
  t.end()
})
