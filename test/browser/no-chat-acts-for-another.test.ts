import type { Frame, Page } from 'playwright-core'
import t from 'tap'
import { agent, conversations } from '../../demo/conversations.ts'
import { createLink, type LinkOptions } from '../../src/link/link.ts'
import { chatWith, connected, type Line, launch, startHttpsDemo } from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria, tomas, ines] = conversations
const hour = 3_600_000

type Query = Readonly<Record<string, string>>

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const { demo, audit } = await startHttpsDemo(t)
  const newContext = await launch(t)

  const sign = (changes: Partial<LinkOptions>): URL =>
    createLink({
      baseUrl: demo.gateway,
      userId: agent.userId,
      sessionId: maria.sessionId,
      urlToken: demo.urlToken,
      secret: demo.secret,
      expiresIn: hour,
      now: Date.now(),
      ...changes,
    })
  const tokenOf = (link: URL): string => link.searchParams.get('auth') ?? ''
  const idsOf = (link: URL): Query => {
    const { auth, ...ids } = Object.fromEntries(link.searchParams)
    return ids
  }

  /** The status of a script's fetch with this query, and the audit line. */
  async function fetched(page: Page | Frame, query: Query): Promise<[number, Line | undefined]> {
    const { status, requestId } = await page.evaluate(
      async (url) => {
        const answer = await fetch(url, { cache: 'no-store' })
        return { status: answer.status, requestId: answer.headers.get('x-request-id') }
      },
      `/config.js?${new URLSearchParams(query)}`,
    )
    const [line] = await audit.until((one) => one['requestId'] === requestId)
    return [status, line]
  }

  /** Whether a script's WebSocket with this query opens, and the audit line. */
  async function upgraded(page: Page | Frame, query: Query): Promise<[boolean, Line | undefined]> {
    const answered = (line: Line): boolean =>
      line['transport'] === 'websocket' && line['socket'] !== 'close'
    const before = audit.all.filter(answered).length
    const opened = await page.evaluate(
      (url) =>
        new Promise<boolean>((resolve) => {
          const socket = new WebSocket(url)
          socket.onerror = () => resolve(false)
          socket.onopen = () => {
            resolve(true)
            socket.close()
          }
        }),
      `wss://${demo.gateway.host}/socket.io/?EIO=4&transport=websocket&${new URLSearchParams(query)}`,
    )
    const lines = await audit.until(answered, before + 1)
    return [opened, lines.at(-1)]
  }

  const a = sign({})
  const b = sign({ sessionId: tomas.sessionId })
  const never = sign({ sessionId: ines.sessionId })
  const ended = (sessionId: string): string =>
    tokenOf(sign({ sessionId, now: Date.now() - 2 * hour }))

  await t.test('with the cookies of both chats', async (t) => {
    const page = await (await newContext(t)).newPage()
    await page.goto(demo.desktop.href)
    for (const { customer } of [maria, tomas]) await connected(chatWith(page, customer.name))
    const element = await page.locator(`iframe[title$="${maria.customer.name}"]`).elementHandle()
    const frame = await element?.contentFrame()
    if (!frame) throw new Error('no frame')

    const allowed = [
      ['no id', {}, undefined],
      ['its own ids', idsOf(a), maria.sessionId],
      ['the ids of the other chat, whose cookie is there', idsOf(b), tomas.sessionId],
      ['a sessionId alone', { sessionId: tomas.sessionId }, tomas.sessionId],
      ['a userId alone', { userId: agent.userId }, undefined],
    ] as const
    for (const [name, query, sessionId] of allowed) {
      await t.test(`let in: ${name}`, async (t) => {
        const [status, line] = await fetched(frame, query)
        t.equal(status, 200)
        t.match(line, { decision: 'allow', userId: agent.userId })
        t.equal(line?.['sessionId'], sessionId)
        const [opened, upgrade] = await upgraded(frame, query)
        t.ok(opened)
        t.match(upgrade, { decision: 'allow', status: 101 })
        t.equal(upgrade?.['sessionId'], sessionId)
      })
    }

    const refused = [
      ['a chat that was never opened', idsOf(never)],
      ['another user', { ...idsOf(a), userId: 'kim.osei' }],
      ['another URLToken', { ...idsOf(a), URLToken: 'f38791ae' }],
      ['a sessionId in other letters', { sessionId: maria.sessionId.toUpperCase() }],
      ['an empty sessionId', { ...idsOf(a), sessionId: '' }],
    ] as const
    for (const [name, query] of refused) {
      await t.test(`refused: ${name}`, async (t) => {
        const [status, line] = await fetched(frame, query)
        t.equal(status, 403)
        t.match(line, { decision: 'deny', reason: 'claim-mismatch' })
        const [opened, upgrade] = await upgraded(frame, query)
        t.notOk(opened)
        t.match(upgrade, { decision: 'deny', reason: 'claim-mismatch', status: 403 })
      })
    }

    const forged = tokenOf(sign({ sessionId: tomas.sessionId, secret: Buffer.alloc(32, 1) }))
    const tokens = [
      ['its own', { ...idsOf(a), auth: tokenOf(a) }, 200, undefined],
      ['its own, with the other’s ids', { ...idsOf(b), auth: tokenOf(a) }, 403, 'claim-mismatch'],
      ['its own, without ids', { auth: tokenOf(a) }, 403, 'claim-mismatch'],
      ['its own, ended', { ...idsOf(a), auth: ended(maria.sessionId) }, 200, undefined],
      [
        'its own, ended, with the other’s ids',
        { ...idsOf(b), auth: ended(maria.sessionId) },
        403,
        'claim-mismatch',
      ],
      [
        'an ended one of a chat that was never opened',
        { ...idsOf(never), auth: ended(ines.sessionId) },
        401,
        'token-expired',
      ],
      ['a forged one, beside a good cookie', { ...idsOf(b), auth: forged }, 401, 'token-invalid'],
    ] as const
    for (const [name, query, expected, reason] of tokens) {
      await t.test(`a token narrows to one session: ${name}`, async (t) => {
        const [status, line] = await fetched(frame, query)
        t.equal(status, expected)
        t.equal(line?.['reason'], reason)
        if (expected === 200) t.equal(line?.['sessionId'], maria.sessionId)
        const [opened, upgrade] = await upgraded(frame, query)
        t.equal(opened, expected === 200)
        t.equal(upgrade?.['reason'], reason)
      })
    }
  })

  await t.test('with the cookie of one chat alone', async (t) => {
    const page = await (await newContext(t)).newPage()
    await page.goto(a.href)
    await connected(page)
    t.equal((await fetched(page, idsOf(a)))[0], 200)
    for (const query of [idsOf(b), { sessionId: tomas.sessionId }]) {
      const [status, line] = await fetched(page, query)
      t.equal(status, 403)
      t.match(line, { reason: 'claim-mismatch', sessionId: maria.sessionId })
    }
    const [opened, upgrade] = await upgraded(page, idsOf(b))
    t.notOk(opened)
    t.match(upgrade, { decision: 'deny', reason: 'claim-mismatch', sessionId: maria.sessionId })
  })

  await t.test('with the cookies of two agents', async (t) => {
    const other = sign({ userId: 'kim.osei', sessionId: 'chat-9' })
    const page = await (await newContext(t)).newPage()
    await page.goto(other.href)
    await connected(page)
    await page.goto(a.href)
    await connected(page)
    for (const link of [a, other]) {
      const [status, line] = await fetched(page, idsOf(link))
      t.equal(status, 200)
      t.equal(line?.['userId'], idsOf(link)['userId'])
    }
    const [status, line] = await fetched(page, {})
    t.equal(status, 200)
    t.equal(line?.['userId'], undefined, 'whose request it is, is not known')
    for (const mixed of [
      { ...idsOf(a), userId: 'kim.osei' },
      { ...idsOf(a), URLToken: 'f38791ae' },
      { userId: 'kim.osei', sessionId: maria.sessionId },
      { sessionId: 'chat-9', URLToken: 'f38791ae' },
    ]) {
      const [refused, denied] = await fetched(page, mixed)
      t.equal(refused, 403, JSON.stringify(Object.keys(mixed)))
      t.match(denied, { decision: 'deny', reason: 'claim-mismatch' })
    }
  })
})
