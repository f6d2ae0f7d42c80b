// How back ends read one and the same query: four parsers as they are, the others modelled on their
// sources. A model says what a handler gets, not how fast or how well.
import { parse as parseNode } from 'node:querystring'
import { parse as parseQs } from 'qs'

/** What a handler gets for a name: a text, undefined for nothing, or whatever else stands there. */
type Reading = (name: string) => unknown

export interface BackEnd {
  readonly name: string
  /** `query` is raw, without `?`; null where the back end refuses it. */
  readonly read: (query: string) => Reading | null
}

export const backEnds: readonly BackEnd[] = [
  { name: 'WHATWG URLSearchParams', read: (query) => listed([...new URLSearchParams(query)]) },
  { name: 'node:querystring', read: (query) => membersOf(parseNode(query)) },
  { name: 'qs', read: (query) => membersOf(parseQs(query)) },
  {
    name: 'qs, allowPrototypes',
    read: (query) => membersOf(parseQs(query, { allowPrototypes: true })),
  },
  { name: 'PHP', read: php },
  { name: 'a servlet container', read: servlet },
  { name: 'ASP.NET', read: aspNet },
  { name: 'Rack 2', read: rack },
  { name: 'Python before 3.9.2', read: (query) => listed(split(query, /[&;]/)) },
]

type Pair = readonly [name: string, value: string]

function membersOf(parsed: object): Reading {
  return (name) => (Object.hasOwn(parsed, name) ? Reflect.get(parsed, name) : undefined)
}

function listed(pairs: readonly Pair[]): Reading {
  return (wanted) => {
    const values = pairs.flatMap(([name, value]) => (name === wanted ? [value] : []))
    return values.length > 1 ? values : values[0]
  }
}

/** Decoded leniently: percent signs that lead nowhere stay, bytes that are no UTF-8 become U+FFFD. */
function split(query: string, separator: RegExp): Pair[] {
  return query.split(separator).flatMap((piece): Pair[] => {
    const equals = piece.indexOf('=')
    const [name, value] =
      equals < 0 ? [piece, ''] : [piece.slice(0, equals), piece.slice(equals + 1)]
    return piece === '' ? [] : [[lenient(name), lenient(value)]]
  })
}

function lenient(text: string): string {
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

/** main/php_variables.c: NUL ends a name, `.` and space become `_`, `[` begins an index. */
function php(query: string): Reading {
  const variables = new Map<string, unknown>()
  for (const [rawName, value] of split(query, /&/)) {
    const name = (rawName.split('\0', 1)[0] ?? '').replace(/^ +/, '')
    const [top = ''] = name.replace(/[ .]/g, '_').split('[', 1)
    if (top === '') continue
    if (top.length === name.length) variables.set(top, value)
    else if (name.includes(']', top.length)) variables.set(top, [value])
    else variables.set(`${top}_${name.slice(top.length + 1).replace(/[[ .]/g, '_')}`, value)
  }
  return (name) => variables.get(name)
}

/** Tomcat's Parameters: what can't be decoded is skipped, the rest goes on. */
function servlet(query: string): Reading {
  return listed(split(query.replace(/[^&]*%(?![\da-f]{2})[^&]*/gi, ''), /&/))
}

/** System.Web: names without case, values joined by a comma, and `%uXXXX` is a character. */
function aspNet(query: string): Reading {
  const wide = query.replace(/%u([\da-f]{4})/gi, (_, hex: string) =>
    encodeURIComponent(String.fromCharCode(Number.parseInt(hex, 16)).toWellFormed()),
  )
  const pairs = split(wide, /&/)
  return (wanted) => {
    const same = (name: string): boolean => name.toUpperCase() === wanted.toUpperCase()
    const values = pairs.flatMap(([name, value]) => (same(name) ? [value] : []))
    return values.length > 0 ? values.join(',') : undefined
  }
}

/** Rack::QueryParser: `;` splits too, and brackets before a name do not count. */
function rack(query: string): Reading | null {
  if (/%(?![\da-f]{2})/i.test(query)) return null
  const params = new Map<string, unknown>()
  for (const [name, value] of split(query, /[&;] */)) {
    const [whole = '', key = ''] = /^[[\]]*([^[\]]+)\]*/.exec(name) ?? []
    const after = name.slice(whole.length)
    if (after === '[') params.set(name, value)
    else if (key !== '') params.set(key, after === '' ? value : [value])
  }
  return (name) => params.get(name)
}
