import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import t from 'tap'
import { ids, inAnHour, jwt, startGateway, startUpstream } from '../stage.ts'
import {
  examined,
  found,
  host,
  linksTo,
  linkWith,
  makeCertificate,
  skipped,
  startFront,
  startWorkspace,
} from './clinic.ts'

const dir = t.testdir({})
setDefaultCACertificates([...getCACertificates(), makeCertificate(dir).ca])
const secure = {
  TLS_CERT_FILE: join(dir, 'server.pem'),
  TLS_KEY_FILE: join(dir, 'server-key.pem'),
}
const made = 'the link was made for this examination'
const noLink = 'needs a signed link: see --help'
/** What every test finds: 127.0.0.1 is no public address. */
const inside = { 'public-address': 'warn' } as const

const upstream = await startWorkspace(t)

t.test('this gateway passes every check', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { ...secure, RATE_LIMIT: '30/1m' })
  const base = `https://${host}:${gateway.port}`
  const denied = (): number => gateway.lines.filter(({ decision }) => decision === 'deny').length

  await t.test('with a link of its own', async (t) => {
    const results = await examined(base, linksTo(base, true))
    t.same(found(results), inside)
    t.same(skipped(results), { 'token-ends': made, 'token-binds-url-token': made })
    t.equal(results.get('http2')?.seen, '401 over HTTP/2')
    t.equal(denied(), 28, 'the address may be refused twice more in this minute')
    const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8')
    t.match(page, `**${denied()} of its requests are refused on purpose**`)
  })

  await t.test('and stops where the gateway has enough of it', async (t) => {
    const results = await examined(base, linksTo(base, true))
    t.same(found(results), inside, 'a 429 is no verdict')
    t.equal(results.get('http2')?.verdict, 'pass')
    t.equal(results.get('no-token')?.verdict, 'pass')
    for (const id of ['broken-token', 'link-opens', 'two-hosts', 'socket-of-a-foreign-page']) {
      t.match(results.get(id)?.seen, /^429: .* in a minute$/, id)
    }
    // A line is written when its answer is out, which past the rate is later.
    while (denied() < 28 + 3) await new Promise(setImmediate)
    t.equal(denied(), 28 + 3, 'nothing was asked after the 429')
  })
})

t.test('without a link, what needs none is looked at', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const results = await examined(gateway.origin, { link: null })
  t.same(found(results), {})
  const without = Object.entries(skipped(results)).filter(([, seen]) => seen === noLink)
  t.same(
    without.map(([id]) => id),
    [
      'link-opens',
      'token-ends',
      'token-binds-url-token',
      'tampered-token',
      'ended-token',
      'other-user',
      'other-session',
      'other-url-token',
      'cookie-attributes',
      'session-length',
      'tampered-cookie',
      'cookie-as-token',
      'cookie-of-another-session',
      'cross-site-cookie',
      'socket-of-the-own-page',
      'config-js',
    ],
  )
})

t.test('without a link, a look-alike that is not seen as one fails', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const base = await startFront(t, gateway.port, {
    ask: (asked) => ({ ...asked, target: asked.target.replace(/&userId\[\]=[^&]*/, '') }),
  })
  const results = await examined(base, { link: null })
  t.same(found(results), { 'bracketed-name': 'fail' })
  t.equal(results.get('bracketed-name')?.seen, '401; the gateway refuses this with 400')
})

