import { type Stats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'

/** How often files are looked at, in ms. */
const interval = 1000

/**
 * Calls back when one of the files is another than at this moment, has appeared or gone. They are
 * looked at again and again: what Kubernetes mounts changes by a symbolic link above it, which a
 * watched file does not tell of. Calling the function that it returns ends it.
 */
export function watchFiles(files: readonly string[], onChange: () => void): () => void {
  const seen = new Map(files.map((file) => [file, mark(attempt(file))]))
  let timer = setTimeout(look, interval).unref()
  let stopped = false
  return () => {
    stopped = true
    clearTimeout(timer)
  }

  async function look(): Promise<void> {
    let changed = false
    for (const [file, before] of seen) {
      const now = mark(await stat(file).catch(() => undefined))
      changed ||= now !== before
      seen.set(file, now)
    }
    if (stopped) return
    if (changed) onChange()
    timer = setTimeout(look, interval).unref()
  }
}

function attempt(file: string): Stats | undefined {
  try {
    return statSync(file)
  } catch {
    return undefined
  }
}

/** Another one for each content that a file has had; the same for all files that are not there. */
function mark(stats: Stats | undefined): string {
  if (stats === undefined) return ''
  const { dev, ino, size, mtimeMs, ctimeMs } = stats
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ')
}
