import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as after } from 'node:timers/promises'
import fastify from 'fastify'
import type { Logger } from 'pino'
import { createKeyring } from '../keys/keyring.ts'
import { createRevocations, type Revocation } from '../state/revocations.ts'
import type { Fleet } from './fleet.ts'
import type { Order, Word } from './messages.ts'
import type { Loaded } from './reload.ts'

/** How long a report is waited for, in ms. */
const reportTimeout = 1000
/** How long a reload is waited for, in ms; a worker that takes longer hangs. */
const reloadTimeout = 30_000
/** Before a worker that ended is replaced, in ms: one that can't start must not keep a core busy. */
const pause = 1000
/** Beyond DRAIN_TIMEOUT, before a worker that is still there is killed, in ms. */
const grace = 1000

/**
 * As many processes as WORKERS says, which share one listener through node:cluster. What ends with an
 * error is replaced. Rejects, with the system's code, where the first ones can't listen.
 */
export async function startWorkers(initial: Loaded, log: Logger): Promise<Fleet> {
  let { source, config } = initial
  let closing = false
  let scope: 'workers' | 'replicas' = 'workers'
  let ids = 0
  /** The longest that any session of these workers may last. */
  let longest = config.sessions.maxAge
  /** For workers that start later. */
  const revocations = createRevocations()
  const waiting = new Map<number, (word: Word | null) => void>()
  /** Those that were told to serve: what they are told from then on they do after it. */
  const serving = new Set<Worker>()
  const onGone = new Set<(process: string) => void>()
  cluster.setupPrimary({ serialization: 'advanced' })

  const first = await Promise.all(Array.from({ length: config.workers }, launch))
  const failed = first.find((word) => word?.word !== 'done')
  if (failed !== undefined || first.length === 0) {
    closing = true
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
    const code = failed?.word === 'failed' ? failed.code : null
    throw Object.assign(new Error('The workers could not start'), { syscall: 'listen', code })
  }
  return {
    addresses: first[0]?.word === 'done' ? first[0].addresses : [],
    scope: () => scope,
    async known() {
      const { publicOrigins } = config
      const keyring = await createKeyring(fastify(), config)
      const gate = { ...config, keyring, isRevoked: revocations.has }
      return { gate, publicOrigins, by: 'settings and revocations' }
    },
    async reload(loaded) {
      ;({ source, config } = loaded)
      longest = Math.max(longest, config.sessions.maxAge)
      const words = await Promise.all([...serving].map(goOn))
      // One that ended meanwhile, or was killed, comes back with the new settings.
      if (words.some((word) => word?.word === 'failed'))
        throw new Error('A worker failed to reload')
    },
    reloaded: (problems) => tellAll({ order: 'reloaded', problems }),
    // There may be no worker at this moment that could remember it.
    revoke: (revoked) =>
      spread({ ...revoked, before: Number.POSITIVE_INFINITY, until: Date.now() + longest }),
    async collect(take, withMetrics) {
      const reports = [...serving].map(async (worker) => {
        const word = await ask(
          worker,
          (id) => ({ order: 'report', id, withMetrics }),
          reportTimeout,
        )
        if (word?.word !== 'report') return
        scope = word.scope === 'replicas' ? 'replicas' : 'workers'
        take(String(worker.id), word.report)
      })
      await Promise.all(reports)
    },
    onGone: (listener) => void onGone.add(listener),
    drain: () => tellAll({ order: 'drain' }),
    async close() {
      closing = true
      const ended = [...serving].map(
        (worker) => new Promise((resolve) => worker.once('exit', resolve)),
      )
      tellAll({ order: 'close' })
      const late = after(config.drainTimeout + grace, null, { ref: false }).then(() => {
        for (const worker of serving) worker.process.kill('SIGKILL')
      })
      await Promise.race([Promise.all(ended), late])
      await Promise.all(ended)
    },
  }

  /** Starts one, which serves by what the settings are then; resolves to what came of it. */
  async function launch(): Promise<Word | null> {
    const worker = cluster.fork()
    const ready = new Promise<void>((resolve) => {
      worker.on('message', (word: Word) => {
        if (word.word === 'ready') resolve()
        else hear(worker, word)
      })
    })
    worker.once('exit', (code, signal) => {
      serving.delete(worker)
      for (const listener of onGone) listener(String(worker.id))
      if (closing) return
      log.error({ event: 'worker-ended', pid: worker.process.pid, code, signal })
      // Referenced: with the last worker gone nothing else may keep this process.
      void after(pause).then(replace)
    })
    await Promise.race([ready, once(worker, 'exit')])
    if (worker.isDead()) return null
    serving.add(worker)
    const word = await ask(worker, (id) => {
      return { order: 'serve', id, source, revocations: revocations.all() }
    })
    if (word?.word !== 'done') serving.delete(worker)
    return word
  }

  /** A worker that hangs would go on with the old settings, and keep others from new ones: it is killed. */
  async function goOn(worker: Worker): Promise<Word | null> {
    const word = await ask(worker, (id) => ({ order: 'reload', id, source }), reloadTimeout)
    if (word === null && serving.has(worker)) {
      log.error({ event: 'worker-hangs', pid: worker.process.pid })
      worker.process.kill('SIGKILL')
    }
    return word
  }

  async function replace(): Promise<void> {
    if (closing) return
    const word = await launch()
    if (word?.word === 'done') log.info({ event: 'worker-replaced' })
  }

  function hear(from: Worker, word: Word): void {
    if (word.word === 'revoked') {
      spread(word.revocation, from)
    } else if (word.word !== 'ready') {
      waiting.get(word.id)?.(word)
    }
  }

  /** What is no news here is none to the workers. */
  function spread(revocation: Revocation, from?: Worker): void {
    if (revocations.add(revocation) === null) return
    for (const worker of serving) if (worker !== from) tell(worker, { order: 'hear', revocation })
  }

  /** Resolves to the worker's answer; to null where it ends, or takes longer than `timeout` ms. */
  async function ask(
    worker: Worker,
    order: (id: number) => Order,
    timeout?: number,
  ): Promise<Word | null> {
    ids += 1
    const id = ids
    const gone = (): void => waiting.get(id)?.(null)
    const timer = timeout === undefined ? undefined : setTimeout(gone, timeout)
    worker.once('exit', gone)
    const answer = await new Promise<Word | null>((resolve) => {
      waiting.set(id, resolve)
      tell(worker, order(id))
    })
    clearTimeout(timer)
    worker.off('exit', gone)
    waiting.delete(id)
    return answer
  }

  function tellAll(order: Order): void {
    for (const worker of serving) tell(worker, order)
  }
}

function tell(worker: Worker, order: Order): void {
  if (worker.isConnected()) worker.send(order)
}
