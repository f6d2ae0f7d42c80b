import type { BrowserContext } from 'playwright-core'
import t from 'tap'
import {
  frameOwn,
  launch,
  launchWithoutCookies,
  openChats,
  type Scope,
  say,
  startOwnStage,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [a, b] = ['chat-2041', 'chat-2042'] as const

const rows = [
  {
    name: 'with partitioned cookies: all of the browser’s',
    open: async (t: Scope): Promise<BrowserContext> => (await launch(t))(t),
    query: '',
    ended: [a, b],
    left: [],
  },
  {
    name: 'without cookies: the link’s own',
    open: launchWithoutCookies,
    query: undefined,
    ended: [a],
    left: [b],
  },
] as const

t.jobs = 2
for (const { name, open, query, ended, left } of rows) {
  t.test(`in Chromium ${name}`, { skip: chromiumMissing, buffered: true }, async (t) => {
    const context = await open(t)
    const stage = await startOwnStage(t, { env: { PUBLIC_PATHS: '/assets/*' } })
    const { audit, heard, link } = stage
    const links = [a, b].map((sessionId) => link({ sessionId }))
    const { page, messages } = await openChats(t, context, stage, ...links)
    await frameOwn(page, link({ sessionId: a }), 'logout', query)
    const [told] = await messages.until(() => true)
    t.match(told, {
      origin: stage.gateway.origin,
      message: { type: 'copilot-gateway:logged-out', requestId: String },
    })

    const closed = await audit.until(({ socket }) => socket === 'close', ended.length)
    t.strictSame(
      closed.map(({ sessionId, ended, code }) => [sessionId, ended, code]).sort(),
      ended.map((sessionId) => [sessionId, 'session-revoked', 1008]),
    )
    t.strictSame(await context.cookies(stage.gateway.href), [])
    const denied = await audit.until(({ decision }) => decision === 'deny', ended.length)
    for (const line of denied) {
      t.match(
        line,
        { transport: 'websocket', reason: 'session-revoked', status: 403 },
        'what it still holds opens nothing',
      )
    }
    for (const sessionId of left) {
      await say(page.frameLocator('iframe').nth(1), 'Still here')
      const [{ requestId } = {}] = await heard.until(({ event }) => event === 'sendMessage')
      const [opened] = audit.all.filter((line) => line['requestId'] === requestId)
      t.match(opened, { socket: 'open', sessionId })
    }
  })
}
