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
  const { secrets, frameAncestors } = config.contactCenter
  // No fingerprint: whoever sees one can try out guesses at a weak secret.
  const { apiToken } = config.upstream
  const lengths = secrets.map((secret) => `${secret.length} bytes`).join(', ')
  return {
    [settings.copilotUrl.name]: config.upstream.page.href,
    [settings.copilotApiUrl.name]: config.upstream.api.origin,
    [settings.jwtSecret.name]: `${secrets.length} (${lengths})`,
    [settings.copilotApiToken.name]: apiToken === null ? 'none' : `${apiToken.length} characters`,
    [settings.frameAncestors.name]: frameAncestors.join(' ') || "'none'",
    ...(config.publicOrigins && { [settings.publicUrl.name]: config.publicOrigins.join(' ') }),
  }
}
