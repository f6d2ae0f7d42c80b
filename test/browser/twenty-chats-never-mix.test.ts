// An agent's twenty chats in one browser, in an order that `SEED=… npx tap …` plays again.
import { randomInt } from 'node:crypto'
import t from 'tap'
import {
  gather,
  type Line,
  launch,
  names,
  startClock,
  startOwnStage,
  type WatchedSocket,
  watchSockets,
} from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const seed = Number(process.env['SEED'] ?? randomInt(2 ** 32))
const rounds = 10
/** So many chats do something at the same time. */
const atOnce = 4
const minute = 60_000
const hour = 60 * minute

// Some look alike.
const sessionIds = [
  ...Array.from({ length: 15 }, (_, index) => `chat-${index}`),
  ...['Chat-1', 'chat-01', 'chat_1', 'chat-1.', 'chat-１'],
]

interface Chat {
  readonly sessionId: string
  /** Its frame is there, and in it a session that lasts, one that has ended, or one about to end. */
  state: 'closed' | 'lasting' | 'ending' | 'ended'
  /** A link of it lasted: no later one ends that session earlier, its cookie proves the rest. */
  lasted: boolean
  /** Its socket's, as workspace and gateway name it. */
  requestId: string
  joins: number
}

interface Move {
  readonly name: string
  /** The states that a chat may be in for it. */
  readonly of: readonly Chat['state'][]
  readonly make: (chat: Chat) => Promise<unknown>
}

t.test(`in Chromium, SEED=${seed}`, { skip: chromiumMissing }, async (t) => {
  const random = randomNumbers(seed)
  const pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)]
  const clock = startClock(t)
  const { framing, link, audit, heard } = await startOwnStage(t, {
    env: { PUBLIC_PATHS: '/assets/*' },
  })
  const page = await (await (await launch(t))(t)).newPage()
  const received = gather<WatchedSocket>()
  watchSockets(page, received)
  await page.goto(framing(names.contactCenter, 'about:blank'))

  const chats: readonly Chat[] = sessionIds.map((sessionId) => ({
    sessionId,
    state: 'closed',
    lasted: false,
    requestId: '',
    joins: 0,
  }))
  /** What the workspace is to hear, and nothing else: an event, and whose. */
  const expected: (readonly [event: string, sessionId: string])[] = []
  let words = 0
  let refusedThefts = 0

  const frameOf = ({ sessionId }: Chat) => {
    const frame = page.frame({ name: sessionId })
    if (frame === null) throw new Error(`no frame ${sessionId}`)
    return frame
  }
  const joined = async (chat: Chat): Promise<void> => {
    expected.push(['join', chat.sessionId])
    chat.joins += 1
    const joins = await heard.until(
      ({ event, said }) => event === 'join' && sessionIn(said[0]) === chat.sessionId,
      chat.joins,
    )
    chat.requestId = joins.at(-1)?.requestId ?? ''
  }
  const socketClosed = async (chat: Chat): Promise<unknown> => {
    const [line] = await audit.until(
      ({ socket, requestId }) => socket === 'close' && requestId === chat.requestId,
    )
    return line?.['ended']
  }

  const open: Move = {
    name: 'open',
    of: ['closed', 'ended'],
    async make(chat) {
      const lasts = random() < 0.5
      chat.lasted ||= lasts
      chat.state = chat.lasted ? 'lasting' : 'ending'
      const { sessionId } = chat
      const url = link({ sessionId, expiresIn: lasts ? hour * 100 : minute })
      await page.evaluate(
        ([name, url]) => {
          const frame =
            document.querySelector<HTMLIFrameElement>(`iframe[name="${CSS.escape(name)}"]`) ??
            document.createElement('iframe')
          frame.name = name
          // Nothing is looked at, and to draw twenty workspaces takes a while.
          frame.hidden = true
          frame.src = url
          document.documentElement.append(frame)
        },
        [sessionId, url.href] as const,
      )
      await joined(chat)
    },
  }
  const reload: Move = {
    name: 'reload',
    of: ['lasting', 'ending'],
    async make(chat) {
      await frameOf(chat).evaluate(() => location.reload())
      await joined(chat)
    },
  }
  const reloadEnded: Move = {
    name: 'reload ended',
    of: ['ended'],
    async make(chat) {
      const answered = (line: Line): boolean =>
        line['path'] === '/' && line['sessionId'] === chat.sessionId
      const before = audit.all.filter(answered).length
      await frameOf(chat).evaluate(() => location.reload())
      const answers = await audit.until(answered, before + 1)
      t.match(answers.at(-1), { status: 401, reason: 'token-expired' }, chat.sessionId)
    },
  }
  const sayWord: Move = {
    name: 'say',
    of: ['lasting', 'ending'],
    async make(chat) {
      words += 1
      const text = `Word ${words} for «${chat.sessionId}»`
      expected.push(['sendMessage', chat.sessionId])
      await frameOf(chat).evaluate((text) => {
        const form = document.querySelector<HTMLFormElement>('#message')
        form?.querySelector('input')?.setAttribute('value', text)
        form?.requestSubmit()
      }, text)
      const [message] = await heard.until(({ said: [one] }) => textIn(one) === text)
      t.equal(message?.requestId, chat.requestId, `over the socket of ${chat.sessionId}`)
    },
  }
  const actForAnother: Move = {
    name: 'act for another',
    of: ['lasting', 'ending'],
    async make(chat) {
      const other = pick(chats.filter((one) => one !== chat))?.sessionId ?? ''
      const theft = pick(thefts)
      if (theft === undefined) return
      const idsOf = (sessionId: string) => ({
        ...Object.fromEntries(link({ sessionId }).searchParams),
        auth: undefined,
      })
      // With all cookies and no parameter a socket is anybody's of the browser, until its first event.
      if (theft.byCookies) {
        chat.joins += 1
        expected.push(['join', chat.sessionId])
      }
      const events = [
        ...(theft.byCookies ? [['join', idsOf(chat.sessionId)]] : []),
        [theft.event, { ...idsOf(other), action: 'use-answer' }],
      ].map((event) => `42${JSON.stringify(event)}`)
      const ended = await frameOf(chat).evaluate(speak, { events, bare: theft.byCookies })
      t.equal(ended, '1008 session-mismatch', `${theft.event} from ${chat.sessionId} for ${other}`)
      refusedThefts += 1
    },
  }
  const close: Move = {
    name: 'close',
    of: ['lasting', 'ending', 'ended'],
    async make(chat) {
      const before = chat.state
      chat.state = 'closed'
      await page.locator(`iframe[name="${chat.sessionId}"]`).evaluate((frame) => frame.remove())
      const ended = await socketClosed(chat)
      if (before !== 'ended') t.equal(ended, 'client', chat.sessionId)
    },
  }
  const moves = [open, reload, reloadEnded, sayWord, actForAnother, close]
  const expire = async (): Promise<void> => {
    clock.advance(2 * minute)
    for (const chat of chats.filter(({ state }) => state === 'ending')) {
      chat.state = 'ended'
      t.equal(await socketClosed(chat), 'session-expired', chat.sessionId)
    }
  }

  await t.test('all are open at once', async () => {
    await Promise.all(shuffled(chats, random).map(open.make))
  })
  for (let round = 1; round <= rounds; round += 1) {
    const made = shuffled(chats, random)
      .slice(0, atOnce)
      .map((chat) => [chat, pick(moves.filter(({ of }) => of.includes(chat.state)))] as const)
    t.comment(made.map(([{ sessionId }, move]) => `${move?.name} ${sessionId}`).join(', '))
    await Promise.all(made.map(([chat, move]) => move?.make(chat)))
    if (random() < 0.25) await expire()
  }
  await Promise.all(chats.filter(({ state }) => state !== 'closed').map(close.make))

  await t.test('each socket carried one session’s events', async (t) => {
    const opened = audit.all.filter(({ socket }) => socket === 'open')
    const closed = await audit.until(({ socket }) => socket === 'close', opened.length)
    t.strictSame(
      heard.all.map(({ event, said: [what] }) => [event, sessionIn(what)]).sort(),
      expected.sort(),
      'the workspace heard what was done, and nothing else',
    )
    const owners = new Map(closed.map((line) => [line['requestId'], line['sessionId']]))
    for (const { requestId, event, said } of heard.all) {
      t.equal(owners.get(requestId), sessionIn(said[0]), event)
    }
    t.equal(closed.filter(({ ended }) => ended === 'session-mismatch').length, refusedThefts)
    const refused = audit.all.filter(({ decision }) => decision === 'deny')
    for (const line of refused) t.match(line, { reason: 'token-expired' })
  })

  await t.test('none saw what was said in another', async (t) => {
    t.ok(received.all.length >= chats.length)
    for (const { sent, got } of received.all) {
      const owner = sent.map(eventIn).find(([event]) => event === 'join')
      const seen = new Set(
        got.flatMap((text) => [...text.matchAll(/«(.*?)»/g)].map(([, id]) => id)),
      )
      seen.delete(sessionIn(owner?.[1]))
      t.strictSame([...seen], [])
    }
    const shown = received.all.flatMap(({ got }) => got).filter((text) => text.includes('«'))
    t.ok(shown.length >= words, 'each word came back to its chat')
  })
})

