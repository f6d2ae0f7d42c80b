import fc from 'fast-check'
import t from 'tap'
import { createCopilotLink } from '../../packages/copilot-link/src/link.ts'
import { formatUui, parseUui, type Uui } from '../../packages/copilot-link/src/uui.ts'

const link = 'https://copilot.example/?userId=agent-7&sessionId=session-1&URLToken=f38791ae'
const signed = `${link}&auth=aaaa.bbbb.cccc`
const short = 'https://l.example/o/Ab3-_fGh1jKlMn0pQrStUv'
const hexOf = (text: string): string => Buffer.from(text).toString('hex')
const hex = hexOf(signed)
const percent = encodeURIComponent(signed)
const found = {
  kind: 'link',
  url: signed,
  userId: 'agent-7',
  sessionId: 'session-1',
  urlToken: 'f38791ae',
  signed: true,
  discriminator: null,
  purpose: null,
  content: null,
}
const warned = (uui: Uui): readonly string[] =>
  'warnings' in uui ? uui.warnings.map(({ warning }) => warning) : []

t.test('a link is found however it is written', (t) => {
  const zero = { encodings: ['hex'], discriminator: 0 }
  const rows: readonly (readonly [string, string, object])[] = [
    ['raw', signed, { encodings: [] }],
    ['in white space', ` \t${signed}\r\n`, { encodings: [] }],
    ['its scheme and host in capitals', signed.replace('https://copilot', 'HTTPS://Copilot'), {}],
    ['quoted', `"${signed}"`, { encodings: ['quoted'] }],
    ['quoted, with escapes', `"${signed.replace('?', '\\?')}"`, { encodings: ['quoted'] }],
    [
      'quoted, with a quote in it',
      `"${signed}&p=a\\",b"`,
      { url: `${signed}&p=a%22,b`, encodings: ['quoted'] },
    ],
    ['percent-encoded', percent, { encodings: ['percent'] }],
    ['percent-encoded in small letters', percent.replace(/%../g, (one) => one.toLowerCase()), {}],
    ['percent-encoded and quoted', `"${percent}"`, { encodings: ['quoted', 'percent'] }],
    ['quotes percent-encoded', encodeURIComponent(`"${signed}"`), { encodings: ['percent'] }],
    ['hex', `${hex};encoding=hex`, { encodings: ['hex'] }],
    ['hex in capitals', `${hex.toUpperCase()};ENCODING=HEX`, { encodings: ['hex'] }],
    ['hex that does not say so', hex, { encodings: ['hex'] }],
    ['hex in quotes', `"${hex}";encoding="hex"`, { encodings: ['quoted', 'hex'] }],
    ['hex after a discriminator', `00${hex};encoding=hex`, zero],
    ['hex after that of IA5', `04${hex};encoding=hex`, { ...zero, discriminator: 4 }],
    ['hex after one that is no text', `c8${hex};encoding=hex`, { ...zero, discriminator: 200 }],
    ['hex with pd', `${hex};pd=00;encoding=hex`, zero],
    ['hex with pd=4', `${hex};encoding=hex;pd=4`, { ...zero, discriminator: 4 }],
    [
      'hex of percent-encoding',
      `00${hexOf(percent)};encoding=hex`,
      { ...zero, encodings: ['hex', 'percent'] },
    ],
    [
      'in the URI of a Refer-To',
      `00${hex}%3Bencoding%3Dhex%3Bpurpose%3Disdn-uui`,
      { encodings: ['percent', 'hex'], discriminator: 0, purpose: 'isdn-uui' },
    ],
    [
      'with all parameters',
      `00${hex} ; Purpose = isdn-uui ;content=isdn-uui; encoding=hex;unknown`,
      { ...zero, purpose: 'isdn-uui', content: 'isdn-uui' },
    ],
    ['first of a list', `00${hex};encoding=hex, 3132;encoding=hex`, zero],
    ['last of a list', `"a,b;c" , , 00${hex};encoding=hex`, zero],
    ['twice in a list', `${hex};encoding=hex,00${hex};encoding=hex`, { encodings: ['hex'] }],
    ['in its header', `User-to-User: 00${hex};encoding=hex`, zero],
    ['in its header, folded', `USER-TO-USER :\r\n 00${hex}\r\n\t;encoding=hex`, zero],
    ['in another header', `X-Custom-Header: ${signed}`, { encodings: [] }],
    [
      'in the headers of a message',
      `INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9, b\r\nSubject: "open\r\nUser-to-User: 00${hex};encoding=hex\r\nX-User-ID: agent-7\r\nX-Custom-Header: call 12345`,
      zero,
    ],
  ]
  for (const [name, text, expected] of rows)
    t.match(parseUui(text), { ...found, ...expected }, name)

  t.match(parseUui(formatUui(short)), { kind: 'short-link', url: short, warnings: [] })
  t.equal(formatUui(short).length - ';encoding=hex'.length < 128, true, 'it fits Genesys')
  t.match(parseUui(link), { kind: 'link', url: link, signed: false })
  t.end()
})

