// A token belongs to one contact center, and so does the session that it opens.
import { createSecretKey } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { type AccessRequest, decide, type Gate } from '../../src/access/access.ts'
import type { Decision, Grant } from '../../src/access/decision.ts'
import { readSessions, signParameter, splitCookies } from '../../src/access/session.ts'
import { verifyToken } from '../../src/access/token.ts'
import type { ContactCenter } from '../../src/settings/config.ts'
import { createGate, createGateOf, ids, jwt, secret, withKeys } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const exp = now / 1000 + 3600
const secretOf = (name: string): string => `the secret of ${name}`.padEnd(32, '.')
const center = (name: string, urlTokens: readonly string[] | null): Partial<ContactCenter> => ({
  name,
  secrets: [Buffer.from(secretOf(name))],
  urlTokens,
})
const north = center('north', ['n1', 'n2'])
const south = center('south', ['s1'])
const open = center('open', null)
const other = center('other', null)
const all = await createGateOf([north, south, open, other])

const socket = {
  upgrade: true,
  origin: 'https://gateway.example',
  fetchSite: 'same-origin',
  fetchMode: 'websocket',
} as const

function ask(by: Gate, changes: Partial<AccessRequest>, at = now): Decision {
  const request: AccessRequest = {
    method: 'GET',
    target: '/',
    hosts: ['gateway.example'],
    authorizations: [],
    cookie: '',
    upgrade: false,
    origin: undefined,
    fetchSite: 'cross-site',
    fetchMode: 'navigate',
    own: ['https://gateway.example'],
    ...changes,
  }
  return decide(request, by, at)
}

/** A token of these ids, by the secret of a contact center and under some `kid`. */
function tokenOf(name: string, kid?: unknown, claims: object = {}): string {
  const { userId, sessionId } = ids
  const header = { alg: 'HS256', ...(kid === undefined ? {} : { kid }) }
  return jwt({ userId, sessionId, exp, ...claims }, { key: secretOf(name), header })
}

function linkOf(URLToken: string | null, auth: string | null, path = '/'): string {
  const { userId, sessionId } = ids
  const named = { userId, sessionId, ...(URLToken === null ? {} : { URLToken }) }
  return `${path}?${new URLSearchParams({ ...named, ...(auth === null ? {} : { auth }) })}`
}

function granted(t: Test, decision: Decision, message = 'allowed'): Grant | null {
  t.equal(decision.allow ? 'allow' : decision.reason, 'allow', message)
  return decision.allow ? decision : null
}

const cookieOf = (grant: Grant | null): string => grant?.setCookies[0]?.split(';')[0] ?? ''

