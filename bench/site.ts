// The workspace that every peer stands in front of: one document and what it loads.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Page {
  readonly path: string
  readonly type: string
  readonly body: Buffer
}

/** As build tools name what never changes under its name. */
export const immutable = 'public, max-age=31536000, immutable'

const types = {
  js: 'application/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  woff2: 'font/woff2',
} as const
const kinds = ['js', 'css', 'js', 'svg', 'js', 'woff2'] as const
const sizes = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200]

/** Twenty files of 1 to 200 kB, 821 kB in all. */
export const assets: readonly Page[] = sizes.map((size, i) => {
  const kind = kinds[i % kinds.length] ?? 'js'
  const name = `part-${String.fromCharCode(97 + i)}-${hashLike(i)}.${kind}`
  return { path: `/assets/${name}`, type: types[kind], body: filled('', size * 1000) }
})

const references = assets
  .filter(({ path }) => path.endsWith('.js'))
  .map(({ path }) => `<script type="module" src="${path}"></script>`)

/** A document of 2 kB. */
export const page: Page = {
  path: '/',
  type: 'text/html',
  body: filled(`<!doctype html><title>Workspace</title>${references.join('')}<main>`, 2000),
}

/** A sub-resource of 2 kB, under a name that says nothing of its content: it is fetched each time. */
export const asset: Page = {
  path: '/assets/theme.css',
  type: types.css,
  body: filled('', 2000),
}

/** One under a hashed name, which the gateway keeps in memory. */
export const hashedAsset: Page = assets[1] ?? page

/** Another that loads Copilot's config.js. */
export const rewrittenPage: Page = {
  path: '/workspace.html',
  type: 'text/html',
  body: filled(
    '<!doctype html><title>Workspace</title><script src="/config.js"></script><main>',
    2000,
  ),
}

export function writeSite(folder: string): void {
  for (const { path, body } of [
    { ...page, path: '/index.html' },
    rewrittenPage,
    asset,
    ...assets,
  ]) {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, body)
  }
}

/** Eight characters such as bundlers put into names. */
function hashLike(i: number): string {
  return Buffer.from(`${i * 7919 + 104729}`)
    .toString('base64url')
    .slice(0, 8)
}

/** Text that names no address, up to so many bytes. */
function filled(start: string, size: number): Buffer {
  const text = 'const total = rows.reduce((sum, row) => sum + row.count, 0);\n'
  return Buffer.concat([Buffer.from(start), Buffer.alloc(size, text)]).subarray(0, size)
}
