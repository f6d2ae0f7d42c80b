import type { Logger } from 'pino'
import { createAdmin } from '../admin/admin.ts'
import { explain } from '../explain/explain.ts'
import { createOverview, type Overview } from '../observe/overview.ts'
import { createUpstreamHealth } from '../observe/upstream-health.ts'
import type { Config } from '../settings/config.ts'
import type { Fleet } from './fleet.ts'

/** The admin listener in front of a fleet. */
export interface Steering {
  /** Where it listens, as an origin. */
  readonly address: string
  /** The fleet goes on with other settings. */
  readonly reload: (config: Config) => void
  /** The fleet stops soon: it is no longer ready. */
  readonly drain: () => void
  readonly linkAsked: Overview['linkAsked']
  readonly close: () => Promise<void>
}

/** Opens it; null where the settings want none. Rejects where the address can't be had. */
export async function openSteering(
  { admin: settings, upstream }: Config,
  fleet: Fleet,
  version: string,
  log: Logger,
): Promise<Steering | null> {
  if (settings === null) return null
  let health = createUpstreamHealth(upstream, log)
  const overview = createOverview({
    version,
    scope: fleet.scope,
    upstreams: () => health.states(),
    upstreamsKnown: () => health.known,
    collect: (withMetrics) => fleet.collect(overview.take, withMetrics),
  })
  fleet.onGone(overview.forget)
  const close = (): void => {
    overview.close()
    health.close()
  }
  const revoke = async (revoked: Parameters<Fleet['revoke']>[0]) => {
    fleet.revoke(revoked)
    return fleet.scope()
  }
  try {
    const sources = {
      overview,
      revoke,
      explain: async (link: string, page: string) =>
        explain(link, await fleet.known(), { page, show: false, now: Date.now() }),
    }
    const admin = await createAdmin(settings, sources, log)
    return {
      address: admin.address,
      reload(config) {
        health.close()
        health = createUpstreamHealth(config.upstream, log)
        admin.changeToken(config.admin?.token ?? null)
      },
      drain: overview.drain,
      linkAsked: overview.linkAsked,
      async close() {
        await admin.close()
        close()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}
