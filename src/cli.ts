#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { runtimeNeeded } from './commands/runtime.ts'
import { firstSignal } from './commands/signals.ts'
import { usage, wrongUsage } from './commands/usage.ts'

// Each command is loaded when it is asked for: meanwhile `start` has to hear signals, and what this
// Node.js is too old for is said.
process.exitCode = await run(process.argv.slice(2))

/** Runs one command and returns its exit code: 0, 1 (it failed) or 2 (it was called wrongly). */
async function run(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) return print(usage)
  const [first = 'start', ...rest] = argv
  const named = !first.startsWith('-')
  const command = named ? first : 'start'
  const flags = named ? rest : argv
  try {
    if (argv.includes('--version')) {
      const { version } = await import('./commands/version.ts')
      return print(`${version()}\n`)
    }
    switch (command) {
      case 'start': {
        const yaml = configFile(flags)
        const signal = firstSignal()
        return await (await import('./commands/start.ts')).start(yaml, signal)
      }
      case 'check':
        return (await import('./commands/check.ts')).check(configFile(flags))
      case 'link':
        return (await import('./commands/link.ts')).link(flags)
      case 'uui':
        return await (await import('./commands/uui.ts')).uui(flags)
      case 'explain':
        return await (await import('./commands/explain.ts')).explain(flags)
      case 'doctor':
        return await (await import('./commands/doctor.ts')).doctor(flags)
      case 'load':
        return await (await import('./commands/load.ts')).load(flags)
      case 'report':
        return await (await import('./commands/report.ts')).report(flags)
      case 'demo':
        parseArgs({ args: flags, options: {} })
        return await (await import('./commands/demo.ts')).demo()
      default:
        parseArgs({ args: flags, options: {} })
        return wrongUsage(`There is no command ${command}`)
    }
  } catch (error) {
    const { node } = process.versions
    const needed = runtimeNeeded(node)
    // What a module imports is not there.
    if (error instanceof SyntaxError && needed !== null) {
      process.stderr.write(`Node.js ${node} is too old for the gateway: run ${needed} or newer\n`)
      return 1
    }
    if (!(error instanceof Error && 'code' in error)) throw error
    if (!String(error.code).startsWith('ERR_PARSE_ARGS_')) throw error
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
