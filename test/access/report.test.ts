// Where a contact center only reports, what lacks proof passes and proves nothing; what harms others never does.
import t, { type Test } from 'tap'
import { type AccessRequest, claimedBy, decide, type Gate } from '../../src/access/access.ts'
import {
  type Decision,
  denials,
  type Grant,
  isReportable,
  type Reason,
} from '../../src/access/decision.ts'
import type { Session } from '../../src/access/session.ts'
import type { ContactCenter } from '../../src/settings/config.ts'
import { createRevocations, type Revoked } from '../../src/state/revocations.ts'
import { createGate, createGateOf, ids, jwt, secret } from '../stage.ts'

const now = Date.now()
const stranger = 'a secret that is nobody’s here'
const second = Math.floor(now / 1000)
const own = 'https://gateway.example'
const settings = { oneTimeTokens: true, urlTokens: [ids.URLToken] } as const
const policy = { requireExp: false, maxAge: 3_600_000, clockTolerance: 0 } as const
const report = await createGate([secret], { ...settings, tokens: policy, enforcement: 'report' })
const enforce = await createGate([secret], { ...settings, tokens: policy })

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
const socket = {
  upgrade: true,
  origin: own,
  fetchSite: 'same-origin',
  fetchMode: 'websocket',
} as const

function ask(changes: Partial<AccessRequest>, by: Gate): Decision {
  return decide({ ...bare, ...changes }, by, now)
}

function token(changes: object = {}, key = secret): string {
  const { userId, sessionId } = ids
  return jwt({ userId, sessionId, iat: second - 60, exp: second + 3600, ...changes }, { key })
}

function linkOf(auth: string | null, changes: Readonly<Record<string, string>> = {}): string {
  const named = { ...ids, ...changes }
  return `/?${new URLSearchParams({ ...named, ...(auth === null ? {} : { auth }) })}`
}

function granted(t: Test, decision: Decision | undefined, message: string): Grant | null {
  t.equal(decision?.allow ? 'allow' : decision?.reason, 'allow', message)
  return decision?.allow ? decision : null
}

const nobody = { contactCenter: 'default', userId: null, sessionId: null }
const known = { contactCenter: 'default', userId: ids.userId, sessionId: ids.sessionId }

type Row = readonly [changes: Partial<AccessRequest>, subject: object]

/** A session-mismatch, and what only the state can tell, come after the decision. */
const later = ['session-mismatch', 'token-replayed', 'state-unreachable'] as const
const missing: Readonly<Record<string, Row>> = {
  'token-missing': [{ target: linkOf(null) }, nobody],
  'token-invalid': [{ target: linkOf(token({}, stranger)) }, nobody],
  'token-expired': [{ target: linkOf(token({ exp: second - 60 })) }, known],
  'token-not-active': [{ target: linkOf(token({ nbf: second + 60 })) }, known],
  'token-too-old': [{ target: linkOf(token({ iat: second - 7200 })) }, known],
  'token-conflict': [
    { target: linkOf(token()), authorizations: [`Bearer ${token({ a: 1 })}`] },
    nobody,
  ],
  'claim-mismatch': [{ target: linkOf(token(), { userId: 'agent-8' }) }, known],
  'claim-missing': [{ target: linkOf(token({ userId: '' })) }, nobody],
  'url-token-unknown': [{ target: linkOf(token(), { URLToken: 'other' }) }, known],
}

t.test('what lacks proof passes, and proves nothing', (t) => {
  for (const [reason, [changes, subject]] of Object.entries(missing)) {
    for (const [how, extra] of Object.entries({
      navigation: {},
      socket,
      old: { fetchSite: undefined },
    })) {
      const name = `${reason}: ${how}`
      const request = { ...changes, ...extra }
      t.match(ask(request, enforce), { allow: false, reason }, `${name}: enforced`)
      const grant = granted(t, ask(request, report), name)
      t.match(
        grant,
        { reported: reason, subject, reports: true, isPublic: false, isNew: true },
        name,
      )
      t.strictSame(
        [grant?.sessions, grant?.session, grant?.opened, grant?.ticket, grant?.setCookies],
        [[], null, null, null, []],
        `${name}: no session`,
      )
      t.equal(grant?.query, changes.target?.slice(2), `${name}: the query as it came`)
    }
  }
  t.end()
})

