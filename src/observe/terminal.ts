import type { DestinationStream } from 'pino'
import { errorCode } from '../settings/parsers.ts'

/** Lines that people can read, for a terminal; null without pino-pretty, which production leaves out. */
export async function readableLines(output: DestinationStream): Promise<DestinationStream | null> {
  try {
    const { prettyFactory } = await import('pino-pretty')
    const readable = prettyFactory({
      singleLine: true,
      messageFormat: '{event} {msg}',
      ignore: 'event',
    })
    return { write: (line) => output.write(readable(JSON.parse(line, withoutControls))) }
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error
    return null
  }
}

/** Whoever chose an id or a path must not steer the terminal, nor the direction of its text. */
function withoutControls(key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  return value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (control) =>
    key === 'stack' && control === '\n' ? control : escaped(control),
  )
}

function escaped(control: string): string {
  return `\\u{${control.codePointAt(0)?.toString(16)}}`
}
