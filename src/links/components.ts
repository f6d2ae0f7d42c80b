import type { Document, Operation, Schema } from './reference-page.ts'

/** A schema, or where it stands. */
type Shared = Schema | { readonly $ref: string }

/**
 * The document with each schema under a name of its own, which programs that are made of it call their types
 * by, and written once. What checks bodies is left as it is: it tells the alternatives apart by their place.
 */
export function withComponents(document: Document): object {
  const schemas: Record<string, Schema> = {}
  const share = (name: string, schema: Schema): Shared => {
    schemas[name] = schema
    return { $ref: `#/components/schemas/${name}` }
  }

  function shareBody(name: string, { oneOf = [] }: Schema): object {
    return { oneOf: oneOf.map((one) => share(name + inOneWord(one.title ?? ''), one)) }
  }

  function shareOf(operation: Operation): object {
    const name = inOneWord(operation.operationId)
    const { requestBody, responses } = operation
    const body = requestBody?.content['application/json']
    const shared = Object.entries(responses).map(([status, { content = {}, ...response }]) => {
      const media = Object.entries(content).map(([type, { schema, ...more }]) => {
        const which = type === 'application/problem+json' ? 'Problem' : `${name}Answer`
        return [type, { ...more, schema: share(which, schema) }]
      })
      return [status, media.length > 0 ? { ...response, content: from(media) } : response]
    })
    return {
      ...operation,
      ...(body && {
        requestBody: {
          ...requestBody,
          content: { 'application/json': { ...body, schema: shareBody(name, body.schema) } },
        },
      }),
      responses: from(shared),
    }
  }

  const paths = Object.entries(document.paths).map(([path, methods]) => [
    path,
    from(Object.entries(methods).map(([method, one]) => [method, shareOf(one)])),
  ])
  return { ...document, paths: from(paths), components: { ...document.components, schemas } }
}

function from(entries: readonly (readonly unknown[])[]): object {
  return Object.fromEntries(entries)
}

/** `signLink` as SignLink, and `By a User-to-User value` as ByAUserToUserValue. */
function inOneWord(text: string): string {
  return text
    .split(/[^a-z]+/i)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
}
