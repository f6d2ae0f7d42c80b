import t, { type Test } from 'tap'
import {
  answersIn,
  ask,
  exchange,
  link,
  openSession,
  startGateway,
  startUpstream,
} from '../stage.ts'

let status = 200
let sent: readonly string[] = []
const upstream = await startUpstream(t, (request, response) => {
  if (request.url?.startsWith('/reset')) {
    request.socket.destroy()
    return
  }
  response.writeHead(status, [...sent])
  response.end()
})
const settings = { HEADERS_TIMEOUT: '500ms', BODY_LIMIT: '1kb' }
const gateway = await startGateway(t, upstream.origin, settings)
const secure = await startGateway(t, upstream.origin, {
  ...settings,
  PUBLIC_URL: 'https://gateway.example',
})

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** What every answer has, and what none may have. */
function check(t: Test, name: string, headers: Headers, https: boolean): void {
  t.equal(headers['x-content-type-options'], 'nosniff', `${name}: nosniff`)
  t.equal(headers['referrer-policy'], 'same-origin', `${name}: Referrer-Policy`)
  t.match(headers['x-request-id'], /^[\w-]{8,}$/, `${name}: X-Request-Id`)
  t.match(headers['content-security-policy'], /frame-ancestors /, `${name}: CSP`)
  if (https) {
    const [, age] = /^max-age=(\d+)/.exec(String(headers['strict-transport-security'])) ?? []
    t.ok(Number(age) > 0, `${name}: HSTS`)
  } else {
    t.notOk('strict-transport-security' in headers, `${name}: no HSTS`)
  }
  const absent = [
    'x-frame-options',
    'server',
    'x-powered-by',
    'cross-origin-resource-policy',
    'cross-origin-embedder-policy',
    'cross-origin-opener-policy',
  ]
  for (const one of absent) t.notOk(one in headers, `${name}: no ${one}`)
  const allowed = Object.keys(headers).filter((one) => one.startsWith('access-control-allow-'))
  t.strictSame(allowed, [], `${name}: no CORS`)
  t.notMatch(headers['content-security-policy'], 'frame-src', `${name}: no frame-src`)
}

for (const [scheme, front, https] of [
  ['http', gateway, false],
  ['https', secure, true],
] as const) {
  t.test(`behind ${scheme}, whatever the upstream answers`, async (t) => {
    sent = [
      'Server',
      'nginx/1.2.3',
      'X-Powered-By',
      'Express',
      'X-Frame-Options',
      'DENY',
      'x-frame-options',
      'SAMEORIGIN',
      'X-Content-Type-Options',
      'sniff',
      'Referrer-Policy',
      'unsafe-url',
      'X-Request-Id',
      'upstream-id',
      'Strict-Transport-Security',
      'max-age=0; includeSubDomains',
      'Access-Control-Allow-Origin',
      '*',
      'access-control-allow-credentials',
      'true',
      'Access-Control-Allow-Methods',
      'GET',
      'Access-Control-Allow-Headers',
      'X',
      'ACCESS-CONTROL-ALLOW-PRIVATE-NETWORK',
      'true',
    ]
    for (const code of [200, 201, 204, 206, 302, 304, 400, 401, 404, 405, 416, 500, 502, 503]) {
      status = code
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        const answer = await ask(front.origin, link({}, '/x'), { method })
        t.equal(answer.status, code)
        check(t, `${method} ${code}`, answer.headers, https)
        t.not(answer.headers['x-request-id'], 'upstream-id')
      }
    }
    status = 200
    sent = []
    check(t, 'bare', (await ask(front.origin, link())).headers, https)
    const headers = { Cookie: await openSession(front) }
    check(t, 'by cookie', (await ask(front.origin, '/x', { headers })).headers, https)
  })

  t.test(`behind ${scheme}, whatever the gateway answers`, async (t) => {
    const refusals: readonly (readonly [string, number, string, string?])[] = [
      ['a target', 400, '/../'],
      ['a query', 400, '/?userid=1'],
      ['no token', 401, '/'],
      ['a claim', 403, link({ userId: 'x' })],
      ['a large body', 413, link(), 'x'.repeat(1025)],
      ['the upstream', 502, link({}, '/reset'), 'x'],
      ['TRACE', 400, link()],
    ]
    for (const [name, code, target, body] of refusals) {
      for (const accept of ['text/html', '*/*']) {
        const method = name === 'TRACE' ? name : body === undefined ? 'GET' : 'POST'
        const asked = {
          method,
          headers: { Accept: accept },
          ...(body === undefined ? {} : { body }),
        }
        const answer = await ask(front.origin, target, asked)
        t.equal(answer.status, code, name)
        check(t, `${name}, ${accept}`, answer.headers, https)
      }
    }
    const host = `Host: ${new URL(front.origin).host}\r\nConnection: close\r\n`
    const unread: readonly (readonly [string, number, string])[] = [
      ['garbage', 400, 'GARBAGE\r\n\r\n'],
      ['another version', 400, `GET / HTTP/3.0\r\n${host}\r\n`],
      ['CONNECT', 400, `CONNECT a.example:443 HTTP/1.1\r\n${host}\r\n`],
      ['large headers', 431, `GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(64 * 1024)}\r\n\r\n`],
      ['a slow head', 408, 'GET / HTTP/1.1\r\n'],
    ]
    for (const [name, code, bytes] of unread) {
      const [answer] = answersIn(await exchange(front.port, bytes))
      t.equal(answer?.status, code, name)
      check(t, name, answer?.headers ?? {}, https)
    }
  })
}

