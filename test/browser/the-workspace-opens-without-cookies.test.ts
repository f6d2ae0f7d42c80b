import t from 'tap'
import { chromiumWithoutCookies, localNames, startOwnStage } from './chromium.ts'
import { firefox } from './firefox.ts'
import { becoming, showing } from './tab.ts'
import { webkit } from './webkit.ts'

const chats = ['chat-2041', 'chat-2042'] as const
const customers = ['Maria Lindqvist', 'Tomás Herrera'] as const
// A tile's own script has told its height.
const tiled = becoming(
  `document.querySelector('[data-tile=identity][style*="--content"]') !== null`,
  true,
)
const styled = `getComputedStyle(document.getElementById('grid')).display`

t.jobs = 3
for (const { name, missing, open } of [chromiumWithoutCookies, firefox, webkit]) {
  t.test(name, { skip: missing, buffered: true }, async (t) => {
    const { framing, link, audit, heard, workspace } = await startOwnStage(t, {
      name: localNames.gateway,
      allowed: [localNames.contactCenter],
      // WebKit holds a document's frame ancestors against its own blob: frames, which tiles are.
      keywords: ["'self'"],
      env: { PUBLIC_PATHS: '/assets/* /favicon.ico /manifest.json' },
    })
    const tab = await open(t)
    const links = chats.map((sessionId) => link({ sessionId }))
    const say = (text: string): string =>
      `(document.getElementById('text').value = ${JSON.stringify(text)}, document.getElementById('message').requestSubmit())`

    /** What the workspace heard over the sockets since, by the session that the gateway knows each for. */
    async function heardSince(sockets: number, event: string): Promise<unknown[]> {
      const opened = await audit.until(({ socket }) => socket === 'open', sockets + 2)
      const last = opened.slice(sockets)
      const ours = await heard.until(
        (one) => one.event === event && last.some(({ requestId }) => requestId === one.requestId),
        2,
      )
      return ours
        .map(({ requestId, said: [what] }) => [
          last.find((line) => line['requestId'] === requestId)?.['sessionId'],
          what,
        ])
        .sort()
    }

    const joins = links.map(({ searchParams }) => {
      const { auth, ...ids } = Object.fromEntries(searchParams)
      return [ids['sessionId'], ids]
    })
    const messages = (text: string): unknown[] => chats.map((id) => [id, { text: `${text} ${id}` }])

    await t.test('both chats come up whole, side by side', async (t) => {
      await tab.goto(framing(localNames.contactCenter, ...links))
      for (const [index, customer] of customers.entries()) {
        await tab.evaluate(showing('#status', 'Connected'), index)
        t.equal(await tab.evaluate(styled, index), 'grid', 'with its style')
        await tab.evaluate(tiled, index)
        t.equal(await tab.evaluate(`document.querySelector('dd').textContent`, index, 0), customer)
      }
      t.match(await heardSince(0, 'join'), joins)
      for (const [index, id] of chats.entries()) await tab.evaluate(say(`To ${id}`), index)
      t.strictSame(await heardSince(0, 'sendMessage'), messages('To'))
    })

    await t.test('with no cookie at all', async (t) => {
      for (const index of chats.keys()) {
        const status = await tab.evaluate(
          `fetch('/config.js', { cache: 'no-store' }).then((answer) => answer.status)`,
          index,
        )
        t.equal(status, 401, 'the browser has nothing to show for itself')
      }
      const answers = audit.all.filter((line) => line['socket'] === undefined)
      for (const path of ['/', '/config.js']) {
        const allowed = answers.filter((line) => line['path'] === path && line['status'] === 200)
        t.strictSame(allowed.map(({ sessionId }) => sessionId).sort(), chats, path)
      }
    })

    await t.test('they come back after the workspace was away', async (t) => {
      await workspace.stop()
      await audit.until(({ socket }) => socket === 'close', 2)
      await workspace.start()
      t.match(await heardSince(2, 'join'), joins)
      for (const [index, id] of chats.entries()) {
        await tab.evaluate(showing('#status', 'Connected'), index)
        await tab.evaluate(say(`Again to ${id}`), index)
      }
      t.strictSame(await heardSince(2, 'sendMessage'), messages('Again to'))
    })

    await t.test('a tab of its own opens too', async (t) => {
      await tab.goto(link({ sessionId: 'chat-2043' }).href)
      await tab.evaluate(showing('#status', 'Connected'))
      t.equal(await tab.evaluate(styled), 'grid')
      await audit.until((line) => line['path'] === '/favicon.ico')
      const refused = audit.all.filter((line) => line['decision'] === 'deny')
      t.strictSame(
        refused.map(({ path }) => path),
        ['/config.js', '/config.js'],
        'nothing was refused but what the test asked for',
      )
    })
  })
}
