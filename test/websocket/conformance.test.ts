// A socket through the gateway is what it is without: RFC 6455 and 7692, frame for frame.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { constants, deflateRawSync } from 'node:zlib'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { link, listen, startGateway, startUpstream } from '../stage.ts'
import {
  accepting,
  binary,
  bodyOf,
  close,
  closeWith,
  continuation,
  dial,
  type FrameOptions,
  frame,
  handshake,
  heard,
  inWords,
  masked,
  ping,
  pong,
  record,
  said,
  startSockets,
  wire,
} from './peer.ts'

/** A frame, which either side may send as it has to. */
type Part = readonly [payload: string | Buffer, options?: FrameOptions]
type Case = readonly [name: string, ...parts: Part[]]

const x = (count: number): string => 'x'.repeat(count)
const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')
const more = { opcode: continuation, fin: false } as const
const last = { opcode: continuation } as const
const first = { fin: false } as const

function closing(code: number, reason: string | Buffer = ''): Part {
  return [
    Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]),
    { opcode: close },
  ]
}

/** What the peers of these cases take at most; the gateway takes more. */
const maxPayload = 200_000

const cases: readonly Case[] = [
  // §5.2
  ...[0, 1, 125, 126, 127, 128, 65_535, 65_536, maxPayload].flatMap((length): Case[] => [
    [`text of ${length}`, [x(length)]],
    [`binary of ${length}`, [Buffer.alloc(length, 0xfe), { opcode: binary }]],
  ]),
  ['a longer length than need be', ['hello', { lengthBytes: 2 }]],
  ['a much longer length than need be', ['hello', { lengthBytes: 8 }]],
  ['more than the peer takes', [x(maxPayload + 1)]],
  ['more than the peer takes, in fragments', [x(maxPayload), first], ['x', last]],
  ['many messages', ...Array.from({ length: 50 }, (_, i): Part => [`message ${i}`])],
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((rsv): Case[] => [
    [`reserved bits ${rsv}`, ['before'], ['hello', { rsv }]],
    [`reserved bits ${rsv} on a ping`, ['hello', { rsv, opcode: ping }]],
    [`reserved bits ${rsv} on a close`, ['', { rsv, opcode: close }]],
    [`reserved bits ${rsv} on a fragment`, ['hel', first], ['lo', { ...last, rsv }]],
  ]),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): Case[] => [
    [`opcode ${opcode}`, ['before'], ['', { opcode }], ['behind']],
    [`opcode ${opcode} with a payload`, ['hello', { opcode }]],
    [`opcode ${opcode} between fragments`, ['hel', first], ['', { opcode }], ['lo', last]],
  ]),
  // §5.4
  ['two fragments', ['hel', first], ['lo', last]],
  ['fragments of nothing', ['', first], ['', more], ['', last]],
  ['fragments, one of nothing', ['hel', first], ['', more], ['lo', last]],
  ['binary fragments', ['hel', { fin: false, opcode: binary }], ['lo', last]],
  ['a hundred fragments', ['x', first], ...Array<Part>(99).fill(['x', more]), ['x', last]],
  ['a ping between', ['hel', first], ['p', { opcode: ping }], ['lo', last]],
  ['a pong between', ['hel', first], ['p', { opcode: pong }], ['lo', last]],
  [
    'pings everywhere',
    ...['hel', 'l', 'o'].flatMap((part, i): Part[] => [
      [part, i === 0 ? first : more],
      [part, { opcode: ping }],
    ]),
    ['', last],
  ],
  ['a close between', ['hel', first], closing(1000), ['lo', last]],
  ['a continuation of nothing', ['hello', last]],
  ['a continuation of nothing, to be continued', ['hello', more]],
  ['a continuation of a whole message', ['hello'], ['lo', last]],
  ['a continuation of a message that has ended', ['hel', first], ['lo', last], ['lo', last]],
  ['a message within a message', ['hel', first], ['hello']],
  ['a binary message within a message', ['hel', first], ['hello', { opcode: binary }]],
  ['a first fragment within a message', ['hel', first], ['hel', first]],
  // §5.5
  ['a ping of nothing', ['', { opcode: ping }]],
  ['a ping of 125', [x(125), { opcode: ping }]],
  ['a ping of 126', [x(126), { opcode: ping }]],
  ['a ping that is no text', [hex('00fffefdfcfb00ff'), { opcode: ping }]],
  ['ten pings', ...Array.from({ length: 10 }, (_, i): Part => [`ping ${i}`, { opcode: ping }])],
  ['a pong of nothing', ['', { opcode: pong }]],
  ['a pong that nobody asked for', ['pong', { opcode: pong }], ['ping', { opcode: ping }]],
  ['a pong of 126', [x(126), { opcode: pong }]],
  ['a ping in fragments', ['pi', { opcode: ping, fin: false }], ['ng', last]],
  ['a pong in fragments', ['po', { opcode: pong, fin: false }], ['ng', last]],
  ['a close in fragments', ['', { opcode: close, fin: false }], ['', last]],
  // §5.5.1 and §7.4
  ['a close of nothing', ['', { opcode: close }]],
  ['a close of one byte', ['x', { opcode: close }]],
  ['a close of 125', closing(1000, x(123))],
  ['a close of 126', closing(1000, x(124))],
  [
    'a close whose reason is no UTF-8',
    closing(1000, hex('cebae1bdb9cf83cebcceb5eda080656469746564')),
  ],
  ...[
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
  ].flatMap((code): Case[] => [
    [`close ${code}`, closing(code)],
    [`close ${code} and why`, ['before'], closing(code, 'grüße')],
  ]),
  ['two closes', closing(1000), closing(1001)],
  ['a message after the close', closing(1000), ['too late']],
  ['a ping after the close', closing(1000), ['too late', { opcode: ping }]],
  // §8.1
  ['UTF-8 of every length', ['ascii é € 😀 \u{10ffff} \u0000 \ufeff \ufffe']],
  ['a code point over two fragments', [hex('ceba'), first], [hex('e1'), more], [hex('bdb9'), last]],
  ...[
    ['cut off', 'cebae1bd'],
    ['a continuation byte alone', '80'],
    ['a start byte alone', 'c3'],
    ['overlong', 'c0af'],
    ['overlong, of three', 'e09fbf'],
    ['overlong, of four', 'f08080af'],
    ['a surrogate', 'eda080'],
    ['a pair of surrogates', 'eda080edb080'],
    ['past U+10FFFF', 'f4908080'],
    ['of five bytes', 'f888808080'],
    ['no UTF-8', 'fe'],
  ].flatMap(([name, bytes = '']): Case[] => [
    [`UTF-8: ${name}`, [hex(`6869${bytes}`)], ['behind']],
    [`UTF-8: ${name}, in fragments`, [hex('6869'), first], [hex(bytes), more], ['', last]],
  ]),
]

