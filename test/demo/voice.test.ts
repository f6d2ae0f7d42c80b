import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { plainLink } from '../../demo/contact-center.ts'
import { agent } from '../../demo/conversations.ts'
import { createHandovers } from '../../demo/handover.ts'
import { type Demo, startDemo } from '../../demo/main.ts'
import { type IncomingCall, startAnswering } from '../../demo/sip/answering.ts'
import { formatUui } from '../../packages/copilot-link/src/uui.ts'
import { createLog } from '../../src/observe/log.ts'
import { clientSecret, shorten, startLinks } from '../links/stage.ts'
import { know, knowSecret, pour } from '../sinks.ts'
import { ids } from '../stage.ts'
import { root, scenario, sipp, sippMissing } from './sipp.ts'

const sessionId = 'call-2045'

t.test('sipp calls', { skip: sippMissing }, async (t) => {
  const log = createLog('trace', { write: (line) => pour('log', line) })
  const demo = await startDemo({ pace: 5, log })
  t.teardown(() => demo.close())
  knowSecret(demo.secret)
  know('secret', demo.urlToken)
  const desk = await startDesk(t, demo)
  const link = plainLink(demo, sessionId)

  await t.test('the command that the demo and the documents give rings at the desk', async (t) => {
    const manual = readFileSync(join(root, 'docs/contact-centers.md'), 'utf8')
    const documented = /^(sipp .*)$/m.exec(manual)?.[1] ?? ''
    t.match(documented, '127.0.0.1:5060', 'the port that the demo takes where it is free')
    const address = `${demo.sip.address}:${demo.sip.port}`
    for (const [name, command] of [
      ['the demo’s', demo.sipp],
      ['the documents’', documented.replace('127.0.0.1:5060', address)],
    ] as const) {
      const called = sipp(command, { LINK: link.href })
      const ringing = await desk.shows((shown) => shown.call?.state === 'ringing')
      t.match(ringing.call, { sessionId, customer: 'Amara Diallo' }, name)
      t.equal(await desk.post('/call/answer'), 200)
      const open = await desk.shows((shown) => shown.call?.state === 'open')
      const opened = await get(demo, new URL(open.call?.link ?? ''))
      t.equal(opened, 200, 'the gateway lets the link in')
      t.equal(await get(demo, link), 401, 'and not the one of the header')
      t.equal(await desk.post('/call/end'), 200)
      t.match(await called, { code: 0, errors: '' })
      await desk.shows((shown) => shown.said === 'You ended the call.')
    }
  })

  await t.test('and hangs up, gives up, or is declined', async (t) => {
    const uui = formatUui(link.href, 'quoted')
    const again = formatUui(link.href)
    for (const [name, keys] of [
      ['compact', { uui, again, fold: ' ' }],
      ['siprec', { user: agent.userId, session: sessionId }],
    ] as const) {
      const called = scenario(demo, name, keys)
      await desk.shows((shown) => shown.call?.state === 'ringing')
      await desk.post('/call/answer')
      t.match(await called, { code: 0, errors: '' }, name)
      const over = await desk.shows((shown) => shown.call === null)
      t.equal(over.said, 'The caller hung up.')
    }
    t.match(await scenario(demo, 'cancelled', { uui }), { code: 0, errors: '' })
    await desk.shows((shown) => shown.said === 'The caller gave up.')

    t.equal(await desk.post('/call/answer'), 409, 'nobody calls')
    t.equal(await desk.post('/call/end'), 409)
    t.equal(await desk.post('/call'), 202)
    await desk.shows((shown) => shown.call?.state === 'ringing')
    t.equal(await desk.post('/call'), 409, 'one at a time')
    await desk.post('/call/end')
    await desk.shows((shown) => shown.said === 'You ended the call.')
    t.equal(await desk.post('/call', 'https://stranger.example'), 403, 'another site’s page')
  })

  await t.test('what carries no link of the agent’s own is refused, with a reason', async (t) => {
    const changed = (change: (ids: URLSearchParams) => void): string => {
      const other = new URL(link)
      change(other.searchParams)
      return formatUui(other.href, 'percent')
    }
    const rows = [
      ['Subject: no link', '400 User-to-User is missing'],
      [
        'User-to-User: 00112233445566',
        '400 The hex holds no link: it is cut off, or of something else',
      ],
      ['User-to-User: "not closed', '400 A quote stays open, or a parameter is there twice'],
      [`User-to-User: ${'41'.repeat(4200)}`, '400 The value has 8414 characters: 8192 are read'],
      [
        `User-to-User: ${link.href.slice(0, 40)}`,
        '400 The link has no sessionId, URLToken: it is cut off, or not of Copilot',
      ],
      [
        `User-to-User: ${changed((ids) => ids.set('userId', 'kim.novak'))}`,
        '403 The conversation is of another agent',
      ],
      [
        `User-to-User: ${changed((ids) => ids.set('sessionId', 'call-9999'))}`,
        '404 There is no such conversation',
      ],
      [
        `User-to-User: ${changed((ids) => ids.set('URLToken', 'e07ad3b1'))}`,
        '403 urlToken is none of this contact center’s',
      ],
      [
        'User-to-User: "https://links.example/o/AAAAAAAAAAAAAAAAAAAAAA"',
        '403 The short link is of another links API',
      ],
      ['X-User-ID: dana.whitfield', '400 X-Session-ID is missing'],
    ] as const
    const folder = t.testdir()
    const file = join(folder, 'calls.csv')
    writeFileSync(file, `SEQUENTIAL\n${rows.map(([header]) => header).join('\n')}\n`)
    const { address, port } = demo.sip
    const { code, heard, errors } = await sipp(
      `sipp ${address}:${port} -s ${agent.userId} -sf test/demo/sip/refused.xml -m ${rows.length} -l 1 -r 100 -inf ${file}`,
    )
    t.equal(errors, '')
    t.equal(code, 0)
    t.strictSame(
      heard.filter((line) => line !== '100 Trying'),
      rows.map(([, refusal]) => refusal),
    )
    t.equal((await desk.shows(() => true)).call, null, 'nothing rings')
  })
})

