import { dirname, isAbsolute, join } from 'node:path'
import { nearest } from './nearest.ts'
import { type Parser, readText, type Surroundings } from './parsers.ts'
import { type Form, type Setting, yamlName } from './table.ts'
import type { YamlMap, YamlNode } from './yaml.ts'

/** What is wrong, or doubtful, about one setting: `message` goes on where its name ends. */
export interface Finding {
  readonly setting: string
  readonly message: string
}

export function sentence({ setting, message }: Finding): string {
  return `${setting} ${message}`
}

export interface Problems {
  readonly problems: readonly Finding[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** What sets settings. */
export interface Told {
  /** By their names, the ones that win first: the variables of the process, then those of `.env`. */
  readonly variables: readonly Environment[]
  readonly yaml: { readonly file: string; readonly root: YamlMap } | null
  /** What is doubtful about the files themselves. */
  readonly doubts: readonly Finding[]
}

/** Reads settings one by one and gathers what is wrong with them. */
export interface Reader {
  /** Null where the setting is wrong, or absent and without a default. */
  readonly read: <T>(setting: Setting<T>) => T | null
  readonly isSet: (setting: Setting) => boolean
  /** What the setting was told, unparsed; null where it is absent or can't be read. */
  readonly textOf: (setting: Setting) => string | null
  /** The value of a node of the YAML file; null where it is wrong. */
  readonly readNode: <T>(node: YamlNode, parse: Parser<T>, form?: Form | 'reference') => T | null
  /** The entries of a node that must be a map with no other keys; null where it is none. */
  readonly entriesOf: (node: YamlNode, keys: readonly string[]) => YamlMap['entries'] | null
  /** A reader of what these entries set, which has nothing but them and adds to the same findings. */
  readonly among: (entries: YamlMap['entries']) => Reader
  readonly refuse: (where: Setting | YamlNode, message: string) => void
  readonly warn: (where: Setting | YamlNode, message: string) => void
  readonly problems: readonly Finding[]
  readonly warnings: readonly Finding[]
}

/** A text, and what to blame for it. */
interface Given {
  readonly blame: string
  readonly text: string
}

export function createReader(
  { variables, yaml, doubts }: Told,
  surroundings: Surroundings,
): Reader {
  const problems: Finding[] = []
  const warnings = [...doubts]
  /** What several contact centers take from the top level is said once. */
  const said = new Set<string>()
  const empty = new Set<string>()
  const folder = dirname(yaml?.file ?? '')

  function readerOf(
    environments: readonly Environment[],
    entries: YamlMap['entries'] | null,
  ): Reader {
    /** Null: absent. Undefined: wrong, which has been said. */
    const found = new Map<string, Given | null | undefined>()

    function find(setting: Setting): Given | null | undefined {
      if (!found.has(setting.name)) found.set(setting.name, look(setting))
      return found.get(setting.name)
    }

    function look(setting: Setting): Given | null | undefined {
      for (const environment of environments) {
        const given = findVariable(environment, setting)
        if (given !== null) return given
      }
      const node = entries?.get(yamlName(setting))
      return node === undefined ? null : textOf(node, setting.file ? 'reference' : setting.form)
    }

    function blame(where: Setting | YamlNode): string {
      return 'at' in where ? where.at : (find(where)?.blame ?? where.name)
    }

    return {
      read(setting) {
        const given = find(setting)
        if (given === undefined) return null
        if (given !== null) return parse(given, setting.parse)
        if (setting.absent === 'required') {
          add(problems, setting.name, `is required: ${setting.meaning}`)
        }
        const { name, default: text } = setting
        return text === undefined ? null : parse({ blame: name, text }, setting.parse)
      },
      isSet: (setting) => find(setting) !== null,
      textOf: (setting) => find(setting)?.text ?? null,
      readNode(node, parser, form) {
        const given = textOf(node, form)
        return given === undefined ? null : parse(given, parser)
      },
      entriesOf,
      among: (own) => readerOf([], own),
      refuse: (where, message) => add(problems, blame(where), message),
      warn: (where, message) => add(warnings, blame(where), message),
      problems,
      get warnings() {
        // What follows from a setting's absence says that it is absent.
        const warned = new Set(warnings.map(({ setting }) => setting))
        const message = 'is empty and counts as not set'
        const unsaid = [...empty].filter((name) => !warned.has(name))
        return [...unsaid.map((setting) => ({ setting, message })), ...warnings]
      },
    }
  }
  return readerOf(variables, yaml?.root.entries ?? null)

  function parse<T>({ blame, text }: Given, parser: Parser<T>): T | null {
    const parsed = parser(text, surroundings)
    if ('problems' in parsed) {
      for (const problem of parsed.problems) add(problems, blame, problem)
      return null
    }
    for (const warning of parsed.warnings) add(warnings, blame, warning)
    return parsed.value
  }

  function add(findings: Finding[], setting: string, message: string): void {
    const whole = sentence({ setting, message })
    if (!said.has(whole)) findings.push({ setting, message })
    said.add(whole)
  }

  function wrong(setting: string, message: string): undefined {
    add(problems, setting, message)
  }

  /** The text of a setting, or of the file that its `_FILE` names. */
  function findVariable(environment: Environment, setting: Setting): Given | null | undefined {
    const { name } = setting
    const fileName = `${name}_FILE`
    const text = variable(environment, name)
    const path = setting.file ? variable(environment, fileName) : null
    if (text !== null && path !== null) {
      return wrong(name, `and ${fileName} are both set: keep one of them`)
    }
    if (path !== null) return textOfFile(fileName, path)
    return text === null ? null : { blame: name, text }
  }

  /** An empty variable is an absent one: Compose files and templates pass on what has no value. */
  function variable(environment: Environment, name: string): string | null {
    const text = environment[name]?.trim()
    if (text === '') empty.add(name)
    return text || null
  }

  function textOfFile(blame: string, path: string): Given | undefined {
    const file = readText(path, surroundings.readFile)
    if ('value' in file) return { blame, text: file.value.trim() }
    for (const problem of file.problems) wrong(blame, problem)
    return undefined
  }

  function textOf(node: YamlNode, form?: Form | 'reference'): Given | undefined {
    if (form === 'reference') return textOfReference(node)
    if (node.kind === 'list' && form === 'list') return textOfList(node.items, node.at)
    return textOfScalar(node, form)
  }

  function textOfScalar(node: YamlNode, form?: Form | 'reference'): Given | undefined {
    if (node.kind === 'nothing') return wrong(node.at, 'has no value')
    if (node.kind === 'list') return wrong(node.at, 'must be one value, not a list')
    if (node.kind === 'map') return wrong(node.at, 'must be one value, not a map')
    const asText = form === undefined || form === 'path'
    if (
      (asText && node.kind === 'number') ||
      ((asText || form === 'list') && node.kind === 'boolean')
    ) {
      return wrong(node.at, 'must be text: put it in quotes')
    }
    const text = node.text.trim()
    if (text === '') return wrong(node.at, 'is empty')
    return { blame: node.at, text: form === 'path' ? resolve(text) : text }
  }

  /** White space is what separates the entries of a text. */
  function textOfList(items: readonly YamlNode[], at: string): Given | undefined {
    if (items.length === 0) return wrong(at, 'is empty')
    const entries = items.flatMap((item) => {
      const text = textOfScalar(item, 'list')?.text ?? ''
      if (/\s/.test(text)) wrong(item.at, 'must have no white space')
      return /^\S+$/.test(text) ? text : []
    })
    return entries.length < items.length ? undefined : { blame: at, text: entries.join(' ') }
  }

  /** A secret stands in a file or a variable that the YAML file names: it is kept beside code, and shown around. */
  function textOfReference(node: YamlNode): Given | undefined {
    if (node.kind !== 'map') {
      return wrong(node.at, 'must be {file: path} or {env: NAME}: no secret stands in this file')
    }
    const named = entriesOf(node, ['file', 'env'])
    const [file, env] = [named?.get('file'), named?.get('env')]
    if (named === null) return undefined
    if (file !== undefined && env === undefined) {
      const path = textOf(file, 'path')
      return path && textOfFile(path.blame, path.text)
    }
    if (env === undefined || file !== undefined) {
      return wrong(node.at, 'must have one of file and env')
    }
    const name = textOf(env)
    if (name === undefined) return undefined
    for (const environment of variables) {
      const text = variable(environment, name.text)
      if (text !== null) return { blame: name.blame, text }
    }
    return wrong(name.blame, 'must name a variable that is set')
  }

  function entriesOf(node: YamlNode, keys: readonly string[]): YamlMap['entries'] | null {
    if (node.kind !== 'map') {
      wrong(node.at, `must be a map of ${keys.join(', ')}`)
      return null
    }
    const unknown = [...node.entries].filter(([key]) => !keys.includes(key))
    for (const [key, { at }] of unknown) {
      const meant = nearest(key, keys)
      wrong(at, `is not known here${meant === null ? '' : `: did you mean ${meant}?`}`)
    }
    return node.entries
  }

  /** Paths in a file start from its folder. */
  function resolve(path: string): string {
    return isAbsolute(path) ? path : join(folder, path)
  }
}