t.test('what only the state can tell passes too', (t) => {
  const { ticket } = granted(t, ask({ target: linkOf(token()) }, report), 'a good link') ?? {}
  for (const [reason, decision] of [
    ['token-replayed', ticket?.otherwise],
    ['state-unreachable', ticket?.unreachable],
  ] as const) {
    const grant = granted(t, decision, reason)
    t.match(grant, { reported: reason, subject: known, ticket: null, opened: null })
    t.strictSame([grant?.sessions, grant?.setCookies], [[], []], `${reason}: no session`)
  }
  t.end()
})

t.test('a good link is let in as it ever was', (t) => {
  const grant = granted(t, ask({ target: linkOf(token()) }, report), 'a link')
  t.match(grant, { reported: null, claimed: [], reports: true, subject: known })
  t.equal(grant?.sessions.length, 1)
  t.equal(grant?.setCookies.length, 1)
  t.match(granted(t, ask({ target: linkOf(token()) }, enforce), 'elsewhere'), { reports: false })
  t.end()
})

t.test('what harms others is refused all the same', (t) => {
  const cookie = granted(t, ask({ target: linkOf(token()) }, report), 'a link')?.setCookies[0]
  const held = { cookie: cookie?.split(';')[0] ?? '' }
  const revoked = { ...report, isRevoked: () => true }
  const rows: readonly (readonly [Reason, Partial<AccessRequest>, Gate])[] = [
    ['target-invalid', { target: `/..${linkOf(token())}` }, report],
    ['target-invalid', { target: linkOf(token()), hosts: [] }, report],
    ['query-ambiguous', { target: `${linkOf(token())}&UserId=x` }, report],
    ['query-ambiguous', { target: `${linkOf(null)}&userId=x` }, report],
    [
      'origin-refused',
      { ...socket, target: linkOf(token()), origin: 'https://evil.example' },
      report,
    ],
    ['origin-refused', { ...socket, target: linkOf(null), origin: 'https://evil.example' }, report],
    ['origin-refused', { ...held, fetchMode: 'cors' }, report],
    ['origin-refused', { ...held, fetchMode: 'cors', target: linkOf(token({ exp: 1 })) }, report],
    ['session-revoked', { target: linkOf(token()) }, revoked],
    ['session-revoked', held, revoked],
  ]
  for (const [reason, changes, gate] of rows) t.match(ask(changes, gate), { allow: false, reason })
  t.end()
})

t.test('every reason is either one or the other', (t) => {
  const reported = [...Object.keys(missing), ...later].sort()
  const reasons = Object.entries(denials).map(([reason]) => reason)
  const isKnown = (text: string): text is Reason => Object.hasOwn(denials, text)
  t.same(reasons.filter((reason) => isKnown(reason) && isReportable(reason)).sort(), reported)
  t.end()
})

t.test('the token goes on only where tokens go on as they come', async (t) => {
  const bad = token({}, stranger)
  const request = { target: linkOf(bad), authorizations: [`Bearer ${bad}`] }
  const rows = [
    [true, linkOf(bad).slice(2), `Bearer ${bad}`],
    [false, linkOf(null).slice(2), null],
    ['resign', linkOf(null).slice(2), null],
  ] as const
  for (const [forwardAuth, query, authorization] of rows) {
    const gate = await createGate([secret], { enforcement: 'report', forwardAuth })
    t.match(ask(request, gate), { allow: true, reported: 'token-invalid', query, authorization })
  }
})

/** The sessions that were ended by an administrator. */
function revoking(gate: Gate, revoked: Partial<Revoked>): Gate {
  const revocations = createRevocations()
  const any: Revoked = { contactCenter: null, userId: null, sessionId: null }
  const before = Number.POSITIVE_INFINITY
  revocations.add({ ...any, ...revoked, before, until: now + 3_600_000 })
  return { ...gate, isRevoked: revocations.has }
}

