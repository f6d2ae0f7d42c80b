import type { Logger } from 'pino'
import type { Dispatcher } from 'undici'
import { createUpstream } from '../forward/upstream.ts'
import type { Config } from '../settings/config.ts'
import { errorCode } from '../settings/parsers.ts'

/** Whether one of the workspace's hosts can be reached. */
export interface UpstreamState {
  readonly name: 'workspace' | 'backend'
  readonly origin: string
  /** null: not known yet. */
  readonly up: boolean | null
  /** Since when it is so, in ms since the epoch. */
  readonly since: number | null
  /** The code of what was wrong, as Node or undici names it. */
  readonly error: string | null
}

export interface UpstreamHealth {
  readonly states: () => readonly UpstreamState[]
  /** Resolves once each has been probed. */
  readonly known: Promise<unknown>
  readonly close: () => Promise<void>
}

/**
 * Asks both hosts every `interval` ms, over a new connection as a request of a new client's needs
 * it; any answer over HTTP will do. What changes is logged.
 */
export function createUpstreamHealth(
  config: Config['upstream'],
  log: Logger,
  interval = 5000,
): UpstreamHealth {
  const { dispatcher } = createUpstream(config, 0)
  const times = { interval, timeout: Math.min(config.timeout, patience) }
  const probes = [
    new Probe('workspace', config.page, dispatcher, log, times),
    new Probe('backend', config.api, dispatcher, log, times),
  ]
  return {
    states: () => probes.map(({ state }) => state),
    known: Promise.all(probes.map((probe) => probe.known)),
    async close() {
      for (const probe of probes) probe.stop()
      await dispatcher.destroy()
    },
  }
}

/** How long an answer may take at the most, in ms. */
const patience = 5000

class Probe {
  readonly known: Promise<void>
  readonly #url: URL
  readonly #dispatcher: Dispatcher
  readonly #log: Logger
  readonly #interval: number
  readonly #timeout: number
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  state: UpstreamState

  constructor(
    name: UpstreamState['name'],
    url: URL,
    dispatcher: Dispatcher,
    log: Logger,
    times: { readonly interval: number; readonly timeout: number },
  ) {
    this.#url = url
    this.#dispatcher = dispatcher
    this.#log = log
    this.#interval = times.interval
    this.#timeout = times.timeout
    this.state = { name, origin: url.origin, up: null, since: null, error: null }
    this.known = this.#run()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #run(): Promise<void> {
    const error = await this.#ask()
    if (this.#stopped) return
    this.#is(error)
    this.#timer = setTimeout(() => this.#run(), this.#interval).unref()
  }

  /** The code of what is wrong; null for nothing. */
  async #ask(): Promise<string | null> {
    const { origin, pathname: path } = this.#url
    try {
      const { body } = await this.#dispatcher.request({
        origin,
        path,
        method: 'HEAD',
        // A kept connection may have been closed meanwhile, which says nothing.
        reset: true,
        signal: AbortSignal.timeout(this.#timeout),
      })
      await body.dump()
      return null
    } catch (error) {
      const name = error instanceof Error ? error.name : 'Error'
      return name === 'TimeoutError' ? 'ETIMEDOUT' : (errorCode(error) ?? name)
    }
  }

  #is(error: string | null): void {
    const up = error === null
    const { name, up: before } = this.state
    if (up === before) {
      this.state = { ...this.state, error }
      return
    }
    this.state = { ...this.state, up, since: Date.now(), error }
    // That all is well at the start is no news.
    if (before === null && up) return
    const line = { event: 'upstream', upstream: name, state: up ? 'up' : 'down' }
    if (up) this.#log.info(line)
    else this.#log.warn({ ...line, code: error })
  }
}