t.test(
  'a token is of whom its kid names, else its URLToken, else of one without URLTokens',
  (t) => {
    const rows: readonly (readonly [string, string, string, unknown, string])[] = [
      ['by the URLToken', 'n1', 'north', undefined, 'north'],
      ['by another one', 'n2', 'north', undefined, 'north'],
      ['by a third', 's1', 'south', undefined, 'south'],
      ['by no URLToken of anyone', 'x', 'open', undefined, 'open'],
      ['the second of those', 'x', 'other', undefined, 'other'],
      ['by the kid', 'n1', 'north', 'north', 'north'],
      ['by the kid, of one without URLTokens', 'x', 'other', 'other', 'other'],
      ['an unknown kid', 'n1', 'north', 'key-7', 'north'],
      ['an empty kid', 's1', 'south', '', 'south'],
      ['a kid that is a number', 'n1', 'north', 7, 'north'],
      ['a kid that is a list', 's1', 'south', ['north'], 'south'],
      ['a kid that is an object', 's1', 'south', { toString: 'north' }, 'south'],
      ['a kid that is null', 'n1', 'north', null, 'north'],
      ['a kid in the prototype', 'x', 'open', '__proto__', 'open'],
      ['a kid of other case', 'n1', 'north', 'NORTH', 'north'],
      ['its kid, at another’s URLToken', 's1', 'north', 'north', 'north: url-token-unknown'],
      ['its kid, at nobody’s URLToken', 'x', 'north', 'north', 'north: url-token-unknown'],
      ['without URLTokens, at another’s', 'n1', 'open', 'open', 'open: url-token-unknown'],
      ['another’s token', 'n1', 'south', undefined, 'null: token-invalid'],
      ['one without URLTokens at another’s', 'n1', 'open', undefined, 'null: token-invalid'],
      ['with URLTokens, at nobody’s', 'x', 'north', undefined, 'null: token-invalid'],
      ['under another’s name', 'n1', 'north', 'south', 'null: token-invalid'],
      ['under the name of who has the link', 'n1', 'south', 'north', 'null: token-invalid'],
      ['a URLToken of other case', 'N1', 'north', undefined, 'null: token-invalid'],
    ]
    for (const [name, URLToken, signer, kid, expected] of rows) {
      const auth = tokenOf(signer, kid)
      const requests = {
        navigation: { target: linkOf(URLToken, auth) },
        bearer: { target: linkOf(URLToken, null), authorizations: [`Bearer ${auth}`] },
        socket: { ...socket, target: linkOf(URLToken, auth, '/socket.io/') },
      }
      for (const [how, request] of Object.entries(requests)) {
        const decision = ask(all, request)
        const { contactCenter } = decision.subject
        const said = decision.allow ? contactCenter : `${contactCenter}: ${decision.reason}`
        t.equal(said, expected, `${name}: ${how}`)
      }
    }
    t.end()
  },
)

t.test('a token that no key may have signed says why in the log', async (t) => {
  const two = await createGateOf([north, south])
  t.match(ask(two, { target: linkOf('x', tokenOf('north')) }), {
    reason: 'token-invalid',
    hint: 'the link’s URLToken is no contact center’s',
  })
})

t.test('the only contact center is asked about every link', async (t) => {
  const gate = await createGateOf([north])
  t.match(ask(gate, { target: linkOf('x', tokenOf('north')) }), {
    reason: 'url-token-unknown',
    subject: { contactCenter: 'north' },
  })
  t.match(ask(gate, { target: linkOf('x', tokenOf('south')) }), { reason: 'token-invalid' })
  granted(t, ask(gate, { target: linkOf('n1', tokenOf('north')) }))
})

t.test('one secret in two contact centers: the sessions of one are not the other’s', async (t) => {
  const secrets = [Buffer.from(secret)]
  const gate = await createGateOf([
    { ...north, secrets },
    { ...south, secrets },
  ])
  const { userId, sessionId } = ids
  const auth = jwt({ userId, sessionId, exp })
  const grants = ['n1', 's1'].map((URLToken) =>
    granted(t, ask(gate, { target: linkOf(URLToken, auth) }), URLToken),
  )
  t.same(
    grants.map((grant) => grant?.subject.contactCenter),
    ['north', 'south'],
  )
  const [first = '', second = ''] = grants.map(cookieOf)
  const only = await createGateOf([{ ...south, secrets }])
  const known = (cookie: string): number =>
    readSessions(splitCookies(cookie), only.keyring, now).length
  t.same([known(first), known(second)], [0, 1], 'a cookie is read by its own alone')
  const script = { fetchSite: 'same-origin', fetchMode: 'cors' } as const
  const foreign = ask(gate, { ...script, cookie: first, target: linkOf('s1', null) })
  t.match(foreign, { reason: 'claim-mismatch', subject: { contactCenter: 'north' } })
  const [session] = grants[0]?.sessions ?? []
  const parameter = session && signParameter(session, gate.keyring)
  t.ok(parameter)
  const target = `/config.js?copilotSession=${parameter}`
  granted(t, ask(gate, { ...script, target }))
  t.match(ask(only, { ...script, target }), { reason: 'token-invalid' })
})