t.test('SIPREC names an agent and a conversation', (t) => {
  const rows: readonly (readonly [string, string, object])[] = [
    ['both', 'X-User-ID: agent-7\r\nX-Session-ID: session-1', { kind: 'ids' }],
    ['in other capitals and order', 'x-session-id:session-1\nX-USER-ID :agent-7', { kind: 'ids' }],
    [
      'among other headers',
      'Via: a\r\nX-User-ID: agent-7\r\nX-Session-ID: session-1\r\nFrom: "b"',
      { kind: 'ids' },
    ],
    [
      'no session',
      'X-User-ID: agent-7\r\nX-Session-ID:',
      { problem: 'link-incomplete', message: 'X-Session-ID is missing' },
    ],
    [
      'no agent',
      'X-Session-ID: session-1',
      { problem: 'link-incomplete', message: 'X-User-ID is missing' },
    ],
    [
      'two agents',
      'X-User-ID: agent-7\r\nX-User-ID: agent-8\r\nX-Session-ID: session-1',
      { problem: 'link-ambiguous' },
    ],
  ]
  const ids = { userId: 'agent-7', sessionId: 'session-1' }
  for (const [name, text, expected] of rows) {
    const uui = parseUui(text)
    t.match(uui, { ...expected, ...(uui.kind === 'ids' ? ids : {}) }, name)
  }
  t.end()
})

t.test('what will go wrong further on is said', (t) => {
  const padded = (length: number): string => {
    const padding = length - `${signed}&p=`.length
    return `${signed}&p=${'a'.repeat(padding)}`
  }
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['nothing', `"${signed}"`, []],
    ['not signed', `"${link}"`, ['not-signed']],
    ['raw', signed, ['raw']],
    ['raw, with its encoding', `${signed};Encoding=ascii`, ['raw']],
    ['raw that says ascii', `${signed};encoding=ascii`, ['raw']],
    ['hex that does not say so', `00${hexOf(short)}`, ['encoding-missing']],
    ['hex that says ascii', `00${hexOf(short)};encoding=ascii`, ['encoding-contradicted']],
    ['text that says hex', `"${signed}";encoding=hex`, ['encoding-contradicted']],
    ['no discriminator', `${hexOf(short)};encoding=hex`, ['discriminator-missing']],
    ['none needed', `X-User-to-User: ${hexOf(short)};encoding=hex`, []],
    ['two discriminators', `00${hexOf(short)};pd=00;encoding=hex`, ['discriminator-twice']],
    ['a pd that is none', `${hexOf(short)};pd=x;encoding=hex`, ['discriminator-missing']],
    ['several values', `"${signed}", "${signed}"`, ['several-values']],
    ['128 characters', `"${padded(128)}"`, []],
    ['129 characters', `"${padded(129)}"`, ['longer-than-genesys']],
    ['255 characters', `"${padded(255)}"`, ['longer-than-genesys']],
    ['256 characters', `"${padded(256)}"`, ['longer-than-genesys', 'longer-than-salesforce']],
    [
      '257 characters',
      `"${padded(257)}"`,
      ['longer-than-genesys', 'longer-than-salesforce', 'longer-than-talkdesk'],
    ],
    [
      '128 characters in hex',
      `00${hexOf(padded(128))};encoding=hex`,
      ['longer-than-genesys', 'longer-than-talkdesk'],
    ],
  ]
  for (const [name, text, expected] of rows) t.same(warned(parseUui(text)), expected, name)
  t.match(parseUui(signed), { warnings: [{ message: /;encoding=ascii/ }] })
  t.notMatch(parseUui(`${signed};encoding=ASCII`), { warnings: [{ message: /Genesys/ }] })
  t.match(parseUui(`"${padded(257)}"`), {
    warnings: [
      { message: /^The value has 257 characters: Genesys Cloud advises at most 128/ },
      { message: /^The link has 257 characters: a field of Salesforce messaging takes 255/ },
      { message: /^The value has 257 characters: Talkdesk takes 256/ },
    ],
  })
  t.end()
})

