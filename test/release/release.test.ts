// A release says what it is and changes nothing unless all of it is done. Played in a repository of its
// own, in which the checks are stand-ins: CI runs the real ones.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { closeUnreleased } from '../../release/changelog.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { version: current } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const newer = current.replace(/^\d+/, (major: string) => String(Number(major) + 1))

interface Repository {
  readonly git: (...args: readonly string[]) => string
  readonly read: (file: string) => string
  readonly write: (file: string, text: string) => void
  readonly release: (...args: readonly string[]) => { status: number | null; said: string }
  /** What tells whether anything was changed. */
  readonly state: () => unknown
}

const changelog =
  '# Changelog\n\n## Unreleased\n\n### Added\n\n- A gateway.\n\n## 0.0.1 - 2026-01-01\n\n- A start.\n'

/** What a release touches, committed on main, with checks that only say that they ran. */
function repository(t: Test): Repository {
  const folder = t.testdir()
  const git = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync('git', args, { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return stdout.trim()
  }
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
  const write = (file: string, text: string): void => writeFileSync(join(folder, file), text)
  for (const path of ['release', 'package.json', 'package-lock.json', '.npmrc']) {
    cpSync(join(root, path), join(folder, path), { recursive: true })
  }
  for (const name of ['copilot-link', 'copilot-workspace']) {
    const manifest = `packages/${name}/package.json`
    cpSync(join(root, manifest), join(folder, manifest), { recursive: true })
  }
  const manifest = JSON.parse(read('package.json'))
  const scripts = ['check', 'build', 'test'].map((name) => [name, `echo ran ${name}`])
  write(
    'package.json',
    `${JSON.stringify({ ...manifest, scripts: Object.fromEntries(scripts) }, null, 2)}\n`,
  )
  write('CHANGELOG.md', changelog)
  git('init', '--quiet', '--initial-branch=main')
  git('config', 'user.name', 'Somebody')
  git('config', 'user.email', 'somebody@example.com')
  git('add', '.')
  git('commit', '--quiet', '--message', 'All of it')
  return {
    git,
    read,
    write,
    release(...args) {
      const { NODE_OPTIONS, ...env } = process.env
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [join(folder, 'release/release.ts'), ...args],
        { encoding: 'utf8', env },
      )
      return { status, said: stdout + stderr }
    },
    state: () => [
      git('rev-parse', 'HEAD'),
      git('tag'),
      git('status', '--porcelain'),
      existsSync(join(folder, 'sbom.cdx.json')),
    ],
  }
}

