import { createPublicKey, type JsonWebKey } from 'node:crypto'
import type { PublicKey } from '../settings/config.ts'
import { algorithmsOf, mostKeys } from './algorithms.ts'

/** What tokens may be verified with of a JWK Set, and how many of its keys are not for that. */
export interface KeySet {
  readonly keys: readonly SetKey[]
  readonly leftOut: number
}

/** `kid`: null where the key has none. */
export type SetKey = Omit<PublicKey, 'kid'> & { readonly kid: string | null }

const mostEntries = 100

/** Of the keys that are taken. */
const mostWithoutKid = 4

/** Why a text is of no use: it is no JWK Set, or one with too many keys, or with none that fits. */
export type Unusable = 'JWKS_INVALID' | 'JWKS_TOO_MANY_KEYS' | 'JWKS_NO_KEY'

/** Reads a JWK Set (RFC 7517 §5). */
export function readKeySet(text: string): KeySet | Unusable {
  const entries = entriesOf(text)
  if (entries === null) return 'JWKS_INVALID'
  if (entries.length > mostEntries) return 'JWKS_TOO_MANY_KEYS'
  const keys: SetKey[] = []
  for (const entry of entries) {
    const read = readKey(entry)
    if (read === null || keys.some((other) => isTwin(other, read))) continue
    const alike = keys.filter(({ kid }) => kid === null)
    const isOver = read.kid === null && alike.length >= mostWithoutKid
    if (keys.length < mostKeys && !isOver) keys.push(read)
  }
  return keys.length === 0 ? 'JWKS_NO_KEY' : { keys, leftOut: entries.length - keys.length }
}

function entriesOf(text: string): readonly unknown[] | null {
  try {
    const entries: unknown = Reflect.get(Object(JSON.parse(text)), 'keys')
    return Array.isArray(entries) ? entries : null
  } catch {
    return null
  }
}

/** A `kid` stands for one key (RFC 7517 §4.5), which may be there once for each of its algorithms. */
function isTwin(one: SetKey, other: SetKey): boolean {
  if (one.key.equals(other.key)) return one.kid === other.kid && one.alg === other.alg
  return one.kid !== null && one.kid === other.kid
}

// RFC 7518 §6.2.2, §6.3.2, §6.4: who shows one of these has shown the key to everyone.
const secretParts = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

function readKey(entry: unknown): SetKey | null {
  if (typeof entry !== 'object' || entry === null) return null
  const { kid = null, alg = null, use = 'sig', key_ops: uses = ['verify'], ...jwk } = jwkOf(entry)
  if (use !== 'sig' || !Array.isArray(uses) || !uses.includes('verify')) return null
  if (secretParts.some((part) => part in jwk)) return null
  if (kid !== null && !(typeof kid === 'string' && /^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u.test(kid))) {
    return null
  }
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const algorithms: readonly string[] = algorithmsOf(key)
    if (algorithms.length === 0) return null
    if (alg === null) return { kid, key }
    return typeof alg === 'string' && algorithms.includes(alg) ? { kid, key, alg } : null
  } catch {
    return null
  }
}

function jwkOf(entry: object): JsonWebKey {
  return { ...entry }
}
