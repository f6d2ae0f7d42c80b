import { readText, type Surroundings } from './parsers.ts'
import type { Setting } from './table.ts'

/** What is wrong, or doubtful, about one setting: `message` goes on where its name ends. */
export interface Finding {
  readonly setting: string
  readonly message: string
}

export interface Problems {
  readonly problems: readonly Finding[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Reads settings one by one and gathers what is wrong with them. */
export interface Reader {
  /** Null where the setting is wrong, or absent and without a default. */
  readonly read: <T>(setting: Setting<T>) => T | null
  readonly isSet: (setting: Setting) => boolean
  readonly refuse: (setting: Setting, message: string) => void
  readonly warn: (setting: Setting, message: string) => void
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
}

export function createReader(env: Environment, surroundings: Surroundings): Reader {
  const problems: Finding[] = []
  const warnings: Finding[] = []
  const empty = new Set<string>()

  return {
    read(setting) {
      const found = find(setting)
      if (found === null) return null
      const parsed = setting.parse(found.text, surroundings)
      const named = (message: string): Finding => ({ setting: found.name, message })
      if ('problems' in parsed) {
        problems.push(...parsed.problems.map(named))
        return null
      }
      warnings.push(...parsed.warnings.map(named))
      return parsed.value
    },
    isSet: (setting) => Boolean(env[setting.name]?.trim()),
    refuse: (setting, message) => void problems.push({ setting: setting.name, message }),
    warn: (setting, message) => void warnings.push({ setting: setting.name, message }),
    problems,
    get warnings() {
      // What follows from a setting's absence says that it is absent.
      const warned = new Set(warnings.map(({ setting }) => setting))
      const message = 'is empty and counts as not set'
      const unsaid = [...empty].filter((name) => !warned.has(name))
      return [...unsaid.map((setting) => ({ setting, message })), ...warnings]
    },
  }

  /** The text of a setting, and the variable to blame for it. */
  function find(setting: Setting): { readonly name: string; readonly text: string } | null {
    const { name } = setting
    const fileName = `${name}_FILE`
    const text = given(name)
    const path = setting.file ? given(fileName) : null
    if (text !== null && path !== null) {
      problems.push({ setting: name, message: `and ${fileName} are both set: keep one of them` })
      return null
    }
    if (path !== null) {
      const file = readText(path, surroundings.readFile)
      if ('value' in file) return { name: fileName, text: file.value.trim() }
      problems.push(...file.problems.map((message) => ({ setting: fileName, message })))
      return null
    }
    if (text !== null) return { name, text }
    if (setting.absent === 'required') {
      problems.push({ setting: name, message: `is required: ${setting.meaning}` })
    }
    return setting.default === undefined ? null : { name, text: setting.default }
  }

  /** An empty variable is an absent one: Compose files and templates pass on what has no value. */
  function given(name: string): string | null {
    const text = env[name]?.trim()
    if (text === '') empty.add(name)
    return text || null
  }
}
