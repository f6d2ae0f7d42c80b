import { X509Certificate } from 'node:crypto'
import type { Logger } from 'pino'
import { leadConnections } from './connections.ts'
import type { Known } from './explain/explain.ts'
import { Channels } from './forward/channels.ts'
import { OpenExchanges } from './forward/open.ts'
import { createGateway, type Gateway, type Shared } from './gateway.ts'
import { createPublishedKeySets, type Times } from './keys/published-keys.ts'
import { createListener, listeningAt, renewListener } from './listener.ts'
import { createAudit } from './observe/audit.ts'
import { createObservations, type Facts, type Observations } from './observe/observations.ts'
import type { Tracing } from './observe/tracing.ts'
import type { Config } from './settings/config.ts'
import { isRevokedBy, type Revocation, type Revoked } from './state/revocations.ts'
import { createState, type State } from './state/state.ts'

export interface Serving extends Pick<Observations, 'report' | 'reloaded'> {
  /** Where the gateway listens, as origins. */
  readonly addresses: readonly string[]
  /**
   * Ends sessions before their time: those that are open within a second, later requests at once,
   * until the last of them would have ended.
   */
  readonly revoke: (revoked: Revoked) => void
  /** Of the same kind, from another process of this gateway. */
  readonly hearRevocation: (revocation: Revocation) => void
  readonly onRevoked: State['onRevoked']
  readonly scope: State['scope']
  /** What links are explained by. */
  readonly known: () => Known
  /**
   * Puts a gateway with other settings in the place of the one that serves, which finishes what it is
   * at. Rejects, and nothing has changed, where that can't be.
   */
  readonly reload: (config: Config, warnings?: readonly string[]) => Promise<void>
  /** It will stop soon: connections end with the answers that they are at. */
  readonly drain: () => void
  /** Stops listening, ends what is under way within DRAIN_TIMEOUT, and is done. */
  readonly close: () => Promise<void>
}

export interface ServeOptions {
  /** What is doubtful about the settings, for operators. */
  readonly warnings?: readonly string[]
  /** What was revoked before, which no request may come ahead of. */
  readonly revocations?: readonly Revocation[]
  /** How many lines the log has lost. */
  readonly linesDropped?: () => number
  /** null: nobody traces. */
  readonly tracing?: Tracing | null
  readonly probeDelay?: number
  /** How often published keys are fetched. */
  readonly keySetTimes?: Partial<Times>
}

/**
 * How long a connection is silent before TCP asks its peer for a sign of life, in ms. One that gives
 * none, ten times in ten seconds, is gone without a FIN: a pulled cable, a machine that fell over.
 */
const defaultProbeDelay = 60_000

/** For requests that are on their way on kept connections when the listener closes, in ms. */
const lastRequests = 300

