import { printable } from '../report/words.ts'

/** Writes a value of a link: as it is, or as much as tells apart without giving away. */
export interface Values {
  /** Of a userId or sessionId. */
  readonly id: (value: string) => string
  /** Of what lets in. */
  readonly secret: (value: string) => string
}

export const shown: Values = { id: quoted, secret: quoted }

export const masked: Values = {
  id: (value) =>
    value.length > 4 ? `${quoted(value.slice(0, 2))}… of ${length(value)}` : length(value),
  secret: length,
}

export function quoted(text: string): string {
  return `“${printable(text)}”`
}

export function length(text: string): string {
  return characters([...text].length)
}

function characters(count: number): string {
  return count === 0 ? 'nothing' : `${count} character${count === 1 ? '' : 's'}`
}

/** What the first and the second of two texts are called. */
type Called = readonly [first: string, second: string]

/** How two texts that should be the same differ, without quoting them. */
export function difference(one: string, other: string, called: Called): string {
  const [first, second] = called
  if (one === '') return `${first} is empty`
  const usual = mistake(one, other, called)
  if (usual !== null) return usual
  const [a, b] = [[...one], [...other]]
  const shorter = Math.min(a.length, b.length)
  const at = a.findIndex((character, index) => index >= shorter || character !== b[index])
  const place = `they differ from the ${nth(at < 0 ? shorter : at)} on`
  if (a.length === b.length) return `both have ${characters(a.length)}; ${place}`
  return `${first} has ${characters(a.length)}, ${second} ${characters(b.length)}; ${place}`
}

/** The usual mistake that makes one text of the other; null for none of them. */
export function mistake(one: string, other: string, [first, second]: Called): string | null {
  for (const [isMadeOf, said] of mistakes) {
    if (isMadeOf(one, other)) return said(first)
    if (isMadeOf(other, one)) return said(second)
  }
  return null
}

function nth(index: number): string {
  const ending = { one: 'st', two: 'nd', few: 'rd', other: 'th', zero: 'th', many: 'th' }
  return `${index + 1}${ending[ordinals.select(index + 1)]} character`
}

const ordinals = new Intl.PluralRules('en', { type: 'ordinal' })

/** What makes a text of another, which may be the same; and what is said of it by its name. */
const mistakes: readonly (readonly [
  isMadeOf: (made: string, other: string) => boolean,
  said: (made: string) => string,
])[] = [
  [(made, other) => made.trim() === other, (made) => `${made} has white space around it`],
  [
    (made, other) => made.toLowerCase() === other.toLowerCase(),
    () => 'they differ in upper and lower case only',
  ],
  [
    (made, other) => made === other.replaceAll('+', ' '),
    (made) => `${made} has a space for +: a + in a link has to be written %2B`,
  ],
  [(made, other) => decodeOnce(made) === other, (made) => `${made} is percent-encoded once more`],
  [
    (made, other) => made.replace(/^(["'])(.*)\1$/s, '$2') === other,
    (made) => `${made} is in quotes, which are part of it`,
  ],
  [
    (made, other) => made.normalize('NFC') === other.normalize('NFC'),
    () =>
      'they look alike but are other Unicode characters (NFC or NFD): sign what the link carries',
  ],
]

function decodeOnce(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** `2026-11-20 08:00:00 UTC, 3 h ago`; `time` in ms since the epoch. */
export function moment(time: number, now: number): string {
  // Past what a Date holds.
  if (Math.abs(time) > 8.64e15) return 'no time that there is'
  const text = new Date(time).toISOString().slice(0, -5).replace('T', ' ')
  return `${text} UTC, ${time > now ? `in ${span(time - now)}` : `${span(now - time)} ago`}`
}

/** As people say it, rounded to the smallest unit that is written; of ms. */
export function span(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return two(seconds, 'min', 's')
  const minutes = Math.round(seconds / 60)
  if (minutes < 2 * 1440) return two(minutes, 'h', 'min')
  const days = Math.floor(seconds / 86_400)
  return days < 731 ? `${days} days` : `${Math.floor(days / 365.25)} years`
}

/** Of a count of the smaller unit, of which sixty make the larger. */
function two(count: number, larger: string, smaller: string): string {
  const rest = count % 60
  return `${Math.floor(count / 60)} ${larger}${rest === 0 ? '' : ` ${rest} ${smaller}`}`
}