const hello = 'hello hello hello hello'
const deflated = (text: string, dictionary?: string): Buffer =>
  deflateRawSync(text, {
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(dictionary === undefined ? {} : { dictionary: Buffer.from(dictionary) }),
  }).subarray(0, -4)

/** RFC 7692, once permessage-deflate is agreed. */
const compressed: readonly Case[] = [
  ['a compressed message', [deflated(hello), { rsv: 4 }]],
  ['one that is not', [hello]],
  [
    'one that takes the last one’s context over',
    [deflated(hello), { rsv: 4 }],
    [deflated(hello, hello), { rsv: 4 }],
  ],
  [
    'in fragments',
    [deflated(hello).subarray(0, 3), { ...first, rsv: 4 }],
    [deflated(hello).subarray(3), last],
  ],
  [
    'with a ping between',
    [deflated(hello).subarray(0, 3), { ...first, rsv: 4 }],
    ['p', { opcode: ping }],
    [deflated(hello).subarray(3), last],
  ],
  ['of nothing', [hex('00'), { rsv: 4 }]],
  [
    'a reserved bit on a later fragment',
    [deflated(hello).subarray(0, 3), { ...first, rsv: 4 }],
    [deflated(hello).subarray(3), { ...last, rsv: 4 }],
  ],
  ['a reserved bit on a ping', ['p', { opcode: ping, rsv: 4 }]],
  ['what does not decompress', [hex('ffffffff'), { rsv: 4 }]],
  [
    'what decompresses to no UTF-8',
    [
      deflateRawSync(hex('c0af'), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
      { rsv: 4 },
    ],
  ],
  ['what decompresses to more than the peer takes', [deflated(x(maxPayload + 1)), { rsv: 4 }]],
]

const event = '42["echo",{"text":"grüße 😀"}]'
const cut = Buffer.from(event).indexOf('ü') + 1
const attached = '451-["echo",{"_placeholder":true,"num":0}]'

/** What a client may say on Copilot's channel, where it is read: any framing of what can be read. */
const packets: readonly Case[] = [
  ['an event', [event]],
  ['a longer length than need be', [event, { lengthBytes: 8 }]],
  ['an event of 64 kB', [`42["${x(65_536)}"]`]],
  ['several packets', ['2probe'], ['5'], ['40'], [event], ['3'], ['41']],
  [
    'an event in fragments',
    [event.slice(0, 1), first],
    [event.slice(1, 5), more],
    [event.slice(5), last],
  ],
  [
    'a code point over two',
    [Buffer.from(event).subarray(0, cut), first],
    [Buffer.from(event).subarray(cut), last],
  ],
  ['fragments of nothing', ['', first], ['', more], [event, more], ['', last]],
  ['a ping before', ['p', { opcode: ping }], [event]],
  ['a ping between fragments', ['4', first], ['p', { opcode: ping }], [event.slice(1), last]],
  [
    'controls everywhere',
    ['4', first],
    [x(125), { opcode: ping }],
    [x(125), { opcode: pong }],
    [event.slice(1), more],
    ['', { opcode: ping }],
    ['', last],
    ['', { opcode: pong }],
  ],
  ['an attachment', [attached], [hex('00ff'), { opcode: binary }]],
  ['an attachment of nothing', [attached], ['', { opcode: binary }]],
  [
    'an attachment in fragments',
    [attached],
    [hex('00'), { opcode: binary, fin: false }],
    ['p', { opcode: ping }],
    [hex('ff'), last],
  ],
  [
    'a fragmented event and its attachment',
    [attached.slice(0, 9), first],
    [attached.slice(9), last],
    [hex('00'), { opcode: binary }],
    [event],
  ],
  ['a close between fragments', ['4', first], closing(1000), [event.slice(1), last]],
  ['an event after the close', closing(1000), [event]],
  ['a close of nothing', ['', { opcode: close }]],
  ['a close of one byte', ['x', { opcode: close }]],
  ['a close whose reason is no UTF-8', closing(1000, hex('c0af'))],
  ...[1000, 1001, 1008, 1012, 3000, 4999, 0, 1005, 65_535].map(
    (code): Case => [`close ${code}`, [event], closing(code, 'grüße')],
  ),
]

const protocol = 'close 1002 protocol-error'
const reserved = 'close 1002 reserved-bit'
const mismatch = 'close 1008 session-mismatch'
const tooLarge = 'close 1009 message-too-large'

/** What no client may say there, and with what the gateway closes. */
const refused: readonly (readonly [close: string, ...Case])[] = [
  ...[1, 2, 3, 4, 5, 6, 7].map(
    (rsv) => [reserved, `reserved bits ${rsv}`, [event, { rsv }]] as const,
  ),
  [reserved, 'a reserved bit on a control', ['', { rsv: 4, opcode: ping }]],
  [reserved, 'a reserved bit on a close', ['', { rsv: 4, opcode: close }]],
  [reserved, 'a reserved bit on a fragment', ['4', first], [event.slice(1), { ...last, rsv: 4 }]],
  [reserved, 'a reserved bit without a mask', [event, { rsv: 4, mask: false }]],
  [protocol, 'a message without a mask', [event, { mask: false }]],
  [protocol, 'a ping without a mask', ['', { opcode: ping, mask: false }]],
  [protocol, 'a close without a mask', ['', { opcode: close, mask: false }]],
  [protocol, 'a fragment without a mask', ['4', first], [event.slice(1), { ...last, mask: false }]],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
    [protocol, `opcode ${opcode}`, [event, { opcode }]] as const,
    [protocol, `opcode ${opcode} between fragments`, ['4', first], ['', { opcode }]] as const,
  ]),
  [protocol, 'a continuation of nothing', [event, last]],
  [protocol, 'a continuation of nothing, to be continued', [event, more]],
  [
    protocol,
    'a continuation of a message that has ended',
    ['4', first],
    [event.slice(1), last],
    ['', last],
  ],
  [protocol, 'a message within a message', ['4', first], [event]],
  [protocol, 'a message within a message of nothing', ['', first], [event]],
  [protocol, 'an attachment within a message', ['4', first], ['', { opcode: binary }]],
  [protocol, 'a ping in fragments', ['p', { opcode: ping, fin: false }]],
  [protocol, 'a close in fragments', ['', { opcode: close, fin: false }]],
  [protocol, 'a ping of 126', [x(126), { opcode: ping }]],
  [protocol, 'a pong of 126', [x(126), { opcode: pong }]],
  [protocol, 'a close of 126', closing(1000, x(124))],
  [
    protocol,
    'a ping whose length is longer than need be and can be',
    ['', { opcode: ping, says: 2 ** 40 }],
  ],
  ...[
    ['cut off', 'c3'],
    ['a continuation byte alone', '80'],
    ['overlong', 'c0af'],
    ['a surrogate', 'eda080'],
    ['past U+10FFFF', 'f4908080'],
    ['no UTF-8', 'fe'],
  ].flatMap(([name, bytes = '']) => {
    const said = Buffer.concat([Buffer.from('42["'), hex(bytes), Buffer.from('"]')])
    return [
      [mismatch, `UTF-8: ${name}`, [said]] as const,
      [
        mismatch,
        `UTF-8: ${name}, in fragments`,
        [said.subarray(0, 5), first],
        [said.subarray(5), last],
      ] as const,
    ]
  }),
  [mismatch, 'UTF-8: cut off at the end', [Buffer.from(event).subarray(0, cut)]],
  [mismatch, 'an attachment of nothing that was said', ['', { opcode: binary }]],
  [tooLarge, 'more than WS_MAX_PAYLOAD', [`42["${x(1024)}"]`]],
  [tooLarge, 'a length of 2⁶³', ['', { says: 2n ** 63n }]],
  [tooLarge, 'an attachment of 2³²', [attached], ['', { opcode: binary, says: 2 ** 32 }]],
  [tooLarge, 'fragments that sum up to more', [x(600), first], [x(400), more], [x(25), more]],
  [tooLarge, 'more fragments than bytes', ['', first], ...Array<Part>(1024).fill(['', more])],
]

