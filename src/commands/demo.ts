import { errorCode } from '../settings/parsers.ts'

/** Runs the demo; it needs packages that a production install leaves out. */
export async function demo(): Promise<0 | 1> {
  try {
    const { runDemo } = await import('../../demo/main.ts')
    await runDemo()
    return 0
  } catch (error) {
    if (errorCode(error) !== 'ERR_MODULE_NOT_FOUND') throw error
    process.stderr.write('The demo needs the development dependencies: run npm ci first.\n')
    return 1
  }
}
