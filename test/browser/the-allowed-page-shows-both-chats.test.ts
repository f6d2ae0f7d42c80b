import type { BrowserContext, FrameLocator, Locator, WebSocket } from 'playwright-core'
import t from 'tap'
import { agent, conversations } from '../../demo/conversations.ts'
import {
  chatWith,
  connected,
  gather,
  gatherErrors,
  launch,
  launchAllowingCookies,
  names,
  type Scope,
  say,
  startHttpsDemo,
  tile,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria, tomas] = conversations

const browsers = [
  {
    name: 'third-party cookies blocked, as Debian ships it',
    open: async (t: Scope): Promise<BrowserContext> => (await launch(t))(t),
    thirdPartyCookies: false,
  },
  {
    name: 'third-party cookies allowed',
    open: launchAllowingCookies,
    thirdPartyCookies: true,
  },
] as const

const loaded = [
  /^\/assets\/index-\w+\.css$/,
  /^\/assets\/index-\w+\.js$/,
  /^\/assets\/socket\.io-\w+\.js$/,
  /^\/assets\/renderPlugins\/message-renderer\.js$/,
  /^\/config\.js$/,
]

for (const { name, open, thirdPartyCookies } of browsers) {
  t.test(name, { skip: chromiumMissing }, async (t) => {
    const { demo, audit } = await startHttpsDemo(t)
    const context = await open(t)
    const unpartitioned = { url: demo.gateway.href, secure: true, sameSite: 'None' } as const
    await context.addCookies([{ name: 'unpartitioned', value: '1', ...unpartitioned }])
    const page = await context.newPage()
    const errors = gatherErrors(page)
    const sockets = gather<WebSocket>()
    const sent = gather<string>()
    const requests = gather<{ readonly url: URL; readonly headers: Record<string, string> }>()
    page.on('websocket', (socket) => {
      sockets.add(socket)
      socket.on('framesent', ({ payload }) => sent.add(payload.toString()))
    })
    page.on('requestfinished', async (request) => {
      const url = new URL(request.url())
      if (url.origin !== demo.gateway.origin) return
      requests.add({ url, headers: await request.allHeaders() })
    })

    const a = chatWith(page, maria.customer.name)
    const b = chatWith(page, tomas.customer.name)
    const both = [
      [maria, a, tomas],
      [tomas, b, maria],
    ] as const
    await page.goto(demo.desktop.href)

    await t.test('both chats are shown at the same time, each with its own ids', async (t) => {
      for (const [chat, workspace] of both) {
        await connected(workspace)
        await saying(suggestion(workspace), chat.opening.suggestion).waitFor()
      }
      for (const [chat, workspace, other] of both) {
        t.ok(await workspace.locator('#status').isVisible(), chat.sessionId)
        const identity = await tile(workspace, 'identity').locator('dl').textContent()
        t.match(identity, chat.customer.name)
        t.match(identity, chat.customer.ticket)
        t.notMatch(identity, other.customer.name)
        const { lines } = chat.opening
        const texts = await said(workspace, lines.at(-1)?.text)
        t.equal(texts.length, lines.length)
        for (const [index, { text }] of lines.entries()) t.match(texts[index], text)
      }
      t.strictSame(errors.all, [], 'the console is clean')
    })

    await t.test('each has a socket.io connection of its own', async (t) => {
      const opened = await audit.until((line) => line['socket'] === 'open', 2)
      t.equal(opened.length, 2)
      for (const line of opened) {
        t.match(line, {
          decision: 'allow',
          status: 101,
          method: 'GET',
          path: '/socket.io/',
          transport: 'websocket',
          contactCenter: 'default',
          userId: agent.userId,
        })
      }
      t.not(opened[0]?.['requestId'], opened[1]?.['requestId'])
      for (const socket of sockets.all) {
        const url = new URL(socket.url())
        t.equal(url.origin, `wss://${demo.gateway.host}`)
        t.strictSame([...url.searchParams.keys()], ['copilotSession', 'EIO', 'transport'])
        t.equal(socket.isClosed(), false)
      }
      const joins = sent.all.filter((message) => message.includes('"join"'))
      t.strictSame(
        joins.map((message) => JSON.parse(message.replace(/^\d+/, ''))).sort(bySession),
        both.map(([{ sessionId }]) => [
          'join',
          { userId: agent.userId, sessionId, URLToken: demo.urlToken },
        ]),
      )
    })

    await t.test('partitioned cookies let in what the pages load', async (t) => {
      const cookies = await context.cookies(demo.gateway.href)
      const own = cookies.filter((cookie) => cookie.name.startsWith('__Host-copilot-'))
      t.equal(own.length, 2, 'one for each session')
      t.not(own[0]?.name, own[1]?.name)
      for (const cookie of own) {
        t.match(cookie.name, /^__Host-copilot-[\w-]{16}$/)
        t.match(cookie, {
          domain: names.gateway,
          path: '/',
          httpOnly: true,
          secure: true,
          sameSite: 'None',
          partitionKey: `https://${names.contactCenter}`,
        })
        const hours = (cookie.expires - Date.now() / 1000) / 3600
        t.ok(hours > 7.9 && hours < 8.01, 'ends with the token')
      }

      const followed = requests.all.filter(({ url }) => url.pathname !== '/')
      for (const path of loaded) {
        const asked = followed.filter(({ url }) => path.test(url.pathname))
        const fetched = asked.filter(({ headers }) => headers[':path'] !== undefined)
        t.ok(fetched.length > 0, `${path} was asked for`)
        for (const { url, headers } of fetched) {
          const parameters = url.pathname === '/config.js' ? ['copilotSession'] : []
          t.strictSame([...url.searchParams.keys()], parameters, 'with no token in its URL')
          t.equal(headers['authorization'], undefined, 'nor in a header')
          t.equal(headers['sec-fetch-storage-access'], thirdPartyCookies ? 'active' : 'none')
          const sentCookies = (headers['cookie'] ?? '').split('; ')
          for (const { name, value } of own) t.ok(sentCookies.includes(`${name}=${value}`))
          t.equal(sentCookies.includes('unpartitioned=1'), thirdPartyCookies)
        }
        const lines = audit.all.filter((line) => path.test(String(line['path'])))
        t.ok(lines.length > 0, 'and let in')
        for (const line of lines) {
          t.match(line, { decision: 'allow', status: 200, userId: agent.userId, transport: 'http' })
        }
      }
      t.strictSame(
        audit.all.filter((line) => line['decision'] !== 'allow'),
        [],
        'nothing was refused',
      )
      const pages = audit.all.filter((line) => line['path'] === '/')
      t.strictSame(
        pages.map((line) => line['sessionId']).sort(),
        [maria.sessionId, tomas.sessionId],
        'each page by its own link',
      )
      const logged = JSON.stringify(audit.all)
      const token = demo.link(maria.sessionId).searchParams.get('auth')?.split('.')[0]
      for (const secret of [demo.urlToken, token, own[0]?.value, own[1]?.value]) {
        t.notOk(secret === undefined || logged.includes(secret))
      }

      const stranger = await context.browser()?.newContext()
      t.teardown(() => stranger?.close())
      for (const path of ['/config.js', '/index.html']) {
        const refused =
          stranger && (await (await stranger.newPage()).goto(`${demo.gateway}${path.slice(1)}`))
        t.equal(refused?.status(), 401, `${path} is refused without them`)
      }
    })

    await t.test('an answer used in one chat changes that chat alone', async (t) => {
      const [turn] = maria.turns
      await suggestion(a).getByRole('button').click()
      await saying(suggestion(a), turn?.suggestion).waitFor()
      const before = maria.opening.lines.length
      const lines = [maria.opening.suggestion, ...(turn?.lines ?? []).map(({ text }) => text)]
      const texts = await said(a, lines.at(-1))
      t.equal(texts.length, before + lines.length)
      for (const [index, text] of lines.entries()) t.match(texts[before + index], text)

      // A line of its own comes back to the other chat after all that was sent before.
      await say(b, 'One moment, please.')
      const others = await said(b, 'One moment, please.')
      t.equal(others.length, tomas.opening.lines.length + 1)
      t.ok(await saying(suggestion(b), tomas.opening.suggestion).isVisible())
      const postbacks = sent.all.filter((message) => message.includes('sendPostbackAction'))
      t.equal(postbacks.length, 1)
      t.match(postbacks[0], `"sessionId":"${maria.sessionId}"`)
    })

    await t.test('a message sent in one chat is in that chat alone', async (t) => {
      for (const [, workspace] of both) {
        await say(workspace, 'First word')
        await said(workspace, 'First word')
      }
      await say(a, 'For Maria')
      await said(a, 'For Maria')
      await say(b, 'For Tomás')
      const toTomas = await said(b, 'For Tomás')
      await say(a, 'Last word')
      const toMaria = await said(a, 'Last word')
      t.match(toMaria.slice(-3), [/First word/, /For Maria/, /Last word/])
      t.match(toTomas.slice(-2), [/First word/, /For Tomás/])
      t.equal(sockets.all.length, 2, 'over the sockets they have had from the start')
      t.strictSame(errors.all, [])
    })
  })
}

function suggestion(workspace: FrameLocator): Locator {
  return tile(workspace, 'suggestion').locator('body')
}

/** What a transcript shows, once this is in it. */
async function said(workspace: FrameLocator, text: string | null | undefined): Promise<string[]> {
  const lines = tile(workspace, 'transcript').locator('li')
  await saying(lines, text).waitFor()
  return lines.allTextContents()
}

function saying(locator: Locator, text: string | null | undefined): Locator {
  return locator.filter({ hasText: text ?? 'nothing to wait for' })
}

type Join = readonly [string, { readonly sessionId: string }]

function bySession([, one]: Join, [, other]: Join): number {
  return one.sessionId.localeCompare(other.sessionId)
}
