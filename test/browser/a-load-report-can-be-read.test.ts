import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { presentHtml } from '../../src/load/html.ts'
import { judge, parseThresholds } from '../../src/load/thresholds.ts'
import { resultsOf, saying } from '../load/results.ts'
import { launch } from './chromium.ts'
import { illegible, openDashboard } from './dashboard.ts'
import { chromiumMissing } from './executable.ts'

const wild = `</style></title></svg><script>document.title = 1</script>"'><img src=x>`
const runs = {
  good: resultsOf({ seconds: 30, perSecond: 123_456 }),
  empty: resultsOf({ seconds: 0 }),
  failed: resultsOf({ failing: () => 1 }),
  hostile: saying(`${wild}${'x'.repeat(150)}`),
} as const

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)
  const thresholds = parseThresholds({ p50: '5ms', p99: '20ms', p999: '1s', errors: '0.1%' })
  if ('problems' in thresholds) throw new Error(JSON.stringify(thresholds.problems))
  const folder = t.testdir()
  const pages = Object.entries(runs).map(([name, results]) => {
    const file = join(folder, `${name}.html`)
    writeFileSync(file, presentHtml(results, judge(results, thresholds)))
    return [name, pathToFileURL(file).href] as const
  })

  for (const [name, url] of pages) {
    await t.test(`${name}: narrow and wide, light and dark`, async (t) => {
      const { page, errors, requested } = await openDashboard(await newContext(t), url)
      await page.evaluate(() => {
        for (const one of document.querySelectorAll('details')) one.open = true
      })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        for (const width of [360, 1280]) {
          await page.setViewportSize({ width, height: 900 })
          const { problems, texts } = await page.evaluate(illegible)
          t.strictSame(problems, [], `${width} px, ${colorScheme}`)
          t.ok(texts > 70)
          t.equal(await page.evaluate(fallingOut), 0, 'pictures stay in their sections')
        }
      }
      t.strictSame(errors.all, [], 'the policy hinders nothing of it')
      t.strictSame(requested.all.map(String), [url], 'it asks for nothing else')
    })
  }

  await t.test('what a screen reader is told, and what is printed', async (t) => {
    const { page } = await openDashboard(
      await newContext(t),
      Object.fromEntries(pages)['good'] ?? '',
    )
    t.match(
      await page.locator('body').ariaSnapshot(),
      new RegExp(
        [
          'heading "Copilot Gateway 0\\.1\\.0" \\[level=1\\]',
          'heading "Passed: all 8 thresholds are met\\." \\[level=2\\]',
          'rowheader "p99 latency".*cell "at most 20 ms".*cell "9\\.6 ms".*cell "met"',
          'heading "Latency of each second, logarithmic" \\[level=2\\]',
          'img "Latency over time"',
          'img "Latency by percentile"',
          'img "Steps per second"',
          'img "Agents and open sockets"',
          'img "Statuses of answers"',
          'img "Attacks by the reason they deserve"',
          'rowheader "an expired token"',
          'rowheader "message"',
        ].join('.*'),
        's',
      ),
    )
    const seconds = page.getByRole('row', { name: /^30 123,456 / })
    t.equal(await seconds.count(), 0)
    await page.getByText('Over time as a table').click()
    t.equal(await seconds.count(), 1)
    await page.getByText('Over time as a table').click()
    await page.emulateMedia({ media: 'print' })
    t.ok(await seconds.isVisible(), 'on paper nothing can be opened')
  })

  await t.test('what a server said is text', async (t) => {
    const url = Object.fromEntries(pages)['hostile'] ?? ''
    const { page } = await openDashboard(await newContext(t), url)
    t.equal(await page.locator('script, img').count(), 0)
    t.match(await page.title(), `Load on ${wild}`)
    t.equal(await page.getByRole('rowheader').filter({ hasText: wild }).count(), 5)
  })
})

/** Runs in the page: how many texts and lines of pictures are out of the section around them. */
function fallingOut(): number {
  const parts = document.querySelectorAll('.plot text, .plot path, .bars text, .bars rect')
  return [...parts].filter((part) => {
    const [inner, outer] = [part, part.closest('section')].map((one) =>
      one?.getBoundingClientRect(),
    )
    if (!inner || !outer) return true
    return inner.left < outer.left || inner.right > outer.right
  }).length
}
