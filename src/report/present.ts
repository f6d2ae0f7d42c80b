import { denials, type Reason } from '../access/decision.ts'
import { type Advice, advice } from '../observe/advice.ts'
import type { NoAccessLine } from './access-line.ts'
import type { Count } from './distinct.ts'
import type { Cause, Effect, Survey, Total } from './survey.ts'
import { number, type Paint, percent, plural, printable, printableJson, wrap } from './words.ts'

/** What was read, in lines; `before` lie before the time that was asked for. */
export type Lines = Readonly<Record<'access' | 'before' | NoAccessLine | 'long', number>>

/** What was read, and what is in it. `since`: ms since the epoch, where it was asked for. */
export interface Report {
  readonly survey: Survey
  readonly lines: Lines
  readonly since: number | null
}

const mostShown = 50

/** The report for people; nothing that the log quotes of clients acts on a terminal. */
export function present({ survey, lines, since }: Report, paint: Paint): string {
  const from = minute(since ?? survey.first ?? 0)
  const parts = [verdict(survey, from, paint)]
  for (const effect of ['reported', 'refused'] as const) {
    const causes = survey.causes.filter((cause) => cause.effect === effect)
    if (causes.length === 0) continue
    parts.push(`${paint('bold', headings[effect])}\n`)
    parts.push(...causes.slice(0, mostShown).map((cause, index) => item(cause, index + 1, paint)))
    const unshown = causes.length - mostShown
    if (unshown > 0)
      parts.push(`${number(unshown)} more are not shown here; --json has them all.\n`)
  }
  parts.push(paint('dim', wrap(`Read ${readLines(lines)}.`, '')))
  return parts.join('\n')
}

/** The report for programs: counts, and times as ISO 8601. */
export function json({ survey, lines, since }: Report): string {
  const { first, last, total, reported, refused, causes } = survey
  const whole = {
    since: since === null ? null : new Date(since).toISOString(),
    first: first === null ? null : new Date(first).toISOString(),
    last: last === null ? null : new Date(last).toISOString(),
    lines,
    total,
    reported,
    refused,
    causes: causes.map((cause) => ({
      ...cause,
      first: new Date(cause.first).toISOString(),
      last: new Date(cause.last).toISOString(),
      ...adviceOn(cause.reason),
    })),
  }
  return printableJson(whole)
}

/** What was read, of each kind that there was. */
export function readLines(lines: Lines): string {
  const kinds = [
    [lines.access, 'access line'],
    [lines.before, 'access line', ' before that time'],
    [lines.other, 'other line', ' of the gateway'],
    [lines.foreign, 'line', ' of something else'],
    [lines.cut, 'line', ' cut short'],
    [lines.long, 'line', ' too long to be the gateway’s'],
  ] as const
  const said = kinds.flatMap(([count, noun, what = '']) =>
    count === 0 ? [] : [`${plural(count, noun)}${what}`],
  )
  return said.length === 0 ? 'no line' : said.join(', ')
}

export function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

const headings: Readonly<Record<Effect, string>> = {
  reported: 'Would be refused',
  refused: 'Refused already',
}

function verdict({ total, reported, refused }: Survey, from: string, paint: Paint): string {
  const lines = []
  if (reported.requests === 0) {
    const all = plural(total.requests, 'request')
    lines.push(paint('green', wrap(`Enforcement would refuse none of ${all} since ${from}.`, '')))
  } else {
    const broken = `${counted(reported.integrations)} of ${countOf(total.integrations, 'integration')}`
    const text = `Enforcement would refuse ${broken} (${extent(reported, total)}) since ${from}.`
    lines.push(paint('red', wrap(text, '')))
  }
  if (refused.requests > 0) {
    const some = countOf(refused.integrations, 'integration')
    const are = some.startsWith('1 ') ? 'is' : 'are'
    const text = `${some} ${are} refused requests already (${extent(refused, total)}).`
    lines.push(paint('yellow', wrap(text, '')))
  }
  return lines.join('')
}

function extent({ requests, users }: Total, total: Total): string {
  const of = `${number(requests)} of ${plural(total.requests, 'request')}`
  return users.count === 0 ? of : `${of}, ${countOf(users, 'user')}`
}

function item(cause: Cause, place: number, paint: Paint): string {
  const { contactCenter, page, reason, detail, requests, share, users, sessions } = cause
  const who = contactCenter === null ? 'contact center not proven' : printable(contactCenter)
  const where = page === null ? 'page not known' : printable(page)
  const indent = ' '.repeat(5)
  const name = reason === null ? 'further reasons and pages' : printable(reason)
  const what = detail === null ? name : `${name}: ${printable(detail)}`
  const of = contactCenter === null ? 'those not proven' : `those of ${who}`
  const part = share === null ? '' : ` (${percent(share)} of ${of})`
  const numbers = [
    `${plural(requests, 'request')}${part}`,
    ...(users.count === 0 ? [] : [countOf(users, 'user')]),
    ...(sessions.count === 0 ? [] : [countOf(sessions, 'session')]),
    countOf(cause.addresses, 'address', 'addresses'),
  ].join(', ')
  const times = `${minute(cause.first).replace(' UTC', '')} to ${minute(cause.last)}`
  const example = cause.requestId === null ? '' : `, such as request ${printable(cause.requestId)}`
  const { happened, remedy } = adviceOn(reason)
  const follows = cause.follows
    ? 'Probably what follows from the above: where a link’s token is refused no session opens, and what its page loads has none.'
    : null
  return [
    paint('bold', wrap(`${who}, ${where}`, `${String(place).padStart(3)}. `, indent)),
    paint(cause.effect === 'reported' ? 'red' : 'yellow', wrap(what, indent)),
    wrap(numbers, indent),
    wrap(`${times}${example}`, indent),
    ...(follows === null ? [] : [wrap(follows, indent)]),
    wrap(happened, indent),
    wrap(`To do: ${remedy}`, indent),
  ].join('')
}

function adviceOn(reason: string | null): Advice {
  const known = reason !== null && isReason(reason) ? advice[reason] : null
  if (known !== null) {
    return { happened: plain(known.happened), remedy: plain(known.remedy) }
  }
  return reason === null
    ? {
        happened: 'There were more pages and reasons than are told apart.',
        remedy: 'Ask for a shorter time with --since.',
      }
    : {
        happened: 'This version knows no such reason.',
        remedy: 'Use the version that wrote the log.',
      }
}

function isReason(text: string): text is Reason {
  return Object.hasOwn(denials, text)
}

/** Without the marks of Markdown. */
export function plain(text: string): string {
  return text.replaceAll('`', '')
}

function counted({ count, exact }: Count): string {
  return exact ? number(count) : `more than ${number(count)}`
}

function countOf(count: Count, noun: string, nouns = `${noun}s`): string {
  return count.exact ? plural(count.count, noun, nouns) : `${counted(count)} ${nouns}`
}
