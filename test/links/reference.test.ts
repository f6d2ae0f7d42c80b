// The document and its page say what the API does, and are made of what it checks.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import t from 'tap'
import { schemas } from '../../src/links/schemas.ts'
import { ask } from '../stage.ts'
import { byIds, call, clientSecret, startLinks } from './stage.ts'

const { origin } = await startLinks(t, 'https://gateway.example', {
  LINKS_URL: 'https://l.example',
})
const utf8 = (body: string): string => Buffer.from(body, 'latin1').toString()
const document = JSON.parse(utf8((await ask(origin, '/openapi.json')).body))
const page = await ask(origin, '/')
const html = utf8(page.body)

/** What a schema of the document stands for. */
function resolved(schema: { readonly $ref?: string }): Record<string, unknown> {
  const name = /^#\/components\/schemas\/(\w+)$/.exec(schema.$ref ?? '')?.[1] ?? ''
  return document.components.schemas[name] ?? schema
}

const ajv = new Ajv({ strict: false, validateFormats: false })

/** What is wrong with a value, by a schema of the document. */
function wrongOf(schema: object, value: unknown): unknown {
  const validate = ajv.compile({ ...schema, components: document.components })
  validate(value)
  return validate.errors ?? []
}

const operations = Object.values<Record<string, Operation>>(document.paths).flatMap((methods) =>
  Object.values(methods),
)

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly security?: unknown
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: object } }
  }
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly content?: {
          readonly 'application/json'?: { readonly schema: object; readonly example: unknown }
        }
      }
    >
  >
  readonly 'x-codeSamples'?: readonly { readonly source: string }[]
}

t.test('the document has every route, as it is checked', async (t) => {
  t.equal(document.openapi, '3.1.0')
  t.same(
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(Object(methods)).map((method) => `${method} ${path}`),
    ),
    [
      'post /links',
      'put /links/by-conversation/{conversationId}',
      'get /links/by-conversation/{conversationId}',
      'get /o/{id}',
    ],
  )
  const { post } = document.paths['/links']
  const { oneOf } = post.requestBody.content['application/json'].schema
  t.same({ oneOf: oneOf.map(resolved) }, schemas.sign.body)
  t.same(post.security, [{ client: [] }])
  t.match(document.components.securitySchemes, { client: { type: 'http', scheme: 'basic' } })
  t.equal(document.paths['/o/{id}'].get.security, undefined)
})

t.test('the answers are those that are documented', async (t) => {
  const path = '/links/by-conversation/17'
  const conversation = '/links/by-conversation/{conversationId}'
  for (const [method, target, body, asked, documented] of [
    ['POST', '/links', { ...byIds, short: true }, 'post', '/links'],
    ['PUT', path, byIds, 'put', conversation],
    ['GET', path, undefined, 'get', conversation],
  ] as const) {
    const answer = JSON.parse((await call(origin, target, body, { method })).body)
    const { responses } = document.paths[documented][asked]
    const { schema } = responses[200].content['application/json']
    const { properties, required } = resolved(schema)
    t.same(Object.keys(answer).sort(), Object.keys(Object(properties)).sort(), documented)
    t.ok([required].flat().length > 1, 'programs know what is always there')
    t.same(wrongOf(schema, answer), [])
    t.match(wrongOf(schema, {}), [{ keyword: 'required' }])
    t.ok(Object.keys(responses).length > 3)
  }
  const refused = JSON.parse((await call(origin, '/links', {})).body)
  const { schema } =
    document.paths['/links'].post.responses[400].content['application/problem+json']
  t.same(Object.keys(refused), Object.keys(Object(resolved(schema)['properties'])))
  t.same(wrongOf(schema, refused), [])
})

t.test('what is made of it has names, and nothing is written twice', async (t) => {
  t.same(
    operations.map(({ operationId }) => operationId),
    ['signLink', 'keepConversation', 'lookUpConversation', 'openShortLink'],
  )
  const { schemas } = document.components
  t.match(Object.keys(schemas).sort(), [
    'KeepConversationAnswer',
    'KeepConversationByAPlainLink',
    'KeepConversationByAUserToUserValue',
    'KeepConversationByTheIds',
    'LookUpConversationAnswer',
    'Problem',
    'SignLinkAnswer',
    'SignLinkByAPlainLink',
    'SignLinkByAUserToUserValue',
    'SignLinkByTheIds',
  ])
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)]
  t.same(new Set(refs.map(([, name]) => name)), new Set(Object.keys(schemas)))
  t.equal(JSON.stringify(document).match(/Leads to the line of the log/g)?.length, 1)
  for (const [name, schema] of Object.entries<{ examples?: unknown[] }>(schemas)) {
    for (const example of schema.examples ?? []) t.same(wrongOf(schema, example), [], name)
    t.ok(schema.examples?.length === 1 || /Problem|Answer$/.test(name), `${name} has an example`)
  }
  for (const { responses, operationId } of operations) {
    const answer = responses['200']?.content?.['application/json']
    if (answer) t.same(wrongOf(answer.schema, answer.example), [], `${operationId}’s example`)
  }
})

t.test('the lines for curl work as they stand there', async (t) => {
  const samples = operations.flatMap((one) => one['x-codeSamples'] ?? [])
  t.equal(samples.length, 3)
  for (const { source } of samples) {
    t.match(
      html,
      source.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`),
    )
    const { stdout } = await promisify(execFile)(
      'sh',
      ['-c', source.replace('curl', 'curl -fsS').replace('https://links.example', origin)],
      { env: { ...process.env, id: 'crm', secret: clientSecret } },
    )
    t.match(JSON.parse(stdout), { expiresAt: String }, source)
  }
})

t.test('the page has all of it, and runs nothing', async (t) => {
  t.equal(page.status, 200)
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  for (const [path, methods] of Object.entries<Record<string, { summary: string }>>(
    document.paths,
  )) {
    for (const [method, { summary }] of Object.entries(methods)) {
      t.match(html, `<h2>${summary}</h2>`)
      t.match(html, `${method.toUpperCase()} ${path}<`)
    }
  }
  for (const name of [
    ...Object.keys(byIds),
    'url',
    'uui',
    'expiresIn',
    'short.uses',
    'keepFor',
    'shortUrl',
  ]) {
    t.match(html, `<dt><code>${name}</code></dt>`)
  }
  t.match(html, 'HTTP Basic')
  t.equal(
    html.match(/<dt><code>expiresIn<\/code>/g)?.length,
    2,
    'what each way to ask has stands once a route',
  )
  t.match(
    html,
    /<code>200<\/code><\/dt><dd>The link\.<pre>.*shortUrl&#34;/s,
    'an answer to look at',
  )
  const [, style = ''] = /<style>(.*?)<\/style>/s.exec(html) ?? []
  const hash = createHash('sha256').update(style).digest('base64')
  t.equal(
    page.headers['content-security-policy'],
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  )
  t.notMatch(html, /<script|\son\w+=|\sstyle=|<link|src=|url\(|undefined|\[object/)
})

t.test('neither tells of who uses it', async (t) => {
  for (const text of [html, JSON.stringify(document)]) {
    for (const word of ['crm', 'default-', 'gateway.example', 'l.example', '0.1.0']) {
      t.notMatch(text, word)
    }
  }
})
