import type { Logger } from 'pino'
import { Agent, request } from 'undici'
import type { ContactCenter } from '../settings/config.ts'
import { errorCode } from '../settings/parsers.ts'
import { type KeySet, readKeySet, type SetKey } from './key-set.ts'
import type { PublishedKeys } from './keyring.ts'

/** The public keys that contact centers publish (RFC 7517 §5), fetched before they are needed. */
export interface PublishedKeySets {
  /** As of now; those last known while their issuer is away. */
  readonly keysOf: PublishedKeys
  /** null where the contact center publishes none. `lastSuccess`: ms since the epoch. */
  readonly stateOf: (
    contactCenter: string,
  ) => { readonly up: boolean; readonly lastSuccess: number | null } | null
  /**
   * Follows the key sets of these contact centers and no others. What is known of them already stays;
   * resolves once each has been tried, or after a bound.
   */
  readonly follow: (contactCenters: readonly ContactCenter[]) => Promise<void>
  /**
   * No key verifies a token of this contact center's link, or, with null, of one that may be
   * anybody's: asks again, unless that was done a moment ago.
   */
  readonly wanted: (contactCenter: string | null) => void
  readonly close: () => Promise<void>
}

/** ms */
const defaultTimes = {
  /** For an answer, to its end. */
  deadline: 5000,
  /** For how long `follow` waits for an issuer. */
  patience: 2000,
  /** Between two fetches: what the issuer says within these bounds, else this. */
  least: 60_000,
  most: 3_600_000,
  unsaid: 300_000,
  /** After a failure, doubled with each up to `least`. */
  retry: 1000,
  /** Between two fetches at the least, however many tokens name keys that nobody has. */
  cooldown: 30_000,
}

export type Times = Readonly<typeof defaultTimes>

const mostBytes = 256 * 1024

/** Asks nobody until it is told whom to follow; `onChange` is called when keys have come or gone. */
export function createPublishedKeySets(
  log: Logger,
  onChange: () => void,
  changes: Partial<Times> = {},
): PublishedKeySets {
  const times = { ...defaultTimes, ...changes }
  const agent = new Agent({
    allowH2: false,
    connect: { timeout: times.deadline, rejectUnauthorized: true },
    maxResponseSize: mostBytes,
    // A connection a fetch: none is kept for minutes.
    pipelining: 0,
  })
  /** By address, which several contact centers may share. */
  const sets = new Map<string, Followed>()
  let closed = false
  let followed: readonly ContactCenter[] = []

  function start(url: string): Followed {
    const told = (outcome: Readonly<Record<string, unknown>>): void => {
      const sharing = followed.filter(({ jwksUrl }) => jwksUrl?.href === url)
      for (const name of new Set(sharing.map((one) => one.name))) {
        if (outcome['state'] === 'up') log.info({ event: 'jwks', contactCenter: name, ...outcome })
        else log.error({ event: 'jwks', contactCenter: name, ...outcome })
      }
    }
    return new Followed(() => fetchKeySet(url, agent, times.deadline), times, told, onChange)
  }
  const byName = (name: string): Followed | undefined =>
    sets.get(followed.findLast((one) => one.name === name)?.jwksUrl?.href ?? '')

  return {
    keysOf: (name) => (byName(name)?.keys ?? []).map((key) => ({ ...key, kid: key.kid ?? name })),
    stateOf(name) {
      const set = byName(name)
      return set === undefined ? null : { up: set.up, lastSuccess: set.lastSuccess }
    },
    async follow(contactCenters) {
      if (closed) return
      followed = contactCenters
      const urls = new Set(contactCenters.flatMap(({ jwksUrl }) => jwksUrl?.href ?? []))
      for (const [url, set] of sets) {
        if (urls.has(url)) continue
        set.stop()
        sets.delete(url)
      }
      for (const url of urls) if (!sets.has(url)) sets.set(url, start(url))
      await Promise.all([...sets.values()].map(({ tried }) => tried))
    },
    wanted(contactCenter) {
      for (const { name, urlTokens, jwksUrl } of followed) {
        const isMeant = contactCenter === null ? urlTokens === null : name === contactCenter
        if (isMeant || followed.length === 1) sets.get(jwksUrl?.href ?? '')?.hurry()
      }
    },
    async close() {
      closed = true
      for (const set of sets.values()) set.stop()
      sets.clear()
      await agent.destroy()
    },
  }
}

