// Who has one contact center's credential signs for no other, and who has none for nobody.
import t from 'tap'
import { formatUui } from '../../packages/copilot-link/src/uui.ts'
import {
  basic,
  byIds,
  call,
  client,
  clientSecret,
  otherSecret,
  startLinks,
} from '../links/stage.ts'
import { ask } from '../stage.ts'
import { dial } from '../websocket/peer.ts'

const gateway = 'https://gateway.example'
const hamburgs = 'f38791ae'
const lisbons = '9c2b17aa'
const linkTo = (urlToken: string): string =>
  `https://copilot.example/?userId=7&sessionId=8&URLToken=${urlToken}`

/** Two with URLTokens of their own and one secret, and one that takes any that is nobody's. */
function startThree(t: Parameters<typeof startLinks>[0]) {
  const clients = ['crm', 'lisbon', 'oslo'].map((id) =>
    client(id, id === 'crm' ? undefined : otherSecret),
  )
  return startLinks(t, gateway, { LINKS_CLIENTS: clients.join(' ') }, (config) => {
    const of = (name: string, id: string, urlTokens: readonly string[] | null) =>
      config.contactCenters.map((one) => ({
        ...one,
        name,
        urlTokens,
        linksClients: one.linksClients.filter((own) => own.id === id),
      }))
    const [hamburg, lisbon] = [of('Hamburg', 'crm', [hamburgs]), of('Lisbon', 'lisbon', [lisbons])]
    return { ...config, contactCenters: [...hamburg, ...lisbon, ...of('Oslo', 'oslo', null)] }
  })
}

t.test('a URLToken of another’s is not signed for, however it is named', async (t) => {
  const { origin, told } = await startThree(t)
  const path = '/links/by-conversation/17'
  for (const [id, key, urlToken, status] of [
    ['crm', clientSecret, hamburgs, 200],
    ['crm', clientSecret, lisbons, 403],
    ['crm', clientSecret, 'nobodys1', 403],
    ['lisbon', otherSecret, lisbons, 200],
    ['lisbon', otherSecret, hamburgs, 403],
    ['oslo', otherSecret, 'nobodys1', 200],
    ['oslo', otherSecret, hamburgs, 403],
  ] as const) {
    const headers = basic(id, key)
    for (const body of [
      { ...byIds, urlToken },
      { ...byIds, urlToken, short: true },
      { url: linkTo(urlToken) },
      { uui: formatUui(linkTo(urlToken)) },
      { uui: 'X-User-ID: 7\nX-Session-ID: 8', urlToken },
    ]) {
      const { status: got, body: text } = await call(origin, '/links', body, { headers })
      t.equal(got, status, `${id} for ${urlToken}: ${Object.keys(body)}`)
      if (status === 403) {
        const errors = [{ field: 'urlToken', problem: 'is none of this contact center’s' }]
        t.match(JSON.parse(Buffer.from(text, 'latin1').toString()), { errors })
      }
    }
    const kept = await call(origin, path, { ...byIds, urlToken }, { headers, method: 'PUT' })
    t.equal(kept.status, status, `${id} keeps ${urlToken}`)
  }
  const lines = await told(42)
  t.ok(lines.every(({ status, userId }) => (status === 200) === (userId !== undefined)))
})

t.test('a conversation is its contact center’s own', async (t) => {
  const { origin } = await startThree(t)
  const path = '/links/by-conversation/17'
  const look = async (id: string, key: string): Promise<string> => {
    const { status, body } = await call(origin, path, undefined, { headers: basic(id, key) })
    return `${status} ${status === 200 ? new URL(JSON.parse(body).url).searchParams.get('userId') : ''}`
  }
  await call(origin, path, { ...byIds, userId: 'of-hamburg' }, { method: 'PUT' })
  t.equal(await look('crm', clientSecret), '200 of-hamburg')
  t.equal(await look('lisbon', otherSecret), '404 ', 'although they share a secret')
  t.equal(await look('oslo', otherSecret), '404 ')
  const headers = basic('lisbon', otherSecret)
  const body = { ...byIds, urlToken: lisbons, userId: 'of-lisbon' }
  await call(origin, path, body, { headers, method: 'PUT' })
  t.equal(await look('lisbon', otherSecret), '200 of-lisbon')
  t.equal(await look('crm', clientSecret), '200 of-hamburg', 'nobody overwrites it')
})

