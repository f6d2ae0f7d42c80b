import t, { type Test } from 'tap'
import { decode, isAuthority, parseTarget } from '../../src/access/target.ts'

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
const bytes = Array.from({ length: 256 }, (_, byte) => byte)

/** Refused in the path and in the query alike. */
function neverIn(t: Test, rows: readonly string[]): void {
  for (const text of rows) {
    t.equal(parseTarget(`/a${text}z`), null, `in the path: ${JSON.stringify(text)}`)
    t.equal(parseTarget(`/?a=${text}z`), null, `in the query: ${JSON.stringify(text)}`)
    t.equal(parseTarget(`/?${text}=a`), null, `in a name: ${JSON.stringify(text)}`)
  }
  t.end()
}

t.test('what is accepted stays as it was', (t) => {
  const rows: readonly (readonly [path: string, query: string | null])[] = [
    ['/', null],
    ['/', ''],
    ['/', '?'],
    ['/', '/'],
    ['/', 'userId=a&sessionId=b&URLToken=c&auth=a.b.c'],
    ['/', 'a=//b'],
    ['/', 'a=http://b/'],
    ['/', 'a?b'],
    ['/', 'a=/../b&c=..'],
    ['/', 'a=%2e%2e%2f%5c'],
    ['/', 'a=%252e%2525'],
    ['/', 'a=%00%0d%0a%7f'],
    ['/', 'a=%23b'],
    ['/', '&&;;=&='],
    ['/a/b/', null],
    ['/a//b', null],
    ['/a/', 'b'],
    ['/*', null],
    ['/:80', null],
    ['/@a', null],
    ['/http://a/', null],
    ['/~a/-._~', null],
    ['/a;b=c/d', null],
    ['/a%20b', null],
    ['/a%23b%3fc', null],
    ['/caf%c3%a9', null],
    ['/CAF%C3%A9', null],
    ['/%e2%82%ac', '%f0%9f%98%80=%ef%bf%bd'],
    ['/%f4%8f%bf%bf', null],
    ['/socket.io/', 'EIO=4&transport=websocket'],
    ['/assets/index-abc.js', null],
    ['/.well-known/x', null],
  ]
  for (const [path, query] of rows) {
    const text = query === null ? path : `${path}?${query}`
    t.strictSame(parseTarget(text), { path, query }, text)
  }
  t.end()
})

t.test('a target is origin-form with one leading slash', (t) => {
  const rows = [
    '',
    '*',
    '?',
    '?userId=a',
    '.',
    '..',
    './a',
    'a',
    'a/b',
    '%2f',
    '%2fa',
    'http://gateway.example/',
    'http://gateway.example/?userId=a',
    'HTTP://gateway.example/',
    'https://evil.example/',
    'https:/a',
    'ws://gateway.example/',
    'file:///etc/passwd',
    'gateway.example:443',
    '@evil.example/',
    '//',
    '///',
    '//a',
    '//evil.example/',
    '//evil.example/?userId=a',
    '/\\evil.example/',
    '\\/evil.example/',
    '\\\\evil.example/',
    ' /',
    '/ ',
    '\t/',
    '\n/',
    '/\r\nHost: evil.example',
    '/\nX: y',
    '/\0',
    '\uFEFF/',
    '/a b',
    '/?a b',
  ]
  for (const text of rows) t.equal(parseTarget(text), null, JSON.stringify(text))
  t.end()
})

t.test('nothing comes after a # that some parser would cut at', (t) => {
  const rows = [
    '/#',
    '/#a',
    '/a#',
    '/a/#/b',
    '/?#',
    '/?a#',
    '/?a=b#c',
    '/#?userId=a',
    '/#userId=a&sessionId=b&URLToken=c&auth=d&x=?userId=e',
    '/?userId=a#&userId=b',
  ]
  for (const text of rows) t.equal(parseTarget(text), null, text)
  t.end()
})