/** One key set, fetched again and again. */
class Followed {
  keys: readonly SetKey[] = []
  up = false
  lastSuccess: number | null = null
  /** Resolves when it has been tried, or has taken too long. */
  readonly tried: Promise<void>
  readonly #fetch: () => Promise<Fetched>
  readonly #times: Times
  readonly #log: (outcome: Readonly<Record<string, unknown>>) => void
  readonly #onChange: () => void
  readonly #isTried = Promise.withResolvers<void>()
  #leftOut = 0
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  /** When the latest fetch began, and when the next one will, by the clock that is never set. */
  #began = 0
  #due = 0
  #stopped = false

  constructor(
    fetch: () => Promise<Fetched>,
    times: Times,
    log: (outcome: Readonly<Record<string, unknown>>) => void,
    onChange: () => void,
  ) {
    this.#fetch = fetch
    this.#times = times
    this.#log = log
    this.#onChange = onChange
    this.tried = this.#isTried.promise
    // Whoever starts waits for it: it alone keeps a process alive that does not listen yet.
    const patience = setTimeout(this.#isTried.resolve, times.patience)
    this.tried.then(() => clearTimeout(patience))
    this.#wait(0)
  }

  /** Fetches as soon as it may. */
  hurry(): void {
    const soonest = Math.max(0, this.#began + this.#times.cooldown - performance.now())
    if (performance.now() + soonest < this.#due) this.#wait(soonest)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#isTried.resolve()
  }

  #wait(delay: number): void {
    clearTimeout(this.#timer)
    this.#due = performance.now() + delay
    this.#timer = setTimeout(() => this.#run(), delay).unref()
  }

  async #run(): Promise<void> {
    this.#began = performance.now()
    this.#due = 0
    const fetched = await this.#fetch()
    if (this.#stopped) return
    this.#take(fetched)
    this.#isTried.resolve()
    const { retry, least, most, unsaid } = this.#times
    const pause =
      'code' in fetched
        ? Math.min(retry * 2 ** (this.#failures - 1), least)
        : Math.min(Math.max(fetched.maxAge ?? unsaid, least), most)
    // Replicas, and those who lost an issuer together, don't come back together.
    this.#wait(pause * (0.8 + Math.random() / 5))
  }

  #take(fetched: Fetched): void {
    const was = this.up
    this.up = !('code' in fetched)
    if ('code' in fetched) {
      this.#failures += 1
      if (was || this.#failures === 1) {
        this.#log({ state: 'down', code: fetched.code, keys: this.keys.length })
      }
      return
    }
    const { keys, leftOut } = fetched.set
    const isChanged = fingerprint(keys) !== fingerprint(this.keys)
    const isNews = !was || isChanged || leftOut !== this.#leftOut
    this.keys = keys
    this.lastSuccess = Date.now()
    this.#leftOut = leftOut
    this.#failures = 0
    if (isNews) this.#log({ state: 'up', keys: keys.length, leftOut })
    if (isChanged) this.#onChange()
  }
}

/** Of keys in any order. */
function fingerprint(keys: readonly SetKey[]): string {
  return keys
    .map(({ kid, key, alg }) =>
      JSON.stringify([kid, alg, key.export({ type: 'spki', format: 'der' }).toString('base64')]),
    )
    .sort()
    .join()
}

/** `maxAge`: for how long it is fresh, in ms; null where that is not said. */
type Fetched = { readonly set: KeySet; readonly maxAge: number | null } | { readonly code: string }

/** Never rejects, and follows no redirect: whoever answers for the address says who may sign. */
async function fetchKeySet(url: string, agent: Agent, deadline: number): Promise<Fetched> {
  try {
    const { statusCode, headers, body } = await request(url, {
      dispatcher: agent,
      headers: {
        accept: 'application/jwk-set+json, application/json',
        'accept-encoding': 'identity',
      },
      signal: AbortSignal.timeout(deadline),
    })
    const text = await body.text()
    if (statusCode !== 200) return { code: `HTTP_${statusCode}` }
    const set = readKeySet(text)
    if (typeof set === 'string') return { code: set }
    const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(`${headers['cache-control']}`)?.[1]
    return { set, maxAge: seconds === undefined ? null : Number(seconds) * 1000 }
  } catch (error) {
    // What runs into the deadline has no code of its own.
    return { code: errorCode(error) ?? 'ETIMEDOUT' }
  }
}
