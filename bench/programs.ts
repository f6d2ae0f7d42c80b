// Programs of Debian's that the benchmark runs, and which of them are missing here.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** By the package that has it: a command, or a file. */
const files = {
  nginx: 'nginx',
  'libnginx-mod-http-js': '/usr/lib/nginx/modules/ngx_http_js_module.so',
  haproxy: 'haproxy',
  wrk: 'wrk',
} as const

export type Package = keyof typeof files

export const packages: readonly Package[] = ['nginx', 'libnginx-mod-http-js', 'haproxy', 'wrk']

/** Where servers are, too, which only root has on the path. */
export const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`

export function isInstalled(name: Package): boolean {
  const file = files[name]
  if (file.startsWith('/')) return exists(file, constants.R_OK)
  return path.split(':').some((folder) => exists(join(folder, file), constants.X_OK))
}

function exists(file: string, mode: number): boolean {
  try {
    accessSync(file, mode)
    return true
  } catch {
    return false
  }
}
