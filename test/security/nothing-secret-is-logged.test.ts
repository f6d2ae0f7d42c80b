import t from 'tap'
import { createLog } from '../../src/observe/log.ts'
import { operate } from '../process/operated.ts'
import { pour } from '../sinks.ts'
import {
  exchange,
  ids,
  jwt,
  link,
  ask as request,
  secret,
  startGateway,
  startUpstream,
} from '../stage.ts'

t.test('no line of the log holds what opens a session, at whatever level', async (t) => {
  const upstream = await startUpstream(t, (request, response) => {
    if (request.url?.startsWith('/reset')) request.socket.destroy()
    else response.end('canary-body')
  })
  const gateway = await startGateway(t, upstream.origin, { LOG_LEVEL: 'trace' })
  const good = jwt()
  const forged = jwt({}, { key: 'another-secret-that-is-long-enough-too' })
  const ask = (line: string, ...headers: string[]): Promise<string> =>
    exchange(
      gateway.port,
      [line, 'Host: gateway.example', 'Connection: close', ...headers, '\r\n'].join('\r\n'),
    )
  const first = await ask(`GET ${link({ auth: good })} HTTP/1.1`)
  const cookie = /__Host-copilot-[^=]+=([^;]+)/.exec(first)?.[1] ?? ''
  t.ok(cookie, 'there is a cookie to look for')
  const get = (target: string): string => `GET ${target} HTTP/1.1`
  const handshake = ['Connection: Upgrade', 'Upgrade: websocket']
  const rows: readonly (readonly [string, string, ...string[]])[] = [
    ['a cookie', get('/asset?x=canary-query'), `Cookie: __Host-copilot-x=${cookie}`],
    ['a forged token', get(link({ auth: forged }))],
    ['an expired token', get(link({ auth: jwt({ ...ids, exp: 1 }) }))],
    ['no token', get('/?x=canary-query')],
    ['a target that is refused', get(`/canary-path/..?auth=${good}`)],
    ['an encoding that is malformed', get(`/canary-path%zz?auth=${good}`)],
    ['an absolute target', get(`http://canary.example/?auth=${good}`)],
    ['two tokens', get(link({ auth: good })), `Authorization: Bearer ${forged}`],
    ['a password', get(link()), 'Authorization: Basic canary-password', 'Referer: /canary-referer'],
    ['an upstream that resets', get(link({ auth: good }, '/reset'))],
    ['no HTTP', `canary-line ?auth=${good}`],
    ['a head too large', get(link()), `X: ${'canary-header'.repeat(5000)}`],
    ['an upgrade', get(link({ auth: good }, '/socket.io/')), ...handshake],
    ['an upgrade refused', get('/socket.io/?x=canary-query'), ...handshake],
    ['CONNECT', `CONNECT canary.example:443?auth=${good} HTTP/1.1`],
  ]
  for (const [, line, ...headers] of rows) await ask(line, ...headers)
  await gateway.audited(1 + rows.length)
  await gateway.close()
  const written = JSON.stringify(gateway.lines)
  for (const [name, canary] of [
    ['the shared secret', secret],
    ['the token', good],
    ['its signature', good.split('.')[2] ?? ''],
    ['its claims', good.split('.')[1] ?? ''],
    ['a forged token', forged],
    ['the cookie', cookie],
    ['the URLToken', ids.URLToken],
    ['a query', 'URLToken='],
    ['any marked text', 'canary'],
    ['a parameter', 'auth='],
  ] as const) {
    t.ok(canary.length > 4, `${name} is something to look for`)
    t.notOk(written.includes(canary), name)
  }
})

t.test('of an error the log has its code and where it was thrown, not what it says', async (t) => {
  const lines: string[] = []
  const log = createLog('trace', {
    write(line) {
      pour('log', line)
      lines.push(line)
    },
  })
  const cause = new TypeError(`Invalid URL: ${link()}`)
  const fault = Object.assign(new Error(`at ${link()}\n  at ${link()}\n  of ${jwt()}`, { cause }), {
    code: 'ERR_X',
    url: link(),
  })
  for (const err of [fault, cause, new AggregateError([fault, cause], secret)]) {
    log.error({ event: 'internal-error', err })
  }
  t.match(JSON.parse(lines[0] ?? ''), {
    event: 'internal-error',
    err: { type: 'Error', code: 'ERR_X', stack: /^ +at .*nothing-secret-is-logged/ },
  })
  log.error(fault)
  t.equal(lines.length, 4)
  t.same(JSON.parse(lines[3] ?? '').err, JSON.parse(lines[0] ?? '').err, 'an error by itself')
  for (const canary of ['auth=', 'eyJ', 'Invalid URL', secret]) {
    t.notOk(lines.join('').includes(canary), canary)
  }
})

t.test('nor does a link that operators have explained come out', async (t) => {
  const gateway = await operate(t, await startUpstream(t))
  const auth = jwt()
  const text = gateway.origin + link({ auth })
  const headers = {
    Authorization: `Bearer ${gateway.token}`,
    'Content-Type': 'application/json',
  }
  const bodies = [
    { link: text },
    { link: `x${text}` },
    { link: text, page: text },
    { link: [text] },
    text,
  ]
  for (const body of bodies) {
    const asked = { method: 'POST', headers, body: JSON.stringify(body) }
    const answer = await request(gateway.adminOrigin, '/explain', asked)
    t.ok([200, 400].includes(answer.status))
    for (const secret of [auth, auth.split('.')[1] ?? '', ids.URLToken]) {
      t.notOk(answer.body.includes(secret))
    }
  }
  gateway.kill('SIGTERM')
  const { lines, stderr } = await gateway.ended
  for (const secret of [auth, auth.split('.')[1] ?? '', ids.URLToken, ids.userId]) {
    t.notOk(JSON.stringify(lines).includes(secret))
    t.notOk(stderr.includes(secret))
  }
})
