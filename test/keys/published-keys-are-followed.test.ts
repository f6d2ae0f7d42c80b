// What a contact center publishes is known before it is needed, and as long as its issuer is away.
import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import t, { type Test } from 'tap'
import type { ContactCenter } from '../../src/settings/config.ts'
import {
  type Answer,
  ask,
  auditOf,
  contactCenters,
  link,
  type Stage,
  startGateway,
  startUpstream,
} from '../stage.ts'
import { accepting, bodyOf, dial, handshake, headOf, inWords } from '../websocket/peer.ts'
import { createSigner, publish, type Signer, startIssuer } from './issuer.ts'

/** For issuers that are asked again and again. */
const often = { least: 20, unsaid: 20, retry: 10, cooldown: 20 }
/** For issuers that are asked when there is need. */
const once = { cooldown: 0 }
const sessionSecrets = [randomBytes(32)]

const centers =
  (...changes: readonly Partial<ContactCenter>[]): ReturnType<typeof contactCenters> =>
  (config) => ({
    ...contactCenters(...changes.map((one) => ({ secrets: [], ...one })))(config),
    sessionSecrets,
  })

const late: (() => void)[] = []
const upstream = await startUpstream(
  t,
  ({ url }, response) => {
    if (!url?.startsWith('/late')) {
      response.end('ok')
      return
    }
    const path = url.split('?')[0]
    late.push(() => {
      const stream = { 'Content-Type': 'text/event-stream' }
      if (path === '/late') response.end('at last')
      else response.writeHead(200, stream).write('data: 0\n\n')
    })
  },
  (request, socket) => {
    const accept = (): unknown => socket.write(accepting(request))
    if (request.url?.startsWith('/late')) late.push(accept)
    else accept()
  },
)

interface Options {
  readonly times?: Readonly<Record<string, number>>
}

function start(
  t: Test,
  changes: readonly Partial<ContactCenter>[],
  { times = often }: Options = {},
): Promise<Stage> {
  return startGateway(
    t,
    upstream.origin,
    {},
    {
      configure: centers(...changes),
      keySetTimes: times,
    },
  )
}

async function visit(gateway: Stage, signer: Signer, urlToken?: string): Promise<Answer> {
  const changes = urlToken === undefined ? {} : { URLToken: urlToken }
  return ask(gateway.origin, link({ auth: await signer.token(), ...changes }))
}

/** Asks until the answer is this one: a key set is on its way. */
async function until(status: number, visits: () => Promise<Answer>): Promise<Answer> {
  for (let left = 2000; ; left -= 1) {
    const answer = await visits()
    if (answer.status === status || left === 0) return answer
  }
}

const jwksLines = ({ lines }: Stage) => lines.filter(({ event }) => event === 'jwks')

async function jwksOf(gateway: Stage, name = 'default') {
  const { facts } = await gateway.report(false)
  return facts.contactCenters.find((one) => one.name === name)?.jwks
}

t.test('keys are fetched ahead, once an address', async (t) => {
  const signers = [
    await createSigner('rs', 'RS256'),
    await createSigner('ps', 'PS256'),
    await createSigner('es', 'ES256'),
    await createSigner('ed', 'EdDSA'),
    await createSigner(null, 'ES256'),
  ]
  const issuer = await startIssuer(t, publish(signers))
  const gateway = await start(
    t,
    [
      { name: 'north', jwksUrl: issuer.url, urlTokens: ['n1', 'n2'] },
      { name: 'south', jwksUrl: issuer.url, urlTokens: ['s1'] },
    ],
    { times: once },
  )
  t.same(issuer.asked, ['/jwks'])
  for (const signer of signers) {
    for (const [urlToken, contactCenter] of [
      ['n2', 'north'],
      ['s1', 'south'],
    ] as const) {
      const { status, headers } = await visit(gateway, signer, urlToken)
      t.equal(status, 200, `${signer.kid} of ${contactCenter}`)
      const line = await auditOf(gateway, headers['x-request-id'])
      t.match(line, { decision: 'allow', contactCenter })
    }
  }
  t.equal(issuer.asked.length, 1, 'and never while somebody waits')
  t.same(
    jwksLines(gateway).map(({ contactCenter, state, keys, leftOut }) => [
      contactCenter,
      state,
      keys,
      leftOut,
    ]),
    [
      ['north', 'up', 5, 0],
      ['south', 'up', 5, 0],
    ],
  )
  t.match(await jwksOf(gateway, 'south'), { up: true, lastSuccess: Number })
  const { facts } = await gateway.report(false)
  t.same(
    facts.contactCenters[0]?.keys.map(({ label, kind }) => `${kind} ${label}`),
    ['rs', 'ps', 'es', 'ed', 'north'].map((kid) => `public key ${kid}`),
  )
  t.notMatch(JSON.stringify(gateway.lines), issuer.url.port, 'no line holds the address')
})

