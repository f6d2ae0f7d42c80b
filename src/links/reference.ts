import type { FastifyInstance } from 'fastify'
import { withComponents } from './components.ts'
import { pageCsp, renderReference } from './reference-page.ts'

/** What the document says beside the routes. */
export const described = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Links API',
      version: '1',
      description:
        'Signs the links by which the agents of a contact center open Copilot. Bodies and answers are JSON. What is refused is answered with problem details (RFC 9457), whose errors name each field at fault.',
    },
    components: {
      securitySchemes: {
        client: {
          type: 'http',
          scheme: 'basic',
          description:
            'Clients are servers of contact centers, and authenticate by HTTP Basic (RFC 7617), over HTTPS: an id, and a secret of 64 hex digits. A client signs for its own contact center only.',
        },
      },
    },
  },
} as const

/**
 * Serves the OpenAPI document, and a page of it for people. Both are open: they tell what the API is,
 * nothing of who uses it.
 */
export function addReference(app: FastifyInstance): void {
  const hidden = { schema: { hide: true } }
  let json = ''
  let page = ''
  app.addHook('onReady', async () => {
    const document = JSON.parse(JSON.stringify(app.swagger()))
    json = JSON.stringify(withComponents(document))
    page = renderReference(document)
  })
  app.addHook('onRequest', async ({ visit }) => {
    if (visit !== null) visit.told.asked = 'reference'
  })
  app.get('/openapi.json', hidden, (_, reply) => reply.type('application/json').send(json))
  app.get('/', hidden, (_, reply) =>
    reply.header('content-security-policy', pageCsp).type('text/html; charset=utf-8').send(page),
  )
}
