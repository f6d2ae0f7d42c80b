import { lookup } from 'node:dns/promises'
import { closeSync, existsSync, openSync, realpathSync, unlinkSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import type { Place } from '../doctor/connection.ts'
import { presentHtml } from '../load/html.ts'
import { readPlan } from '../load/plan.ts'
import { createProgress } from '../load/progress.ts'
import type { Results } from '../load/results.ts'
import { runLoad } from '../load/run.ts'
import type { Plan } from '../load/schedule.ts'
import { findTarget, resolveHost } from '../load/target.ts'
import { presentText } from '../load/text.ts'
import { judge, parseThresholds, type Threshold } from '../load/thresholds.ts'
import { createMint } from '../load/tickets.ts'
import { doubt } from '../load/words.ts'
import { type Paint, printableJson } from '../report/words.ts'
import { baseUrl, errorCode } from '../settings/parsers.ts'
import { type Problems, sentence } from '../settings/reader.ts'
import { readSome, surroundings } from './environment.ts'
import { readSigner, type Signer } from './signer.ts'
import { wrongUsage } from './usage.ts'
import { version } from './version.ts'

/** Plays agents and attackers against a gateway. Exit code 1 where a threshold is not met, or a report can't be written. */
export async function load(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const prepared = await prepare(values, positionals)
  if (typeof prepared === 'number') return prepared
  const { target, plan, thresholds, signer } = prepared
  const { json, html } = values
  const urlToken = values['url-token'] ?? signer.urlToken ?? 'load'
  const lasts = plan.duration + linkOutlasts
  const mint = createMint({ baseUrl: target.url, secret: signer.secret, urlToken, lasts })
  const interrupt = new AbortController()
  const stop = (): void => interrupt.abort()
  // To the end: npm passes on to a process what the terminal has sent to it too.
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.stderr.on('error', ignore)
  const progress = createProgress(process.stderr, plan.duration, paint(process.stderr))
  const found = await runLoad({
    target,
    plan,
    mint,
    signal: interrupt.signal,
    onSecond: progress.update,
  })
  progress.end()
  const { agents, rate, ramp, chats, messages, attackers } = values
  const asked = { agents, rate, duration: values.duration, ramp, chats, messages, attackers }
  const results: Results = { ...found, version: version(), plan: asked }

  const judged = judge(results, thresholds)
  const passed = judged.every((one) => one.passed)
  const files = [
    [json, () => printableJson({ passed, doubt: doubt(results), ...results, judged })],
    [html, () => presentHtml(results, judged)],
  ] as const
  const problems = files.flatMap(([file, present]) => {
    if (file === undefined) return []
    const text = present()
    const problem = tried(() => writeFileSync(file, text))
    return problem === null ? [] : unwritten(file, problem)
  })
  const unsaid = await say(presentText(results, judged, paint(process.stdout)))
  if (unsaid !== null) problems.push(unwritten('The report', unsaid))
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  return passed && problems.length === 0 ? 0 : 1
}

interface Prepared {
  readonly target: Place
  readonly plan: Plan
  readonly thresholds: readonly Threshold[]
  readonly signer: Signer
}

/** All that a run needs, found out before it rather than after an hour of it; an exit code where all that is wrong was told. */
async function prepare(values: Values, bases: readonly string[]): Promise<Prepared | 1 | 2> {
  const misused: string[] = []
  const failed: string[] = []
  const url = keep(misused, readBase(bases))
  const plan = keep(misused, readPlan(values))
  const thresholds = keep(misused, parseThresholds(values))
  misused.push(...misnamed(values))
  const addresses =
    url && keep(failed, await resolveHost(url, (host) => lookup(host, { all: true })))
  const target =
    url && addresses && keep(misused, findTarget(url, addresses, values['yes-i-own-this']))
  const found = findSigner(values)
  const signer = keep(typeof found === 'string' ? misused : failed, found)
  failed.push(...unwritable(values))
  if (misused.length > 0) return wrongUsage(...misused, ...failed)
  if (target && plan && thresholds && signer && failed.length === 0) {
    return { target, plan, thresholds, signer }
  }
  for (const problem of failed) process.stderr.write(`${problem}\n`)
  return 1
}

/** What was read; null where it is wrong, which is added to the list. */
function keep<T extends object>(list: string[], read: T | Problems | string): T | null {
  if (typeof read === 'string') list.push(read)
  else if (!('problems' in read)) return read
  else list.push(...read.problems.map(sentence))
  return null
}

function readBase([base, ...others]: readonly string[]): URL | string {
  if (base === undefined || others.length > 0) return 'load needs one base URL'
  const url = baseUrl(base, surroundings())
  return 'problems' in url ? `The base URL ${url.problems.join(', ')}` : url.value
}

/** Who signs the links; what is wrong with the settings, or a sentence where they have nobody of that name. */
function findSigner(values: Values): Signer | Problems | string {
  const some = readSome(values.config ?? null, surroundings())
  if ('problems' in some) return some
  const { reader, contactCenters } = some
  const signer = readSigner('load', reader, contactCenters, values['contact-center'])
  return signer === null || reader.problems.length > 0 ? reader : signer
}

function misnamed({ json, html }: Values): readonly string[] {
  if (json !== undefined && html !== undefined && resolve(json) === resolve(html)) {
    return ['--json and --html need a file each']
  }
  return Object.entries({ json, html }).flatMap(([flag, file]) =>
    file === '-' ? `--${flag} needs a file: the report in words goes to stdout` : [],
  )
}

/** Tries the files that reports go to, and leaves them as they were. */
function unwritable({ json, html }: Values): readonly string[] {
  return [json, html].flatMap((file) => {
    if (file === undefined || file === '-') return []
    const isNew = !existsSync(file)
    const problem = tried(() => {
      closeSync(openSync(file, 'a'))
      // What a link leads to, rather than the link.
      if (isNew) unlinkSync(realpathSync(file))
    })
    return problem === null ? [] : unwritten(file, problem)
  })
}

/** Writes to stdout; the error's code where nobody reads it, or nothing can be written. */
function say(text: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    process.stdout.once('error', ignore)
    process.stdout.write(text, (error) => {
      const code = errorCode(error)
      if (error && code === null) reject(error)
      else resolve(code)
    })
  })
}

/** Whatever it is of is told elsewhere, or nobody is left to be told. */
function ignore(): void {}

function unwritten(what: string, code: string): string {
  return `${what} cannot be written (${code})`
}

function paint(stream: NodeJS.WriteStream): Paint {
  return (style, text) => styleText(style, text, { stream })
}

const options = {
  agents: { type: 'string', default: '20' },
  rate: { type: 'string', default: '2/s' },
  duration: { type: 'string', default: '30s' },
  ramp: { type: 'string', default: '5s' },
  chats: { type: 'string', default: '2' },
  messages: { type: 'string', default: '5s' },
  attackers: { type: 'string', default: '5%' },
  p50: { type: 'string' },
  p90: { type: 'string' },
  p99: { type: 'string' },
  p999: { type: 'string' },
  errors: { type: 'string' },
  json: { type: 'string' },
  html: { type: 'string' },
  config: { type: 'string' },
  'contact-center': { type: 'string' },
  'url-token': { type: 'string' },
  'yes-i-own-this': { type: 'boolean', default: false },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']

/** What links last beyond the run, in ms: no clock is as wrong as that. */
const linkOutlasts = 600_000

/** The system's code of what went wrong; null where nothing did. */
function tried(act: () => void): string | null {
  try {
    act()
    return null
  } catch (error) {
    const code = errorCode(error)
    if (code === null) throw error
    return code
  }
}
