// What browsers of many agents send, byte by byte the same to every peer.
import { request } from 'undici'
import { jwt, secret } from '../test/stage.ts'
import { asset, assets, hashedAsset, page } from './site.ts'

export { secret }

/** One chat of one agent's. */
export interface Chat {
  readonly userId: string
  readonly sessionId: string
  readonly urlToken: string
  readonly token: string
  /** Of the gateway's session, and `auth` with the token for peers that know no sessions. */
  readonly cookie: string
}

const host = 'copilot.example'
const browser = {
  Host: host,
  'User-Agent':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Accept-Language': 'en-US,en;q=0.9,de;q=0.8',
}

/** What a frame's navigation says beside its link. */
export const navigation = {
  ...browser,
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  Referer: 'https://cc.example/',
  'Sec-Fetch-Dest': 'iframe',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'cross-site',
  'Upgrade-Insecure-Requests': '1',
} as const

/** What a page's script sends with its own requests. */
export function ownHeaders(chat: Chat): Record<string, string> {
  return {
    ...browser,
    Accept: '*/*',
    Cookie: chat.cookie,
    Origin: `http://${host}`,
    Referer: `http://${host}${linkOf(chat)}`,
    'Sec-Fetch-Dest': 'empty',
    'Sec-Fetch-Mode': 'cors',
    'Sec-Fetch-Site': 'same-origin',
  }
}

export const urlToken = 'f38791ae0c6b43d2'

/** Chats without cookies yet; `keyed` says whose secret and URLToken each has. */
export function newChats(
  count: number,
  keyed: (i: number) => { readonly key: string; readonly urlToken: string } = () => ({
    key: secret,
    urlToken,
  }),
): Chat[] {
  const exp = Math.floor(Date.now() / 1000) + 8 * 3600
  return Array.from({ length: count }, (_, i) => {
    const ids = { userId: `agent-${1e6 + i}`, sessionId: `session-${1e6 + i}` }
    const { key, urlToken } = keyed(i)
    const token = jwt({ ...ids, URLToken: urlToken, exp }, { key })
    return { ...ids, urlToken, token, cookie: `auth=${token}` }
  })
}

/** The same chats once their documents are open at this gateway. */
export async function opened(chats: readonly Chat[], gateway: number): Promise<Chat[]> {
  const open: Chat[] = []
  for (let i = 0; i < chats.length; i += 50) {
    open.push(...(await Promise.all(chats.slice(i, i + 50).map((chat) => openChat(chat, gateway)))))
  }
  return open
}

async function openChat(chat: Chat, port: number): Promise<Chat> {
  const { headers } = await answerTo(port, linkOf(chat), navigation)
  const lines = [headers['set-cookie'] ?? []].flat()
  const cookie = lines.find((line) => line.startsWith('__Host-copilot-'))?.split(';')[0]
  if (cookie === undefined) throw new Error('the gateway opened no session')
  return { ...chat, cookie: `${cookie}; ${chat.cookie}` }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Asks again for as long as the answer is that the process is overloaded, ten seconds at most. */
export async function answerTo(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  for (let tries = 0; ; tries += 1) {
    const answer = await request(`http://127.0.0.1:${port}${path}`, { headers })
    const body = await answer.body.text()
    if (answer.statusCode !== 503 || tries === 100) {
      return { status: answer.statusCode, headers: answer.headers, body }
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** The same chats with signatures that are none. */
export function forged(chats: readonly Chat[]): Chat[] {
  return chats.map((chat) => {
    const token = chat.token.replace(/[^.]+$/, (text) => text.split('').reverse().join(''))
    return { ...chat, token, cookie: `auth=${token}` }
  })
}

export function linkOf({ userId, sessionId, urlToken, token }: Chat, path = page.path): string {
  return `${path}?${new URLSearchParams({ userId, sessionId, URLToken: urlToken, auth: token })}`
}

export function documents(chats: readonly Chat[]): string[] {
  return chats.map((chat) => documentOf(chat))
}

export function documentOf(chat: Chat, path = page.path): string {
  return written('GET', linkOf(chat, path), navigation)
}

export function subResources(chats: readonly Chat[]): string[] {
  return chats.map((chat) => loaded(chat, asset.path))
}

export function hashedSubResources(chats: readonly Chat[]): string[] {
  return chats.map((chat) => loaded(chat, hashedAsset.path))
}

/** A document of one chat, a sub-resource of the next. */
export function visits(chats: readonly Chat[]): string[] {
  return chats.map((chat, i) => (i % 2 === 0 ? documentOf(chat) : loaded(chat, asset.path)))
}

/** Whole pages, one after the other: the document, then all that it loads. */
export function pageLoads(chats: readonly Chat[]): string[] {
  return chats.flatMap((chat) => [
    ...documents([chat]),
    ...assets.map(({ path }) => loaded(chat, path)),
  ])
}

export function uploads(chats: readonly Chat[], size: number): string[] {
  const body = '.'.repeat(size)
  return chats.map((chat) =>
    written('POST', '/upload', { ...ownHeaders(chat), 'Content-Length': String(size) }, body),
  )
}

function loaded(chat: Chat, path: string): string {
  const { Origin: _, ...headers } = ownHeaders(chat)
  return written('GET', path, {
    ...headers,
    'Sec-Fetch-Dest': 'script',
    'Sec-Fetch-Mode': 'no-cors',
  })
}

function written(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  body = '',
): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`${method} ${target} HTTP/1.1`, ...lines, '', body].join('\r\n')
}
