import { lookup } from 'node:dns/promises'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { parseArgs, styleText } from 'node:util'
import { presentHtml } from '../load/html.ts'
import { readPlan } from '../load/plan.ts'
import { createProgress } from '../load/progress.ts'
import type { Results } from '../load/results.ts'
import { runLoad } from '../load/run.ts'
import { findTarget } from '../load/target.ts'
import { presentText } from '../load/text.ts'
import { judge, parseThresholds } from '../load/thresholds.ts'
import { createMint } from '../load/tickets.ts'
import { doubt } from '../load/words.ts'
import { type Paint, printableJson } from '../report/words.ts'
import { baseUrl, errorCode } from '../settings/parsers.ts'
import { readSome, surroundings, wrongSettings } from './environment.ts'
import { readSigner } from './signer.ts'
import { wrongUsage } from './usage.ts'
import { version } from './version.ts'

/** Plays agents and attackers against a gateway. Exit code 1 where a threshold is not met, or a report can't be written. */
export async function load(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [base, ...others] = positionals
  const around = surroundings()
  if (base === undefined || others.length > 0) return wrongUsage('load needs one base URL')
  const url = baseUrl(base, around)
  if ('problems' in url) return wrongUsage(`The base URL ${url.problems.join(', ')}`)
  const plan = readPlan(values)
  if (typeof plan === 'string') return wrongUsage(plan)
  const { p50, p90, p99, p999, errors } = values
  const thresholds = parseThresholds({ p50, p90, p99, p999, errors })
  if (typeof thresholds === 'string') return wrongUsage(thresholds)

  const target = await findTarget(url.value, values['yes-i-own-this'], (host) =>
    lookup(host, { all: true }),
  )
  if (typeof target === 'string') return refuse(target)
  const some = readSome(values.config ?? null, around)
  if ('problems' in some) return wrongSettings(some)
  const signer = readSigner('load', some.reader, some.contactCenters, values['contact-center'])
  if (some.reader.problems.length > 0) return wrongSettings(some.reader)
  if (typeof signer === 'string') return wrongUsage(signer)
  if (signer === null) return 1
  // Found out before the run, not after an hour of it.
  const { json, html } = values
  if (json !== undefined && json === html) return wrongUsage('--json and --html need a file each')
  for (const [flag, file] of Object.entries({ json, html })) {
    if (file === '-')
      return wrongUsage(`--${flag} needs a file: the report in words goes to stdout`)
    const problem = file === undefined ? null : tried(() => closeSync(openSync(file, 'a')))
    if (problem !== null) return refuse(unwritten(file, problem))
  }

  const urlToken = values['url-token'] ?? signer.urlToken ?? 'load'
  const lasts = plan.duration + linkOutlasts
  const mint = createMint({ baseUrl: target.url, secret: signer.secret, urlToken, lasts })
  const interrupt = new AbortController()
  const stop = (): void => interrupt.abort()
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
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
    const text = file === undefined ? '' : present()
    const problem = file === undefined ? null : tried(() => writeFileSync(file, text))
    return problem === null ? [] : unwritten(file, problem)
  })
  const unsaid = await say(presentText(results, judged, paint(process.stdout)))
  if (unsaid !== null) problems.push(unwritten('The report', unsaid))
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  return passed && problems.length === 0 ? 0 : 1
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

function unwritten(what: string | undefined, code: string): string {
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

/** What links last beyond the run, in ms: no clock is as wrong as that. */
const linkOutlasts = 600_000

function refuse(problem: string): 2 {
  process.stderr.write(`${problem}\n`)
  return 2
}

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