t.test('what opens nothing is a problem, and is not quoted', (t) => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'empty'],
    ['white space', ' \r\n', 'empty'],
    ['an empty header', 'User-to-User:', 'empty'],
    ['empty values', 'User-to-User: , ;encoding=hex', 'empty'],
    ['too much', `"${signed}${'a'.repeat(8192)}"`, 'too-long'],
    ['an open quote', `"${signed}`, 'malformed'],
    ['a quote within', signed.replace('agent', 'ag"ent'), 'malformed'],
    ['text after quotes', `"${signed}"hex`, 'malformed'],
    ['a parameter twice', `${hex};encoding=hex;Encoding=ascii`, 'malformed'],
    ['an id badly encoded', signed.replace('agent', '%zz'), 'malformed'],
    ['an id that is not UTF-8', signed.replace('agent', '%ff'), 'malformed'],
    ['odd digits', `00${hex}3;encoding=hex`, 'encoding-invalid'],
    ['hex of something else', '3132333435;encoding=hex', 'encoding-invalid'],
    ['hex of two discriminators', `0000${hex};encoding=hex`, 'encoding-invalid'],
    ['hex that is not UTF-8', `00${hex}ff;encoding=hex`, 'encoding-invalid'],
    ['bad percent-encoding', percent.replace('%3A', '%'), 'encoding-invalid'],
    ['a first octet lost in hex', `${hex.slice(2)};encoding=hex`, 'first-octet-lost'],
    ['a first octet lost in text', signed.slice(1), 'first-octet-lost'],
    ['another text', 'call 12345', 'no-link'],
    ['another scheme', 'ftp://copilot.example/', 'no-link'],
    ['no host', 'https://?userId=a', 'no-link'],
    [
      'a line break in it',
      `00${hexOf(signed.replace('agent', 'ag\nent'))};encoding=hex`,
      'no-link',
    ],
    ['layers without end', Array(6).fill(0).reduce(encodeURIComponent, signed), 'no-link'],
    ['a base URL', 'https://copilot.example/', 'link-incomplete'],
    ['cut off', link.slice(0, 60), 'link-incomplete'],
    ['an empty id', signed.replace('agent-7', ''), 'link-incomplete'],
    ['a comma in an id', signed.replace('agent-7', 'agent,7'), 'link-incomplete'],
    ['a short link of other length', short.slice(0, -1), 'link-incomplete'],
    ['an id twice', `${signed}&userId=agent-7`, 'link-ambiguous'],
    ['an id in other capitals', `${signed}&userid=agent-8`, 'link-ambiguous'],
    ['an id after a semicolon', `"${signed}&a;sessionId=s"`, 'link-ambiguous'],
    ['two links', `"${signed}", "${link}"`, 'link-ambiguous'],
    ['ids of another agent', `User-to-User: "${link}"\r\nX-User-ID: agent-8`, 'link-ambiguous'],
    ['ids of another chat', `X-Session-ID: s\r\nUser-to-User: "${link}"`, 'link-ambiguous'],
    [
      'another link in another header',
      `User-to-User: "${signed}"\r\nX-Custom-Header: ${signed.replace('n-1', 'n-2')}`,
      'link-ambiguous',
    ],
    ['a comma that cuts it off', `${signed},smith`, 'malformed'],
    ['a semicolon that cuts it off', `${signed};smith`, 'malformed'],
    ['two headers', `User-to-User: "${link}"\r\nx-user-to-user: "${signed}"`, 'link-ambiguous'],
  ]
  for (const [name, text, problem] of rows) {
    const uui = parseUui(text)
    t.match(uui, { kind: 'problem', problem, message: /^[A-Za-z].{10,}$/ }, name)
    t.notMatch('message' in uui ? uui.message : '', /agent|session-1|f387|bbbb/, name)
  }
  t.match(parseUui(undefined), { problem: 'empty' }, 'a header that is not there')
  // Callers without a compiler may pass anything.
  for (const value of [null, 7, [signed], { uui: signed }]) {
    t.match(Reflect.apply(parseUui, null, [value]), { problem: 'empty' }, JSON.stringify(value))
  }
  t.match(parseUui('https://copilot.example/?userId=a'), {
    message: 'The link has no sessionId, URLToken: it is cut off, or not of Copilot',
  })
  for (const text of ['', 'copilot', 'javascript:alert(1)', 'https://a.example/\n']) {
    t.throws(() => formatUui(text), TypeError)
  }
  const message = 'the form must be hex, hex-pd, quoted or percent'
  t.throws(() => Reflect.apply(formatUui, null, [signed, 'base64']), new TypeError(message))
  t.end()
})

