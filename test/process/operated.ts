// A gateway in a process of its own, with the admin listener that operators steer it by.
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'
import {
  type Answer,
  ask,
  ids,
  inAnHour,
  jwt,
  link,
  startUpstream,
  type Upstream,
} from '../stage.ts'
import { accepting } from '../websocket/peer.ts'
import { type Served, start } from './child.ts'

const token = 'an-admin-token-that-nobody-guesses'

interface Scope {
  teardown(done: () => unknown): void
}

export interface Operated extends Served {
  readonly adminOrigin: string
  /** What the admin listener asks for. */
  readonly token: string
  /** Asks the admin listener. */
  readonly admin: (target: string, method?: string) => Promise<Answer>
  /** The status that a new link of this session gets. */
  readonly opens: (sessionId?: string) => Promise<number>
  /** A socket that a link has opened: such a one, or this one. */
  readonly socket: (sessionId?: string, target?: string) => Promise<WebSocket>
}

export async function operate(
  t: Scope,
  upstream: Upstream,
  env: Readonly<Record<string, string>> = {},
  options: Parameters<typeof start>[3] = {},
): Promise<Operated> {
  const settings = { ADMIN_PORT: '0', ADMIN_TOKEN: token, DRAIN_TIMEOUT: '10s', ...env }
  const served = await start(t, upstream.origin, settings, options)
  const { addresses } = await served.logged((line) => line['event'] === 'listening')
  const [, adminOrigin] = [addresses].flat().map(String)
  if (adminOrigin === undefined) throw new Error('no admin listener')
  const headers = { Authorization: `Bearer ${token}` }
  return {
    ...served,
    adminOrigin,
    token,
    admin: (target, method = 'GET') => ask(adminOrigin, target, { method, headers }),
    opens: async (sessionId) => (await ask(served.origin, freshLink(sessionId))).status,
    async socket(sessionId, target = freshLink(sessionId, '/ws')) {
      const socket = new WebSocket(served.origin.replace('http', 'ws') + target)
      await once(socket, 'open')
      return socket
    },
  }
}

let made = 0

/** A link whose token no other link has. */
export function freshLink(sessionId: string = ids.sessionId, path = '/'): string {
  made += 1
  const claims = { userId: ids.userId, sessionId, exp: inAnHour(), jti: String(made) }
  return link({ sessionId, auth: jwt(claims) }, path)
}

/** A workspace that answers everything, and takes every socket. */
export function startWorkspace(t: Scope): Promise<Upstream> {
  return startUpstream(
    t,
    (_, response) => response.end('ok'),
    (request, socket) => {
      socket.on('end', () => socket.end()).resume()
      socket.write(accepting(request))
    },
  )
}

/** How a socket ends, in words. */
export async function closed(socket: WebSocket): Promise<string> {
  const [code, reason] = await once(socket, 'close')
  return `${code} ${reason}`
}

/** Waits until it holds, and on a slow machine longer. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 600; i += 1) {
    if (await holds()) return
    await setTimeout(50)
  }
  throw new Error('it never held')
}
