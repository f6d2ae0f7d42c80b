// How the parsers of real back ends read one and the same query. Those that are not JavaScript are
// models, written after their sources and compared with the real ones where the facts are kept,
// the-models-read-as-the-real-ones.test.ts.
import { parse as parseNode } from 'node:querystring'
import { type IParseOptions, parse as parseQs } from 'qs'

/** What a handler gets for a name: undefined for nothing, else a text or whatever stands there. */
export type Reading = (name: string) => unknown

export interface BackEnd {
  readonly name: string
  /** `query` is raw, without `?`; null where the back end answers 400 to it. */
  readonly read: (query: string) => Reading | null
}

type Pair = readonly [name: string, value: string | null]

export const backEnds: readonly BackEnd[] = [
  { name: 'WHATWG URL', read: (query) => all(new URL(`http://h/?${query}`).searchParams) },
  { name: 'WHATWG URLSearchParams', read: (query) => all(new URLSearchParams(query)) },
  { name: 'node:querystring', read: (query) => member(parseNode(query)) },
  { name: 'qs', read: qs({}) },
  { name: 'qs, allowPrototypes (Express)', read: qs({ allowPrototypes: true }) },
  { name: 'qs, plainObjects', read: qs({ plainObjects: true }) },
  { name: 'qs, ignoreQueryPrefix', read: qs({ ignoreQueryPrefix: true }) },
  { name: 'qs, no arrays, no depth', read: qs({ parseArrays: false, depth: 0 }) },
  { name: 'qs, [&;]', read: qs({ delimiter: /[&;]/ }) },
  { name: 'PHP', read: (query) => php(split(query, /&/)) },
  { name: 'PHP, arg_separator.input=;&', read: (query) => php(split(query, /[&;]/)) },
  { name: 'Tomcat', read: tomcat },
  { name: "Spring's data binder", read: spring },
  { name: 'ASP.NET', read: aspNet },
  { name: 'Go', read: go },
  { name: 'Rack 2, nested', read: (query) => rack(query, nestRack2) },
  { name: 'Rack 3, nested', read: (query) => rack(query, nestRack3) },
  { name: 'Python', read: (query) => python(query, /&/) },
  { name: 'Python before 3.9.2', read: (query) => python(query, /[&;]/) },
  { name: 'Perl CGI', read: perl },
]

/**
 * qs told to split names at dots reads `userId.x` as a userId, which the contract lets pass: it is
 * an extra parameter to all others.
 */
export const dotted: BackEnd = { name: 'qs, allowDots', read: qs({ allowDots: true }) }

function all(parameters: URLSearchParams): Reading {
  return (name) => one(parameters.getAll(name))
}

/** What stands once is a text, what stands more often a list. */
function one(values: readonly unknown[]): unknown {
  return values.length > 1 ? values : values[0]
}

function member(parsed: object): Reading {
  return (name) => (Object.hasOwn(parsed, name) ? Reflect.get(parsed, name) : undefined)
}

function qs(options: IParseOptions): BackEnd['read'] {
  return (query) => {
    const parsed = parseQs(query, { ...options })
    return (name) => {
      // As handlers do, who see prototypes too.
      const value: unknown = Reflect.get(parsed, name)
      return value
    }
  }
}

function split(query: string, separator: RegExp): Pair[] {
  return query.split(separator).flatMap((piece): Pair[] => {
    if (piece === '') return []
    const equals = piece.indexOf('=')
    return [equals < 0 ? [piece, null] : [piece.slice(0, equals), piece.slice(equals + 1)]]
  })
}