t.test('of a thousand contact centers, the keys of one are tried', async (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => center(`c${i}`, [`u${i}`, `v${i}`]))
  const { keyring } = await createGateOf([...many, open, other])
  const asked: string[] = []
  const watched = withKeys(
    keyring,
    keyring.keys.map((key) => ({
      ...key,
      verifyToken(token: string) {
        asked.push(key.contactCenter.name)
        return key.verifyToken(token)
      },
    })),
  )
  const spies = new Map(watched.keys.map((key) => [key.id, key]))
  const spied = {
    ...watched,
    candidates: (kid: unknown, urlToken: string | null) =>
      keyring.candidates(kid, urlToken).flatMap(({ id }) => spies.get(id) ?? []),
  }
  const rows: readonly (readonly [string, string, string | null, readonly string[]])[] = [
    ['a URLToken', tokenOf('c700'), 'v700', ['c700']],
    ['a kid', tokenOf('c3', 'c3'), null, ['c3']],
    ['a kid, at another’s URLToken', tokenOf('c3', 'c3'), 'u7', ['c3']],
    ['garbage at a URLToken', tokenOf('nobody'), 'u7', ['c7']],
    ['garbage under a kid', tokenOf('nobody', 'c9'), 'u7', ['c9']],
    ['neither', tokenOf('nobody'), 'x', ['open', 'other']],
    ['an unknown kid', tokenOf('nobody', 'key'), null, ['open', 'other']],
  ]
  for (const [name, token, urlToken, expected] of rows) {
    asked.length = 0
    verifyToken(token, urlToken, spied, now)
    t.same(asked, expected, name)
  }
})

t.test('the policy of a token is its contact center’s', async (t) => {
  const strict = { requireExp: true, maxAge: 60_000, clockTolerance: 0 }
  const gate = await createGateOf([{ ...north, tokens: strict }, south])
  const endless = { exp: undefined }
  t.match(ask(gate, { target: linkOf('n1', tokenOf('north', undefined, endless)) }), {
    reason: 'token-invalid',
  })
  granted(t, ask(gate, { target: linkOf('s1', tokenOf('south', undefined, endless)) }))
  const old = { iat: now / 1000 - 61 }
  t.match(ask(gate, { target: linkOf('n1', tokenOf('north', undefined, old)) }), {
    reason: 'token-too-old',
  })
  granted(t, ask(gate, { target: linkOf('s1', tokenOf('south', undefined, old)) }))
})

t.test('a session ends when its URLToken leaves the list, however it is proven', async (t) => {
  const before = await createGateOf([north, south])
  const grant = granted(t, ask(before, { target: linkOf('n1', tokenOf('north')) }))
  const [session] = grant?.sessions ?? []
  const cookie = cookieOf(grant)
  const parameter = session && signParameter(session, before.keyring)
  const script = { fetchSite: 'same-origin', fetchMode: 'cors', cookie } as const
  const requests: Readonly<Record<string, Partial<AccessRequest>>> = {
    'its cookie': script,
    'its copilotSession': {
      ...script,
      cookie: '',
      target: `/config.js?copilotSession=${parameter}`,
    },
    'an upgrade by its cookie': { ...socket, cookie },
    'an upgrade by its copilotSession': {
      ...socket,
      target: `/socket.io/?copilotSession=${parameter}`,
    },
    'a link': { target: linkOf('n1', tokenOf('north', 'north')) },
    F5: { cookie, target: linkOf('n1', tokenOf('north', 'north', { exp: now / 1000 - 60 })) },
  }
  const lists: readonly (readonly [string, readonly Partial<ContactCenter>[], string])[] = [
    ['as it was', [north, south], 'allow'],
    ['on no list', [{ ...north, urlTokens: ['n2'] }, south], 'url-token-unknown'],
    [
      'on another’s',
      [
        { ...north, urlTokens: ['n2'] },
        { ...south, urlTokens: ['n1'] },
      ],
      'url-token-unknown',
    ],
    ['without lists', [{ ...north, urlTokens: null }], 'allow'],
    [
      'without a list, on another’s',
      [
        { ...north, urlTokens: null },
        { ...south, urlTokens: ['n1'] },
      ],
      'url-token-unknown',
    ],
  ]
  for (const [list, centers, expected] of lists) {
    const gate = await createGateOf(centers)
    for (const [name, request] of Object.entries(requests)) {
      const decision = ask(gate, request)
      t.equal(decision.allow ? 'allow' : decision.reason, expected, `${list}: ${name}`)
    }
  }
  const two = granted(t, ask(before, { target: linkOf('n2', tokenOf('north')) }))
  const left = await createGateOf([{ ...north, urlTokens: ['n2'] }, south])
  const both = granted(t, ask(left, { ...script, cookie: `${cookie}; ${cookieOf(two)}` }))
  t.equal(both?.sessions.length, 1, 'the session that is left is let in')
})

