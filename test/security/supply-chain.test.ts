// What runs in production is what the lockfile pins, under licences that allow it, and runs no code
// when it is installed.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
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

function isGlibc(folder: string): boolean {
  return /linux-(?:x64|arm64)(?:-gnu)?$/.test(folder)
}
