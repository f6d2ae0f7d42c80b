import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

/** What a link is made of, kept until it is asked for. */
export interface Kept {
  readonly contactCenter: string
  /** The id of the client that had it kept. */
  readonly client: string
  readonly userId: string
  readonly sessionId: string
  readonly urlToken: string
  /** How long the link then opens the workspace, in ms. */
  readonly expiresIn: number
  /** When it was put there, in ms since the epoch. */
  readonly at: number
}

/** Under what a store keeps what this name leads to: nobody gets from it to the name. */
export function keyOf(name: Buffer): string {
  return createHash('sha256').update(name).digest('base64url')
}

/** Encrypted so that only who knows the name can read it: whoever sees the store does not. */
export function seal(name: Buffer, kept: Kept): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secretOf(name), iv)
  const text = Buffer.concat([cipher.update(JSON.stringify(kept)), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url')
}

/** Null where it was not sealed under this name. */
export function unseal(name: Buffer, sealed: string): Kept | null {
  const bytes = Buffer.from(sealed, 'base64url')
  try {
    const decipher = createDecipheriv('aes-256-gcm', secretOf(name), bytes.subarray(0, 12), {
      authTagLength: 16,
    })
    decipher.setAuthTag(bytes.subarray(12, 28))
    const text = Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
    return JSON.parse(text.toString())
  } catch {
    return null
  }
}

function secretOf(name: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', name, '', 'copilot-gateway kept link', 32))
}
