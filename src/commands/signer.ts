import { readEntries, readSigners } from '../settings/contact-centers.ts'
import type { Reader } from '../settings/reader.ts'
import { settings } from '../settings/table.ts'
import type { YamlNode } from '../settings/yaml.ts'

/** What a contact center signs its links with. */
export interface Signer {
  /** The newest. */
  readonly secret: Buffer
  /** One that its links may name; null where that is any. */
  readonly urlToken: string | null
}

/** That of a contact center; a sentence where there is none of that name, null where the settings are wrong. */
export function readSigner(
  command: string,
  reader: Reader,
  list: YamlNode | null,
  name: string | undefined,
): Signer | string | null {
  if (list === null) {
    if (name !== undefined && name !== 'default')
      return `There is no contact center ${JSON.stringify(name)}`
    return signer(reader.read(settings.jwtSecret), reader)
  }
  const entries = readEntries(reader, list)
  if (name === undefined && entries.length > 1) {
    return `${command} needs --contact-center, since there are several`
  }
  const entry = entries.find((one) => name === undefined || one.name === name)
  if (entry === undefined) return `There is no contact center ${JSON.stringify(name)}`
  if (entry.entries.has('keys')) {
    reader.refuse(entry.node, 'has public keys: whoever has the private ones signs its links')
    return null
  }
  return signer(readSigners(reader, entry)?.secrets, reader.among(entry.entries))
}

function signer(secrets: readonly Buffer[] | null | undefined, reader: Reader): Signer | null {
  const [secret] = secrets ?? []
  const urlToken = reader.read(settings.urlTokens)?.[0] ?? null
  return secret === undefined ? null : { secret, urlToken }
}
