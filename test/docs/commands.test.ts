// Every command of the documents runs. A page's blocks run one after the other in one shell, in a
// folder that is a clone, on the machine that world.ts makes.
//
//     ```sh            runs, and ends with 0
//     ```sh serves     the same, but its last line has to listen, and goes on until another is to
//     ```sh not-run    is only read: listed below, with the reason
//
// `npx copilot-gateway` takes the sources, which nothing has to build first.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { knowSettings, pour } from '../sinks.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const docs = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'))
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...docs.map((file) => `docs/${file}`)]

/** Why a block is only read: by page and first line. */
const notRun: Readonly<Record<string, string>> = {
  'README.md: npm ci': 'fetches packages; what runs this test has done it',
  'CONTRIBUTING.md: npm ci': 'the same, and runs this test',
  'CONTRIBUTING.md: npm run check': 'parts of what runs this test',
  'CONTRIBUTING.md: npm run fuzz -- --minutes 10    # requests and tokens at random':
    'each takes minutes, or writes into the tree',
  'docs/contact-centers.md: sipp 127.0.0.1:5060 -s dana.whitfield -sf demo/call.xml -m 1 -key uui "\\"$LINK\\""':
    'calls the demo; run by test/demo/voice.test.ts',
  'docs/deployment.md: docker build -t copilot-gateway .':
    'needs Docker; test/deploy/image.test.ts builds and runs the image with podman',
  'docs/deployment.md: docker build --build-arg VERSION=0.2.0 --build-arg REVISION="$(git rev-parse HEAD)" --build-arg BASE=node:24-bookworm-slim@sha256:… -t copilot-gateway .':
    'needs Docker and a digest',
  'docs/deployment.md: mkdir -m 700 deploy/secrets && mkdir deploy/secrets/mounted': 'needs Docker',
  'docs/load-testing.md: npx copilot-gateway load http://localhost:8080 --agents 200 --rate 5/s --duration 2m --p99 50ms --errors 0.1% --html load.html':
    'takes two minutes; the run before it takes seconds',
  'docs/signing.md: #!/bin/sh':
    'a program; run by test/link/links-signed-in-any-language-are-let-in.test.ts',
  'docs/upgrades.md: git fetch --tags': 'needs a remote and a release',
  'docs/upgrades.md: npm prune --omit=dev': 'needs systemd',
  'docs/upgrades.md: printf \'{"data":{"jwt-secret":"%s"}}\' "$(base64 --wrap 0 jwt-secret)" | kubectl -n copilot-gateway patch secret copilot-gateway --patch-file /dev/stdin':
    'needs a cluster',
  'docs/upgrades.md: kubectl -n copilot-gateway set image deployment/copilot-gateway gateway=registry.example/copilot-gateway:0.2.0':
    'needs a cluster',
}

interface Block {
  readonly page: string
  readonly line: number
  /** What stands behind the fence. */
  readonly info: string
  readonly text: string
}