t.test('a one-time token has to be used up by what opens something', async (t) => {
  const once = await createGateOf([{ oneTimeTokens: true }])
  const often = await createGate()
  const { userId, sessionId } = ids
  const auth = jwt({ userId, sessionId, exp })
  const target = linkOf('t', auth)
  const old = { fetchSite: undefined, fetchMode: undefined }
  const rows: readonly (readonly [string, boolean, Partial<AccessRequest>])[] = [
    ['a navigation', true, {}],
    ['a client without Fetch Metadata', true, old],
    [
      'a navigation with a Bearer',
      true,
      { target: linkOf('t', null), authorizations: [`Bearer ${auth}`] },
    ],
    ['a socket', true, { ...socket, target: linkOf('t', auth, '/socket.io/') }],
    ['another socket', true, { ...socket, origin: undefined, target: linkOf('t', auth, '/ws') }],
    ['renew', true, { target: linkOf('t', auth, '/.copilot-gateway/renew') }],
    [
      'renew by fetch',
      true,
      { fetchMode: 'cors', target: linkOf('t', auth, '/.copilot-gateway/renew') },
    ],
    ['HEAD', false, { method: 'HEAD' }],
    ['a script', false, { fetchMode: 'no-cors' }],
    ['a fetch', false, { fetchSite: 'same-origin', fetchMode: 'cors' }],
    ['a POST', false, { method: 'POST' }],
  ]
  for (const [name, expected, changes] of rows) {
    const grant = granted(t, ask(once, { target, ...changes }), name)
    t.equal(grant !== null && grant.ticket !== null, expected, name)
    if (expected)
      t.match(grant?.ticket, {
        until: (exp + 5) * 1000,
        otherwise: { reason: 'token-replayed' },
        unreachable: { reason: 'state-unreachable' },
      })
    t.equal(granted(t, ask(often, { target, ...changes }))?.ticket, null, `${name}: elsewhere`)
  }
  const cookie = cookieOf(granted(t, ask(once, { target })))
  const script = { fetchSite: 'same-origin', fetchMode: 'cors', cookie } as const
  t.equal(granted(t, ask(once, script))?.ticket, null, 'a cookie is no ticket')
  const again = granted(t, ask(once, { target, cookie }))
  for (const decision of [again?.ticket?.otherwise, again?.ticket?.unreachable]) {
    t.match(decision, { allow: true, authorization: null, setCookies: [], ticket: null }, 'F5')
    t.notMatch(decision?.allow ? decision.query : 'auth', /auth/, 'the token is not forwarded')
  }
  const renew = granted(
    t,
    ask(once, { cookie, target: linkOf('t', auth, '/.copilot-gateway/renew') }),
  )
  t.match(renew?.ticket?.otherwise, { reason: 'token-replayed' }, 'renew is no F5')
})

