import { isIPv6 } from 'node:net'
import { parseArgs } from 'node:util'
import { createLink } from '../link/link.ts'
import { isAnyAddress } from '../settings/config.ts'
import { baseUrl, duration } from '../settings/parsers.ts'
import type { Reader } from '../settings/reader.ts'
import { settings } from '../settings/table.ts'
import { readSome, surroundings, wrongSettings } from './environment.ts'
import { readSigner } from './signer.ts'
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

  const some = readSome(values.config ?? null, around)
  if ('problems' in some) return wrongSettings(some)
  const { reader, contactCenters } = some
  const signer = readSigner('link', reader, contactCenters, values['contact-center'])
  const gateway = base === null ? gatewayUrl(reader) : base.value
  if (reader.problems.length > 0) return wrongSettings(reader)
  if (typeof signer === 'string') return wrongUsage(signer)
  if (signer === null) return 1
  if (gateway === null) return wrongUsage('link needs --base, since PORT is 0')
  const { secret } = signer
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
  config: { type: 'string' },
  'contact-center': { type: 'string' },
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
