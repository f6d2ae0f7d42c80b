import type { Page } from 'playwright-core'
import t from 'tap'
import { agent, conversations } from '../../demo/conversations.ts'
import { createLink } from '../../src/link/link.ts'
import {
  certify,
  connected,
  framing,
  gather,
  gatherErrors,
  gatherMessages,
  launch,
  names,
  shutFrames,
  startFramingSite,
  startHttpsDemo,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria] = conversations

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const { demo, audit } = await startHttpsDemo(t)
  const newContext = await launch(t)

  await t.test('the demo’s stranger has a shut frame; the same link opens in a tab', async (t) => {
    const context = await newContext(t)
    const page = await context.newPage()
    const messages = await gatherMessages(page)
    const errors = gatherErrors(page)
    const sockets = gather<string>()
    const watch = (one: Page): unknown => one.on('websocket', (socket) => sockets.add(socket.url()))
    watch(page)
    context.on('page', watch)

    await page.goto(demo.stranger.href)
    await shutFrames(page)
    const [error] = await errors.until((text) => text.includes('frame-ancestors'))
    t.match(error, `Framing '${demo.gateway.href}' violates`)
    t.match(error, `"frame-ancestors ${demo.desktop.origin}"`)
    t.equal(page.frames().length, 2)

    const link = page.getByRole('link', { name: 'open the same link in a tab' })
    t.equal(await link.getAttribute('href'), await page.locator('iframe').getAttribute('src'))
    const opening = context.waitForEvent('page')
    await link.click()
    const tab = await opening
    await connected(tab)
    t.equal(await tab.title(), 'Copilot workspace')
    await audit.until((line) => line['socket'] === 'open')
    const pages = audit.all.filter((line) => line['path'] === '/')
    t.equal(pages.length, 2, 'the token lets both in: framing is the browser’s matter')
    for (const line of pages) {
      t.match(line, { decision: 'allow', status: 200, sessionId: maria.sessionId })
    }
    t.equal(sockets.all.length, 1, 'the tab’s socket')
    t.equal(audit.all.filter((line) => line['path'] === '/config.js').length, 1, 'and its scripts')
    t.strictSame(messages.all, [], 'the stranger is told nothing')
  })

  const expired = createLink({
    baseUrl: demo.gateway,
    userId: agent.userId,
    sessionId: maria.sessionId,
    urlToken: demo.urlToken,
    secret: demo.secret,
    expiresIn: 3_600_000,
    now: Date.now() - 2 * 3_600_000,
  })
  const strangers = [
    ['another site', names.stranger, certify],
    ['another port of the contact center', names.contactCenter, certify],
    ['the contact center over plain HTTP', names.contactCenter, () => null],
    ['a name below the contact center’s', `sub.${names.contactCenter}`, certify],
    ['a name that begins as the contact center’s', `${names.contactCenter}.stranger.test`, certify],
    ['a neighbour on the gateway’s own site', `neighbour.${names.gateway}`, certify],
  ] as const

  for (const [name, host, tls] of strangers) {
    await t.test(`shut: ${name}`, async (t) => {
      const site = await startFramingSite(t, host, tls())
      const context = await newContext(t)
      const page = await context.newPage()
      const messages = await gatherMessages(page)
      const errors = gatherErrors(page)
      await page.goto(framing(site, demo.link(maria.sessionId), expired))
      const frames = await shutFrames(page, 2)
      t.strictSame(
        frames.map((frame) => frame.parentFrame()),
        [page.mainFrame(), page.mainFrame()],
        'a valid link and a refused one',
      )
      const told = await errors.until((text) => text.includes('frame-ancestors'), 2)
      for (const error of told) t.match(error, `"frame-ancestors ${demo.desktop.origin}"`)
      t.strictSame(messages.all, [])
    })
  }
})
