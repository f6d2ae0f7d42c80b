// Whatever a contact center names a link by, the gateway lets in what the links API makes of it.
import t from 'tap'
import { formatUui } from '../../packages/copilot-link/src/uui.ts'
import { ask, contactCenters, ids, startGateway, startUpstream } from '../stage.ts'
import { basic, byIds, call, client, led, otherSecret, plainLink, startLinks } from './stage.ts'

const inCenters = contactCenters(
  { name: 'Hamburg', urlTokens: [ids.URLToken], linksClients: [] },
  {
    name: 'Köln',
    secrets: [
      Buffer.from('the-newest-secret-of-köln-is-here'),
      Buffer.from('an-older-one-of-köln-is-there-too'),
    ],
  },
)
const path = '/links/by-conversation/5f0c-77'

t.test('by ids, by a plain link, by a User-to-User value', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const { origin } = await startLinks(t, gateway.origin)
  const siprec = `X-User-ID: ${ids.userId}\r\nX-Session-ID: ${ids.sessionId}`
  for (const [name, body] of Object.entries({
    ids: byIds,
    'a plain link': { url: plainLink },
    'a plain link with more in it': { url: `${plainLink}&lang=de` },
    'a value in hex': { uui: formatUui(plainLink) },
    'a value in hex, with pd': { uui: formatUui(plainLink, 'hex-pd') },
    'a quoted value': { uui: formatUui(plainLink, 'quoted') },
    'a header': { uui: `User-to-User: ${formatUui(plainLink, 'percent')}` },
    'a value that says the same': { uui: formatUui(plainLink), urlToken: ids.URLToken },
    SIPREC: { uui: siprec, urlToken: ids.URLToken },
    'a short time': { ...byIds, expiresIn: '1s' },
  })) {
    const { status, headers, body: text } = await call(origin, '/links', body)
    t.equal(status, 200, `${name}: ${text}`)
    t.equal(headers['content-type'], 'application/json; charset=utf-8')
    t.equal(headers['cache-control'], 'no-store')
    const { url, warnings, ...more } = JSON.parse(text)
    t.same(warnings, [], name)
    t.same(Object.keys(more), ['expiresAt'], name)
    const seen = upstream.seen.length
    t.equal(led(url).origin, gateway.origin, name)
    t.equal((await ask(gateway.origin, led(url).target)).status, 200, name)
    t.match(upstream.seen[seen]?.url, `userId=${ids.userId}&sessionId=${ids.sessionId}`)
  }
})

t.test('what is odd about a User-to-User value is said', async (t) => {
  const { origin } = await startLinks(t, 'https://gateway.example')
  for (const [target, body] of [
    ['/links', { uui: plainLink }],
    ['/links', { uui: plainLink, short: true }],
    [path, { uui: plainLink }],
  ] as const) {
    const method = target === path ? 'PUT' : 'POST'
    const { body: text } = await call(origin, target, body, { method })
    t.match(JSON.parse(text).warnings, [/^A link without quotes ends at a comma/])
    t.notMatch(text, 'until it is signed')
  }
})

t.test('what is odd about a link or an id is said, and it is signed all the same', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const { origin } = await startLinks(t, gateway.origin)
  const escaped = plainLink.replaceAll('&', '&amp;')
  for (const [body, ...said] of [
    [{ url: escaped }, /^The link was HTML-escaped: .*&amp;/],
    [{ uui: formatUui(escaped) }, /^The link was HTML-escaped/],
    [{ url: `${plainLink}#top` }, /^What stands behind the # .* left out/],
    [{ url: `${escaped}#top` }, /HTML-escaped/, /behind the #/],
    [{ ...byIds, userId: 'a\u0000b' }, /^userId has a control character/],
    [{ ...byIds, sessionId: ' s\u0007' }, /^sessionId has a control character, or .* its ends/],
    [{ url: `${plainLink.replace('userId=', 'userId=%20')}` }, /^userId has/],
    [{ uui: 'X-User-ID: 7\r\nX-Session-ID: 8', urlToken: 't\u00a0' }, /^urlToken has/],
    [byIds],
  ] as const) {
    const { status, body: text } = await call(origin, '/links', body)
    t.equal(status, 200, text)
    const { url, warnings } = JSON.parse(text)
    t.match(warnings, said, JSON.stringify(body))
    t.equal(warnings.length, said.length)
    t.equal((await ask(gateway.origin, led(url).target)).status, 200)
  }
})

t.test('ids of any text, as they are', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const { origin } = await startLinks(t, gateway.origin)
  for (const text of ['a b+c', 'ä&ö=ü#?', '"\\', '日本', '😀', 'x%41', 'n'.repeat(512)]) {
    const { body } = await call(origin, '/links', { ...byIds, userId: text, sessionId: text })
    const { target } = led(JSON.parse(body).url)
    t.equal((await ask(gateway.origin, target)).status, 200, text)
    const query = new URL(target, gateway.origin).searchParams
    t.same([query.get('userId'), query.get('sessionId')], [text, text])
  }
})

