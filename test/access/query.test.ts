import { parse as parseNode } from 'node:querystring'
import t from 'tap'
import { parseQuery, type Query, withoutParameters } from '../../src/access/query.ts'

const names = ['userId', 'sessionId', 'URLToken', 'auth', 'copilotSession'] as const
const none: Query = {
  userId: null,
  sessionId: null,
  URLToken: null,
  auth: null,
  copilotSession: null,
}

t.test('parameters are read as forms write them', (t) => {
  const rows: readonly (readonly [string, string | null, Partial<Query>])[] = [
    ['no query', null, {}],
    ['an empty one', '', {}],
    [
      'all',
      'userId=a&sessionId=b&URLToken=c&auth=d.e.f',
      { userId: 'a', sessionId: 'b', URLToken: 'c', auth: 'd.e.f' },
    ],
    ['in any order', 'auth=d&userId=a', { userId: 'a', auth: 'd' }],
    ['among others', 'x=1&userId=a&y=2', { userId: 'a' }],
    ['among others without a value', 'x&userId=a&y', { userId: 'a' }],
    ['a plus sign is a space', 'userId=a+b', { userId: 'a b' }],
    ['so are several', 'userId=++', { userId: '  ' }],
    ['an encoded plus sign is one', 'userId=a%2Bb', { userId: 'a+b' }],
    ['an encoded space', 'userId=a%20b', { userId: 'a b' }],
    ['an equals sign in the value', 'auth=a=b', { auth: 'a=b' }],
    ['several', 'auth==a==', { auth: '=a==' }],
    ['an encoded equals sign', 'userId=a%3Db', { userId: 'a=b' }],
    ['encoded separators', 'userId=a%26b%3Bc', { userId: 'a&b;c' }],
    ['a ? in the value', 'userId=a?b', { userId: 'a?b' }],
    ['a name of ours in a value', 'userId=sessionId%3Db', { userId: 'sessionId=b' }],
    ['encoded once', 'userId=%2575', { userId: '%75' }],
    ['UTF-8', 'userId=J%C3%BCrgen%20%F0%9F%98%80', { userId: 'Jürgen 😀' }],
    ['not normalized', 'userId=u%CC%88', { userId: 'u\u0308' }],
    ['not folded', 'userId=ABC', { userId: 'ABC' }],
    ['a byte order mark', 'userId=%EF%BB%BFa', { userId: '\uFEFFa' }],
    ['NUL', 'userId=a%00b', { userId: 'a\0b' }],
    ['white space is kept', 'userId=%20a%0A', { userId: ' a\n' }],
    ['an empty value', 'userId=', { userId: '' }],
    ['no value', 'userId', { userId: '' }],
    ['no value, among others', 'a&userId&b', { userId: '' }],
    ['one empty, one not', 'userId=&sessionId=b', { userId: '', sessionId: 'b' }],
    ['empty pieces', '&&userId=a&&', { userId: 'a' }],
    ['an empty name', '=userId&userId=a', { userId: 'a' }],
    ['an equals sign alone', '=&==&userId=a', { userId: 'a' }],
    ['the second mark of two', '?userId=a', {}],
  ]
  for (const [name, query, values] of rows) {
    // `?userId` is one of the names that a lenient parser strips to ours.
    const expected = name === 'the second mark of two' ? null : { ...none, ...values }
    t.strictSame(parseQuery(query), expected, name)
  }
  t.end()
})

t.test('each of ours stands once at most', (t) => {
  for (const name of names) {
    t.not(parseQuery(`${name}=a`), null, `one ${name}`)
    const rows = [
      `${name}=a&${name}=b`,
      `${name}=a&${name}=a`,
      `${name}=&${name}=a`,
      `${name}=a&${name}=`,
      `${name}&${name}=a`,
      `${name}=a&${name}`,
      `${name}&${name}`,
      `${name}=&${name}=`,
      `${name}=a&x=y&${name}=a`,
      `${name}=a&&${name}=a`,
      `${name}=a;${name}=a`,
      `${name}=a&x=y;${name}=b`,
      `x=y;${name}=b&${name}=a`,
      `${name}=a&${encodeFirst(name)}=a`,
    ]
    for (const query of rows) t.equal(parseQuery(query), null, query)
  }
  t.strictSame(parseQuery('x=1&x=2&x=3'), none, 'others as often as they like')
  t.end()
})

