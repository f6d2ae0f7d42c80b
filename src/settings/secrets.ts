import { decodeSecret, isKey, keyProblem, remedy } from '../../packages/copilot-link/src/secret.ts'
import { nth, type Parser, wrong } from './parsers.ts'

/** Shared secrets, newest first. */
export const sharedSecrets: Parser<readonly Buffer[]> = (text) => {
  // A file that ends in a newline, or holds a byte order mark, holds the same secrets.
  const written = text.split(/\s+/).filter((secret) => secret !== '')
  if (written.length === 0) return wrong('holds no secret')
  // As a whole first: a PEM file has white space in it.
  if (isKey(Buffer.from(text))) return wrong(keyProblem)
  if (written.length > 1 && written.every((secret) => Buffer.byteLength(secret) < 32)) {
    const words = `holds ${written.length} words of under 32 bytes, each of them a secret`
    return wrong(`${words} since white space separates secrets: ${remedy}`)
  }
  const values: Buffer[] = []
  const problems: string[] = []
  const warnings: string[] = []
  written.forEach((secret, index) => {
    const value = decodeSecret(secret)
    const twin = Buffer.isBuffer(value) ? values.findIndex((other) => other.equals(value)) : -1
    if (!Buffer.isBuffer(value)) problems.push(nth('secret', index, written, value.problem))
    else if (twin >= 0) problems.push(nth('secret', index, written, 'is there twice'))
    else values.push(value)
    const doubts = [doubtAbout(secret), Buffer.isBuffer(value) ? weakness(value) : null]
    for (const doubt of doubts) {
      if (doubt !== null) warnings.push(nth('secret', index, written, doubt))
    }
  })
  return problems.length > 0 ? { problems } : { value: values, warnings }
}

function doubtAbout(text: string): string | null {
  if (/^(?:[0-9a-f]{2}){16,}$/i.test(text)) return 'looks like hex: put hex: or utf8: before it'
  if (/^[\w+/-]{43}=?$/.test(text)) return 'looks like base64: put base64: or utf8: before it'
  if (/^(["']).*\1$/.test(text)) return 'is in quotes, which are part of it'
  return null
}

/** 32 random bytes have about 30 different ones; even as the text of hex digits there are about 14. */
function weakness(value: Buffer): string | null {
  const different = new Set(value).size
  if (different >= 8) return null
  return `can be guessed: it has ${different} different ${different === 1 ? 'byte' : 'bytes'}`
}
