import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { type Config, readConfig } from '../settings/config.ts'
import { errorCode, type Surroundings } from '../settings/parsers.ts'
import type { Environment, Finding, Problems } from '../settings/reader.ts'
import { type Setting, settings } from '../settings/table.ts'

/** What the process was told, and what is doubtful about it. */
export interface Told {
  readonly env: Environment
  readonly warnings: readonly Finding[]
}

/** The variables of the process and of `.env` in the working directory; the former win. */
export function readEnvironment(): Told | Problems {
  let text = ''
  try {
    text = readFileSync('.env', 'utf8')
  } catch (error) {
    const code = errorCode(error)
    if (code !== 'ENOENT') {
      return {
        problems: [{ setting: '.env', message: `must be a file that can be read (${code})` }],
      }
    }
  }
  // Editors on Windows put a byte order mark first, which would become part of the first name.
  const file = parseEnv(text.replace(/^\uFEFF/, ''))
  const warnings = Object.keys(file)
    .filter((name) => !names.has(name))
    .map((setting) => ({ setting, message: 'in .env is no setting of the gateway' }))
  return { env: { ...file, ...process.env }, warnings }
}

/** All settings of the process, or every problem at once. */
export function readSettings(): (Told & { readonly config: Config }) | Problems {
  const told = readEnvironment()
  if ('problems' in told) return told
  const read = readConfig(told.env, surroundings())
  if ('problems' in read) return read
  return { ...told, config: read.config, warnings: [...told.warnings, ...read.warnings] }
}

export function surroundings(): Surroundings {
  return { readFile: (path) => readFileSync(path, 'utf8'), now: Date.now() }
}

/** Ends a command that the settings stop: exit code 1, one line for each problem. */
export function wrongSettings({ problems }: Problems): 1 {
  for (const problem of problems) process.stderr.write(`${sentence(problem)}\n`)
  return 1
}

export function sentence({ setting, message }: Finding): string {
  return `${setting} ${message}`
}

const names: ReadonlySet<string> = new Set(
  Object.values<Setting>(settings).flatMap(({ name, file }) =>
    file ? [name, `${name}_FILE`] : [name],
  ),
)
