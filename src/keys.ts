import { hkdfSync } from 'node:crypto'
import jwt, { type FastifyJWTOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import type { Codec, Jwt, Key } from './access/token.ts'
import type { ContactCenter } from './settings/config.ts'

/**
 * One synchronous verifier and signer per secret, made once. An asynchronous key function would have
 * @fastify/jwt rebuild its verifier on each request, and the access decision wait for it.
 */
export async function createKeys(
  app: FastifyInstance,
  contactCenter: ContactCenter,
): Promise<readonly Key[]> {
  const keys: Key[] = []
  for (const secret of contactCenter.secrets) {
    // RFC 5869. A key of its own for each use: nothing signed for one passes for another.
    const derive = (use: string): Buffer =>
      Buffer.from(hkdfSync('sha256', secret, '', `copilot-gateway session ${use}`, 32))
    const tokens = await createCodec(app, secret)
    keys.push({
      contactCenter,
      verifyToken: tokens.verify,
      cookie: await createCodec(app, derive('cookie')),
      parameter: await createCodec(app, derive('parameter')),
    })
  }
  return keys
}

async function createCodec(app: FastifyInstance, secret: Buffer): Promise<Codec> {
  // A scope each: @fastify/jwt keeps one secret a scope.
  const scopes: FastifyInstance[] = []
  await app.register(async (scope) => {
    await scope.register(jwt, options(secret))
    scopes.push(scope)
  })
  const { sign, verify } = (scopes[0] ?? app).jwt
  return {
    sign: (claims) => sign(claims),
    verify(text) {
      try {
        return verify<Jwt>(text)
      } catch {
        return null
      }
    },
  }
}

/** The times are judged by access/, which is given the clock. */
function options(secret: Buffer): FastifyJWTOptions {
  return {
    secret,
    sign: { algorithm: 'HS256', noTimestamp: true },
    verify: {
      algorithms: ['HS256'],
      complete: true,
      ignoreExpiration: true,
      ignoreNotBefore: true,
    },
  }
}