t.test('every byte, raw', (t) => {
  const never = new Set([...' #\\%\x7f'].map((character) => character.charCodeAt(0)))
  const isRefused = (byte: number): boolean => byte < 0x20 || byte > 0x7e || never.has(byte)
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    const inPath = parseTarget(`/a${character}z`)
    if (isRefused(byte)) t.equal(inPath, null, `0x${hex(byte)} is refused in the path`)
    else if (character === '?') t.strictSame(inPath, { path: '/a', query: 'z' }, 'splits at ?')
    else {
      t.strictSame(inPath, { path: `/a${character}z`, query: null }, `0x${hex(byte)} in the path`)
    }
    for (const query of [`a${character}z=b`, `a=b${character}z`, character]) {
      const inQuery = parseTarget(`/?${query}`)
      if (isRefused(byte)) t.equal(inQuery, null, `0x${hex(byte)} is refused in the query`)
      else t.strictSame(inQuery, { path: '/', query }, `0x${hex(byte)} in the query`)
    }
  }
  // A caller that decoded bytes as UTF-8 is no reason to let them pass.
  for (const character of ['\u0130', '\u2028', '\uFF0F', '\uFF0E', '\uD800', '😀']) {
    t.equal(parseTarget(`/a${character}`), null, `U+${hex(character.charCodeAt(0))}`)
  }
  t.end()
})

t.test('every byte, percent-encoded, in both cases', (t) => {
  const never = new Set([...'./\\\x7f'].map((character) => character.charCodeAt(0)))
  for (const byte of bytes) {
    for (const code of new Set([`%${hex(byte)}`, `%${hex(byte).toUpperCase()}`])) {
      const inPath = byte < 0x20 || byte > 0x7f || never.has(byte)
      const path = `/a${code}z`
      if (inPath) t.equal(parseTarget(path), null, `${code} is refused in the path`)
      else t.strictSame(parseTarget(path), { path, query: null }, `${code} in the path`)
      const query = `a=${code}z`
      if (byte > 0x7f) t.equal(parseTarget(`/?${query}`), null, `${code} is no UTF-8`)
      else t.strictSame(parseTarget(`/?${query}`), { path: '/', query }, `${code} in the query`)
    }
  }
  // C1 controls: one byte in Latin-1, two in UTF-8.
  for (const byte of bytes.slice(0x80, 0xc0)) {
    const path = `/a%c2%${hex(byte)}`
    if (byte < 0xa0) t.equal(parseTarget(path), null, `${path} is a control`)
    else t.strictSame(parseTarget(path), { path, query: null }, path)
  }
  t.end()
})

t.test('percent-encoding is well-formed', (t) => {
  neverIn(t, ['%', '%2', '%%', '%%32%65', '%g0', '%0g', '%-1', '%+1', '%zz', '%u002e', '%c3%u00'])
})

t.test('what is encoded is UTF-8, in its one shortest form', (t) => {
  neverIn(t, [
    '%80',
    '%bf',
    '%a9',
    '%c3',
    '%c3%28',
    '%c3a9',
    '%c3/%a9',
    '%c0%80',
    '%c0%ae',
    '%c0%af',
    '%c1%9c',
    '%c1%bf',
    '%e0%80%80',
    '%e0%80%ae',
    '%e0%80%af',
    '%e0%9f%bf',
    '%e2%82',
    '%e2%28%a1',
    '%f0%80%80%ae',
    '%f0%80%80%af',
    '%f0%8f%bf%bf',
    '%f0%9f%98',
    '%f8%80%80%80%af',
    '%f8%88%80%80%80',
    '%fc%80%80%80%80%af',
    '%ed%a0%80',
    '%ed%bf%bf',
    '%ed%a0%bd%ed%b8%80',
    '%f4%90%80%80',
    '%f5%80%80%80',
    '%fe',
    '%ff',
    '%fe%ff%00a',
    '%e9',
  ])
})

t.test('no dot segment in any spelling', (t) => {
  const dots = ['.', '..']
  const encoded = ['%2e', '%2E', '%2e%2e', '%2E%2e', '.%2e', '%2e.', '.%2E', '%2E.']
  const parameters = [';', ';x', ';x=1', ';a=b;c', '%3b', '%3B', '%3bx=1', ';%20', ';?a']
  const doubled = ['%252e', '%252e%252e', '.%252e', '%25%32%65', '%25%32%45', '%c0%ae%c0%ae']
  const segments = [
    ...dots,
    ...encoded,
    ...doubled,
    ...[...dots, ...encoded].flatMap((dot) => parameters.map((parameter) => dot + parameter)),
  ]
  for (const segment of segments) {
    for (const path of [`/${segment}`, `/${segment}/`, `/${segment}/a`, `/a/${segment}`]) {
      t.equal(parseTarget(path), null, path)
      t.equal(parseTarget(`${path}?userId=a`), null, `${path} before a query`)
    }
    t.equal(parseTarget(`/a/${segment}/b`), null, `/a/${segment}/b`)
    t.equal(parseTarget(`/a//${segment}//b`), null, `/a//${segment}//b`)
    t.equal(parseTarget(`/a;b/${segment}`), null, `/a;b/${segment}`)
  }
  for (const separator of ['%2f', '%2F', '%5c', '%5C', '%255c', '%252f', '%c0%af', '\\']) {
    t.equal(parseTarget(`/a${separator}..${separator}b`), null, `between ${separator}`)
    t.equal(parseTarget(`/..${separator}b`), null, `before ${separator}`)
    t.equal(parseTarget(`/a${separator}b`), null, separator)
  }
  t.end()
})

