import { isUrl, percentDecoded } from './uui-link.ts'
import { type UuiProblem, wrong } from './uui-problem.ts'
import { readValue, type UuiValue } from './uui-values.ts'

export type UuiEncoding = 'quoted' | 'percent' | 'hex'

/** A value without what it was wrapped in. */
export interface Unwrapped {
  readonly text: string
  readonly parameters: UuiValue['parameters']
  /** Outermost first. */
  readonly encodings: readonly UuiEncoding[]
  /** The protocol discriminator that stood before the link; null where none did. */
  readonly octet: number | null
}

/** Hex may hold percent-encoding, and the other way round: at most four layers are taken off. */
export function unwrap(value: UuiValue): Unwrapped | UuiProblem {
  const encodings: UuiEncoding[] = value.quoted ? ['quoted'] : []
  let { data: text, parameters } = value
  let octet: number | null = null
  while (!isUrl(text) && encodings.length < 4) {
    if (isBeheaded(text)) return beheaded
    if (/^[\da-f]+$/i.test(text)) {
      const read = fromHex(text)
      if ('problem' in read) return read
      text = read.text
      octet ??= read.octet
      encodings.push('hex')
    } else if (/%[\da-f]{2}/i.test(text)) {
      const decoded = percentDecoded(text)
      if (decoded === null) return wrong('encoding-invalid', 'The percent-encoding is malformed')
      // In the URI of a Refer-To the parameters are encoded too.
      const inner = isUrl(decoded) ? null : readValue(decoded)
      text = inner?.data ?? decoded
      parameters = new Map([...(inner?.parameters ?? []), ...parameters])
      encodings.push('percent')
    } else break
  }
  return { text, parameters, encodings, octet }
}

function fromHex(digits: string): Pick<Unwrapped, 'text' | 'octet'> | UuiProblem {
  const pairs = digits.length % 2 === 0 ? (digits.match(/../g) ?? []) : []
  const octets = Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16))
  const whole = utf8(octets)
  if (opensLink.test(whole)) return { text: whole, octet: null }
  const rest = utf8(octets.subarray(1))
  if (opensLink.test(rest)) return { text: rest, octet: octets[0] ?? null }
  if (isBeheaded(whole)) return beheaded
  return wrong('encoding-invalid', 'The hex holds no link: it is cut off, or of something else')
}

const opensLink = /^https?(?::\/\/|%3a%2f%2f)/i

/** Genesys Cloud takes the first octet off wherever `pd` is absent. */
function isBeheaded(text: string): boolean {
  return isUrl(`h${text}`)
}

const beheaded = wrong(
  'first-octet-lost',
  'The first character of the link is gone, taken for the protocol discriminator: put one before the link, or add ;pd=00',
)

/** Empty where the octets are no UTF-8. */
function utf8(octets: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets)
  } catch {
    return ''
  }
}