t.test('what the settings get wrong', async (t) => {
  const rows: readonly (readonly [
    string,
    Readonly<Record<string, string>>,
    Readonly<Record<string, string>>,
  ])[] = [
    ['no page may frame it', { FRAME_ANCESTORS: "'none'" }, { 'frame-ancestors': 'warn' }],
    ['short sessions', { SESSION_MAX_AGE: '10m' }, { 'session-length': 'warn' }],
    ['anyone is a proxy', { TRUST_PROXY: '127.0.0.1' }, { 'forwarding-headers': 'warn' }],
    [
      'another origin',
      { PUBLIC_URL: 'http://elsewhere.example' },
      { 'socket-of-the-own-page': 'fail' },
    ],
    [
      'another secret',
      { JWT_SECRET: 'another-secret-that-signs-no-link-here' },
      { 'link-opens': 'fail' },
    ],
    [
      'no workspace',
      { COPILOT_URL: 'http://127.0.0.1:1' },
      { 'link-opens': 'fail', 'cookie-attributes': 'skipped' },
    ],
  ]
  for (const [name, env, finds] of rows) {
    const gateway = await startGateway(t, upstream.origin, env)
    const results = await examined(gateway.origin)
    const named = Object.keys(finds).map((id) => [id, results.get(id)?.verdict])
    t.same({ ...found(results), ...Object.fromEntries(named) }, finds, name)
  }
})

t.test('what a token leaves open', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const { userId, sessionId } = ids
  const rows: readonly (readonly [string, unknown, Readonly<Record<string, string>>])[] = [
    ['no end', ids, { 'token-ends': 'warn' }],
    ['no URLToken', { userId, sessionId, exp: inAnHour() }, { 'token-binds-url-token': 'warn' }],
    ['an end long ago', { ...ids, exp: 1 }, { 'link-opens': 'fail' }],
  ]
  for (const [name, claims, finds] of rows) {
    const results = await examined(gateway.origin, { link: linkWith(gateway.origin, jwt(claims)) })
    t.same(found(results), finds, name)
  }
  for (const auth of ['opaque', 'a.b.c', `a.${Buffer.from('1').toString('base64url')}.c`]) {
    const results = await examined(gateway.origin, { link: linkWith(gateway.origin, auth) })
    t.same(found(results), {
      'link-opens': 'fail',
      'token-ends': 'warn',
      'token-binds-url-token': 'warn',
    })
    t.equal(results.get('other-user')?.seen, 'the link was not let in')
  }
  const auth = jwt({ userId, sessionId, exp: inAnHour() })
  const results = await examined(gateway.origin, { link: linkWith(gateway.origin, auth) })
  t.equal(results.get('other-url-token')?.seen, 'the token does not bind URLToken')
})

t.test('what the workspace itself refuses is not the gateway’s doing', async (t) => {
  const refusing = await startUpstream(t, (_, response) => {
    response.statusCode = 404
    response.end('{"requestId":"x"}')
  })
  const gateway = await startGateway(t, refusing.origin)
  const results = await examined(gateway.origin)
  t.same(found(results), { 'link-opens': 'warn', 'socket-of-the-own-page': 'warn' })
  t.equal(results.get('link-opens')?.seen, 'the workspace itself answers 404')
  t.match(results.get('config-js')?.seen, /^404, without a server configuration/)
})

t.test('an encoded config.js is not taken for a clean one', async (t) => {
  const encoded = await startWorkspace(t, (_, response) => {
    response.setHeader('content-encoding', 'gzip')
    response.end('accessTokenSecret: "x"')
  })
  const gateway = await startGateway(t, encoded.origin)
  const results = await examined(gateway.origin)
  t.same(found(results), {})
  t.equal(results.get('config-js')?.verdict, 'skipped')
})

t.test('a refusal of an ended token that comes too late', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { CLOCK_TOLERANCE: '1d' })
  const results = await examined(gateway.origin, linksTo(gateway.origin, true))
  t.same(found(results), { 'ended-token': 'fail' })
})

t.test('a base path is kept', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const front = await startFront(t, gateway.port, {
    ask: (asked) => ({ ...asked, target: asked.target.replace(/^\/deep(?=\/)/, '') }),
    instead: ({ target }) =>
      target.startsWith('/elsewhere') ? { status: 500, headers: [], body: '' } : null,
  })
  const base = `${front}/deep`
  t.same(found(await examined(base, linksTo(base))), {})
})
