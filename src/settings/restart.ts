import type { Config } from './config.ts'
import type { Finding } from './reader.ts'
import { settings } from './table.ts'

/** What of other settings only a new process can take on; nothing where it can go on with them. */
export function needsRestart(current: Config, next: Config): readonly Finding[] {
  const changed = [
    [settings.host, current.listener.host, next.listener.host],
    [settings.port, current.listener.port, next.listener.port],
    [settings.tlsCert, current.listener.tls === null, next.listener.tls === null],
    [settings.adminHost, current.admin?.host, next.admin?.host],
    [settings.adminPort, current.admin?.port, next.admin?.port],
    [settings.linksHost, current.links?.host, next.links?.host],
    [settings.linksPort, current.links?.port, next.links?.port],
    [settings.redisUrl, current.redisUrl, next.redisUrl],
    [settings.workers, current.workers, next.workers],
  ] as const
  return changed
    .filter(([, before, after]) => before !== after)
    .map(([{ name }]) => ({ setting: name, message: 'has changed, which needs a restart' }))
}
