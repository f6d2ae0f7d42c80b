import t from 'tap'
import {
  connected,
  gatherErrors,
  gatherMessages,
  launch,
  names,
  shutFrames,
  startOwnStage,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const outer = names.contactCenter
const inner = 'widget.test'
const { stranger } = names

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const stage = await startOwnStage(t, { allowed: [outer, inner], others: [stranger] })
  const { audit, framing, link, gateway } = stage
  const newContext = await launch(t)
  const expired = link({ signedAt: Date.now() - 7_200_000 })
  const forged = link({ key: Buffer.alloc(32, 1) })
  const origin = (host: string): string => new URL(framing(host)).origin

  await t.test('the workspace is live two frames deep', async (t) => {
    const context = await newContext(t)
    const page = await context.newPage()
    await page.goto(framing(outer, framing(inner, link())))
    await connected(page.frameLocator('iframe').frameLocator('iframe'))
    const [cookie] = await context.cookies(gateway.href)
    t.equal(cookie?.partitionKey, `https://${outer}`)
    t.match(await audit.until((line) => line['socket'] === 'open'), [{ decision: 'allow' }])
  })

  const chains = [
    ['two frames deep', [outer, inner]],
    ['three frames deep', [outer, inner, outer]],
    ['the inner page is of the same site as the outer', [outer, outer]],
  ] as const
  for (const [name, hosts] of chains) {
    await t.test(`every ancestor is told of a refusal: ${name}`, async (t) => {
      const page = await (await newContext(t)).newPage()
      const messages = await gatherMessages(page)
      await page.goto(
        String(hosts.reduceRight<URL | string>((link, host) => framing(host, link), expired)),
      )
      const told = await messages.until(() => true, hosts.length)
      t.strictSame(told.map(({ at }) => at).sort(), hosts.map(origin).sort())
      for (const { origin, message } of told) {
        t.equal(origin, gateway.origin)
        t.strictSame(message, {
          type: 'copilot-gateway:refused',
          status: 401,
          requestId: told[0]?.message['requestId'],
          renew: true,
        })
      }
      const [line] = await audit.until((one) => one['requestId'] === told[0]?.message['requestId'])
      t.match(line, { decision: 'deny', reason: 'token-expired' })
    })
  }

  const shut = [
    ['only the inner page is allowed', [stranger, inner]],
    ['only the outer page is allowed', [outer, stranger]],
    ['a stranger between two that are allowed', [outer, stranger, inner]],
    ['a stranger around two that are allowed', [stranger, outer, inner]],
  ] as const
  for (const [name, hosts] of shut) {
    await t.test(`shut: ${name}`, async (t) => {
      const page = await (await newContext(t)).newPage()
      const messages = await gatherMessages(page)
      const errors = gatherErrors(page)
      const innermost = hosts.at(-1) ?? ''
      const outwards = hosts.slice(0, -1)
      const links = framing(innermost, link(), expired, forged)
      await page.goto(outwards.reduceRight((url, host) => framing(host, url), links))
      const frames = await shutFrames(page, 3)
      t.equal(frames.length, 3, 'a valid link, an expired one, a forged one')
      for (const frame of frames) {
        t.equal(new URL(frame.parentFrame()?.url() ?? '').hostname, innermost)
      }
      await errors.until((text) => text.includes('"frame-ancestors '), 3)
      t.strictSame(messages.all, [])
    })
  }
})
