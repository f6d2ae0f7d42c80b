/** One `uui-value` of a header (RFC 7433 §4.1). */
export interface UuiValue {
  /** As it stands there; without its quotes, if it had any. */
  readonly data: string
  readonly quoted: boolean
  /** By their names in small letters. */
  readonly parameters: ReadonlyMap<string, string>
}

export interface Line {
  /** The header's name in small letters; null where the line has none. */
  readonly name: string | null
  readonly value: string
}

/** The lines of a text, a header or none each; folded ones are one (RFC 3261 §7.3.1). */
export function readLines(text: string): Line[] {
  const lines = text.replace(/(?:\r\n|[\r\n])[ \t]+/g, ' ').split(/[\r\n]+/)
  return lines.map(readLine).filter(({ value }) => value !== '')
}

function readLine(text: string): Line {
  // `https://` is no header's name.
  const [head = ''] = /^\s*[a-z][\w.!%*+`'~-]*[ \t]*:(?!\/\/)/i.exec(text) ?? []
  const name = head === '' ? null : head.slice(0, -1).trim().toLowerCase()
  return { name, value: text.slice(head.length).trim() }
}

/** The values of one header; null where quotes stay open or a parameter is there twice. */
export function readValues(text: string): UuiValue[] | null {
  const values: UuiValue[] = []
  for (const piece of splitOutside(text, ',') ?? [openQuote]) {
    const value = readValue(piece)
    if (value === null) return null
    if (value.data !== '') values.push(value)
  }
  return values
}

/** One value and its parameters; null as before. */
export function readValue(text: string): UuiValue | null {
  const [first = '', ...rest] = splitOutside(text, ';') ?? [openQuote]
  const data = unquote(first)
  const parameters = new Map<string, string>()
  for (const piece of rest) {
    const [name = '', ...after] = piece.split('=')
    const key = name.trim().toLowerCase()
    const value = unquote(after.join('=').trim())
    if (value === null || parameters.has(key)) return null
    parameters.set(key, value)
  }
  return data === null ? null : { data, quoted: first.startsWith('"'), parameters }
}

const openQuote = '"'

/** The pieces between separators that stand outside quotes; null where quotes stay open. */
function splitOutside(text: string, separator: string): string[] | null {
  const pieces: string[] = []
  let begin = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    if (quoted && text[at] === '\\') at += 1
    else if (text[at] === '"') quoted = !quoted
    else if (text[at] === separator && !quoted) {
      pieces.push(text.slice(begin, at).trim())
      begin = at + 1
    }
  }
  pieces.push(text.slice(begin).trim())
  return quoted ? null : pieces
}

/** A token as it is, a quoted string's text (RFC 3261 §25.1); null for what is neither. */
function unquote(text: string): string | null {
  if (!text.includes('"')) return text
  const [, inner] = /^"((?:[^"\\]|\\.)*)"$/s.exec(text) ?? []
  return inner?.replace(/\\(.)/gs, '$1') ?? null
}
