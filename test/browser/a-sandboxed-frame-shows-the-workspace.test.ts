import t from 'tap'
import { connected, gather, launch, names, startOwnStage, tile } from './chromium.ts'
import { chromiumMissing } from './executable.ts'

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const stage = await startOwnStage(t, {})
  const page = await (await (await launch(t))(t)).newPage()
  await page.goto(stage.framing(names.contactCenter, 'about:blank'))
  const frame = (sandbox: string, sessionId: string): Promise<void> =>
    page.evaluate(
      ([sandbox, src, title]) => {
        const frame = document.createElement('iframe')
        frame.setAttribute('sandbox', sandbox)
        Object.assign(frame, { src, title })
        document.documentElement.append(frame)
      },
      [sandbox, stage.link({ sessionId }).href, sessionId] as const,
    )

  // What docs/contact-centers.md names as enough, and Amazon Connect's own.
  for (const [sessionId, sandbox] of [
    ['chat-2041', 'allow-scripts allow-same-origin'],
    ['chat-2042', 'allow-forms allow-popups allow-same-origin allow-scripts'],
  ] as const) {
    await t.test(sandbox, async () => {
      await frame(sandbox, sessionId)
      const workspace = page.frameLocator(`[title=${sessionId}]`)
      await connected(workspace)
      await tile(workspace, 'transcript').locator('li').first().waitFor()
    })
  }

  await t.test('without an origin of its own it does not start', async (t) => {
    const refused = gather<string>()
    page.on('requestfailed', (request) => refused.add(new URL(request.url()).pathname))
    await frame('allow-scripts', 'chat-2043')
    const failed = await refused.until((path) => /^\/assets\/index-\w+\.js$/.test(path))
    t.equal(failed.length, 1)
  })
})
