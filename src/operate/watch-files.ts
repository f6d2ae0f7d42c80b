import { unwatchFile, watchFile } from 'node:fs'

/** How often files are looked at, in ms. */
const interval = 1000

/**
 * Calls back when one of the files has changed, appeared or gone. Files are looked at again and again:
 * what Kubernetes mounts changes by a symbolic link above them, which a watched file does not tell of.
 */
export function watchFiles(files: readonly string[], onChange: () => void): () => void {
  const listener = (): void => onChange()
  for (const file of files) watchFile(file, { interval, persistent: false }, listener)
  return () => {
    for (const file of files) unwatchFile(file, listener)
  }
}
