// Prints what production runs on, as CycloneDX: node release/bill-of-materials.ts > sbom.cdx.json
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = new URL('..', import.meta.url)

interface Project {
  readonly version?: string
  readonly devDependencies?: unknown
  readonly optionalDependencies?: unknown
  readonly workspaces?: unknown
}

interface Locked {
  readonly dev?: boolean
  readonly optional?: boolean
  readonly link?: boolean
}

/**
 * The packages of production, with their licences and hashes, as CycloneDX in JSON. npm makes it of a
 * manifest and a lockfile that know nothing else: with `--omit=dev` it leaves out what the development
 * dependencies need as well (npm 11), a fifth of what runs. `version`: of the product, if it is to be another.
 */
export function billOfMaterials(version?: string): string {
  const temporary = mkdtempSync(join(tmpdir(), 'bill-of-materials-'))
  // npm calls the product what its folder is called.
  const folder = join(temporary, 'copilot-gateway')
  mkdirSync(folder)
  try {
    const manifest: Project = { ...JSON.parse(read('package.json')), ...(version && { version }) }
    const lockfile: { readonly packages: Readonly<Record<string, Locked>> } = JSON.parse(
      read('package-lock.json'),
    )
    const packages = Object.entries(lockfile.packages).filter(
      ([path, { link, dev, optional }]) =>
        path.startsWith('node_modules/') && !link && !dev && !optional,
    )
    write('package.json', production(manifest))
    write('package-lock.json', {
      ...lockfile,
      packages: { '': production(manifest), ...Object.fromEntries(packages) },
    })
    return execFileSync(
      'npm',
      ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application'],
      { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
    )
  } finally {
    rmSync(temporary, { recursive: true })
  }

  function read(file: string): string {
    return readFileSync(new URL(file, root), 'utf8')
  }

  function write(file: string, content: unknown): void {
    writeFileSync(join(folder, file), JSON.stringify(content))
  }
}

function production(project: Project): Project {
  const { devDependencies, optionalDependencies, workspaces, ...rest } = project
  return rest
}

if (import.meta.main) process.stdout.write(billOfMaterials())
