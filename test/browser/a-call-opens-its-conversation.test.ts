import t from 'tap'
import { agent, conversations } from '../../demo/conversations.ts'
import { scenario, sipp, sippMissing } from '../demo/sipp.ts'
import { chatWith, connected, gather, launch, startHttpsDemo, tile } from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria, , , jonas, amara] = conversations

t.test('in Chromium', { skip: chromiumMissing || sippMissing }, async (t) => {
  const { demo, audit } = await startHttpsDemo(t)
  const page = await (await (await launch(t))(t)).newPage()
  const sent = gather<string>()
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.add(`${payload}`)))
  const requests = gather<string>()
  page.on('request', (request) => requests.add(request.url()))
  const joined = (sessionId: string): Promise<string[]> =>
    sent.until((text) => text.includes('"join"') && text.includes(`"${sessionId}"`))
  await page.goto(demo.desktop.href)
  await connected(chatWith(page, maria.customer.name))
  const call = page.locator('#call-open')
  const counted = (open: number): Promise<void> =>
    page.getByText(`${agent.name}, ${open} open conversations`).waitFor()
  await counted(2)

  await t.test('a call from outside rings, and opens the conversation of its header', async (t) => {
    const called = sipp(demo.sipp)
    await page.getByText(`${amara.customer.name} is calling (${amara.sessionId})`).waitFor()
    t.equal(await call.count(), 0, 'nothing opens before it is answered')
    await page.getByRole('button', { name: 'Answer' }).press('Enter')
    const workspace = chatWith(page, amara.customer.name)
    await connected(workspace)
    t.match(await tile(workspace, 'identity').locator('dl').textContent(), amara.customer.ticket)
    t.equal((await joined(amara.sessionId)).length, 1)
    const [opened] = await audit.until(
      ({ path, sessionId }) => path === '/' && sessionId === amara.sessionId,
    )
    t.match(opened, { decision: 'allow', userId: agent.userId })
    await counted(3)
    await page.getByRole('button', { name: 'Hang up' }).press('Enter')
    await page.getByText('You ended the call.').waitFor()
    t.equal(await call.count(), 0)
    await counted(2)
    t.match(await called, { code: 0, errors: '' })
    const focused = page.locator(':focus')
    t.equal(await focused.textContent(), 'Receive a call', 'the keyboard is not lost')
  })

  await t.test('the caller’s BYE shuts it', async (t) => {
    const keys = { user: agent.userId, session: amara.sessionId }
    const called = scenario(demo, 'siprec', keys)
    await page.getByRole('button', { name: 'Answer' }).click()
    t.match(await called, { code: 0, errors: '' })
    await page.getByText('The caller hung up.').waitFor()
    await call.waitFor({ state: 'detached' })
    await audit.until(
      ({ socket, sessionId }) => socket === 'close' && sessionId === amara.sessionId,
    )
  })

  await t.test('a call without sipp', async (t) => {
    await page.getByRole('button', { name: 'Receive a call' }).click()
    await page.getByRole('button', { name: 'Answer' }).click()
    await connected(chatWith(page, amara.customer.name))
    await page.getByRole('button', { name: 'Hang up' }).click()
    await call.waitFor({ state: 'detached' })
    t.equal(await page.locator('#said').textContent(), 'You ended the call.')
  })

  await t.test('a handover opens through the links API, and not without it', async (t) => {
    for (const round of [1, 2]) {
      const sessionId = `${jonas.sessionId}-${round}`
      await page.getByRole('button', { name: 'Receive a handover' }).click()
      const unsigned = page.frameLocator(
        `iframe[title="What ${jonas.customer.name}’s link opens without a signature"]`,
      )
      await page.getByText(`(${sessionId})`).waitFor()
      await unsigned.getByText('cannot be opened with this link').waitFor()
      const workspace = chatWith(page, jonas.customer.name)
      await connected(workspace)
      t.equal((await joined(sessionId)).length, 1)
      t.match(await tile(workspace, 'identity').locator('dl').textContent(), jonas.customer.ticket)
    }
    await counted(3)
    const refused = audit.all.filter(({ decision }) => decision === 'deny')
    t.strictSame(
      refused.map(({ reason }) => reason),
      ['claim-mismatch', 'claim-mismatch'],
      'the plain links alone, which the sessions of the open chats do not name',
    )
  })

  await t.test('the browser asks the gateway and the desk, never the links API', async (t) => {
    const origins = new Set(requests.all.map((url) => new URL(url).origin))
    origins.delete('null')
    t.strictSame([...origins].sort(), [demo.desktop.origin, demo.gateway.origin].sort())
  })
})
