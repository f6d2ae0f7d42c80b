import type { Logger } from 'pino'
import type { buildConnector } from 'undici'
import { createConnector } from '../forward/upstream.ts'
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
  readonly close: () => void
}

/**
 * Connects to both hosts every `interval` ms, as a request of a new client's would. Nothing is asked:
 * what has no credential never reaches the workspace, not even from here. What changes is logged.
 */
export function createUpstreamHealth(
  config: Config['upstream'],
  log: Logger,
  interval = 5000,
): UpstreamHealth {
  const connect = createConnector(config, Math.min(config.timeout, patience), 0)
  const probes = [
    new Probe('workspace', config.page, connect, log, interval),
    new Probe('backend', config.api, connect, log, interval),
  ]
  return {
    states: () => probes.map(({ state }) => state),
    known: Promise.all(probes.map((probe) => probe.known)),
    close() {
      for (const probe of probes) probe.stop()
    },
  }
}

/** How long a connection may take at the most, in ms. */
const patience = 5000

class Probe {
  readonly known: Promise<void>
  readonly #url: URL
  readonly #connect: buildConnector.connector
  readonly #log: Logger
  readonly #interval: number
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  state: UpstreamState

  constructor(
    name: UpstreamState['name'],
    url: URL,
    connect: buildConnector.connector,
    log: Logger,
    interval: number,
  ) {
    this.#url = url
    this.#connect = connect
    this.#log = log
    this.#interval = interval
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
  #ask(): Promise<string | null> {
    const { protocol, hostname, host, port } = this.#url
    return new Promise((resolve) => {
      this.#connect({ protocol, hostname, host, port }, (error, socket) => {
        socket?.destroy()
        resolve(error === null ? null : (errorCode(error) ?? 'UNKNOWN'))
      })
    })
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
