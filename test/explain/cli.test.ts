import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { environment } from '../environment.ts'
import { ids, jwt, link, secret } from '../stage.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const settings = {
  COPILOT_URL: 'https://copilot.example',
  JWT_SECRET: secret,
  FRAME_ANCESTORS: 'https://cc.example',
  PUBLIC_URL: 'https://gateway.example',
}
const cwd = t.testdir({
  'gateway.yaml': `contactCenters:
  - name: north
    secrets: [{ env: NORTH }]
    frameAncestors: https://n.example
    urlTokens: [${ids.URLToken}]
`,
})
const good = `https://gateway.example${link()}`
const ended = `https://gateway.example${link({ auth: jwt({ ...ids, exp: 1 }) })}`

async function explain(args: readonly string[], input = '', env: object = settings) {
  const child = spawn(process.execPath, [cli, 'explain', ...args], {
    cwd,
    env: { ...environment, ...env },
  })
  child.stdin.end(input)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  return { stdout, stderr, code }
}

t.test('it says what the gateway would say', async (t) => {
  const { COPILOT_URL, PUBLIC_URL } = settings
  const north = { COPILOT_URL, PUBLIC_URL, NORTH: secret }
  type Row = readonly [string, readonly string[], string, number, RegExp, object?]
  const rows: readonly Row[] = [
    [
      'a good link',
      [good],
      '',
      0,
      /^This link would be let in, contact center default\n\n {2}passed {7}target\n/,
    ],
    [
      'one that has ended',
      ['-'],
      ended,
      1,
      /refused · token-expired · 401, .* {2}failed {7}credential\n.*ended \(exp\): 1970-01-01 00:00:01 UTC, \d\d years ago.* {2}not reached {2}binding\n.*\n\nPast exp\.\nTo do: The contact center mints a fresh link\.\n/s,
    ],
    [
      'of another scheme than PUBLIC_URL',
      ['-'],
      good.replace('https', 'http'),
      0,
      /^This link would be let in, but is not of PUBLIC_URL: its session would be of no\s+use/,
    ],
    [
      'reported',
      ['-'],
      ended,
      0,
      /let in and reported · token-expired, /,
      { ...settings, ENFORCEMENT: 'report' },
    ],
    [
      'shown',
      ['--show', '-'],
      good,
      0,
      /userId is “agent-7”, in the link.*URLToken is “f38791ae”/s,
    ],
    [
      'a file of settings',
      ['--config', 'gateway.yaml', '-'],
      good,
      0,
      /contact center north\n.*Pages that may frame it: https:\/\/n\.example\./s,
      north,
    ],
    [
      'on stdin, with a page, masked',
      ['--page', 'https://cc.example/desk', '-'],
      `${good}\n`,
      0,
      /userId is “ag”… of 7 characters, in the link as in the token\..*https:\/\/cc\.example may frame it\.\n\nNot known here\n {2}- Sessions that were ended before their time\.\n$/s,
    ],
  ]
  const runs = rows.map(async ([name, args, input, code, expected, env = settings]) => {
    const ran = await explain(args, input, env)
    t.equal(ran.code, code, name)
    t.equal(ran.stderr, '', name)
    t.match(ran.stdout, expected, name)
    t.notOk(
      ran.stdout.split('\n').some((line) => line.length > 80),
      `${name}: no line is too wide`,
    )
    t.notMatch(ran.stdout, 'eyJ', `${name}: no token`)
  })
  await Promise.all(runs)
  const { stdout } = await explain(['--json', '-'], ended)
  t.match(JSON.parse(stdout), {
    verdict: 'refused',
    reason: 'token-expired',
    status: 401,
    contactCenter: 'default',
    steps: [
      { name: 'target', outcome: 'passed' },
      {},
      {},
      { name: 'credential', outcome: 'failed' },
    ],
    happened: 'Past exp.',
  })
})

t.test('what is wrong goes to stderr, and quotes no link', async (t) => {
  const rows: readonly (readonly [string, readonly string[], string, number, RegExp, object?])[] = [
    ['no link', [], '', 2, /^explain needs one link, or - for stdin\n/],
    ['nothing on stdin', ['-'], '', 2, /^The link is empty\n/],
    ['no URL', ['-'], `x${good}`, 2, /^The link must begin with https:\/\//],
    ['no page', ['--page', 'desk', '-'], good, 2, /^--page must be a URL of http or https\n/],
    ['no such option', ['--reveal', good], '', 2, /^Unknown option '--reveal'/],
    ['no settings', ['-'], good, 1, /^COPILOT_URL is required.*^JWT_SECRET is required/ms, {}],
  ]
  const runs = rows.map(async ([name, args, input, code, expected, env = settings]) => {
    const ran = await explain(args, input, env)
    t.equal(ran.code, code, name)
    t.equal(ran.stdout, '', name)
    t.match(ran.stderr, expected, name)
    t.notMatch(ran.stderr, /eyJ|f38791ae/, name)
  })
  await Promise.all(runs)
})
