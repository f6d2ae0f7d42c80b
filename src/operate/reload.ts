import { setTimeout } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Read, Sources } from '../settings/config.ts'
import { type Problems, sentence } from '../settings/reader.ts'
import { needsRestart } from '../settings/restart.ts'
import type { Source } from '../settings/source.ts'
import type { Fleet } from './fleet.ts'
import { watchFiles } from './watch-files.ts'

export type Loaded = Read & Sources

/** Files that belong together change one after the other: for how long a change is waited on, in ms. */
const settle = 500

/**
 * Reads the settings again on SIGHUP, and when one of the files they came from has changed, and has
 * the fleet go on with them. Where anything is wrong with them, the old ones stay.
 */
export function keepUpToDate(
  initial: Loaded,
  read: () => (Read | Problems) & Sources,
  fleet: Fleet,
  onReloaded: (loaded: Loaded) => void,
  log: Logger,
): void {
  let current = initial
  /** One reload at a time, and one more for whatever was asked for meanwhile. */
  let running = false
  let again = false
  let stopWatching = (): void => {}
  process.on('SIGHUP', ask)
  watch(initial)

  function onChange(): void {
    void setTimeout(settle, undefined, { ref: false }).then(ask)
  }

  /** From what was read on: what has changed since then, too. */
  function watch({ files, source }: Sources): void {
    stopWatching()
    stopWatching = watchFiles(files, onChange)
    if (!isDeepStrictEqual(read().source.texts, source.texts)) onChange()
  }

  function ask(): void {
    again = true
    if (!running) void run()
  }

  async function run(): Promise<void> {
    running = true
    while (again) {
      again = false
      await reload()
    }
    running = false
  }

  async function reload(): Promise<void> {
    const loaded = read()
    watch(loaded)
    const problems =
      'problems' in loaded ? loaded.problems : needsRestart(current.config, loaded.config)
    if ('problems' in loaded || problems.length > 0) {
      fail(problems.map(sentence))
      return
    }
    try {
      await fleet.reload(loaded)
    } catch (error) {
      log.error({ event: 'internal-error', err: error })
      fail(['The gateway could not be built with these settings'])
      return
    }
    const changed = changedFiles(current.source.texts, loaded.source.texts)
    current = loaded
    log.level = loaded.config.logLevel
    for (const warning of loaded.warnings) {
      log.warn({ event: 'setting-warning', setting: warning.setting }, sentence(warning))
    }
    // A secret that was changed where this process does not see it is not among them.
    log.info({ event: 'reloaded', changed })
    fleet.reloaded([])
    onReloaded(loaded)
  }

  function fail(problems: readonly string[]): void {
    log.error({ event: 'reload-failed', problems }, 'The settings of before stay')
    fleet.reloaded(problems)
  }
}

/** The files that hold something else than before, or are asked for no more. */
function changedFiles(before: Source['texts'], now: Source['texts']): string[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(now)])
  return [...paths].filter((path) => !isDeepStrictEqual(before[path], now[path]))
}
