import {
  type DestinationStream,
  destination,
  type LevelWithSilent,
  type Logger,
  pino,
  stdSerializers,
} from 'pino'

/** Newline-delimited JSON on stdout. No line ever holds a URL, header, token or cookie. */
export function createLog(
  level: LevelWithSilent,
  stream: DestinationStream = destination(1),
): Logger {
  return pino({ level, base: null, serializers: { err: describe } }, stream)
}

/** Libraries put the URL, token and all, into their messages: only what names the fault is kept. */
function describe(error: Error): Record<string, unknown> {
  const { type, stack } = stdSerializers.err(error)
  const code = 'code' in error ? error.code : undefined
  const frames = String(stack)
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
  return { type, code, stack: frames.join('\n') }
}
