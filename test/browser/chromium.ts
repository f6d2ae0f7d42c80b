// What the browser tests play on: Debian's Chromium, HTTPS under real names, and what it all says.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import type { Logger } from 'pino'
import {
  type BrowserContext,
  chromium,
  type Frame,
  type FrameLocator,
  type Page,
} from 'playwright-core'
import type { Test } from 'tap'
import { type Demo, type DemoOptions, startDemo } from '../../demo/main.ts'
import { pickPorts, startSite, type Tls } from '../../demo/site.ts'
import { type Heard, startWorkspace, type Workspace } from '../../demo/workspace.ts'
import { createLink } from '../../src/link/link.ts'
import { createLog } from '../../src/observe/log.ts'
import { know, knowSecret, pour, pourAnswer } from '../sinks.ts'
import { ids, type Stage, secret, startGateway } from '../stage.ts'
import { chromiumMissing, executablePath } from './executable.ts'
import { type Browser, patience } from './tab.ts'

export interface Scope {
  teardown(done: () => unknown): void
}

/** Each is a site of its own, but that the neighbour is of the gateway's. */
export const names = {
  gateway: 'gateway.test',
  contactCenter: 'contact-center.test',
  stranger: 'stranger.test',
} as const

/** Names that every browser finds on loopback by itself. */
export const localNames = {
  gateway: 'gateway.localhost',
  contactCenter: 'contact-center.localhost',
} as const

const moreNames = [
  'widget.test',
  'neighbour.gateway.test',
  'sub.contact-center.test',
  'contact-center.test.stranger.test',
  ...Object.values(localNames),
]

let certificate: (Tls & { readonly keyHash: string }) | null = null

/** A certificate for all the names, and the hash by which Chromium trusts its key. */
export function certify(): Tls & { readonly keyHash: string } {
  if (certificate) return certificate
  const folder = mkdtempSync(join(tmpdir(), 'browser-certs-'))
  const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
  try {
    const hosts = [...Object.values(names), ...moreNames]
    execFileSync(script, ['--out', folder, ...hosts], { stdio: ['ignore', 'ignore', 'inherit'] })
    const cert = readFileSync(join(folder, 'server.pem'), 'utf8')
    const key = readFileSync(join(folder, 'server-key.pem'), 'utf8')
    const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })
    const keyHash = createHash('sha256').update(spki).digest('base64')
    certificate = { cert, key, keyHash }
    return certificate
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export interface Look {
  readonly width?: number
  readonly height?: number
  readonly colors?: 'light' | 'dark'
}

export type NewContext = (t: Scope, look?: Look) => Promise<BrowserContext>

/**
 * A browser for several contexts, each with cookies of its own. Third-party cookies are blocked.
 * `hosts`: where hosts are besides, such as `MAP a.example:80 127.0.0.1:8080`.
 */
export async function launch(t: Scope, hosts: readonly string[] = []): Promise<NewContext> {
  const browser = await chromium.launch(options(hosts))
  t.teardown(() => browser.close())
  return async (t, { width = 1280, height = 900, colors = 'light' } = {}) => {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: colors })
    watch(context)
    t.teardown(() => context.close())
    return context
  }
}

/** A browser whose user has allowed third-party cookies, which only a profile can say. */
export function launchAllowingCookies(t: Scope): Promise<BrowserContext> {
  return launchWith(t, { cookie_controls_mode: 0, block_third_party_cookies: false })
}

/** A browser whose user has blocked all cookies, which only a profile can say. */
export function launchWithoutCookies(t: Scope): Promise<BrowserContext> {
  return launchWith(t, { default_content_setting_values: { cookies: 2 } })
}

async function launchWith(
  t: Scope,
  preferences: Readonly<Record<string, unknown>>,
): Promise<BrowserContext> {
  const profile = mkdtempSync(join(tmpdir(), 'browser-profile-'))
  mkdirSync(join(profile, 'Default'))
  writeFileSync(join(profile, 'Default/Preferences'), JSON.stringify({ profile: preferences }))
  t.teardown(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }))
  const context = await chromium.launchPersistentContext(profile, options())
  watch(context)
  t.teardown(() => context.close())
  return context
}