const thefts = [
  { event: 'join', byCookies: false },
  { event: 'sendPostbackAction', byCookies: false },
  { event: 'sendPostbackAction', byCookies: true },
] as const

/** Runs in a chat's frame: opens a socket as the workspace does, or with cookies alone, and speaks. */
function speak({ events, bare }: { events: string[]; bare: boolean }): Promise<string> {
  const { agentAssistAPIUrl } = Reflect.get(globalThis, 'serverConfig')
  const url = new URL('/socket.io/', agentAssistAPIUrl.replace('https:', 'wss:'))
  if (!bare) url.search = new URL(agentAssistAPIUrl).search
  url.searchParams.set('EIO', '4')
  url.searchParams.set('transport', 'websocket')
  return new Promise((resolve) => {
    const socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      if (data.startsWith('0')) socket.send('40')
      if (data.startsWith('40')) for (const event of events) socket.send(event)
    }
    socket.onclose = ({ code, reason }) => resolve(`${code} ${reason}`)
    setTimeout(() => resolve('not closed'), 10_000)
  })
}

/** The event in a packet, name and arguments. */
function eventIn(packet: string): readonly unknown[] {
  const [, json] = /^42\d*(\[.*)/s.exec(packet) ?? []
  const event: unknown = JSON.parse(json ?? '[]')
  return Array.isArray(event) ? event : []
}

/** Whose an event is: it says so itself, or its words do. */
function sessionIn(what: unknown): string {
  if (typeof what !== 'object' || what === null) return ''
  return String(Reflect.get(what, 'sessionId') ?? /«(.*?)»/.exec(textIn(what))?.[1] ?? '')
}

function textIn(what: unknown): string {
  return typeof what === 'object' && what !== null ? String(Reflect.get(what, 'text')) : ''
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  return all
    .map((one) => [random(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one)
}

/** Numbers from 0 up to 1, the same for the same seed (xorshift32). */
function randomNumbers(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
