import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import t from 'tap'
import { parse } from 'yaml'
import { document, schema } from './schema.ts'
import { files, secrets as hexes, sentences, tell } from './tell.ts'

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const validate = new Ajv({ allowUnionTypes: true, allErrors: true }).compile(schema())
const accepts = (yaml: string): boolean => validate(parse(yaml))

t.test('the schema is that of the settings', (t) => {
  t.strictSame(JSON.parse(readFileSync(document, 'utf8')), schema(), 'npm run schema writes it')
  t.end()
})

t.test('the documented example is right', (t) => {
  const yaml = read('docs/gateway.yaml')
  t.match(yaml, /^# yaml-language-server: \$schema=\.\/gateway\.schema\.json\n/)
  t.ok(accepts(yaml), JSON.stringify(validate.errors))
  // Where its secrets are, and what they are here.
  const paths = [...yaml.matchAll(/file: ([^ ,}]+)/g)].map(([, path = '']) => path)
  t.ok(paths.length > 4)
  const texts = paths.map((path, index) => [path, `hex:${hexes[0]}0${index}`])
  const lisbon = { 'conf/lisbon.pem': files['conf/ed25519.pem'] }
  const result = tell({ yaml, files: { ...Object.fromEntries(texts), ...lisbon } })
  if ('problems' in result) throw new Error(sentences(result.problems).join('\n'))
  t.strictSame(
    result.config.contactCenters.map(({ name }) => name),
    ['Hamburg', 'Lisbon', 'Oslo'],
  )
  t.strictSame(sentences(result.warnings), [
    'conf/gateway.yaml:48:5 contactCenters[2].enforcement is report: what should be refused is LET THROUGH, and the log alone says so',
  ])
  t.end()
})

t.test('the schema and the gateway take the same files for right', (t) => {
  const secrets = 'secrets: [{file: a}]'
  const base = 'jwtSecret: {file: a}\n'
  const one = (entry: string): string => `contactCenters: [{${entry}}]`
  const good = [
    base,
    `${base}port: 80`,
    `${base}port: "80"`,
    `${base}port: " 80 "`,
    `${base}adminPort: off`,
    `${base}adminPort: 0`,
    `${base}sessionOutlivesToken: true`,
    `${base}sessionOutlivesToken: True`,
    `${base}sessionOutlivesToken: "false"`,
    `${base}forwardAuth: resign`,
    `${base}forwardAuth: true`,
    `${base}workers: auto`,
    `${base}workers: 3`,
    `${base}drainTimeout: 0`,
    `${base}drainTimeout: 1.5h`,
    `${base}bodyLimit: 1.5MB`,
    `${base}bodyLimit: 4096`,
    `${base}maxConnections: 5`,
    `${base}logLevel: warn`,
    `${base}enforcement: report`,
    `${base}publicUrl: [https://a.example]`,
    `${base}publicUrl: https://a.example https://b.example`,
    `${base}urlTokens: [007, a]`,
    `${base}urlTokens: 1234`,
    `${base}redisUrl: {env: REDIS}`,
    `${base}rateLimit: 5/1s`,
    one(`name: x, ${secrets}`),
    one('name: x, secrets: [{env: SECRET}]'),
    one('name: x, keys: [{file: rsa.pem}]'),
    one('name: x, keys: [{file: rsa.pem, kid: a}]'),
    one('name: x, keys: {jwks: "https://a.example"}'),
    one(
      `name: x, ${secrets}, frameAncestors: [a.example], urlTokens: a, requireExp: true, tokenMaxAge: 1h`,
    ),
    one(`name: x, ${secrets}, clockTolerance: 0, oneTimeTokens: false, enforcement: report`),
  ]
  const bad = [
    '',
    '[]',
    'text',
    `${base}unknown: 1`,
    `${base}COPILOT_URL: https://a.example`,
    `${base}port:`,
    `${base}port: 70000`,
    `${base}port: [80]`,
    `${base}port: true`,
    `${base}host: 1`,
    `${base}host: ""`,
    `${base}host: {a: b}`,
    `${base}sessionOutlivesToken: 1`,
    `${base}sessionOutlivesToken: yes`,
    `${base}forwardAuth: sign`,
    `${base}workers: 0`,
    `${base}drainTimeout: 5`,
    `${base}drainTimeout: [5s]`,
    `${base}bodyLimit: 0`,
    `${base}bodyLimit: 5gb`,
    `${base}maxConnections: 1.5`,
    `${base}logLevel: loud`,
    `${base}enforcement: off`,
    `${base}publicUrl: []`,
    `${base}publicUrl: [a b]`,
    `${base}publicUrl: [[a]]`,
    `${base}urlTokens: [true]`,
    `${base}tlsCertFile: {file: a}`,
    `${base}adminToken: a-token-of-the-admin-listener`,
    `${base}adminToken: {}`,
    `${base}adminToken: {file: a, env: B}`,
    `${base}adminToken: {inline: a}`,
    `${base}adminToken: {file: 5}`,
    'contactCenters: []',
    'contactCenters: {}',
    'contactCenters: [a]',
    one(''),
    one('name: x'),
    one(secrets),
    one(`name: 5, ${secrets}`),
    one(`name: "", ${secrets}`),
    one(`name: ${'x'.repeat(65)}, ${secrets}`),
    one(`name: x, ${secrets}, keys: {jwks: "https://a.example"}`),
    one(`name: x, ${secrets}, port: 1`),
    one(`name: x, ${secrets}, urlTokens: []`),
    one('name: x, secrets: []'),
    one('name: x, secrets: a'),
    one('name: x, secrets: [a]'),
    one('name: x, secrets: [{file: a, kid: a}]'),
    one('name: x, keys: []'),
    one('name: x, keys: a'),
    one('name: x, keys: {}'),
    one('name: x, keys: {jwks: a}'),
    one('name: x, keys: [{jwks: "https://a.example"}]'),
    one('name: x, keys: [{kid: a}]'),
    one('name: x, keys: [{file: rsa.pem, kid: 5}]'),
    `urlTokens: a\n${one(`name: x, ${secrets}`)}`,
  ]
  const variables = {
    SECRET: files['conf/a'],
    REDIS: 'rediss://redis.example',
    SESSION_SECRET: files['conf/b'],
  }
  for (const [expected, rows] of [
    [true, good],
    [false, bad],
  ] as const) {
    for (const yaml of rows) {
      t.equal(accepts(yaml), expected, `the schema: ${yaml}`)
      t.equal('config' in tell({ yaml, env: variables }), expected, `the gateway: ${yaml}`)
    }
  }
  t.end()
})
