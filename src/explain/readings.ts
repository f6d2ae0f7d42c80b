import { createHmac } from 'node:crypto'
import type { ContactCenter } from '../settings/config.ts'

/** By what the examples of jwt.io, and of those who copy them, are signed. */
const examples = ['your-256-bit-secret', 'a-string-secret-at-least-256-bits-long', 'secret']

/**
 * Which other reading of a contact center's secrets signed a token with HS256, as what its signer did;
 * null for none. Nothing is let in by it.
 */
export function otherReading(token: string, contactCenter: ContactCenter): string | null {
  for (const [index, secret] of contactCenter.secrets.entries()) {
    for (const [key, said] of readings(secret, `Secret ${index + 1} of ${contactCenter.name}`)) {
      // Text that is not of an encoding comes to next to nothing.
      if (key.length >= 16 && isSignedBy(token, key)) return said
    }
  }
  return null
}

/** Whether everybody knows the secret that signed a token. */
export function isExample(token: string): boolean {
  return examples.some((text) => isSignedBy(token, text))
}

function isSignedBy(token: string, key: string | Buffer): boolean {
  const at = token.lastIndexOf('.')
  const signature = createHmac('sha256', key).update(token.slice(0, at)).digest('base64url')
  return signature === token.slice(at + 1)
}

/** What signers make of the same secret, from the most frequent on. */
function readings(secret: Buffer, named: string): (readonly [Buffer | string, string])[] {
  const text = secret.toString()
  const [hex, base64, base64url] = [
    secret.toString('hex'),
    secret.toString('base64'),
    secret.toString('base64url'),
  ]
  const read = (encoding: string): string =>
    `The token verifies if the secret is read as ${encoding}. ${named} is read otherwise: put ${encoding}: before it in the settings, or have the contact center sign by the same bytes.`
  const asText = (encoding: string): string =>
    `The token is signed by the ${encoding} text of ${named.toLowerCase()}, not by the bytes that it stands for: take ${encoding}: from before it in the settings, or have the contact center decode it first.`
  const without = `The token is signed by ${named.toLowerCase()} with something around it`
  return [
    [Buffer.from(text, 'hex'), read('hex')],
    [Buffer.from(text, 'base64'), read('base64')],
    [hex, asText('hex')],
    [hex.toUpperCase(), asText('hex')],
    [base64, asText('base64')],
    [base64url, asText('base64')],
    ...['hex', 'base64', 'utf8'].flatMap((prefix): (readonly [string, string])[] =>
      [hex, base64, text].map((encoded) => [
        `${prefix}:${encoded}`,
        `${without}: the gateway’s ${prefix}: is no part of it. Have the contact center leave that away.`,
      ]),
    ),
    ...['\n', '\r\n', ' '].flatMap((end): (readonly [string, string])[] => [
      [
        `${text}${end}`,
        `${without}: white space at its end. Have the contact center trim what it reads.`,
      ],
    ]),
    ...['"', "'"].flatMap((quote): (readonly [string, string])[] => [
      [`${quote}${text}${quote}`, `${without}: quotes. Have the contact center leave them away.`],
    ]),
    [
      text.replace(/^(["'])(.*)\1$/s, '$2'),
      `The token is signed by ${named.toLowerCase()} without the quotes around it: leave them away in the settings.`,
    ],
  ]
}
