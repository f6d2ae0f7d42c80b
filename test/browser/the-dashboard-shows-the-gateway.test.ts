// The dashboard over a gateway in a process of its own: what it says is so, and what it ends has ended.
import t from 'tap'
import { closed, operate, startWorkspace } from '../process/operated.ts'
import { ask } from '../stage.ts'
import { launch } from './chromium.ts'
import { showsTheState } from './dashboard.ts'
import { chromiumMissing } from './executable.ts'

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const newContext = await launch(t)
  const gateway = await operate(t, await startWorkspace(t))
  const socket = await gateway.socket('chat-1')
  await ask(gateway.origin, '/%3Cb%3Eno-link%3C')
  const page = await showsTheState(t, await newContext(t), gateway.adminOrigin, gateway.token)

  await page.getByRole('heading', { name: ', 1 socket open.' }).waitFor()
  const refused = page.locator('#refusals-list li').first()
  await refused.getByText('token-missing').waitFor()
  t.match(await refused.textContent(), '/%3Cb%3Eno-link%3C', 'as it was asked for')

  const end = closed(socket)
  await page.getByRole('button', { name: 'End session chat-1 of agent-7' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click()
  await page.getByText('Session chat-1 of agent-7 was ended in this process.').waitFor()
  t.equal(await end, '1008 session-revoked')

  gateway.kill('SIGTERM')
  await gateway.ended
  await page
    .locator('#connection')
    .getByText(/^Not connected since/)
    .waitFor()
})
