import { existsSync } from 'node:fs'

export const executablePath = '/usr/bin/chromium'

/** Why it can't be run, or null. */
export const missing = existsSync(executablePath)
  ? null
  : `${executablePath} is missing: apt-get install --no-install-recommends chromium`

/** Why there is nothing to test with, or false. In CI the tests fail of it. */
export const chromiumMissing: string | false = process.env['CI'] ? false : (missing ?? false)
