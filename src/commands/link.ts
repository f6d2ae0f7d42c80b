import { isIPv6 } from 'node:net'
import { parseArgs } from 'node:util'
import { createLink } from '../link/link.ts'
import { isAnyAddress } from '../settings/config.ts'
import { readEntries, readSigners } from '../settings/contact-centers.ts'
import { baseUrl, duration } from '../settings/parsers.ts'
import type { Reader } from '../settings/reader.ts'
import { settings } from '../settings/table.ts'
import type { YamlNode } from '../settings/yaml.ts'
import { readSome, surroundings, wrongSettings } from './environment.ts'
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
  const secret = newestSecret(reader, contactCenters, values['contact-center'])
  const gateway = base === null ? gatewayUrl(reader) : base.value
  if (reader.problems.length > 0) return wrongSettings(reader)
  if (typeof secret === 'string') return wrongUsage(secret)
  if (secret === null) return 1
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
  config: { type: 'string' },
  'contact-center': { type: 'string' },
} as const

/** What signs the links of a contact center; a sentence where there is none of that name. */
function newestSecret(
  reader: Reader,
  list: YamlNode | null,
  name: string | undefined,
): Buffer | string | null {
  if (list === null) {
    if (name !== undefined && name !== 'default')
      return `There is no contact center ${JSON.stringify(name)}`
    return reader.read(settings.jwtSecret)?.[0] ?? null
  }
  const entries = readEntries(reader, list)
  if (name === undefined && entries.length > 1) {
    return 'link needs --contact-center, since there are several'
  }
  const entry = entries.find((one) => name === undefined || one.name === name)
  if (entry === undefined) return `There is no contact center ${JSON.stringify(name)}`
  if (entry.entries.has('keys')) {
    reader.refuse(entry.node, 'has public keys: whoever has the private ones signs its links')
    return null
  }
  return readSigners(reader, entry)?.secrets[0] ?? null
}

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
