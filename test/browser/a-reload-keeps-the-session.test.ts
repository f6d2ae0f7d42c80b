import t from 'tap'
import {
  connected,
  gatherMessages,
  launch,
  names,
  say,
  startClock,
  startOwnStage,
  tile,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const minute = 60_000
const hour = 60 * minute

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)

  const kept = [
    {
      name: 'a token older than TOKEN_MAX_AGE',
      env: { TOKEN_MAX_AGE: '1m' },
      expiresIn: hour,
      elsewhere: 'token-too-old',
    },
    {
      name: 'an expired token that was a ticket (SESSION_OUTLIVES_TOKEN)',
      env: { SESSION_OUTLIVES_TOKEN: 'true' },
      expiresIn: minute,
      elsewhere: 'token-expired',
    },
  ] as const

  for (const { name, env, expiresIn, elsewhere } of kept) {
    await t.test(name, async (t) => {
      const clock = startClock(t)
      const { framing, link, audit } = await startOwnStage(t, { env })
      const url = framing(names.contactCenter, link({ expiresIn }))
      const page = await (await newContext(t)).newPage()
      const messages = await gatherMessages(page)
      const workspace = page.frameLocator('iframe')
      await page.goto(url)
      await connected(workspace)
      await say(workspace, 'Before the reload')
      const line = tile(workspace, 'transcript').getByText('Before the reload')
      await line.waitFor()

      clock.advance(5 * minute)
      const reloads = [
        ['the frame', () => page.frames()[1]?.evaluate(() => location.reload())],
        ['the whole page', () => page.reload()],
      ] as const
      for (const [index, [what, reload]] of reloads.entries()) {
        await t.test(`F5 in ${what}`, async (t) => {
          const loaded = page.waitForResponse((answer) => answer.url().includes('auth='))
          await reload()
          t.equal((await loaded).status(), 200)
          const documents = await audit.until((one) => one['path'] === '/', 2 + index)
          t.match(documents.at(-1), { decision: 'allow', status: 200, sessionId: 'chat-2041' })
          const opened = await audit.until((one) => one['socket'] === 'open', 2 + index)
          t.match(opened.at(-1), { decision: 'allow', sessionId: 'chat-2041' })
          await connected(workspace)
          await line.waitFor()
        })
      }
      t.strictSame(messages.all, [])

      const other = await (await newContext(t)).newPage()
      const told = await gatherMessages(other)
      await other.goto(url)
      const [refused] = await told.until(() => true)
      t.match(refused?.message, { status: 401, renew: true }, 'no cookie, no session')
      const [denied] = await audit.until((one) => one['decision'] === 'deny')
      t.equal(denied?.['reason'], elsewhere)
    })
  }

  await t.test('but not beyond the session, which ends with its token', async (t) => {
    const clock = startClock(t)
    const { framing, link, audit } = await startOwnStage(t, {})
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    await page.goto(framing(names.contactCenter, link({ expiresIn: minute })))
    await connected(page.frameLocator('iframe'))
    clock.advance(5 * minute)
    await page.frames()[1]?.evaluate(() => location.reload())
    const [refused] = await messages.until(() => true)
    t.match(refused?.message, { status: 401, renew: true })
    const [denied] = await audit.until((one) => one['decision'] === 'deny')
    t.match(denied, { reason: 'token-expired', requestId: refused?.message['requestId'] })
  })

  await t.test('nor for another session’s old token', async (t) => {
    const clock = startClock(t)
    const { framing, link, audit } = await startOwnStage(t, { env: { TOKEN_MAX_AGE: '1m' } })
    const page = await (await newContext(t)).newPage()
    const messages = await gatherMessages(page)
    const never = link({ sessionId: 'chat-2042' })
    await page.goto(framing(names.contactCenter, link()))
    await connected(page.frameLocator('iframe'))
    clock.advance(5 * minute)
    await page.evaluate((url) => {
      const iframe = document.querySelector('iframe')
      if (iframe) iframe.src = url
    }, never.href)
    const [refused] = await messages.until(() => true)
    t.match(refused?.message, { status: 401, renew: true })
    const [denied] = await audit.until((one) => one['decision'] === 'deny')
    t.match(denied, { reason: 'token-too-old', sessionId: 'chat-2042' })
  })
})
