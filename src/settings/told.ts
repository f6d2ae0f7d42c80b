import { parseEnv } from 'node:util'
import { errorCode, type Surroundings } from './parsers.ts'
import type { Environment, Finding, Problems, Told } from './reader.ts'
import { type Setting, settings } from './table.ts'
import { parseYaml, type YamlNode } from './yaml.ts'

/** The paths of the files that hold settings; null: there is none. */
export interface SettingFiles {
  /** Lines of variables; it need not be there. */
  readonly env: string | null
  readonly yaml: string | null
}

/** Reads the files that hold settings beside the variables of the process. */
export function readTold(
  env: Environment,
  files: SettingFiles,
  readFile: Surroundings['readFile'],
): Told | Problems {
  const problems: Finding[] = []
  const lines = files.env === null ? '' : readLines(files.env)
  const root = files.yaml === null ? null : readTree(files.yaml)
  if (problems.length > 0) return { problems }

  const doubts = linesWithoutValue(lines).map((line) => ({
    setting: `${files.env}:${line}`,
    message: 'has no = and sets nothing',
  }))
  // Editors on Windows put a byte order mark first, which would become part of the first name.
  const variables = parseEnv(lines.replace(/^\uFEFF/, ''))
  const known = new Set([...names, ...(root === null ? [] : referred(root))])
  const message = `in ${files.env} is no setting of the gateway`
  for (const setting of Object.keys(variables)) {
    // The second line of a secret is no name.
    const isName = /^[A-Z][A-Z\d_]{0,40}$/i.test(setting)
    if (!isName)
      doubts.push({ setting: `${files.env}`, message: 'has a line that sets no setting' })
    else if (!known.has(setting)) doubts.push({ setting, message })
  }
  const yaml = files.yaml === null || root === null ? null : { file: files.yaml, root }
  return { variables: [env, variables], yaml, doubts }

  function readLines(path: string): string {
    try {
      return readFile(path)
    } catch (error) {
      const code = errorCode(error)
      if (code !== 'ENOENT') unreadable(path, code)
      return ''
    }
  }

  function readTree(path: string) {
    try {
      const tree = parseYaml(path, readFile(path))
      if (!('problems' in tree)) return tree
      problems.push(...tree.problems)
    } catch (error) {
      unreadable(path, errorCode(error))
    }
    return null
  }

  function unreadable(setting: string, code: string | null): void {
    problems.push({ setting, message: `must be a file that can be read (${code})` })
  }
}

/** The numbers of lines that the parser passes over: no part of a value of several lines. */
function linesWithoutValue(text: string): number[] {
  const lines = text.split('\n')
  const sets = (line: string): boolean => line.includes('=') || /^\s*(?:#|$)/.test(line)
  // A name of its own before each: it is there afterwards where the line was none of a value.
  const marked = lines.map((line, index) => (sets(line) ? line : `?${index + 1}=#${line}`))
  return Object.keys(parseEnv(marked.join('\n')))
    .filter((name) => name.startsWith('?'))
    .map((name) => Number(name.slice(1)))
}

/** The variables that a YAML file refers to. */
function referred(node: YamlNode): string[] {
  if (node.kind === 'list') return node.items.flatMap(referred)
  if (node.kind !== 'map') return []
  return [...node.entries].flatMap(([key, value]) =>
    key === 'env' && value.kind === 'text' ? value.text : referred(value),
  )
}

const names = Object.values<Setting>(settings).flatMap(({ name, file }) =>
  file ? [name, `${name}_FILE`] : [name],
)