t.test('a credential is all of it, and a secret that can’t be guessed', async (t) => {
  const weak = 'correct-horse'
  const { origin, reload, log, told } = await startLinks(t, gateway, {
    LINKS_CLIENTS: `${client()} ${client('pbx', otherSecret)} ${client('weak', weak)}`,
  })
  const encoded = (text: string, scheme = 'Basic') => ({
    Authorization: `${scheme} ${Buffer.from(text).toString('base64')}`,
  })
  const right = `crm:${clientSecret}`
  const routes = [
    ['POST', '/links'],
    ['PUT', '/links/by-conversation/17'],
    ['GET', '/links/by-conversation/17'],
    ['HEAD', '/links/by-conversation/17'],
  ] as const
  for (const [name, headers] of Object.entries({
    none: {},
    'another client’s secret': basic('crm', otherSecret),
    'another client': basic('pbx', clientSecret),
    'nobody’s': basic('erp', clientSecret),
    'its beginning': encoded(right.slice(0, -1)),
    'more than it': encoded(`${right}0`),
    'another last digit': encoded(`${right.slice(0, -1)}0`),
    'no id': encoded(`:${clientSecret}`),
    'no secret': encoded('crm:'),
    'its hash': encoded(client().replace(':sha256', '')),
    'a weak secret, although its hash is known': basic('weak', weak),
    'another scheme': encoded(right, 'Bearer'),
    'plain text': { Authorization: `Basic ${right}` },
    'a line break': encoded(`${right}\n`),
    'two lines': { Authorization: ['Basic eDp4', basic().Authorization] },
    'another header': { 'X-Authorization': basic().Authorization },
  })) {
    for (const [method, path] of routes) {
      const body = method === 'POST' || method === 'PUT' ? byIds : undefined
      const answer = await call(origin, path, body, { method, headers })
      t.equal(answer.status, 401, `${method}: ${name}`)
      t.match(answer.headers['www-authenticate'], /^Basic realm="copilot links"/)
      t.notMatch(answer.body, 'eyJ')
    }
  }
  t.notMatch(log(), clientSecret.slice(0, 16))
  const lines = (await told(64)).filter((line) => line['hint'] !== undefined)
  t.ok(lines.every(({ hint }) => /64 hex digits/.test(`${hint}`)))
  t.same(
    new Set(lines.map(({ client }) => client)),
    new Set(['crm', 'weak']),
    'the log tells the operators of a client whose secret is none',
  )
  t.notMatch(log(), weak)
  for (const scheme of ['Basic', 'basic', 'BASIC ']) {
    t.equal((await call(origin, '/links', byIds, { headers: encoded(right, scheme) })).status, 200)
  }
  reload({ LINKS_CLIENTS: `${client('crm', otherSecret)} ${client()}` })
  for (const key of [clientSecret, otherSecret]) {
    const headers = basic('crm', key)
    t.equal((await call(origin, '/links', byIds, { headers })).status, 200, 'both, in a rotation')
  }
  reload({ LINKS_CLIENTS: client('crm', otherSecret) })
  t.equal((await call(origin, '/links', byIds)).status, 401, 'until the old one is taken out')
})

t.test('no connection is held by a body that does not come', async (t) => {
  const { origin } = await startLinks(t, gateway)
  for (const [request, status] of [
    ['POST /links', 401],
    ['PUT /links/by-conversation/17', 401],
    ['POST /nothing', 404],
    ['PUT /o/1', 404],
    ['OPTIONS /links', 404],
    ['POST /%zz', 400],
  ] as const) {
    const { socket, until } = await dial(t, Number(new URL(origin).port))
    const lines = ['Host: a.example', 'Content-Type: application/json', 'Content-Length: 100']
    socket.write([`${request} HTTP/1.1`, ...lines, '', '{'].join('\r\n'))
    const answer = await until((bytes) => (bytes.length > 0 ? bytes.toString() : null))
    t.equal(answer.slice(0, 12), `HTTP/1.1 ${status}`, request)
  }
})

t.test('no page asks for an agent whose browser was given a credential', async (t) => {
  const { origin } = await startLinks(t, gateway)
  for (const site of ['cross-site', 'same-site', 'same-origin']) {
    const headers = { ...basic(), 'Sec-Fetch-Site': site }
    const { status, headers: answered } = await call(origin, '/links', byIds, { headers })
    t.equal(status, 403, site)
    t.equal(answered['access-control-allow-origin'], undefined)
  }
  const preflight = { Origin: 'https://stranger.example', 'Access-Control-Request-Method': 'POST' }
  const { status, headers } = await ask(origin, '/links', { method: 'OPTIONS', headers: preflight })
  t.equal(status, 404)
  t.notOk(Object.keys(headers).some((name) => name.startsWith('access-control')))
})