t.test('who was shut out does not come back without proof', async (t) => {
  const { userId, sessionId } = ids
  const two = await createGateOf(
    [{ enforcement: 'report' }, { name: 'sales', enforcement: 'report' }],
    {
      enforcement: 'report',
    },
  )
  const shut: readonly Partial<Revoked>[] = [
    { sessionId },
    { userId },
    { userId, sessionId },
    { contactCenter: 'default', userId },
    { contactCenter: 'default', sessionId },
    { contactCenter: 'default' },
    {},
  ]
  const ended = { exp: second - 60 }
  const requests: Readonly<Record<string, Partial<AccessRequest>>> = {
    'without a token': { target: linkOf(null) },
    'with a token that is none': { target: linkOf(token({}, stranger)) },
    'with a token that has ended': { target: linkOf(token(ended)) },
    'a socket': { ...socket, target: linkOf(null) },
    'ids of the token alone': { target: `/?auth=${token(ended)}` },
    'a token of theirs for another’s query': {
      target: linkOf(token(), { userId: 'x', sessionId: 'y' }),
    },
  }
  for (const revoked of shut) {
    for (const [name, request] of Object.entries(requests)) {
      for (const gate of [report, two]) {
        const decision = ask(request, revoking(gate, revoked))
        t.match(
          decision,
          { allow: false, reason: 'session-revoked' },
          `${name}: ${JSON.stringify(revoked)}`,
        )
      }
    }
  }
  const others: readonly Partial<Revoked>[] = [
    { sessionId: 'another' },
    { userId: 'another' },
    { contactCenter: 'another', userId },
  ]
  for (const revoked of others) {
    const decision = ask({ target: linkOf(null) }, revoking(report, revoked))
    t.equal(decision.allow, true, `others go on: ${JSON.stringify(revoked)}`)
  }
})

t.test('nor by leaving away the id that was shut out', (t) => {
  const { userId, sessionId, URLToken } = ids
  const another = '&sessionId=session-2'
  const cookie = ['a', 'b']
    .map((id) => {
      const target = linkOf(token({ sessionId: id }), { sessionId: id })
      return granted(t, ask({ target }, report), 'a link')?.setCookies[0]?.split(';')[0]
    })
    .join('; ')
  const cookies = { cookie, fetchSite: 'same-origin', fetchMode: 'cors' }
  type Asked = readonly [allow: boolean, query: string, extra?: Partial<AccessRequest>]
  const rows: readonly (readonly [Partial<Revoked>, readonly Asked[]])[] = [
    [{ userId }, [[false, `sessionId=${sessionId}`]]],
    [{ sessionId }, [[false, `userId=${userId}`]]],
    [{ userId, sessionId: 'x' }, [[true, `sessionId=${sessionId}`]]],
    [{ sessionId: 'x' }, [[false, `auth=${token({ sessionId: undefined })}&userId=${userId}`]]],
    // What the proof leaves open, the query says.
    [{ sessionId: 'x' }, [[true, `userId=${userId}${another}`, cookies]]],
    [{ userId }, [[false, `userId=agent-8${another}`, cookies]]],
    [{ sessionId: 'x' }, [[false, 'userId=agent-8', cookies]]],
    [
      { userId },
      [
        [true, ''],
        [true, `userId=agent-8${another}`],
      ],
    ],
    [{}, [[false, '']]],
  ]
  for (const [revoked, requests] of rows) {
    for (const [allow, query, extra = {}] of requests) {
      const target = `/?URLToken=${URLToken}&${query}`
      const decision = ask({ target, ...extra }, revoking(report, revoked))
      const name = `${JSON.stringify(revoked)}: ${query.slice(0, 40)}`
      t.match(decision, allow ? { allow } : { allow, reason: 'session-revoked' }, name)
    }
  }
  t.end()
})

const reporting: Partial<ContactCenter> = {
  name: 'reporting',
  secrets: [Buffer.from('r'.repeat(32))],
  urlTokens: ['r'],
  enforcement: 'report',
}
const enforcing: Partial<ContactCenter> = {
  name: 'enforcing',
  secrets: [Buffer.from('e'.repeat(32))],
  urlTokens: ['e'],
}