function watch(context: BrowserContext): void {
  context.setDefaultTimeout(patience)
  context.on('response', async (response) => {
    if (response.status() < 400) return
    // A page that has been left has no more to say.
    const headers = await response.allHeaders().catch(() => response.headers())
    const body = await response.text().catch(() => '')
    pourAnswer(response.status(), headers, body)
  })
}

function options(hosts: readonly string[] = []): Parameters<typeof chromium.launch>[0] {
  return {
    executablePath,
    // Containers have no user namespaces for it.
    chromiumSandbox: false,
    args: [
      `--host-resolver-rules=${['MAP *.test 127.0.0.1', ...hosts].join()}`,
      `--ignore-certificate-errors-spki-list=${certify().keyHash}`,
      '--no-proxy-server',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-gpu',
      '--disable-quic',
      '--disable-sync',
    ],
  }
}

/** Chromium as all browsers are driven, and without cookies. */
export const chromiumWithoutCookies: Browser = {
  name: 'Chromium',
  missing: chromiumMissing,
  async open(t) {
    const page = await (await launchWithoutCookies(t)).newPage()
    return {
      async goto(url) {
        await page.goto(url)
      },
      evaluate(expression, ...frames) {
        const frame = frames.reduce<Frame | undefined>(
          (one, index) => one?.childFrames()[index],
          page.mainFrame(),
        )
        if (frame === undefined) throw new Error(`no frame ${frames}`)
        return frame.evaluate(expression)
      },
    }
  },
}

/** Things as they come in, and a way to wait for them. */
export interface Gathered<T> {
  readonly all: readonly T[]
  add(item: T): void
  /** Those that match, once there are `count`. */
  until(matches: (item: T) => boolean, count?: number): Promise<T[]>
}

export function gather<T>(): Gathered<T> {
  const all: T[] = []
  const waiting = new Set<() => void>()
  return {
    all,
    add(item) {
      all.push(item)
      for (const check of waiting) check()
    },
    until: (matches, count = 1) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = all.filter(matches)
          if (found.length < count) return
          clearTimeout(deadline)
          waiting.delete(check)
          resolve(found)
        }
        const deadline = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`waited in vain; there are ${inspect(all)}`))
        }, patience)
        waiting.add(check)
        check()
      }),
  }
}

export type Line = Readonly<Record<string, unknown>>

/** A log whose lines are gathered. */
export function recordLog(): { readonly log: Logger; readonly audit: Gathered<Line> } {
  const audit = gather<Line>()
  const write = (text: string): void => {
    pour('log', text)
    const line: Line = JSON.parse(text)
    if (line['event'] === 'access') audit.add(line)
  }
  return { log: createLog('trace', { write }), audit }
}

/** The product's demo over HTTPS, and the gateway's audit lines. */
export async function startHttpsDemo(
  t: Scope,
  changes: DemoOptions = {},
): Promise<{ readonly demo: Demo; readonly audit: Gathered<Line> }> {
  const { log, audit } = recordLog()
  const demo = await startDemo({ names, tls: certify(), log, pace: 20, ...changes })
  t.teardown(() => demo.close())
  knowSecret(demo.secret)
  know('secret', demo.urlToken)
  return { demo, audit }
}

export interface OwnStage {
  readonly gateway: URL
  readonly audit: Gathered<Line>
  /** What reached the workspace's backend over its sockets. */
  readonly heard: Gathered<Heard>
  /** The page on one of the hosts that frames these links. */
  framing(host: string, ...links: readonly (URL | string)[]): string
  link(changes?: LinkChanges): URL
  /** Runs from the start. */
  readonly workspace: { stop(): Promise<void>; start(): Promise<void> }
}

interface LinkChanges {
  readonly sessionId?: string
  readonly signedAt?: number
  /** Milliseconds. */
  readonly expiresIn?: number
  readonly key?: Buffer
}

