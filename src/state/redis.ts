import { isIP } from 'node:net'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'

/** A connection to Redis that is made again and again for as long as it takes. */
export interface RedisConnection {
  /** Refuses at once what it is told while there is no connection. */
  readonly client: Redis
  /** `up`: whether the latest round was done. `since`: when that changed, in ms since the epoch. */
  readonly state: () => RedisState
  /** Resolves once it is known whether Redis is up. */
  readonly known: Promise<void>
  /** Does a last round, for at most half a second, and is done. */
  readonly close: () => Promise<void>
}

export interface RedisState {
  readonly up: boolean
  readonly since: number
}

/** What is exchanged ten times a second; `fresh`: for the first time with what may be another server. */
export type Round = (client: Redis, fresh: boolean) => Promise<void>

export const prefix = 'copilot-gateway:'

/** ms */
const times = {
  betweenRounds: 100,
  /** A server that answers nothing for so long is given up, and connected to anew. */
  silence: 2000,
  /** A replica waits between half of this and all of it, so that not all come back at once. */
  longestBackoff: 2000,
  lastRound: 500,
} as const

/** When all replicas are back at a server that is back: the last backoff and attempt, and a second, in ms. */
export const longestAway = times.longestBackoff + times.silence + 1000

/** Connects to a Redis and does rounds with it. Nothing that is logged holds the URL or a part of it. */
export function connectRedis(url: URL, log: Logger, round: Round): RedisConnection {
  let failures = 0
  const client = new Redis({
    ...optionsOf(url),
    // A command that can't be sent now fails now, and is never sent later.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: () => {
      failures += 1
      return Math.min(50 * 2 ** failures, times.longestBackoff) * (0.5 + Math.random() / 2)
    },
    connectTimeout: times.silence,
    socketTimeout: times.silence,
    disconnectTimeout: 100,
    // A server that was demoted goes on to answer, and takes nothing.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    connectionName: 'copilot-gateway',
    // RESP2 and no more than the commands that are needed: older servers, and users with few rights.
    protocol: 2,
    disableClientInfo: true,
    enableReadyCheck: false,
  })
  let state = { up: false, since: Date.now() }
  const first = Promise.withResolvers<void>()
  let isKnown = false
  let fresh = true
  let closed = false
  let problem: unknown = null
  let running = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  function change(up: boolean, error?: unknown): void {
    if (up) failures = 0
    if (closed || (isKnown && up === state.up)) return
    isKnown = true
    state = { up, since: Date.now() }
    if (up) log.info({ event: 'redis', state: 'up' })
    else log.error({ event: 'redis', state: 'down', code: codeOf(error) })
    first.resolve()
  }
  async function once(): Promise<void> {
    if (client.status !== 'ready') return
    try {
      await round(client, fresh)
      fresh = false
      change(true)
    } catch (error) {
      // Where the connection is gone, its end says why.
      if (client.status === 'ready') change(false, error)
    }
  }
  function next(): void {
    running = once().then(() => {
      if (!closed) timer = setTimeout(next, times.betweenRounds)
    })
  }
  client.on('ready', () => {
    fresh = true
  })
  client.on('error', (error) => {
    problem = error
  })
  client.on('close', () => {
    change(false, problem)
    problem = null
  })
  next()

  return {
    client,
    state: () => state,
    known: first.promise,
    async close() {
      closed = true
      clearTimeout(timer)
      await Promise.race([running.then(once), after(times.lastRound)])
      client.disconnect()
      client.stream?.destroy()
    },
  }
}

/** Keeps no process alive. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}

function optionsOf({ protocol, hostname, port, username, password, pathname }: URL) {
  const host = hostname.replace(/^\[|\]$/g, '')
  return {
    host: host || 'localhost',
    port: Number(port || 6379),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    db: Number(pathname.slice(1)),
    // Node names the server only where it is told to.
    ...(protocol === 'rediss:' ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
  }
}

/** What names the fault: a system's or TLS' code, or the first word of Redis' error. Never a message. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'ECONNRESET'
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error.message.startsWith('Socket timeout')) return 'ETIMEDOUT'
  return /^[A-Z]+(?= )/.exec(error.message)?.[0] ?? 'ECONNRESET'
}