t.test('a signed link, a short one, and a links API that is away', async (t) => {
  const gateway = new URL('http://gateway.example')
  const links = await startLinks(t, gateway.origin)
  const handovers = createHandovers({
    api: links.origin,
    credentials: `crm:${clientSecret}`,
    gateway,
    urlToken: ids.URLToken,
  })
  const of = (link: string): ReturnType<typeof handovers.ofCall> =>
    handovers.ofCall([{ name: 'user-to-user', value: formatUui(link) }])
  const short = `${links.origin}${await shorten(links.origin)}`
  const opened = await of(short)
  t.match(opened, {
    userId: ids.userId,
    sessionId: ids.sessionId,
    link: { origin: gateway.origin },
  })
  t.match(await of(short), { status: 404, problem: /or no more$/ }, 'it is for one call')
  const signed = 'link' in opened ? opened.link.href : ''
  t.match(await of(signed), { sessionId: ids.sessionId, link: { href: signed } })
  t.match(await of(signed.replace('gateway', 'stranger')), { status: 403 })

  const wrong = { api: links.origin, credentials: 'crm:wrong', gateway, urlToken: 'x' }
  const plain = `${gateway}?userId=u&sessionId=s&URLToken=${ids.URLToken}`
  t.match(await createHandovers(wrong).ofLink(plain), { status: 401 })
  await links.close()
  for (const link of [short, plain]) t.match(await of(link), { status: 503 })
})

/** An endpoint, the calls that it took, and a socket that says anything. */
async function startPeer(t: Test, t1 = 500) {
  const calls: IncomingCall[] = []
  const times = { t1, t2: 8 * t1 }
  const endpoint = await startAnswering({ times, onCall: (call) => calls.push(call) })
  t.teardown(() => endpoint.close())
  const socket = createSocket('udp4')
  const heard: string[] = []
  socket.on('message', (bytes) => heard.push(bytes.toString()))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return {
    calls,
    heard,
    port: socket.address().port,
    send: (message: string | Buffer) => socket.send(message, endpoint.port, endpoint.address),
    /** The next that comes after the first `count`. */
    async after(count: number): Promise<string> {
      while (heard.length <= count) await once(socket, 'message')
      return heard[count] ?? ''
    },
  }
}

type Changes = Readonly<Record<string, string | null>>

/** A message to the agent; `null` leaves a header out, an empty name is a line as it is. */
function say(port: number, method: string, changes: Changes = {}, body = ''): string {
  const { uri = 'sip:dana.whitfield@127.0.0.1', ...headers } = changes
  const fields = {
    Via: `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK${method}1`,
    From: '<sip:bot@pbx.example>;tag=caller',
    To: '<sip:dana.whitfield@127.0.0.1>',
    'Call-ID': 'call',
    CSeq: `1 ${method}`,
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  }
  const lines = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => (name === '' ? value : `${name}: ${value}`))
  return `${[`${method} ${uri} SIP/2.0`, ...lines, '', body].join('\r\n')}`
}

