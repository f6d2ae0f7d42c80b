const colon = /\s*:/y

/**
 * A key that an object of some valid JSON has twice, however it is spelled, and null where none has:
 * parsers differ in which of two they keep. `depth` (1: the outermost) and `names` narrow what is looked at.
 */
export function repeatedKey(
  json: string,
  depth: number | null = null,
  names: readonly string[] | null = null,
): string | null {
  // By level, of the object there that is being read.
  const seen: Set<string>[] = []
  let level = 0
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at]
    if (character === '{' || character === '[') {
      level += 1
      if (depth === null || level === depth) seen[level] = new Set()
    } else if (character === '}' || character === ']') {
      level -= 1
    } else if (character === '"') {
      const start = at
      at += 1
      while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
      colon.lastIndex = at + 1
      if ((depth !== null && level !== depth) || !colon.test(json)) continue
      const key = String(JSON.parse(json.slice(start, at + 1)))
      if (names !== null && !names.includes(key)) continue
      if (seen[level]?.has(key)) return key
      seen[level]?.add(key)
    }
  }
  return null
}
