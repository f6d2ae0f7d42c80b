import type { Frame, Page, Response } from 'playwright-core'
import t from 'tap'
import {
  connected,
  gather,
  gatherErrors,
  gatherMessages,
  launch,
  names,
  shutFrames,
  startHttpsDemo,
  startOwnStage,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const refusals = [
  { title: 'An expired link', status: 401, renew: true, reason: 'token-expired' },
  { title: 'Another session’s ids', status: 403, renew: false, reason: 'claim-mismatch' },
  { title: 'A wrong signature', status: 401, renew: false, reason: 'token-invalid' },
  { title: 'No token', status: 401, renew: false, reason: 'token-missing' },
] as const

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const { demo, audit } = await startHttpsDemo(t)
  const newContext = await launch(t)

  await t.test('the framing page is told what it may know', async (t) => {
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    const errors = gatherErrors(page)
    const answers = gather<Response>()
    page.on('response', (answer) => answers.add(answer))
    await page.goto(demo.refusals.href)
    await messages.until(() => true, refusals.length)
    await page
      .getByText(/^Status \d+, as expected$/)
      .nth(refusals.length - 1)
      .waitFor()
    const texts = new Map<string, string>()

    for (const { title, status, renew, reason } of refusals) {
      await t.test(title, async (t) => {
        const frame = await frameOf(page, title)
        const [answer] = await answers.until((one) => one.url() === frame.url())
        t.equal(answer?.status(), status)
        const headers = (await answer?.allHeaders()) ?? {}
        const requestId = headers['x-request-id'] ?? ''
        t.match(requestId, /^[\w-]{8,}$/)
        t.equal(headers['content-type']?.split(';')[0], 'text/html')
        t.equal(headers['cache-control'], 'no-store')
        t.equal(headers['set-cookie'], undefined)

        const type = 'copilot-gateway:refused'
        t.strictSame(
          messages.all.filter(({ message }) => message['requestId'] === requestId),
          [
            {
              at: demo.desktop.origin,
              origin: demo.gateway.origin,
              message: { type, status, requestId, renew },
            },
          ],
        )
        t.match(
          audit.all.filter((line) => line['requestId'] === requestId),
          [{ decision: 'deny', status, reason, path: '/', method: 'GET', transport: 'http' }],
        )

        const text = (await frame.locator('main').textContent()) ?? ''
        t.match(text, requestId)
        t.match(text, 'Open the conversation again from your contact center')
        t.notMatch(text, /token|sign|expire|claim|mismatch|secret|JWT/i, 'no word of the reason')
        texts.set(title, text.replace(requestId, ''))
      })
    }
    t.equal(messages.all.length, refusals.length, 'once each')
    t.equal(texts.get('A wrong signature'), texts.get('An expired link'))
    t.equal(texts.get('No token'), texts.get('An expired link'))
    t.strictSame(
      errors.all.filter((text) => !/^Failed to load resource: .* status of 40[13] /.test(text)),
      [],
      'its own policy hinders nothing, and no script fails',
    )
  })

  for (const colors of ['light', 'dark'] as const) {
    await t.test(`it can be read at 320 px, ${colors}`, async (t) => {
      const page = await (await newContext(t, { colors })).newPage()
      const messages = await gatherMessages(page)
      await page.goto(demo.refusals.href)
      await messages.until(() => true, refusals.length)
      await page.evaluate(() => {
        for (const iframe of document.querySelectorAll('iframe')) iframe.style.width = '320px'
      })
      for (const { title } of refusals) {
        const frame = await frameOf(page, title)
        await frame.waitForFunction(() => innerWidth === 320)
        const seen = await frame.evaluate(look)
        t.strictSame(seen.problems, [], title)
        t.equal(seen.texts, 4, 'a title, what to do, and the reference')
        t.equal(seen.ground, colors)
        t.ok(seen.smallest >= 12, 'no small print')
        t.not(await frame.title(), '')
        t.equal(await frame.locator('html').getAttribute('lang'), 'en')
        t.equal(await frame.locator('h1').count(), 1)
      }
    })
  }

  await t.test('without a Referer only a known contact center is told', async (t) => {
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    const errors = gatherErrors(page)
    await page.goto(demo.refusals.href)
    await messages.until(() => true, refusals.length)
    for (const { title } of refusals) {
      await page.locator(`iframe[title="${title}"]`).evaluate((iframe: HTMLIFrameElement) => {
        iframe.referrerPolicy = 'no-referrer'
        iframe.src += '&again'
      })
    }
    const titles: (string | null)[] = []
    for (const frame of await shutFrames(page, 2)) {
      titles.push(await (await frame.frameElement()).getAttribute('title'))
    }
    t.strictSame(titles, ['A wrong signature', 'No token'])
    await errors.until((text) => text.includes(`"frame-ancestors 'none'"`), 2)
    const all = await messages.until(() => true, refusals.length + 2)
    t.strictSame(
      all
        .slice(refusals.length)
        .map(({ message }) => message['renew'])
        .sort(),
      [false, true],
    )
  })

  await t.test('in a tab of its own it is shown, and posts nothing', async (t) => {
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    const errors = gatherErrors(page)
    const answer = await page.goto(`${demo.gateway}?userId=a&sessionId=b&URLToken=c`)
    t.equal(answer?.status(), 401)
    const requestId = answer?.headers()['x-request-id'] ?? 'none'
    t.equal(await page.locator('code').textContent(), requestId)
    t.strictSame(messages.all, [])
    t.notMatch(errors.all.join(), /Content Security Policy/)
  })

  await t.test('“Try again” opens the workspace that is back', async (t) => {
    const stage = await startOwnStage(t, {})
    await stage.workspace.stop()
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    await page.goto(stage.framing(names.contactCenter, stage.link()))
    const [told] = await messages.until(() => true)
    t.match(told, {
      at: /^https:\/\/contact-center\.test:/,
      origin: stage.gateway.origin,
      message: { type: 'copilot-gateway:refused', status: 502, renew: false },
    })
    const [line] = await stage.audit.until((one) => one['decision'] === 'deny')
    t.match(line, { status: 502, reason: 'upstream-unreachable' })
    t.equal(line?.['requestId'], told?.message['requestId'])
    await stage.workspace.start()
    const frame = page.frameLocator('iframe')
    await frame.getByRole('link', { name: 'Try again' }).click()
    await connected(frame)
    t.equal(messages.all.length, 1)
  })
})

