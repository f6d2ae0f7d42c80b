import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import jsonwebtoken from 'jsonwebtoken'
import t from 'tap'
import { load } from '../../src/commands/load.ts'
import { environment } from '../environment.ts'
import { pour } from '../sinks.ts'
import { secret, startGateway, startUpstream } from '../stage.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const cwd = t.testdir({})
const short = '--agents 1 --rate 1/s --chats 1 --duration 1s --ramp 0 --messages 1s'.split(' ')
type Env = Readonly<Record<string, string>>

function begin(
  args: readonly string[],
  env: Env = { JWT_SECRET: secret },
  stdout: 'pipe' | number = 'pipe',
) {
  const child = spawn(process.execPath, [cli, 'load', ...args], {
    cwd,
    env: { ...environment, ...env },
    stdio: ['ignore', stdout, 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = Promise.all([read(child.stdout), read(child.stderr), once(child, 'close')]).then(
    ([stdout, stderr, [code]]) => {
      pour('stderr', stdout + stderr)
      return { stdout, stderr, code }
    },
  )
  return { ended, interrupt: () => child.kill('SIGINT') }
}

function read(stream: Readable | null) {
  return stream === null ? '' : text(stream)
}

function run(args: readonly string[], env?: Env) {
  return begin(args, env).ended
}

/** Everyone gets its page, but nobody a socket. */
const upstream = await startUpstream(t)

t.test('a run against a gateway is told in words and in files', async (t) => {
  const gateway = await startGateway(t, upstream.origin, { URL_TOKENS: 'load-by-the-settings' })
  const [json, html] = [join(cwd, 'results.json'), join(cwd, 'results.html')]
  const config = join(t.testdir({ 'gateway.yaml': several }), 'gateway.yaml')
  const args = ['--config', config, '--contact-center', 'north', '--json', json, '--html', html]
  const { stdout, stderr, code } = await run(
    [gateway.origin, ...short, '--errors', '50%', ...args],
    { NORTH: secret },
  )
  t.equal(code, 1, stderr)
  t.match(stdout, gateway.origin)
  t.match(stderr, /1/)
  const results = JSON.parse(readFileSync(json, 'utf8'))
  t.match(results, {
    passed: false,
    version: /^\d+\.\d+\.\d+$/,
    target: gateway.origin,
    interrupted: false,
    plan: { agents: '1', rate: '1/s', attackers: '5%' },
    kinds: { document: { count: 1, failed: 0 }, socket: { count: 1, failed: 1 } },
    statuses: { agents: { 200: 1, 404: 1 } },
    failures: { 404: 2 },
  })
  t.ok(results.doubt === null || results.doubt.includes('doubtful'))
  t.strictSame(
    results.judged.filter(({ passed }: { passed: boolean }) => !passed),
    [
      {
        name: 'attacks let in',
        limit: 'none',
        found: '0 of 15, and of 1 kind nothing is known',
        passed: false,
      },
    ],
    'nobody gets a socket, on which another session could be joined',
  )
  t.match(readFileSync(html, 'utf8'), /^<!doctype html>/i)

  const { url = '' } = upstream.seen.find(({ url }) => url.includes('-1-0&')) ?? {}
  const { searchParams } = new URL(url, upstream.origin)
  const claims = Object(jsonwebtoken.verify(searchParams.get('auth') ?? '', secret))
  t.match(claims.sessionId, /^load-[0-9a-f]{8}-1-0$/)
  t.equal(claims.exp - claims.iat, 601, 'links end ten minutes after the run')
  t.equal(claims.URLToken, 'load-by-the-settings')
  const written = stdout + stderr + readFileSync(json, 'utf8') + readFileSync(html, 'utf8')
  t.notMatch(written, /eyJ|load-by-the-settings|__Host|load-[0-9a-f]{8}/, 'nothing of the links')
})

t.test('what is past a limit is exit code 1', async (t) => {
  const slow = await startUpstream(
    t,
    (_, response) => void setTimeout(100).then(() => response.end()),
  )
  const rows: readonly (readonly [string, string, readonly string[], 0 | 1])[] = [
    ['within limits', upstream.origin, ['--p99', '1h', '--errors', '50%'], 0],
    ['a socket that nobody gets', upstream.origin, ['--p99', '1h'], 1],
    ['too slow', slow.origin, ['--p50', '20ms'], 1],
    ['nobody there', 'http://127.0.0.1:9', [], 1],
  ]
  const runs = rows.map(async ([name, origin, args, expected]) => {
    const { stdout, stderr, code } = await run([origin, ...short, '--attackers', '0%', ...args])
    t.equal(code, expected, `${name}: ${stderr}`)
    t.match(stdout, origin)
    if (origin.endsWith(':9')) t.match(stdout, 'ECONNREFUSED')
  })
  await Promise.all(runs)
})

t.test('Ctrl-C ends a run, which still reports', async (t) => {
  let onAsked = (): void => {}
  const asked = new Promise<void>((resolve) => {
    onAsked = resolve
  })
  const patient = await startUpstream(t, (_, response) => {
    response.end()
    if (patient.seen.length > 2) onAsked()
  })
  const json = join(cwd, 'interrupted.json')
  // Whoever has arrived stays for longer than a test may take.
  const args = '--attackers 0% --duration 10m --ramp 0 --rate 1/m --errors 100% --json'.split(' ')
  const { ended, interrupt } = begin([patient.origin, ...args, json])
  await asked
  interrupt()
  const { stdout, stderr, code } = await ended
  t.equal(code, 1, stderr)
  t.match(stdout, /^ {2}ran to its end +yes +no +not met$/m)
  const results = JSON.parse(readFileSync(json, 'utf8'))
  t.equal(results.interrupted, true)
  t.equal(results.passed, false)
  t.ok(results.duration < 600_000)
  t.ok(results.kinds.document.count > 0)
})

t.test(
  'a second signal, as npm passes one on to a process that has had its own, takes nothing from the report',
  async (t) => {
    const folder = t.testdir({})
    const [fifo, json] = [join(folder, 'stdout'), join(folder, 'results.json')]
    execFileSync('mkfifo', [fifo])
    const full = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK)
    const fill = (): void => {
      while (writeSync(full, '.'.repeat(4096)) > 0);
    }
    t.throws(fill, { code: 'EAGAIN' }, 'so that the report in words has to wait')
    const asked = upstream.seen.length
    const args = '--attackers 0% --duration 10m --ramp 0 --json'.split(' ')
    const { ended, interrupt } = begin([upstream.origin, ...args, json], undefined, full)
    await until(() => upstream.seen.length > asked)
    interrupt()
    await until(() => existsSync(json))
    interrupt()
    const reader = createReadStream(fifo)
    await once(reader, 'open')
    closeSync(full)
    const [said, { code, stderr }] = await Promise.all([text(reader), ended])
    t.equal(code, 1, stderr)
    t.match(said, /^ {2}ran to its end +yes +no +not met$/m)
  },
)

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setTimeout(10)
}

t.test('a report that cannot be written is said plainly, and the others are written', async (t) => {
  const plan = [upstream.origin, ...short, '--attackers', '0%', '--errors', '100%']
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  const [json, html] = [join(cwd, 'unread.json'), join(cwd, 'full.html')]
  const [unread, disk] = await Promise.all([
    begin([...plan, '--json', json], undefined, full).ended,
    run([...plan, '--json', '/dev/full', '--html', html]),
  ])
  t.match(unread, { code: 1, stderr: /(?:^|\n)The report cannot be written \(ENOSPC\)\n$/ })
  t.equal(JSON.parse(readFileSync(json, 'utf8')).passed, true)
  t.match(disk, { code: 1, stderr: /(?:^|\n)\/dev\/full cannot be written \(ENOSPC\)\n$/ })
  t.match(disk.stdout, 'Passed: ')
  t.match(readFileSync(html, 'utf8'), '<!doctype html>')
  for (const { stderr } of [unread, disk]) t.notMatch(stderr, /^ +at /m)
})

t.test('all that is wrong is told at once', async (t) => {
  const lists = (stderr: string): readonly string[] => stderr.split('\n\n')[0]?.split('\n') ?? []
  const args = '--agents 0 --rate x --p50 x --p99 fast --errors x --json - --html no/where'.split(
    ' ',
  )
  const misused = await run(['http://192.0.2.1', ...args, '--config', 'nowhere'])
  t.equal(misused.code, 2)
  const problems = [
    /^--agents must be /,
    /^--rate must be /,
    /^--p50 must be /,
    /^--p99 must be /,
    /^--errors must be /,
    /^--json needs a file: /,
    /^192\.0\.2\.1 is no loopback address: /,
    /^nowhere must be a file that can be read/,
    /^no\/where cannot be written \(ENOENT\)$/,
  ]
  t.match(lists(misused.stderr), problems)
  t.equal(lists(misused.stderr).length, problems.length)
  t.match(misused.stderr, /\n\nUsage: copilot-gateway load\n/)

  const others = await run([upstream.origin, '--contact-center', 'x', '--chats', '0'])
  t.equal(others.code, 2)
  t.match(lists(others.stderr), [/^--chats must be /, /^There is no contact center "x"$/])

  const settings = { JWT_SECRET: 'short', URL_TOKENS: ' , ' }
  const failed = await run(['http://no-such-name.invalid', '--json', 'no/where'], settings)
  t.equal(failed.code, 1)
  t.match(failed.stderr.split('\n'), [
    /^no-such-name\.invalid cannot be resolved /,
    /^JWT_SECRET has 5 bytes/,
    /^no\/where cannot be written \(ENOENT\)$/,
  ])
  t.notMatch(failed.stderr, 'Usage')
})

t.test('files that a run is not begun for are as they were', async (t) => {
  const folder = t.testdir({ 'there.json': 'of yesterday' })
  const [made, there, nowhere] = ['made', 'there.json', 'no/where'].map((name) =>
    join(folder, name),
  )
  for (const [json = '', html = ''] of [
    [made, nowhere],
    [nowhere, made],
    [there, nowhere],
    [nowhere, there],
  ]) {
    const { code, stderr } = await run([upstream.origin, '--json', json, '--html', html])
    t.match({ code, stderr }, { code: 1, stderr: `${nowhere} cannot be written (ENOENT)\n` })
    t.strictSame(readdirSync(folder), ['there.json'])
    t.equal(readFileSync(there ?? '', 'utf8'), 'of yesterday')
  }
})

t.test('nothing is written to a file before the report is', async (t) => {
  const folder = t.testdir({ 'there.json': 'of yesterday', elsewhere: {} })
  const [made = '', there = '', linked = ''] = ['made', 'there.json', 'linked'].map((name) =>
    join(folder, name),
  )
  const behind = join(folder, 'elsewhere', 'behind')
  symlinkSync(behind, linked)
  const found: (readonly string[])[] = []
  const slow = await startUpstream(t, (_, response) => {
    const names = readdirSync(folder, { recursive: true }).map(String)
    found.push([...names.sort(), readFileSync(there, 'utf8')])
    response.end()
  })
  const plan = [slow.origin, ...short, '--attackers', '0%', '--errors', '100%']
  t.match(await run([...plan, '--json', linked, '--html', made]), { code: 0 })
  t.match(await run([...plan, '--json', there]), { code: 0 })
  t.strictSame(found[0], ['elsewhere', 'linked', 'there.json', 'of yesterday'])
  t.strictSame(found.at(-1)?.at(-1), 'of yesterday')
  t.equal(JSON.parse(readFileSync(behind, 'utf8')).passed, true, 'a link is written through')
  t.equal(JSON.parse(readFileSync(there, 'utf8')).passed, true)
})

t.test('wrong usage', async (t) => {
  const to = upstream.origin
  const config = join(t.testdir({ 'gateway.yaml': yaml }), 'gateway.yaml')
  const rows: readonly (readonly [string, readonly string[], RegExp, (1 | 2)?])[] = [
    ['no target', [], /^load needs one base URL\n\nUsage: /],
    ['two targets', [to, to], /^load needs one base URL\n/],
    ['no URL', ['gateway'], /^The base URL must be a URL of http or https/],
    ['no plan', [to, '--agents', '0'], /^--agents must be a whole number above 0\n/],
    ['no limit', [to, '--p99', 'fast'], /^--p99 must be/],
    ['no contact center', [to, '--contact-center', 'x'], /^There is no contact center "x"\n/],
    [
      'elsewhere',
      ['http://192.0.2.1'],
      /^192\.0\.2\.1 is no loopback address: load goes there only/,
    ],
    ['any address', ['http://0.0.0.0:1'], /^0\.0\.0\.0 is no loopback address/],
    ['stdout for JSON', [to, '--json', '-'], /^--json needs a file: /],
    [
      'one file for both',
      [to, '--json', 'x', '--html', 'x'],
      /^--json and --html need a file each\n/,
    ],
    ['stdout for HTML', [to, '--html', '-'], /^--html needs a file: /],
    [
      'the same file by another name',
      [to, '--json', 'x', '--html', './x'],
      /^--json and --html need a file each\n/,
    ],
    ['no such folder', [to, '--json', 'no/where'], /^no\/where cannot be written \(ENOENT\)\n$/, 1],
    [
      'no such host',
      ['http://no-such-name.invalid'],
      /^no-such-name\.invalid cannot be resolved \([A-Z_]+\): [^\n]*\n$/,
      1,
    ],
    ['no settings', [to, '--config', 'nowhere'], /^nowhere must be a file that can be read/, 1],
    ['public keys', [to, '--config', config], / has public keys: whoever has the private ones/, 1],
  ]
  process.env['JWT_SECRET'] = secret
  for (const [name, args, message, code = 2] of rows) {
    const written = t.capture(process.stderr, 'write')
    t.equal(await load(args), code, name)
    t.match(
      written()
        .map(({ args }) => String(args[0]))
        .join(''),
      message,
      name,
    )
  }
})

const several = `
contactCenters:
  - { name: south, secrets: [{ env: SOUTH }], frameAncestors: south.example, urlTokens: [other] }
  - { name: north, secrets: [{ env: NORTH }], frameAncestors: north.example, urlTokens: [load-by-the-settings] }
`
const yaml = `
contactCenters:
  - { name: west, keys: { jwks: 'https://west.example/jwks' }, frameAncestors: west.example }
`