t.test('each request gets the answer that RFC 3261 has for it', async (t) => {
  const { send, after, heard, port } = await startPeer(t)
  for (const [index, [name, message, expected]] of (
    [
      ['options', say(port, 'OPTIONS'), /^SIP\/2\.0 200 OK\r\n.*Allow: INVITE, ACK/s],
      [
        'no Call-ID',
        say(port, 'INVITE', { 'Call-ID': null }),
        /^SIP\/2\.0 400 Call-ID is missing\r/,
      ],
      ['two To', say(port, 'INVITE', { t: '<sip:x@y>' }), / 400 To is there twice\r/],
      [
        'CSeq of another',
        say(port, 'INVITE', { CSeq: '1 BYE' }),
        / 400 CSeq is of another method\r/,
      ],
      ['CSeq', say(port, 'INVITE', { CSeq: 'x INVITE' }), / 400 CSeq is malformed\r/],
      ['no header', say(port, 'INVITE', { '': 'x y z' }), / 400 A header field is malformed\r/],
      [
        'a body cut off',
        say(port, 'INVITE', { 'Content-Length': '5' }),
        / 400 The body is shorter/,
      ],
      [
        'a length',
        say(port, 'INVITE', { 'Content-Length': '-5' }),
        / 400 Content-Length is malformed/,
      ],
      ['a body', say(port, 'INVITE', { c: 'text/plain' }, 'x'), / 415 .*Accept: application\/sdp/s],
      ['a method', say(port, 'MESSAGE'), / 405 .*Allow: INVITE/s],
      ['an extension', say(port, 'INVITE', { Require: 'uui, x' }), / 420 .*Unsupported: x\r/s],
      ['a telephone number', say(port, 'INVITE', { uri: 'tel:1' }), / 416 /],
      ['no call', say(port, 'BYE'), / 481 /],
      ['no call to change', say(port, 'INVITE', { To: '<sip:a@b>;tag=x' }), / 481 /],
      ['nothing to cancel', say(port, 'CANCEL'), / 481 /],
    ] as const
  ).entries()) {
    send(message.replace(/branch=\S+/, `branch=z9hG4bK${index}`))
    const answer = await after(index)
    t.match(answer, expected, name)
    t.match(answer, `branch=z9hG4bK${index};received=127.0.0.1\r\n`)
    t.match(answer, /^To: .*;tag=\w+\r$/m, 'a dialog can be told')
    t.match(answer, /\r\nContent-Length: 0\r\n\r\n$/)
  }
  t.equal(heard.length, 15)
})

t.test('junk ends nothing, and gets no answer that could go astray', async (t) => {
  const { send, after, heard, port, calls } = await startPeer(t)
  const whole = say(port, 'OPTIONS')
  const junk: (string | Buffer)[] = [
    '',
    '\r\n\r\n',
    '\0'.repeat(1000),
    Buffer.from([0xff, 0xfe, ...Buffer.from('\r\n\r\n')]),
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'SIP/2.0 200 OK\r\n\r\n',
    `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\n\r\n`,
    whole.slice(0, -2),
    say(port, 'OPTIONS', { Via: null }),
    say(port, 'OPTIONS', { Via: 'SIP/2.0/TCP x' }),
    say(port, 'ACK'),
    Buffer.alloc(60_000, 'INVITE '),
    `INVITE sip:x SIP/2.0\r\n${'v:"'.repeat(20_000)}\r\n\r\n`,
    `INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x${'; rport '.repeat(7000)}z\r\n\r\n`,
  ]
  for (let at = 1; at < whole.length - 20; at += 7)
    junk.push(`${whole.slice(0, at)}\0${whole.slice(at + 9)}`)
  let count = 0
  for (const [index, datagram] of junk.entries()) {
    send(datagram)
    // Its Via names a port that is none.
    const Via = `SIP/2.0/UDP 127.0.0.1:0;branch=z9hG4bK-${index}`
    send(say(port, 'OPTIONS', { Via, 'Call-ID': `after ${index}` }))
    while (!(await after(count)).includes(`Call-ID: after ${index}\r`)) count += 1
    t.match(heard[count], /^SIP\/2\.0 200 OK\r/, `after ${JSON.stringify(datagram).slice(0, 40)}`)
  }
  t.strictSame(calls, [])
})

