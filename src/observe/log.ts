import {
  type DestinationStream,
  type LevelWithSilent,
  type Logger,
  type LoggerOptions,
  pino,
  stdSerializers,
} from 'pino'

/** Newline-delimited JSON. No line ever holds a URL, header, token or cookie. */
export function createLog(level: LevelWithSilent, stream: DestinationStream): Logger {
  const quiet = {
    serializers: { err: describe },
    // Of an error under this key, or logged by itself, pino makes its message the line's.
    errorKey: 'unused',
    hooks: {
      logMethod(args, method) {
        const [first]: readonly unknown[] = args
        if (first instanceof Error) method.call(this, { err: first })
        else method.apply(this, args)
      },
    },
  } satisfies LoggerOptions
  return pino({ level, base: null, ...quiet }, stream)
}

/** Libraries put the URL, token and all, into their messages: only what names the fault is kept. */
function describe(error: Error): Record<string, unknown> {
  const { type, stack } = stdSerializers.err(error)
  const code = 'code' in error ? error.code : undefined
  const frames = String(stack)
    .split('\n')
    // Of a message, too, a line may begin like this.
    .filter((line) => /^\s+at [^?]+:\d+:\d+\)?$/.test(line))
  return { type, code, stack: frames.join('\n') }
}
