// sipp, Debian's SIP traffic generator, as a PBX: real calls over UDP on loopback.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Demo } from '../../demo/main.ts'
import { missingPackage } from '../browser/executable.ts'

/** Why there is nothing to test with, or false. */
export const sippMissing = missingPackage('/usr/bin/sipp', 'sip-tester')

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** How sipp ended, and the answers that it heard, as their start lines. */
export interface Called {
  readonly code: number | null
  readonly heard: readonly string[]
  /** What it says of an answer that it did not expect. */
  readonly errors: string
}

/** A command of sipp's, run to its end in the folder of the project. */
export async function sipp(
  command: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Called> {
  const folder = mkdtempSync(join(tmpdir(), 'sipp-'))
  const files = `-trace_msg -message_file ${folder}/messages -trace_err -error_file ${folder}/errors`
  const ends = '-nostdin -timeout 40s -timeout_error -i 127.0.0.1 -bind_local'
  const child = spawn('sh', ['-c', `exec ${command} ${files} ${ends}`], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [[code], screen, complaints] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ])
  try {
    const read = (name: string): string => {
      try {
        return readFileSync(join(folder, name), 'utf8')
      } catch {
        return ''
      }
    }
    const heard = [...read('messages').matchAll(/^SIP\/2\.0 (\d{3} [^\r\n]*)/gm)]
    const errors = code === 0 ? '' : `${read('errors')}${complaints}${screen.slice(-2000)}`
    return { code, heard: heard.map(([, line]) => String(line)), errors }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A scenario of this folder's, with what it has in its brackets; values are in no quotes of the shell's. */
export function scenario(
  { sip }: Pick<Demo, 'sip'>,
  name: string,
  keys: Readonly<Record<string, string>> = {},
): Promise<Called> {
  const given = Object.entries(keys).map(([key, value]) => `-key ${key} '${value}'`)
  const file = `test/demo/sip/${name}.xml`
  const to = `${sip.address}:${sip.port} -s dana.whitfield`
  return sipp(`sipp ${to} -sf ${file} -m 1 ${given.join(' ')}`)
}
