// A contact center's page with <copilot-workspace> on it, under a policy as strict as one can be.
import { readFileSync } from 'node:fs'
import type { BrowserContext, Page } from 'playwright-core'
import { publicFile, startSite } from '../../demo/site.ts'
import type {
  CopilotChange,
  CopilotLinkReason,
  CopilotWorkspace,
} from '../../packages/copilot-workspace/copilot-workspace.js'
import {
  certify,
  type Gathered,
  gather,
  gatherErrors,
  names,
  type OwnStage,
  type Scope,
  startOwnStage,
} from './chromium.ts'

const module = readFileSync(
  new URL('../../packages/copilot-workspace/copilot-workspace.js', import.meta.url),
)
const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>A desktop</title>
<link rel="icon" href="data:,">
<script type="module" src="/copilot-workspace.js"></script>
`

const forger = `<!doctype html>
<title>A page that a frame could be led to</title>
<script>
  parent.postMessage({ type: 'copilot-gateway:refused', status: 401, requestId: 'forged-2', renew: true }, '*')
</script>
`

export interface ElementStage extends OwnStage {
  /** The page under its policy; `/lax` is the same without one, and `/forger` posts a refusal. */
  readonly url: URL
}

/** A gateway that lets this page frame. */
export async function startElementStage(
  t: Scope,
  hosts: Readonly<Record<'gateway' | 'contactCenter', string>> = names,
): Promise<ElementStage> {
  let gateway = ''
  const site = await startSite({
    name: hosts.contactCenter,
    port: 0,
    tls: certify(),
    answer(path) {
      if (path === '/copilot-workspace.js') {
        return { type: publicFile('contact-center/desktop.js').type, body: module }
      }
      const policy = `default-src 'none'; script-src 'self'; img-src data:; frame-src ${gateway}; require-trusted-types-for 'script'`
      const headers = { 'content-security-policy': policy, 'referrer-policy': 'no-referrer' }
      const type = 'text/html; charset=utf-8'
      if (path === '/') return { type, body: html, headers }
      if (path === '/lax') return { type, body: html }
      return path === '/forger' ? { type, body: forger } : null
    },
  })
  t.teardown(() => site.close())
  const stage = await startOwnStage(t, {
    name: hosts.gateway,
    allowed: [],
    env: { FRAME_ANCESTORS: site.url.origin, PUBLIC_PATHS: '/assets/*' },
  })
  gateway = stage.gateway.origin
  return { ...stage, url: site.url }
}

export interface Desk {
  readonly page: Page
  readonly errors: Gathered<string>
  /** What was asked for, in turn: the reason, and the element's label. */
  readonly asked: Gathered<readonly [CopilotLinkReason, string]>
  readonly changes: Gathered<CopilotChange & { readonly label: string }>
  /** Puts an element on the page; `answer` makes each link that it asks for. */
  add(label: string, link: URL, answer?: ((reason: CopilotLinkReason) => URL) | null): Promise<void>
}

/** The page, in a tab of its own; its clock can be put forward where it is `wound`. */
export async function openDesk(
  t: Scope,
  context: BrowserContext,
  url: URL,
  { wound = false } = {},
): Promise<Desk> {
  const page = await context.newPage()
  if (wound) await page.clock.install()
  t.teardown(() => page.close())
  const errors = gatherErrors(page)
  const asked: Desk['asked'] = gather()
  const changes: Desk['changes'] = gather()
  const answers = new Map<string, (reason: CopilotLinkReason) => URL>()
  await page.exposeFunction('fresh', (reason: CopilotLinkReason, label: string) => {
    asked.add([reason, label])
    const answer = answers.get(label)
    if (answer === undefined) throw new Error(`no links for ${label}`)
    return answer(reason).href
  })
  await page.exposeFunction('changed', (change: CopilotChange, label: string) =>
    changes.add({ ...change, label }),
  )
  await page.addInitScript(countTimers)
  await page.goto(url.href)
  return {
    page,
    errors,
    asked,
    changes,
    async add(label, link, answer = null) {
      if (answer !== null) answers.set(label, answer)
      await page.evaluate(
        ([label, link, asks]) => {
          const element: CopilotWorkspace = document.createElement('copilot-workspace')
          const call = (name: string, ...given: readonly unknown[]) =>
            Reflect.get(globalThis, name)(...given)
          element.setAttribute('label', label)
          element.addEventListener('copilot-change', ({ detail }) => call('changed', detail, label))
          if (asks) element.getLink = ({ reason }) => call('fresh', reason, label)
          element.src = link
          document.body.append(element)
        },
        [label, link.href, answer !== null] as const,
      )
    },
  }
}

/** Runs in every page: `pending` has the timers that wait, `delays` how long each was to wait. */
function countTimers(): void {
  const pending = new Set<unknown>()
  const delays: number[] = []
  Reflect.set(globalThis, 'pending', pending)
  Reflect.set(globalThis, 'delays', delays)
  const { setTimeout: set, clearTimeout: clear } = globalThis
  Reflect.set(globalThis, 'setTimeout', (run: () => void, ms: number) => {
    const timer = set(() => {
      pending.delete(timer)
      run()
    }, ms)
    pending.add(timer)
    delays.push(ms)
    return timer
  })
  Reflect.set(globalThis, 'clearTimeout', (timer: number) => {
    pending.delete(timer)
    clear(timer)
  })
}