t.test('a key comes and goes with its key set', async (t) => {
  const [first, second] = [await createSigner('1'), await createSigner('2')]
  const issuer = await startIssuer(t, publish([first]))
  const gateway = await start(t, [{ jwksUrl: issuer.url }])
  const upgrade = async (signer: Signer, path = '/ws') => {
    const client = await dial(t, gateway.port)
    const target = link({ auth: await signer.token() }, path)
    client.socket.write(handshake(gateway.port, target))
    return client
  }
  const open = async (signer: Signer) => {
    const client = await upgrade(signer)
    t.equal((await client.until(headOf)).status, 101)
    return client
  }
  const cookieOf = (answer: Answer) => ({
    Cookie: `${answer.headers['set-cookie']}`.split(';')[0] ?? '',
  })
  const session = cookieOf(await visit(gateway, first))
  const socket = await open(first)
  const bySession = () =>
    ask(gateway.origin, link({ auth: null }, '/api'), {
      headers: { ...session, 'Sec-Fetch-Site': 'same-origin' },
    })
  t.equal((await bySession()).status, 200)
  t.equal((await visit(gateway, second)).status, 401)

  issuer.answer = publish([first, second])
  t.equal((await until(200, () => visit(gateway, second))).status, 200, 'a new key counts')
  t.equal((await visit(gateway, first)).status, 200, 'and so does the one before')
  t.equal((await bySession()).status, 200)
  const other = await open(second)
  const auth = await first.token()
  const answer = ask(gateway.origin, link({ auth }, '/late'))
  const stream = ask(gateway.origin, link({ auth }, '/late-events'))
  const lateSocket = await upgrade(first, '/late-ws')
  while (late.length < 3) await visit(gateway, second)

  issuer.answer = publish([second])
  const words = inWords(bodyOf(await socket.ended))
  t.same(words, ['close 1008 session-revoked'], 'a socket ends with its key')
  t.equal((await bySession()).status, 401, 'and so does a session')
  t.equal((await visit(gateway, first)).status, 401)
  t.equal((await visit(gateway, second)).status, 200)
  t.equal(other.socket.readableEnded, false, 'nobody else’s does')
  for (const come of late) come()
  t.equal((await answer).body, 'at last', 'a request under way is let finish')
  t.match(await stream, { status: 200, complete: false }, 'but becomes no stream that stays')
  t.same(inWords(bodyOf(await lateSocket.ended)), ['close 1008 session-revoked'])
  t.same(
    jwksLines(gateway).map(({ state, keys }) => [state, keys]),
    [
      ['up', 1],
      ['up', 2],
      ['up', 1],
    ],
    'said when it changed, and not each time',
  )
})

