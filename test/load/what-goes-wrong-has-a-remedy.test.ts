import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createSocketServer } from 'node:net'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { advice } from '../../src/load/advice.ts'
import { makeCertificate } from '../doctor/clinic.ts'
import { listen, startGateway, startUpstream } from '../stage.ts'
import { resultsOf } from './results.ts'
import { play } from './run.ts'

const certificate = makeCertificate(t.testdir())

t.test('each is told with what to do about it', async (t) => {
  const upstream = await startUpstream(t)
  const silent = await startUpstream(t, () => {})
  /** A workspace whose backend says this to a CONNECT and to a join. */
  const startBackend = async (connect: string, join = ''): Promise<string> => {
    const server = new WebSocketServer({ noServer: true })
    const { origin } = await startUpstream(t, undefined, (request, socket, head) =>
      server.handleUpgrade(request, socket, head, (client) => {
        client.on('message', (packet) => client.send(/^40/.test(String(packet)) ? connect : join))
        client.send('0{"sid":"a"}')
      }),
    )
    return origin
  }
  const secure = createTlsServer(certificate, (_, response) => response.end())
  t.teardown(() => secure.close())
  const tlsPort = await listen(secure)
  const mail = createSocketServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
  t.teardown(() => mail.close())
  const mailPort = await listen(mail)
  const gone = createServer()
  const nowhere = `http://127.0.0.1:${await listen(gone)}`
  gone.close()

  const at = async (env: Readonly<Record<string, string>>, page = upstream.origin) =>
    (await startGateway(t, page, env)).origin
  const rows: readonly (readonly [string, RegExp, Parameters<typeof play>[1]?])[] = [
    [nowhere, /^1 step failed with ECONNREFUSED: nothing listens at http:\/\/127\.0\.0\.1:\d+: /],
    [
      `https://127.0.0.1:${tlsPort}`,
      / [A-Z_]+: the certificate is not trusted here: .* NODE_EXTRA_CA_CERTS\.$/,
    ],
    [upstream.origin.replace('http', 'https'), /: the port speaks no TLS: write http:/],
    [`http://127.0.0.1:${mailPort}`, / with no HTTP: what answers at \S+ is no HTTP\/1\.1: /],
    [`http://127.0.0.1:${tlsPort}`, /: something cut the connection: .* write https:/],
    [await at({ JWT_SECRET: 'another-secret-of-256-bits-as-text' }), / 401: .* another JWT_SECRET/],
    [await at({ URL_TOKENS: '3c5f90ab71e2' }), / 403: .* URL_TOKENS as --url-token\.$/],
    [
      await at({ PUBLIC_URL: 'https://gateway.example' }),
      / 403: put http:\S+ into the gateway’s PUBLIC_URL/,
    ],
    [`${upstream.origin}`, / 404: let COPILOT_API_URL lead to /],
    [
      await at({}, (await startUpstream(t, (_, answer) => answer.writeHead(404).end())).origin),
      / 404: correct the path /,
    ],
    [await at({}, nowhere), / 502: .* COPILOT_URL: /],
    [await at({ COPILOT_API_URL: nowhere }), / 502: .* COPILOT_API_URL: /],
    [await at({ MAX_CONNECTIONS: '1' }), / 503: .* MAX_CONNECTIONS: /, { agents: 10 }],
    [await at({ UPSTREAM_TIMEOUT: '100ms' }, silent.origin), / 504: .* UPSTREAM_TIMEOUT\.$/],
    [
      await at({}, await startBackend('44{"message":"no"}')),
      /CONNECT refused: .* COPILOT_API_TOKEN/,
    ],
    [
      await at({}, await startBackend('40{"sid":"b"}', '430["no"]')),
      /join refused: .* --url-token\.$/,
    ],
  ]
  const runs = rows.map(async ([origin, expected, changes]) => {
    const found = await play(origin, { chats: 1, duration: 1000, ...changes })
    const said = advice({ ...resultsOf(), ...found })
    t.equal(said.length, 1, JSON.stringify(said))
    t.match(said[0], expected)
  })
  await Promise.all(runs)
})

t.test('a connection that is never there is told from an answer that is', async (t) => {
  // Of a TLS handshake nothing is ever answered.
  const deaf = createSocketServer((socket) => socket.on('error', () => {}))
  t.teardown(() => deaf.close())
  const url = new URL(`https://127.0.0.1:${await listen(deaf)}`)
  const target = { url, addresses: [{ address: '127.0.0.1', family: 4 }], deadline: 500 }
  const found = await play(url.origin, { chats: 1 }, { target })
  t.match(advice({ ...resultsOf(), ...found }), [
    /^1 step failed with connect timeout: nothing answers at \S+: look for a firewall/,
  ])
})

t.test('a page of too many files is told as that', (t) => {
  t.match(advice(resultsOf({ changes: { failures: { 'too many files': 2 } } })), [
    /^2 steps failed with too many files: a page names more than 500 /,
  ])
  t.end()
})

t.test('where attacks get in, it is said how they may', async (t) => {
  const { origin } = await startUpstream(t)
  const { failures, kinds } = await play(origin, { attackers: 0.9 })
  t.match(
    advice({ ...resultsOf(), failures, kinds }).find((said) => said.includes('attack')),
    /^\d+ steps failed with attack let in: .* ENFORCEMENT=enforce\.$/,
  )
})

t.test('what is frequent comes first, and what needs no words has none', async (t) => {
  const failures = { others: 9, 'socket lost': 7, timeout: 2, 1012: 3, '<b>': 1, constructor: 1 }
  t.match(advice(resultsOf({ changes: { failures } })), [
    /^3 steps failed with 1012: leave the gateway running/,
    /^2 steps failed with timeout: there was no answer within 10 s: /,
  ])
  t.strictSame(advice(resultsOf()), [])
})
