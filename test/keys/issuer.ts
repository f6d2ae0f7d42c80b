// A contact center's side of public keys: an issuer that publishes them, and tokens that they sign.
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { exportJWK, SignJWT } from 'jose'
import { ids, inAnHour, listen } from '../stage.ts'

interface Scope {
  teardown(done: () => unknown): void
}

export interface Signer {
  readonly kid: string | null
  /** The public half, as it is published. */
  readonly jwk: Readonly<Record<string, unknown>>
  readonly token: (changes?: {
    readonly header?: Readonly<Record<string, unknown>>
    readonly claims?: Readonly<Record<string, unknown>>
    readonly alg?: string
  }) => Promise<string>
}

/** A new pair of keys for an algorithm. */
export async function createSigner(kid: string | null, alg = 'ES256'): Promise<Signer> {
  const { publicKey, privateKey } = pairFor(alg)
  const named = kid === null ? {} : { kid }
  return {
    kid,
    jwk: { ...(await exportJWK(publicKey)), ...named },
    token: ({ header = {}, claims = {}, alg: other = alg } = {}) =>
      new SignJWT({ userId: ids.userId, sessionId: ids.sessionId, exp: inAnHour(), ...claims })
        .setProtectedHeader({ alg: other, ...named, ...header })
        .sign(privateKey),
  }
}

function pairFor(alg: string): KeyPairKeyObjectResult {
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519')
  return alg === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

export interface Issuer {
  readonly url: URL
  readonly origin: string
  /** Paths, in the order in which they were asked for. */
  readonly asked: readonly string[]
  /** What it answers from now on. */
  answer: RequestListener
  /** Resolves when it has been asked so often. */
  readonly askedTimes: (count: number) => Promise<void>
}

/** A real HTTP server that publishes keys. */
export async function startIssuer(t: Scope, answer: RequestListener): Promise<Issuer> {
  const asked: string[] = []
  const waiting = new Set<() => void>()
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    issuer.answer(request, response)
    for (const check of waiting) check()
  })
  const port = await listen(server)
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://127.0.0.1:${port}`
  const issuer: Issuer = {
    url: new URL('/jwks', origin),
    origin,
    asked,
    answer,
    askedTimes: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (asked.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
  return issuer
}

/** Publishes these keys. */
export function publish(
  keys: readonly (Signer | object)[],
  headers: Readonly<Record<string, string>> = {},
): RequestListener {
  const text = JSON.stringify({ keys: keys.map((one) => ('jwk' in one ? one.jwk : one)) })
  return (_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/jwk-set+json', ...headers })
    response.end(text)
  }
}
