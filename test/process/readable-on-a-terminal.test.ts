// On a terminal lines are for people, and nobody who chose an id or a path in them steers it; a terminal
// that stands still holds nothing up.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { watch } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { pour } from '../sinks.ts'
import { ask, ids, inAnHour, jwt, link, secret, startUpstream } from '../stage.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const upstream = await startUpstream(t)

interface Terminal {
  readonly origin: string
  readonly kill: (signal: NodeJS.Signals) => void
  /** The terminal takes no more than it has room for. */
  readonly hold: () => void
  /** What it shows, from the first place where this is. */
  readonly shown: (text: string) => Promise<string>
  /** The exit code. */
  readonly ended: Promise<string>
}

/** The gateway on a terminal of its own. */
async function startOnTerminal(
  t: Test,
  files: Readonly<Record<string, string>> = {},
  options = '',
): Promise<Terminal> {
  const folder = t.testdir(files)
  const gateway = `'${process.execPath}' ${options} '${cli}' start`
  const command = `${gateway} & echo pid $!; wait $!; echo $? > ended; mv ended code`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      SHELL: '/bin/sh',
      TERM: 'xterm-256color',
      COPILOT_URL: upstream.origin,
      JWT_SECRET: secret,
      FRAME_ANCESTORS: 'https://cc.example',
      PORT: '0',
      ADMIN_PORT: 'off',
      DRAIN_TIMEOUT: '1s',
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.teardown(() => terminal.kill('SIGKILL'))
  let text = ''
  const waiting = new Set<() => void>()
  terminal.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    for (const check of waiting) check()
  })
  terminal.on('close', () => pour('log', text))
  const shown: Terminal['shown'] = (part) =>
    new Promise((resolve) => {
      const check = (): void => {
        const at = text.indexOf(part)
        const line = text.slice(at).split('\n', 1)[0] ?? ''
        if (at < 0 || text.length === at + line.length) return
        waiting.delete(check)
        resolve(line)
      }
      waiting.add(check)
      check()
    })
  const changes = watch(folder)
  const ended = (async () => {
    for await (const { filename } of changes) if (filename === 'code') break
    return readFileSync(`${folder}/code`, 'utf8').trim()
  })()
  const pid = Number((await shown('pid ')).slice(4))
  const listening = await shown('listening')
  t.teardown(() => {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended, as it should.
    }
  })
  return {
    origin: /http:[\w./:]+/.exec(listening)?.[0] ?? '',
    kill: (signal) => process.kill(pid, signal),
    hold: () => terminal.stdout.pause(),
    shown,
    ended,
  }
}

t.test('a line is one that people read, without what steers a terminal', async (t) => {
  const { origin, kill, shown, ended } = await startOnTerminal(t)
  const userId = 'agent\u001b]0;title\u0007\u009b2J\u007f\u202e\r\n\u2028\\u001b[2J'
  const auth = jwt({ userId, sessionId: ids.sessionId, exp: inAnHour() })
  t.equal((await ask(origin, link({ userId, auth }, '/path'))).status, 200)
  const line = await shown('access')
  // Colours are pino-pretty's own.
  const plain = line.replace(/\p{Cc}\[\d+m/gu, '').trimEnd()
  t.match(plain, '"path":"/path"')
  t.match(
    plain,
    String.raw`agent\u{1b}]0;title\u{7}\u{9b}2J\u{7f}\u{202e}\u{d}\u{a}\u{2028}\u001b[2J"`,
  )
  t.notMatch(plain, /[\p{Cc}\p{Cf}\p{Zl}]/u)
  t.notMatch(plain, /auth=|eyJ/)
  kill('SIGTERM')
  t.equal(await ended, '0')
})

t.test('a terminal that stands still', async (t) => {
  const { origin, kill, hold, ended } = await startOnTerminal(t)
  hold()
  for (let i = 0; i < 60; i += 1) {
    t.equal((await ask(origin, link({}, `/${'x'.repeat(20_000)}`))).status, 200)
  }
  kill('SIGTERM')
  t.equal(await ended, '0')
})

t.test('without pino-pretty, as in production, lines are JSON there too', async (t) => {
  const hook = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, parent, next) {
      if (name !== 'pino-pretty') return next(name, parent)
      throw Object.assign(new Error('missing'), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`
  const { origin, kill, shown, ended } = await startOnTerminal(
    t,
    { 'hook.mjs': hook },
    '--import=./hook.mjs',
  )
  await ask(origin, link())
  const line = await shown('{"level":30')
  t.match(JSON.parse(line), { event: 'listening' })
  t.match(JSON.parse(`{${await shown('"event":"access"')}`), { decision: 'allow' })
  kill('SIGTERM')
  t.equal(await ended, '0')
})