function encodeFirst(name: string): string {
  return `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`
}

const upper = (name: string): string => name.toUpperCase()
const lower = (name: string): string => name.toLowerCase()
const encode = (text: string): string => encodeURIComponent(text)
const encodeAll = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
/** Each ASCII letter as the one that lies `offset` above `a`. */
const letters = (name: string, offset: number): string =>
  [...name.toLowerCase()]
    .map((letter) => String.fromCodePoint(offset + letter.charCodeAt(0) - 0x61))
    .join('')

// Who reads each as ours: qs, PHP, Rack, ASP.NET, Spring, servlets, C, a database's collation.
const lookAlikes: readonly (readonly [string, (name: string) => string])[] = [
  ['upper case', upper],
  ['lower case, where ours is mixed', (name) => (lower(name) === name ? upper(name) : lower(name))],
  ['first letter swapped', (name) => swapCase(name.slice(0, 1)) + name.slice(1)],
  ['last letter swapped', (name) => name.slice(0, -1) + swapCase(name.slice(-1))],
  ['percent-encoded whole', encodeAll],
  ['percent-encoded whole, in capitals', (name) => upper(encodeAll(name))],
  ['first letter percent-encoded', encodeFirst],
  ['last letter percent-encoded', (name) => name.slice(0, -1) + encodeAll(name.slice(-1))],
  ['percent-encoded upper case', (name) => encodeAll(upper(name))],
  ['an array', (name) => `${name}[]`],
  ['an array, encoded', (name) => `${name}%5B%5D`],
  ['an array, half encoded', (name) => `${name}[%5D`],
  ['an array, by index', (name) => `${name}[0]`],
  ['an array, by a far index', (name) => `${name}[1000000]`],
  ['an array of arrays', (name) => `${name}[][]`],
  ['an object', (name) => `${name}[a]`],
  ['an object in an object', (name) => `${name}[a][b]`],
  ['an object of a prototype', (name) => `${name}[__proto__]`],
  ['an open bracket', (name) => `${name}[`],
  ['an open bracket and more', (name) => `${name}[abc`],
  ['a closing bracket', (name) => `${name}]`],
  ['brackets around', (name) => `[${name}]`],
  ['brackets around, encoded', (name) => `%5B${name}%5D`],
  ['brackets around, and more', (name) => `[${name}]x`],
  ['brackets around, an object', (name) => `[${name}]x[a]`],
  ['a closing bracket and more', (name) => `${name}]x`],
  ['an object, in upper case', (name) => `${upper(name)}[a]`],
  ['a dot within', (name) => `${name.slice(0, 2)}.${name.slice(2)}`],
  ['a dot, encoded', (name) => `${name.slice(0, 2)}%2e${name.slice(2)}`],
  ['a dot after', (name) => `${name}.`],
  ['a dot before', (name) => `.${name}`],
  ['an underscore', (name) => `${name.slice(0, 3)}_${name.slice(3)}`],
  ['a dash', (name) => `${name.slice(0, 3)}-${name.slice(3)}`],
  ['snake case', (name) => `${name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${lower(letter)}`)}_`],
  ['space before, as +', (name) => `+${name}`],
  ['space before, encoded', (name) => `%20${name}`],
  ['space after, as +', (name) => `${name}+`],
  ['space after, encoded', (name) => `${name}%20`],
  ['space within', (name) => `${name.slice(0, 1)}+${name.slice(1)}`],
  ['tab before', (name) => `%09${name}`],
  ['newline before', (name) => `%0A${name}`],
  ['newline after', (name) => `${name}%0D%0A`],
  ['no-break space after', (name) => `${name}%C2%A0`],
  ['ideographic space before', (name) => `${encode('\u3000')}${name}`],
  ['NUL after', (name) => `${name}%00`],
  ['NUL and more', (name) => `${name}%00x`],
  ['NUL before', (name) => `%00${name}`],
  ['NUL within', (name) => `${name.slice(0, 2)}%00${name.slice(2)}`],
  ['first letter encoded, NUL after', (name) => `${encodeFirst(name)}%00`],
  ['DEL after', (name) => `${name}%7F`],
  ['a question mark before', (name) => `?${name}`],
  ['a question mark before, encoded', (name) => `%3F${name}`],
  ['an encoded #', (name) => `${name}%23`],
  ['an encoded &', (name) => `${name}%26`],
  ['an encoded =', (name) => `${name}%3D`],
  ['an encoded ;', (name) => `${name}%3B`],
  ['an encoded ; before', (name) => `%3B${name}`],
  ['a slash before', (name) => `/${name}`],
  ['a colon after', (name) => `${name}:`],
  ['a comma after', (name) => `${name},`],
  ['quotes', (name) => `"${name}"`],
  ['single quotes', (name) => `'${name}'`],
  ['a dollar sign', (name) => `$${name}`],
  ['an exclamation mark', (name) => `!${name}`],
  ['parentheses', (name) => `${name}()`],
  ['braces', (name) => `{${name}}`],
  ['a percent sign of its own', (name) => `${name}%25`],
  ['full-width', (name) => encode(letters(name, 0xff41))],
  ['full-width capitals', (name) => encode(letters(name, 0xff21))],
  ['one letter full-width', (name) => encode(letters(name.slice(0, 1), 0xff41)) + name.slice(1)],
  ['circled', (name) => encode(letters(name, 0x24d0))],
  ['mathematical bold', (name) => encode(letters(name, 0x1d41a))],
  ['mathematical monospace', (name) => encode(letters(name, 0x1d68a))],
  ['full-width brackets', (name) => `${name}${encode('［］')}`],
  ['a zero-width space within', (name) => `${name.slice(0, 1)}%E2%80%8B${name.slice(1)}`],
  ['a zero-width joiner after', (name) => `${name}%E2%80%8D`],
  ['a soft hyphen', (name) => `${name.slice(0, 3)}%C2%AD${name.slice(3)}`],
  ['a byte order mark before', (name) => `%EF%BB%BF${name}`],
  ['a right-to-left mark', (name) => `%E2%80%8F${name}`],
  ['a variation selector', (name) => `${name}%EF%B8%8F`],
]

function swapCase(letter: string): string {
  return letter === upper(letter) ? lower(letter) : upper(letter)
}

t.test('a name that some parser takes for one of ours is refused', (t) => {
  for (const name of names) {
    for (const [what, spell] of lookAlikes) {
      const spelt = spell(name)
      for (const query of [
        `${spelt}=a`,
        spelt,
        `${spelt}=`,
        `${name}=a&${spelt}=b`,
        `${spelt}=b&${name}=a`,
        `x=y&${spelt}=a&z`,
      ]) {
        t.equal(parseQuery(query), null, `${what}: ${query}`)
      }
    }
  }
  t.end()
})

t.test('compatibility and case know letters that are not in ASCII', (t) => {
  const rows = [
    // Long s is an s to NFKC, dotless i an I in upper case, dotted I an i in lower case.
    'u%C5%BFerId',
    '%C5%BFessionId',
    'se%C5%BF%C5%BFionId',
    'user%C4%B1d',
    'user%C4%B0d',
    'sess%C4%B1onId',
    // The Kelvin sign.
    'URLTo%E2%84%AAen',
    'copilot%C5%BFession',
    // Superscript, subscript and a modifier letter.
    'user%E1%B4%B5d',
    'u%CB%A2erId',
    '%E1%B5%83uth',
    // A combining mark that composes with nothing is no letter.
    'userId%E2%83%9D',
  ]
  for (const name of rows) {
    t.equal(parseQuery(`${name}=a`), null, decodeURIComponent(name))
    t.equal(parseQuery(`userId=b&${name}=a`), null, `${decodeURIComponent(name)} beside ours`)
  }
  t.end()
})

t.test('names that no parser takes for ours pass', (t) => {
  const rows = [
    'user',
    'id',
    'Id',
    'session',
    'URL',
    'token',
    'Token',
    'copilot',
    'aut',
    'author',
    'oauth',
    'authorization',
    'userIds',
    'userId2',
    'user1d',
    'xuserId',
    'my.userId',
    'user-id-2',
    'sessionIds',
    'URLTokens',
    'filter[userId]',
    'x[sessionId][]',
    'x.y[auth]',
    'userId.name',
    'userIdx',
    'idUser',
    // Cyrillic letters are others, to every parser.
    encode('uѕerId'),
    encode('аuth'),
    encode('usérId'),
    encode('usеrId'),
    '%2575serId',
    'userId%2500',
    '__proto__',
    'constructor',
    'toString',
    'EIO',
    'transport',
    'sid',
    't',
    '1',
    '%00',
    '%5B%5D',
    '[]',
    '[',
    '.',
    '+',
    '%20',
  ]
  for (const name of rows) {
    const expected = { ...none, userId: 'a' }
    t.strictSame(parseQuery(`${name}=b&userId=a`), expected, `${name} before`)
    t.strictSame(parseQuery(`userId=a&${name}=b&${name}=c`), expected, `${name} after, twice`)
    t.strictSame(parseQuery(`userId=a&${name}`), expected, `${name} without a value`)
  }
  t.end()
})

t.test('a ; that only some parsers split at is no part of ours', (t) => {
  for (const name of names) {
    const rows = [
      `${name}=a;`,
      `${name}=a;b`,
      `${name}=a;b=c`,
      `${name};`,
      `;${name}=a`,
      `;${name}`,
      `x;${name}=a`,
      `x=y;${name}=a`,
      `x=y;${name}`,
      `x=y;z=z;${name}=a`,
      `x=y&z;${name}=a`,
      `x=y;${name}=a&z`,
      `x=y;${name}=a;z`,
      `x=y;+${name}=a`,
      `x=y;${upper(name)}[]=a`,
      `x;${encodeAll(name)}=a`,
    ]
    for (const query of rows) t.equal(parseQuery(query), null, query)
  }
  t.equal(parseQuery('userId=a;sessionId=b;URLToken=c;auth=d'), null, 'a link of ; throughout')
  const beside = ['x=y;z', 'x;y;z', ';', ';;', 'x=1;x=2', 'x=a;userIds=b', 'x=%3BuserId']
  for (const query of beside) {
    t.strictSame(parseQuery(`${query}&userId=a`), { ...none, userId: 'a' }, `${query} before`)
    t.strictSame(parseQuery(`userId=a&${query}`), { ...none, userId: 'a' }, `${query} after`)
  }
  t.strictSame(parseQuery('userId=a%3Bb'), { ...none, userId: 'a;b' }, 'encoded it is a character')
  t.end()
})

t.test('there are 256 parameters at most', (t) => {
  const many = (count: number, separator: string): string =>
    Array.from({ length: count }, (_, i) => `p${i}=${i}`).join(separator)
  const expected = { ...none, userId: 'a' }
  t.strictSame(parseQuery(many(256, '&')), none, '256')
  t.equal(parseQuery(many(257, '&')), null, '257')
  t.strictSame(parseQuery(many(256, ';')), none, '256 by ;')
  t.equal(parseQuery(many(257, ';')), null, '257 by ;')
  t.strictSame(parseQuery(`${many(255, '&')}&userId=a`), expected, 'ours is the 256th')
  t.equal(parseQuery(`${many(256, '&')}&userId=a`), null, 'ours is the 257th')
  t.equal(parseQuery(`userId=a&${many(256, '&')}`), null, 'ours is the first of 257')
  t.strictSame(parseQuery(`userId=a&${many(255, ';')}`), expected, '255 by ; beside ours')
  t.equal(parseQuery(`userId=a&${many(256, ';')}`), null, '256 by ; beside ours')
  t.strictSame(parseQuery(`userId=a&${many(100, '&')}&${many(155, ';')}`), expected, '256 by both')
  t.equal(parseQuery(`userId=a&${many(101, '&')}&${many(155, ';')}`), null, '257 by both')
  t.equal(parseQuery(many(100_000, '&')), null, 'far too many')
  t.equal(parseQuery(`x=${'&x'.repeat(256)}`), null, 'of one name')
  t.end()
})

t.test('what was dropped is gone, and the rest is what was checked', (t) => {
  const rows: readonly (readonly [string, readonly ('auth' | 'copilotSession')[], string])[] = [
    ['', ['auth'], ''],
    ['auth=a', ['auth'], ''],
    ['auth', ['auth'], ''],
    ['auth=', ['auth'], ''],
    ['userId=a&auth=b', ['auth'], 'userId=a'],
    ['auth=b&userId=a', ['auth'], 'userId=a'],
    ['userId=a&auth=b&sessionId=c', ['auth'], 'userId=a&sessionId=c'],
    ['userId=a+b&auth=b&x=%41&&y', ['auth'], 'userId=a+b&x=%41&&y'],
    ['authors=a&oauth=b&auth=c', ['auth'], 'authors=a&oauth=b'],
    ['x=auth=a&auth=b', ['auth'], 'x=auth=a'],
    ['auth=a=b&x=y;z', ['auth'], 'x=y;z'],
    ['auth=a&copilotSession=b&c', ['copilotSession'], 'auth=a&c'],
    ['auth=a&copilotSession=b&c', ['copilotSession', 'auth'], 'c'],
    ['copilotSession=b', ['copilotSession', 'auth'], ''],
    ['userId=a', ['auth', 'copilotSession'], 'userId=a'],
    ['userId=a', [], 'userId=a'],
  ]
  for (const [query, dropped, kept] of rows) {
    t.equal(withoutParameters(query, ...dropped), kept, `${query} without ${dropped.join(', ')}`)
  }
  t.end()
})

t.test('a name that is not UTF-8 stands for itself', (t) => {
  t.strictSame(parseQuery('%ff=a&userId=b'), { ...none, userId: 'b' })
  t.end()
})

// How others read a query: every name and value that they make of it.
type Reader = (query: string) => readonly (readonly [name: string, value: string])[]

const decodeLoosely = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
const split = (query: string, separator: RegExp): [string, string][] =>
  query
    .split(separator)
    .filter((piece) => piece !== '')
    .map((piece) => {
      const equals = piece.indexOf('=')
      const name = equals < 0 ? piece : piece.slice(0, equals)
      return [decodeLoosely(name), equals < 0 ? '' : decodeLoosely(piece.slice(equals + 1))]
    })
const renamed = (reader: Reader, rename: (name: string) => string): Reader => {
  return (query) => reader(query).map(([name, value]) => [rename(name), value])
}
/** The name among ours that a reader without case means. */
const caseless = (name: string): string =>
  names.find((known) => lower(known) === lower(name)) ?? name
const byAmpersand: Reader = (query) => split(query, /&/)
const byBoth: Reader = (query) => split(query, /[&;]/)

const readers: Readonly<Record<string, Reader>> = {
  'WHATWG URLSearchParams': (query) => [...new URLSearchParams(query)],
  'node:querystring': (query) =>
    Object.entries(parseNode(query, '&', '=', { maxKeys: 0 })).flatMap(([name, values]) =>
      [values ?? []].flat().map((value): [string, string] => [name, value]),
    ),
  // qs: a[b][c], a leading bracket read as a name, and an equals sign after `]` only.
  qs: (query) =>
    query
      .split('&')
      .filter((piece) => piece !== '')
      .map((piece) => {
        const text = piece.replace(/%5B/gi, '[').replace(/%5D/gi, ']')
        const bracket = text.indexOf(']=')
        const equals = bracket < 0 ? text.indexOf('=') : bracket + 1
        const name = decodeLoosely(equals < 0 ? text : text.slice(0, equals))
        const value = equals < 0 ? '' : decodeLoosely(text.slice(equals + 1))
        const root = /^\[([^[\]]*)\]/.exec(name)?.[1] ?? name.split('[')[0] ?? name
        return [root, value]
      }),
  // PHP: leading space goes, a NUL ends the name, `.` and space become `_`, a bracket an array.
  PHP: renamed(byAmpersand, (name) =>
    (name.replace(/^ +/, '').split('\0')[0] ?? '').replace(/\[.*$/s, '').replace(/[. ]/g, '_'),
  ),
  // Rack 2, servlets of old, Python before 3.9.2: both separators.
  'both separators': byBoth,
  'both separators, space trimmed': renamed(byBoth, (name) => name.trim()),
  // Go since 1.17 drops what holds a `;`.
  Go: (query) =>
    split(
      query
        .split('&')
        .filter((piece) => !piece.includes(';'))
        .join('&'),
      /&/,
    ),
  'ASP.NET': renamed(byAmpersand, caseless),
  'ASP classic': renamed(byBoth, (name) => caseless(name.trim())),
  // Spring's relaxed binding: no case, no dashes, no underscores.
  Spring: renamed(byAmpersand, (name) => caseless(name.replace(/[-_.]/g, '').replace(/\[.*$/, ''))),
  C: renamed(byAmpersand, (name) => name.split('\0')[0] ?? ''),
  'a Unicode database': renamed(byAmpersand, (name) => caseless(name.normalize('NFKC').trim())),
}

t.test('who reads an accepted query elsewhere sees the very values that were checked', (t) => {
  const fragments = [
    '',
    'x',
    'x=1',
    '=userId',
    'userId',
    'userId=',
    'userId=a',
    'userId=a+b',
    'userId=a%26userId%3Db',
    'userId=a=b',
    'userId=a?userId=c',
    'userId=a]=b',
    'userId=a%5D=b',
    'userId=a[b]=c',
    'userId=%EF%BB%BFa%00b%0D%0A',
    'userId=%F0%9F%98%80%2525%2b',
    'userId=\'a"',
    'userId=__proto__',
    '__proto__=a',
    '__proto__[userId]=a',
    'constructor[userId]=a',
    'hasOwnProperty=a',
    'x=userId=a',
    'sessionId=s',
    'sessionId[]=s',
    'SESSIONID=s',
    '%73essionId=s',
    'URLToken=t',
    'URLToken%00=t',
    'URL.Token=t',
    'URL_Token=t',
    '+URLToken=t',
    '[URLToken]=t',
    'auth=j',
    'Auth=j',
    '%20auth=j',
    'auth%20=j',
    'copilotSession=c',
    'userId[a]=u',
    'userId[=u',
    'user-Id=u',
    'user[Id]=u',
    'x[userId]=u',
    'userId%5B%5D=u',
    '%5BuserId%5D=u',
    'userıd=u',
    `${encode('ｕｓｅｒＩｄ')}=u`,
    'a;userId=u',
    ';userId=u',
    'userId=u;',
    'userId=u;x',
    'x;y=z',
    'x%3BuserId=u',
    'x%26userId=u',
  ]
  const separators = ['&', ';', '&&', ';&', '&;', '&+', '&amp;']
  const differences: string[] = []
  let accepted = 0
  for (const first of fragments) {
    for (const second of fragments) {
      for (const separator of separators) {
        const query = `${first}${separator}${second}`
        const parsed = parseQuery(query)
        if (parsed === null) continue
        accepted += 1
        for (const [who, reader] of Object.entries(readers)) {
          const seen = reader(query)
          for (const name of ['userId', 'sessionId', 'URLToken', 'auth'] as const) {
            const values = seen.filter(([other]) => other === name).map(([, value]) => value)
            const expected = parsed[name] === null ? [] : [parsed[name]]
            if (JSON.stringify(values) === JSON.stringify(expected)) continue
            differences.push(`${who} reads ${name} of ${query} as ${JSON.stringify(values)}`)
          }
        }
      }
    }
  }
  t.strictSame(differences, [])
  t.ok(accepted > 1000, `${accepted} queries were accepted`)
  t.end()
})
