// Takes from node_modules what Node.js never loads: types, source maps, commands, and the packages' own
// tests and documentation. It is for an image, and changes the folder that it is started in.
import { globSync, rmSync } from 'node:fs'

const unread = [
  'node_modules/.bin',
  'node_modules/**/*.{map,ts,mts,cts}',
  // At the top of a package only: deeper down such a name may be one of its modules.
  'node_modules/{*,@*/*}/{test,tests,docs,bench,benchmark,benchmarks,example,examples,.github}',
]
for (const path of globSync(unread)) rmSync(path, { recursive: true, force: true })
