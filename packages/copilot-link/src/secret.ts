import { createPublicKey } from 'node:crypto'

/** A problem follows the name of the secret in a sentence, and quotes nothing of it. */
export interface SecretProblem {
  readonly problem: string
}

export const keyProblem =
  'holds a PEM, DER or JWK key; a public key is no secret: give the shared secret itself'

export const remedy = 'take hex: and what openssl rand -hex 32 prints'

/** The bytes of one shared secret: `hex:`, `base64:` (base64url too) or `utf8:` and text, or the text itself. */
export function decodeSecret(text: string): Buffer | SecretProblem {
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
  return isKey(Buffer.from(encoded, 'base64')) ? { problem: keyProblem } : checkBytes(value)
}

/** HS256 needs a secret of 32 bytes (RFC 7518 §3.2). */
export function checkBytes(value: Buffer): Buffer | SecretProblem {
  if (isKey(value)) return { problem: keyProblem }
  if (value.length >= 32) return value
  return { problem: `has ${value.length} bytes, but HS256 needs 32: ${remedy}` }
}

/** A public key taken for a shared secret would let everyone sign. */
export function isKey(value: Buffer): boolean {
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
