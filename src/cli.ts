#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { check } from './commands/check.ts'
import { demo } from './commands/demo.ts'
import { doctor } from './commands/doctor.ts'
import { explain } from './commands/explain.ts'
import { link } from './commands/link.ts'
import { load } from './commands/load.ts'
import { report } from './commands/report.ts'
import { start } from './commands/start.ts'
import { usage, wrongUsage } from './commands/usage.ts'
import { uui } from './commands/uui.ts'
import { version } from './commands/version.ts'
import { errorCode } from './settings/parsers.ts'

process.exitCode = await run(process.argv.slice(2))

/** Runs one command and returns its exit code: 0, 1 (it failed) or 2 (it was called wrongly). */
async function run(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) return print(usage)
  if (argv.includes('--version')) return print(`${version()}\n`)
  const [first = 'start', ...rest] = argv
  const named = !first.startsWith('-')
  const command = named ? first : 'start'
  const flags = named ? rest : argv
  try {
    if (command === 'link') return link(flags)
    if (command === 'uui') return await uui(flags)
    if (command === 'explain') return await explain(flags)
    if (command === 'doctor') return await doctor(flags)
    if (command === 'start') return await start(configFile(flags))
    if (command === 'check') return check(configFile(flags))
    if (command === 'load') return await load(flags)
    if (command === 'report') return await report(flags)
    parseArgs({ args: flags, options: {} })
    if (command === 'demo') return await demo()
    return wrongUsage(`There is no command ${command}`)
  } catch (error) {
    if (!(error instanceof Error && errorCode(error)?.startsWith('ERR_PARSE_ARGS_'))) throw error
    return wrongUsage(error.message)
  }
}

/** The path of the YAML file, if one is named. */
function configFile(args: readonly string[]): string | null {
  const { values } = parseArgs({ args, options: { config: { type: 'string' } } })
  return values.config ?? null
}

function print(text: string): 0 {
  process.stdout.write(text)
  return 0
}
