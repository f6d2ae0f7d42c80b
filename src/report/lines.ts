import { StringDecoder } from 'node:string_decoder'

/**
 * Characters that a line of the gateway's can have: its longest is a path of 32 kB, escaped once
 * more by who collects it.
 */
export const longestLine = 131_072

/**
 * Calls `take` for each line of a stream, in memory of one chunk and one line. Of a line that is
 * longer than any of the gateway's it gets null. Rejects as the stream does, after all lines
 * before the fault; the last line needs no end.
 */
export async function readLines(
  stream: AsyncIterable<Uint8Array>,
  take: (line: string | null) => void,
): Promise<void> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let isOver = false
  const end = (line: string): void => {
    if (isOver || line.length > longestLine) take(null)
    else if (line.trim() !== '') take(line)
    isOver = false
  }
  try {
    for await (const chunk of stream) {
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) end(line)
      if (rest.length > longestLine) {
        isOver = true
        rest = ''
      }
    }
  } finally {
    end(rest)
  }
}
