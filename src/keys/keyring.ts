import { hash, hkdfSync, type KeyObject } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import jwt, { type FastifyJWTOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { Remembered } from '../access/remembered.ts'
import { hash as urlTokenHash } from '../access/session.ts'
import type { Codec, Jwt, Key, Keyring, SessionKey } from '../access/token.ts'
import type { Config, ContactCenter, PublicKey } from '../settings/config.ts'
import { type Algorithm, algorithmsOf, identity } from './algorithms.ts'

type Settings = Pick<Config, 'contactCenters' | 'sessionSecrets' | 'upstreamSecret' | 'forwardAuth'>

/** The public keys that a contact center publishes, as far as they are known. */
export type PublishedKeys = (contactCenter: string) => readonly PublicKey[]

/**
 * One synchronous verifier and signer per key, made once. An asynchronous key function would have
 * @fastify/jwt rebuild its verifier on each request, and the access decision wait for it.
 */
export async function createKeyring(
  app: FastifyInstance,
  { contactCenters, sessionSecrets, upstreamSecret, forwardAuth }: Settings,
  publishedKeys: PublishedKeys = () => [],
  onContested: (contactCenters: readonly string[]) => void = () => {},
): Promise<Keyring> {
  const byName = new Map<string, readonly Key[]>()
  const byKid = new Map<string, Key[]>()
  const byUrlToken = new Map<string, Key[]>()
  const owners = new Map<string, string>()
  const ofAnyLink: Key[] = []
  const sessionKeys = new Map<unknown, SessionKey>()
  const upstreamSigners = new Map<string, Codec>()
  const codecs: CodecMaker = { app, verified: new Remembered(mostVerified) }
  // Read once: while verifiers are made, others may come.
  const offered = contactCenters.map((contactCenter) => ({
    contactCenter,
    published: publishedKeys(contactCenter.name),
  }))
  const sources = sourcesOf(offered)
  const contested = new Set<string>()
  /** Keys that several publish: whose a token is, the link's URLToken alone can say. */
  const ofLinksAlone = new Set<Key>()

  for (const { contactCenter, published } of offered) {
    const { name, secrets, urlTokens } = contactCenter
    const made: Key[] = []
    for (const secret of secrets) {
      const sessions = await createSessionKey(codecs, secret, name, '')
      const tokens = await createCodec(codecs, secret, ['HS256'])
      upstreamSigners.set(name, upstreamSigners.get(name) ?? tokens)
      const label = String(made.length + 1)
      const named = { label, kind: 'secret' } as const
      made.push({ ...keyOf(contactCenter, sessions, ['HS256'], tokens), ...named })
      sessionKeys.set(sessions.id, sessions)
      gather(byKid, name, made.slice(-1))
    }
    for (const publicKey of [...contactCenter.publicKeys, ...published]) {
      const { kid, key, alg } = publicKey
      const algorithms = algorithmsOf(key).filter((one) => one === (alg ?? one))
      if (algorithms.length === 0) continue
      const from = sources.get(identity(key)) ?? new Set()
      const isContested = from.size > 1 && !contactCenter.publicKeys.includes(publicKey)
      if (isContested) contested.add(name)
      // A file is the operator's word; what is published, anyone can copy.
      if (isContested && from.has(file)) continue
      const spki = key.export({ type: 'spki', format: 'der' })
      const thumbprint = hash('sha256', spki, 'base64url')
      let newest: SessionKey | null = null
      for (const secret of sessionSecrets) {
        const sessions = await createSessionKey(codecs, secret, name, thumbprint)
        sessionKeys.set(sessions.id, sessions)
        newest ??= sessions
      }
      if (newest === null) continue
      const tokens = await createCodec(codecs, { public: pem(key) }, algorithms)
      const named = { label: kid, kind: 'public key' } as const
      const verifier = { ...keyOf(contactCenter, newest, algorithms, tokens), ...named }
      made.push(verifier)
      if (isContested) ofLinksAlone.add(verifier)
      gather(byKid, kid, [verifier])
    }
    byName.set(name, made)
    // Of one alone whatever comes is meant for it, and its list says what of that is let in.
    if (urlTokens === null || contactCenters.length === 1) {
      ofAnyLink.push(...made.filter((key) => !ofLinksAlone.has(key)))
    }
    for (const urlToken of urlTokens ?? []) {
      gather(byUrlToken, urlToken, made)
      owners.set(urlTokenHash(urlToken), name)
    }
    // Of a thousand contact centers the requests of the gateway before must not wait.
    await setImmediate()
  }
  if (contested.size > 0) onContested([...contested])
  const upstreamSigner = upstreamSecret === null ? null : await createCodec(codecs, upstreamSecret)

  const keys = [...byName.values()].flat()
  const byId = new Map(keys.map((key) => [key.id, key]))

  return {
    contactCenters: new Map(contactCenters.map((one) => [one.name, one])),
    keys,
    keysOf: (name) => byName.get(name) ?? [],
    key: (id) => byId.get(id) ?? null,
    candidates(kid, urlToken) {
      const linked = urlToken === null ? undefined : byUrlToken.get(urlToken)
      const named = (typeof kid === 'string' ? (byKid.get(kid) ?? []) : []).filter(
        (key) => !ofLinksAlone.has(key) || linked?.includes(key),
      )
      // Those who share an issuer have the same keys: the link says whose token it is.
      const both = named.filter((key) => linked?.includes(key))
      if (both.length > 0) return both
      return named.length > 0 ? named : (linked ?? ofAnyLink)
    },
    sessionKey: (id) => sessionKeys.get(id) ?? null,
    ownerOf: (hashed) => owners.get(hashed) ?? null,
    resign:
      forwardAuth !== 'resign'
        ? null
        : ({ contactCenter }, { userId, sessionId, URLToken }, now) => {
            const signer = upstreamSigner ?? upstreamSigners.get(contactCenter.name)
            const iat = Math.floor(now / 1000)
            const exp = iat + upstreamTokenLasts
            // The settings are refused where nothing could sign.
            return signer?.sign({ userId, sessionId, URLToken, iat, exp }) ?? ''
          },
  }
}

/** In seconds: as long as the upstream may take to look at it. */
const upstreamTokenLasts = 60

const file = 'file'

/**
 * Where each public key comes from: a file, or the addresses at which it is published. Contact centers
 * that the settings give one file or one address have it from one place.
 */
function sourcesOf(
  offered: readonly {
    readonly contactCenter: ContactCenter
    readonly published: readonly PublicKey[]
  }[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const sources = new Map<string, Set<string>>()
  const add = (source: string, keys: readonly PublicKey[]): void => {
    for (const { key } of keys) {
      if (algorithmsOf(key).length === 0) continue
      const id = identity(key)
      sources.set(id, (sources.get(id) ?? new Set()).add(source))
    }
  }
  for (const { contactCenter, published } of offered) {
    add(file, contactCenter.publicKeys)
    add(contactCenter.jwksUrl?.href ?? '', published)
  }
  return sources
}

function gather(map: Map<string, Key[]>, name: string, keys: readonly Key[]): void {
  map.set(name, [...(map.get(name) ?? []), ...keys])
}

function keyOf(
  contactCenter: ContactCenter,
  sessions: SessionKey,
  algorithms: readonly string[],
  { verify }: Codec,
): Omit<Key, 'label' | 'kind'> {
  return { id: sessions.id, contactCenter, algorithms, verifyToken: verify, sessions }
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString()
}

/**
 * Derived (RFC 5869), a key of its own for each use: nothing signed for one passes for another, and
 * sessions end with the secret, or the public key, that they were opened by.
 */
async function createSessionKey(
  codecs: CodecMaker,
  secret: Buffer,
  contactCenter: string,
  thumbprint: string,
): Promise<SessionKey> {
  const derive = (use: string, length = 32): Buffer => {
    const info = JSON.stringify(['copilot-gateway session', use, contactCenter, thumbprint])
    return Buffer.from(hkdfSync('sha256', secret, '', info, length))
  }
  const id = derive('id', 6).toString('base64url')
  return {
    id,
    contactCenter,
    cookie: await createCodec(codecs, derive('cookie'), ['HS256'], id),
    parameter: await createCodec(codecs, derive('parameter'), ['HS256'], id),
  }
}

interface CodecMaker {
  readonly app: FastifyInstance
  readonly verified: Remembered<{ readonly by: object; readonly jwt: Jwt }>
}

/** Tokens and cookies of as many agents at once as a process will serve. */
const mostVerified = 65_536

async function createCodec(
  { app, verified }: CodecMaker,
  secret: Buffer | { readonly public: string },
  algorithms: readonly Algorithm[] = ['HS256'],
  kid?: string,
): Promise<Codec> {
  // A scope each: @fastify/jwt keeps one secret a scope.
  const scopes: FastifyInstance[] = []
  await app.register(async (scope) => {
    await scope.register(jwt, options(secret, algorithms, kid))
    scopes.push(scope)
  })
  const { sign, verify } = (scopes[0] ?? app).jwt
  return {
    sign: (claims) => sign(claims),
    verify(text) {
      const known = verified.get(text)
      // Signed here for another use, or by another key: it proves nothing to this one.
      if (known?.by === sign) return known.jwt
      const jwt = attempt(() => verify<Jwt>(text))
      if (jwt === null) return null
      const { header, payload } = jwt
      const frozen = { header: Object.freeze(header), payload: Object.freeze(payload) }
      verified.set(text, { by: sign, jwt: Object.freeze(frozen) })
      return frozen
    },
  }
}

/** Nobody reads why it failed: to trace the stack of the error costs more than to verify. */
function attempt<Result>(step: () => Result): Result | null {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return step()
  } catch {
    return null
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/**
 * The times are judged by access/, which is given the clock. `kid` names the key in what it signs, and
 * what has none is dated: where options come with a call, @fastify/jwt builds a signer for it.
 */
function options(
  secret: Buffer | { readonly public: string },
  algorithms: readonly Algorithm[],
  kid: string | undefined,
): FastifyJWTOptions {
  return {
    secret,
    sign: {
      ...(Buffer.isBuffer(secret) ? { algorithm: 'HS256' } : {}),
      // Undated, it would drop an `iat` that is there.
      ...(kid === undefined ? {} : { kid, noTimestamp: true }),
    },
    verify: {
      algorithms: [...algorithms],
      complete: true,
      ignoreExpiration: true,
      ignoreNotBefore: true,
    },
  }
}