t.test('of several contact centers each signs by its own newest secret', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, {}, { configure: inCenters })
  const links = await startLinks(t, gateway.origin, {}, (config) => {
    const [of] = config.contactCenters
    const centers = inCenters(config).contactCenters
    return {
      ...config,
      contactCenters: centers.map((one) => {
        const id = one.name === 'Köln' ? 'pbx' : 'crm'
        return { ...one, linksClients: (of?.linksClients ?? []).filter((own) => own.id === id) }
      }),
    }
  })
  links.reload({ LINKS_CLIENTS: `${client()} ${client('pbx', otherSecret)}` })
  for (const [name, headers, body, contactCenter] of [
    ['of its URLToken', basic(), byIds, 'Hamburg'],
    ['without a list', basic('pbx', otherSecret), { ...byIds, urlToken: '9c2b17aa' }, 'Köln'],
  ] as const) {
    const answer = await call(links.origin, '/links', body, { headers })
    t.equal(answer.status, 200, `${name}: ${answer.body}`)
    const { status } = await ask(gateway.origin, led(JSON.parse(answer.body).url).target)
    t.equal(status, 200, name)
    t.match((await gateway.audited(1)).at(-1), { contactCenter }, name)
  }
})

t.test(
  'how long a link opens the workspace is what was asked, and no longer than it may',
  async (t) => {
    const { origin, reload } = await startLinks(t, 'https://gateway.example')
    for (const [asked, maxAge, lasts] of [
      [undefined, '', 8 * 3600],
      ['90s', '', 90],
      ['1.5h', '', 5400],
      ['7d', '', 7 * 86_400],
      ['8h', '15m', 900],
      ['1m', '15m', 60],
    ] as const) {
      reload({ TOKEN_MAX_AGE: maxAge })
      const before = Math.floor(Date.now() / 1000)
      const { body } = await call(origin, '/links', { ...byIds, expiresIn: asked })
      const after = Math.floor(Date.now() / 1000)
      const { url, expiresAt } = JSON.parse(body)
      const [, claims = ''] = new URL(url).searchParams.get('auth')?.split('.') ?? []
      const { iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString())
      t.ok(iat >= before && iat <= after, 'signed now')
      t.equal(exp - iat, lasts, `${asked}, ${maxAge}`)
      t.equal(expiresAt, new Date(exp * 1000).toISOString())
    }
  },
)

t.test('links lead to PUBLIC_URL', async (t) => {
  const { origin, reload } = await startLinks(t, 'http://127.0.0.1:1')
  const leads = async (): Promise<string> =>
    led(JSON.parse((await call(origin, '/links', byIds)).body).url).origin
  t.equal(await leads(), 'http://127.0.0.1:1', 'or to the listener')
  reload({ PUBLIC_URL: 'https://gateway.example https://other.example' })
  t.equal(await leads(), 'https://gateway.example', 'the first, after a reload too')
})

t.test('a conversation’s link is found by the contact center’s own id', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin)
  const { origin, reload } = await startLinks(t, gateway.origin)
  const look = () => call(origin, path, undefined)
  t.equal((await look()).status, 404, 'none is there')
  const before = Date.now()
  const kept = await call(origin, path, { url: plainLink, expiresIn: '1h' }, { method: 'PUT' })
  t.equal(kept.status, 200, kept.body)
  const { expiresAt } = JSON.parse(kept.body)
  t.ok(Date.parse(expiresAt) - before >= 12 * 3_600_000)
  for (let i = 0; i < 3; i += 1) {
    const { status, body } = await look()
    t.equal(status, 200, 'as often as it is asked')
    t.equal((await ask(gateway.origin, led(JSON.parse(body).url).target)).status, 200)
  }
  await call(origin, path, { ...byIds, userId: 'agent-8', keepFor: '2m' }, { method: 'PUT' })
  t.match((await look()).body, 'userId=agent-8', 'what was said last')
  reload()
  t.match((await look()).body, 'userId=agent-8', 'after a reload too')
  reload({
    JWT_SECRET: 'a-newer-shared-secret-of-256-bits-as-text a-shared-secret-of-256-bits-as-text',
  })
  t.match((await look()).body, 'userId=agent-8', 'and beside a newer secret')
  reload({ JWT_SECRET: 'a-newer-shared-secret-of-256-bits-as-text' })
  t.equal((await look()).status, 404, 'until its secret is retired')

  const [older, newer] = [
    'a-shared-secret-of-256-bits-as-text',
    'a-newer-shared-secret-of-256-bits-as-text',
  ]
  const both = `${newer} ${older}`
  for (const [userId, secrets, others] of [
    ['agent-1', older, [both]],
    ['agent-2', both, [older, newer]],
    ['agent-3', older, [both]],
  ] as const) {
    reload({ JWT_SECRET: secrets })
    await call(origin, path, { ...byIds, userId }, { method: 'PUT' })
    for (const other of [secrets, ...others]) {
      reload({ JWT_SECRET: other })
      t.match((await look()).body, `userId=${userId}`, 'what was said last, by whatever secret')
    }
  }
  reload()

  for (const id of ['a/b', 'ä ö', '%', '..', 'x'.repeat(256), '日'.repeat(256)]) {
    const target = `/links/by-conversation/${encodeURIComponent(id)}`
    const put = await call(origin, target, byIds, { method: 'PUT' })
    t.equal(put.status, 200, `${id}: ${put.body}`)
    t.equal((await call(origin, target, undefined)).status, 200, id)
  }
})
