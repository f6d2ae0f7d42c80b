import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

// As strict as a consumer can be, without the types of Node.js and of browsers.
const strict = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022'],
    types: [],
    noEmit: true,
  },
  include: ['*.ts'],
}

const consumer = `
import { CopilotLinkError, createCopilotLink, type LinkErrorCode } from 'copilot-gateway-link'
import { formatUui, parseUui } from 'copilot-gateway-link/uui'

const options = {
  baseUrl: 'https://gateway.example',
  userId: 'agent-7',
  sessionId: 'session-1',
  urlToken: 'f38791ae',
  secret: 'hex:' + '7b1f0e52c9a84d36'.repeat(4),
} as const
const link: string = createCopilotLink({ ...options, expiresIn: '8h', kid: undefined })
const uui = parseUui(formatUui(link))
export const urlToken: string | null = uui.kind === 'link' ? uui.urlToken : null

// @ts-expect-error: no unit
const unitless = () => createCopilotLink({ ...options, expiresIn: '8' })
// @ts-expect-error: an end has to be thought of
const endless = () => createCopilotLink({ ...options })
export const codes: LinkErrorCode[] = [unitless, endless].flatMap((make) => {
  try {
    make()
    return []
  } catch (error) {
    return error instanceof CopilotLinkError ? [error.code] : []
  }
})
`

// What the examples of the README and of docs/signing.md have around them.
const surroundings = `
declare const agent: { id: string }, chat: { id: string }, shortLink: string
declare const process: { env: Record<string, string | undefined> }
declare const invite: { headers: Record<string, string | undefined> }
`
const examples = ['packages/copilot-link/README.md', 'docs/signing.md'].flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^ *import \{[^`#|]+/gm)].map(String),
)

t.test('packed, it installs into an empty folder, type-checks strictly and runs', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'consumer-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  // Without what tap has every Node.js load: the compiler can't bear it.
  const run = (cwd: string, ...command: readonly string[]): string =>
    execFileSync('env', ['-u', 'NODE_OPTIONS', ...command], { cwd, encoding: 'utf8' })

  run(join(root, 'packages/copilot-link'), 'npm', 'pack', '--silent', '--pack-destination', folder)
  const [tarball = ''] = readdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  run(folder, 'npm', 'install', '--offline', '--ignore-scripts', '--no-audit', `./${tarball}`)
  t.same(
    readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['copilot-gateway-link'],
  )

  const installed = join(folder, 'node_modules/copilot-gateway-link')
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' })
  for (const file of ['README.md', 'LICENSE', 'package.json']) t.ok(files.includes(file), file)
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(Object(target)).map(String),
  )
  for (const target of targets) t.ok(files.includes(target.slice(2)), target)
  t.same(
    Object.keys(manifest).filter((name) => /dependencies$/i.test(name)),
    [],
  )

  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(strict))
  writeFileSync(join(folder, 'consumer.ts'), consumer)
  t.equal(examples.length, 3)
  for (const [at, example] of examples.entries()) {
    writeFileSync(join(folder, `example-${at}.ts`), surroundings + example)
  }
  t.equal(run(folder, join(root, 'node_modules/.bin/tsc')), '')
  const script = `import { codes, urlToken } from './consumer.ts'; console.log(urlToken, codes)`
  t.equal(
    run(folder, process.execPath, '--input-type=module', '--eval', script).trim(),
    `f38791ae [ 'expires-in-invalid', 'expires-in-invalid' ]`,
  )
  t.end()
})
