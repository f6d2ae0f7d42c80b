import { stripVTControlCharacters, styleText } from 'node:util'
import t from 'tap'
import { createProgress } from '../../src/load/progress.ts'
import type { Second } from '../../src/load/results.ts'
import { measured, resultsOf } from './results.ts'

const { seconds, total } = resultsOf({ seconds: 120, failing: (at) => (at === 3 ? 0.5 : 0) })

/** What a run of `duration` ms, whose seconds these are, writes, before its end and at it. */
function written(
  { isTTY, columns }: { isTTY?: boolean; columns?: number },
  duration: number,
  run: readonly Second[],
): { readonly during: string[]; readonly atEnd: string[] } {
  const texts: string[] = []
  const progress = createProgress({ isTTY, columns, write: (text) => texts.push(text) }, duration)
  for (const second of run) progress.update(second, total)
  const during = texts.splice(0)
  progress.end()
  const atEnd = texts.splice(0)
  progress.end()
  t.strictSame(
    texts.filter((text) => text !== ''),
    [],
    'it ends once',
  )
  return { during, atEnd }
}

t.test('elsewhere than on a terminal, a plain line now and then', async (t) => {
  const first = seconds.slice(0, 12)
  t.strictSame(written({}, 30_000, first), {
    during: [
      '5 s of 30 s; now 200 per second, p50 1.5 ms, p90 3 ms, p99 9 ms; in all 24,000 steps, 100 failed, p50 1.6 ms, p90 3.2 ms, p99 9.6 ms; 25 agents, 50 sockets\n',
      '10 s of 30 s; now 200 per second, p50 1.3 ms, p90 2.6 ms, p99 7.8 ms; in all 24,000 steps, 100 failed, p50 1.6 ms, p90 3.2 ms, p99 9.6 ms; 50 agents, 100 sockets\n',
    ],
    atEnd: [
      '12 s of 30 s; now 200 per second, p50 1.5 ms, p90 3 ms, p99 9 ms; in all 24,000 steps, 100 failed, p50 1.6 ms, p90 3.2 ms, p99 9.6 ms; 60 agents, 120 sockets\n',
    ],
  })
  const rows: readonly (readonly [string, number, readonly Second[], readonly string[]])[] = [
    ['a long run', 120_000, seconds.slice(0, 31), ['10 s', '20 s', '30 s', '31 s']],
    ['its last line is not said twice', 10_000, seconds.slice(0, 10), ['5 s', '10 s']],
    [
      'seconds that nobody saw',
      30_000,
      [4, 11, 14, 29].flatMap((at) => seconds[at - 1] ?? []),
      ['11 s', '29 s'],
    ],
    ['none at all', 30_000, [], []],
  ]
  for (const [name, duration, run, expected] of rows) {
    const { during, atEnd } = written({}, duration, run)
    t.strictSame(
      [...during, ...atEnd].map((line) => line.slice(0, line.indexOf(' of'))),
      expected,
      name,
    )
  }
})

t.test('past its end it says what is waited for, but not once it has come', async (t) => {
  const { during, atEnd } = written({}, 10_000, seconds.slice(0, 17))
  const beginnings = [...during, ...atEnd].map((line) => line.slice(0, line.indexOf(' per')))
  t.strictSame(beginnings, [
    '5 s of 10 s; now 200',
    '10 s of 10 s; now 200',
    '15 s of 10 s, waiting for the last answers; now 200',
    '17 s of 10 s; now 200',
  ])
})

t.test('on a terminal it is drawn in place, as wide as that is, and leaves nothing', async (t) => {
  for (const columns of [200, 80, 40, 24, 10, 3, 1, 0, undefined]) {
    const look = columns === undefined ? { isTTY: true } : { isTTY: true, columns }
    const { during, atEnd } = written(look, 120_000, seconds)
    const screen = new Screen()
    for (const text of during) {
      screen.write(text)
      const widest = Math.max(...screen.lines.map((line) => line.length))
      if (widest >= (columns || 80) && widest > 1) t.fail(`${widest} columns in ${columns}`)
    }
    t.equal(during.length, 120)
    if (columns === undefined || columns > 9) t.match(screen.lines[0], /100 %/)
    for (const text of atEnd) screen.write(text)
    t.strictSame(screen.lines, [''], `a clean terminal of ${columns} columns`)
    t.equal(screen.column, 0)
  }
})

t.test('it says how far it is, and what happens', async (t) => {
  const at = (second: Second | undefined, duration: number, columns = 60): readonly string[] => {
    const screen = new Screen()
    const { during } = written({ isTTY: true, columns }, duration, second ? [second] : [])
    for (const text of during) screen.write(text)
    return screen.lines
  }
  t.strictSame(at(seconds[29], 120_000), [
    '[########..........................]  25 %, 1 min 30 s left',
    'now 200 per second, p50 1.2 ms, p90 2.4 ms, p99 7.2 ms',
    'in all 24,000 steps, 100 failed, p50 1.6 ms, p90 3.2 ms,',
    'p99 9.6 ms',
    '120 agents, 240 sockets',
  ])
  t.match(at(seconds[119], 60_000)[0], /^\[#+\] 100 %, waiting for the last answers$/)
  const down = { at: 1, agents: 1, sockets: 1, steps: measured(5, 5, 1) }
  t.strictSame(at(down, 60_000)[1], 'now 5 per second, none answered')
  t.equal(at(down, 60_000).at(-1), '1 agent, 1 socket')
})

t.test('what stands out does by style alone', async (t) => {
  const texts: string[] = []
  const output = { isTTY: true, columns: 60, write: (text: string) => texts.push(text) }
  const painted = createProgress(output, 120_000, (style, text) =>
    styleText(style, text, { validateStream: false }),
  )
  const [second] = seconds
  if (second) painted.update(second, total)
  const { during } = written(output, 120_000, seconds.slice(0, 1))
  t.not(texts[0], during[0])
  t.strictSame(texts.map(stripVTControlCharacters), during)
})

/** As much of a terminal as a progress bar needs. */
class Screen {
  lines: string[] = ['']
  column = 0
  private row = 0

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these steer a terminal
    for (const [one, up] of text.matchAll(/\u001b\[(\d+)A|\u001b\[J|[\s\S]/g)) {
      if (up !== undefined) this.row -= Number(up)
      else if (one === '\u001b[J') this.erase()
      else if (one === '\r') this.column = 0
      else if (one === '\n') this.feed()
      else this.put(one)
      if (this.row < 0) throw new Error('it went above where it began')
    }
  }

  private erase(): void {
    this.lines = [...this.lines.slice(0, this.row), this.current().slice(0, this.column)]
  }

  private feed(): void {
    this.row += 1
    this.column = 0
    if (this.row === this.lines.length) this.lines.push('')
  }

  private put(character: string): void {
    const line = this.current()
    this.lines[this.row] = line.slice(0, this.column) + character + line.slice(this.column + 1)
    this.column += 1
  }

  private current(): string {
    return this.lines[this.row] ?? ''
  }
}