t.test('what a client says, as a server hears it', async (t) => {
  const http = createServer()
  const server = new WebSocketServer({
    server: http,
    maxPayload,
    perMessageDeflate: { threshold: 0, zlibDeflateOptions: { level: 1 } },
  })
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const direct = await listen(http)
  t.teardown(() => http.close())
  const { port: through } = await startGateway(t, `http://127.0.0.1:${direct}`)
  const extension = { 'Sec-WebSocket-Extensions': 'permessage-deflate' }

  /** What both ends heard. */
  const play = async (
    port: number,
    pieces: readonly Buffer[],
    headers: Readonly<Record<string, string>>,
    target = link({}, '/ws'),
  ): Promise<readonly [Buffer, readonly string[]]> => {
    const connected = once(server, 'connection')
    const client = await dial(t, port)
    client.socket.setNoDelay(true)
    client.socket.write(handshake(port, target, headers))
    const [accepted] = await connected
    const events = record(accepted)
    const closed = new Promise((resolve) => accepted.on('close', resolve))
    for (const piece of pieces) client.socket.write(piece)
    await client.until((bytes) => closeIn(bodyOf(bytes)))
    client.socket.end()
    await closed
    return [bodyOf(await client.ended), events]
  }

  const wrong: readonly Case[] = [['a frame without a mask', ['hello']]]
  const rows = [
    ...cases.map((row) => [row, masked, {}] as const),
    ...wrong.map((row) => [row, frame, {}] as const),
    ...compressed.map((row) => [row, masked, extension] as const),
  ]
  for (const [[name, ...parts], make, headers] of rows) {
    for (const [how, pieces] of ways(parts, make)) {
      const [without, withIt] = [
        await play(direct, pieces, headers),
        await play(through, pieces, headers),
      ]
      t.ok(withIt[0].equals(without[0]), `${name}, ${how}: ${inWords(withIt[0])}`)
      t.same(withIt[1], without[1], `${name}, ${how}, at the server`)
    }
  }

  for (const [name, ...parts] of packets) {
    for (const [how, pieces] of ways(parts, masked)) {
      const target = link({}, '/socket.io/')
      const [without, withIt] = [
        await play(direct, pieces, {}, target),
        await play(through, pieces, extension, target),
      ]
      t.ok(withIt[0].equals(without[0]), `read: ${name}, ${how}: ${inWords(withIt[0])}`)
      t.same(withIt[1], without[1], `read: ${name}, ${how}, at the server`)
    }
  }
})

