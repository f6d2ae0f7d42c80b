// WebKitGTK's browser, over WebDriver, on a display of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { pickPorts } from '../../demo/site.ts'
import type { Scope } from './chromium.ts'
import { missingPackage } from './executable.ts'
import { type Browser, patience } from './tab.ts'

const driver = '/usr/bin/WebKitWebDriver'
const display = '/usr/bin/Xvfb'

export const webkit: Browser = {
  name: 'WebKit',
  missing: missingPackage(driver, 'webkit2gtk-driver') || missingPackage(display, 'xvfb'),
  async open(t) {
    const { port } = await pickPorts({ port: 0 })
    await start(t, driver, [`--port=${port}`], {
      DISPLAY: await startDisplay(t),
      // Containers have no user namespaces for it.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
    })
    const root = `http://127.0.0.1:${port}`
    await ready(root)
    const session = await command(`${root}/session`, {
      capabilities: {
        alwaysMatch: {
          acceptInsecureCerts: true,
          timeouts: { script: patience, pageLoad: patience },
          'webkitgtk:browserOptions': { args: ['--automation', '--cookies-policy=never'] },
        },
      },
    })
    const base = `${root}/session/${read(session, 'sessionId')}`
    t.teardown(() => fetch(base, { method: 'DELETE' }))
    return {
      async goto(url) {
        await command(`${base}/url`, { url })
      },
      async evaluate(expression, ...frames) {
        for (const id of [null, ...frames]) await command(`${base}/frame`, { id })
        const script = `const done = arguments[0]
          Promise.resolve(${expression}).then((value) => done({ value }), (error) => done({ error: String(error) }))`
        const result = await command(`${base}/execute/async`, { script, args: [] })
        const error = read(result, 'error')
        if (error !== undefined) throw new Error(`${expression}: ${error}`)
        return read(result, 'value')
      },
    }
  },
}

/** Resolves to the name of a display that nobody sees. */
async function startDisplay(t: Scope): Promise<string> {
  const child = await start(t, display, ['-displayfd', '1', '-nolisten', 'tcp'], {})
  if (child.stdout === null) throw new Error('no display')
  const [number] = await once(child.stdout, 'data')
  return `:${String(number).trim()}`
}

async function start(
  t: Scope,
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...env },
  })
  await once(child, 'spawn')
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  return child
}

/** It says nowhere when it listens. */
async function ready(root: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const answered = await fetch(`${root}/status`).catch(() => null)
    if (answered?.ok) return
    await pause(100)
  }
  throw new Error('WebKitWebDriver did not start')
}

async function command(url: string, body: unknown): Promise<unknown> {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  const value = read(await answer.json(), 'value')
  if (answer.ok) return value
  throw new Error(`${url}: ${read(value, 'error')}, ${read(value, 'message')}`)
}

function read(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