t.test('who enforces is not reached through who reports', async (t) => {
  const gate = await createGateOf([reporting, enforcing])
  const [byR, byE] = ['r', 'e'].map((letter) => token({}, letter.repeat(32)))
  const kid = (letter: string, name: string) => {
    const { userId, sessionId } = ids
    return jwt(
      { userId, sessionId, exp: second + 3600 },
      { key: letter.repeat(32), header: { alg: 'HS256', kid: name } },
    )
  }
  const cookieOf = (URLToken: string, auth: string | undefined): string => {
    const decision = ask({ target: linkOf(auth ?? '', { URLToken }) }, gate)
    return decision.allow ? (decision.setCookies[0]?.split(';')[0] ?? '') : ''
  }
  const script = { fetchSite: 'same-origin', fetchMode: 'cors' } as const
  const rows: readonly (readonly [string, string, Partial<AccessRequest>])[] = [
    ['no token, of who reports', 'reported', { target: linkOf(null, { URLToken: 'r' }) }],
    ['no token, of who enforces', 'token-missing', { target: linkOf(null, { URLToken: 'e' }) }],
    ['no token, of neither', 'token-missing', { target: linkOf(null, { URLToken: 'x' }) }],
    ['nothing', 'token-missing', {}],
    [
      'a token of who reports, at the other',
      'token-invalid',
      { target: linkOf(byR ?? '', { URLToken: 'e' }) },
    ],
    [
      'the same by its kid',
      'url-token-unknown',
      { target: linkOf(kid('r', 'reporting'), { URLToken: 'e' }) },
    ],
    [
      'the same by its kid, at nobody',
      'reported',
      { target: linkOf(kid('r', 'reporting'), { URLToken: 'x' }) },
    ],
    [
      'a token of who enforces, by its kid',
      'url-token-unknown',
      { target: linkOf(kid('e', 'enforcing'), { URLToken: 'r' }) },
    ],
    // As without any token: what it says is not looked at, and nothing of it counts.
    ['a token of who enforces', 'reported', { target: linkOf(byE ?? '', { URLToken: 'r' }) }],
    [
      'a cookie of who enforces',
      'claim-mismatch',
      { ...script, target: linkOf(null, { URLToken: 'r' }), cookie: cookieOf('e', byE) },
    ],
    [
      'a cookie of who reports',
      'claim-mismatch',
      { ...script, target: linkOf(null, { URLToken: 'e' }), cookie: cookieOf('r', byR) },
    ],
    [
      'both cookies, and neither’s session',
      'claim-mismatch',
      {
        ...script,
        target: linkOf(null, { URLToken: 'e', userId: 'x' }),
        cookie: `${cookieOf('e', byE)}; ${cookieOf('r', byR)}`,
      },
    ],
  ]
  for (const [name, expected, request] of rows) {
    const decision = ask(request, gate)
    const said = decision.allow
      ? decision.reported === null
        ? 'allow'
        : 'reported'
      : decision.reason
    t.equal(said, expected, name)
    if (decision.allow)
      t.match(decision, { subject: { contactCenter: 'reporting' }, sessions: [] }, name)
  }
  const both = ask({ ...script, cookie: `${cookieOf('e', byE)}; ${cookieOf('r', byR)}` }, gate)
  t.match(both, { allow: true, reports: false }, 'with sessions of both, events are held to')
})

t.test(
  'what an event claims concerns its contact center, and whose URLToken it names',
  async (t) => {
    const gate = await createGateOf([reporting, enforcing])
    const lax = await createGateOf([reporting, enforcing], { enforcement: 'report' })
    const one = await createGateOf([{ enforcement: 'report' }])
    const named = (URLToken: string | null) => ({ userId: 'u', sessionId: 's', URLToken })
    const rows: readonly (readonly [
      string,
      Gate,
      string | null,
      string | null,
      readonly string[] | null,
    ])[] = [
      ['its own', gate, 'reporting', 'r', ['reporting']],
      ['none', gate, 'reporting', null, ['reporting']],
      ['nobody’s', gate, 'reporting', 'x', ['reporting']],
      ['the other’s', gate, 'reporting', 'e', null],
      ['of who enforces', gate, 'enforcing', 'r', null],
      ['of nobody known', gate, null, 'r', ['reporting']],
      ['of nobody known, the other’s', gate, null, 'e', null],
      ['of nobody at all', gate, null, null, null],
      ['of nobody at all, where that is reported', lax, null, null, ['']],
      ['of the only one', one, null, null, ['default']],
    ]
    for (const [name, by, contactCenter, URLToken, expected] of rows) {
      const claimed = claimedBy(by, contactCenter, named(URLToken), now)
      t.same(claimed?.map((session: Session) => session.contactCenter) ?? null, expected, name)
      for (const session of claimed ?? [])
        t.match(session, { userId: 'u', sessionId: 's', keyId: '' })
    }
    const three = await createGateOf([
      reporting,
      { ...reporting, name: 'second', urlTokens: ['t'] },
    ])
    const two = claimedBy(three, 'reporting', named('t'), now)?.map((one) => one.contactCenter)
    t.same(two, ['reporting', 'second'], 'of both where both report')
  },
)
