/** How many requests one gateway still has to answer, after a reload the last that it hears of. */
export class InFlight {
  #count = 0
  #idle: (() => void) | null = null

  enter(): void {
    this.#count += 1
  }

  leave(): void {
    this.#count -= 1
    if (this.#count === 0) this.#idle?.()
  }

  /** Resolves once there are none. */
  async done(): Promise<void> {
    if (this.#count === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }
}