t.test('a ticket has one name, however its token is spelled', async (t) => {
  const gate = await createGateOf([{ oneTimeTokens: true }])
  const { userId, sessionId } = ids
  const auth = jwt({ userId, sessionId, exp })
  const idOf = (text: string): string | undefined =>
    granted(t, ask(gate, { target: linkOf('t', text) }))?.ticket?.id
  // 32 bytes in 43 characters: the last one has two bits to spare.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(auth.at(-1) ?? '')
  const spellings = [1, 2, 3].map((bits) => auth.slice(0, -1) + alphabet[last ^ bits])
  for (const text of spellings) t.equal(idOf(text), idOf(auth), 'another spelling')
  t.not(idOf(jwt({ userId, sessionId, exp: exp + 1 })), idOf(auth), 'another token')
  t.notMatch(auth, idOf(auth), 'which tells nothing of it')
})

t.test('the upstream gets a token of the gateway’s own where it is to', async (t) => {
  const upstreamSecret = Buffer.from('the secret that the upstream verifies with')
  const key = (text: string | Buffer) => createSecretKey(Buffer.from(text))
  const centers = [
    { ...north, secrets: [Buffer.from(secretOf('north')), Buffer.from(secret)] },
    open,
  ]
  const plain = await createGateOf(centers, { forwardAuth: 'resign' })
  const own = await createGateOf(centers, { forwardAuth: 'resign', upstreamSecret })
  const auth = jwt(
    { ...ids, userId: 7, URLToken: undefined, exp: exp + 9999, admin: true },
    { key: secret },
  )
  const named = (token: string) =>
    `/a?x=1&auth=${token}&userId=7&sessionId=${ids.sessionId}&URLToken=n1&y=%41`
  for (const [name, gate, verifier] of [
    ['by the newest secret', plain, key(secretOf('north'))],
    ['by the upstream’s', own, key(upstreamSecret)],
  ] as const) {
    const grant = granted(
      t,
      ask(gate, { target: named(auth), authorizations: [`Bearer ${auth}`] }),
      name,
    )
    const fresh = /auth=([^&]+)/.exec(grant?.query ?? '')?.[1] ?? ''
    t.equal(grant?.query, named(fresh).slice(3), `${name}: all else as it came`)
    t.equal(grant?.authorization, `Bearer ${fresh}`, `${name}: the header too`)
    const { payload } = await jwtVerify(fresh, verifier, { currentDate: new Date(now) })
    const iat = now / 1000
    t.strictSame(
      payload,
      { userId: '7', sessionId: ids.sessionId, URLToken: 'n1', iat, exp: iat + 60 },
      `${name}: what was checked, as text, for a minute`,
    )
    t.match(decodeProtectedHeader(fresh), { alg: 'HS256' })
    const bare = `userId=7&sessionId=${ids.sessionId}&URLToken=n1`
    const bearer = granted(
      t,
      ask(gate, { target: `/?${bare}`, authorizations: [`bearer ${auth}`] }),
    )
    t.equal(bearer?.query, bare, `${name}: no auth where there was none`)
    t.match(bearer?.authorization, /^Bearer ey/)
    t.notMatch(bearer?.authorization, auth)
    const cookie = cookieOf(granted(t, ask(gate, { target: named(auth) })))
    t.equal(granted(t, ask(gate, { target: '/', cookie, fetchSite: 'same-origin' }))?.query, '')
    const ended = jwt(
      { userId: 7, sessionId: ids.sessionId, exp: now / 1000 - 60 },
      { key: secret },
    )
    const f5 = granted(
      t,
      ask(gate, { target: named(ended), cookie, authorizations: [`Bearer ${ended}`] }),
    )
    t.notMatch(f5?.query, /auth/, `${name}: none for a token that did not count`)
    t.equal(f5?.authorization, null)
    const basic = granted(
      t,
      ask(gate, { target: '/', cookie, fetchSite: 'same-origin', authorizations: ['Basic YTpi'] }),
    )
    t.equal(basic?.authorization, 'Basic YTpi', 'another Authorization goes on')
  }
})
