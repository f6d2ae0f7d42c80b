import { readFileSync } from 'node:fs'
import { type Read, readConfig, type Sources } from '../settings/config.ts'
import type { Surroundings } from '../settings/parsers.ts'
import { createReader, type Problems, type Reader, sentence } from '../settings/reader.ts'
import { readTold, type SettingFiles } from '../settings/told.ts'
import type { YamlNode } from '../settings/yaml.ts'

/** All settings of the process, of `.env` in the working directory, and of a YAML file; or every problem. */
export function readSettings(yaml: string | null): (Read | Problems) & Sources {
  return readConfig(process.env, surroundings(), files(yaml))
}

/** The same, to be read one by one. */
export function readSome(
  yaml: string | null,
  around: Surroundings,
): { readonly reader: Reader; readonly contactCenters: YamlNode | null } | Problems {
  const told = readTold(process.env, files(yaml), around.readFile)
  if ('problems' in told) return told
  const contactCenters = told.yaml?.root.entries.get('contactCenters') ?? null
  return { reader: createReader(told, around), contactCenters }
}

function files(yaml: string | null): SettingFiles {
  return { env: '.env', yaml }
}

export function surroundings(): Surroundings {
  return { readFile: (path) => readFileSync(path, 'utf8'), now: Date.now() }
}

/** Ends a command that the settings stop: exit code 1, one line for each problem. */
export function wrongSettings({ problems }: Problems): 1 {
  for (const problem of problems) process.stderr.write(`${sentence(problem)}\n`)
  return 1
}
