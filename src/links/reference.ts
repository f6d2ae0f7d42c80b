import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'

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
            'The id and the secret of a client (RFC 7617), a server of the contact center’s. It signs for its own contact center only.',
        },
      },
    },
  },
} as const

/** As much of an OpenAPI 3.1 document as the page shows. */
interface Document {
  readonly info: { readonly title: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, { readonly description: string }>>
  }
}

interface Operation {
  readonly summary: string
  readonly description: string
  readonly security?: readonly unknown[]
  readonly parameters?: readonly {
    readonly name: string
    readonly required?: boolean
    readonly schema: Schema
    readonly description?: string
  }[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Content }>
  >
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>

interface Schema {
  readonly title?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly oneOf?: readonly Schema[]
}

const style = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --page: #fff; --line: #d0d7de; --mark: #f6f8fa; --link: #0550ae }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #9198a1; --page: #0d1117; --line: #3d444d; --mark: #161b22; --link: #79b8ff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 52rem; margin: 0 auto; padding: clamp(1.25rem, 6vw, 3rem) clamp(.75rem, 4vw, 2rem) }
h1, h2, h3, h4 { line-height: 1.3; text-wrap: balance }
h1 { margin: 0 0 .75rem; font-size: 1.5rem }
h2 { margin: 2.5rem 0 .5rem; padding-top: 1.25rem; border-top: 1px solid var(--line); font-size: 1.125rem }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem }
h4 { margin: 1rem 0 .25rem; font-size: .875rem; color: var(--muted) }
p { margin: 0 0 1rem }
a { color: var(--link) }
code { font: .8125rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
.route { display: block; padding: .5rem .75rem; background: var(--mark); border: 1px solid var(--line); border-radius: 6px; margin-bottom: .75rem }
dl { margin: 0 0 1rem; display: grid; grid-template-columns: minmax(8rem, max-content) 1fr }
dt, dd { margin: 0; padding: .375rem 1rem .375rem 0; border-top: 1px solid var(--line) }
dd small { display: block; color: var(--muted) }
@media (max-width: 34rem) { dl { display: block } dd { padding-top: 0; border: 0 } }
`

const csp = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * Serves the OpenAPI document, and a page of it for people. Both are open: they tell what the API is,
 * nothing of who uses it.
 */
export function addReference(app: FastifyInstance): void {
  const hidden = { schema: { hide: true } }
  let json = ''
  let page = ''
  app.addHook('onReady', async () => {
    json = JSON.stringify(app.swagger())
    page = render(JSON.parse(json))
  })
  app.addHook('onRequest', async ({ visit }) => {
    if (visit !== null) visit.told.asked = 'reference'
  })
  app.get('/openapi.json', hidden, (_, reply) => reply.type('application/json').send(json))
  app.get('/', hidden, (_, reply) =>
    reply.header('content-security-policy', csp).type('text/html; charset=utf-8').send(page),
  )
}

function render({ info, paths, components }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => renderOperation(path, method, operation)),
  )
  const schemes = Object.values(components.securitySchemes)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(info.title)}</title>
<style>${style}</style>
<main>
<h1>${text(info.title)}</h1>
<p>${text(info.description)} <a href="openapi.json">The same for programs</a> (OpenAPI 3.1).</p>
${schemes.map(({ description }) => `<p>${text(description)}</p>`).join('\n')}
${operations.join('\n')}
</main>
</html>
`
}

function renderOperation(path: string, method: string, operation: Operation): string {
  const { summary, description, security = [], parameters = [], requestBody, responses } = operation
  const bodies = schemasOf(requestBody?.content)
  const credential = security.length > 0 ? 'A client’s id and secret.' : 'None.'
  return `<section>
<h2>${text(summary)}</h2>
<code class="route">${method.toUpperCase()} ${text(path)}</code>
<p>${text(description)}</p>
<h3>Credential</h3>
<p>${credential}</p>
${parameters.length === 0 ? '' : '<h3>In the path</h3>'}
${list(parameters.map(({ name, schema, description = '' }) => field(name, { description, ...schema }, true)))}
${bodies.length === 0 ? '' : '<h3>Body</h3>'}
${bodies.map(renderSchema).join('\n')}
<h3>Answers</h3>
${list(Object.entries(responses).map(renderResponse))}
</section>`
}

function renderResponse([status, { description, content }]: readonly [
  string,
  Operation['responses'][string],
]): string {
  const isOurs = content !== undefined && 'application/json' in content
  const fields = isOurs ? schemasOf(content).map(renderSchema).join('') : ''
  return `<dt><code>${text(status)}</code></dt><dd>${text(description)}${fields}</dd>`
}

function schemasOf(content: Content = {}): readonly Schema[] {
  return Object.values(content).flatMap(({ schema }) => schema.oneOf ?? [schema])
}

function renderSchema({ title, properties = {}, required = [] }: Schema): string {
  const fields = Object.entries(properties).flatMap(([name, schema]) => [
    field(name, schema, required.includes(name)),
    ...Object.entries(schema.properties ?? {}).map(([inner, one]) =>
      field(`${name}.${inner}`, one, false),
    ),
  ])
  return `${title === undefined ? '' : `<h4>${text(title)}</h4>`}${list(fields)}`
}

function field(name: string, schema: Schema, isRequired: boolean): string {
  const { type = '', description = '', default: standard, maxLength, minimum, maximum } = schema
  const limits = [
    [type].flat().join(' or '),
    isRequired ? 'required' : '',
    maxLength === undefined ? '' : `at most ${maxLength} characters`,
    minimum === undefined ? '' : `${minimum} to ${maximum}`,
    standard === undefined ? '' : `${standard} unless said`,
  ]
  const small = `<small>${text(limits.filter((limit) => limit !== '').join(', '))}</small>`
  return `<dt><code>${text(name)}</code></dt><dd>${text(description)}${small}</dd>`
}

function list(items: readonly string[]): string {
  return items.length === 0 ? '' : `<dl>${items.join('\n')}</dl>`
}

function text(written: string): string {
  return written.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)
}
