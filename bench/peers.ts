// What is measured: this gateway, and others that stand in front of the same workspace.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command, type Drain, type Running, startServer } from './process.ts'
import type { Package } from './programs.ts'
import { secret, urlToken } from './requests.ts'
import { writeSite } from './site.ts'

export interface Peer {
  readonly name: string
  /** What it does besides passing on, for the table. */
  readonly does: string
  /** Whether it refuses who may not pass. */
  readonly checks: boolean
  readonly needs: readonly Package[]
  readonly command: (place: Place) => Command
}

export interface Place {
  readonly port: number
  /** Host and port of the workspace. */
  readonly upstream: string
  /** For what it has to write. */
  readonly folder: string
}

/** What `npm start` gives Node.js, and all peers that run on it get. */
const nodeOptions: readonly string[] =
  JSON.parse(readFileSync(source('../package.json'), 'utf8')).scripts.start.match(/--\S+/g) ?? []

const claims = 'signature, algorithm, `exp`, both ids against the query'

export const peers = {
  gateway: {
    name: 'this gateway',
    does: 'all checks, session cookies, secured answers, audit line, metrics',
    checks: true,
    needs: [],
    command: gatewayWith({}),
  },
  'http-proxy': {
    name: '@fastify/http-proxy, bare',
    does: 'nothing',
    checks: false,
    needs: [],
    command: program('http-proxy.ts'),
  },
  naive: {
    name: '@fastify/jwt, http-proxy and a log',
    does: `${claims}; log lines`,
    checks: true,
    needs: [],
    command: program('naive.ts'),
  },
  'node-http': {
    name: 'node:http and undici, bare',
    does: 'nothing',
    checks: false,
    needs: [],
    command: program('node-http.ts'),
  },
  express: {
    name: 'Express, http-proxy-middleware, jsonwebtoken',
    does: claims,
    checks: true,
    needs: [],
    command: program('express.ts'),
  },
  nginx: {
    name: 'nginx, bare',
    does: 'nothing',
    checks: false,
    needs: ['nginx'],
    command: nginx('nginx.conf'),
  },
  'nginx-njs': {
    name: 'nginx with njs',
    does: claims,
    checks: true,
    needs: ['nginx', 'libnginx-mod-http-js'],
    command: nginx('nginx-njs.conf'),
  },
  haproxy: {
    name: 'HAProxy with `jwt_verify`',
    does: claims,
    checks: true,
    needs: ['haproxy'],
    command: (place) => ({
      file: 'haproxy',
      args: ['-db', '-f', source('peers/haproxy.cfg')],
      env: environment(place),
    }),
  },
} as const satisfies Readonly<Record<string, Peer>>

export type PeerId = keyof typeof peers

export const peerIds: readonly PeerId[] = ids(peers)

/** The keys of a table, as what they are. */
export function ids<K extends string>(table: Readonly<Record<K, unknown>>): K[] {
  const known: K[] = []
  for (const id in table) known.push(id)
  return known
}

export interface Surroundings extends Omit<Place, 'port'> {
  readonly log: Drain
  /** Whether who is measured has a core for itself. */
  readonly pinned: boolean
}

export async function startPeer(
  { name, command }: Pick<Peer, 'name' | 'command'>,
  { log, pinned, ...place }: Surroundings,
): Promise<Running> {
  return await startServer(name, pinned ? 0 : null, log, (port) => command({ ...place, port }))
}

/** A gateway with everything on, as `npm start` runs it; `config` is a file of contact centers. */
export function gatewayWith(
  settings: Readonly<Record<string, string>>,
  options: readonly string[] = [],
  config: string | null = null,
): Peer['command'] {
  const one = {
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    URL_TOKENS: urlToken,
  }
  const command = ['start', ...(config === null ? [] : ['--config', config])]
  return ({ port, upstream }) => ({
    file: process.execPath,
    args: [...nodeOptions, ...options, source('../src/cli.ts'), ...command],
    env: {
      COPILOT_URL: `http://${upstream}`,
      COPILOT_API_TOKEN: 'd4c81f0e9b7a6352',
      ...(config === null ? one : {}),
      REQUIRE_EXP: 'true',
      PORT: String(port),
      ADMIN_PORT: '0',
      MAX_CONNECTIONS: '20000',
      // What is measured is a refusal, not how a flood of them is slowed.
      RATE_LIMIT: '1000000/1s',
      ...settings,
    },
  })
}

/** The workspace: nginx where it only has to hand out files. */
export async function startUpstream(
  kind: 'files' | 'program',
  { folder, log, pinned }: Omit<Surroundings, 'upstream'>,
): Promise<Running> {
  return await startServer('the workspace', pinned ? 1 : null, log, (port) => {
    if (kind === 'program') return program('../upstream.ts')({ port, upstream: '', folder })
    writeSite(join(folder, 'site'))
    return nginx('../upstream.conf')({ port, upstream: '', folder })
  })
}

function source(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

function environment({ port, upstream }: Place): Record<string, string> {
  return { PORT: String(port), UPSTREAM: upstream, JWT_SECRET: secret }
}

function program(file: string): Peer['command'] {
  return (place) => ({
    file: process.execPath,
    args: [...nodeOptions, source(`peers/${file}`)],
    env: { ...environment(place), NODE_ENV: 'production' },
  })
}

/** nginx knows no variables where it listens: the file is filled in first. */
function nginx(file: string): Peer['command'] {
  return (place) => {
    const { port, upstream, folder } = place
    const values: Readonly<Record<string, string>> = {
      PORT: String(port),
      UPSTREAM: upstream,
      DIR: folder,
      PEERS: source('peers'),
    }
    const conf = join(folder, `${port}.conf`)
    const text = readFileSync(source(`peers/${file}`), 'utf8')
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      conf,
      text.replace(/\$\{([A-Z]+)\}/g, (_, name: string) => values[name] ?? ''),
    )
    return { file: 'nginx', args: ['-p', folder, '-c', conf], env: environment(place) }
  }
}
