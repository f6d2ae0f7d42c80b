import { isIPv6 } from 'node:net'
import { parseArgs } from 'node:util'
import { createLink } from '../link/link.ts'
import { isAnyAddress } from '../settings/config.ts'
import { baseUrl, duration } from '../settings/parsers.ts'
import { createReader, type Reader } from '../settings/reader.ts'
import { settings } from '../settings/table.ts'
import { readEnvironment, surroundings, wrongSettings } from './environment.ts'
import { wrongUsage } from './usage.ts'

/** Prints one signed link and nothing else. Of the settings it takes what a link is made of. */
export function link(args: readonly string[]): 0 | 1 | 2 {
  const { values } = parseArgs({ args, options })
  const { user: userId, session: sessionId, 'url-token': urlToken } = values
  if (userId === '' || sessionId === '' || urlToken === '') {
    return wrongUsage('link needs --user, --session and --url-token, none of them empty')
  }
  const around = surroundings()
  const expires = duration(1000)(values.expires, around)
  if ('problems' in expires) return wrongUsage(`--expires ${expires.problems.join(', ')}`)
  const base = values.base === undefined ? null : baseUrl(values.base, around)
  if (base !== null && 'problems' in base) return wrongUsage(`--base ${base.problems.join(', ')}`)

  const environment = readEnvironment()
  if ('problems' in environment) return wrongSettings(environment)
  const reader = createReader(environment.env, around)
  const secret = reader.read(settings.jwtSecret)?.[0]
  const gateway = base === null ? gatewayUrl(reader) : base.value
  if (secret === undefined || reader.problems.length > 0) return wrongSettings(reader)
  if (gateway === null) return wrongUsage('link needs --base, since PORT is 0')
  const lasts = { expiresIn: expires.value, now: around.now }
  const url = createLink({ baseUrl: gateway, userId, sessionId, urlToken, secret, ...lasts })
  process.stdout.write(`${url}\n`)
  return 0
}

const options = {
  user: { type: 'string', default: '' },
  session: { type: 'string', default: '' },
  'url-token': { type: 'string', default: '' },
  base: { type: 'string' },
  expires: { type: 'string', default: '8h' },
} as const

/** Where the gateway is; null where the settings do not say. */
function gatewayUrl({ read, isSet }: Reader): URL | null {
  const publicOrigin = read(settings.publicUrl)?.[0]
  const host = read(settings.host)
  const port = read(settings.port)
  if (publicOrigin !== undefined) return new URL(publicOrigin)
  if (host === null || !port) return null
  const scheme = isSet(settings.tlsCert) ? 'https' : 'http'
  const name = isAnyAddress(host) ? 'localhost' : isIPv6(host) ? `[${host}]` : host
  return new URL(`${scheme}://${name}:${port}`)
}
