// What a run writes is kept where it says, and found where it must not be.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { folderVariable, type Sink, searchSinks } from './sinks.ts'
import { jwt, link, secret } from './stage.ts'

/** The folder of a run in which one line was poured. */
function kept(t: Test, sink: Sink, line: string): string {
  const folder = t.testdir()
  const known = [
    { kind: 'secret', value: 'shared-secret' },
    { kind: 'id', value: 'agent-7' },
  ]
  for (const [name, lines] of [
    [`${sink}/http/a.test.ts`, ['{"event":"listening"}', line]],
    ['known/http/a.test.ts', known.map((one) => JSON.stringify(one))],
  ] as const) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), lines.map((one) => `${one}\n`).join(''))
  }
  return folder
}

t.test('what gives a secret away is found, in whatever sink', async (t) => {
  const rows = [
    ['a known secret', '{"stack":"key shared-secret"}'],
    ['a token', `{"msg":"${jwt()}"}`],
    ['the claims of one', `{"msg":"${jwt().split('.')[1]}"}`],
    ['a session cookie', '{"cookie":"__Host-copilot-abc=1"}'],
    ['a bearer', '{"authorization":"Bearer opaque-token"}'],
    ['a password', '{"authorization":"Basic dXNlcjpwYXNz"}'],
    ['a link', `{"path":${JSON.stringify(link({ auth: 'x', URLToken: null }))}}`],
    ['a parameter', '{"query":"auth=x"}'],
    ['a URL', '{"msg":"https://gateway.example/?x=1"}'],
  ] as const
  for (const [name, line] of rows) {
    for (const sink of ['log', 'stderr', 'refusals'] as const) {
      const { faults, read } = searchSinks(kept(t, sink, line), false)
      t.match(faults[0], `is in ${sink}/http/a.test.ts, line 2: `, `${name}: ${sink}`)
      t.match(read, [{ place: `${sink}/http`, lines: 2 }])
    }
  }
})

t.test('an id is found everywhere but in the log, whose lines name it', async (t) => {
  const line = '{"userId":"agent-7"}'
  t.same(searchSinks(kept(t, 'log', line), false).faults, [])
  for (const sink of ['stderr', 'refusals'] as const) {
    t.match(searchSinks(kept(t, sink, line), false).faults, [/^the id "agent-7" is in/])
  }
})

t.test('what a line and a refusal may hold is no fault', async (t) => {
  const rows = [
    ['log', '{"event":"listening","addresses":["http://127.0.0.1:8080"]}'],
    [
      'log',
      '{"event":"access","path":"/a","userId":"U","hint":"PUBLIC_URL should name https://a"}',
    ],
    ['refusals', '401 {"www-authenticate":"Bearer realm=\\"copilot\\""}'],
    ['stderr', 'JWT_SECRET is required: Secrets shared with the contact center.'],
  ] as const
  for (const [sink, line] of rows) {
    t.same(searchSinks(kept(t, sink, line), false), {
      ...searchSinks(kept(t, sink, ''), false),
      read: [{ place: `${sink}/http`, lines: 2, bytes: 23 + line.length }],
      faults: [],
    })
  }
})

t.test('of a whole run no sink may be empty', async (t) => {
  const { faults } = searchSinks(kept(t, 'log', ''), true)
  t.ok(faults.includes('refusals/http is empty'))
  t.ok(faults.includes('stderr/process is empty'))
  t.notOk(faults.includes('log/http is empty'))
})

t.test('a run keeps what is poured, and knows secrets in each way they are written', async (t) => {
  const folder = t.testdir()
  const problem =
    'HTTP/1.1 401 x\r\nContent-Type: application/problem+json\r\n\r\n{"requestId":"1"}'
  const upstreams = 'HTTP/1.1 404 x\r\nContent-Type: application/json\r\n\r\n{"auth":"2"}'
  const script = `
    import * as sinks from ${JSON.stringify(new URL('sinks.ts', import.meta.url).href)}
    sinks.knowSettings({ JWT_SECRET: ${JSON.stringify(`hex:${Buffer.from(secret).toString('hex')}`)} })
    sinks.knowSettings({ PORT: 'no-secret', URL_TOKENS: 'f38791ae short' })
    sinks.pour('log', 'a line')
    sinks.pourAnswers(Buffer.from(${JSON.stringify(problem + upstreams)}))`
  const run = ['--experimental-strip-types', '--input-type=module', '-e', script]
  execFileSync(process.execPath, run, { env: { ...process.env, [folderVariable]: folder } })
  const { read, faults } = searchSinks(folder, false)
  t.match(read, [
    { place: 'log/.', lines: 1 },
    { place: 'refusals/.', lines: 2 },
  ])
  t.same(faults, [], 'the upstream’s own answer is not kept')
  for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
    const written = Buffer.from(secret).toString(encoding)
    writeFileSync(join(folder, 'log', 'written'), `${written}\n`)
    t.equal(searchSinks(folder, false).faults.length, 1, encoding)
  }
  for (const [text, count] of [
    ['f38791ae', 1],
    ['no-secret', 0],
    ['short', 0],
  ] as const) {
    writeFileSync(join(folder, 'log', 'written'), `${text}\n`)
    t.equal(searchSinks(folder, false).faults.length, count, text)
  }
})
