import assert from 'node:assert'
import { createHash, randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { formatUui } from '../packages/copilot-link/src/uui.ts'
import { openLinks } from '../src/links/links.ts'
import { createLog } from '../src/observe/log.ts'
import { serve } from '../src/serve.ts'
import { type Config, readConfig } from '../src/settings/config.ts'
import { plainLink, signLink, startContactCenter, startStranger } from './contact-center.ts'
import { agent, conversations } from './conversations.ts'
import { createDesk } from './desk.ts'
import { createHandovers } from './handover.ts'
import { readable } from './readable.ts'
import { startAnswering } from './sip/answering.ts'
import type { Peer } from './sip/socket.ts'
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
  /** The links API. */
  readonly links: URL
  /** The contact center's end of calls, over UDP. */
  readonly sip: Peer
  /** The command that calls the agent with sipp. */
  readonly sipp: string
  /** The links API's client and its secret, as curl -u takes them. */
  readonly linksClient: string
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
  links: 8081,
  sip: 5060,
} as const

const anyPorts: Ports = {
  gateway: 0,
  contactCenter: 0,
  stranger: 0,
  workspacePage: 0,
  workspaceApi: 0,
  links: 0,
  sip: 0,
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

/** Starts a workspace, the gateway in front of it, its links API, two sites that frame it, and a telephone. */
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
  const clientSecret = randomBytes(32).toString('hex')
  const shared = { tls, gateway, secret, urlToken, pages }
  const [maria, tomas, ines, jonas, amara] = conversations
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
    const config = configure(
      {
        COPILOT_URL: workspace.page.origin,
        COPILOT_API_URL: workspace.api.origin,
        COPILOT_API_TOKEN: workspace.apiToken,
        PUBLIC_PATHS: '/assets/* /favicon.ico /manifest.json',
        JWT_SECRET: `hex:${secret.toString('hex')}`,
        FRAME_ANCESTORS: pages.desktop.origin,
        URL_TOKENS: urlToken,
        REQUIRE_EXP: 'true',
        // Every browser of the demo has one address, and a page of links that must fail.
        RATE_LIMIT: '1000/1m',
        HOST: '127.0.0.1',
        PORT: String(ports.gateway),
        LINKS_PORT: String(ports.links),
        LINKS_CLIENTS: `desktop:sha256:${createHash('sha256').update(clientSecret).digest('hex')}`,
        ...(tls ? { TLS_CERT_FILE: 'cert', TLS_KEY_FILE: 'key' } : {}),
      },
      tls,
    )
    // The contact center's server asks it, on this machine: plain HTTP, as to the workspace.
    const plain = { ...config, listener: { ...config.listener, tls: null } }
    const links = await openLinks(plain, gateway.origin, log)
    assert(links !== null)
    started.push(links)
    const desk = createDesk({
      origin: pages.desktop.origin,
      handovers: createHandovers({
        api: links.address,
        credentials: `desktop:${clientSecret}`,
        gateway,
        urlToken,
      }),
      endpoint: () => sip,
      plainLink: (sessionId) => plainLink(shared, sessionId),
      waiting: { call: amara, chat: jonas },
      log,
    })
    started.push(desk)
    const sip = await startAnswering({ port: ports.sip, onCall: desk.take })
    started.push(sip)
    const uui = formatUui(plainLink(shared, amara.sessionId).href, 'quoted')
    const sipp = `sipp ${sip.address}:${sip.port} -s ${agent.userId} -sf demo/call.xml -m 1 -key uui '${uui}'`
    started.push(
      await startContactCenter({
        ...shared,
        port: ports.contactCenter,
        host: names.contactCenter,
        chats: [maria, tomas, ines],
        handle: desk.handle,
        sipp,
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
    started.push(await serve(config, log))
    return {
      gateway,
      ...pages,
      workspace,
      secret,
      urlToken,
      links: new URL(links.address),
      linksClient: `desktop:${clientSecret}`,
      sip,
      sipp,
      link: (sessionId) => signLink(shared, sessionId),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The way an operator's settings are read, but that the certificate is not read from a file. */
function configure(env: Readonly<Record<string, string>>, tls: Tls | null): Config {
  const files = new Map(Object.entries(tls ?? {}))
  const read = readConfig(env, {
    readFile: (name) => String(files.get(name)),
    now: Date.now(),
  })
  if ('problems' in read) {
    const problems = read.problems.map(({ setting, message }) => `${setting} ${message}`)
    throw new Error(`The demo's settings are wrong: ${problems.join('; ')}`)
  }
  return read.config
}

function introduction(demo: Demo): string {
  const { gateway, desktop, refusals, stranger, workspace, links, secret, urlToken, sipp } = demo
  return `The demo is running, on this machine only, with a secret of its own.

  The gateway          ${gateway.origin}
  in front of          ${workspace.page.origin} (page) and ${workspace.api.origin} (backend)
  Its links API        ${links.origin} (curl -u ${demo.linksClient})

Open in a browser:

  An agent's desktop   ${desktop}
    Two chats, each with Copilot in a frame, let in by signed links.
    A call and a handover whose links are not signed: the links API signs them.
  Links that must fail ${refusals}
    Expired, for another session, wrongly signed, without a token.
  A stranger's site    ${stranger}
    A valid link in a page that may not frame it: the frame stays shut.
  A signed link itself, valid for eight hours:
    ${demo.link(conversations[0].sessionId)}

To call the agent from outside, with sipp (Debian: sip-tester); the desktop, open before, rings:

  ${sipp}

To sign links yourself, with npx copilot-gateway link, or load:

  export JWT_SECRET=hex:${secret.toString('hex')}
  export PUBLIC_URL=${gateway.origin} URL_TOKENS=${urlToken}
  npx copilot-gateway load ${gateway.origin}

Ctrl-C stops it. What the gateway decides on pages and sockets is shown below.

`
}