/** Opens the public listener in front of a gateway; rejects where the address can't be had. */
export async function serve(
  initial: Config,
  log: Logger,
  {
    probeDelay = defaultProbeDelay,
    linesDropped = () => 0,
    tracing = null,
    revocations = [],
    ...options
  }: ServeOptions = {},
): Promise<Serving> {
  const inTurn = oneAtATime()
  let config = initial
  let warnings = options.warnings ?? []
  /** The longest that any session of this process may last. */
  let longest = config.sessions.maxAge
  const open = new OpenExchanges()
  const { redisUrl, contactCenters } = config
  const oneTimeTokens = contactCenters.some((one) => one.oneTimeTokens)
  const state = await createState({ redisUrl, oneTimeTokens }, log)
  const observations = createObservations(facts)
  state.onRevoked((revocation) => {
    open.revoke((session) => isRevokedBy(revocation, session))
    observations.revoked(revocation, false)
  })
  revocations.forEach(state.revocations.add)
  const revoke = (revoked: Revoked, before = Number.POSITIVE_INFINITY): void =>
    state.revocations.add({ ...revoked, before, until: Date.now() + longest })
  const keySets = createPublishedKeySets(log, renewKeys, options.keySetTimes)
  const channels = new Channels()
  const audit = createAudit(log, observations.observe)
  const build = (next: Config): Promise<Gateway> => {
    const shared: Shared = {
      open,
      channels,
      audit,
      tracing,
      observations,
      revocations: state.revocations,
      usedTokens: state.usedTokens,
      refusals: state.refusals(next.rateLimit),
      claimedBy: (...claim) => gateway.claimedBy(...claim),
      publishedKeys: keySets.keysOf,
      keyWanted: keySets.wanted,
      logOut(revoked, before) {
        observations.revoked(revoked, true)
        revoke(revoked, before)
      },
    }
    return createGateway(next, shared, log, probeDelay)
  }
  // What comes until the first gateway is built, that one knows.
  let renewing = true
  let closing = false
  await keySets.follow(config.contactCenters)
  renewing = false
  const retiring = new Set<Promise<void>>()
  let gateway = await inTurn(() => build(config))
  const server = createListener(config, log, probeDelay, observations.handshakeFailed)
  const connections = leadConnections(server, () => gateway, config.listener.maxConnections)
  const { host, port } = config.listener
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
  } catch (error) {
    closing = true
    await keySets.close()
    await inTurn(() => gateway.close())
    await state.close()
    throw error
  }
  return {
    addresses: [listeningAt(server, config.listener.tls ? 'https' : 'http')],
    report: observations.report,
    reloaded: observations.reloaded,
    revoke: (revoked) => revoke(revoked),
    hearRevocation: state.revocations.add,
    onRevoked: state.onRevoked,
    scope: state.scope,
    known: () => ({
      gate: gateway.gate,
      publicOrigins: config.publicOrigins,
      by: 'gateway',
    }),
    reload: (next, doubts = []) =>
      inTurn(async () => {
        if (closing) return
        // Should it come to nothing, no key is lost.
        await keySets.follow([...config.contactCenters, ...next.contactCenters])
        try {
          await reload(next)
          warnings = doubts
        } finally {
          await keySets.follow(config.contactCenters)
        }
      }),
    drain() {
      open.leaving = true
    },
    async close() {
      closing = true
      open.leaving = true
      await keySets.close()
      const quiet = connections.stop(Math.min(lastRequests, config.drainTimeout))
      await inTurn(() => open.drain(config.drainTimeout, quiet))
      await Promise.all([gateway.close(), ...retiring])
      connections.destroy()
      await state.close()
    },
  }

  async function reload(next: Config): Promise<void> {
    const successor = await build(next)
    const clientCa = config.listener.tls?.clientCa
    try {
      renewListener(server, next)
    } catch (error) {
      await successor.close()
      throw error
    }
    config = next
    longest = Math.max(longest, next.sessions.maxAge)
    connections.limit(next.listener.maxConnections)
    replace(successor)
    if (clientCa !== next.listener.tls?.clientCa) {
      open.restartStreams()
      connections.renew()
    }
  }

  function replace(successor: Gateway): void {
    const predecessor = gateway
    gateway = successor
    open.revokeStreams((session) => !successor.honours(session))
    const retired = predecessor.close().finally(() => retiring.delete(retired))
    retiring.add(retired)
  }

  /** Published keys have changed, and nothing in a gateway does. */
  function renewKeys(): void {
    if (renewing) return
    renewing = true
    inTurn(async () => {
      renewing = false
      if (!closing) replace(await build(config))
    }).catch((err) => log.error({ event: 'internal-error', err }))
  }

  function facts(): Facts {
    const cert = config.listener.tls?.cert
    return {
      enforcement: config.enforcement,
      connections: connections.count(),
      logLinesDropped: linesDropped(),
      certificate:
        cert === undefined ? null : { expires: new X509Certificate(cert).validToDate.getTime() },
      redis: state.redis(),
      warnings,
      contactCenters: config.contactCenters.map((contactCenter) => ({
        name: contactCenter.name,
        enforcement: contactCenter.enforcement,
        frameAncestors: contactCenter.frameAncestors,
        urlTokens: contactCenter.urlTokens?.length ?? null,
        jwks: keySets.stateOf(contactCenter.name),
        keys: gateway.keyring.keysOf(contactCenter.name),
      })),
    }
  }
}

/** Begins a step when the one before has ended, however it did. */
function oneAtATime(): <T>(step: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (step) => {
    const done = last.then(step)
    last = done.catch(() => {})
    return done
  }
}
