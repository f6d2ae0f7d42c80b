// What runs in production is what the lockfile pins, under licences that allow it, and runs no code
// when it is installed.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { start } from '../process/child.ts'
import { ask, startUpstream } from '../stage.ts'
import {
  document,
  foreignPackages,
  licences,
  nameOf,
  productionPackages,
  readLockfile,
} from './licences.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const lockfile = readLockfile()
const production = productionPackages(lockfile)
const installation = ['ci', '--omit=dev', '--omit=optional', '--ignore-scripts']

t.test('every package is pinned to bytes of the npm registry', async (t) => {
  t.equal(lockfile.lockfileVersion, 3)
  for (const [folder, locked] of foreignPackages(lockfile)) {
    const { resolved, integrity = '', dev, optional, os } = locked
    // Tools have a binary for each platform. Those for others than Debian's could not be had where
    // the lockfile was written; they are installed neither there nor in production.
    const foreign = dev && optional && os !== undefined && !isGlibc(folder)
    if (foreign && integrity === '') continue
    // From whichever registry npm is told: a mirror has the same bytes.
    t.ok(resolved === undefined || resolved.startsWith('https://registry.npmjs.org/'), folder)
    t.match(integrity, /^sha512-[\w+/]{86}==$/, folder)
  }
})

t.test('no package of production runs a script when it is installed', async (t) => {
  t.ok(production.length > 0)
  for (const [folder, { hasInstallScript }] of production) t.notOk(hasInstallScript, folder)
})

t.test(
  'there is one copy of what verifies tokens and of what speaks to the upstream',
  async (t) => {
    for (const name of ['fast-jwt', 'undici', 'fastify', 'pino']) {
      const copies = production.filter(([folder]) => nameOf(folder) === name)
      t.equal(copies.length, 1, name)
    }
  },
)

t.test('every licence is a permissive one, and is listed', async (t) => {
  const permissive = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT', 'Zlib']
  for (const [folder, { license = '' }] of production) {
    const all = license.replace(/^\((.*)\)$/, '$1').split(' AND ')
    t.ok(
      all.every((one) => permissive.includes(one)),
      `${folder}: ${license}`,
    )
    const manifest = readFileSync(join(root, folder, 'package.json'), 'utf8')
    t.equal(JSON.parse(manifest).license, license, `${folder}: as the package says`)
  }
  t.equal(readFileSync(document, 'utf8'), licences(lockfile), 'npm run licences writes the list')
})

t.test('an install for production has what is listed, and serves', async (t) => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'production-')))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    copyFileSync(join(root, file), join(folder, file))
  }
  // Without what tap has every Node.js load: the compiler can't bear it.
  const run = (...command: readonly string[]): string =>
    execFileSync('env', ['-u', 'NODE_OPTIONS', ...command], { cwd: folder, encoding: 'utf8' })
  t.match(readFileSync(join(root, 'Dockerfile'), 'utf8'), `RUN npm ${installation.join(' ')}\n`)
  // What the tests' own install has fetched need not be fetched again.
  run('npm', ...installation, '--prefer-offline')
  const { problems = [] } = JSON.parse(
    run('npm', 'ls', '--all', '--omit=dev', '--omit=optional', '--json'),
  )
  t.same(problems, [], 'nothing is missing, invalid or extraneous')
  for (const [path] of production) {
    const { scripts = {} } = JSON.parse(readFileSync(join(folder, path, 'package.json'), 'utf8'))
    const hooks = ['preinstall', 'install', 'postinstall'].filter((name) => name in scripts)
    t.same(hooks, [], `${path} has no install script`)
    t.notOk(existsSync(join(folder, path, 'binding.gyp')), `${path} is not compiled`)
  }

  const tsc = join(root, 'node_modules/.bin/tsc')
  run(tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist'))
  const upstream = await startUpstream(t)
  const cli = join(folder, 'dist/src/cli.js')
  const gateway = await start(t, upstream.origin, {}, { cli })
  t.equal((await ask(gateway.origin)).status, 200)
  t.equal((await ask(gateway.origin, '/')).status, 401)
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})

function isGlibc(folder: string): boolean {
  return /linux-(?:x64|arm64)(?:-gnu)?$/.test(folder)
}
