// What Compose and systemd are given names settings, files and folders that there are. Neither is started:
// that takes an engine, and systemd as the first process. The demo's workspace that Compose runs is.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { readConfig } from '../../src/settings/config.ts'
import { type Setting, settings } from '../../src/settings/table.ts'
import { missingPackage } from '../browser/executable.ts'
import { client } from '../links/stage.ts'
import { secret } from '../stage.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const drain = [settings.drainDelay, settings.drainTimeout]
  .map(({ default: text }) => Number.parseInt(text, 10))
  .reduce((sum, seconds) => sum + seconds)

interface Volume {
  readonly type: string
  readonly source: string
  readonly target: string
  readonly read_only: boolean
}
interface Service {
  readonly build?: string | { readonly context: string; readonly dockerfile: string }
  readonly read_only: boolean
  readonly cap_drop: readonly string[]
  readonly security_opt: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly volumes?: readonly Volume[]
  readonly networks: readonly string[]
  readonly ports?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: unknown
  readonly stop_grace_period?: string
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>
}

t.test('Compose is given what there is, and little leave', async (t) => {
  const { services, secrets, networks }: Compose = parse(read('deploy/compose.yaml'), {
    merge: true,
  })
  for (const [name, service] of Object.entries(services)) {
    t.match(service, {
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
    for (const network of service.networks) t.ok(network in networks, network)
    for (const one of service.secrets ?? []) t.ok(one in secrets, one)
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      t.equal(condition, 'service_healthy')
      t.ok(services[other]?.healthcheck, `${name} waits for the health of ${other}`)
    }
    if (typeof service.build === 'object') {
      t.ok(existsSync(join(root, 'deploy', service.build.context, service.build.dockerfile)))
    } else if (service.build) {
      t.ok(existsSync(join(root, 'deploy', service.build, 'Dockerfile')))
    }
  }
  t.equal(networks['inside']?.internal, true)
  t.same(services['workspace']?.networks, ['inside'], 'the gateway is the only way to it')
  const { environment: env = {}, stop_grace_period: grace = '' } = services['gateway'] ?? {}
  t.ok(Number.parseInt(grace, 10) > drain)
  for (const page of ['docs/deployment.md', 'Dockerfile']) {
    t.ok(Number(/--stop-timeout (\d+)/.exec(read(page))?.[1]) > drain, page)
  }
  const names = new Set(
    Object.values<Setting>(settings).flatMap(({ name, file }) =>
      file ? [name, `${name}_FILE`] : [name],
    ),
  )
  for (const name of Object.keys(env)) t.ok(names.has(name), name)
  // A file that is mounted by itself stays the old one when another takes its place.
  t.equal(services['gateway']?.secrets, undefined)
  t.strictSame(services['gateway']?.volumes, [
    { type: 'bind', source: 'secrets/mounted', target: '/run/secrets', read_only: true },
  ])
  const made = / for one in (.+); do .* > deploy\/secrets\/mounted\/\$one;/.exec(
    read('deploy/compose.yaml'),
  )
  const files = made?.[1]?.split(' ').map((name) => `secrets/mounted/${name}`) ?? []
  const config = readConfig(env, {
    readFile: (path) => {
      t.ok(files.includes(path.replace('/run/secrets/', 'secrets/mounted/')), path)
      return secret
    },
    now: Date.now(),
  })
  t.same('problems' in config ? config.problems : [], [])
  for (const { file } of Object.values(secrets)) t.ok(files.includes(file), file)

  // Compose puts the second file over the first, key by key.
  const more: Pick<Compose, 'services'> = parse(read('deploy/compose.links.yaml'))
  t.same(Object.keys(more.services), ['gateway'])
  const { environment: linksEnv = {}, ports = [] } = more.services['gateway'] ?? {}
  const asked = Object.entries(linksEnv).map(([name, value]) => {
    t.ok(names.has(name), name)
    return [name, value.replace(/^\$\{LINKS_CLIENTS:\?[^}]+\}$/, client())]
  })
  const both = readConfig(
    { ...env, ...Object.fromEntries(asked) },
    { readFile: () => secret, now: Date.now() },
  )
  if ('problems' in both) return t.fail('they are refused', { problems: both.problems })
  const { links } = both.config
  t.same(ports, [`127.0.0.1:${links?.port}:${links?.port}`])
  t.equal(links?.origin, `http://localhost:${links?.port}`)
  t.equal(both.config.contactCenters[0]?.linksClients.length, 1)
  t.match(read('.gitignore'), /^deploy\/secrets\/$/m, 'no secret gets into a commit')
  return
})

