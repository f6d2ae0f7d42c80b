// Before a peer is measured: it lets in whom it must, and, where it checks, nobody else.
import { createHmac } from 'node:crypto'
import { jwt, secret } from '../test/stage.ts'
import { type Peer, peers } from './peers.ts'
import {
  answerTo,
  type Chat,
  forged,
  linkOf,
  navigation,
  newChats,
  opened,
  ownHeaders,
} from './requests.ts'
import { asset, page } from './site.ts'

export interface Try {
  readonly name: string
  readonly expected: string
  readonly got: string
}

interface Attempt {
  readonly name: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The status, or, of an answer that is let through, all of it. */
  readonly expected: string
}

/** Every request that is tried, with what came back. */
export async function tryOut(peer: Peer, port: number): Promise<Try[]> {
  const [chat, other] = newChats(2)
  if (chat === undefined || other === undefined) throw new Error('no chats')
  const [own = chat] = peer === peers.gateway ? await opened([chat], port) : []
  const attempts = [...good(own), ...(peer.checks ? bad(chat, other) : [])]
  const tries: Try[] = []
  for (const { name, path, headers, expected } of attempts) {
    const { status, body } = await answerTo(port, path, headers)
    const got = expected.length === 3 ? `${status}` : `${status} ${body}`
    tries.push({ name, expected, got })
  }
  return tries
}

/** Throws where a peer lets in what it should not, or does not what it should. */
export async function vouch(peer: Peer, port: number): Promise<void> {
  for (const { name, expected, got } of await tryOut(peer, port)) {
    if (got === expected) continue
    const shown = [expected, got].map((text) => text.slice(0, 80))
    throw new Error(`${peer.name}: ${name}: ${shown[1]} instead of ${shown[0]}`)
  }
}

function good(chat: Chat): Attempt[] {
  return [
    { name: 'a link', path: linkOf(chat), headers: navigation, expected: `200 ${page.body}` },
    {
      name: 'a sub-resource',
      path: asset.path,
      headers: ownHeaders(chat),
      expected: `200 ${asset.body}`,
    },
  ]
}

function bad(chat: Chat, other: Chat): Attempt[] {
  const { userId, sessionId } = chat
  const ids = { userId, sessionId, URLToken: chat.urlToken }
  const past = Math.floor(Date.now() / 1000) - 60
  const exp = past + 3600
  const changed = (changes: Partial<Chat>): string => linkOf({ ...chat, ...changes })
  const signed = (claims: object): string => changed({ token: jwt({ ...ids, exp, ...claims }) })
  const headed = (alg: string): string =>
    jwt({ ...ids, exp }, { header: { alg } }).replace(/\.[^.]*$/, '')
  const longer = createHmac('sha384', secret).update(headed('HS384')).digest('base64url')
  const [forgery = chat] = forged([chat])
  const rows: readonly (readonly [string, string, string])[] = [
    ['a forged signature', linkOf(forgery), '401'],
    ['another algorithm', changed({ token: `${headed('HS384')}.${longer}` }), '401'],
    ['no signature', changed({ token: `${headed('none')}.` }), '401'],
    ['an ended token', signed({ exp: past }), '401'],
    ['a token without end', signed({ exp: undefined }), '401'],
    ['another user', changed({ userId: other.userId }), '403'],
    ['another session', changed({ sessionId: other.sessionId }), '403'],
    ['a link without its user', linkOf(chat).replace('userId=', 'user='), '403'],
    ['no token', linkOf(chat).replace(/&auth=.*/, ''), '401'],
  ]
  return [
    ...rows.map(([name, path, expected]) => ({ name, path, headers: navigation, expected })),
    {
      name: 'a sub-resource with a forged cookie',
      path: asset.path,
      headers: ownHeaders(forgery),
      expected: '401',
    },
  ]
}
