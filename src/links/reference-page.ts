import { createHash } from 'node:crypto'

/** As much of an OpenAPI 3.1 document as the page shows. */
export interface Document {
  readonly info: { readonly title: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, { readonly description: string }>>
  }
}

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly security?: readonly unknown[]
  /** How it is asked, for people. */
  readonly 'x-codeSamples'?: readonly { readonly source: string }[]
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

type Content = Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>>

export interface Schema {
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
dl { margin: 0 0 1rem; display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr) }
dt, dd { margin: 0; padding: .375rem 1rem .375rem 0; border-top: 1px solid var(--line) }
dd dl, dd pre { margin: .5rem 0 }
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

/** A page for people of an OpenAPI document, which needs no script. */
export function renderReference({ info, paths, components }: Document): string {
  const said = new Map<string, string>()
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      renderOperation(path, method, operation, said),
    ),
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

/** `said` has whose body was which, so that none is told twice. */
function renderOperation(
  path: string,
  method: string,
  operation: Operation,
  said: Map<string, string>,
): string {
  const { summary, description, security = [], parameters = [], requestBody, responses } = operation
  const bodies = schemasOf(requestBody?.content)
  const common = commonOf(bodies)
  const own = JSON.stringify(bodies.map((one) => ownOf(one, common)))
  const before = bodies.length === 0 ? undefined : said.get(own)
  said.set(own, summary)
  const ways =
    before === undefined
      ? bodies.map((one) => renderSchema(one, common))
      : [`<p>One of the same ways to name what it opens as of <q>${text(before)}</q>.</p>`]
  const credential =
    security.length > 0 ? 'HTTP Basic: a client’s id and secret.' : 'None: whoever has the link.'
  const samples = (operation['x-codeSamples'] ?? []).map(({ source }) => code(source))
  return `<section>
<h2>${text(summary)}</h2>
<code class="route">${method.toUpperCase()} ${text(path)}</code>
<p>${text(description)}</p>
${samples.join('\n')}
<h3>Credential</h3>
<p>${credential}</p>
${parameters.length === 0 ? '' : '<h3>In the path</h3>'}
${list(parameters.map(({ name, schema, description = '' }) => field(name, { description, ...schema }, true)))}
${bodies.length === 0 ? '' : '<h3>Body</h3>'}
${ways.join('\n')}
${common.length === 0 ? '' : '<h4>With each of them</h4>'}
${list(common.flatMap(([name, schema]) => fieldsOf(name, schema, false)))}
<h3>Answers</h3>
${list(Object.entries(responses).map(renderResponse))}
</section>`
}

function renderResponse([status, { description, content }]: readonly [
  string,
  Operation['responses'][string],
]): string {
  const isOurs = content !== undefined && 'application/json' in content
  const fields = isOurs
    ? schemasOf(content)
        .map((one) => renderSchema(one))
        .join('')
    : ''
  return `<dt><code>${text(status)}</code></dt><dd>${text(description)}${fields}</dd>`
}

function schemasOf(content: Content = {}): readonly Schema[] {
  return Object.values(content).flatMap(({ schema, example }) => {
    // That of an answer stands beside its schema.
    const examples = example === undefined ? (schema.examples ?? []) : [example]
    return schema.oneOf ?? [{ ...schema, examples }]
  })
}

type Property = readonly [string, Schema]

/** What every one of several alternatives has. */
function commonOf([first, ...others]: readonly Schema[]): readonly Property[] {
  if (first === undefined || others.length === 0) return []
  return Object.entries(first.properties ?? {}).filter(([name, schema]) =>
    others.every(
      ({ properties = {} }) => JSON.stringify(properties[name]) === JSON.stringify(schema),
    ),
  )
}

/** What it has beside these. */
function ownOf({ properties = {} }: Schema, without: readonly Property[]): readonly Property[] {
  return Object.entries(properties).filter(([name]) => !without.some(([other]) => other === name))
}

function renderSchema(schema: Schema, without: readonly Property[] = []): string {
  const { title, required = [], examples = [] } = schema
  const fields = ownOf(schema, without).flatMap(([name, one]) =>
    fieldsOf(name, one, required.includes(name)),
  )
  const heading = title === undefined ? '' : `<h4>${text(title)}</h4>`
  const shown = examples.map((one) => code(JSON.stringify(one, null, 2)))
  return `${heading}${shown.join('')}${list(fields)}`
}

function fieldsOf(name: string, schema: Schema, isRequired: boolean): string[] {
  const inner = Object.entries(schema.properties ?? {})
  return [
    field(name, schema, isRequired),
    ...inner.map(([one, its]) => field(`${name}.${one}`, its, false)),
  ]
}

function code(source: string): string {
  return `<pre><code>${text(source)}</code></pre>`
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
