import { pathAt } from '../doctor/credentials.ts'
import { type Answer, type Browser, type Headers, navigation, subresource } from './browser.ts'
import { type Channel, openChannel } from './channel.ts'
import { Failure } from './failure.ts'
import { chatsOf, type Shift } from './schedule.ts'
import { type Stage, step } from './stage.ts'
import { readConfig, type WorkspaceConfig } from './workspace-config.ts'

/** Of a page; those of workspaces name some dozens. */
export const mostFiles = 500

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
  const { clock, mint } = desk
  if (!(await clock.reached(begins))) return
  const { link, query } = mint(agent, chat)
  const config = await loadPage(desk, begins, query)
  if (config === null) return
  const channel = await openSocket(desk, config)
  if (channel === null) return
  const { userId, sessionId, URLToken } = link
  const joined = await step(desk, 'join', clock.now(), () =>
    channel.join({ URLToken, sessionId, userId }),
  )
  if (joined !== null || !channel.isOpen()) await converse(desk, channel, begins)
  channel.leave()
}

/** Opens the document and loads what it names; of all that only what the socket needs is kept. */
async function loadPage(desk: Desk, due: number, query: string): Promise<WorkspaceConfig | null> {
  const { browser, clock, target } = desk
  const load = async (path: string, headers: Headers): Promise<string> =>
    welcomed(desk, await browser.get(path, headers)).text()
  const html = await step(desk, 'document', due, () =>
    load(pathAt(target.url, `/?${query}`), navigation),
  )
  if (html === null) return null
  const parsed = clock.now()
  const files = filesOf(html, target.url)
  let config = readConfig('')
  const loading = files.slice(0, mostFiles).map((path) =>
    step(desk, 'asset', parsed, async () => {
      const read = readConfig(await load(path, subresource))
      if (read.apiToken !== null) config = read
    }),
  )
  if (files.length > mostFiles) {
    loading.push(step(desk, 'asset', parsed, () => Promise.reject(new Failure('too many files'))))
  }
  await Promise.all(loading)
  return config
}

function welcomed({ tally }: Stage, answer: Answer): Answer {
  const { status } = answer
  tally.status('agents', status)
  // A redirect would lead who knows where: it is never followed.
  if (status < 200 || status > 299) throw new Failure(String(status))
  return answer
}

/** The scripts and style sheets of a page that are of its own origin, as paths: one more than are loaded at most. */
function filesOf(html: string, base: URL): readonly string[] {
  const paths = new Set<string>()
  // No `<` either: a page of tags that never end would be read once for each.
  for (const [tag] of html.matchAll(/<(?:script|link)\b[^<>]*>/gi)) {
    if (/^<link/i.test(tag) && !/\brel=["']?(?:stylesheet|modulepreload)\b/i.test(tag)) continue
    const [, written] = /\s(?:src|href)=["']?([^"'\s>]+)/i.exec(tag) ?? []
    if (written === undefined) continue
    const url = URL.parse(written.replaceAll('&amp;', '&'), new URL(pathAt(base), base).href)
    if (url?.origin === base.origin) paths.add(url.pathname + url.search)
    if (paths.size > mostFiles) break
  }
  return [...paths]
}

/** As the workspace's page does it, with what `config.js` hands to it. */
async function openSocket(desk: Desk, config: WorkspaceConfig): Promise<Channel | null> {
  const { browser, clock, tally, target } = desk
  const { apiToken, socketPath } = config
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
