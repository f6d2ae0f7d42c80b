import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { createLog } from '../src/observe/log.ts'
import { serve } from '../src/serve.ts'
import { readConfig } from '../src/settings/config.ts'
import { signLink, startContactCenter, startStranger } from './contact-center.ts'
import { conversations } from './conversations.ts'
import { readable } from './readable.ts'
import { pickPorts, type Site, type Tls } from './site.ts'
import { startWorkspace, type Workspace } from './workspace.ts'

export interface DemoOptions {
  /** Names in the URLs; each server listens on loopback, whatever its name. */
  readonly names?: Readonly<Record<'gateway' | 'contactCenter' | 'stranger', string>>
  /** Taken where they are free, else others; free ones unless given. */
  readonly ports?: Ports
  /** HTTPS for all that a browser talks to; the workspace behind the gateway stays on plain HTTP. */
  readonly tls?: Tls | null
  readonly log?: Logger
  /** Milliseconds between two lines of a conversation. */
  readonly pace?: number
}

export interface Demo {
  readonly gateway: URL
  readonly desktop: URL
  readonly refusals: URL
  readonly stranger: URL
  readonly workspace: Pick<Workspace, 'page' | 'api' | 'apiToken'>
  /** What the contact center and the gateway share. */
  readonly secret: Buffer
  readonly urlToken: string
  /** A signed link to one session, eight hours long. */
  link(sessionId: string): URL
  close(): Promise<void>
}

type Ports = Readonly<Record<keyof typeof usualPorts, number>>

const usualPorts = {
  gateway: 8080,
  contactCenter: 4100,
  stranger: 4200,
  workspacePage: 4300,
  workspaceApi: 4301,
} as const

const anyPorts: Ports = {
  gateway: 0,
  contactCenter: 0,
  stranger: 0,
  workspacePage: 0,
  workspaceApi: 0,
}

const localNames = {
  gateway: 'localhost',
  contactCenter: 'contact-center.localhost',
  stranger: 'stranger.localhost',
} as const

/** Runs the demo until a signal ends it. */
export async function runDemo(): Promise<void> {
  const stop = new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
  const log = createLog('info', {
    write: (line) => {
      const text = readable(line)
      if (text !== null) process.stdout.write(`${text}\n`)
    },
  })
  const demo = await startDemo({ ports: usualPorts, log })
  process.stdout.write(introduction(demo))
  await stop
  process.stdout.write('Stopping\n')
  await demo.close()
}

/** Starts a workspace, the gateway in front of it, and two sites that frame it. */
export async function startDemo(options: DemoOptions = {}): Promise<Demo> {
  const { names = localNames, tls = null, log = createLog('silent', { write() {} }) } = options
  const ports = await pickPorts(options.ports ?? anyPorts)
  const scheme = tls ? 'https' : 'http'
  const at = (name: keyof typeof names, path = '/'): URL =>
    new URL(path, `${scheme}://${names[name]}:${ports[name]}`)
  const gateway = at('gateway')
  const pages = {
    desktop: at('contactCenter'),
    refusals: at('contactCenter', '/refusals'),
    stranger: at('stranger'),
  }
  const secret = randomBytes(32)
  const urlToken = randomBytes(32).toString('hex')
  const shared = { tls, gateway, secret, urlToken, pages }
  const started: Pick<Site, 'close'>[] = []
  const close = async (): Promise<void> => {
    for (const server of started.splice(0).reverse()) await server.close()
  }

  try {
    const workspace = await startWorkspace({
      pagePort: ports.workspacePage,
      apiPort: ports.workspaceApi,
      secret,
      ...(options.pace === undefined ? {} : { pace: options.pace }),
    })
    started.push(workspace)
    started.push(
      await startContactCenter({
        ...shared,
        port: ports.contactCenter,
        host: names.contactCenter,
        chats: conversations,
      }),
    )
    started.push(
      await startStranger({
        ...shared,
        port: ports.stranger,
        host: names.stranger,
        chat: conversations[0],
      }),
    )
    started.push(
      await startGateway(
        {
          COPILOT_URL: workspace.page.origin,
          COPILOT_API_URL: workspace.api.origin,
          COPILOT_API_TOKEN: workspace.apiToken,
          PUBLIC_PATHS: '/assets/* /favicon.ico /manifest.json',
          JWT_SECRET: `hex:${secret.toString('hex')}`,
          FRAME_ANCESTORS: pages.desktop.origin,
          REQUIRE_EXP: 'true',
          // Every browser of the demo has one address, and a page of links that must fail.
          RATE_LIMIT: '1000/1m',
          HOST: '127.0.0.1',
          PORT: String(ports.gateway),
          ...(tls ? { TLS_CERT_FILE: 'cert', TLS_KEY_FILE: 'key' } : {}),
        },
        tls,
        log,
      ),
    )
    return {
      gateway,
      ...pages,
      workspace,
      secret,
      urlToken,
      link: (sessionId) => signLink(shared, sessionId),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The way an operator starts it, but that the certificate is not read from a file. */
async function startGateway(
  env: Readonly<Record<string, string>>,
  tls: Tls | null,
  log: Logger,
): Promise<Pick<Site, 'close'>> {
  const files = new Map(Object.entries(tls ?? {}))
  const read = readConfig(env, {
    readFile: (name) => String(files.get(name)),
    now: Date.now(),
  })
  if ('problems' in read) {
    const problems = read.problems.map(({ setting, message }) => `${setting} ${message}`)
    throw new Error(`The demo's settings are wrong: ${problems.join('; ')}`)
  }
  return serve(read.config, log)
}

function introduction(demo: Demo): string {
  const { gateway, desktop, refusals, stranger, workspace } = demo
  return `The demo is running, on this machine only, with a secret of its own.

  The gateway          ${gateway.origin}
  in front of          ${workspace.page.origin} (page) and ${workspace.api.origin} (backend)

Open in a browser:

  An agent's desktop   ${desktop}
    Two chats, each with Copilot in a frame, let in by signed links.
  Links that must fail ${refusals}
    Expired, for another session, wrongly signed, without a token.
  A stranger's site    ${stranger}
    A valid link in a page that may not frame it: the frame stays shut.
  A signed link itself, valid for eight hours:
    ${demo.link(conversations[0].sessionId)}

Ctrl-C stops it. What the gateway decides on pages and sockets is shown below.

`
}
