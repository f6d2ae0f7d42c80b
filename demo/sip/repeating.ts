/** Times of RFC 3261 §17, in ms. */
export interface Times {
  /** How long a round trip may take. */
  readonly t1: number
  /** The longest between two of the same. */
  readonly t2: number
}

export const usualTimes: Times = { t1: 500, t2: 4000 }

/** UDP loses messages: sends at once and again after T1, then after twice as long each time. Returns what stops it. */
export function repeat({ t1, t2 }: Times, send: () => void, inVain: () => void): () => void {
  let wait = t1
  let timer = setTimeout(again, wait)
  const end = setTimeout(() => {
    stop()
    inVain()
  }, lifetime({ t1 }))
  send()
  return stop

  function again(): void {
    send()
    wait = Math.min(2 * wait, t2)
    timer = setTimeout(again, wait)
  }
  function stop(): void {
    clearTimeout(timer)
    clearTimeout(end)
  }
}

/** How long a message may still come, or come again. */
export function lifetime({ t1 }: Pick<Times, 't1'>): number {
  return 64 * t1
}