t.test('whatever an issuer has, no key is lost, and none is believed', async (t) => {
  const [good, wrong, next] = [
    await createSigner('good'),
    await createSigner('wrong'),
    await createSigner('next'),
  ]
  const text = JSON.stringify({ keys: [wrong.jwk] })
  const answer =
    (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
    (_, response) =>
      response.writeHead(status, headers).end(body)
  const rows: readonly (readonly [string, string, RequestListener])[] = [
    ['gone', 'UND_ERR_SOCKET', (request) => request.socket.destroy()],
    ['silent', 'ETIMEDOUT', () => {}],
    ['slow', 'ETIMEDOUT', (_, response) => response.writeHead(200).write(text.slice(0, 20))],
    ['503', 'HTTP_503', answer(503, text)],
    ['204', 'HTTP_204', answer(204, '')],
    ['404 with keys', 'HTTP_404', answer(404, text)],
    ['elsewhere', 'HTTP_302', answer(302, '', { Location: '/elsewhere' })],
    ['a page', 'JWKS_INVALID', answer(200, '<!doctype html>')],
    ['cut short', 'JWKS_INVALID', answer(200, text.slice(0, -1))],
    ['compressed', 'JWKS_INVALID', answer(200, '\x1f\x8b\b', { 'Content-Encoding': 'gzip' })],
    ['empty', 'JWKS_NO_KEY', answer(200, '{"keys":[]}')],
    ['only others', 'JWKS_NO_KEY', publish([{ ...wrong.jwk, use: 'enc' }])],
    ['too many', 'JWKS_TOO_MANY_KEYS', publish(Array(101).fill(wrong))],
    ['huge', 'UND_ERR_RES_EXCEEDED_MAX_SIZE', answer(200, `${text}${' '.repeat(256 * 1024)}`)],
    [
      'endless',
      'UND_ERR_RES_EXCEEDED_MAX_SIZE',
      (_, response) => {
        response.on('drain', () => response.write(' '.repeat(65_536)))
        response.write(' '.repeat(65_536))
      },
    ],
  ]
  for (const [name, code, trouble] of rows) {
    await t.test(name, async (t) => {
      const issuer = await startIssuer(t, trouble)
      const gateway = await start(t, [{ jwksUrl: issuer.url }], {
        times: { ...often, deadline: 200 },
      })
      t.match(jwksLines(gateway), [{ state: 'down', code, keys: 0 }], 'it starts without')
      t.same(await jwksOf(gateway), { up: false, lastSuccess: null })
      t.equal((await visit(gateway, wrong)).status, 401)

      issuer.answer = publish([good])
      t.equal((await until(200, () => visit(gateway, good))).status, 200, 'it comes back')
      t.match(await jwksOf(gateway), { up: true, lastSuccess: Number })

      issuer.answer = trouble
      await issuer.askedTimes(issuer.asked.length + 3)
      await gateway.reload()
      t.match(jwksLines(gateway).at(-1), { state: 'down', code, keys: 1 })
      t.match(await jwksOf(gateway), { up: false, lastSuccess: Number })
      t.equal((await visit(gateway, good)).status, 200, 'what is known counts, after a reload too')
      t.equal((await visit(gateway, wrong)).status, 401)

      issuer.answer = publish([next])
      t.equal((await until(200, () => visit(gateway, next))).status, 200)
      t.equal((await visit(gateway, good)).status, 401)
      t.notOk(issuer.asked.includes('/elsewhere'), 'no redirect is followed')
      t.same(
        jwksLines(gateway).map(({ state }) => state),
        ['down', 'up', 'down', 'up'],
        'said when it changed, and not each time',
      )
    })
  }
})

t.test('an issuer says how long its keys are fresh, within bounds', async (t) => {
  const signer = await createSigner('1')
  const [brief, long, plain] = [
    await startIssuer(t, publish([signer], { 'Cache-Control': 'public, max-age=0' })),
    await startIssuer(t, publish([signer], { 'Cache-Control': 'max-age=7200' })),
    await startIssuer(t, publish([signer])),
  ]
  await start(
    t,
    [
      { name: 'brief', jwksUrl: brief.url, urlTokens: ['1'] },
      { name: 'long', jwksUrl: long.url, urlTokens: ['2'] },
      { name: 'plain', jwksUrl: plain.url, urlTokens: ['3'] },
    ],
    { times: { least: 20, most: 40, unsaid: 30 } },
  )
  await Promise.all([brief.askedTimes(5), long.askedTimes(5), plain.askedTimes(5)])
  t.pass('no issuer keeps a key for as long as it likes')
  const patient = await startIssuer(t, publish([signer], { 'Cache-Control': 'max-age=600' }))
  await start(t, [{ jwksUrl: patient.url }], { times: { least: 20, unsaid: 20 } })
  const asked = brief.asked.length
  await brief.askedTimes(asked + 5)
  t.equal(patient.asked.length, 1)
})

t.test('a reload follows whom the settings name', async (t) => {
  const [north, south] = [await createSigner('n'), await createSigner('s')]
  const issuers = [await startIssuer(t, publish([north])), await startIssuer(t, publish([south]))]
  const [one, two] = issuers.map(({ url }, index) => ({
    name: `${index}`,
    jwksUrl: url,
    urlTokens: [`${index}`],
  }))
  if (!one || !two) throw new Error('no contact centers')
  const gateway = await start(t, [one], { times: { cooldown: 3_600_000 } })
  await gateway.reload({}, centers(one, two))
  t.equal((await visit(gateway, north, '0')).status, 200)
  t.equal((await visit(gateway, south, '1')).status, 200, 'who is new is known at once')
  await t.rejects(gateway.reload({}, (config) => ({ ...config, trustedProxies: ['nonsense'] })))
  t.equal((await visit(gateway, north, '0')).status, 200, 'a reload that fails loses no key')
  t.equal((await visit(gateway, south, '1')).status, 200)
  t.same(
    issuers.map(({ asked }) => asked.length),
    [1, 1],
    'and nobody was asked again',
  )
  await gateway.reload({}, centers(two))
  t.equal((await visit(gateway, north, '0')).status, 401)
  t.equal((await visit(gateway, south, '1')).status, 200)
  t.equal(await jwksOf(gateway, '0'), undefined)
})

t.test('a key that a token names is asked for, once however many name it', async (t) => {
  const [old, fresh] = [await createSigner('old'), await createSigner('fresh')]
  const issuer = await startIssuer(t, publish([old]))
  const bystander = await startIssuer(t, publish([await createSigner('x')]))
  const gateway = await start(
    t,
    [
      { name: 'a', jwksUrl: issuer.url, urlTokens: ['a'] },
      { name: 'b', jwksUrl: bystander.url, urlTokens: ['b'] },
    ],
    { times: once },
  )
  const held = Promise.withResolvers<void>()
  issuer.answer = (request, response) =>
    held.promise.then(() => publish([old, fresh])(request, response))
  const visits = Array.from({ length: 50 }, () => visit(gateway, fresh, 'a'))
  const statuses = (await Promise.all(visits)).map(({ status }) => status)
  t.same([...new Set(statuses)], [401], 'nobody waits for an issuer')
  await issuer.askedTimes(2)
  t.equal((await visit(gateway, fresh, 'a')).status, 401)
  t.equal(issuer.asked.length, 2)
  held.resolve()
  t.equal((await until(200, () => visit(gateway, fresh, 'a'))).status, 200)
  t.equal(bystander.asked.length, 1, 'of whose link it is')
})

t.test('a link that may be anybody’s has those asked who know no URLTokens', async (t) => {
  const fresh = await createSigner('fresh')
  const issuer = await startIssuer(t, publish([await createSigner('old')]))
  const bystander = await startIssuer(t, publish([await createSigner('x')]))
  const gateway = await start(
    t,
    [
      { name: 'a', jwksUrl: issuer.url },
      { name: 'b', jwksUrl: bystander.url, urlTokens: ['b'] },
    ],
    { times: once },
  )
  issuer.answer = publish([fresh])
  t.equal((await visit(gateway, fresh)).status, 401)
  await issuer.askedTimes(2)
  t.equal((await until(200, () => visit(gateway, fresh))).status, 200)
  t.equal(bystander.asked.length, 1)
})

t.test('forged tokens have nobody asked more often', async (t) => {
  const issuer = await startIssuer(t, publish([await createSigner('1')]))
  const gateway = await start(t, [{ jwksUrl: issuer.url }], { times: {} })
  const forger = await createSigner('2')
  for (let i = 0; i < 200; i += 1) {
    const auth = await forger.token({ header: { kid: `random-${i}` } })
    const { status } = await ask(gateway.origin, link({ auth }))
    if (status !== 401) t.fail(`${status}`)
  }
  t.equal(issuer.asked.length, 1)
})

t.test('what is under way when the gateway closes is given up', async (t) => {
  const issuer = await startIssuer(t, () => {})
  const left = new Promise((resolve) => {
    issuer.answer = (request) => request.socket.on('close', resolve)
  })
  const gateway = await start(t, [{ jwksUrl: issuer.url }], { times: { patience: 1 } })
  await issuer.askedTimes(1)
  await gateway.close()
  await left
  t.same(jwksLines(gateway), [])
})
