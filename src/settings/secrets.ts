import { createPublicKey } from 'node:crypto'
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

const keyProblem =
  'holds a PEM, DER or JWK key; a public key is no secret: give the shared secret itself'

const remedy = 'take hex: and what openssl rand -hex 32 prints'

function decodeSecret(text: string): Buffer | { readonly problem: string } {
  const encoding = /^(?:hex|base64|utf8)(?=:)/.exec(text.toLowerCase())?.[0]
  const encoded = encoding === undefined ? text : text.slice(encoding.length + 1)
  let value = Buffer.from(encoded)
  if (encoding === 'hex') {
    if (!/^(?:[0-9a-f]{2})*$/i.test(encoded)) return { problem: 'is not hex, two digits a byte' }
    value = Buffer.from(encoded, 'hex')
  } else if (encoding === 'base64') {
    value = Buffer.from(encoded, 'base64')
    // Buffer skips what it does not know; base64url is base64 too.
    const canonical = encoded
      .replace(/={0,2}$/, '')
      .replaceAll('+', '-')
      .replaceAll('/', '_')
    if (value.toString('base64url') !== canonical) return { problem: 'is not base64' }
  } else if (/[\p{Cc}\uFFFD]/u.test(encoded)) {
    return { problem: 'is not text: put bytes as hex: or base64:' }
  }
  if (isKey(value) || isKey(Buffer.from(encoded, 'base64'))) return { problem: keyProblem }
  if (value.length < 32) {
    return { problem: `has ${value.length} bytes, but HS256 needs 32: ${remedy}` }
  }
  return value
}

/** A public key taken for a shared secret would let everyone sign. */
function isKey(value: Buffer): boolean {
  if (/-----BEGIN|["']kty/.test(value.toString('latin1'))) return true
  // Asking OpenSSL takes its time, and DER begins with a SEQUENCE (X.690 §8.9).
  if (value[0] !== 0x30) return false
  try {
    createPublicKey({ key: value, format: 'der', type: 'spki' })
    return true
  } catch {
    return false
  }
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
