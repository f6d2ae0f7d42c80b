import { createHash } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import {
  type Answer,
  answersIn,
  ask,
  auditOf,
  exchange,
  ids,
  inAnHour,
  jwt,
  link,
  openSession,
  startGateway,
  startUpstream,
} from '../stage.ts'

const upstream = await startUpstream(t, (request, response) => {
  if (request.url?.startsWith('/reset')) request.socket.destroy()
  else if (!request.url?.startsWith('/silent')) response.end('ok')
})
const gateway = await startGateway(t, upstream.origin, {
  TOKEN_MAX_AGE: '30m',
  BODY_LIMIT: '1kb',
  UPSTREAM_TIMEOUT: '500ms',
})
const now = inAnHour() - 3600
const base = { userId: ids.userId, sessionId: ids.sessionId, iat: now, exp: now + 3600 }
const good = jwt(base)
const cookie = await openSession(gateway, { auth: good })
gateway.revoke({ contactCenter: null, userId: null, sessionId: 'ended' })

interface Refused {
  readonly target: string
  readonly status: number
  readonly renew?: true
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}
const signed = (claims: object): string => link({ auth: jwt({ ...base, ...claims }) })

/** By reason, and where there are several ways to one, each. */
const refusals: Readonly<Record<string, Refused>> = {
  'target-invalid': { target: '/%2e/', status: 400 },
  'query-ambiguous': { target: '/?userid=x', status: 400 },
  'token-conflict': {
    target: link({ auth: good }),
    status: 400,
    headers: { Authorization: 'Bearer a.b.c' },
  },
  'token-missing': { target: '/', status: 401 },
  'token-invalid': { target: link({ auth: 'a.b.c' }), status: 401 },
  'token-invalid, another secret': { target: link({ auth: jwt(base, { key: 'x' }) }), status: 401 },
  'token-invalid, another secret, over': {
    target: link({ auth: jwt({ ...base, exp: now - 60 }, { key: 'x' }) }),
    status: 401,
  },
  'token-invalid, over by what is no number': { target: signed({ exp: '1' }), status: 401 },
  'token-not-active': { target: signed({ nbf: now + 600 }), status: 401 },
  'token-expired': { target: signed({ exp: now - 60 }), status: 401, renew: true },
  'token-too-old': { target: signed({ iat: now - 3600 }), status: 401, renew: true },
  'claim-mismatch': { target: link({ auth: good, userId: 'VICTIM' }), status: 403 },
  'claim-missing': { target: signed({ sessionId: undefined }), status: 403 },
  'session-mismatch': { target: link({ auth: good, EIO: '3' }, '/socket.io/'), status: 403 },
  'session-revoked': {
    target: link({ auth: jwt({ ...base, sessionId: 'ended' }), sessionId: 'ended' }),
    status: 403,
  },
  'origin-refused': {
    target: '/x',
    status: 403,
    method: 'POST',
    headers: { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site' },
  },
  'body-too-large': {
    target: link({ auth: good }),
    status: 413,
    method: 'POST',
    body: 'x'.repeat(1025),
  },
  'upstream-unreachable': { target: link({ auth: good }, '/reset'), status: 502, method: 'POST' },
  'upstream-timeout': { target: link({ auth: good }, '/silent'), status: 504 },
}

function refused(name: string, accept: string): Promise<Answer> {
  const { target, method = 'GET', headers = {}, body } = refusals[name] ?? { target: '' }
  const asked = { method, headers: { ...headers, Accept: accept } }
  return ask(gateway.origin, target, body === undefined ? asked : { ...asked, body })
}

const between = (text: string, start: string, end: string): string =>
  text.split(start)[1]?.split(end)[0] ?? ''

/** What the page posts, and to which windows, in a frame so many frames below the top. */
function posted(page: string, depth: number): unknown[] {
  const messages: unknown[] = []
  const [, root = ''] = /<html([^>]*)>/.exec(page) ?? []
  const dataset = Object.fromEntries(
    [...root.matchAll(/data-([\w-]+)="([^"]*)"/g)].map(([, name = '', value]) => [
      name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
  interface Frame {
    parent: Frame | null
    readonly postMessage: (message: unknown, target: unknown) => void
  }
  const frame = (level: number): Frame => {
    const made: Frame = {
      parent: null,
      // A copy, as structured cloning makes one: the page's objects are of another realm.
      postMessage: (message, target) =>
        messages.push({ level, target, message: JSON.parse(JSON.stringify(message)) }),
    }
    made.parent = level === 0 ? made : frame(level - 1)
    return made
  }
  const window = frame(depth)
  const document = { documentElement: { dataset } }
  runInNewContext(between(page, '<script>', '</script>'), {
    window,
    parent: window.parent,
    document,
  })
  return messages
}

t.test('who asks for HTML gets a page, everyone else problem details', async (t) => {
  const rows: readonly (readonly [string | string[] | null, boolean])[] = [
    ['text/html', true],
    ['TEXT/HTML', true],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
    ['application/json, text/html', true],
    ['text/html;q=0.5', true],
    ['text/html;level=1', true],
    [['application/json', 'text/html'], true],
    [null, false],
    ['', false],
    ['*/*', false],
    ['text/*', false],
    ['text/plain', false],
    ['application/json', false],
    ['application/problem+json', false],
    ['image/avif,image/webp,*/*', false],
    ['text/html;q=0', false],
    ['text/html; q=0.0, */*', false],
    ['text/htmlx', false],
    ['x-text/html', false],
    ['application/x;profile="text/html"', false],
    ['text/event-stream', false],
  ]
  for (const [accept, page] of rows) {
    const headers = accept === null ? {} : { Accept: accept }
    const answer = await ask(gateway.origin, '/', { headers })
    const type = page ? 'text/html' : 'application/problem+json'
    t.equal(answer.status, 401)
    t.equal(answer.headers['content-type']?.split(';')[0], type, JSON.stringify(accept))
    t.equal(answer.body.startsWith('<!doctype html>'), page, JSON.stringify(accept))
  }
})

t.test(
  'what Node.js reads no further has a page as well, where the same bytes say so',
  async (t) => {
    const lines = 'Accept: text/html,*/*;q=0.8\r\nReferer: https://cc.example/\r\n\r\n'
    for (const [status, bytes] of [
      [431, `GET /?x=${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n${lines}`],
      [400, `GET / HTTP/1.1\r\nHost : x\r\n${lines}`],
      [400, `GET / HTTP/2.0\r\nHost: x\r\n${lines}`],
    ] as const) {
      const [answer] = answersIn(await exchange(gateway.port, bytes))
      t.match(answer, {
        status,
        headers: {
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': /frame-ancestors https:\/\/cc\.example$/,
        },
        body: /^<!doctype html>/,
      })
      const [problem] = answersIn(await exchange(gateway.port, bytes.replace('text/html,', '')))
      t.match(problem, { status, headers: { 'content-type': 'application/problem+json' } })
    }
  },
)

t.test('the page tells what to do and its request id, and looks nowhere else', async (t) => {
  for (const [name, { status, renew = false }] of Object.entries(refusals)) {
    const answer = await refused(name, 'text/html')
    const { headers, body } = answer
    t.equal(answer.status, status, name)
    const id = String(headers['x-request-id'])
    t.ok(body.split('</main>')[0]?.includes(id), `${name}: shows its request id`)
    t.equal((await auditOf(gateway, id))['status'], status, `${name}: which the log has`)
    t.match(body, /<title>[^<]{5,}<\/title>/, `${name}: title`)
    t.match(body, /<html lang="en"/, `${name}: language`)
    t.match(body, /<meta name="viewport" content="width=device-width/, `${name}: side panel`)
    t.notMatch(
      body,
      /(?:src|action|srcset|poster)\s*=|url\(|@import|https?:|\/\//i,
      `${name}: loads nothing`,
    )
    t.match(headers['content-type'], /^text\/html; *charset=utf-8$/i, name)
    t.equal(headers['cache-control'], 'no-store', name)
    t.equal(Number(headers['content-length']), body.length, name)

    const [csp = ''] = [headers['content-security-policy']].flat()
    const policy = new Map(
      csp.split(';').map((directive) => {
        const [key = '', ...sources] = directive.trim().split(/\s+/)
        return [key, sources.join(' ')]
      }),
    )
    const hash = (text: string): string =>
      `'sha256-${createHash('sha256').update(text).digest('base64')}'`
    t.equal(policy.get('default-src'), "'none'", `${name}: CSP`)
    t.equal(policy.get('script-src'), hash(between(body, '<script>', '</script>')), name)
    t.equal(policy.get('style-src'), hash(between(body, '<style>', '</style>')), name)
    t.equal(policy.get('base-uri'), "'none'", name)
    t.equal(policy.get('form-action'), "'none'", name)
    t.ok(policy.has('frame-ancestors'), name)
    t.notMatch(csp, /unsafe|\*|https?:\/\/(?!cc\.example)/, name)
    t.equal((body.match(/<script/g) ?? []).length, 1, `${name}: one script, and`)
    t.notMatch(body, /\son\w+=|javascript:/i, `${name}: none beside it`)

    const message = { type: 'copilot-gateway:refused', status, requestId: id, renew }
    t.strictSame(posted(body, 0), [], `${name}: nobody is there to be told`)
    t.strictSame(posted(body, 1), [{ level: 0, target: '*', message }], name)
    const all = [2, 1, 0].map((level) => ({ level, target: '*', message }))
    t.strictSame(posted(body, 3), all, `${name}: every ancestor`)
  }
})

t.test('nobody learns the reason, in any byte', async (t) => {
  const seen = new Map<string, string>()
  for (const accept of ['text/html', '*/*']) {
    for (const [name, { status, renew }] of Object.entries(refusals)) {
      const { headers, rawHeaders, body, message } = await refused(name, accept)
      const id = String(headers['x-request-id'])
      const words = `${rawHeaders.join('\n')}\n${body}`
      t.notMatch(words, name.split(',')[0] ?? '', name)
      const reasons =
        /signature|HS256|claim|bind|VICTIM|agent-7|session-1|f38791ae|ambiguous|audit|127\.0\.0/i
      t.notMatch(words, reasons, name)
      if (renew && accept === 'text/html') continue
      // What is left is the same for one status, whatever the reason; who may frame it is told apart.
      const rest = [message, ...rawHeaders, body]
        .join('\n')
        .replaceAll(id, 'ID')
        .replace(/\nDate\n.*?\n/i, '\n')
        .replace(/frame-ancestors [^;\n]*/, 'frame-ancestors')
      const key = `${status} ${accept}`
      t.equal(rest, seen.get(key) ?? rest, `${name}: ${key}`)
      seen.set(key, rest)
    }
  }
})

t.test('a page with renew differs in that alone', async (t) => {
  const pages = await Promise.all(
    ['token-invalid', 'token-expired', 'token-too-old'].map(async (name) => {
      const { headers, body } = await refused(name, 'text/html')
      return body.replaceAll(String(headers['x-request-id']), 'ID')
    }),
  )
  const [never = '', expired = '', tooOld = ''] = pages
  t.equal(expired, tooOld)
  t.equal(expired.replace('true', 'false'), never)
  const problems = await Promise.all(
    ['token-invalid', 'token-expired'].map(async (name) => {
      const { headers, body } = await refused(name, '*/*')
      return body.replaceAll(String(headers['x-request-id']), 'ID')
    }),
  )
  t.equal(problems[0], problems[1], 'problem details tell nothing of it')
})

t.test('what the client sends is not in the page', async (t) => {
  const canary = '"><script>alert(1)</script>'
  const encoded = encodeURIComponent(canary)
  for (const target of [
    `/?x=${encoded}`,
    `/canary${encoded.replaceAll('%2F', '')}`,
    link({ userId: canary }),
    link({ auth: canary }),
  ]) {
    for (const accept of ['text/html', '*/*']) {
      const headers = {
        Accept: accept,
        'User-Agent': canary,
        Referer: `https://cc.example/${encoded}`,
        'X-Request-Id': canary,
        Origin: `https://cc.example/${canary}`,
      }
      const { body, rawHeaders } = await ask(gateway.origin, target, { headers })
      t.notMatch(body + rawHeaders.join(), /alert|canary|%3Cscript/, target.slice(0, 40))
    }
  }
})

t.test('HEAD gets the head of it', async (t) => {
  for (const accept of ['text/html', '*/*']) {
    const [got, head] = await Promise.all(
      ['GET', 'HEAD'].map((method) =>
        ask(gateway.origin, '/', { method, headers: { Accept: accept } }),
      ),
    )
    t.equal(head?.status, 401)
    t.equal(head?.body, '')
    t.equal(head?.headers['content-length'], got?.headers['content-length'])
    t.equal(head?.headers['content-type'], got?.headers['content-type'])
  }
})

t.test('problem details are RFC 9457', async (t) => {
  for (const [name, { status }] of Object.entries(refusals)) {
    const { headers, body } = await refused(name, 'application/json')
    const problem = JSON.parse(body)
    t.strictSame(Object.keys(problem).sort(), ['requestId', 'status', 'title', 'type'], name)
    t.match(problem, { type: String, title: /^[A-Z]/, status, requestId: headers['x-request-id'] })
    t.match(headers['content-type'], /^application\/problem\+json/, name)
  }
})
