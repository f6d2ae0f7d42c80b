/**
 * The first Node.js of each line past the holes of its HTTP/2 and TLS that were mended in July 2026, such
 * as CVE-2026-56846, headers that count towards no session's memory. `engines` says the same.
 */
export const floors = { 22: '22.23.2', 24: '24.18.1', 26: '26.5.1' } as const

/** The version to change to where this one, such as '24.18.0', has holes that are known; null where not. */
export function runtimeNeeded(version: string): string | null {
  const [major = 0, ...rest] = numbers(version)
  const [line, floor] = Object.entries(floors).find(([line]) => major <= Number(line)) ?? []
  if (floor === undefined) return null
  const [, ...least] = numbers(floor)
  const late = rest.findIndex((number, i) => number !== least[i])
  const newer = late < 0 || (rest[late] ?? 0) > (least[late] ?? 0)
  return String(major) === line && newer ? null : floor
}

function numbers(version: string): number[] {
  return version.split('.').map(Number)
}
