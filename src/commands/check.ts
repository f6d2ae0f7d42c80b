import type { Config } from '../settings/config.ts'
import { type Setting, settings } from '../settings/table.ts'
import { readSettings, sentence, wrongSettings } from './environment.ts'

/** Says what every setting is, or everything that is wrong with them. */
export function check(): 0 | 1 {
  const read = readSettings()
  if ('problems' in read) return wrongSettings(read)
  const { env, config, warnings } = read

  const parsed = show(config)
  const lines = Object.values<Setting>(settings).map((setting) => {
    const text = env[setting.name]?.trim() || (setting.default ?? setting.absent)
    return `${setting.name.padEnd(24)}${parsed[setting.name] ?? text}`
  })
  if (warnings.length > 0) lines.push('', 'Warnings:', ...warnings.map(sentence))
  process.stdout.write(`${lines.join('\n')}\n\nThe gateway can start with these settings.\n`)
  return 0
}

/** The settings that mean more than their text says, or must not be shown. */
function show(config: Config): Readonly<Record<string, string>> {
  const { secrets = [], frameAncestors = [], urlTokens = null } = config.contactCenters[0] ?? {}
  // No fingerprint: whoever sees one can try out guesses at a weak secret.
  const characters = (text: string | null): string =>
    text === null ? 'none' : `${text.length} characters`
  return {
    [settings.copilotUrl.name]: config.upstream.page.href,
    [settings.copilotApiUrl.name]: config.upstream.api.origin,
    [settings.jwtSecret.name]: lengths(secrets),
    [settings.sessionSecret.name]: lengths(config.sessionSecrets) || 'derived',
    [settings.copilotApiToken.name]: characters(config.upstream.apiToken),
    [settings.adminToken.name]: characters(config.admin?.token ?? null),
    [settings.redisUrl.name]: config.redisUrl === null ? 'none' : 'set',
    [settings.urlTokens.name]: urlTokens === null ? 'any' : String(urlTokens.length),
    [settings.frameAncestors.name]: frameAncestors.join(' ') || "'none'",
    [settings.workers.name]: String(config.workers),
    ...(config.publicOrigins && { [settings.publicUrl.name]: config.publicOrigins.join(' ') }),
  }
}

function lengths(secrets: readonly Buffer[]): string {
  const each = secrets.map(({ length }) => `${length} bytes`).join(', ')
  return secrets.length === 0 ? '' : `${secrets.length} (${each})`
}