function blocksOf(page: string): Block[] {
  const found: Block[] = []
  const lines = readFileSync(join(root, page), 'utf8').split('\n')
  let open: { line: number; fence: string; info: string; text: string[] } | null = null
  for (const [index, line] of lines.entries()) {
    const [, indent = '', fence = '', info = ''] = /^( *)(`{3,})(.*)$/.exec(line) ?? []
    if (open === null) {
      if (fence !== '') open = { line: index + 1, fence: indent + fence, info, text: [] }
    } else if (line === open.fence) {
      found.push({ page, line: open.line, info: open.info, text: open.text.join('\n') })
      open = null
    } else open.text.push(line)
  }
  if (open !== null) throw new Error(`${page}:${open.line}: a block without an end`)
  return found
}

const blocks = pages.flatMap(blocksOf)

t.test('what does not run is listed, and nothing else is', async (t) => {
  const kinds = ['sh', 'sh serves', 'sh not-run']
  // Files, programs and pictures, which are no commands.
  const others =
    /^(?:c?sharp|dockerfile|go|haproxy|html|ini|java|javascript|json|mermaid|nginx|php|python|text|yaml)$/
  for (const { page, line, info } of blocks) {
    t.ok(kinds.includes(info) || others.test(info), `${page}:${line}: ${info}`)
  }
  const marked = blocks.filter(({ info }) => info === 'sh not-run')
  t.same(
    marked.map(({ page, text }) => `${page}: ${text.split('\n')[0]}`).sort(),
    Object.keys(notRun).sort(),
  )
  for (const page of pages) {
    const indented = /\n\n {4}(?! )(?![*\-\d])\S.*/.exec(readFileSync(join(root, page), 'utf8'))
    t.equal(indented, null, `${page}: an indented block is run by nobody`)
  }
})

/** The namespaces' options for who may make them, or null. */
function isolation(): readonly string[] | null {
  const options = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  const ways = [options, ['--user', '--map-root-user', ...options]]
  return ways.find((way) => spawnSync('unshare', [...way, 'ip', 'link']).status === 0) ?? null
}

const isolated = isolation()
const missing = 'namespaces can’t be made: unshare and ip, and root or user namespaces'
const skip = isolated === null && !process.env['CI'] && missing

const scratch = t.testdir({ certs: {}, bin: {}, pages: {} })
const certificates = join(scratch, 'certs')
writeFileSync(
  join(scratch, 'bin/npx'),
  `#!/bin/sh\n[ "$1" = copilot-gateway ] || exit 127\nshift\nexec "${process.execPath}" "${root}src/cli.ts" "$@"\n`,
  { mode: 0o755 },
)

/** A page's blocks as one script, which says on stderr what failed where. */
function script(blocks: readonly Block[]): string {
  const parts = blocks.map(({ page, line, info, text }) => {
    const lines = text.split('\n')
    const last = info === 'sh serves' ? lines.pop() : undefined
    const output = `../output-${line}`
    const serving = `stop
( ${last} ) >${output} 2>&1 &
until grep -qE '"listening"|demo is running' ${output}; do kill -0 $!; sleep 0.05; done`
    return `here='${page}:${line}'\n{ :\n${lines.join('\n')}\n} >>${output} 2>&1
${last === undefined ? '' : serving}`
  })
  // With -m a job is a group of processes, which ends as a whole.
  return `set -meuo pipefail
stop() { for job in $(jobs -p); do kill -- -$job; wait $job || true; done; }
exec 3>&2
trap 'echo "$here: exit $?" >&3; tail -n 20 "../output-\${here#*:}" >&3' EXIT
${parts.join('\n')}
trap - EXIT
`
}

/** Runs a page, and resolves to what went wrong. */
async function run(
  isolated: readonly string[],
  page: string,
  commands: readonly Block[],
): Promise<string> {
  const folder = join(scratch, 'pages', page.replaceAll('/', '-'))
  const hex = (): string => randomBytes(32).toString('hex')
  const secrets = {
    'copilot-jwt': `hex:${hex()}`,
    'copilot-api-token': hex(),
    'admin-token': hex(),
  }
  knowSettings({ JWT_SECRET: secrets['copilot-jwt'], API_TOKEN: secrets['copilot-api-token'] })
  mkdirSync(join(folder, 'clone'), { recursive: true })
  mkdirSync(join(folder, 'home'))
  for (const entry of readdirSync(root)) {
    if (!/^\.(?:git|env|tap)$/.test(entry))
      symlinkSync(join(root, entry), join(folder, 'clone', entry))
  }
  writeFileSync(join(folder, 'secrets.json'), JSON.stringify(secrets))
  writeFileSync(join(folder, 'commands'), script(commands))
  const world = fileURLToPath(new URL('world.ts', import.meta.url))
  const [first = '', ...rest] = ['unshare', ...isolated, process.execPath, world]
  const serves = commands.some(({ info }) => info === 'sh serves') ? ['serves'] : []
  const child = spawn(first, [...rest, folder, certificates, ...serves], {
    env: {
      HOME: join(folder, 'home'),
      PATH: `${join(scratch, 'bin')}:${root}node_modules/.bin:${process.env['PATH']}`,
      CURL_CA_BUNDLE: join(certificates, 'ca.pem'),
      NODE_EXTRA_CA_CERTS: join(certificates, 'ca.pem'),
      NODE_COMPILE_CACHE: join(scratch, 'cache'),
      npm_config_update_notifier: 'false',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  for (const { info, line } of commands) {
    const output = join(folder, `output-${line}`)
    if (info !== 'sh serves' || !existsSync(output)) continue
    // npm and the demo say more, to whoever started them.
    const log = readFileSync(output, 'utf8').split('\n')
    for (const line of log.filter((line) => line.startsWith('{'))) pour('log', line)
  }
  return code === 0 ? '' : `exit ${code}: ${said}`
}

t.test('every command runs', { skip }, async (t) => {
  // Without them the machine itself would be changed.
  if (isolated === null) {
    t.fail(missing)
    return
  }
  const names = ['gateway', 'links', 'copilot.internal', 'copilot-api.internal']
  const script = join(root, 'certs/make-dev-certs.sh')
  execFileSync('bash', [script, '--out', certificates, ...names.map((name) => `${name}.example`)])
  const waiting = pages
    .map(
      (page) =>
        [
          page,
          blocks.filter((block) => block.page === page && /^sh(?: serves)?$/.test(block.info)),
        ] as const,
    )
    .filter(([, commands]) => commands.length > 0)
  t.ok(waiting.length > 0)
  // Most of the time they wait.
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [page, commands] = next
      t.equal(await run(isolated, page, commands), '', `${page}: ${commands.length} blocks`)
    }
  }
  await Promise.all([work(), work(), work(), work()])
})