/** The demo's workspace behind a gateway of one's own settings, and a framing page on each host. */
export async function startOwnStage(
  t: Scope,
  {
    name = names.gateway,
    allowed = [names.contactCenter],
    keywords = [],
    others = [],
    env = {},
  }: {
    readonly name?: string
    readonly allowed?: readonly string[]
    /** Frame ancestors that are no hosts. */
    readonly keywords?: readonly string[]
    readonly others?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
  },
): Promise<OwnStage> {
  const tls = certify()
  const ports = await pickPorts({ gateway: 0, workspacePage: 0, workspaceApi: 0 })
  const gateway = new URL(`https://${name}:${ports.gateway}`)
  const apiToken = randomBytes(32).toString('hex')
  const heard = gather<Heard>()
  const run = (): Promise<Workspace> =>
    startWorkspace({
      pagePort: ports.workspacePage,
      apiPort: ports.workspaceApi,
      apiToken,
      secret: Buffer.from(secret),
      pace: 20,
      onEvent: heard.add,
    })
  let workspace = await run()
  t.teardown(() => workspace.close())
  const sites = new Map<string, URL>()
  for (const host of [...allowed, ...others]) sites.set(host, await startFramingSite(t, host))
  const ancestors = [...allowed.map((host) => sites.get(host)?.origin ?? ''), ...keywords]
  const stage = await startGateway(t, workspace.page.origin, {
    COPILOT_API_URL: workspace.api.origin,
    COPILOT_API_TOKEN: apiToken,
    FRAME_ANCESTORS: ancestors.join(' '),
    PORT: String(ports.gateway),
    ...tlsFiles(t, tls),
    ...env,
  })
  return {
    gateway,
    audit: follow(stage),
    heard,
    framing(host, ...links) {
      const site = sites.get(host)
      if (!site) throw new Error(`no site on ${host}`)
      return framing(site, ...links)
    },
    link({ sessionId = 'chat-2041', signedAt = Date.now(), expiresIn = 3_600_000, key } = {}) {
      const subject = { userId: 'dana.whitfield', sessionId, urlToken: ids.URLToken }
      know('id', subject.userId)
      know('secret', subject.urlToken)
      return createLink({
        baseUrl: gateway,
        ...subject,
        secret: key ?? Buffer.from(secret),
        expiresIn,
        now: signedAt,
      })
    },
    workspace: {
      stop: () => workspace.close(),
      start: async () => {
        workspace = await run()
      },
    },
  }
}

/** The clock of the gateway, which runs in this process. */
export function startClock(t: Test): { advance(ms: number): void } {
  const { now } = Date
  let ahead = 0
  t.intercept(Date, 'now', { value: () => now() + ahead })
  return {
    advance(ms) {
      ahead += ms
    },
  }
}

function follow({ audited }: Pick<Stage, 'audited'>): Gathered<Line> {
  const audit = gather<Line>()
  void (async () => {
    for (let count = 1; ; count += 1) {
      const line = (await audited(count))[count - 1]
      if (line) audit.add(line)
    }
  })()
  return audit
}

function tlsFiles(t: Scope, { cert, key }: Tls): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'browser-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const files = { TLS_CERT_FILE: join(folder, 'cert.pem'), TLS_KEY_FILE: join(folder, 'key.pem') }
  writeFileSync(files.TLS_CERT_FILE, cert)
  writeFileSync(files.TLS_KEY_FILE, key, { mode: 0o600 })
  return files
}

const framingPage = `<!doctype html>
<title>A page that frames what its fragment says</title>
<link rel="icon" href="data:,">
<script>
  for (const link of decodeURIComponent(location.hash.slice(1)).split(' ')) {
    const frame = document.createElement('iframe')
    frame.style = 'display: block; width: 100%; height: 600px'
    frame.src = link
    document.documentElement.append(frame)
  }
</script>`

/** The page of a framing site that frames these links. */
export function framing(site: URL, ...links: readonly (URL | string)[]): string {
  return `${site}#${encodeURIComponent(links.join(' '))}`
}

