// The document and its page say what the API does, and are made of what it checks.
import { createHash } from 'node:crypto'
import t from 'tap'
import { schemas } from '../../src/links/schemas.ts'
import { ask } from '../stage.ts'
import { byIds, call, startLinks } from './stage.ts'

const { origin } = await startLinks(t, 'https://gateway.example', {
  LINKS_URL: 'https://l.example',
})
const utf8 = (body: string): string => Buffer.from(body, 'latin1').toString()
const document = JSON.parse(utf8((await ask(origin, '/openapi.json')).body))
const page = await ask(origin, '/')
const html = utf8(page.body)

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
  t.same(post.requestBody.content['application/json'].schema, schemas.sign.body)
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
    t.same(Object.keys(answer).sort(), Object.keys(schema.properties).sort(), documented)
    t.ok(Object.keys(responses).length > 3)
  }
  const refused = JSON.parse((await call(origin, '/links', {})).body)
  const { schema } =
    document.paths['/links'].post.responses[400].content['application/problem+json']
  t.same(Object.keys(refused), Object.keys(schema.properties))
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
