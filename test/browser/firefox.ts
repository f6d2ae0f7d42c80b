// Debian's Firefox, over WebDriver BiDi.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import type { Scope } from './chromium.ts'
import { missingPackage } from './executable.ts'
import type { Browser, Tab } from './tab.ts'

const executable = '/usr/bin/firefox-esr'

export const firefox: Browser = {
  name: 'Firefox',
  missing: missingPackage(executable, 'firefox-esr'),
  async open(t) {
    const command = await connect(t, await launch(t))
    await command('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } })
    const tree = await command('browsingContext.getTree', {})
    const [context] = contextsIn(tree)
    if (context === undefined) throw new Error('no window')
    return tabOf(command, context.id)
  },
}

type Command = (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>

function tabOf(command: Command, page: string): Tab {
  return {
    async goto(url) {
      await command('browsingContext.navigate', { context: page, url, wait: 'complete' })
    },
    async evaluate(expression, ...frames) {
      const tree = await command('browsingContext.getTree', { root: page })
      const [root] = contextsIn(tree)
      const frame = frames.reduce((one, index) => one?.children[index], root)
      if (frame === undefined) throw new Error(`no frame ${frames}`)
      const answer = await command('script.evaluate', {
        expression: `Promise.resolve(${expression}).then((value) => JSON.stringify([value]))`,
        target: { context: frame.id },
        awaitPromise: true,
      })
      const value = read(read(answer, 'result'), 'value')
      if (typeof value !== 'string') {
        throw new Error(`${expression}: ${read(read(answer, 'exceptionDetails'), 'text')}`)
      }
      const [result]: unknown[] = JSON.parse(value)
      return result
    },
  }
}

/** Resolves to the address that the browser is commanded at. */
async function launch(t: Scope): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'browser-firefox-'))
  t.teardown(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }))
  writeFileSync(join(profile, 'user.js'), 'user_pref("network.cookie.cookieBehavior", 2);\n')
  const child = spawn(
    executable,
    ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await once(child, 'spawn')
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  for await (const line of createInterface({ input: child.stderr })) {
    const [, address] = /WebDriver BiDi listening on (ws:\S+)/.exec(line) ?? []
    if (address !== undefined) {
      child.stderr.resume()
      return `${address}/session`
    }
  }
  throw new Error('Firefox did not start')
}

async function connect(t: Scope, address: string): Promise<Command> {
  const socket = new WebSocket(address)
  t.teardown(() => socket.terminate())
  const waiting = new Map<unknown, (answer: unknown) => void>()
  socket.on('message', (text) => {
    const answer: unknown = JSON.parse(String(text))
    waiting.get(read(answer, 'id'))?.(answer)
  })
  await once(socket, 'open')
  let id = 0
  return async (method, params) => {
    id += 1
    const answered = new Promise<unknown>((resolve) => waiting.set(id, resolve))
    socket.send(JSON.stringify({ id, method, params }))
    const answer = await answered
    if (read(answer, 'type') === 'success') return read(answer, 'result')
    throw new Error(`${method}: ${read(answer, 'message')}`)
  }
}

interface Context {
  readonly id: string
  readonly children: readonly Context[]
}

function contextsIn(tree: unknown): readonly Context[] {
  const list = read(tree, 'contexts') ?? read(tree, 'children')
  return Array.isArray(list)
    ? list.map((one) => ({ id: String(read(one, 'context')), children: contextsIn(one) }))
    : []
}

function read(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
