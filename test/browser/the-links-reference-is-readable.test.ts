// The reference page of the links API can be read, in light and dark, in a narrow window too.
import t from 'tap'
import { startLinks } from '../links/stage.ts'
import { launch } from './chromium.ts'
import { chromiumMissing } from './executable.ts'

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)
  const { origin } = await startLinks(t, 'https://gateway.example')
  const page = await (await newContext(t)).newPage()
  const said: string[] = []
  page.on('console', (message) => said.push(message.text()))
  for (const [colorScheme, width] of [
    ['light', 1200],
    ['dark', 1200],
    ['dark', 320],
    ['light', 320],
  ] as const) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 800 })
    await page.goto(origin)
    const name = `${colorScheme}, ${width} px`
    t.equal(await page.getByRole('heading', { level: 2 }).count(), 4, name)
    const inner = await page.evaluate(() => document.documentElement.scrollWidth)
    t.ok(inner <= width, `${name}: nothing sticks out`)
  }
  t.strictSame(said, [], 'nothing that its policy forbids')
})
