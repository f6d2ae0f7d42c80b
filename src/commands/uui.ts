import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { parseUui, type UuiIds, type UuiLink } from '../../packages/copilot-link/src/uui.ts'
import { printable } from '../report/words.ts'
import { wrongUsage } from './usage.ts'

/** Says what a User-to-User value holds; exit code 1 and the problem on stderr where it opens nothing. */
export async function uui(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [value, ...others] = positionals
  if (value === undefined || others.length > 0) {
    return wrongUsage('uui needs one value, in quotes of the shell, or - for stdin')
  }
  const found = parseUui(value === '-' ? await text(process.stdin) : value)
  if (found.kind === 'problem') {
    process.stderr.write(`${found.message}\n`)
    return 1
  }
  const lines = rows(found, values.show).map(([name, text]) => `${name.padEnd(16)}${text}`)
  const warnings = 'warnings' in found ? found.warnings.map(({ message }) => message) : []
  if (warnings.length > 0) lines.push('', 'Warnings:', ...warnings)
  process.stdout.write(`${lines.join('\n')}\n`)
  return 0
}

const options = { show: { type: 'boolean', default: false } } as const

/** What may be shown. A token never is: with it, anyone could open the chat. */
function rows(found: UuiLink | UuiIds, show: boolean): readonly (readonly [string, string])[] {
  const hidden = (id: string): string => `hidden, ${id.length} long (--show prints it)`
  if (found.kind === 'ids') {
    return [
      ['userId', printable(found.userId)],
      ['sessionId', printable(found.sessionId)],
      ['URLToken', 'not there: take that of the Endpoint'],
    ]
  }
  const { discriminator, purpose, content } = found
  const how = found.encodings.join(', then ') || 'as it is'
  const octet = discriminator?.toString(16).padStart(2, '0') ?? 'none'
  const carried = [
    ['written', how],
    ['discriminator', octet],
    ...(purpose === null ? [] : [['purpose', printable(purpose)] as const]),
    ...(content === null ? [] : [['content', printable(content)] as const]),
  ] as const
  const { origin, pathname } = new URL(found.url)
  if (found.kind === 'short-link') {
    const end = pathname.slice(-22)
    const path = pathname.slice(0, -22)
    return [['short link', `${origin}${path}${show ? end : `… ${hidden(end)}`}`], ...carried]
  }
  return [
    ['link to', origin + pathname],
    ['userId', printable(found.userId)],
    ['sessionId', printable(found.sessionId)],
    ['URLToken', show ? printable(found.urlToken) : hidden(found.urlToken)],
    ['auth', found.signed ? 'a token, which is not shown' : 'none'],
    ...carried,
  ]
}
