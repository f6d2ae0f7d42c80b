import type { Config, ContactCenter } from '../settings/config.ts'
import { sentence } from '../settings/reader.ts'
import { surroundingsOf } from '../settings/source.ts'
import { type Setting, settings } from '../settings/table.ts'
import { readSettings, readSome, wrongSettings } from './environment.ts'

/** Says what every setting is, or everything that is wrong with them. */
export function check(yaml: string | null): 0 | 1 {
  const read = readSettings(yaml)
  if ('problems' in read) return wrongSettings(read)
  const some = readSome(yaml, surroundingsOf(read.source))
  if ('problems' in some) return wrongSettings(some)
  const { config, warnings } = read

  const several = some.contactCenters !== null
  const parsed = show(config, several)
  const lines = Object.values<Setting>(settings).map((setting) => {
    const { name, default: text, absent } = setting
    const told = some.reader.textOf(setting)
    const raw = told === null ? (text ?? absent) : setting.file ? 'set' : told
    return `${name.padEnd(24)}${parsed[name] || raw}`
  })
  if (several) lines.push('', 'Contact centers:', ...config.contactCenters.map(describe))
  if (warnings.length > 0) lines.push('', 'Warnings:', ...warnings.map(sentence))
  process.stdout.write(`${lines.join('\n')}\n\nThe gateway can start with these settings.\n`)
  return 0
}

/** The settings that mean more than their text says, or must not be shown. */
function show(config: Config, several: boolean): Readonly<Record<string, string>> {
  const [{ secrets = [], frameAncestors = [], urlTokens = null, linksClients = [] } = {}] =
    config.contactCenters
  // No fingerprint: whoever sees one can try out guesses at a weak secret.
  const characters = (text: string | null): string =>
    text === null ? 'none' : `${text.length} characters`
  const ofEach = 'of each contact center'
  return {
    [settings.copilotUrl.name]: config.upstream.page.href,
    [settings.copilotApiUrl.name]: config.upstream.api.origin,
    [settings.copilotApiToken.name]: characters(config.upstream.apiToken),
    [settings.sessionSecret.name]: lengths(config.sessionSecrets),
    [settings.adminToken.name]: characters(config.admin?.token ?? null),
    ...(several
      ? {
          [settings.jwtSecret.name]: config.upstreamSecret === null ? ofEach : '',
          [settings.urlTokens.name]: ofEach,
          [settings.linksClients.name]: ofEach,
        }
      : {
          [settings.jwtSecret.name]: lengths(secrets),
          [settings.urlTokens.name]: count(urlTokens),
          [settings.linksClients.name]: idsOf(linksClients),
          [settings.frameAncestors.name]: frameAncestors.join(' ') || "'none'",
        }),
    ...(config.publicOrigins && { [settings.publicUrl.name]: config.publicOrigins.join(' ') }),
  }
}

function describe(contactCenter: ContactCenter): string {
  const { name, secrets, publicKeys, jwksUrl, frameAncestors, urlTokens, linksClients } =
    contactCenter
  const { requireExp, maxAge, clockTolerance } = contactCenter.tokens
  const keys =
    jwksUrl === null
      ? lengths(secrets) || `${publicKeys.length} public`
      : `public, at ${jwksUrl.origin}${jwksUrl.pathname}`
  const parts = [
    `keys ${keys}`,
    `frame ancestors ${frameAncestors.join(' ') || "'none'"}`,
    `URLTokens ${count(urlTokens)}`,
    `exp ${requireExp ? 'required' : 'not required'}`,
    `age ${maxAge === null ? 'any' : `${maxAge}ms`}`,
    `tolerance ${clockTolerance}ms`,
    `one-time ${contactCenter.oneTimeTokens}`,
    ...(linksClients.length > 0 ? [`links clients ${idsOf(linksClients)}`] : []),
    contactCenter.enforcement,
  ]
  return `${name.padEnd(24)}${parts.join('; ')}`
}

function count(urlTokens: readonly string[] | null): string {
  return urlTokens === null ? 'any' : String(urlTokens.length)
}

function idsOf(clients: ContactCenter['linksClients']): string {
  return [...new Set(clients.map(({ id }) => id))].join(' ') || 'none'
}

function lengths(secrets: readonly Buffer[]): string {
  const each = secrets.map(({ length }) => `${length} bytes`).join(', ')
  return secrets.length === 0 ? '' : `${secrets.length} (${each})`
}
