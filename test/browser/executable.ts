import { existsSync } from 'node:fs'

export const executablePath = '/usr/bin/chromium'

/** Why there is nothing to test with, or false. In CI the tests fail of it. */
export const chromiumMissing = missingPackage(executablePath, 'chromium')

/** Why a browser can't be tested, or false: in CI the tests fail of it. */
export function missingPackage(file: string, debianPackage: string): string | false {
  if (process.env['CI'] || existsSync(file)) return false
  return `${file} is missing: apt-get install --no-install-recommends ${debianPackage}`
}
