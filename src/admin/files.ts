import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { advice } from '../observe/advice.ts'

export interface StaticFile {
  readonly type: string
  readonly body: Buffer
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/**
 * The dashboard's files by their paths, read once: `index.html` at `/`, all others, the chart
 * library's and what to do about each reason under `/assets/`.
 */
export function readDashboard(
  folder = fileURLToPath(new URL('dashboard/', import.meta.url)),
): ReadonlyMap<string, StaticFile> {
  const files = new Map<string, StaticFile>()
  for (const directory of [chartFolder(), pathToFileURL(`${folder}/`)]) {
    for (const name of namesIn(directory)) {
      const type = types[extname(name)]
      if (type === undefined) continue
      const path = name === 'index.html' ? '/' : `/assets/${name}`
      files.set(path, { type, body: readFileSync(new URL(name, directory)) })
    }
  }
  const reasons = `export const reasons = ${JSON.stringify(advice)}`
  files.set('/assets/reasons.js', { type: types['.js'] ?? '', body: Buffer.from(reasons) })
  return files
}

function chartFolder(): URL {
  return new URL('./', pathToFileURL(createRequire(import.meta.url).resolve('uplot')))
}

function namesIn(directory: URL): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