t.test('what a server says, as a client hears it', async (t) => {
  const said: { bytes: readonly Buffer[]; lines: readonly string[] }[] = []
  const heard: Promise<readonly string[]>[] = []
  const upstream = await startUpstream(t, undefined, (request, socket) => {
    const { bytes = [], lines = [] } = said.shift() ?? {}
    const server = wire(socket)
    socket.write(accepting(request, ...lines))
    for (const piece of bytes) socket.write(piece)
    heard.push(
      server
        .until(closeIn)
        .then(() => socket.end())
        .then(() => server.ended)
        .then(inWords),
    )
  })
  const { port: through } = await startGateway(t, upstream.origin)

  const play = async (
    port: number,
    path: string,
    bytes: readonly Buffer[],
    lines: readonly string[],
  ): Promise<readonly (readonly string[])[]> => {
    said.push({ bytes, lines })
    const client = new WebSocket(`ws://127.0.0.1:${port}${link({}, path)}`, { maxPayload })
    const events = record(client)
    await new Promise((resolve) => client.on('close', resolve))
    const [words = []] = await Promise.all(heard.splice(0))
    return [events, words]
  }

  const agreed = ['Sec-WebSocket-Extensions: permessage-deflate']
  const wrong: readonly Case[] = [['a masked frame', ['hello']]]
  const rows = [
    ...cases.map((row) => [row, frame, []] as const),
    ...wrong.map((row) => [row, masked, []] as const),
    ...compressed.map((row) => [row, frame, agreed] as const),
  ]
  for (const [[name, ...parts], make, lines] of rows) {
    for (const [how, pieces] of ways(parts, make)) {
      const without = await play(upstream.port, '/ws', pieces, lines)
      t.same(await play(through, '/ws', pieces, lines), without, `${name}, ${how}: ${without}`)
      // No extension is agreed there, but a server's frames pass unread.
      if (lines.length > 0) continue
      t.same(
        await play(through, '/socket.io/', pieces, []),
        without,
        `${name}, ${how}, on /socket.io/`,
      )
    }
  }
})

