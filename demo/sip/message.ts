// SIP messages as they stand in datagrams (RFC 3261). No package for it is kept up: `sip` had its last
// version years ago and has no licence, drachtio's wants a server of its own beside it, and SIP.js and
// JsSIP are for browsers, over WebSockets.

/** A header field. */
export interface Field {
  /** The long form in small letters. */
  readonly name: string
  /** On one line, whose ends have no white space. */
  readonly value: string
}

export interface SipRequest {
  readonly kind: 'request'
  readonly method: string
  readonly uri: string
  readonly fields: readonly Field[]
  readonly body: string
  /** What keeps it from being answered well; null where nothing does. */
  readonly fault: string | null
}

export interface SipResponse {
  readonly kind: 'response'
  readonly status: number
  readonly fields: readonly Field[]
}

/** Where an answer goes, and what tells requests apart: the topmost Via (§18.2.1, RFC 3581). */
export interface Via {
  readonly sentBy: string
  /** Null where what it names is none. */
  readonly port: number | null
  readonly branch: string
  /** Whether answers go to the port that the request came from. */
  readonly rport: boolean
}

/** Reads a datagram; null for what is no SIP message, keep-alives among it. */
export function parseMessage(datagram: Buffer): SipRequest | SipResponse | null {
  const begin = datagram.findIndex((byte) => byte !== 0x0d && byte !== 0x0a)
  const end = datagram.indexOf('\r\n\r\n', begin)
  if (begin === -1 || end === -1) return null
  let head: string
  try {
    head = new TextDecoder('utf-8', { fatal: true }).decode(datagram.subarray(begin, end))
  } catch {
    return null
  }
  // §7.3.1: a line that begins with white space goes on with the one before.
  const [start = '', ...lines] = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n')
  const read = lines.map(parseField)
  const fields = read.filter((field) => field !== null)
  const [, code] = /^SIP\/2\.0 ([1-6]\d\d) /i.exec(start) ?? []
  if (code !== undefined) return { kind: 'response', status: Number(code), fields }
  const [, method, uri] = /^([\w.!%*+`'~-]+) ([^\s<>"]+) SIP\/2\.0$/i.exec(start) ?? []
  if (method === undefined || uri === undefined) return null
  const rest = datagram.subarray(end + 4)
  const length = Number(valueIn(fields, 'content-length') ?? rest.length)
  const body = rest.subarray(0, length).toString()
  const fault =
    fields.length < read.length
      ? 'A header field is malformed'
      : (faultOf(method, fields) ?? faultOfLength(length, rest))
  return { kind: 'request', method, uri, fields, body, fault }
}

/** §7.3.3, §20, and RFC 3515. */
const compact: Readonly<Record<string, string>> = {
  c: 'content-type',
  e: 'content-encoding',
  f: 'from',
  i: 'call-id',
  k: 'supported',
  l: 'content-length',
  m: 'contact',
  r: 'refer-to',
  s: 'subject',
  t: 'to',
  v: 'via',
}

function parseField(line: string): Field | null {
  const [, written = '', value = ''] = /^([\w.!%*+`'~-]+)[ \t]*:(.*)$/.exec(line) ?? []
  const name = written.toLowerCase()
  return name === '' ? null : { name: compact[name] ?? name, value: value.trim() }
}

/** §8.1.1; what may be there once only says otherwise which of two is meant. */
function faultOf(method: string, fields: readonly Field[]): string | null {
  for (const [name, written] of [
    ['from', 'From'],
    ['to', 'To'],
    ['call-id', 'Call-ID'],
    ['cseq', 'CSeq'],
  ] as const) {
    const values = fields.filter((field) => field.name === name)
    if (values.length === 0) return `${written} is missing`
    if (values.length > 1) return `${written} is there twice`
  }
  const [, number, ofMethod] = /^(\d{1,10})[ \t]+(\S+)$/.exec(valueIn(fields, 'cseq') ?? '') ?? []
  if (number === undefined || Number(number) >= 2 ** 31) return 'CSeq is malformed'
  return ofMethod === method ? null : 'CSeq is of another method'
}

/** §18.3: bytes past the length are none of the body, but none may be missing. */
function faultOfLength(length: number, rest: Buffer): string | null {
  if (!Number.isSafeInteger(length) || length < 0) return 'Content-Length is malformed'
  return length > rest.length ? 'The body is shorter than its Content-Length' : null
}

/** The first field of a name. */
export function valueIn(fields: readonly Field[], name: string): string | undefined {
  return fields.find((field) => field.name === name)?.value
}

/** The tag of a From or To; empty where it has none. */
export function tagOf(fields: readonly Field[], name: 'from' | 'to'): string {
  const address = valueIn(fields, name) ?? ''
  // Parameters within <…> are the URI's.
  const parameters = address.slice(address.lastIndexOf('>') + 1)
  return /;[ \t]*tag[ \t]*=[ \t]*([^\s;]+)/i.exec(parameters)?.[1] ?? ''
}

/** The URI of a Contact, From or To. */
export function uriOf(address: string): string {
  return /<([^<>]+)>/.exec(address)?.[1] ?? address.replace(/;.*/, '').trim()
}

const firstOfList = /^(?:[^",]|"(?:[^"\\]|\\.)*")*/

/** Null where there is no Via that could be answered over UDP. */
export function viaOf(fields: readonly Field[]): Via | null {
  const [top = ''] = firstOfList.exec(valueIn(fields, 'via') ?? '') ?? []
  const [, host, written = '5060', parameters = ''] =
    /^SIP *\/ *2\.0 *\/ *UDP +(\[[\da-f:.]+\]|[\w.-]+)(?: *: *(\d{1,5}))?[ \t]*(;.*)?$/i.exec(
      top.trim(),
    ) ?? []
  if (host === undefined) return null
  const port = Number(written)
  return {
    sentBy: `${host.toLowerCase()}:${port}`,
    port: port > 0 && port < 65_536 ? port : null,
    branch: /;[ \t]*branch[ \t]*=[ \t]*([^\s;]+)/i.exec(parameters)?.[1] ?? '',
    rport: /;[ \t]*rport[ \t]*(?:=|;|$)/i.test(parameters),
  }
}

/** The Via fields of an answer: the topmost says where the request came from (§18.2.1, RFC 3581 §4). */
export function answeredVia(
  fields: readonly Field[],
  from: { readonly address: string; readonly port: number },
): Field[] {
  return fields
    .filter(({ name }) => name === 'via')
    .map(({ name, value }, index) => {
      if (index > 0) return { name, value }
      const [top = ''] = firstOfList.exec(value) ?? []
      const kept = top.trim().replace(/;[ \t]*(?:rport|received)(?:[ \t]*=[^;]*)?(?=;|$)/gi, '')
      const asked = viaOf(fields)?.rport ? `;rport=${from.port}` : ''
      const rest = value.slice(top.length)
      return { name, value: `${kept};received=${from.address}${asked}${rest}` }
    })
}

/** A message's bytes; its start line and fields have no line ends. */
export function formatMessage(start: string, fields: readonly Field[], body = ''): Buffer {
  const lines = fields.map(({ name, value }) => `${written(name)}: ${value}`)
  const length = `Content-Length: ${Buffer.byteLength(body)}`
  return Buffer.from([start, ...lines, length, '', body].join('\r\n'))
}

function written(name: string): string {
  if (name === 'call-id') return 'Call-ID'
  if (name === 'cseq') return 'CSeq'
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())
}
