import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { isAuthority } from '../access/target.ts'
import { makeRoom } from '../admin/room.ts'
import { listeningAt, renewListener, secureContext } from '../listener.ts'
import type { Config } from '../settings/config.ts'
import type { Counts } from '../state/refusals.ts'
import { readError, readJson } from './faults.ts'
import { createKeeping } from './keeping.ts'
import { know } from './known.ts'
import { reasonOf } from './reasons.ts'
import { addReference, described } from './reference.ts'
import { refuse } from './refusing.ts'
import { addRoutes } from './routes.ts'
import { createStore } from './store.ts'
import { beginVisit, visitOf } from './visit.ts'

export interface Links {
  /** Where it listens, as an origin. */
  readonly address: string
  /** Goes on with other settings: what is kept stays, as far as these allow it. */
  readonly reload: (config: Config) => void
  /** Answers what is on its way, for DRAIN_TIMEOUT at the most, and is done. */
  readonly close: () => Promise<void>
}

const most = { connections: 1000, body: 16 * 1024, parameter: 4096 }

/** What came of a request, in words that metrics may have as labels; '' where there is none. */
export type Outcome = Readonly<Record<'asked' | 'reason' | 'contact_center', string>>

/**
 * Opens the links API; null where the settings want none. `gateway` is where the public listener
 * listens, for links without a PUBLIC_URL; `count` hears of each request. Rejects where the address
 * can't be had.
 */
export async function openLinks(
  initial: Config,
  gateway: string,
  log: Logger,
  count: (outcome: Outcome) => void = () => {},
): Promise<Links | null> {
  const { links, listener, redisUrl } = initial
  if (links === null) return null
  const counts: Counts = new Map()
  let closing = false
  let known = know(initial, gateway, counts)
  const app = createApp(initial)
  const endIdle = makeRoom(app.server, most.connections)
  app.decorateRequest('visit', null)
  app.addHook('onRequest', async (request, reply) => {
    const refused = begin(request, reply)
    if (refused !== undefined || !request.is404) return refused
    // Before a body is waited for: whoever sends none would hold the connection.
    return refuse(request, reply, 'not-found')
  })
  app.addHook('onSend', async (_, reply) => {
    // RFC 9112 §9.6: what is kept alive would be waited for.
    if (closing) reply.header('connection', 'close')
  })
  app.addHook('onResponse', async (request, reply) => conclude(request, reply))
  app.setErrorHandler((error, request, reply) => {
    const { status, faults } = readError(error, request.body)
    if (status >= 500) log.error({ event: 'internal-error', err: error })
    return refuse(request, reply, reasonOf(status), faults)
  })
  const store = await createStore(redisUrl, log)
  try {
    await app.register(swagger, described)
    // In a scope of its own, so that the document hears of each route.
    await app.register(async (api) => addRoutes(api, createKeeping(store)))
    await app.register(async (api) => addReference(api))
    await app.listen({ host: links.host, port: links.port })
  } catch (error) {
    await app.close()
    await store.close()
    throw error
  }
  return {
    address: listeningAt(app.server, listener.tls === null ? 'http' : 'https'),
    reload(config) {
      known = know(config, gateway, counts)
      renewListener(app.server, withoutClientCa(config))
    },
    async close() {
      closing = true
      const late = setTimeout(() => app.server.closeAllConnections(), known.drainTimeout)
      const closed = app.close()
      endIdle()
      await closed
      clearTimeout(late)
      await store.close()
    },
  }

  function begin(request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
    const { requestId, origin } = beginVisit(request, known)
    reply.headers({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-request-id': requestId,
      ...(known.secure && { 'strict-transport-security': 'max-age=31536000' }),
    })
    const { headers, rawHeaders } = request.raw
    const hosts = rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host')
    // A port past 65535, for one, is in no URL.
    const isHost = isAuthority(headers.host ?? '') && URL.canParse(origin)
    if (hosts.length === 1 && isHost) return undefined
    const problem = hosts.length === 1 ? 'is no host and port' : 'must be there once'
    return refuse(request, reply, 'request-malformed', [{ field: 'Host', problem }])
  }

  function conclude(request: FastifyRequest, reply: FastifyReply): void {
    const { told, requestId, ip } = visitOf(request)
    const durationMs = Math.round(reply.elapsedTime)
    log.info({ event: 'link', ...told, status: reply.statusCode, requestId, ip, durationMs })
    const { asked = '', reason = '', contactCenter = '' } = told
    count({ asked, reason, contact_center: contactCenter })
  }

  function createApp(config: Config): FastifyInstance {
    const { tls, headersTimeout } = withoutClientCa(config).listener
    const options = {
      headersTimeout,
      // Bodies are small.
      requestTimeout: headersTimeout + 10_000,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 32 * 1024,
      requireHostHeader: false,
    }
    const app = fastify({
      logger: false,
      bodyLimit: most.body,
      routerOptions: { maxParamLength: most.parameter },
      // Nothing is made to fit, and every field that is wrong is named.
      ajv: {
        customOptions: {
          removeAdditional: false,
          coerceTypes: false,
          useDefaults: false,
          allErrors: true,
          allowUnionTypes: true,
        },
      },
      serverFactory(handler): Server {
        if (tls === null) return createServer(options, handler)
        return createSecureServer({ ...options, ...secureContext(tls) }, handler)
      },
      // A target that the router can't read meets no hook.
      frameworkErrors({ code }, request, reply) {
        const isLong = code === 'FST_ERR_MAX_PARAM_LENGTH'
        const problem = isLong ? 'is too long' : 'is not percent-encoded as it should be'
        const fault = { field: 'path', problem }
        if (begin(request, reply) === undefined) {
          refuse(request, reply, 'request-malformed', [fault])
        }
        conclude(request, reply)
      },
    })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(
      'application/json',
      { parseAs: 'string' },
      async (_: FastifyRequest, text: string) => readJson(text),
    )
    return app
  }
}

/** Clients show their secrets here, and agents their certificates where short links lead. */
function withoutClientCa({ listener, ...config }: Config): Config {
  const tls = listener.tls && { ...listener.tls, clientCa: null }
  return { ...config, listener: { ...listener, tls } }
}
