import type { Page } from 'playwright-core'
import t from 'tap'
import { refusalAt, scriptedHour, startDashboardStage, statusAt } from '../admin/dashboard-stage.ts'
import { ids, jwt, link } from '../stage.ts'
import { launch } from './chromium.ts'
import { illegible, live, openDashboard } from './dashboard.ts'
import { chromiumMissing } from './executable.ts'

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)

  const scopes = [
    ['process', 'in this process'],
    ['workers', 'on all workers'],
    ['replicas', 'on all replicas'],
  ] as const
  for (const [scope, words] of scopes) {
    await t.test(`a session is found and ended by keyboard, ${words}`, async (t) => {
      const stage = await startDashboardStage(t, { scope })
      const { page } = await openDashboard(await newContext(t), stage.origin)
      await page.locator('#sessions-rows tr').nth(41).waitFor()
      await tabTo(page, 'sessions-text')
      await page.keyboard.type('CHAT-2093')
      await page.getByText(`1 session ${words}`, { exact: true }).waitFor()
      t.equal(await page.locator('#sessions-rows tr').count(), 1)
      const button = page.getByRole('button', { name: 'End session chat-2093 of marta.lindqvist' })
      await tabTo(page, button)
      const dialog = page.getByRole('dialog', { name: 'End this session?' })

      await page.keyboard.press('Enter')
      await dialog.waitFor()
      t.match(
        await dialog.textContent(),
        /User.*marta\.lindqvist.*Session.*chat-2093.*Harbour Health/,
      )
      t.match(await focused(page), { text: 'Keep it' })
      await page.keyboard.press('Enter')
      await dialog.waitFor({ state: 'hidden' })
      await page.keyboard.press('Enter')
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'hidden' })
      t.match(await focused(page), { text: 'End session' }, 'the focus is where it was')
      const ended = (): string[] =>
        stage.asked.map(({ line }) => line).filter((line) => line.startsWith('DELETE'))
      t.strictSame(ended(), [], 'nothing is ended by keeping it or by Escape')

      await page.keyboard.press('Enter')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      const said = page.getByRole('status').filter({ hasText: 'chat-2093' })
      await said.getByText(`Session chat-2093 of marta.lindqvist was ended ${words}.`).waitFor()
      await page.getByText('No session matches.').waitFor()
      t.strictSame(ended(), [
        'DELETE /sessions/chat-2093?userId=marta.lindqvist&contactCenter=Harbour+Health',
      ])
      t.match(await focused(page), { id: 'sessions-text' })
    })
  }

  await t.test('a session that could not be ended is said to be there', async (t) => {
    const stage = await startDashboardStage(t)
    const { page } = await openDashboard(await newContext(t), stage.origin)
    await page.getByRole('button', { name: 'End session chat-2100 of' }).click()
    stage.shut()
    await page.getByRole('button', { name: 'End session', exact: true }).click()
    await page
      .getByText('Session chat-2100 of dana.whitfield was not ended: status 503.', { exact: true })
      .waitFor()
    t.equal(await page.locator('#sessions-rows tr').count(), 42)
  })

  await t.test('a link is explained by keyboard, and not kept', async (t) => {
    const stage = await startDashboardStage(t)
    const { page, errors } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    const verdict = page.getByRole('status').and(page.locator('#explain-verdict'))
    const explain = async (text: string): Promise<void> => {
      await page.locator('#explain-link').focus()
      await page.keyboard.press('ControlOrMeta+A')
      await page.keyboard.insertText(text)
      await page.keyboard.press('Tab')
      await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
    }
    await explain('gateway.example')
    await page.getByRole('alert').getByText('The link must begin with https://').waitFor()
    t.notOk(await verdict.isVisible())

    const steps = page.locator('#explain-steps > li')
    const outcomes = async () =>
      (await steps.allTextContents()).map((text) => text.split(' ').slice(0, 2).join(' '))
    await explain(`https://gateway.example${link()}`)
    await verdict.getByText('This link would be let in. Contact center: default.').waitFor()
    t.equal(await page.locator('#explain-error').textContent(), '')
    t.match(await page.locator('#explain-next').textContent(), /It opens a session until/)

    await explain(`https://gateway.example${link({ auth: jwt({ ...ids, userId: 'Agent-7' }) })}`)
    await verdict.getByText('This link would be refused (claim-mismatch, 403).').waitFor()
    t.match(await outcomes(), [
      /^target passed/,
      /^query passed/,
      /^origin passed/,
      /^credential passed/,
      /^binding failed/,
      /^state not/,
    ])
    t.match(await steps.nth(4).textContent(), /they differ in upper and lower case only/)
    t.match(
      await page.locator('#explain-advice').textContent(),
      /What to do: Sign the very ids that the link carries\./,
    )
    t.notMatch(await page.locator('#explain-result').innerHTML(), ids.userId)

    stage.change({ token: 'now-there-is-one' })
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.locator('#login').waitFor()
    t.equal(await page.locator('textarea').count(), 0, 'nor does it stay in the page')
    t.notOk(
      stage.asked.some(({ line }) => line.includes('auth')),
      'no address holds it',
    )
    t.notOk(
      (await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).includes(
        'auth',
      ),
    )
    t.ok(
      errors.all.every((text) => /status of (?:400|401)/.test(text)),
      errors.all.join(),
    )
  })

  await t.test('refusals can be paused, filtered, copied', async (t) => {
    const stage = await startDashboardStage(t)
    const context = await newContext(t)
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    const { page } = await openDashboard(context, stage.origin)
    const rows = page.locator('#refusals-list li')
    await rows.nth(23).waitFor()
    const send = (index: number, changes = {}): void =>
      stage.send('refusal', { ...refusalAt(Date.now(), index), ...changes })

    const pause = page.locator('#refusals-pause')
    await pause.focus()
    await page.keyboard.press('Space')
    t.equal(await pause.getAttribute('aria-pressed'), 'true')
    send(30)
    await page.getByText('Paused, 1 new · 24 refusals').waitFor()
    t.equal(await rows.count(), 24)
    await page.keyboard.press('Space')
    await rows.nth(24).waitFor()

    for (const enter of [
      () => page.locator('#refusals-scroller').focus(),
      () => page.locator('#refusals-scroller').hover(),
    ]) {
      const before = await rows.count()
      await enter()
      send(31 + before)
      await page.getByText('Paused while you are in the list, 1 new').waitFor()
      t.equal(await rows.count(), before, 'nothing moves under who reads')
      await page.locator('#refusals-text').focus()
      await page.mouse.move(0, 0)
      await rows.nth(before).waitFor()
    }

    send(3, { skipped: 7, requestId: 'after-the-flood' })
    await page.getByText('7 more refusals in the log only').waitFor()
    const newest = rows.first()
    await newest.getByText('would be refused').waitFor()
    t.match(await newest.textContent(), /What to do: Compare the secrets .*Hint: Signed with/)
    await newest.getByRole('button', { name: 'Copy request id after-the-flood' }).click()
    await newest.getByText('Copied').waitFor()
    t.equal(await page.evaluate(() => navigator.clipboard.readText()), 'after-the-flood')
    await page.mouse.move(0, 0)
    await page.locator('#refusals-text').focus()

    await page.locator('#refusals-reason').selectOption('upstream-unreachable')
    t.ok((await rows.count()) > 3)
    t.equal(await rows.filter({ hasNotText: 'upstream-unreachable' }).count(), 0)
    await page.locator('#refusals-text').fill('No such thing')
    await page.getByText('No refusal matches.').waitFor()
    await page.locator('#refusals-text').fill('')
    await page.locator('.reasons').getByRole('button', { name: 'token-expired' }).click()
    t.equal(await page.locator('#refusals-reason').inputValue(), 'token-expired')
    t.equal(await rows.filter({ hasNotText: 'token-expired' }).count(), 0)
  })

  await t.test('a screen reader is told what the charts show', async (t) => {
    const stage = await startDashboardStage(t)
    const { page } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    t.match(
      await page.locator('body').ariaSnapshot(),
      new RegExp(
        [
          'heading "Copilot Gateway 0.1.0" \\[level=1\\]',
          'main:',
          'heading "Ready\\. \\d+ requests/s, .* refused, \\d+ sockets open\\." \\[level=2\\]',
          'group "Charts show the last"',
          'radio "15 minutes" \\[checked\\]',
          'img "Requests per second over the last 15 minutes: allowed [\\d.]+ now, [\\d.]+ at most; refused .*; reported .*"',
          'button "claim-mismatch"',
          'img "claim-mismatch over the last 15 minutes: \\d+ now, \\d+ at most"',
          'img "Latency over .*: p50 \\d+ ms now, .*; p90 .*; p99 .*"',
          'img "Open over .*: sockets \\d+ now, .*; sessions .*; connections .*"',
          'region "Latest refusals"',
          'combobox "Reason"',
          'searchbox "Containing"',
          'rowheader "Harbour Health"',
          'previous secret',
          'last used 26 h ago: safe to remove, unless sessions last longer',
          'region "Sessions"',
          'columnheader "Last seen"',
          'rowheader "dana.whitfield"',
        ].join('.*'),
        's',
      ),
    )
    await page.getByRole('radio', { name: 'hour' }).check()
    await page.getByRole('img', { name: /^Latency over the last hour/ }).waitFor()
    const toggle = page.getByRole('button', { name: 'Latency: show as table' })
    await toggle.focus()
    await page.keyboard.press('Enter')
    const table = page.getByRole('region', { name: 'Latency, table' }).getByRole('table')
    t.match(await table.ariaSnapshot(), /columnheader "p99".*rowheader "\d\d:\d\d:\d\d".*ms/s)
    t.equal(await page.getByRole('img', { name: /^Latency/ }).count(), 0)
    await page.getByRole('button', { name: 'Latency: show as chart' }).click()
    await page.getByRole('img', { name: /^Latency/ }).waitFor()
  })

  const looks = [
    { name: 'wide', width: 1920, height: 1080 },
    { name: 'a laptop', width: 1280, height: 800 },
    { name: 'a laptop at 200 %', width: 640, height: 400 },
    { name: 'a phone', width: 320, height: 640 },
  ] as const
  for (const colors of ['light', 'dark'] as const) {
    for (const { name, ...size } of looks) {
      await t.test(`it can be read: ${name}, ${colors}`, async (t) => {
        const { sessions, refusals } = scriptedHour(Date.now())
        const long = 'x'.repeat(300)
        const stage = await startDashboardStage(t, {
          status: {
            ...statusAt(Date.now()),
            draining: true,
            redis: { up: false, since: Date.now() },
            reload: { time: Date.now(), ok: false, problems: ['PORT must be a number.', long] },
            certificate: { expires: Date.now() + 86_400_000 },
          },
          sessions: sessions.map((session) => ({
            ...session,
            userId: long,
            sessionId: session.sessionId + long,
          })),
          refusals: [...refusals, { ...refusals[0], time: 0, path: `/${long}`, userId: long }],
        })
        const { page } = await openDashboard(await newContext(t, { ...size, colors }), stage.origin)
        await live(page)
        await page.locator('#sessions-rows tr').nth(41).waitFor()
        const foreign = jwt({ exp: 1 }, { key: 'nobodys-secret-of-256-bits-as-text' })
        await page
          .getByRole('textbox', { name: 'Link' })
          .fill(`https://gateway.example/${long}${link({ auth: foreign })}`)
        await page.getByRole('button', { name: 'Explain' }).click()
        await page.getByText('This link would be refused (token-invalid, 401).').waitFor()
        const seen = await page.evaluate(illegible)
        t.ok(seen.texts > 300)
        t.strictSame(seen.problems, [])
        await page.locator('#sessions-rows button').first().click()
        t.strictSame((await page.evaluate(illegible)).problems, [], 'with the dialog')
        stage.change({ token: 'now there is one' })
        stage.shut()
        await page.locator('#login').waitFor({ state: 'attached' })
        t.strictSame((await page.evaluate(illegible)).problems, [], 'without the connection')
      })
    }
  }

  await t.test('nothing moves by itself', async (t) => {
    const stage = await startDashboardStage(t)
    const { page } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    t.equal(await page.evaluate(() => document.getAnimations().length), 0)
    const moving = await page.evaluate(
      () =>
        [...document.querySelectorAll('*')].filter((element) => {
          const { animationName, transitionDuration } = getComputedStyle(element)
          return animationName !== 'none' || transitionDuration !== '0s'
        }).length,
    )
    t.equal(moving, 0)
  })
})

/** Presses Tab until the element has the focus. */
async function tabTo(page: Page, target: string | ReturnType<Page['locator']>): Promise<void> {
  const element = typeof target === 'string' ? page.locator(`#${target}`) : target
  for (let count = 0; count < 120; count += 1) {
    if (await element.evaluate((one) => one === document.activeElement)) return
    await page.keyboard.press('Tab')
  }
  throw new Error('cannot be reached by keyboard')
}

function focused(page: Page): Promise<{ id: string; text: string }> {
  return page.evaluate(() => ({
    id: document.activeElement?.id ?? '',
    text: document.activeElement?.textContent ?? '',
  }))
}
