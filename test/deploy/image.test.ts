// The image: built by its Dockerfile and run as an operator would run it, though without a Docker engine.
import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, request, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { startWorkspace } from '../../demo/workspace.ts'
import { missingPackage } from '../browser/executable.ts'
import { type Child, run } from '../process/child.ts'
import { nameOf, productionPackages, readLockfile } from '../security/licences.ts'
import { ask, link, listen, secret, startUpstream } from '../stage.ts'
import {
  accepting,
  bodyOf,
  closeWith,
  dial,
  handshake,
  headOf,
  inWords,
} from '../websocket/peer.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'image-'))
const name = 'localhost/copilot-gateway:test'
const engine = [
  `--root=${join(folder, 'store')}`,
  `--runroot=${join(folder, 'run')}`,
  '--runtime=runc',
  '--cgroup-manager=cgroupfs',
  '--events-backend=none',
]
// Without what tap has every Node.js load.
const { NODE_OPTIONS, ...env } = process.env
const skip = missingPackage('/usr/bin/podman', 'podman runc')

t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('the image', { skip }, async (t) => {
  await build()

  await t.test('holds production, says so, and nothing else', async (t) => {
    const mounted = await podman('image', 'mount', name)
    const app = join(mounted, 'app')
    const { components, metadata }: Bill = JSON.parse(read(app, 'sbom.cdx.json'))
    const production = productionPackages(readLockfile())
    const expected = production.map(([path, { version }]) => `${nameOf(path)}@${version}`)
    t.same(components.map((one) => one['bom-ref']).sort(), [...new Set(expected)].sort())
    t.match(metadata.component, { type: 'application', name: 'copilot-gateway' })
    for (const { purl, hashes, licenses } of components) {
      t.ok(hashes[0]?.content && licenses.length > 0, purl)
    }
    const manifests = globSync('{*,@*/*}/package.json', { cwd: join(app, 'node_modules') })
    const atTop = production.filter(([path]) => path.lastIndexOf('node_modules/') === 0)
    t.equal(manifests.length, atTop.length)
    for (const [path] of production) {
      const { scripts = {} } = JSON.parse(read(app, path, 'package.json'))
      const hooks = ['preinstall', 'install', 'postinstall'].filter((one) => one in scripts)
      t.same(hooks, [], `${path} has no install script`)
      t.notOk(existsSync(join(app, path, 'binding.gyp')), `${path} is not compiled`)
    }
    t.same(globSync('{,usr/}bin/{sh,bash,dash,busybox}', { cwd: mounted }), [], 'no shell')
    const left = globSync(`**/{${leftBehind.map((path) => basename(path)).join()}}`, { cwd: app })
    t.same(left, [], 'nothing that was left beside what ships')
    t.ok(existsSync(join(app, 'dist/demo/public/workspace/manifest.json')))
    await podman('image', 'unmount', name)

    const [{ Size, Config, Healthcheck }] = JSON.parse(await podman('inspect', name))
    t.match(Config, { User: '1000:1000', StopSignal: 'SIGTERM' })
    t.equal(Healthcheck.Test[0], 'CMD', 'not by a shell')
    for (const label of ['title', 'description', 'licenses', 'version', 'revision', 'base.name']) {
      t.ok(Config.Labels[`org.opencontainers.image.${label}`], label)
    }
    const [{ Size: base }] = JSON.parse(await podman('inspect', 'localhost/base:runtime'))
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
    t.comment(`the image adds ${megabytes(Size - base)} MB to a base of ${megabytes(base)} MB`)
  })

  await t.test('every module of it can be loaded', async (t) => {
    const load = `const files = fs.globSync('dist/{src,packages}/**/*.js', {
      exclude: ['dist/src/{cli,healthcheck}.js', 'dist/**/{dashboard,copilot-workspace}/**'] })
      for (const file of files) await import('/app/' + file)
      console.log(files.length)
      process.exit()`
    const said = await podman('run', '--rm', ...confined, '--entrypoint=node', name, '-e', load)
    t.ok(Number(said) > 150, said)
  })

  await t.test('serves, is healthy, and ends in order with work at hand', async (t) => {
    const workspace = await startWorkspace({ pagePort: 0, apiPort: 0, secret: Buffer.from(secret) })
    t.teardown(() => workspace.close())
    const { promise: held, resolve: hold } = Promise.withResolvers<ServerResponse>()
    // The demo's workspace, but for an answer that waits and a socket.
    const upstream = await startUpstream(
      t,
      ({ method, headers, url = '' }, response) => {
        if (url.startsWith('/slow')) hold(response)
        else
          request(new URL(url, workspace.page), { method, headers }, (answer) => {
            response.writeHead(answer.statusCode ?? 0, answer.headers)
            answer.pipe(response)
          }).end()
      },
      (asked, socket) => socket.write(accepting(asked)),
    )
    const gateway = await contain(t, {
      COPILOT_URL: upstream.origin,
      COPILOT_API_URL: workspace.api.origin,
      COPILOT_API_TOKEN: workspace.apiToken,
      ADMIN_PORT: await freePort(),
      PORT: '0',
      DRAIN_TIMEOUT: '1h',
    })
    t.comment(`the gateway listens ${gateway.startup} ms after its process began`)
    t.match(await ask(gateway.origin), { status: 200, body: '<script type="module"' })
    t.match(await ask(gateway.origin, link({}, '/config.js')), { status: 200 })
    t.equal((await ask(gateway.origin, '/')).status, 401)
    await checkHealth(gateway)

    const process = (file: string): string => read('/proc', String(gateway.process), file)
    t.match(process('status'), /^Uid:\t1000\t1000\t1000\t1000$/m)
    t.match(process('status'), /^CapBnd:\t0+$/m, 'no capability')
    t.match(process('status'), /^NoNewPrivs:\t1$/m)
    t.match(process('mounts'), /^overlay \/ \S+ ro,|^\S+ \/ \S+ ro,/m, 'nothing can be written')

    const busy = await dial(t, gateway.port)
    busy.socket.write(`GET ${link({}, '/slow')} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const socket = await dial(t, gateway.port)
    socket.socket.write(handshake(gateway.port, link({}, '/ws')))
    t.equal((await socket.until(headOf)).status, 101)
    const late = await held
    const stopped = podman('stop', '--time=120', gateway.name)
    t.match(inWords(bodyOf(await socket.ended)), [/^close 1012\b/])
    socket.socket.end(closeWith(1012, '', { mask: true }))
    late.end('late')
    t.match(`${await busy.ended}`, /^HTTP\/1\.1 200 .*late/s)
    t.match(await gateway.ended, { code: 0, stderr: '' })
    await stopped
  })

  await t.test('a secret that is replaced arrives, where its folder is mounted', async (t) => {
    const upstream = await startUpstream(t)
    const files = t.testdir({ 'copilot-jwt': secret })
    chmodSync(files, 0o755)
    const settings = { COPILOT_URL: upstream.origin, PORT: '0', ADMIN_PORT: 'off' }
    const gateway = await contain(
      t,
      { ...settings, JWT_SECRET: '', JWT_SECRET_FILE: '/run/secrets/copilot-jwt' },
      [`--volume=${files}:/run/secrets:ro`],
    )
    t.equal((await ask(gateway.origin)).status, 200)
    writeFileSync(join(files, 'next'), `another-${secret}`)
    renameSync(join(files, 'next'), join(files, 'copilot-jwt'))
    const line = await gateway.logged(({ event }) => event === 'reloaded')
    t.same(line['changed'], ['/run/secrets/copilot-jwt'])
    t.equal((await ask(gateway.origin)).status, 401)
  })

  await t.test('its health is asked where the settings say', async (t) => {
    const upstream = await startUpstream(t)
    const settings = { COPILOT_URL: upstream.origin, PORT: '0' }
    const files = t.testdir({
      secret,
      'gateway.yaml': `adminHost: 0.0.0.0\nadminPort: ${await freePort()}\n`,
    })
    chmodSync(files, 0o755)
    // No proxy is there, and none is to be asked.
    const proxied = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://127.0.0.1:1' }
    const secretFile = { JWT_SECRET: '', JWT_SECRET_FILE: '/told/secret', ADMIN_TOKEN: secret }
    const [told, quiet] = await Promise.all([
      contain(
        t,
        { ...settings, ...secretFile, ...proxied },
        // An init in front of the gateway is told by the same `--` where its own options end.
        [`--volume=${files}:/told:ro`, '--entrypoint=["node","--","dist/src/cli.js"]'],
        ['start', '--config', '/told/gateway.yaml'],
      ),
      contain(t, { ...settings, PORT: await freePort(), ADMIN_PORT: 'off' }),
    ])
    await Promise.all(
      [told, quiet].map(async (gateway) => {
        await checkHealth(gateway)
        await podman('kill', '--signal=STOP', gateway.name)
        // One that hangs takes connections all the same.
        await t.rejects(checkHealth(gateway), { code: 1, stderr: /does not answer: / })
      }),
    )
    t.same(
      quiet.lines.filter(({ event }) => event === 'access'),
      [],
      'and no log speaks of it',
    )
  })
})

interface Bill {
  readonly metadata: { readonly component: unknown }
  readonly components: readonly {
    readonly 'bom-ref': string
    readonly purl: string
    readonly hashes: readonly { readonly content: string }[]
    readonly licenses: readonly unknown[]
  }[]
}

/** What a container may do, and what Podman would else want of the machine. */
const confined = [
  '--network=host',
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
  // Podman asks for more than a sandbox may give.
  '--ulimit=nofile=4096:4096',
  '--ulimit=nproc=4096:4096',
  // Podman would run it by a timer of systemd's.
  '--no-healthcheck',
]

async function podman(...args: readonly string[]): Promise<string> {
  const { stdout } = await execute('podman', [...engine, ...args], { env, maxBuffer: 2 ** 26 })
  return stdout.trim()
}

function read(...path: readonly string[]): string {
  return readFileSync(join(...path), 'utf8')
}

/** What somebody may have put into the folders that an image is made of. */
const leftBehind = [
  'demo/public/.env.local',
  'demo/public/id_rsa',
  'demo/public/secret.p12',
  'demo/public/credentials.json',
  'src/admin/dashboard/.env.production',
  'src/admin/dashboard/passwords.txt',
]

/** The tree as somebody has it who works in it. */
function context(): string {
  const copy = join(folder, 'context')
  const files = '{Dockerfile,.dockerignore,.npmrc,LICENSE,build.ts,package*.json,tsconfig*.json}'
  for (const path of globSync([files, 'packages', 'src', 'demo', 'release'], { cwd: root })) {
    cpSync(join(root, path), join(copy, path), { recursive: true })
  }
  for (const path of leftBehind) writeFileSync(join(copy, path), 'a secret')
  return copy
}

/** Builds it over bases made of this machine's Debian and Node.js, with the packages that npm has fetched. */
async function build(): Promise<void> {
  const bases = join(folder, 'bases')
  await execute(join(root, 'test/deploy/make-bases.sh'), [bases, process.execPath])
  for (const base of ['build', 'runtime']) {
    await execute('tar', [
      '--create',
      `--file=${bases}/${base}.tar`,
      `--directory=${bases}/${base}`,
      '.',
    ])
    const variables = [
      'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
      'npm_config_prefer_offline=true',
    ]
    const changes = base === 'build' ? variables.map((one) => `--change=ENV ${one}`) : []
    await podman('import', '--quiet', ...changes, `${bases}/${base}.tar`, `localhost/base:${base}`)
  }
  const { stdout } = await execute('npm', ['config', 'get', 'cache'], { env })
  mkdirSync(stdout.trim(), { recursive: true })
  await podman(
    'build',
    '--quiet',
    '--isolation=chroot',
    '--format=docker',
    '--layers=false',
    `--volume=${stdout.trim()}:/root/.npm`,
    '--build-arg=BASE=localhost/base:build',
    '--build-arg=RUNTIME_BASE=localhost/base:runtime',
    `--tag=${name}`,
    context(),
  )
}

interface Contained extends Child {
  readonly name: string
  readonly origin: string
  readonly port: number
  /** The id of its process, as this machine has it. */
  readonly process: number
  /** How long it took to listen, in ms. */
  readonly startup: number
}

/** Runs the image's HEALTHCHECK. */
async function checkHealth({ name: container }: Contained): Promise<void> {
  const [{ Healthcheck }] = JSON.parse(await podman('inspect', name))
  await podman('exec', container, ...Healthcheck.Test.slice(1))
}

let containers = 0

/** The gateway in a container, with no other settings than these. */
async function contain(
  t: Test,
  settings: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
  args: readonly string[] = [],
): Promise<Contained> {
  const container = `gateway-${containers++}`
  t.teardown(() => podman('rm', '--force', '--time=0', container))
  const env = { JWT_SECRET: secret, FRAME_ANCESTORS: 'https://cc.example', ...settings }
  const variables = Object.keys(env).map((variable) => `--env=${variable}`)
  const command = ['run', `--name=${container}`, ...confined, ...variables, ...flags, name]
  const child = run(t, env, { args, command: ['podman', ...engine, ...command] })
  const { addresses, time } = await child.logged((line) => line['event'] === 'listening')
  const [origin] = Array.isArray(addresses) ? addresses : []
  const { port } = new URL(String(origin))
  const [{ State }] = JSON.parse(await podman('inspect', container))
  return {
    ...child,
    name: container,
    origin: `http://127.0.0.1:${port}`,
    port: Number(port),
    process: State.Pid,
    startup: Number(time) - Date.parse(State.StartedAt),
  }
}

async function freePort(): Promise<string> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  return String(port)
}
