import { errorCode, type Surroundings } from './parsers.ts'
import type { Environment } from './reader.ts'
import type { SettingFiles } from './told.ts'

/**
 * All that a Config was made of: as JSON it can go to another process, which makes the same of it. It
 * holds every secret.
 */
export interface Source {
  readonly env: Environment
  readonly files: SettingFiles
  /** Of every file that was asked for, by its path: its text, or why it could not be read. */
  readonly texts: Readonly<Record<string, Text>>
  /** Milliseconds since the epoch. */
  readonly now: number
}

type Text = { readonly text: string } | { readonly code: string | null }

/** Reads each file once, so that all settings are of one moment, and keeps what it read. */
export function record({ readFile, now }: Surroundings): {
  readonly surroundings: Surroundings
  readonly texts: () => Source['texts']
} {
  const texts = new Map<string, Text>()
  const surroundings: Surroundings = {
    now,
    readFile(path) {
      const text = texts.get(path) ?? attempt(path)
      texts.set(path, text)
      return read(text)
    },
  }
  return { surroundings, texts: () => Object.fromEntries(texts) }

  function attempt(path: string): Text {
    try {
      return { text: readFile(path) }
    } catch (error) {
      return { code: errorCode(error) }
    }
  }
}

/** The files and the moment of a source, in place of those of this process. */
export function surroundingsOf({ texts, now }: Source): Surroundings {
  const files = new Map(Object.entries(texts))
  return { now, readFile: (path) => read(files.get(path) ?? { code: 'ENOENT' }) }
}

function read(text: Text): string {
  if ('text' in text) return text.text
  throw Object.assign(new Error('The file cannot be read'), text.code && { code: text.code })
}
