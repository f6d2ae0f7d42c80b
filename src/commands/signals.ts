import cluster from 'node:cluster'

/** In ms; nobody presses a key twice within. */
const echo = 100

/**
 * Resolves at the first signal to stop; the next one ends the process at once. SIGHUP never does: a
 * reload that is asked for before the gateway serves is one of files that have changed since it read
 * them, which it notices. Called before anything heavy is loaded, since the first process of a container
 * hears no signal that it does not handle, and any other is ended by it.
 */
export function firstSignal(): Promise<void> {
  process.on('SIGHUP', () => {})
  return new Promise((resolve) => {
    let first: { readonly signal: string; readonly at: number } | null = null
    const on = (signal: 'SIGINT' | 'SIGTERM', code: number): void => {
      process.on(signal, () => {
        // A terminal sends its signals to all processes; the primary is the one that acts on them.
        if (cluster.isWorker) return
        const now = performance.now()
        // npm passes on what the terminal has sent to all: one key, pressed once.
        if (signal === 'SIGINT' && first?.signal === signal && now - first.at < echo) return
        if (first !== null) process.exit(code)
        first = { signal, at: now }
        resolve()
      })
    }
    on('SIGINT', 130)
    on('SIGTERM', 143)
  })
}
