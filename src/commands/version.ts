import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'

/** The package's. */
export function version(): string {
  // Found from here upwards: compiled, this file lies one folder deeper.
  const path = String(findPackageJSON(import.meta.url))
  const manifest: { readonly version: string } = JSON.parse(readFileSync(path, 'utf8'))
  return manifest.version
}
