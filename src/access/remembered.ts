/**
 * What was worked out before, by the ASCII text that it follows from: at least the `most` used last,
 * and at most twice as many.
 */
export class Remembered<Value extends object> {
  readonly #most: number
  #recent = new Map<string, Value>()
  #older: ReadonlyMap<string, Value> = new Map()

  constructor(most: number) {
    this.#most = most
  }

  get(text: string): Value | undefined {
    const recent = this.#recent.get(text)
    if (recent !== undefined) return recent
    const older = this.#older.get(text)
    if (older !== undefined) this.set(text, older)
    return older
  }

  set(text: string, value: Value): void {
    if (this.#recent.size >= this.#most) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    // A part of a longer text would keep all of that.
    this.#recent.set(Buffer.from(text, 'latin1').toString('latin1'), value)
  }
}
