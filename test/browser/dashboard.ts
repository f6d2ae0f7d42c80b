// A dashboard in Chromium, whoever serves it, and what is seen of it.
import type { BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import { type Gathered, gather } from './chromium.ts'

export interface Opened {
  readonly page: Page
  /** What its console shows as errors, and what its scripts throw. */
  readonly errors: Gathered<string>
  readonly requested: Gathered<URL>
}

export async function openDashboard(context: BrowserContext, origin: string): Promise<Opened> {
  const page = await context.newPage()
  const errors = gather<string>()
  const requested = gather<URL>()
  page.on('console', (message) => {
    if (message.type() === 'error') errors.add(message.text())
  })
  page.on('pageerror', (error) => errors.add(String(error)))
  page.on('request', (request) => requested.add(new URL(request.url())))
  await page.goto(origin)
  return { page, errors, requested }
}

/** Done once the page follows the gateway and has drawn what it was told first. */
export async function live(page: Page): Promise<void> {
  await page.getByText('Live', { exact: true }).waitFor()
  await page.locator('#sentence').waitFor()
}

/** What holds of the page on every listener; `token` null where none is set. */
export async function showsTheState(
  t: Test,
  context: BrowserContext,
  origin: string,
  token: string | null,
): Promise<Page> {
  const { page, errors, requested } = await openDashboard(context, origin)
  const response = await page.request.get(origin)
  t.equal(
    response.headers()['content-security-policy']?.split(/; (?=frame|base|form)/)[0],
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:",
  )
  if (token !== null) {
    await page.getByLabel('Token', { exact: true }).fill(token)
    await page.getByRole('button', { name: 'Show the dashboard' }).click()
  }
  await live(page)
  t.match(await page.locator('#sentence').textContent(), /^(?:Ready|Not ready|Draining)/)
  const plots = page.locator('.chart .plot')
  const named = await plots.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))
  t.match(named, [/^Requests per second over the last 15 minutes: allowed /])
  for (const plot of await page.locator('.chart .plot canvas').all()) {
    t.ok(await plot.evaluate(isDrawn), 'something is drawn')
  }
  t.strictSame(
    requested.all.filter((url) => url.origin !== origin && url.protocol !== 'data:'),
    [],
    'nothing is asked of another origin',
  )
  t.notOk(requested.all.some((url) => token !== null && url.href.includes(token)))
  const unexpected = errors.all.filter((text) => token === null || !text.includes('status of 401'))
  t.strictSame(unexpected, [], 'the policy hinders nothing, and no script fails')
  return page
}

/** Runs in the page: whether any pixel of a canvas has a colour. */
function isDrawn(canvas: Element): boolean {
  if (!(canvas instanceof HTMLCanvasElement)) return false
  const { width, height } = canvas
  const pixels = canvas.getContext('2d')?.getImageData(0, 0, width, height).data ?? []
  return pixels.some((value) => value > 0)
}

/**
 * Runs in the page: text whose contrast is below 4.5, lines of charts and borders of controls below 3
 * (WCAG 2.2, 1.4.3 and 1.4.11), text that is wider than the window.
 */
export function illegible(): { readonly problems: string[]; readonly texts: number } {
  const problems: string[] = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  let texts = 0
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    const text = walker.currentNode.textContent?.trim()
    if (!element || !text || !element.checkVisibility() || element.closest('.unseen')) continue
    texts += 1
    const contrast = ratio(getComputedStyle(element).color, groundOf(element))
    if (!(contrast >= 4.5)) problems.push(`contrast of ${contrast}: ${text}`)
    const range = document.createRange()
    range.selectNodeContents(walker.currentNode)
    const scrolls = element.closest('option') !== null
    for (const { left, right } of range.getClientRects()) {
      if (!scrolls && (left < 0 || right > innerWidth)) problems.push(`out of sight: ${text}`)
    }
  }
  const surface = groundOf(document.querySelector('.chart'))
  for (const name of ['--line-1', '--line-2', '--line-3', '--bar', '--control']) {
    const probe = document.createElement('i')
    document.body.append(probe)
    probe.className = 'probe'
    Object.assign(probe.style, { color: `var(${name})` })
    const contrast = ratio(getComputedStyle(probe).color, surface)
    probe.remove()
    if (!(contrast >= 3)) problems.push(`contrast of ${contrast}: ${name}`)
  }
  const { scrollWidth } = document.documentElement
  if (scrollWidth > innerWidth) problems.push(`scrolls to ${scrollWidth} px`)
  return { problems, texts }

  function groundOf(element: Element | null): string {
    for (let box = element; box; box = box.parentElement) {
      const { backgroundColor } = getComputedStyle(box)
      if (backgroundColor !== 'rgba(0, 0, 0, 0)') return backgroundColor
    }
    return 'none'
  }

  function ratio(one: string, other: string): number {
    const [a, b] = [luminance(one), luminance(other)]
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  }

  function luminance(color: string): number {
    const [, ...parts] = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(color) ?? []
    if (parts.length !== 3) problems.push(`no opaque colour: ${color}`)
    const [r = 0, g = 0, b = 0] = parts.map((part) => {
      const value = Number(part) / 255
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
}