/** A site whose page frames what its URL's fragment says (`framing`); `tls` null: over plain HTTP. */
export async function startFramingSite(
  t: Scope,
  name: string,
  tls: Tls | null = certify(),
): Promise<URL> {
  const html = { type: 'text/html', body: framingPage }
  const site = await startSite({
    name,
    port: 0,
    tls,
    answer: (path) => (path === '/' ? html : null),
  })
  t.teardown(() => site.close())
  return site.url
}

/** A page of the contact center that frames these links, once each workspace is connected. */
export async function openChats(
  t: Scope,
  context: BrowserContext,
  { framing }: OwnStage,
  ...links: readonly URL[]
): Promise<{ readonly page: Page; readonly messages: Gathered<Received> }> {
  const page = await context.newPage()
  t.teardown(() => page.close())
  const messages = await gatherMessages(page)
  await page.goto(framing(names.contactCenter, ...links))
  for (const index of links.keys()) await connected(page.frameLocator('iframe').nth(index))
  return { page, messages }
}

/** Loads one of the gateway's own pages in a hidden frame. */
export async function frameOwn(
  page: Page,
  link: URL,
  name: 'renew' | 'logout',
  query = link.search,
): Promise<void> {
  await page.evaluate(
    (url) => {
      const frame = document.createElement('iframe')
      frame.hidden = true
      frame.src = url
      document.documentElement.append(frame)
    },
    new URL(`/.copilot-gateway/${name}${query}`, link).href,
  )
}

/** Writes to the customer. */
export async function say(workspace: FrameLocator | Frame, text: string): Promise<void> {
  await workspace.getByLabel('Message to the customer').fill(text)
  await workspace.getByRole('button', { name: 'Send' }).click()
}

export interface Received {
  /** The window that received it. */
  readonly at: string
  /** Who posted it. */
  readonly origin: string
  readonly message: Readonly<Record<string, unknown>>
}

/** The gateway's messages, in whichever window of the page they arrive. */
export async function gatherMessages(page: Page): Promise<Gathered<Received>> {
  const messages = gather<Received>()
  await page.exposeBinding('received', (_, received: Received) => messages.add(received))
  await page.addInitScript(() => {
    addEventListener('message', ({ data, origin }) => {
      if (!String(data?.type).startsWith('copilot-gateway:')) return
      const received: unknown = Reflect.get(globalThis, 'received')
      if (typeof received !== 'function') return
      received({ at: location.origin, origin, message: data })
    })
  })
  return messages
}

/** A socket of a page's, with the text that went over it so far. */
export interface WatchedSocket {
  readonly sent: readonly string[]
  readonly got: readonly string[]
}

export function watchSockets(page: Page, sockets: Gathered<WatchedSocket>): void {
  page.on('websocket', (socket) => {
    const sent: string[] = []
    const got: string[] = []
    socket.on('framesent', ({ payload }) => sent.push(payload.toString()))
    socket.on('framereceived', ({ payload }) => got.push(payload.toString()))
    sockets.add({ sent, got })
  })
}

/** What the page's console shows as errors. */
export function gatherErrors(page: Page): Gathered<string> {
  const errors = gather<string>()
  page.on('console', (message) => {
    if (message.type() === 'error') errors.add(message.text())
  })
  return errors
}

/** The frames that the browser has shut, showing an error of its own, once there are `count`. */
export async function shutFrames(page: Page, count = 1): Promise<Frame[]> {
  for (;;) {
    const shut = page.frames().filter((frame) => frame.url() === 'chrome-error://chromewebdata/')
    if (shut.length >= count) return shut
    await page.waitForEvent('framenavigated')
  }
}

/** The desktop's chat with a customer. */
export function chatWith(page: Page, customer: string): FrameLocator {
  return page.frameLocator(`iframe[title="Copilot for ${customer}"]`)
}

/** What a tile of the workspace shows: the state before, while the next one loads. */
export function tile(workspace: FrameLocator, name: string): FrameLocator {
  return workspace.frameLocator(`[data-tile=${name}] iframe:first-child`)
}

/** Done once the workspace has joined its session over its socket. */
export async function connected(workspace: FrameLocator | Page): Promise<void> {
  await workspace.locator('#status', { hasText: /^Connected$/ }).waitFor()
}
