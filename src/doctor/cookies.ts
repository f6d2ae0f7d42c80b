import { type Check, type Examined, fail, type Outcome, pass, skip, warn } from './check.ts'
import { pathAt, stranger, tampered } from './credentials.ts'
import type { Answer } from './probe.ts'
import { refused } from './refusals.ts'

const prefix = '__Host-copilot-'

/** The session cookie acts for its own session, from the workspace's own page. */
export const cookies: readonly Check[] = [
  {
    id: 'cookie-attributes',
    promise:
      'The session cookie is __Host-, Secure, HttpOnly, SameSite=None and Partitioned, and the workspace’s own fit a frame too.',
    remedy: 'Look what changes Set-Cookie in front of the gateway (nginx: proxy_cookie_flags).',
    needs: 'opened',
    run({ probe }) {
      const lines = cookieLines(probe.answers)
      const opened = probe.answers.some(({ welcome, status }) => welcome && status < 400)
      if (!opened) return skip('the workspace did not open')
      if (sessionLine(probe.answers) === undefined) return fail(`no cookie ${prefix}* was set`)
      const faults = lines.flatMap(faultsIn)
      return faults.length === 0 ? pass(`${lines.length} set`) : fail(faults.join('; '))
    },
  },
  {
    id: 'session-length',
    promise: 'A session lasts for 30 minutes or more.',
    remedy:
      'Sign an exp after the agent’s shift, raise SESSION_MAX_AGE, or set SESSION_OUTLIVES_TOKEN where links are short-lived.',
    needs: 'session',
    run({ probe }) {
      const age = /;\s*max-age=(\d+)/i.exec(String(sessionLine(probe.answers)))?.[1]
      if (age === undefined) return warn('no Max-Age: it ends when the browser does')
      const minutes = Math.floor(Number(age) / 60)
      return minutes < 30 ? warn(`${minutes} minutes`) : pass(lengthOf(minutes))
    },
  },
  {
    id: 'tampered-cookie',
    promise: 'A session cookie with another signature is refused.',
    remedy: 'Look what answers in place of the gateway, from a cache for one.',
    needs: 'session',
    run: (examined, cookie) => askConfig(examined, tampered(cookie), 'same-origin', 401),
  },
  {
    id: 'cookie-as-token',
    promise: 'A session cookie is not accepted as a token.',
    remedy: 'Close this address at once: tokens and sessions are signed with one key.',
    needs: 'session',
    async run({ probe, place }, cookie) {
      const target = `${pathAt(place.url)}?auth=${cookie.slice(cookie.indexOf('=') + 1)}`
      return refused(await probe.ask({ target }), 401)
    },
  },
  {
    id: 'cookie-of-another-session',
    promise: 'A session cookie does not open another session.',
    remedy: 'Look what answers in place of the gateway, from a cache for one.',
    needs: 'session',
    run: (examined, cookie) =>
      askConfig(examined, cookie, 'same-origin', 403, `?sessionId=${stranger}`),
  },
  {
    id: 'cross-site-cookie',
    promise: 'A foreign page cannot use the session cookie.',
    remedy: 'Look what drops Sec-Fetch-Site in front of the gateway.',
    needs: 'session',
    run: (examined, cookie) => askConfig(examined, cookie, 'cross-site', 403),
  },
]

/** The session cookie that was given, as `name=value`; null for none. */
export function sessionCookie(answers: readonly Answer[]): string | null {
  return sessionLine(answers)?.split(';', 1)[0] ?? null
}

/** A script's request for config.js. */
export function configRequest(base: URL, cookie: string, site: string, query = '') {
  return {
    target: pathAt(base, `/config.js${query}`),
    headers: [
      ['Cookie', cookie],
      ['Sec-Fetch-Site', site],
      ['Sec-Fetch-Mode', 'no-cors'],
      ['Sec-Fetch-Dest', 'script'],
    ],
  } as const
}

async function askConfig(
  { probe, place }: Examined,
  cookie: string,
  site: string,
  status: number,
  query?: string,
): Promise<Outcome> {
  return refused(await probe.ask(configRequest(place.url, cookie, site, query)), status)
}

function sessionLine(answers: readonly Answer[]): string | undefined {
  return cookieLines(answers).find((line) => line.startsWith(prefix))
}

function cookieLines(answers: readonly Answer[]): string[] {
  return answers
    .filter(({ welcome }) => welcome)
    .flatMap(({ headers }) => headers['set-cookie'] ?? [])
}

/** What is wrong with a cookie in a frame of another site, by its name alone: values are secret. */
function faultsIn(line: string): string[] {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const name = String(pair.split('=', 1)[0])
  const has = attributes.map((attribute) => attribute.toLowerCase())
  const own = name.startsWith(prefix)
  const needed = ['Secure', 'SameSite=None', 'Partitioned', ...(own ? ['HttpOnly', 'Path=/'] : [])]
  const missing = needed.filter((attribute) => !has.includes(attribute.toLowerCase()))
  const domain = has.some((attribute) => attribute.startsWith('domain='))
  return [
    ...missing.map((attribute) => `${name} without ${attribute}`),
    ...(domain ? [`${name} with Domain`] : []),
  ]
}

function lengthOf(minutes: number): string {
  return minutes < 120 ? `${minutes} minutes` : `${Math.floor(minutes / 60)} hours`
}
