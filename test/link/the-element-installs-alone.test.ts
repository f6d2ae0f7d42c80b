import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

// As strict as a consumer can be.
const strict = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    noEmit: true,
  },
  include: ['consumer.ts'],
}

const consumer = `
import type { CopilotState, GetCopilotLink } from 'copilot-gateway-workspace'

const element = document.createElement('copilot-workspace')
const getLink: GetCopilotLink = async ({ reason, signal }) =>
  (await fetch('/link?why=' + reason, { signal })).text()
element.getLink = getLink
element.src = new URL('https://gateway.example')
export const src: string = element.src
element.addEventListener('copilot-change', ({ detail: { state, status, requestId } }) => {
  const shown: readonly [CopilotState, number | null, string | null] = [state, status, requestId]
  console.log(shown)
})
// @ts-expect-error: the element's own
element.state = 'open'
// @ts-expect-error: no link
element.getLink = () => 5
`

t.test(
  'packed, it installs into an empty folder, type-checks strictly and loads without a DOM',
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'consumer-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    // Without what tap has every Node.js load: the compiler can't bear it.
    const run = (cwd: string, ...command: readonly string[]): string =>
      execFileSync('env', ['-u', 'NODE_OPTIONS', ...command], { cwd, encoding: 'utf8' })

    const source = join(root, 'packages/copilot-workspace')
    run(source, 'npm', 'pack', '--silent', '--pack-destination', folder)
    const [tarball = ''] = readdirSync(folder)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    run(folder, 'npm', 'install', '--offline', '--ignore-scripts', '--no-audit', `./${tarball}`)
    const installed = join(folder, 'node_modules/copilot-gateway-workspace')
    t.same(readdirSync(installed).sort(), [
      'LICENSE',
      'README.md',
      'copilot-workspace.d.ts',
      'copilot-workspace.js',
      'package.json',
    ])
    const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    t.same(
      Object.keys(manifest).filter((name) => /dependencies|scripts/i.test(name)),
      [],
    )
    const shipped = readFileSync(join(installed, 'copilot-workspace.js'), 'utf8')
    t.notMatch(
      shipped,
      /^import|import\(|console\.|innerHTML|localStorage/m,
      'one file, which logs and keeps nothing',
    )

    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(strict))
    writeFileSync(join(folder, 'consumer.ts'), consumer)
    t.equal(run(folder, join(root, 'node_modules/.bin/tsc')), '')
    const script = `import { CopilotWorkspace } from 'copilot-gateway-workspace'; console.log(typeof CopilotWorkspace)`
    t.equal(
      run(folder, process.execPath, '--input-type=module', '--eval', script).trim(),
      'function',
    )
    t.end()
  },
)
