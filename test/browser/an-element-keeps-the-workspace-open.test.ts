import type { FrameLocator, Page } from 'playwright-core'
import t from 'tap'
import { connected, type Line, launch, say, startClock } from './chromium.ts'
import { chromiumMissing } from './executable.ts'
import { openDesk, startElementStage } from './workspace-element.ts'

const minute = 60_000
const hour = 60 * minute
const hours = { expiresIn: 8 * hour }
const ended = { signedAt: Date.now() - 2 * hour, expiresIn: hour }
const forged = { key: Buffer.from('another-secret-than-the-stage-has') }

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const stage = await startElementStage(t)
  const { link, gateway, audit, heard, url } = stage
  const context = await (await launch(t))(t)

  await t.test('it opens the workspace under a strict policy of the page', async (t) => {
    const { page, changes, errors, add } = await openDesk(t, context, url)
    await add('Copilot for Ada', link(hours))
    await connected(shown(page, 'Copilot for Ada'))
    await changes.until(({ state }) => state === 'open')
    t.strictSame(
      changes.all.map(({ state }) => state),
      ['opening', 'open'],
    )
    const frame = page.locator('iframe')
    t.equal(await frame.getAttribute('allow'), 'clipboard-write')
    t.ok(await frame.isVisible())
    t.notOk(await page.getByRole('status').isVisible())
    const element = page.locator('copilot-workspace')
    t.notMatch(await element.evaluate((one) => one.outerHTML), 'auth', 'no attribute has the link')
    await element.evaluate((one) => one.setAttribute('label', 'Ada'))
    t.equal(await frame.getAttribute('title'), 'Ada')
    t.strictSame(errors.all, [], 'the console is clean')
  })

  await t.test('a link that has ended is replaced, and the workspace comes up', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, url)
    await add('one', link({ ...ended, sessionId: 'chat-1' }), () =>
      link({ ...hours, sessionId: 'chat-1' }),
    )
    await connected(shown(page, 'one'))
    t.strictSame(asked.all, [['expired', 'one']])
    const states = changes.all.map(({ state }) => state)
    t.strictSame(
      states.filter((state, index) => state !== 'open' || index > 2),
      ['opening', 'asking', 'opening', 'open'],
    )
  })

  await t.test('a link that is wrong is not replaced until the agent says so', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, url)
    const before = audit.all.length
    await add('one', link({ ...forged, sessionId: 'chat-2' }), () =>
      link({ ...hours, sessionId: 'chat-2' }),
    )
    const [{ requestId, status } = {}] = await changes.until(({ state }) => state === 'failed')
    t.equal(status, 401)
    t.strictSame(
      audit.all.slice(before).map((line) => [line['reason'], line['requestId']]),
      [['token-invalid', requestId]],
    )
    const panel = page.getByRole('status')
    t.equal(await panel.locator('p').first().textContent(), 'This link does not open Copilot.')
    t.equal(await panel.locator('p').last().textContent(), `Reference: ${requestId} (401)`)
    t.equal(await page.locator('iframe').count(), 0)
    t.strictSame(asked.all, [])
    t.equal(await pending(page), 0)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await connected(shown(page, 'one'))
    t.strictSame(asked.all, [['retry', 'one']])
    await page.waitForFunction(
      () => document.activeElement?.shadowRoot?.activeElement?.tagName === 'IFRAME',
    )
  })

  await t.test('links that have all ended are asked for three times', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, url, { wound: true })
    const old = () => link({ ...ended, sessionId: 'chat-3' })
    await add('one', old(), old)
    for (const [count, delay] of [
      [1, 1000],
      [2, 5000],
    ] as const) {
      await asked.until(() => true, count)
      await changes.until(({ state }) => state === 'asking', count + 1)
      t.equal(asked.all.length, count, 'not before its time')
      await page.clock.fastForward(delay)
    }
    await changes.until(({ state }) => state === 'failed')
    t.equal(asked.all.length, 3)
    t.match(await page.getByRole('status').textContent(), 'did not open with a new link either')
    await page.clock.fastForward(hour)
    t.equal(asked.all.length, 3)
  })

  await t.test('a way to a new link that fails is tried again', async (t) => {
    const { page, asked, add } = await openDesk(t, context, url, { wound: true })
    let failures = 2
    await add('one', link({ ...ended, sessionId: 'chat-11' }), () => {
      failures -= 1
      if (failures >= 0) throw new Error('the server of the page is away')
      return link({ ...hours, sessionId: 'chat-11' })
    })
    await passDelays(page)
    await connected(shown(page, 'one'))
    const waited = await page.evaluate<number[]>(() => Reflect.get(globalThis, 'delays'))
    t.strictSame(
      waited.filter((ms) => ms !== 30_000).slice(0, 3),
      [0, 1000, 5000],
      'not before its time',
    )
    t.strictSame(
      asked.all.map(([reason]) => reason),
      ['expired', 'expired', 'expired'],
    )
  })

  await t.test('where it always fails, the agent gets the refusal’s reference', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, url, { wound: true })
    const before = audit.all.length
    await add('one', link({ ...ended, sessionId: 'chat-12' }), () => {
      throw new Error('the server of the page is away')
    })
    await passDelays(page)
    const [{ requestId, status } = {}] = await changes.until(({ state }) => state === 'failed')
    t.equal(status, 401)
    t.strictSame(
      audit.all.slice(before).map((line) => [line['reason'], line['requestId']]),
      [['token-expired', requestId]],
    )
    const panel = page.getByRole('status')
    t.equal(await panel.locator('p').first().textContent(), 'There is no new link for Copilot.')
    t.equal(await panel.locator('p').last().textContent(), `Reference: ${requestId} (401)`)
    await page.clock.fastForward(hour)
    t.equal(asked.all.length, 3, 'then no more')
    await page.getByRole('button').click()
    await passDelays(page, 2)
    const failed = await changes.until(({ state }) => state === 'failed', 2)
    t.match(failed.at(-1), { status: 401, requestId }, 'the reference stays')
    t.strictSame(
      asked.all.map(([reason]) => reason),
      ['expired', 'expired', 'expired', 'retry', 'retry', 'retry'],
    )
  })

  await t.test('without a way to a new link the agent is told', async (t) => {
    const { page, changes, add } = await openDesk(t, context, url)
    await add('one', link({ ...ended, sessionId: 'chat-4' }))
    await changes.until(({ state }) => state === 'failed')
    t.match(await page.getByRole('status').textContent(), 'This link has ended.')
    t.equal(await page.getByRole('button').count(), 0)
  })

  await t.test('its session is renewed before it ends, and its frame stays', async (t) => {
    const clock = startClock(t)
    const { page, asked, add } = await openDesk(t, context, url, { wound: true })
    const lasting = [5 * minute, hour, hour]
    const next = () => link({ sessionId: 'chat-5', expiresIn: lasting.shift() ?? 0 })
    await add('one', next(), next)
    const workspace = shown(page, 'one')
    await connected(workspace)
    await touch(page, 'one')
    await page.clock.fastForward(2.5 * minute)
    t.strictSame(asked.all, [], 'a third of its time is left for it')
    await page.clock.fastForward(minute)
    await audit.until(isRenewal)
    t.strictSame(asked.all, [['renew', 'one']])
    await page.waitForFunction(
      () =>
        document.querySelector('copilot-workspace')?.shadowRoot?.querySelectorAll('iframe')
          .length === 1,
    )
    clock.advance(50 * minute)
    // The page's clock is the frame's too, whose socket has missed its pings.
    await connected(workspace)
    await say(workspace, 'Still here')
    await heard.until(({ event }) => event === 'sendMessage')
    await page.clock.fastForward(50 * minute)
    t.equal(asked.all.length, 1, 'the new end counts')
    await page.clock.fastForward(6 * minute)
    const renewals = await audit.until(isRenewal, 2)
    t.strictSame(
      renewals.map(({ decision, sessionId }) => [decision, sessionId]),
      [
        ['allow', 'chat-5'],
        ['allow', 'chat-5'],
      ],
    )
    t.ok(await untouched(page, 'one'))
  })

  await t.test('a session that has outlasted its link is renewed at once', async (t) => {
    const { page, asked, add } = await openDesk(t, context, url)
    const ids = { sessionId: 'chat-10' }
    await add('one', link({ ...hours, ...ids }))
    await connected(shown(page, 'one'))
    await page.locator('copilot-workspace').evaluate((one) => one.remove())
    const before = audit.all.filter(isRenewal).length
    await add('again', link({ ...ended, ...ids }), () => link({ ...hours, ...ids }))
    await connected(shown(page, 'again'))
    const renewals = await audit.until(isRenewal, before + 1)
    t.match(renewals.at(-1), { decision: 'allow', sessionId: 'chat-10' })
    t.strictSame(asked.all, [['renew', 'again']])
  })

  await t.test('a frame that the page’s own policy blocks is not open', async (t) => {
    const { page, changes, add } = await openDesk(t, context, url)
    const elsewhere = link(hours)
    elsewhere.port = '9'
    await add('one', elsewhere)
    await changes.until(({ state }) => state === 'failed')
    t.match(await page.getByRole('status').textContent(), 'This page may not show Copilot.')
    t.equal(await page.getByRole('button').count(), 0)
  })

  await t.test('of two, each hears its own frame alone, and neither anybody else', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, url)
    await add('good', link({ ...hours, sessionId: 'chat-6' }), () =>
      link({ ...hours, sessionId: 'chat-6' }),
    )
    await connected(shown(page, 'good'))
    await add('bad', link({ ...ended, sessionId: 'chat-7' }), () =>
      link({ ...forged, sessionId: 'chat-7' }),
    )
    await changes.until(({ state, label }) => state === 'failed' && label === 'bad')
    t.strictSame(asked.all, [['expired', 'bad']])
    const refusal = {
      type: 'copilot-gateway:refused',
      status: 401,
      requestId: 'forged-1',
      renew: true,
    }
    await page.evaluate((refusal) => postMessage(refusal, '*'), refusal)
    // Tiles of the workspace, some of which the next state replaces meanwhile.
    const tiles = page.frames().filter((frame) => frame.parentFrame()?.parentFrame())
    const posted = await Promise.allSettled(
      tiles.map((tile) =>
        tile.evaluate((refusal) => {
          for (let one: Window = window; one !== one.parent; one = one.parent) {
            one.parent.postMessage(refusal, '*')
          }
        }, refusal),
      ),
    )
    t.ok(posted.some(({ status }) => status === 'fulfilled'))
    // And a frame beside it of the gateway's origin.
    const beside = `${gateway.origin}/?userId=a&sessionId=b&URLToken=c`
    await page.evaluate(async (url) => {
      const frame = document.createElement('iframe')
      frame.src = url
      const posted = new Promise((resolve) => addEventListener('message', resolve))
      document.body.append(frame)
      await posted
    }, beside)
    t.ok(await shown(page, 'good').locator('#status').isVisible())
    t.strictSame(
      changes.all.filter(({ label }) => label === 'good').map(({ state }) => state),
      ['opening', 'open'],
    )
    t.equal(asked.all.length, 1)
  })

  await t.test('a page of another origin that its frame is led to is not heard', async (t) => {
    const { page, changes, asked, add } = await openDesk(t, context, new URL('/lax', url))
    const fresh = () => link({ ...hours, sessionId: 'chat-9' })
    await add('one', fresh(), fresh)
    await connected(shown(page, 'one'))
    await page.evaluate(() => {
      const heard = new Promise((resolve) => addEventListener('message', resolve))
      Reflect.set(globalThis, 'heard', heard)
    })
    await shown(page, 'one')
      .locator('body')
      .evaluate((_, url) => location.assign(url), new URL('/forger', url).href)
    t.equal(
      await page.evaluate(async () => (await Reflect.get(globalThis, 'heard')).data.requestId),
      'forged-2',
    )
    t.strictSame(asked.all, [])
    t.equal(changes.all.at(-1)?.state, 'open')
  })

  await t.test(
    'off the page it leaves nothing behind, and on it again it opens again',
    async (t) => {
      const { page, changes, asked, add } = await openDesk(t, context, url)
      await add('one', link({ ...hours, sessionId: 'chat-8' }), () =>
        link({ ...hours, sessionId: 'chat-8' }),
      )
      await connected(shown(page, 'one'))
      t.equal(await pending(page), 1, 'the renewal')
      await page.evaluate(() => {
        const element = document.querySelector('copilot-workspace')
        Reflect.set(globalThis, 'kept', element)
        element?.remove()
      })
      t.equal(await pending(page), 0)
      t.equal(changes.all.at(-1)?.state, 'idle')
      await page.evaluate(() => {
        const shelf = document.createElement('section')
        document.body.append(shelf)
        shelf.append(Reflect.get(globalThis, 'kept'))
      })
      await connected(shown(page, 'one'))
      t.equal(await pending(page), 1)
      await touch(page, 'one')
      await page.evaluate(() => {
        Reflect.get(document.body, 'moveBefore').call(
          document.body,
          Reflect.get(globalThis, 'kept'),
          null,
        )
      })
      t.ok(await untouched(page, 'one'), 'moved with its frame')
      t.strictSame(asked.all, [])
    },
  )

  await t.test('what is no link throws, and is not quoted', async (t) => {
    const { page, changes } = await openDesk(t, context, url)
    for (const wrong of [
      'javascript:alert(1)',
      'data:text/html,x',
      '/?auth=x',
      'blob:https://a.example/x',
      'x',
    ]) {
      const said = await page.evaluate((wrong) => {
        const element = document.createElement('copilot-workspace')
        document.body.append(element)
        try {
          element.src = wrong
          return 'nothing'
        } catch (error) {
          return String(error)
        }
      }, wrong)
      t.equal(said, 'TypeError: The link for <copilot-workspace> must be an absolute URL of https')
    }
    t.strictSame(changes.all, [])
    t.equal(await page.locator('iframe').count(), 0)
  })
})

function isRenewal({ path }: Line): boolean {
  return path === '/.copilot-gateway/renew'
}

function shown(page: Page, label: string): FrameLocator {
  return page.frameLocator(`iframe[title="${label}"]`)
}

/** Puts the clock forward by each delay that the element has begun so many times. */
async function passDelays(page: Page, rounds = 1): Promise<void> {
  for (const delay of [1000, 5000]) {
    await page.waitForFunction(
      ([delay, rounds]) => {
        const delays: number[] = Reflect.get(globalThis, 'delays')
        return delays.filter((ms) => ms === delay).length >= rounds
      },
      [delay, rounds] as const,
    )
    await page.clock.fastForward(delay)
  }
}

/** Leaves a mark in the workspace's document, which goes with it. */
function touch(page: Page, label: string): Promise<unknown> {
  return shown(page, label)
    .locator('body')
    .evaluate(() => Reflect.set(globalThis, 'untouched', true))
}

function untouched(page: Page, label: string): Promise<boolean> {
  return shown(page, label)
    .locator('body')
    .evaluate(() => Reflect.get(globalThis, 'untouched') === true)
}

function pending(page: Page): Promise<number> {
  return page.evaluate(() => Reflect.get(globalThis, 'pending').size)
}
