/** Makes a text stand out where the output can show it; the words alone say all. */
export type Paint = (style: 'red' | 'yellow' | 'green' | 'bold' | 'dim', text: string) => string

/** Of a report's lines. */
export const columns = 80

const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Control and format characters, and those that end a line, made visible; cut where it is long. */
export function printable(text: string, most = 200): string {
  const short = text.length > most ? `${text.slice(0, most)}…` : text
  return short.replace(unprintable, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`)
}

/** JSON with line ends and indentation, and no other character that acts on a terminal. */
export function printableJson(whole: unknown): string {
  return `${JSON.stringify(whole, null, 2).replace(unprintable, escapeJson)}\n`
}

function escapeJson(text: string): string {
  if (text === '\n') return text
  return text
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}

export function percent(share: number): string {
  const value = share * 100
  return `${value === 100 || value === 0 ? value : value.toFixed(value < 1 ? 2 : 1)} %`
}

export function number(value: number): string {
  return value.toLocaleString('en-US')
}

export function plural(value: number, noun: string, nouns = `${noun}s`): string {
  return `${number(value)} ${value === 1 ? noun : nouns}`
}

/** Lines no wider than `width`, unless one word is. */
export function wrap(text: string, first: string, others = first, width = columns): string {
  const lines: string[] = []
  let line = first
  let isEmpty = true
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line)
      line = `${others}${word}`
    } else line += isEmpty ? word : ` ${word}`
    isEmpty = false
  }
  return `${[...lines, line].join('\n')}\n`
}
