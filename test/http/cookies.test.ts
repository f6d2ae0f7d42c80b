import { createHmac } from 'node:crypto'
import t from 'tap'
import {
  ask,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  ownCookies,
  secret,
  startGateway,
  startUpstream,
  valuesOf,
} from '../stage.ts'

let sets: string | readonly string[] = []
const upstream = await startUpstream(t, (_, response) => {
  response.setHeader('Set-Cookie', sets)
  response.end()
})
const gateway = await startGateway(t, upstream.origin)
const claims = { userId: ids.userId, sessionId: ids.sessionId }
const now = (): number => Math.floor(Date.now() / 1000)

t.test('a navigation that a token lets in gets a session cookie', async (t) => {
  const { headers } = await ask(gateway.origin, link())
  const [cookie, ...more] = ownCookies(headers['set-cookie'])
  t.strictSame(more, [])
  if (cookie === undefined) throw new Error('no cookie')
  t.match(cookie.name, /^__Host-copilot-[\w-]{16}$/)
  const { 'Max-Age': maxAge, ...attributes } = cookie.attributes
  t.strictSame(attributes, {
    Path: '/',
    Secure: true,
    HttpOnly: true,
    SameSite: 'None',
    Partitioned: true,
  })
  t.ok(Number(maxAge) > 3500 && Number(maxAge) <= 3605, `the token's hour, not ${maxAge}`)
  t.equal(headers['cache-control'], 'no-store')
  t.notMatch(cookie.value, /agent-7|session-1|f38791ae/)

  const [head = '', body = '', signature = ''] = cookie.value.split('.')
  const text = Buffer.from(body, 'base64url').toString()
  t.notMatch(text, ids.URLToken, 'the URLToken is a hash')
  t.match(JSON.parse(Buffer.from(head, 'base64url').toString()), { alg: 'HS256' })
  for (const key of [secret, '']) {
    const wrong = createHmac('sha256', key).update(`${head}.${body}`).digest('base64url')
    t.not(signature, wrong, 'signed with a key of its own')
  }
})

t.test('one cookie per session, the same each time', async (t) => {
  const idOf = async (changes: Record<string, string | null>): Promise<string | undefined> => {
    const { headers } = await ask(gateway.origin, link(changes))
    return ownCookies(headers['set-cookie'])[0]?.name
  }
  const other = (changes: Record<string, string>): Record<string, string> => ({
    ...changes,
    auth: jwt({ ...claims, ...changes, exp: inAnHour() }),
  })
  const names = [
    await idOf({}),
    await idOf(other({ userId: 'agent-8' })),
    await idOf(other({ sessionId: 'session-2' })),
    await idOf({ URLToken: '0a7e91c4b2' }),
    await idOf(other({ userId: 'agent-7session', sessionId: '-1' })),
    await idOf(other({ userId: 'agent-', sessionId: '7session-1' })),
  ]
  t.equal(new Set(names).size, names.length, 'a name for each')
  t.equal(await idOf({}), names[0], 'and again')
  t.equal(await idOf({ auth: jwt({ ...claims, exp: inAnHour() + 9 }) }), names[0], 'a new token')
})