t.test('a release is checked, written, committed and tagged', async (t) => {
  const { git, read, release, state } = repository(t)
  const before = state()
  const dry = release(newer, '--dry-run')
  t.match(dry, { status: 0, said: /ran build.*ran test.*CHANGELOG\.md.*- A gateway\./s })
  t.same(state(), before, 'a dry run changes nothing')

  const { status, said } = release(newer, '--skip-tests')
  t.equal(status, 0, said)
  t.match(said, /ran check.*ran build/s)
  t.notMatch(said, /ran test/)
  t.match(said, /Nothing was pushed/)
  t.equal(git('cat-file', '-t', `v${newer}`), 'tag', 'annotated')
  t.match(git('tag', '--list', '--format=%(contents)', `v${newer}`), /### Added\n\n- A gateway\./)
  t.equal(git('rev-parse', `v${newer}^{commit}`), git('rev-parse', 'HEAD'))
  t.equal(git('log', '-1', '--format=%s'), `Release ${newer}`)
  t.equal(git('status', '--porcelain'), '')

  const today = new Date().toISOString().slice(0, 10)
  const closed = `## Unreleased\n\n## ${newer} - ${today}\n\n### Added\n\n- A gateway.\n\n## 0.0.1`
  t.ok(read('CHANGELOG.md').includes(closed), read('CHANGELOG.md'))
  const versions = git('diff', 'HEAD~1', '--', '*package.json', 'package-lock.json')
    .split('\n')
    .filter((line) => /^[-+] /.test(line))
    .map((line) => line.trim())
  t.same(
    [...new Set(versions.map((line) => line.replace(/^([-+]) +/, '$1')))].sort(),
    [`+"version": "${newer}",`, `-"version": "${current}",`],
    'nothing but versions',
  )
  t.equal(versions.length, 2 * 7, 'of the product and its packages, in manifests and lockfile')
  const bill = JSON.parse(read('sbom.cdx.json'))
  t.match(bill, { bomFormat: 'CycloneDX', metadata: { component: { version: newer } } })
  t.ok(bill.components.length > 100)

  t.match(release(newer, '--skip-tests'), { status: 1, said: /not newer.*exists.*Unreleased/s })
})

t.test('what is wrong is said, all of it, and nothing is changed', async (t) => {
  const { git, write, release, state } = repository(t)
  t.match(release(), { status: 2, said: /^Usage/m })
  t.match(release('1.0.0', '--quick'), { status: 2, said: /--quick.*^Usage/ms })
  for (const wrong of ['v1.0.0', '1.0', '01.0.0', '1.0.0-rc.1']) {
    t.match(release(wrong), { status: 1, said: `${wrong} is no version` })
  }
  t.match(release(current, '--dry-run', '--skip-tests'), { status: 0, said: `v${current} would` })
  git('tag', `v${current}`)
  t.match(release(current), { status: 1, said: `${current} is not newer than ${current}` })
  t.match(release('0.0.99'), { status: 1, said: 'is not newer' })

  git('switch', '--quiet', '--create', 'aside')
  git('tag', `v${newer}`)
  write('CHANGELOG.md', '# Changelog\n\n## Unreleased\n\n### Added\n')
  const before = state()
  const { status, said } = release(newer)
  t.equal(status, 1)
  for (const one of ['exists', 'not on aside', 'M CHANGELOG.md', 'nothing under Unreleased']) {
    t.match(said, one)
  }
  t.notMatch(said, /ran /, 'before anything is run')
  t.same(state(), before)
})

t.test('one that fails on its way leaves all as it was', async (t) => {
  const { git, read, write, release, state } = repository(t)
  const hook = (name: string, text: string): void => {
    write(`.git/hooks/${name}`, `#!/bin/sh\n${text}\n`)
    chmodSync(join(git('rev-parse', '--show-toplevel'), `.git/hooks/${name}`), 0o755)
  }
  const before = state()
  hook('pre-commit', 'echo the hook says no >&2; exit 1')
  t.match(release(newer, '--skip-tests'), { status: 1, said: /the hook says no/ })
  t.same(state(), before, 'the commit is refused')
  hook('pre-commit', 'exit 0')
  // Somebody tags in between: the commit is there, the tag can't be.
  hook('post-commit', `git tag v${newer}`)
  t.match(release(newer, '--skip-tests'), { status: 1, said: /already exists/ })
  git('tag', '--delete', `v${newer}`)
  t.same(state(), before, 'the tag is refused')
  hook('post-commit', 'exit 0')

  const manifest = JSON.parse(read('package.json'))
  const check = (script: string): void => {
    const scripts = { ...manifest.scripts, check: script }
    write('package.json', `${JSON.stringify({ ...manifest, scripts }, null, 2)}\n`)
    git('commit', '--quiet', '--all', '--message', 'Another check')
  }
  check('exit 1')
  const failing = state()
  t.match(release(newer, '--skip-tests'), { status: 1, said: /npm run check fails/ })
  t.same(state(), failing)
  check('echo somebody works on >> CHANGELOG.md')
  t.match(release(newer, '--skip-tests'), { status: 1, said: /not committed:\nM CHANGELOG\.md/ })
  t.match(read('CHANGELOG.md'), /somebody works on/)
  git('checkout', '--quiet', '--', '.')
  check('git commit --quiet --allow-empty --message Somebody')
  const checked = git('rev-parse', 'HEAD')
  t.match(release(newer, '--skip-tests'), { status: 1, said: /main has other commits/ })
  t.equal(git('rev-parse', 'HEAD~1'), checked, 'no release of what was not checked')
  t.equal(git('tag'), '')
})

t.test('the changelog may end with what is unreleased', async (t) => {
  t.same(closeUnreleased('# C\n\n## Unreleased\n\n- One.\n', '1.0.0', '2026-11-23'), {
    text: '# C\n\n## Unreleased\n\n## 1.0.0 - 2026-11-23\n\n- One.\n',
    section: '- One.',
  })
  t.equal(closeUnreleased('# C\n\n- One.\n', '1.0.0', '2026-11-23'), null)
})