t.test('what is lost on the way is sent again, and what comes twice counts once', async (t) => {
  const { send, after, heard, port, calls } = await startPeer(t, 50)
  const invite = say(port, 'INVITE')
  send(invite)
  await after(0)
  send(invite)
  t.equal(await after(1), heard[0], 'the same answer')
  t.equal(calls.length, 1)
  const [call] = calls
  call?.ring()
  t.match(await after(2), /^SIP\/2\.0 180 /)
  const tag = /^To: .*(;tag=\w+)\r$/m.exec(heard[2] ?? '')?.[1] ?? ''
  call?.answer()
  t.match(await after(3), /^SIP\/2\.0 200 /)
  t.equal(await after(4), heard[3], 'nobody has acknowledged it')
  const to = `<sip:dana.whitfield@127.0.0.1>${tag}`
  const via = `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK2`
  send(say(port, 'CANCEL'))
  send(say(port, 'ACK', { To: to, Via: via }))
  send(say(port, 'INVITE', { To: to, Via: via }))
  const from = heard.length
  let at = from - 1
  while (!/ 488 /.test(await after(at))) at += 1
  t.equal(call?.state(), 'open', 'too late to cancel')
  send(say(port, 'ACK', { To: to, Via: via }))
  call?.hangUp()
  while (!/^BYE sip:bot@pbx\.example SIP/.test(await after(at))) at += 1
  t.match(await after(at + 1), /^BYE /, 'until it is answered')
  const bye = heard[at] ?? ''
  const answer = bye.replace(/^.*\r\n/, 'SIP/2.0 200 OK\r\n')
  send(answer)
  t.equal(await call?.ended, 'hung-up')
})

t.test('a flood keeps no caller from giving up', async (t) => {
  const { send, after, heard, port, calls } = await startPeer(t)
  send(say(port, 'INVITE'))
  await after(0)
  calls[0]?.ring()
  await after(1)
  for (let index = 2; index < 520; index += 1) {
    const Via = `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK-${index}`
    send(say(port, index % 2 === 0 ? 'OPTIONS' : 'CANCEL', { Via }))
    await after(index)
  }
  t.same(
    heard.filter((answer) => answer.startsWith('SIP/2.0 503')),
    [],
  )
  send(say(port, 'CANCEL', { Via: `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKINVITE1` }))
  t.match(await after(520), /^SIP\/2\.0 200 /)
  t.equal(calls[0]?.state(), 'over')
  const full = (): string | undefined => heard.find((answer) => answer.startsWith('SIP/2.0 503'))
  // A slow machine forgets the first before the last.
  for (let index = 0; full() === undefined; index += 1) {
    const Via = `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK--${index}`
    send(say(port, 'INVITE', { Via, To: '<sip:a@b>;tag=x' }))
    await after(heard.length)
  }
  t.match(full(), /^Retry-After: 5\r$/m, 'what is kept has a bound')
})

t.test('no call waits for ever', async (t) => {
  const { send, after, heard, port, calls } = await startPeer(t, 5)
  send(say(port, 'INVITE'))
  while (calls.length < 1) await after(heard.length)
  calls[0]?.answer()
  const Via = `SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKother`
  send(say(port, 'INVITE', { Via, 'Call-ID': 'other', Expires: '1' }))
  while (calls.length < 2) await after(heard.length)
  calls[1]?.ring()
  t.equal(await calls[0]?.ended, 'lost', 'nobody ever acknowledges the answer')
  t.equal(await calls[1]?.ended, 'expired')
})

interface Shown {
  readonly call: null | {
    readonly state: string
    readonly sessionId: string
    readonly link: string
  }
  readonly said: string
}

/** What the desktop's page shows, and what it asks. */
async function startDesk(t: Test, { desktop }: Demo) {
  const ask = (method: string, path: string, origin = desktop.origin): ReturnType<typeof request> =>
    request({ host: '127.0.0.1', port: desktop.port, method, path, headers: { origin } })
  const stream = ask('GET', '/desk').end()
  t.teardown(() => stream.destroy())
  const [response] = await once(stream, 'response')
  // It is cut off with the test.
  response.on('error', () => {})
  const shown: Shown[] = []
  const waiting = new Set<() => void>()
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => {
    const events = `${text}${chunk}`.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) shown.push(JSON.parse(event.replace('data: ', '')))
    for (const check of waiting) check()
  })
  return {
    async post(path: string, origin?: string): Promise<number> {
      const [answer] = await once(ask('POST', path, origin).end(), 'response')
      answer.resume()
      return answer.statusCode
    },
    /** What it shows now, or as soon as it is so. */
    shows: (matches: (shown: Shown) => boolean): Promise<Shown> =>
      new Promise((resolve) => {
        const check = (): void => {
          const last = shown.at(-1)
          if (last === undefined || !matches(last)) return
          waiting.delete(check)
          resolve(last)
        }
        waiting.add(check)
        check()
      }),
  }
}

/** The status of a link, at the gateway of its own name. */
async function get({ gateway }: Demo, { pathname, search, host }: URL): Promise<number> {
  const path = pathname + search
  const sent = request({ host: '127.0.0.1', port: gateway.port, path, headers: { host } }).end()
  const [response] = await once(sent, 'response')
  response.resume()
  return response.statusCode
}
