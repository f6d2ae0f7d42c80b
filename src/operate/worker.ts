import { startTracing } from '../observe/tracing.ts'
import { type Serving, serve } from '../serve.ts'
import { type Config, readSource } from '../settings/config.ts'
import { errorCode } from '../settings/parsers.ts'
import { sentence } from '../settings/reader.ts'
import type { Source } from '../settings/source.ts'
import type { Revocation } from '../state/revocations.ts'
import type { Order, Word } from './messages.ts'
import { openProcessLog } from './process-log.ts'

/** Serves as one of several workers: what the primary says, until it says no more. */
export async function work(): Promise<never> {
  const output = await openProcessLog('info')
  output.guard()
  const tracing = await startTracing(process.env, output.log)
  const served: { by: Serving | null } = { by: null }
  /** Orders are carried out one after the other. */
  let last: Promise<void> = Promise.resolve()
  process.on('message', (order: Order) => {
    last = last.then(() => carryOut(order))
  })
  const told = new Promise<void>((resolve) => {
    process.on('message', ({ order }: Order) => {
      if (order === 'close') resolve()
    })
    // Without a primary nobody could end it.
    process.once('disconnect', resolve)
  })
  tell({ word: 'ready' })
  await told
  await served.by?.close()
  await tracing?.close()
  process.exit(0)

  async function carryOut(order: Order): Promise<void> {
    switch (order.order) {
      case 'serve':
      case 'reload': {
        const { id, source } = order
        try {
          await goOnWith(source, order.order === 'serve' ? order.revocations : [])
          tell({ word: 'done', id, addresses: served.by?.addresses ?? [] })
        } catch (error) {
          const code = errorCode(error)
          if (code === null) output.log.error({ event: 'internal-error', err: error })
          tell({ word: 'failed', id, code })
        }
        return
      }
      case 'reloaded':
        served.by?.reloaded(order.problems)
        return
      case 'hear':
        served.by?.hearRevocation(order.revocation)
        return
      case 'report': {
        if (served.by === null) return
        const report = await served.by.report(order.withMetrics)
        tell({ word: 'report', id: order.id, report, scope: served.by.scope() })
        return
      }
      case 'drain':
        served.by?.drain()
        return
      case 'close':
    }
  }

  async function goOnWith(source: Source, revocations: readonly Revocation[]): Promise<void> {
    const read = readSource(source)
    // The primary has read the same, and found nothing wrong with it.
    if ('problems' in read) throw new Error('The settings are wrong')
    output.log.level = read.config.logLevel
    const config = shareOf(read.config)
    const warnings = read.warnings.map(sentence)
    if (served.by !== null) {
      await served.by.reload(config, warnings)
      return
    }
    const serving = await serve(config, output.log, {
      tracing,
      warnings,
      revocations,
      linesDropped: output.linesDropped,
    })
    served.by = serving
    serving.onRevoked((revocation) => tell({ word: 'revoked', revocation }))
  }
}

/** One worker's part of what holds for all of them together. */
function shareOf(config: Config): Config {
  const { workers, listener } = config
  const maxConnections = Math.ceil(listener.maxConnections / workers)
  return { ...config, listener: { ...listener, maxConnections } }
}

function tell(word: Word): void {
  if (process.connected) process.send?.(word)
}
