import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { link, secret, startGateway } from '../stage.ts'
import {
  cli,
  makeCertificate,
  type Ran,
  runDoctor,
  start,
  startFront,
  startWorkspace,
} from './clinic.ts'

const upstream = await startWorkspace(t)
const gateway = await startGateway(t, upstream.origin)
const base = gateway.origin
const good = `${base}${link()}`
const dir = t.testdir({
  certs: {},
  empty: {},
  configured: { '.env': `JWT_SECRET=${secret}\n` },
  link: `${good}\n`,
})
const linkFile = join(dir, 'link')
const ids = ['--user', 'U', '--session', 'S', '--url-token', 'the-url-token'] as const
type Env = Readonly<Record<string, string>>

/** Runs the doctor in a folder of its own. */
function run(
  args: readonly string[],
  { env = {}, cwd = 'empty', stdin = '' }: { env?: Env; cwd?: string; stdin?: string } = {},
): Promise<Ran> {
  return runDoctor(args, join(dir, cwd), env, stdin)
}

t.test('a link comes from a file, from stdin, from the environment or is made', async (t) => {
  const rows: readonly (readonly [string, readonly string[], Parameters<typeof run>[1]])[] = [
    ['a file', ['--link-file', linkFile], {}],
    ['stdin', ['--link-file', '-'], { stdin: good }],
    ['the environment', [], { env: { DOCTOR_LINK: good } }],
    [
      'a file, whatever the environment says',
      ['--link-file', linkFile],
      { env: { DOCTOR_LINK: 'x' } },
    ],
    ['made with the settings', ids, { env: { JWT_SECRET: secret } }],
    ['made, whatever the environment says', ids, { cwd: 'configured', env: { DOCTOR_LINK: 'x' } }],
  ]
  const runs = rows.map(async ([name, args, options]) => {
    const { stdout, stderr, code } = await run([base, ...args], options)
    t.match(stdout, new RegExp(`^${base}/ with a link\n`), name)
    t.match(stdout, /^ {2}pass {5}link-opens +200 page$/m)
    t.match(stdout, /^ {2}pass {5}cross-site-cookie +403$/m)
    t.match(stdout, /\n\n\d+ passed, 0 failed, \d warned, \d+ skipped\n$/)
    t.equal(stderr, '')
    t.equal(code, 0)
  })
  await Promise.all(runs)
})

t.test('without a link it says what is left out', async (t) => {
  const { stdout, code } = await run([base])
  t.match(stdout, new RegExp(`^${base}/ without a link\n`))
  t.match(stdout, /^ {2}skipped {2}link-opens +needs a signed link: see --help$/m)
  t.equal(code, 0)
})

t.test('a failed check is exit code 1, and says what should be and what to do', async (t) => {
  const front = await startFront(t, gateway.port, {
    answer: (one) => ({ ...one, headers: [...one.headers, ['X-Frame-Options', 'DENY']] }),
  })
  const { stdout, stderr, code } = await run([front])
  t.equal(code, 1)
  t.equal(stderr, '')
  t.match(
    stdout,
    /^ {2}fail {5}x-frame-options +DENY \(401, .*\)\n {11}expected: No answer has X-Frame.*\n {11}to do: .*\n/m,
  )
  t.match(stdout, /\d+ passed, 1 failed, 0 warned, \d+ skipped\n$/)

  const report = await run([front, '--json'])
  t.equal(report.code, 1)
  const { url, counts, checks } = JSON.parse(report.stdout)
  t.equal(url, `${front}/`)
  t.match(counts, { fail: 1, warn: 0 })
  t.equal(checks.length, counts.pass + counts.fail + counts.warn + counts.skipped)
  const failed = checks.filter((one: { verdict: string }) => one.verdict === 'fail')
  t.match(failed, [
    {
      id: 'x-frame-options',
      group: 'Headers of every answer',
      verdict: 'fail',
      promise: /^No answer has X-Frame-Options/,
      seen: /^DENY/,
      remedy: /./,
    },
  ])
})

t.test('a private issuer is named in NODE_EXTRA_CA_CERTS', async (t) => {
  const certs = join(dir, 'certs')
  makeCertificate(certs)
  const files = {
    TLS_CERT_FILE: join(certs, 'server.pem'),
    TLS_KEY_FILE: join(certs, 'server-key.pem'),
  }
  const secure = await startGateway(t, upstream.origin, files)
  const url = `https://localhost:${secure.port}`
  const env = { DOCTOR_LINK: `${url}${link()}` }
  const trusting = await run([url], { env: { ...env, NODE_EXTRA_CA_CERTS: join(certs, 'ca.pem') } })
  t.equal(trusting.code, 0, trusting.stdout)
  t.match(trusting.stdout, /^ {2}pass {5}certificate +TLSv1\.3$/m)
  t.match(trusting.stdout, /^ {2}pass {5}link-opens +200 page$/m)
  const wary = await run([url], { env })
  t.equal(wary.code, 1)
  t.match(wary.stdout, /^ {2}fail {5}certificate +[A-Z_]+$/m)
  t.match(wary.stdout, /^ {2}skipped {2}link-opens +the link is not sent/m)
})

t.test('colours are for terminals, and never the only sign', async (t) => {
  const plain = await run([base])
  t.equal(stripVTControlCharacters(plain.stdout), plain.stdout)
  const bright = await run([base], { env: { FORCE_COLOR: '1' } })
  t.not(bright.stdout, plain.stdout)
  t.equal(stripVTControlCharacters(bright.stdout), plain.stdout)

  const script = '/usr/bin/script'
  const skip = existsSync(script) ? false : 'script (bsdutils) is missing'
  await t.test('on a terminal', { skip }, async (t) => {
    const command = [process.execPath, cli, 'doctor', base].join(' ')
    const onTerminal = (env: Env): Promise<Ran> =>
      start(script, ['-qec', command, '/dev/null'], join(dir, 'empty'), {
        TERM: 'xterm-256color',
        ...env,
      })
    const coloured = (told: string): boolean => told.includes('\u001b[32mpass')
    t.ok(coloured((await onTerminal({})).stdout))
    t.notOk(coloured((await onTerminal({ NO_COLOR: '1' })).stdout))
  })
})
