// A links API in front of a gateway, and clients that ask it.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Links, openLinks } from '../../src/links/links.ts'
import { createLog } from '../../src/observe/log.ts'
import { type Config, readConfig } from '../../src/settings/config.ts'
import { know, knowSettings, pour } from '../sinks.ts'
import { type Answer, type Asked, ask, ids, secret } from '../stage.ts'

interface Scope {
  teardown(done: () => unknown): void
}

type Env = Readonly<Record<string, string>>
type Configure = (config: Config) => Config

/** What `openssl rand -hex 32` prints. */
export const clientSecret = '5e0f3c7a'.repeat(8)
export const otherSecret = 'b41d9e62'.repeat(8)
know('secret', clientSecret)
know('secret', otherSecret)

/** An entry of LINKS_CLIENTS. */
export function client(id = 'crm', key = clientSecret): string {
  return `${id}:sha256:${createHash('sha256').update(key).digest('hex')}`
}

export function basic(id = 'crm', key = clientSecret): { readonly Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${id}:${key}`).toString('base64')}` }
}

/** What names a link: the ids of every test. */
export const byIds = { userId: ids.userId, sessionId: ids.sessionId, urlToken: ids.URLToken }

export const plainLink = `https://copilot.example/?userId=${ids.userId}&sessionId=${ids.sessionId}&URLToken=${ids.URLToken}`

export interface Started extends Omit<Links, 'reload' | 'address'> {
  readonly origin: string
  /** The log's lines of the API, parsed, once there are `count`. */
  readonly told: (count: number) => Promise<Record<string, unknown>[]>
  /** All that was logged, as it was written. */
  readonly log: () => string
  readonly reload: (env?: Env, configure?: Configure) => void
}

/** A links API whose links lead to `gateway`, with one client unless told otherwise. */
export async function startLinks(
  t: Scope,
  gateway: string,
  env: Env = {},
  configure: Configure = (config) => config,
): Promise<Started> {
  const configOf = (changes: Env): Config => {
    const settings = {
      COPILOT_URL: 'http://127.0.0.1:1',
      JWT_SECRET: secret,
      FRAME_ANCESTORS: 'https://cc.example',
      LINKS_PORT: '0',
      LINKS_CLIENTS: client(),
      RATE_LIMIT: '1000000/1m',
      ...env,
      ...changes,
    }
    knowSettings(settings)
    const readFile = (path: string): string => readFileSync(path, 'utf8')
    const read = readConfig(settings, { readFile, now: Date.now() })
    if ('problems' in read) throw new Error(JSON.stringify(read.problems))
    return read.config
  }
  const written: string[] = []
  const lines: Record<string, unknown>[] = []
  const waiting = new Set<() => void>()
  const log = createLog('trace', {
    write(line) {
      pour('log', line)
      written.push(line)
      lines.push(JSON.parse(line))
      for (const check of waiting) check()
    },
  })
  const links = await openLinks(configure(configOf({})), gateway, log)
  if (links === null) throw new Error('no links API')
  t.teardown(links.close)
  return {
    origin: links.address,
    close: links.close,
    reload: (changes = {}, reconfigure = configure) => links.reload(reconfigure(configOf(changes))),
    log: () => written.join(''),
    told: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          const told = lines.filter(({ event }) => event === 'link')
          if (told.length < count) return
          waiting.delete(check)
          resolve(told)
        }
        waiting.add(check)
        check()
      }),
  }
}

/** Asks with a JSON body, as the client unless told otherwise. */
export function call(
  origin: string,
  path: string,
  body: unknown,
  { headers = basic(), method = body === undefined ? 'GET' : 'POST', ...asked }: Asked = {},
): Promise<Answer> {
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' }
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return ask(origin, path, {
    method,
    headers: { ...type, ...headers },
    ...(body !== undefined && { body: text }),
    ...asked,
  })
}

/** Where a URL of an answer leads: its origin, and the target to ask there. */
export function led(url: unknown): { readonly origin: string; readonly target: string } {
  const { origin, pathname, search } = new URL(String(url))
  return { origin, target: pathname + search }
}

/** The path of a new short link to the ids of every test, or what `body` changes. */
export async function shorten(origin: string, body: object = {}): Promise<string> {
  const { status, body: text } = await call(origin, '/links', { ...byIds, short: true, ...body })
  if (status !== 200) throw new Error(`${status}: ${text}`)
  return led(JSON.parse(text).shortUrl).target
}

/** How a browser opens a link. */
export const navigation = {
  Accept: 'text/html,application/xhtml+xml',
  'Sec-Fetch-Site': 'cross-site',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'iframe',
} as const