t.test('what no client may say where it is read', async (t) => {
  const stage = await startSockets(t, { WS_MAX_PAYLOAD: '1kb' })
  for (const [expected, name, ...parts] of refused) {
    for (const [how, pieces] of ways([['2'], ...parts], masked)) {
      const { client, upstream } = await stage.pair(link({}, '/socket.io/'))
      client.socket.setNoDelay(true)
      for (const piece of pieces) client.socket.write(piece)
      const passed = upstream.until((bytes) =>
        inWords(bytes).includes('close 1000 done') ? bytes : null,
      )
      await Promise.race([client.ended, passed.catch(() => client.ended)])
      t.same(inWords(bodyOf(client.bytes())), [expected], `${name}, ${how}`)
      client.socket.end()
      const words = inWords(await upstream.ended)
      upstream.socket.end()
      t.equal(words.at(0), 'text 2', 'what was said before goes on')
      t.equal(words.at(-1), expected, 'the upstream is told as well')
      t.ok(words.length <= parts.length + 1, 'and nothing of what is wrong')
    }
  }
})

t.test('a control frame does not wait for the message around it', async (t) => {
  const stage = await startSockets(t)
  const pair = await stage.pair(link({}, '/socket.io/'))
  const { client, upstream } = pair
  client.socket.write(Buffer.concat([masked('42["ec', first), masked('p', { opcode: ping })]))
  t.same(await heard(pair, 1), ['ping p'])
  upstream.socket.write(frame('p', { opcode: pong }))
  t.same(await said(pair, 1), ['pong p'])
  client.socket.write(Buffer.concat([masked('ho', more), masked('q', { opcode: pong })]))
  t.same(await heard(pair, 2), ['ping p', 'pong q'])
  client.socket.write(masked('"]', last))
  t.same(await heard(pair, 5), [
    'ping p',
    'pong q',
    'text… 42["ec',
    'continuation… ho',
    'continuation "]',
  ])
  client.socket.write(Buffer.concat([masked('4', first), closeWith(1000, 'bye', { mask: true })]))
  t.same((await heard(pair, 6)).at(-1), 'close 1000 bye')
  upstream.socket.end(closeWith(1000, 'bye'))
  await client.ended
  client.socket.end()
  const [, closed] = await stage.gateway.audited(2)
  t.match(closed, { socket: 'close', ended: 'client' }, 'who closed first')
})

/** The frames at once and split up, with a close behind them. */
function ways(
  parts: readonly Part[],
  make: (payload: string | Buffer, options?: FrameOptions) => Buffer,
): readonly (readonly [how: string, pieces: readonly Buffer[]])[] {
  const bytes = Buffer.concat([...parts, closing(1000, 'done')].map((part) => make(...part)))
  const size = Math.ceil(bytes.length / 200)
  const count = Math.ceil(bytes.length / size)
  return [
    ['at once', [bytes]],
    ['split up', Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size))],
  ]
}

/** Whether a close frame is among the bytes; null where more have to come. */
function closeIn(bytes: Buffer): true | null {
  return inWords(bytes).some((word) => word.startsWith('close')) || null
}
