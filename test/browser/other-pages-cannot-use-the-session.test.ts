import type { Page } from 'playwright-core'
import t from 'tap'
import { agent, conversations } from '../../demo/conversations.ts'
import {
  chatWith,
  connected,
  framing,
  launch,
  names,
  shutFrames,
  startFramingSite,
  startHttpsDemo,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria, tomas] = conversations

/** What a page can make the browser send, cookies and all; each runs in the page. */
const ways = [
  {
    name: 'fetch',
    method: 'GET',
    run: (url: string) => fetch(url, { credentials: 'include', mode: 'no-cors' }),
  },
  {
    name: 'fetch-cors',
    method: 'GET',
    run: (url: string) => fetch(url, { credentials: 'include' }).catch(() => {}),
  },
  {
    name: 'fetch-post',
    method: 'POST',
    run: (url: string) =>
      fetch(url, { method: 'POST', body: 'x', credentials: 'include', mode: 'no-cors' }),
  },
  {
    name: 'beacon',
    method: 'POST',
    run: (url: string) => navigator.sendBeacon(url, 'x'),
  },
  {
    name: 'script',
    method: 'GET',
    run(url: string) {
      const script = document.createElement('script')
      script.src = url
      document.documentElement.append(script)
    },
  },
  {
    name: 'event-source',
    method: 'GET',
    run(url: string) {
      const source = new EventSource(url, { withCredentials: true })
      source.onerror = () => source.close()
    },
  },
  {
    name: 'form-post',
    method: 'POST',
    run(url: string) {
      const form = document.createElement('form')
      const target = document.createElement('iframe')
      target.name = 'target'
      Object.assign(form, { action: url, method: 'post', target: 'target' })
      document.documentElement.append(target, form)
      form.submit()
    },
  },
  {
    name: 'web-socket',
    method: 'GET',
    run: (url: string) => void new WebSocket(url.replace('https:', 'wss:')),
  },
] as const

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const { demo, audit } = await startHttpsDemo(t)
  const context = await (await launch(t))(t)
  const desktop = await context.newPage()
  await desktop.goto(demo.desktop.href)
  for (const { customer } of [maria, tomas]) await connected(chatWith(desktop, customer.name))
  const tab = await context.newPage()
  await tab.goto(demo.link(maria.sessionId).href)
  await connected(tab)

  const neighbour = await startFramingSite(t, `neighbour.${names.gateway}`)
  const contactCenter = await startFramingSite(t, names.contactCenter)
  const stranger = await startFramingSite(t, names.stranger)
  const open = async (url: string): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(url)
    return page
  }
  const withToken = demo.link(maria.sessionId).search

  const pages = [
    {
      // It shares the partition, and so the cookies, of the desktop's frames.
      name: 'another page of the contact center’s site',
      framing: (link: URL | string) => framing(contactCenter, link),
      depth: 0,
    },
    {
      name: 'a stranger’s tile in a page of the contact center’s site',
      framing: (link: URL | string) => framing(contactCenter, framing(stranger, link)),
      depth: 1,
    },
    {
      name: 'a neighbour on the gateway’s own site',
      framing: (link: URL | string) => framing(neighbour, link),
      depth: 0,
    },
  ] as const
  for (const [index, { name, framing, depth }] of pages.entries()) {
    await t.test(`${name} is refused what it asks for`, async (t) => {
      const page = await open(framing('about:blank'))
      const frame = page.frames()[depth]
      for (const { name, method, run } of ways) {
        const path = `/${name}/${index}`
        const url = new URL(path, demo.gateway)
        await frame?.evaluate<unknown, string>(run, url.href)
        const [line] = await audit.until((one) => one['path'] === path)
        // With no cookie in the request the reason would be that the token is missing.
        t.match(line, { decision: 'deny', reason: 'origin-refused', status: 403, method }, name)
      }

      const path = `/token/${index}`
      const url = new URL(`${path}${withToken}`, demo.gateway)
      await frame?.evaluate((url) => void new WebSocket(url), url.href.replace('https:', 'wss:'))
      const [line] = await audit.until((one) => one['path'] === path)
      t.match(line, { decision: 'deny', reason: 'origin-refused' }, 'a WebSocket even with a token')
    })

    await t.test(`${name} may open the workspace, and is not shown it`, async (t) => {
      const path = `/navigation/${index}`
      const page = await open(framing(new URL(path, demo.gateway)))
      const [frame] = await shutFrames(page)
      t.equal(frame?.parentFrame(), page.frames()[depth])
      const [line] = await audit.until((one) => one['path'] === path)
      t.match(line, { decision: 'allow', userId: agent.userId })
    })
  }

  await t.test('the workspace itself can', async (t) => {
    for (const { name, method, run } of ways) {
      const path = `/${name}/own`
      await tab.evaluate<unknown, string>(run, new URL(path, demo.gateway).href)
      const [line] = await audit.until((one) => one['path'] === path)
      t.match(line, { decision: 'allow', method, userId: agent.userId }, name)
      t.notOk(line?.['reason'])
    }
  })
})