t.test('HSTS is for who comes by https, where there are both', async (t) => {
  const both = await startGateway(t, upstream.origin, {
    PUBLIC_URL: 'https://gateway.example http://127.0.0.1:8080',
  })
  for (const [host, https] of [
    ['gateway.example', true],
    ['127.0.0.1:8080', false],
  ] as const) {
    for (const target of [link(), '/']) {
      const { headers } = await ask(both.origin, target, { headers: { Host: host } })
      check(t, host, headers, https)
    }
  }
})

t.test('what else the upstream says of security is its own', async (t) => {
  const kept: readonly (readonly [string, string])[] = [
    ['Cross-Origin-Opener-Policy', 'same-origin'],
    ['Cross-Origin-Resource-Policy', 'same-site'],
    ['Permissions-Policy', 'camera=()'],
    ['Report-To', '{"group":"x"}'],
    ['NEL', '{}'],
    ['X-XSS-Protection', '0'],
    ['Timing-Allow-Origin', '*'],
    ['Access-Control-Expose-Headers', 'X-A'],
    ['Access-Control-Max-Age', '5'],
    ['Clear-Site-Data', '"cache"'],
    ['Origin-Agent-Cluster', '?1'],
  ]
  sent = kept.flat()
  const { headers } = await ask(gateway.origin, link({}, '/x'))
  for (const [name, value] of kept) t.equal(headers[name.toLowerCase()], value, name)
  sent = []
})

t.test('hop-by-hop headers of the upstream end here', async (t) => {
  sent = [
    'Connection',
    'X-Hop, close',
    'connection',
    'X-Second-Hop',
    'X-Hop',
    'canary',
    'x-HOP',
    'canary',
    'X-Second-Hop',
    'canary',
    'Keep-Alive',
    'timeout=canary',
    'Proxy-Connection',
    'canary',
    'Proxy-Authenticate',
    'Basic realm="canary"',
    'TE',
    'canary',
    'Upgrade',
    'canary/1.0',
    'Connection',
    'x_under',
    'X_Under',
    'canary',
    'X-Kept',
    'kept',
  ]
  for (const target of [link(), link({}, '/x')]) {
    const { headers, rawHeaders } = await ask(gateway.origin, target)
    t.notMatch(JSON.stringify(rawHeaders), 'canary')
    t.equal(headers['x-kept'], 'kept')
  }
  sent = ['Connection', 'X-Request-Id, Content-Security-Policy, X-Content-Type-Options']
  check(t, 'named by Connection', (await ask(gateway.origin, link())).headers, false)
  sent = []
})
