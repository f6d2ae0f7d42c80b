import { number } from '../report/words.ts'
import { count, duration, longestTimer, type Parser, wrong } from '../settings/parsers.ts'
import type { Finding, Problems } from '../settings/reader.ts'
import type { Plan } from './schedule.ts'

/** What is asked of a run, as flags. */
type Asked = Readonly<Record<'messages' | Exclude<keyof Plan, 'pause'>, string>>

/** Or everything that is wrong with it. */
export function readPlan(asked: Asked): Plan | Problems {
  const problems: Finding[] = []
  const read = (name: keyof Asked, parse: Parser<number>): number => {
    const parsed = parse(asked[name], nowhere)
    if ('value' in parsed) return parsed.value
    problems.push(...parsed.problems.map((message) => ({ setting: `--${name}`, message })))
    return Number.NaN
  }
  const plan: Plan = {
    agents: read('agents', upTo(most.agents)),
    rate: read('rate', frequency),
    duration: read('duration', duration(1000, longestTimer)),
    ramp: read('ramp', duration(0)),
    chats: read('chats', upTo(most.chats)),
    pause: read('messages', duration(10)),
    attackers: read('attackers', share),
  }
  if (plan.duration < 2 * plan.ramp) {
    problems.push({ setting: '--duration', message: 'must be twice --ramp or more' })
  }
  return problems.length > 0 ? { problems } : plan
}

/** What one process can play. */
const most = { agents: 20_000, chats: 100, rate: 2000 } as const

function upTo(limit: number): Parser<number> {
  return (text, around) => {
    const parsed = count(text, around)
    return 'value' in parsed && parsed.value > limit
      ? wrong(`must be ${number(limit)} or less`)
      : parsed
  }
}

/** Per second. */
const frequency: Parser<number> = (text) => {
  const [, digits, unit] = /^(\d{1,6}(?:\.\d{1,6})?)\/(s|m)$/.exec(text) ?? []
  const value = Number(digits) / (unit === 'm' ? 60 : 1)
  if (value > most.rate) return wrong(`must be ${number(most.rate)}/s or less`)
  return value > 0
    ? { value, warnings: [] }
    : wrong('must be a number a second or minute, such as 2/s')
}

/** From 0 to below 1. */
const share: Parser<number> = (text) => {
  const value = /^\d{1,2}(?:\.\d{1,6})?%$/.test(text) ? Number.parseFloat(text) / 100 : null
  return value === null ? wrong('must be a share below 100%, such as 5%') : { value, warnings: [] }
}

/** Of no use to these parsers. */
const nowhere = { readFile: String, now: 0 }
