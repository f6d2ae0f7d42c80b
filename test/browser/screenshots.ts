// Makes the pictures in docs/ from the demo, as it is now.
import { fileURLToPath } from 'node:url'
import type { FrameLocator, Page } from 'playwright-core'
import { type Conversation, conversations } from '../../demo/conversations.ts'
import {
  chatWith,
  chromiumMissing,
  gatherMessages,
  type Look,
  launch,
  shutFrames,
  startHttpsDemo,
  tile,
} from './chromium.ts'

if (chromiumMissing) throw new Error(chromiumMissing)

const [maria, tomas] = conversations
const ends: (() => unknown)[] = []
const t = { teardown: (end: () => unknown) => void ends.unshift(end) }
try {
  // Letters drawn alike wherever they stand make smaller files.
  const newContext = await launch(t, '--font-render-hinting=none')
  const picture = async (
    name: string,
    look: Look,
    take: (page: Page, path: string) => Promise<unknown>,
  ): Promise<void> => {
    const page = await (await newContext(t, look)).newPage()
    await take(page, fileURLToPath(new URL(`../../docs/${name}.png`, import.meta.url)))
    console.log(`docs/${name}.png`)
  }

  for (const [name, look] of [
    ['contact-center', { width: 1280, height: 800 }],
    ['contact-center-dark-narrow', { width: 400, height: 860, colors: 'dark' }],
  ] as const) {
    const { demo } = await startHttpsDemo(t, { pace: 200 })
    await picture(name, look, async (page, path) => {
      await page.goto(demo.desktop.href)
      const [a, b] = [maria, tomas].map(({ customer }) => chatWith(page, customer.name))
      if (!a || !b) return
      await suggested(a, maria.opening)
      await suggested(b, tomas.opening)
      await tile(a, 'suggestion').getByRole('button').click()
      await suggested(a, maria.turns[0])
      await a.locator('body').evaluate(() => {
        if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
      })
      await page.screenshot({ path })
    })
  }

  const { demo } = await startHttpsDemo(t)
  await picture('stranger', { width: 1280, height: 436 }, async (page, path) => {
    await page.goto(demo.stranger.href)
    await shutFrames(page)
    await page.screenshot({ path })
  })
  await picture('refused', { width: 1280, height: 636 }, async (page, path) => {
    await refused(page)
    await page.screenshot({ path })
  })
  await picture('refused-narrow-dark', { colors: 'dark' }, async (page, path) => {
    await refused(page)
    const frame = page.locator('iframe').first()
    await frame.evaluate((iframe) => {
      Object.assign(iframe.style, { width: '320px', flex: 'none', height: '360px' })
    })
    await frame.screenshot({ path })
  })

  async function refused(page: Page): Promise<void> {
    const messages = await gatherMessages(page)
    await page.goto(demo.refusals.href)
    await messages.until(() => true, 4)
    await page.getByText('as expected').nth(3).waitFor()
  }
} finally {
  for (const end of ends) await end()
}

/** Done once a turn's lines, summary and suggested answer are shown. */
async function suggested(
  workspace: FrameLocator,
  turn: Conversation['opening'] | undefined,
): Promise<void> {
  if (!turn) return
  const { lines, summary, suggestion } = turn
  for (const [name, text] of [
    ['transcript', lines.at(-1)?.text],
    ['summary', summary.at(-1)],
    ['suggestion', suggestion],
  ] as const) {
    await tile(workspace, name)
      .getByText(text ?? '')
      .waitFor()
  }
}
