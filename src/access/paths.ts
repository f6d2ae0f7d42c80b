import { decode } from './target.ts'

/** The script that tells the workspace where its backend is, and with which token. */
export const configPath = '/config.js'

/** Whether a path is the backend's, as a router that decodes it reads it; all else is the page's. */
export function isBackend(path: string): boolean {
  return isBelow(path, '/socket.io/')
}

/** Whether a path may be Copilot's own socket.io channel: a server may look at its first ten characters. */
export function isSocketIo(path: string): boolean {
  return isBelow(path, '/socket.io')
}

/** The gateway's own pages: a link's query renews its session, and a browser's sessions end. */
export const renewPath = '/.copilot-gateway/renew'
export const logoutPath = '/.copilot-gateway/logout'

/** Whether a path is the gateway's own, which never goes upstream. */
export function isOwn(path: string): boolean {
  return isBelow(`${path}/`, '/.copilot-gateway/')
}

/** Exact raw paths, and prefixes that end in `/`, which may be fetched without a credential. */
export interface PublicPaths {
  readonly exact: ReadonlySet<string>
  readonly prefixes: readonly string[]
}

/** Whether a path is public, compared as it is sent; `config.js` is nobody's but the session's. */
export function isPublic({ exact, prefixes }: PublicPaths, path: string): boolean {
  if (decode(path) === configPath) return false
  return exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix))
}

function isBelow(path: string, prefix: string): boolean {
  return decode(path)?.startsWith(prefix) ?? false
}