t.test('dots that are no dot segment pass', (t) => {
  for (const path of ['/...', '/.../', '/.a', '/a.', '/..a', '/a..', '/a..b', '/a.b.c', '/;.a']) {
    t.strictSame(parseTarget(path), { path, query: null }, path)
    t.strictSame(parseTarget(`${path}/b`), { path: `${path}/b`, query: null }, `${path}/b`)
  }
  t.end()
})

t.test('nothing is encoded twice in the path', (t) => {
  const refused = [
    '%252e',
    '%252E',
    '%252f',
    '%255c',
    '%2500',
    '%250d%250a',
    '%2541',
    '%25c3%25a9',
    '%2525',
    '%252525',
    '%25252e',
    '%25%32e',
    '%252%65',
    '%25%32%65',
    '%25%36%31',
    '%25%34%31',
    '%253f',
    '%2523',
  ]
  for (const text of refused) {
    t.equal(parseTarget(`/${text}`), null, `/${text}`)
    t.equal(parseTarget(`/a/b${text}c?d=e`), null, `/a/b${text}c?d=e`)
  }
  for (const path of [
    '/100%25',
    '/100%25/2e',
    '/%25',
    '/%25zz',
    '/5%25%20off',
    '/%252',
    '/%25-2e',
  ]) {
    t.strictSame(parseTarget(path), { path, query: null }, `${path}: a percent sign of its own`)
  }
  t.end()
})

t.test('a Host names a host and nothing else', (t) => {
  const good = [
    'gateway',
    'gateway.example',
    'GATEWAY.example',
    'gateway.example:8443',
    'gateway.example:1',
    'xn--bcher-kva.example',
    'a_b.example',
    'gateway.example.',
    '127.0.0.1',
    '127.0.0.1:80',
    '[::1]',
    '[::1]:8080',
    '[2001:db8::7]:443',
    '[::ffff:192.0.2.1]',
  ]
  for (const host of good) t.ok(isAuthority(host), host)
  const bad = [
    '',
    ' ',
    ':80',
    'a b',
    ' a',
    'a ',
    'a\t',
    'a\n',
    'a\r\nX: y',
    'a\0',
    'a,b',
    'a, a',
    'a;b',
    'a/b',
    'a/',
    '/a',
    'a?b',
    'a#b',
    'a\\b',
    'a@b',
    'user:secret@a',
    'http://a',
    'a:b',
    'a:80:80',
    'a:-1',
    'a:+80',
    'a:0x50',
    'a:80/',
    'a:80 ',
    'a:123456',
    'a%00',
    'a%2eb',
    'bücher.example',
    'b\xfccher.example',
    '"a"',
    '<a>',
    "a'b",
    '*',
    '::1',
    '[::1',
    '::1]',
    '[]',
    '[::1]a',
    '[::1%25eth0]',
    '[a b]',
  ]
  for (const host of bad) t.notOk(isAuthority(host), JSON.stringify(host))
  t.end()
})

t.test('decoding is strict UTF-8 and leaves + alone', (t) => {
  t.equal(decode('a+b%2B%20'), 'a+b+ ')
  t.equal(decode('caf%C3%a9'), 'café')
  t.equal(decode('%252e'), '%2e', 'once')
  t.equal(decode('%EF%BB%BFa'), '\uFEFFa', 'a byte order mark is a character like another')
  t.equal(decode('%c3'), null)
  t.equal(decode('100%'), null)
  t.equal(decode(''), '')
  t.end()
})
