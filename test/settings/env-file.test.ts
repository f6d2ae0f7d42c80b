import t from 'tap'
import { configOf, findingsOf, secrets } from './tell.ts'

const good = `JWT_SECRET=hex:${secrets[0]}\nURL_TOKENS=f38791ae\n`

t.test('lines that set nothing are warned of by their number, and not quoted', (t) => {
  const rows: readonly (readonly [string, string, ...string[]])[] = [
    ['nothing but settings', ''],
    ['comments and blank lines', '\n# hunter2\n  # hunter2\n\n'],
    ['a word', 'hunter2\n', '.env:3 has no = and sets nothing'],
    ['a colon', 'PORT: hunter2', '.env:3 has no = and sets nothing'],
    [
      'a name',
      'export PORT\r\n\r\nHOST\r\n',
      '.env:3 has no = and sets nothing',
      '.env:5 has no = and sets nothing',
    ],
    [
      'a value of several lines',
      'LOG_LEVEL="\ninfo\n"\nPORT\n',
      '.env:6 has no = and sets nothing',
    ],
    [
      'a quote that opens no value',
      '"hunter2\nPORT\n"\n',
      ...[3, 4, 5].map((line) => `.env:${line} has no = and sets nothing`),
    ],
    ['a name of nobody', 'PROT=hunter2', 'PROT in .env is no setting of the gateway'],
    ['a file of a secret', 'ADMIN_TOKEN_FILE=', 'ADMIN_TOKEN_FILE is empty and counts as not set'],
  ]
  for (const [name, lines, ...expected] of rows) {
    t.strictSame(findingsOf({ lines: good + lines }), expected, name)
  }
  t.strictSame(findingsOf({ lines: `\uFEFF${good}` }), [], 'a byte order mark')
  t.end()
})

t.test('a variable that the YAML file refers to is no stranger', (t) => {
  const yaml = 'contactCenters: [{name: x, secrets: [{env: NORTH}], urlTokens: a}]'
  t.strictSame(findingsOf({ yaml, lines: `NORTH=hex:${secrets[0]}` }), [])
  t.end()
})

t.test('the environment wins over .env, also where one names a file', (t) => {
  const [first, second] = secrets.map((secret) => Buffer.from(secret, 'hex'))
  const rows: readonly (readonly [string, string, Readonly<Record<string, string>>, unknown])[] = [
    ['a file over a value', `JWT_SECRET=hex:${secrets[0]}`, { JWT_SECRET_FILE: 'conf/b' }, second],
    ['a value over a file', 'JWT_SECRET_FILE=conf/b', { JWT_SECRET: `hex:${secrets[0]}` }, first],
    [
      'an empty one over nothing',
      'JWT_SECRET_FILE=conf/b',
      { JWT_SECRET: '', JWT_SECRET_FILE: '' },
      second,
    ],
  ]
  for (const [name, lines, env, expected] of rows) {
    t.strictSame(configOf({ lines, env }).contactCenters[0]?.secrets, [expected], name)
  }
  const both = 'JWT_SECRET and JWT_SECRET_FILE are both set: keep one of them'
  t.strictSame(findingsOf({ lines: `${good}JWT_SECRET_FILE=conf/b` }), [both])
  t.end()
})
