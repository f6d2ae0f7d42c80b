import { join } from 'node:path'
import t from 'tap'
import { link } from '../stage.ts'
import { host, runDoctor } from './clinic.ts'

// Nobody is there: what is called wrongly asks nobody.
const base = 'http://127.0.0.1:1'
const good = `${base}${link()}`
const dir = t.testdir({ empty: {}, unreadable: { '.env': {} }, link: `${good}\n` })
const linkFile = join(dir, 'link')
const ids = ['--user', 'U', '--session', 'S', '--url-token', 'the-url-token'] as const

t.test('wrong usage', async (t) => {
  const other = `https://${host}${link()}`
  const rows: readonly (readonly [
    string,
    readonly string[],
    RegExp,
    Readonly<Record<string, string>>?,
  ])[] = [
    ['no address', [], /^doctor needs one base URL$/m],
    ['two addresses', [base, base], /^doctor needs one base URL$/m],
    ['no URL', ['gateway'], /^The base URL must be a URL of http or https/m],
    ['the link itself', [good], /^The base URL must have no query and no fragment$/m],
    ['a link as an argument', [base, '--link', good], /^Unknown option '--link'/m],
    ['so too', [base, `--link=${good}`], /^Unknown option '--link'/m],
    ['no file', [base, '--link-file'], /^Option '--link-file <value>' argument missing$/m],
    ['a user without a session', [base, '--user', 'U'], /^doctor needs all of --user/m],
    ['an empty user', [base, ...ids, '--user='], /^doctor needs all of --user/m],
    ['two links', [base, ...ids, '--link-file', linkFile], /^doctor needs all of --user/m],
    [
      'another place',
      [base],
      /^DOCTOR_LINK must be a URL that begins with /m,
      { DOCTOR_LINK: other },
    ],
    ['another path', [`${base}/deep`], /^DOCTOR_LINK must be a URL that/m, { DOCTOR_LINK: good }],
    ['no link', [base], /^DOCTOR_LINK must be a URL that begins with /m, { DOCTOR_LINK: ' ' }],
    [
      'no token',
      [base],
      /^DOCTOR_LINK must hold userId, sessionId, URLToken, auth, each once/m,
      { DOCTOR_LINK: good.replace(/&auth=.*/, '') },
    ],
    [
      'an empty id',
      [base],
      /^DOCTOR_LINK must hold/m,
      { DOCTOR_LINK: good.replace(/userId=[^&]*/, 'userId=') },
    ],
    ['two users', [base], /^DOCTOR_LINK must hold/m, { DOCTOR_LINK: `${good}&userId=x` }],
  ]
  const runs = rows.map(async ([name, args, message, env = {}]) => {
    const { stdout, stderr, code } = await runDoctor(args, join(dir, 'empty'), env)
    t.equal(code, 2, name)
    t.equal(stdout, '')
    t.match(stderr, message, name)
    t.match(stderr, /^Usage: copilot-gateway /m)
  })
  await Promise.all(runs)
})

t.test('what it needs and does not get', async (t) => {
  const rows: readonly (readonly [string, readonly string[], string, RegExp])[] = [
    [
      'no such file',
      ['--link-file', 'none'],
      'empty',
      /^--link-file must name a file that can be read \(ENOENT\)\n$/,
    ],
    ['no secret', ids, 'empty', /^JWT_SECRET is required.*\n$/],
    ['settings out of reach', ids, 'unreadable', /^\.env must be a file that can be read.*\n$/],
  ]
  for (const [name, args, cwd, message] of rows) {
    const { stdout, stderr, code } = await runDoctor([base, ...args], join(dir, cwd))
    t.equal(code, 1, name)
    t.equal(stdout, '')
    t.match(stderr, message)
  }
})