t.test('only navigations get one', async (t) => {
  const bearer = { Authorization: `Bearer ${jwt()}` }
  const navigation = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' }
  type Row = readonly [string, boolean, string, Record<string, string>, string?]
  const rows: readonly Row[] = [
    ['no Fetch Metadata', true, link(), {}],
    ['a frame in another site', true, link(), { ...navigation, 'Sec-Fetch-Dest': 'iframe' }],
    ['a tab', true, link(), { ...navigation, 'Sec-Fetch-Dest': 'document' }],
    ['typed', true, link(), { ...navigation, 'Sec-Fetch-Site': 'none' }],
    ['another path', true, link({}, '/desk'), navigation],
    ['a script', false, link(), { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'no-cors' }],
    ['fetch()', false, link(), { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'cors' }],
    [
      'fetch() of another site',
      false,
      link(),
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors' },
    ],
    ['an image', false, link(), { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' }],
    ['POST', false, link(), {}, 'POST'],
    ['a form', false, link(), navigation, 'POST'],
    ['HEAD', false, link(), {}, 'HEAD'],
    ['PUT', false, link(), {}, 'PUT'],
    ['an API call with Bearer', false, link({ auth: null }), bearer],
    ['refused', false, link({ userId: 'x' }), navigation],
    ['no token', false, '/', navigation],
  ]
  for (const [name, expected, target, headers, method = 'GET'] of rows) {
    const answer = await ask(gateway.origin, target, { headers, method })
    t.equal(ownCookies(answer.headers['set-cookie']).length, expected ? 1 : 0, name)
  }
})

t.test('a session lasts as long as its token, and never longer than is allowed', async (t) => {
  const open = await startGateway(t, upstream.origin, { SESSION_MAX_AGE: '30m' })
  const ticket = await startGateway(t, upstream.origin, {
    SESSION_MAX_AGE: '2h',
    SESSION_OUTLIVES_TOKEN: 'true',
  })
  const strict = await startGateway(t, upstream.origin, { CLOCK_TOLERANCE: '0s' })
  const rows: readonly (readonly [string, typeof gateway, object, number])[] = [
    ['a token of an hour', gateway, { exp: now() + 3600 }, 3605],
    ['a token of a day', gateway, { exp: now() + 86_400 }, 43_200],
    ['a token of a minute', gateway, { exp: now() + 60 }, 65],
    ['a token that is over but for the tolerance', gateway, { exp: now() }, 5],
    ['a token without end', gateway, {}, 43_200],
    ['no tolerance', strict, { exp: now() + 60 }, 60],
    ['a short shift', open, { exp: now() + 3600 }, 1800],
    ['a short shift, no end', open, {}, 1800],
    ['a token shorter than the shift', open, { exp: now() + 60 }, 65],
    ['a ticket', ticket, { exp: now() + 60 }, 7200],
    ['a ticket longer than its session', ticket, { exp: now() + 86_400 }, 7200],
  ]
  for (const [name, gateway, times, most] of rows) {
    const asked = now()
    const auth = jwt({ ...claims, ...times })
    const { headers } = await ask(gateway.origin, link({ auth }))
    const cookie = ownCookies(headers['set-cookie'])[0]
    const maxAge = Number(cookie?.attributes['Max-Age'])
    // The clock goes on between these lines.
    const slack = 2 + now() - asked
    t.ok(maxAge <= most && maxAge >= most - slack - 1, `${name}: ${maxAge} of ${most}`)
  }
})

t.test('a session opens what its document needs, and nothing of another', async (t) => {
  const cookie = await openSession(gateway)
  const second = await openSession(gateway, {
    sessionId: 'session-2',
    auth: jwt({ ...claims, sessionId: 'session-2', exp: inAnHour() }),
  })
  const another = await openSession(gateway, {
    userId: 'agent-8',
    auth: jwt({ ...claims, userId: 'agent-8', exp: inAnHour() }),
  })
  const [name = '', value = ''] = cookie.split(/=(.*)/)
  const rows: readonly (readonly [string, number, string, string | string[]])[] = [
    ['a script', 200, '/assets/index.js', cookie],
    ['config.js', 200, '/config.js', cookie],
    ['polling', 200, '/socket.io/?EIO=4&transport=polling', cookie],
    ['the document', 200, link({ auth: null }), cookie],
    ['the ids in part', 200, '/?sessionId=session-1', cookie],
    ['the URLToken alone', 200, '/?URLToken=f38791ae', cookie],
    ['parameters of others', 200, '/x?a=b&user=VICTIM', cookie],
    ['beside other cookies', 200, '/x', `a=b; ${cookie}; c=d`],
    ['in a line of its own', 200, '/x', ['a=b', cookie]],
    ['of two sessions', 200, '/x', `${cookie}; ${second}`],
    ['of two sessions, the first', 200, '/?sessionId=session-1', `${cookie}; ${second}`],
    ['of two sessions, the second', 200, '/?sessionId=session-2', `${cookie}; ${second}`],
    ['of two agents, one', 200, '/?userId=agent-8', `${cookie}; ${another}`],
    ['beside one that is worth nothing', 200, '/x', `${name}2=garbage; ${cookie}`],
    ['under another name of ours', 200, '/x', `__Host-copilot-0123456789abcdef=${value}`],
    ['parts of two sessions', 403, '/?userId=agent-8&sessionId=session-2', `${second}; ${another}`],
    ['a third session', 403, '/?sessionId=session-3', `${cookie}; ${second}`],
    ['the other agent', 403, '/?userId=agent-8', cookie],
    ['an empty id', 403, '/?sessionId=', cookie],
    ['none', 401, '/x', ''],
    ['no value', 401, '/x', `${name}=`],
    ['no equals sign', 401, '/x', name],
    ['a token for a value', 401, '/x', `${name}=${jwt()}`],
    ['cut short', 401, '/x', cookie.slice(0, -1)],
    ['one bit wrong', 401, '/x', `${cookie.slice(0, -4)}AAAA`],
    ['under no name of ours', 401, '/x', `__Host-other=${value}`],
    ['quoted', 401, '/x', `${name}="${value}"`],
  ]
  for (const [what, status, target, sent] of rows) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, target, { headers: { Cookie: sent } })
    t.equal(answer.status, status, what)
    t.equal(upstream.seen.length, status === 200 ? 1 : 0, what)
    t.notMatch(JSON.stringify(upstream.seen), /__Host-copilot/, what)
    t.strictSame(ownCookies(answer.headers['set-cookie']), [], `${what}: a session makes no other`)
  }
})

