import { pathAt } from '../doctor/credentials.ts'
import { type Answer, type Browser, navigation, subresource } from './browser.ts'
import { type Channel, openChannel } from './channel.ts'
import { Failure } from './failure.ts'
import { chatsOf, type Shift } from './schedule.ts'
import { type Stage, step } from './stage.ts'
import { isConfig, readConfig } from './workspace-config.ts'

/** One agent's shift: several chats, each in a frame of its own, in one browser. */
export async function playAgent(stage: Stage, shift: Shift, name: string): Promise<void> {
  const { plan, clock, tally } = stage
  const desk = { ...stage, browser: stage.enter(), leaves: shift.leaves }
  tally.agents(1)
  const chats = chatsOf(shift, plan).map((begins, i) => playChat(desk, begins, name, i))
  await Promise.all([...chats, clock.reached(shift.leaves)])
  tally.agents(-1)
  await desk.browser.close()
}

interface Desk extends Stage {
  readonly browser: Browser
  readonly leaves: number
}

/** A frame's document, what it loads, its socket, and a message every few seconds until the agent leaves. */
async function playChat(desk: Desk, begins: number, agent: string, chat: number): Promise<void> {
  const { browser, clock, mint, target } = desk
  if (!(await clock.reached(begins))) return
  const { link, query } = mint(agent, chat)
  const document = await step(desk, 'document', begins, async () =>
    welcomed(desk, await browser.get(pathAt(target.url, `/?${query}`), navigation)),
  )
  if (document === null) return
  const parsed = clock.now()
  const assets = await Promise.all(
    assetsOf(document.text(), target.url).map((path) =>
      step(desk, 'asset', parsed, async () => welcomed(desk, await browser.get(path, subresource))),
    ),
  )
  const config = assets.map((asset) => asset?.text() ?? '').find(isConfig)
  const channel = await openSocket(desk, config ?? '')
  if (channel === null) return
  const { userId, sessionId, URLToken } = link
  const joined = await step(desk, 'join', clock.now(), () =>
    channel.join({ URLToken, sessionId, userId }),
  )
  if (joined !== null || !channel.isOpen()) await converse(desk, channel, begins)
  channel.leave()
}

function welcomed({ tally }: Stage, answer: Answer): Answer {
  const { status } = answer
  tally.status('agents', status)
  // A redirect would lead who knows where: it is never followed.
  if (status < 200 || status > 299) throw new Failure(String(status))
  return answer
}

/** The scripts and style sheets of a page that are of its own origin, as paths. */
function assetsOf(html: string, base: URL): readonly string[] {
  // No `<` either: a page of tags that never end would be read once for each.
  const tags = html.match(/<(?:script|link)\b[^<>]*>/gi) ?? []
  const paths = tags.flatMap((tag) => {
    if (/^<link/i.test(tag) && !/\brel=["']?(?:stylesheet|modulepreload)\b/i.test(tag)) return []
    const [, written] = /\s(?:src|href)=["']?([^"'\s>]+)/i.exec(tag) ?? []
    if (written === undefined) return []
    const url = URL.parse(written.replaceAll('&amp;', '&'), new URL(pathAt(base), base).href)
    return url?.origin === base.origin ? [url.pathname + url.search] : []
  })
  return [...new Set(paths)]
}

/** As the workspace's page does it, with what `config.js` hands to it. */
async function openSocket(desk: Desk, config: string): Promise<Channel | null> {
  const { browser, clock, tally, target } = desk
  const { apiToken, socketPath } = readConfig(config)
  const path = pathAt(target.url, socketPath)
  return step(desk, 'socket', clock.now(), async () => {
    const { status, socket } = await browser.upgrade(path, { origin: target.url.origin })
    tally.status('agents', status)
    if (socket === null) throw new Failure(String(status))
    tally.opened()
    let connected = false
    const channel = openChannel(socket, apiToken, target.deadline, (lost) => {
      tally.closed(lost)
      if (connected && lost !== null) tally.failed('socket', lost, null)
    })
    try {
      await channel.connected
      connected = true
    } catch (error) {
      channel.leave()
      throw error
    }
    return channel
  })
}

/** Says what is due whether or not there was an answer to what was said before, and whether or not anyone hears it. */
async function converse(desk: Desk, channel: Channel, begins: number): Promise<void> {
  const { clock, leaves, plan } = desk
  const unanswered = new Set<Promise<unknown>>()
  for (let due = begins + plan.pause; due < leaves; due += plan.pause) {
    if (!(await clock.reached(due))) return
    const message = step(desk, 'message', due, () => channel.say(line))
    unanswered.add(message)
    void message.then(() => unanswered.delete(message))
  }
  if (await clock.reached(leaves)) await Promise.all(unanswered)
}

const line = 'Thank you for waiting. I have found your booking.'
