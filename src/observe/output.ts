import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'

/** What waits while nobody reads, in bytes. */
const bufferLimit = 4 * 1024 * 1024
/** PIPE_BUF: a pipe takes so many bytes whole or not at all, so that lines of several processes don't mix. */
const chunkLimit = 4096
/** Until the next attempt after one that could not write, in ms. */
const retryDelay = 5
/** How long a flush waits for a reader that takes nothing, and in all, in ms. */
const patience = 1000
const flushLimit = 2000
/** Wakes nobody. */
const nobody = new Int32Array(new SharedArrayBuffer(4))

/**
 * Lines on a file descriptor, written at the end of the turn that made them. Where they can't be,
 * since nobody reads or the disk is full, they wait, and nothing waits for them: past 4 MiB lines are
 * dropped and counted, until all that waits has gone.
 */
export class Output {
  /** Is told, once lines flow again, how many were dropped. */
  onDropped: (count: number) => void = () => {}
  readonly #fd: number
  readonly #waiting: Buffer[] = []
  /** Lines of the last chunk, which has room for more. */
  #gathered = ''
  #gatheredBytes = 0
  /** Of all that waits. */
  #bytes = 0
  /** Whether what was gathered goes out at the end of this turn. */
  #isDue = false
  #dropped = 0
  /** Dropped since it was last told. */
  #untold = 0
  #timer: NodeJS.Timeout | null = null
  /** When bytes last went out, or somebody began to wait for it. */
  #movedAt = 0
  /** Somebody waited in vain, and nothing has gone out since. */
  #abandoned = false

  constructor(fd: number) {
    this.#fd = withoutBlocking(fd)
  }

  /** Lines that were dropped since the process began. */
  get dropped(): number {
    return this.#dropped
  }

  write(line: string): void {
    const length = Buffer.byteLength(line)
    if (this.#untold > 0 || this.#bytes + length > bufferLimit) {
      this.#dropped += 1
      this.#untold += 1
      return
    }
    this.#bytes += length
    if (this.#gatheredBytes + length > chunkLimit) this.#seal()
    this.#gathered += line
    this.#gatheredBytes += length
    if (this.#timer !== null || this.#isDue) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      this.#send()
    })
  }

  /**
   * Holds the process until all is out: for a reader that takes nothing 1 s, and not a second time;
   * for one that reads 2 s.
   */
  flushSync(): void {
    const start = Date.now()
    if (!this.#abandoned) this.#movedAt = start
    while (!this.#sendAll()) {
      if (Date.now() >= Math.min(start + flushLimit, this.#movedAt + patience)) {
        this.#abandoned = true
        return
      }
      Atomics.wait(nobody, 0, 0, retryDelay)
    }
  }

  #seal(): void {
    if (this.#gatheredBytes > 0) this.#waiting.push(Buffer.from(this.#gathered))
    this.#gathered = ''
    this.#gatheredBytes = 0
  }

  #send(): void {
    // What is told of dropped lines is a line itself.
    this.#timer = null
    if (!this.#sendAll()) this.#timer = setTimeout(() => this.#send(), retryDelay).unref()
  }

  /** Whether nothing waits any more. */
  #sendAll(): boolean {
    this.#seal()
    try {
      for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
        const written = writeSync(this.#fd, first)
        this.#bytes -= written
        this.#movedAt = Date.now()
        this.#abandoned = false
        if (written === first.length) this.#waiting.shift()
        else this.#waiting[0] = first.subarray(written)
      }
    } catch {
      // EAGAIN: nobody reads. A full disk may get room again, a named pipe another reader.
      return false
    }
    if (this.#untold > 0) {
      const count = this.#untold
      this.#untold = 0
      this.onDropped(count)
    }
    return this.#waiting.length === 0
  }
}

/** Files never block for long; all else is opened anew, non-blocking, since others have it open, too. */
function withoutBlocking(fd: number): number {
  const stats = fstatSync(fd)
  if (stats.isFile()) return fd
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY)
  } catch {
    // A socket, another user's pipe, or no Linux: libuv makes what it opens non-blocking for all.
    if (stats.isFIFO() || stats.isSocket()) new Socket({ fd, readable: false, writable: true })
    return fd
  }
}