t.test('retiring a secret ends its sessions, a newer one beside it does not', async (t) => {
  const newer = 'another-secret-of-256-bits-as-text'
  const both = await startGateway(t, upstream.origin, { JWT_SECRET: `${newer} ${secret}` })
  const retired = await startGateway(t, upstream.origin, { JWT_SECRET: newer })
  const headers = { Cookie: await openSession(gateway) }
  t.equal((await ask(both.origin, '/x', { headers })).status, 200, 'any replica takes it')
  t.equal((await ask(retired.origin, '/x', { headers })).status, 401)
  const made = { Cookie: await openSession(both) }
  t.equal((await ask(gateway.origin, '/x', { headers: made })).status, 200, 'by the same secret')
})

t.test('F5: a token that is over counts as absent beside its very own session', async (t) => {
  const strict = await startGateway(t, upstream.origin, {
    CLOCK_TOLERANCE: '0s',
    TOKEN_MAX_AGE: '1h',
    SESSION_OUTLIVES_TOKEN: 'true',
  })
  const fresh = { ...claims, iat: now(), exp: inAnHour() }
  const cookie = await openSession(strict, { auth: jwt(fresh) })
  const second = await openSession(strict, {
    sessionId: 'session-2',
    auth: jwt({ ...fresh, sessionId: 'session-2' }),
  })
  const expired = jwt({ ...fresh, exp: now() - 60 })
  const tooOld = jwt({ ...fresh, iat: now() - 7200 })
  const ageless = jwt({ ...claims, exp: inAnHour() })
  const bad = jwt({ ...fresh, exp: now() - 60 }, { key: 'x' })
  const navigate = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' }
  type Row = readonly [string, number, Record<string, string>, Record<string, string>]
  const rows: readonly Row[] = [
    ['expired', 200, { auth: expired }, { Cookie: cookie }],
    ['expired, a browser', 200, { auth: expired }, { Cookie: cookie, ...navigate }],
    ['too old', 200, { auth: tooOld }, { Cookie: cookie }],
    ['without iat', 200, { auth: ageless }, { Cookie: cookie }],
    ['beside a second session', 200, { auth: expired }, { Cookie: `${second}; ${cookie}` }],
    ['no cookie', 401, { auth: expired }, {}],
    ['the cookie of another session', 401, { auth: expired }, { Cookie: second }],
    ['a cookie that is none', 401, { auth: expired }, { Cookie: `${cookie}x` }],
    ['a token that was never good', 401, { auth: bad }, { Cookie: cookie }],
    ['garbage for a token', 401, { auth: 'x' }, { Cookie: cookie }],
    ['not active yet', 401, { auth: jwt({ ...fresh, nbf: now() + 99 }) }, { Cookie: cookie }],
    [
      'claims of another',
      401,
      { auth: jwt({ ...fresh, userId: 'x', exp: 1 }) },
      { Cookie: cookie },
    ],
    ['no claims', 401, { auth: jwt({ exp: 1 }) }, { Cookie: cookie }],
    [
      'a URLToken of another session',
      401,
      { auth: jwt({ ...fresh, exp: 1, URLToken: 'other' }) },
      { Cookie: cookie },
    ],
    [
      'the query of another session',
      403,
      { auth: expired, sessionId: 'session-2' },
      { Cookie: `${cookie}; ${second}` },
    ],
    [
      'from another site, no navigation',
      403,
      { auth: expired },
      { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'cors' },
    ],
  ]
  for (const [name, status, changes, headers] of rows) {
    upstream.seen.length = 0
    const answer = await ask(strict.origin, link(changes), { headers })
    t.equal(answer.status, status, name)
    t.equal(upstream.seen.length, status === 200 ? 1 : 0, name)
    t.notMatch(JSON.stringify(upstream.seen), /auth=|eyJ/, `${name}: is not forwarded`)
    t.strictSame(ownCookies(answer.headers['set-cookie']), [], `${name}: mints no session`)
  }

  upstream.seen.length = 0
  const headers = { Cookie: cookie, Authorization: `Bearer ${expired}` }
  t.equal((await ask(strict.origin, '/x', { headers })).status, 200, 'as a header')
  t.notMatch(JSON.stringify(upstream.seen), /eyJ/, 'as a header: is not forwarded')
})

