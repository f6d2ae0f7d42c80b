import type { KeyObject } from 'node:crypto'

export type Algorithm = 'HS256' | 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

/** Of a contact center, public ones: a token that names none is tried against each. */
export const mostKeys = 10

/**
 * What a key may have signed by, which its type tells alone: never what a token says (RFC 8725 §3.1).
 * None, where anyone could sign: RFC 7518 §3.3, and by an exponent of 1 a message signs itself. And
 * none, where whoever verifies would be kept busy: most of all by a long exponent.
 */
export function algorithmsOf(key: KeyObject): readonly Algorithm[] {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const isStrong = modulusLength >= 2048 && publicExponent > 2n
      const isCheap = modulusLength <= 4096 && publicExponent <= 2n ** 32n
      return isStrong && isCheap ? ['RS256', 'PS256'] : []
    }
    case 'ec':
      return namedCurve === 'prime256v1' ? ['ES256'] : []
    case 'ed25519':
      return ['EdDSA']
    default:
      return []
  }
}

/** The same for the same key, however a file spells it (RFC 7638 §3.2). */
export function identity(key: KeyObject): string {
  const { crv, x, y, n, e } = key.export({ format: 'jwk' })
  return JSON.stringify([crv, x, y, n, e])
}
