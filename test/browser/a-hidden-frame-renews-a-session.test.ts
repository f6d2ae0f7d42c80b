import type { BrowserContext } from 'playwright-core'
import t from 'tap'
import {
  frameOwn,
  launch,
  launchWithoutCookies,
  names,
  openChats,
  type Scope,
  say,
  startClock,
  startOwnStage,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const minute = 60_000
const hour = 60 * minute
const [a, b] = ['chat-2041', 'chat-2042'] as const
const env = { PUBLIC_PATHS: '/assets/*' }

const browsers = [
  {
    name: 'with partitioned cookies',
    open: async (t: Scope): Promise<BrowserContext> => (await launch(t))(t),
    reconnected: { decision: 'allow', status: 101 },
    reloaded: 200,
  },
  {
    name: 'without cookies',
    open: launchWithoutCookies,
    // What the page was given is over, and no cookie makes up for it.
    reconnected: { decision: 'deny', status: 401, reason: 'token-expired' },
    reloaded: 401,
  },
] as const

for (const { name, open, reconnected, reloaded } of browsers) {
  t.test(`in Chromium ${name}`, { skip: chromiumMissing }, async (t) => {
    const context = await open(t)

    await t.test('the session goes on, with its socket, and its neighbour ends', async (t) => {
      const clock = startClock(t)
      const stage = await startOwnStage(t, { env })
      const { audit, heard, link } = stage
      const links = [a, b].map((sessionId) => link({ sessionId, expiresIn: minute }))
      const { page, messages } = await openChats(t, context, stage, ...links)
      const [frame] = page.mainFrame().childFrames()
      if (frame === undefined) throw new Error('no frame')
      await frame.evaluate(() => Reflect.set(globalThis, 'untouched', true))

      const before = Date.now()
      await frameOwn(page, link({ sessionId: a, expiresIn: hour }), 'renew')
      const [renewed] = await messages.until(() => true)
      t.match(renewed, {
        at: new URL(stage.framing(names.contactCenter)).origin,
        origin: stage.gateway.origin,
        message: { type: 'copilot-gateway:renewed', requestId: String },
      })
      const lasts = Number(renewed?.message['expires']) - before
      t.ok(lasts > hour - 1000 && lasts < hour + minute)

      clock.advance(5 * minute)
      const [neighbour] = await audit.until(({ socket }) => socket === 'close')
      t.match(neighbour, { sessionId: b, ended: 'session-expired', code: 1008 })
      await say(frame, 'Still here')
      const [{ requestId } = {}] = await heard.until(({ event }) => event === 'sendMessage')
      const opened = audit.all.filter(
        (line) => line['socket'] === 'open' && line['sessionId'] === a,
      )
      t.strictSame(
        opened.map((line) => line['requestId']),
        [requestId],
        'over the socket it has had from the start',
      )
      t.equal(await frame.evaluate(() => Reflect.get(globalThis, 'untouched')), true)

      clock.advance(hour)
      const over = await audit.until(({ socket }) => socket === 'close', 2)
      t.match(over.at(-1), { sessionId: a, ended: 'session-expired', code: 1008, requestId })
      t.equal(messages.all.length, 1)
    })

    await t.test(
      `its socket, once it breaks, gets ${reconnected.status}, and a reload ${reloaded}`,
      async (t) => {
        const clock = startClock(t)
        const stage = await startOwnStage(t, { env })
        const { audit, link, workspace } = stage
        const { page, messages } = await openChats(t, context, stage, link({ expiresIn: minute }))
        await frameOwn(page, link({ expiresIn: hour }), 'renew')
        await messages.until(() => true)
        clock.advance(5 * minute)
        await workspace.stop()
        await audit.until(({ socket }) => socket === 'close')
        await workspace.start()
        const [, again] = await audit.until(
          ({ transport, socket }) => transport === 'websocket' && socket !== 'close',
          2,
        )
        t.match(again, { ...reconnected, sessionId: a })
        const answer = page.waitForResponse((one) => one.url().includes('/?'))
        await page
          .mainFrame()
          .childFrames()[0]
          ?.evaluate(() => location.reload())
        t.equal((await answer).status(), reloaded)
        if (reloaded === 200) {
          const opened = await audit.until(({ socket }) => socket === 'open', 3)
          t.match(opened.at(-1), { sessionId: a })
        } else {
          const [, refused] = await messages.until(() => true, 2)
          t.match(refused?.message, { type: 'copilot-gateway:refused', status: 401, renew: true })
        }
      },
    )
  })
}