async function frameOf(page: Page, title: string): Promise<Frame> {
  const element = await page.locator(`iframe[title="${title}"]`).elementHandle()
  const frame = await element?.contentFrame()
  if (!frame) throw new Error(`no frame ${title}`)
  return frame
}

/** Runs in the page: what a reader would stumble over. */
function look(): { problems: string[]; texts: number; ground: string; smallest: number } {
  const problems: string[] = []
  const root = document.documentElement
  if (root.scrollWidth > innerWidth) problems.push(`scrolls to ${root.scrollWidth} px`)
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  let texts = 0
  let smallest = Number.POSITIVE_INFINITY
  while (walker.nextNode()) {
    const node = walker.currentNode
    const element = node.parentElement
    const text = node.textContent?.trim()
    if (!element || !text || ['SCRIPT', 'STYLE'].includes(element.tagName)) continue
    texts += 1
    const range = document.createRange()
    range.selectNodeContents(node)
    const boxes = [...range.getClientRects()]
    if (boxes.length === 0) problems.push(`not shown: ${text}`)
    for (const { left, right, top } of boxes) {
      if (left < 0 || right > innerWidth || top < 0) problems.push(`out of sight: ${text}`)
    }
    for (let box: Element | null = element; box; box = box.parentElement) {
      const style = getComputedStyle(box)
      const clips = style.overflowX !== 'visible' && box.scrollWidth > box.clientWidth
      const cuts = style.overflowY === 'hidden' || style.overflowY === 'clip'
      if (clips || cuts) problems.push(`clipped: ${text}`)
      if (style.opacity !== '1' || style.visibility !== 'visible') problems.push(`faint: ${text}`)
    }
    const style = getComputedStyle(element)
    smallest = Math.min(smallest, Number.parseFloat(style.fontSize))
    const contrast = ratio(luminance(style.color), luminance(groundOf(element)))
    if (!(contrast >= 4.5)) problems.push(`contrast of ${contrast}: ${text}`)
  }
  const ground = luminance(groundOf(document.body)) > 0.5 ? 'light' : 'dark'
  return { problems, texts, ground, smallest }

  function groundOf(element: Element | null): string {
    for (let box = element; box; box = box.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(box)
      if (backgroundImage !== 'none') problems.push('an image behind text')
      if (backgroundColor !== 'rgba(0, 0, 0, 0)') return backgroundColor
    }
    return 'none'
  }

  // WCAG 2.2: relative luminance, contrast ratio
  function luminance(color: string): number {
    const [, ...parts] = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(color) ?? []
    if (parts.length !== 3) problems.push(`no opaque colour: ${color}`)
    const [r = 0, g = 0, b = 0] = parts.map((part) => {
      const value = Number(part) / 255
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }

  function ratio(one: number, other: number): number {
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
  }
}
