// Makes a release of what is on main: npm run release -- 0.2.0 [--dry-run] [--skip-tests]
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { billOfMaterials } from './bill-of-materials.ts'
import { closeUnreleased } from './changelog.ts'

const usage = `Usage: npm run release -- <version> [--dry-run] [--skip-tests]

  <version>      what the release is called: three numbers, such as 0.2.0
  --dry-run      check everything and say what would be done, but change nothing
  --skip-tests   leave the tests out, since CI has run them on this very commit
`
const sbom = 'sbom.cdx.json'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
process.exitCode = run(process.argv.slice(2))

/** Returns the exit code: 0, 1 (nothing was released) or 2 (called wrongly). */
function run(argv: readonly string[]): number {
  const options = { 'dry-run': { type: 'boolean' }, 'skip-tests': { type: 'boolean' } } as const
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: argv, options, allowPositionals: true })
  } catch (error) {
    return fail(2, error instanceof Error ? error.message : String(error), usage)
  }
  const [version, ...more] = parsed.positionals
  if (version === undefined || more.length > 0) return fail(2, 'One version is needed.', usage)

  const head = git('rev-parse', 'HEAD')
  const date = new Date().toISOString().slice(0, 10)
  const changelog = closeUnreleased(readFileSync('CHANGELOG.md', 'utf8'), version, date)
  const problems = [...wrongVersion(version), ...wrongTree()]
  if (changelog === null) problems.push('CHANGELOG.md has nothing under Unreleased.')
  if (changelog === null || problems.length > 0) return fail(1, ...problems)

  const scripts = parsed.values['skip-tests'] ? ['check', 'build'] : ['build', 'test']
  for (const script of scripts) {
    try {
      execFileSync('npm', ['run', script], { stdio: 'inherit' })
    } catch {
      return fail(1, `npm run ${script} fails: nothing was released.`)
    }
  }
  // Tests take minutes, in which somebody may have gone on working.
  const changed = wrongTree()
  if (git('rev-parse', 'HEAD') !== head) {
    changed.push('main has other commits than when this began, which the tests have not seen.')
  }
  if (changed.length > 0) return fail(1, ...changed)

  let bill: string
  try {
    bill = billOfMaterials(version)
  } catch {
    return fail(1, 'npm sbom fails: nothing was released.')
  }
  const files = new Map([
    ...['package.json', ...globSync('packages/*/package.json')].map(
      (path) => [path, withVersion(path, version)] as const,
    ),
    ['package-lock.json', lockedAs(version)],
    ['CHANGELOG.md', changelog.text],
    [sbom, bill],
  ])
  const written = [...files.keys()].join(', ')
  if (parsed.values['dry-run']) {
    console.log(`v${version} would change ${written}, and would say:\n\n${changelog.section}`)
    return 0
  }
  return commit(version, changelog.section, files)
}

function wrongVersion(version: string): string[] {
  const wanted = numbers(version)
  if (wanted === null) return [`${version} is no version: it has to be three numbers, as 0.2.0 is.`]
  const { version: current }: Versioned = JSON.parse(readFileSync('package.json', 'utf8'))
  const problems: string[] = []
  const tagged = git('tag', '--list', `v${version}`) !== ''
  // The first release has the version that package.json began with.
  if (!isNewer(wanted, numbers(current) ?? []) && (version !== current || tagged)) {
    problems.push(`${version} is not newer than ${current}, which package.json has.`)
  }
  if (tagged) problems.push(`The tag v${version} exists.`)
  return problems
}

/** Of MAJOR.MINOR.PATCH; null where it is something else. */
function numbers(version: string): readonly number[] | null {
  const parts = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.exec(version)
  return parts?.slice(1).map(Number) ?? null
}

function isNewer(wanted: readonly number[], current: readonly number[]): boolean {
  const at = wanted.findIndex((part, index) => part !== current[index])
  return (wanted[at] ?? 0) > (current[at] ?? 0)
}

function wrongTree(): string[] {
  const problems: string[] = []
  const branch = git('branch', '--show-current')
  if (branch !== 'main')
    problems.push(`Releases are made on main, not on ${branch || 'no branch'}.`)
  const changes = git('status', '--porcelain')
  if (changes !== '') problems.push(`The tree has changes that are not committed:\n${changes}`)
  return problems
}

interface Versioned {
  version: string
}

function withVersion(path: string, version: string): string {
  const manifest: Versioned = JSON.parse(readFileSync(path, 'utf8'))
  manifest.version = version
  return format(manifest)
}

/** npm would also rewrite what it can't see from this machine: packages for other platforms. */
function lockedAs(version: string): string {
  const lockfile: Versioned & { readonly packages: Readonly<Record<string, Versioned>> } =
    JSON.parse(readFileSync('package-lock.json', 'utf8'))
  lockfile.version = version
  for (const [path, locked] of Object.entries(lockfile.packages)) {
    if (path === '' || path.startsWith('packages/')) locked.version = version
  }
  return format(lockfile)
}

/** As npm writes it. */
function format(content: unknown): string {
  return `${JSON.stringify(content, null, 2)}\n`
}

/** Writes, commits and tags; whatever fails, all is as it was before. */
function commit(version: string, notes: string, files: ReadonlyMap<string, string>): 0 | 1 {
  const paths = [...files.keys()]
  const added = paths.filter((path) => !existsSync(path))
  const before = git('rev-parse', 'HEAD')
  try {
    for (const [path, content] of files) writeFileSync(path, content)
    git('add', '--', ...paths)
    git('commit', '--message', `Release ${version}`)
    git(
      'tag',
      '--annotate',
      `v${version}`,
      '--cleanup=verbatim',
      '--message',
      `${version}\n\n${notes}`,
    )
  } catch (error) {
    // Only what is written above is taken back: --keep refuses to lose anything else.
    git('reset', '--quiet', '--soft', before)
    git('reset', '--quiet', '--', ...paths)
    const kept = paths.filter((path) => !added.includes(path))
    git('checkout', '--quiet', '--', ...kept)
    for (const path of added) rmSync(path, { force: true })
    const why = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : error
    return fail(1, `Git refused, and everything is as it was before:\n${why}`)
  }
  console.log(`Released v${version}. Nothing was pushed: git push --follow-tags origin main`)
  return 0
}

function git(...args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

function fail<Code extends 1 | 2>(code: Code, ...problems: readonly string[]): Code {
  process.stderr.write(`${problems.join('\n')}\n`)
  return code
}
