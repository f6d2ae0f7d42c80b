import type { Page } from 'playwright-core'
import t from 'tap'
import {
  contactCenter,
  pointAt,
  refusalAt,
  scriptedHour,
  startDashboardStage,
  statusAt,
} from '../admin/dashboard-stage.ts'
import { launch } from './chromium.ts'
import { illegible, live, openDashboard, showsTheState } from './dashboard.ts'
import { chromiumMissing } from './executable.ts'

const token = 'admin-token-of-the-stage'

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)

  for (const set of [null, token]) {
    await t.test(`the state is shown, token ${set === null ? 'unset' : 'set'}`, async (t) => {
      const stage = await startDashboardStage(t, { token: set })
      const page = await showsTheState(t, await newContext(t), stage.origin, set)
      t.equal(await page.locator('.reasons li').count(), 4)
      t.equal(await page.getByRole('button', { name: 'Forget token' }).count(), set ? 1 : 0)
    })
  }

  await t.test('what is new is shown when it is', async (t) => {
    const stage = await startDashboardStage(t)
    const { page } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    const now = Date.now()
    stage.send('point', { ...pointAt(now + 5000, 900), sockets: 777, allowed: 100_000 })
    await page.getByRole('heading', { name: ', 777 sockets open.' }).waitFor()
    const open = page.getByRole('img', { name: /^Open over .* sockets 777 now, 777 at most/ })
    await open.waitFor()
    stage.send('refusal', { ...refusalAt(now, 0), requestId: 'the-newest', sessionId: 'chat-new' })
    await page.locator('#refusals-list li').first().getByText('the-newest').waitFor()

    const announced = page.locator('#announcement')
    t.equal(await announced.textContent(), '1 contact center only reports: Meridian Bank.')
    const [workspace, ...others] = Array.from(upstreams(statusAt(now)))
    stage.send('status', {
      ...statusAt(now),
      ready: false,
      upstreams: [{ ...workspace, up: false, error: 'ECONNREFUSED' }, ...others],
    })
    await page.getByRole('heading', { name: /^Not ready\./ }).waitFor()
    t.match(
      await announced.textContent(),
      /^The workspace https:\S+ cannot be reached since .* \(ECONNREFUSED\)\./,
    )
    t.equal(await page.title(), '(2) Copilot Gateway')
  })

  await t.test('what is shown is called stale without a connection', async (t) => {
    const stage = await startDashboardStage(t)
    const { page } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    const before = await page.locator('#sentence').textContent()
    stage.shut()
    await page
      .locator('#connection')
      .getByText(/^Not connected since \d\d:\d\d:\d\d \(.+\): what is shown is from then$/)
      .waitFor()
    t.match(await page.locator('#announcement').textContent(), /^Not connected since/)
    t.equal(await page.locator('#sentence').textContent(), before)
    t.equal(await page.locator('#refusals-list li').count(), 24, 'nothing is lost')
    t.strictSame((await page.evaluate(illegible)).problems, [])
    stage.open()
    await page.getByRole('button', { name: 'Try now' }).click()
    await live(page)
    t.equal(await page.locator('#refusals-list li').count(), 24, 'and nothing is there twice')
    t.equal(await page.getByRole('button', { name: 'Try now' }).count(), 0)
  })

  await t.test('the token', async (t) => {
    const stage = await startDashboardStage(t, { token })
    const { page } = await openDashboard(await newContext(t), stage.origin)
    const input = page.getByLabel('Token', { exact: true })
    const show = page.getByRole('button', { name: 'Show the dashboard' })
    await input.waitFor()
    t.equal(await input.getAttribute('type'), 'password')
    t.equal(await page.getByRole('alert').count(), 0)
    for (const wrong of ['wrong', 'not a header: ü\u{1f600}']) {
      await input.fill(wrong)
      await show.click()
      await page.getByRole('alert').getByText('This is not the gateway’s token.').waitFor()
      t.equal(await page.evaluate(() => sessionStorage.length), 0, 'is not kept')
    }
    await input.fill(token)
    await input.press('Enter')
    await live(page)
    t.strictSame(await page.evaluate(() => [Object.values(sessionStorage), localStorage.length]), [
      [token],
      0,
    ])
    t.equal(page.url(), `${stage.origin}/`)
    await page.locator('#sessions-rows tr').first().waitFor()
    t.notOk(stage.asked.some(({ line }) => line.includes(token)))
    await page.reload()
    await live(page)
    stage.change({ token: 'another' })
    stage.shut()
    await page.getByRole('alert').getByText('This is not').waitFor()
    t.equal(await page.locator('#board').count(), 0, 'nothing is left of what it opened')
    stage.change({ token })
    stage.open()
    await input.fill(token)
    await input.press('Enter')
    await page.getByRole('button', { name: 'Forget token' }).click()
    await input.waitFor()
    t.equal(await page.evaluate(() => sessionStorage.length), 0)
  })

  await t.test('a day takes no more room than an hour', async (t) => {
    const stage = await startDashboardStage(t)
    const { page, errors } = await openDashboard(await newContext(t), stage.origin)
    await live(page)
    await page.getByRole('button', { name: 'Requests per second: show as table' }).click()
    const start = Date.now()
    const flood = async (from: number): Promise<number> => {
      for (let index = from; index < from + 3000; index += 1) {
        stage.send('refusal', { ...refusalAt(start + index, index), requestId: `flood-${index}` })
        if (index % 5 === 0) stage.send('point', pointAt(start + index * 1000, index))
      }
      await page
        .locator('#refusals-list li')
        .first()
        .getByText(`flood-${from + 2999}`)
        .waitFor()
      return page.evaluate(() => document.querySelectorAll('*').length)
    }
    const hour = await flood(0)
    const day = await flood(3000)
    t.equal(await page.locator('#refusals-list li').count(), 300)
    t.ok(Math.abs(day - hour) < 200, `${hour} elements, then ${day}`)
    t.ok((await page.locator('.chart tbody tr').count()) <= 61)
    t.strictSame(errors.all, [])
  })

  await t.test('nobody, and a thousand', async (t) => {
    const now = Date.now()
    const nothing = { ...statusAt(now), contactCenters: [], warnings: [], upstreams: [] }
    const stage = await startDashboardStage(t, {
      points: [],
      refusals: [],
      sessions: [],
      status: nothing,
    })
    const { page, errors } = await openDashboard(await newContext(t), stage.origin)
    for (const text of [
      'Ready. No figures yet.',
      'Nothing was refused in the last 15 minutes.',
      'Nothing was refused so far.',
      'No contact center is configured.',
      'Nobody has a session.',
    ]) {
      await page.getByText(text, { exact: true }).waitFor()
    }
    const many = Array.from({ length: 1000 }, (_, index) => contactCenter(now, `Center ${index}`))
    stage.send('status', { ...nothing, contactCenters: many })
    const rows = page.locator('#contact-centers-rows tr')
    await rows.first().waitFor()
    t.equal(await rows.count(), 25)
    await page.locator('#contact-centers-text').fill('center 73')
    await page.getByText('11 of 1,000 contact centers.').waitFor()
    t.equal(await rows.count(), 11)
    t.strictSame(errors.all, [])
  })

  await t.test('what clients wrote is text', async (t) => {
    const evil = '<img src=x onerror="document.title=1"><script>1</script>&lt;b&gt;{{1}}'
    const { status, sessions, points } = scriptedHour(Date.now())
    const now = Date.now()
    const fields = ['requestId', 'path', 'method', 'contactCenter', 'userId', 'sessionId', 'ip']
    const evils = Object.fromEntries(
      [...fields, 'page', 'hint', 'error', 'reason'].map((name) => [name, `${name} ${evil}`]),
    )
    const stage = await startDashboardStage(t, {
      points: [{ ...points.at(-1), reasons: { [evil]: 3 } }],
      refusals: [{ ...refusalAt(now, 0), ...evils }],
      sessions: sessions.slice(0, 1).map((session) => ({
        ...session,
        userId: `user ${evil}`,
        sessionId: `session ${evil}`,
        contactCenter: `center ${evil}`,
      })),
      status: {
        ...status,
        version: evil,
        upstreams: upstreams(status).map((one) => ({
          ...one,
          origin: evil,
          up: false,
          error: evil,
        })),
        reload: { time: now, ok: false, problems: [evil] },
        warnings: [evil],
        contactCenters: [
          { ...contactCenter(now, evil), enforcement: 'report', frameAncestors: [evil] },
        ],
      },
    })
    const { page, errors } = await openDashboard(await newContext(t), stage.origin)
    await page.locator('#sessions-rows').getByText('user <img').waitFor()
    const refusal = (await page.locator('#refusals-list li').textContent()) ?? ''
    for (const text of Object.values(evils)) t.ok(refusal.includes(text), text)
    await page.getByRole('button', { name: /^End session session <img/ }).click()
    t.ok((await page.locator('#end-session-facts').textContent())?.includes(evil))
    t.equal(await countOf(page, '#board img, #board script, dialog img, header img'), 0)
    t.ok((await countOf(page, '#board *')) > 100)
    t.strictSame(errors.all, [])
  })
})

function countOf(page: Page, selector: string): Promise<number> {
  return page.locator(selector).count()
}

function upstreams(status: Readonly<Record<string, unknown>>): readonly object[] {
  const found = status['upstreams']
  return Array.isArray(found) ? found : []
}
