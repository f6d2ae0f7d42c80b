// Makes the pictures in docs/ from the demo, as it is now.
import { writeFileSync } from 'node:fs'
import { crc32, deflateSync, inflateSync } from 'node:zlib'
import type { FrameLocator, Page } from 'playwright-core'
import { type Conversation, conversations } from '../../demo/conversations.ts'
import { startDashboardStage } from '../admin/dashboard-stage.ts'
import {
  chatWith,
  gatherMessages,
  type Look,
  launch,
  shutFrames,
  startHttpsDemo,
  tile,
} from './chromium.ts'
import { live } from './dashboard.ts'

interface Clip {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const [maria, tomas, , jonas, amara] = conversations
const ends: (() => unknown)[] = []
const t = { teardown: (end: () => unknown) => void ends.unshift(end) }
try {
  const newContext = await launch(t)
  const picture = async (
    name: string,
    look: Look,
    /** Resolves to the part that is wanted; null: all that is seen. */
    take: (page: Page) => Promise<Clip | null>,
  ): Promise<void> => {
    const page = await (await newContext(t, look)).newPage()
    const png = await shoot(page, await take(page))
    writeFileSync(new URL(`../../docs/${name}.png`, import.meta.url), png)
    console.log(`docs/${name}.png: ${Math.ceil(png.length / 1000)} kB`)
  }

  for (const [name, look] of [
    ['contact-center', { width: 1280, height: 860 }],
    ['contact-center-dark-narrow', { width: 400, height: 860, colors: 'dark' }],
  ] as const) {
    const { demo } = await startHttpsDemo(t, { pace: 200 })
    await picture(name, look, async (page) => {
      await page.goto(demo.desktop.href)
      const [a, b] = [maria, tomas].map(({ customer }) => chatWith(page, customer.name))
      if (!a || !b) throw new Error('there are two chats')
      await suggested(a, maria.opening)
      await suggested(b, tomas.opening)
      await tile(a, 'suggestion').getByRole('button').click()
      await suggested(a, maria.turns[0])
      await a.locator('body').evaluate(() => {
        if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
      })
      return null
    })
  }

  for (const [name, take] of [
    [
      'call',
      async (page: Page) => {
        await page.getByRole('button', { name: 'Receive a call' }).click()
        await page.getByRole('button', { name: 'Answer' }).click()
        await suggested(chatWith(page, amara.customer.name), amara.opening)
      },
    ],
    [
      'handover',
      async (page: Page) => {
        await page.getByRole('button', { name: 'Receive a handover' }).click()
        await suggested(chatWith(page, jonas.customer.name), jonas.opening)
      },
    ],
  ] as const) {
    const { demo } = await startHttpsDemo(t, { pace: 200 })
    await picture(name, { width: 1280, height: 720 }, async (page) => {
      await page.goto(demo.desktop.href)
      await suggested(chatWith(page, maria.customer.name), maria.opening)
      await take(page)
      await page.mouse.move(0, 0)
      return null
    })
  }

  const dashboard = await startDashboardStage(t)
  for (const [name, look] of [
    ['dashboard', { width: 1280, height: 1150 }],
    ['dashboard-dark', { width: 1280, height: 1150, colors: 'dark' }],
  ] as const) {
    await picture(name, look, async (page) => {
      await page.goto(dashboard.origin)
      await live(page)
      await page.locator('#sessions-rows tr').first().waitFor()
      await page.locator('#refusals-list li').first().waitFor()
      return null
    })
  }

  const { demo } = await startHttpsDemo(t)
  await picture('stranger', { width: 1280, height: 436 }, async (page) => {
    await page.goto(demo.stranger.href)
    await shutFrames(page)
    return null
  })
  await picture('refused', { width: 1280, height: 636 }, async (page) => {
    await refused(page)
    return null
  })
  await picture('refused-narrow-dark', { colors: 'dark' }, async (page) => {
    await refused(page)
    const frame = page.locator('iframe').first()
    await frame.evaluate((iframe) => {
      Object.assign(iframe.style, { width: '320px', flex: 'none', height: '360px' })
    })
    return frame.boundingBox()
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

/** Done once a turn's summary, suggested answer and last line are shown. */
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
  const transcript = tile(workspace, 'transcript').locator('html')
  await transcript.evaluate((html) => html.scrollTo(0, html.scrollHeight))
}

/**
 * A PNG without row filters (PNG, third edition, §9), which pages of text are a fifth smaller
 * without.
 */
async function shoot(page: Page, clip: Clip | null): Promise<Buffer> {
  const session = await page.context().newCDPSession(page)
  const { data } = await session.send('Page.captureScreenshot', {
    // Writes one filter on all rows, the difference to the row above.
    optimizeForSpeed: true,
    ...(clip ? { clip: { ...clip, scale: 1 } } : {}),
  })
  const png = Buffer.from(data, 'base64')
  const chunks: { readonly type: string; readonly content: Buffer }[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const content = png.subarray(at + 8, at + 8 + png.readUInt32BE(at))
    chunks.push({ type: png.toString('latin1', at + 4, at + 8), content })
  }
  const contents = (type: string): Buffer =>
    Buffer.concat(chunks.flatMap((chunk) => (chunk.type === type ? [chunk.content] : [])))
  const header = contents('IHDR')
  const row = 1 + 3 * header.readUInt32BE(0)
  const rows = inflateSync(contents('IDAT'))
  for (const [index, byte] of rows.entries()) {
    if (index % row > 0) rows[index] = byte + (rows[index - row] ?? 0)
    else if (byte === 2) rows[index] = 0
    else throw new Error(`a row of the picture has filter ${byte}`)
  }
  return Buffer.concat([
    png.subarray(0, 8),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, content: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type), content])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(content.length)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}
