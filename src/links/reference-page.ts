import { createHash } from 'node:crypto'

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
  readonly examples?: readonly unknown[]
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
.route, pre { display: block; overflow-x: auto; padding: .5rem .75rem; background: var(--mark); border: 1px solid var(--line); border-radius: 6px; margin-bottom: .75rem }
dl { margin: 0 0 1rem; display: grid; grid-template-columns: minmax(8rem, max-content) 1fr }
dt, dd { margin: 0; padding: .375rem 1rem .375rem 0; border-top: 1px solid var(--line) }
dd small { display: block; color: var(--muted) }
@media (max-width: 34rem) { dl { display: block } dd { padding-top: 0; border: 0 } }
`

/** The CSP of the page. */
export const pageCsp = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** A page for people of an OpenAPI document's JSON, which needs no script. */
export function renderReference(json: string): string {
  const { info, paths, components }: Document = JSON.parse(json)
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

function renderSchema({ title, properties = {}, required = [], examples = [] }: Schema): string {
  const fields = Object.entries(properties).flatMap(([name, schema]) => [
    field(name, schema, required.includes(name)),
    ...Object.entries(schema.properties ?? {}).map(([inner, one]) =>
      field(`${name}.${inner}`, one, false),
    ),
  ])
  const heading = title === undefined ? '' : `<h4>${text(title)}</h4>`
  const shown = examples.map(
    (one) => `<pre><code>${text(JSON.stringify(one, null, 2))}</code></pre>`,
  )
  return `${heading}${shown.join('')}${list(fields)}`
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