t.test('what is formatted is found again, as it was', (t) => {
  const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })
  const form = fc.constantFrom('hex', 'hex-pd', 'quoted', 'percent')
  const spelled = fc.constantFrom(
    (value: string) => value,
    (value: string) => `User-to-User: ${value}\r\n`,
    (value: string) => `Via: a\r\nUser-to-User:${value};purpose=isdn-uui`,
  )
  const odd = 'https://copilot.example/(a)'
  t.equal(formatUui(odd, 'percent'), 'https%3A%2F%2Fcopilot.example%2F%28a%29')
  const property = fc.property(id, id, id, form, spelled, (userId, sessionId, urlToken, ...how) => {
    const [written, spell] = how
    const url = createCopilotLink({
      baseUrl: 'https://copilot.example/base/',
      userId,
      sessionId,
      urlToken,
      secret: 'the-shared-secret-of-these-properties',
      expiresIn: '1h',
    })
    const value = formatUui(url, written)
    // The grammar of RFC 7433 §4.1.
    const isValue = /^(?:[\w.!%*+`'~-]+|"[^"]*")(?:;[a-z]+=[\da-z]+)*$/.test(value)
    const uui = parseUui(spell(value))
    const same = { kind: 'link', url, userId, sessionId, urlToken, signed: true }
    return isValue && Object.entries(same).every(([name, text]) => Object(uui)[name] === text)
  })
  fc.assert(property, { numRuns: 200 })
  t.end()
})

t.test('no text makes it throw, however long it is', (t) => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom(link, signed, hex, percent, '00', '"', '\\', ';', ',', '=', '%', ' ', '\r\n'),
    fc.constantFrom('User-to-User:', 'X-User-ID:', 'X-Session-ID: s', ';encoding=hex', ';pd=00'),
  )
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(text, (text) => parseUui(text).kind !== undefined),
    { numRuns: 2000 },
  )

  // A quadratic step would take the run past its time-out, and without a bound so would any.
  const longest = 8192
  const repeated = [
    '"',
    '\\',
    ',',
    ';',
    '=',
    ';a=',
    'a:',
    ' ',
    '\r\n ',
    '\r\n',
    '%25',
    '30',
    ':',
    '"a",',
    '&',
    '&auth=',
  ]
  for (const one of repeated) {
    for (const start of ['', link, '"', 'User-to-User:', '"\\']) {
      const text = `${start}${one.repeat(longest)}`.slice(0, longest)
      t.ok(parseUui(text).kind, `${start} ${JSON.stringify(one)}`)
    }
    t.match(parseUui(one.repeat(2 ** 24)), { problem: 'too-long' })
  }
  t.end()
})