/** Percent signs that lead nowhere stay, and bytes that are no UTF-8 become U+FFFD. */
function lenient(text: string): string {
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

/** null for percent signs that lead nowhere. */
function strict(text: string): string | null {
  return /%(?![\da-f]{2})/i.test(text) ? null : lenient(text)
}

/** main/php_variables.c: php_register_variable_ex, as $_GET and parse_str have it. */
function php(pairs: readonly Pair[]): Reading {
  const variables = new Map<string, unknown>()
  for (const [rawName, rawValue] of pairs) {
    const value = lenient(rawValue ?? '')
    // A C text, which NUL ends.
    const name = (lenient(rawName).split('\0', 1)[0] ?? '').replace(/^ +/, '')
    const bracket = name.indexOf('[')
    const top = (bracket < 0 ? name : name.slice(0, bracket)).replace(/[ .]/g, '_')
    if (top === '') continue
    if (bracket < 0) variables.set(top, value)
    else if (!name.includes(']', bracket)) {
      // No index: what is left of the name is mended too.
      variables.set(`${top}_${name.slice(bracket + 1).replace(/[[ .]/g, '_')}`, value)
    } else {
      const before = variables.get(top)
      variables.set(top, Array.isArray(before) ? [...before, value] : [value])
    }
  }
  return (name) => variables.get(name)
}

/** org.apache.tomcat.util.http.Parameters: processParameters, getParameterValues. */
function tomcatPairs(query: string): [name: string, value: string][] {
  return split(query, /&/).flatMap(([rawName, rawValue]) => {
    const [name, value] = [strict(rawName), strict(rawValue ?? '')]
    // What can't be read is skipped, as is what has no name.
    return name === null || value === null || name === '' ? [] : [[name, value]]
  })
}

function tomcat(query: string): Reading {
  const pairs = tomcatPairs(query)
  return (name) => one(pairs.flatMap(([known, value]) => (known === name ? [value] : [])))
}

/** WebDataBinder and BeanWrapper: `!x` is x's default, `_x` says that x was there, `x[…]` is in x. */
function spring(query: string): Reading {
  const pairs = tomcatPairs(query)
  const valuesOf = (wanted: string): string[] =>
    pairs.flatMap(([name, value]) => (name === wanted ? [value] : []))
  return (name) => {
    const nested = pairs.filter(([known]) => known.startsWith(`${name}[`)).map(String)
    const given = [...valuesOf(name), ...nested]
    if (given.length > 0) return one(given)
    const byDefault = valuesOf(`!${name}`)
    if (byDefault.length > 0) return one(byDefault)
    return valuesOf(`_${name}`).length > 0 ? '' : undefined
  }
}

/** System.Web.HttpValueCollection: names without case, values joined by a comma. */
function aspNet(query: string): Reading {
  const values = new Map<string, string[]>()
  for (const [rawName, rawValue] of split(query, /&/)) {
    // A piece without = is a value without a name.
    if (rawValue === null) continue
    const key = culture(utf16(rawName))
    values.set(key, [...(values.get(key) ?? []), utf16(rawValue)])
  }
  return (name) => values.get(culture(name))?.join(',')
}

/** HttpUtility.UrlDecode knows `%uXXXX` as well. */
function utf16(text: string): string {
  return lenient(
    text.replace(/%u([\da-f]{4})/gi, (_, hex: string) =>
      encodeURIComponent(String.fromCharCode(Number.parseInt(hex, 16)).toWellFormed()),
    ),
  )
}

/** The invariant culture's comparer: what can't be seen does not count. */
function culture(name: string): string {
  return name
    .normalize('NFC')
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cc}]/gu, '')
    .toUpperCase()
}

/** net/url: a pair with `;` or a broken escape is dropped, the rest goes on. */
function go(query: string): Reading {
  const values = new Map<string, string[]>()
  for (const [rawName, rawValue] of split(query, /&/)) {
    const [name, value] = [strict(rawName), strict(rawValue ?? '')]
    if (`${rawName}${rawValue}`.includes(';') || name === null || value === null) continue
    values.set(name, [...(values.get(name) ?? []), value])
  }
  return (name) => one(values.get(name) ?? [])
}

type Params = Map<string, unknown>

/** Rack::QueryParser; null where it raises, which is a 400. */
function rack(
  query: string,
  nest: (params: Params, name: string, value: string | null) => boolean,
): Reading | null {
  const params: Params = new Map()
  const separator = nest === nestRack2 ? /[&;] */ : /& */
  for (const [rawName, rawValue] of split(query, separator)) {
    const [name, value] = [strict(rawName), strict(rawValue ?? '')]
    if (name === null || value === null) return null
    if (!nest(params, name, rawValue === null ? null : value)) return null
  }
  return (name) => params.get(name)
}

/** `normalize_params` of Rack 2: brackets before a name and garbage after it do not count. */
function nestRack2(params: Params, name: string, value: string | null): boolean {
  const [whole = '', key = ''] = /^[[\]]*([^[\]]+)\]*/.exec(name) ?? []
  const after = name.slice(whole.length)
  return key === '' || place(params, key, after, after === '[' ? name : key, value)
}

/** `_normalize_params` of Rack 3, at its outermost level. */
function nestRack3(params: Params, name: string, value: string | null): boolean {
  const bracket = name.indexOf('[', 1)
  const key = bracket < 0 ? name : name.slice(0, bracket)
  const after = bracket < 0 ? '' : name.slice(bracket)
  return key === '' || place(params, key, after, after === '[' ? name : key, value)
}

/** false where a list or a hash is to be put where something else stands. */
function place(
  params: Params,
  key: string,
  after: string,
  flat: string,
  value: string | null,
): boolean {
  if (after === '' || after === '[') {
    params.set(flat, value)
    return true
  }
  const isList = after.startsWith('[]')
  const before = params.get(key) ?? (isList ? [] : {})
  if (typeof before !== 'object' || Array.isArray(before) !== isList) return false
  params.set(key, isList ? [before, value] : { ...before, [after]: value })
  return true
}

/** urllib.parse.parse_qs: blank values are dropped. */
function python(query: string, separator: RegExp): Reading {
  const values = new Map<string, string[]>()
  for (const [rawName, rawValue] of split(query, separator)) {
    if (rawValue === null || rawValue === '') continue
    const name = lenient(rawName)
    values.set(name, [...(values.get(name) ?? []), lenient(rawValue)])
  }
  return (name) => one(values.get(name) ?? [])
}

/** CGI.pm: parse_params. */
function perl(query: string): Reading {
  const values = new Map<string, string[]>()
  for (const [rawName, rawValue] of split(query, /[&;]/)) {
    const name = utf16(rawName)
    values.set(name, [...(values.get(name) ?? []), utf16(rawValue ?? '')])
  }
  return (name) => one(values.get(name) ?? [])
}