t.test("the workspace's cookies live in a frame of another site", async (t) => {
  const frame = 'Secure; SameSite=None; Partitioned'
  const rows: readonly (readonly [string, string | readonly string[], readonly string[]])[] = [
    ['a plain one', 'a=b', [`a=b; ${frame}`]],
    ['two', ['a=b', 'c=d'], [`a=b; ${frame}`, `c=d; ${frame}`]],
    [
      'attributes stay',
      'a=b; Path=/x; HttpOnly; Max-Age=5',
      [`a=b; Path=/x; HttpOnly; Max-Age=5; ${frame}`],
    ],
    [
      'a date with its comma',
      'a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT',
      [`a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; ${frame}`],
    ],
    ['no Domain', 'a=b; Domain=copilot.example; Path=/', [`a=b; Path=/; ${frame}`]],
    ['no domain in any case', 'a=b; dOMAIN = .copilot.example', [`a=b; ${frame}`]],
    ['a bare Domain', 'a=b; Domain', [`a=b; ${frame}`]],
    ['SameSite is replaced', 'a=b; SameSite=Strict', [`a=b; ${frame}`]],
    ['in any case', 'a=b; samesite = lax; secure; PARTITIONED', [`a=b; ${frame}`]],
    ['all that is there already', `a=b; ${frame}`, [`a=b; ${frame}`]],
    ['twice', 'a=b; SameSite=Lax; SameSite=Strict; Secure; Secure', [`a=b; ${frame}`]],
    ['no space', 'a=b;Path=/;Domain=x;HttpOnly', [`a=b; Path=/; HttpOnly; ${frame}`]],
    ['an empty value', 'a=; Max-Age=0', [`a=; Max-Age=0; ${frame}`]],
    ['an equals sign in the value', 'a=b=c==', [`a=b=c==; ${frame}`]],
    ['quotes', 'a="b c"', [`a="b c"; ${frame}`]],
    ['Latin-1', 'a=\u00e9\u00ff', [`a=\u00e9\u00ff; ${frame}`]],
    ['an unknown attribute', 'a=b; Priority=High', [`a=b; Priority=High; ${frame}`]],
    ['words of ours in the value', 'domain=secure', [`domain=secure; ${frame}`]],
    ['another prefix', '__Host-other=1; Path=/; Secure', [`__Host-other=1; Path=/; ${frame}`]],
    ['named like ours', '__Host-copilot-0123456789abcdef=x; Path=/; Secure', []],
    ['named like ours, in any case', '__HOST-Copilot-x=x', []],
    ['named like ours, with space', '  __Host-copilot-x  =x', []],
    ['named like ours beside another', ['__Host-copilot-x=x', 'a=b'], [`a=b; ${frame}`]],
    ['named like ours, to end it', '__Host-copilot-0123456789abcdef=; Max-Age=0', []],
    // Browsers send `=name=value` back as `name=value`.
    ['named like ours behind an empty name', '=__Host-copilot-x=x', []],
  ]
  for (const [name, lines, expected] of rows) {
    sets = lines
    for (const target of ['/x', link()]) {
      const asked = target === '/x' ? { Cookie: await openSession(gateway) } : {}
      const { rawHeaders } = await ask(gateway.origin, target, { headers: asked })
      const others = valuesOf(rawHeaders, 'set-cookie').filter(
        (line) => !/^__Host-copilot-[\w-]{16}=eyJ/.test(line),
      )
      t.strictSame(others.map(sorted), expected.map(sorted), `${name} ${target.slice(0, 2)}`)
      t.equal(others[0]?.split(';')[0], expected[0]?.split(';')[0], `${name}: name and value first`)
    }
  }
  sets = []
})

/** Attributes are a set. */
function sorted(line: string): string[] {
  return line.split(/; */).sort()
}