t.test('its workspace serves, and ends', async (t) => {
  const files = t.testdir({ secret, token: `${secret}-of-the-backend` })
  const workspace = spawn(process.execPath, ['demo/serve-workspace.ts'], {
    cwd: root,
    env: {
      PAGE_PORT: '0',
      API_PORT: '0',
      JWT_SECRET_FILE: join(files, 'secret'),
      COPILOT_API_TOKEN_FILE: join(files, 'token'),
    },
  })
  t.teardown(() => workspace.kill('SIGKILL'))
  const ended = once(workspace, 'exit')
  const [line] = await once(createInterface({ input: workspace.stdout }), 'line')
  const [page = ''] = /http:\S+/.exec(String(line)) ?? []
  const config = await (await fetch(new URL('/config.js', page))).text()
  t.match(config, `${secret}-of-the-backend`)
  workspace.kill('SIGTERM')
  t.same(await ended, [0, null])
})

const skip = missingPackage('/usr/bin/systemd-analyze', 'systemd')

t.test('systemd takes the unit, and leaves it little', { skip }, async (t) => {
  const unit = read('deploy/copilot-gateway.service')
  const analyze = (unit: string, ...args: readonly string[]): string => {
    const path = join(t.testdir({ 'copilot-gateway.service': unit }), 'copilot-gateway.service')
    const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, path], {
      encoding: 'utf8',
    })
    return `${status} ${stderr}${status === 0 ? '' : stdout}`
  }
  // It looks for the program itself.
  const program = /^ExecStart=(\S+)/m.exec(unit)?.[1] ?? ''
  const here = unit.replace(program, process.execPath)
  t.equal(analyze(here, 'verify', '--man=no'), '0 ')
  t.match(analyze(here.replace('[Service]', '[Service]\nDynamicUsr=yes'), 'verify'), 'DynamicUsr')
  // Of 100: the network is what it is for.
  const limit = ['security', '--offline=true', '--no-pager']
  t.equal(analyze(unit, ...limit, '--threshold=13'), '0 ')
  t.match(analyze(unit.replace('DynamicUser=yes\n', ''), ...limit, '--threshold=13'), /^1 /)

  const whole = unit.replace(/^#(?=Environment=)/gm, '')
  t.equal(analyze(whole.replace(program, process.execPath), 'verify', '--man=no'), '0 ')
  const names = [...whole.matchAll(/^Environment=([A-Z_]+_FILE)=\/etc\/copilot-gateway\/\S+$/gm)]
  for (const [, name = ''] of names) {
    const setting = Object.values<Setting>(settings).find((one) => `${one.name}_FILE` === name)
    t.ok(setting?.file, name)
  }
  t.notMatch(unit, /^LoadCredential/m, 'copies, which no reload reads anew')
  t.same(
    names.map(([, name]) => name).sort(),
    ['ADMIN_TOKEN_FILE', 'COPILOT_API_TOKEN_FILE', 'JWT_SECRET_FILE', 'REDIS_URL_FILE'],
    'no secret has to be in .env, which more than root reads',
  )
  t.match(unit, `Node.js ${JSON.parse(read('package.json')).engines.node} `)
  t.ok(Number(/TimeoutStopSec=(\d+)/.exec(unit)?.[1]) > drain)
})
