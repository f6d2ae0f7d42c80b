import { hkdfSync } from 'node:crypto'
import jwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import type { Jwt, Key } from './access/token.ts'
import type { ContactCenter } from './settings.ts'

/**
 * One synchronous verifier and signer per secret, made once. An asynchronous key function would have
 * @fastify/jwt rebuild its verifier on each request, and the access decision wait for it.
 */
export async function createKeys(
  app: FastifyInstance,
  contactCenter: ContactCenter,
): Promise<Key[]> {
  return Promise.all(
    contactCenter.secrets.map(async (secret) => {
      // RFC 5869. A key of its own for sessions: no token is a session, and no session a token.
      const derived = hkdfSync('sha256', secret, '', 'copilot-gateway session cookie', 32)
      const tokens = await createCodec(app, secret)
      const sessions = await createCodec(app, Buffer.from(derived))
      return {
        contactCenter,
        verifyToken: tokens.verify,
        verifySession: sessions.verify,
        signSession: sessions.sign,
      }
    }),
  )
}

interface Codec {
  readonly verify: (text: string) => Jwt | null
  readonly sign: (claims: Readonly<Record<string, string | number>>) => string
}

async function createCodec(app: FastifyInstance, secret: Buffer): Promise<Codec> {
  let codec: Codec | null = null
  // A scope each: the plugin keeps one secret per scope.
  await app.register(async (scope) => {
    await scope.register(jwt, {
      secret,
      sign: { algorithm: 'HS256', noTimestamp: true },
      // The times are judged by access/, which is given the clock.
      verify: {
        algorithms: ['HS256'],
        complete: true,
        ignoreExpiration: true,
        ignoreNotBefore: true,
      },
    })
    const { sign, verify } = scope.jwt
    codec = {
      sign: (claims) => sign(claims),
      verify(text) {
        try {
          const { header, payload }: Jwt = verify(text)
          return { header, payload }
        } catch {
          return null
        }
      },
    }
  })
  if (codec === null) throw new Error('@fastify/jwt did not register')
  return codec
}
