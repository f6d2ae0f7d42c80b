import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { parseArgs, styleText } from 'node:util'
import { createGunzip } from 'node:zlib'
import { readLine } from '../report/access-line.ts'
import { readLines } from '../report/lines.ts'
import { json, minute, present, readLines as said } from '../report/present.ts'
import { createSurvey } from '../report/survey.ts'
import type { Paint } from '../report/words.ts'
import { duration, errorCode } from '../settings/parsers.ts'
import { surroundings } from './environment.ts'
import { wrongUsage } from './usage.ts'

/** Says of the gateway's log who would be refused, and who is. Exit code 1 where there is none to read. */
export async function report(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals: logs } = parseArgs({ args, options, allowPositionals: true })
  if (logs.length === 0) return wrongUsage('report needs a log: files, or - for stdin')
  const since = values.since === undefined ? null : readSince(values.since)
  if (Number.isNaN(since)) {
    return wrongUsage(
      '--since must be a duration, such as 24h, or a time, such as 2026-11-20T08:00Z',
    )
  }

  const survey = createSurvey()
  const lines = { access: 0, before: 0, other: 0, foreign: 0, cut: 0, long: 0 }
  const take = (text: string | null): void => {
    const line = text === null ? 'long' : readLine(text)
    if (typeof line === 'string') lines[line] += 1
    else if (since !== null && line.time < since) lines.before += 1
    else {
      lines.access += 1
      survey.take(line)
    }
  }
  let problem = false
  for (const log of logs) {
    try {
      const bytes = log === '-' ? process.stdin : createReadStream(log)
      const stream = log.endsWith('.gz') ? unpacked(bytes) : bytes
      await readLines(stream, take)
    } catch (error) {
      const code = errorCode(error)
      if (code === null) throw error
      process.stderr.write(`${log} cannot be read to its end (${code})\n`)
      problem = true
    }
  }
  if (lines.access === 0) {
    const from = since === null ? '' : ` since ${minute(since)}`
    process.stderr.write(`There is no access line of the gateway${from}: read ${said(lines)}\n`)
    if (lines.other > 0 && lines.before === 0) {
      process.stderr.write('Access lines are of level info: a higher LOG_LEVEL silences them\n')
    }
    return 1
  }
  const made = { survey: survey.end(), lines, since }
  process.stdout.write(values.json ? json(made) : present(made, paint))
  return problem ? 1 : 0
}

const options = {
  since: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

function unpacked(bytes: Readable): Readable {
  const stream = createGunzip()
  // pipe passes no fault on: the stream would never end.
  bytes.on('error', (error) => stream.destroy(error))
  return bytes.pipe(stream)
}

/** ms since the epoch; NaN where it is no time. Times are UTC unless they say otherwise, as ours are. */
function readSince(text: string): number {
  const around = surroundings()
  const ago = duration(1)(text, around)
  if ('value' in ago) return around.now - ago.value
  const [, day, time = '00:00', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?) ?(Z|UTC|[+-]\d\d:\d\d)?)?$/.exec(
      text,
    ) ?? []
  return Date.parse(`${day}T${time}${zone === 'UTC' ? 'Z' : zone}`)
}

const paint: Paint = (style, text) => styleText(style, text, { stream: process.stdout })
