// dist/ holds what ships: the compiled sources beside the static files of demo and dashboard.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, globSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// An install for production has no compiler; what it starts are the sources, or a dist/ that came along.
if (!existsSync(new URL('node_modules/typescript', import.meta.url))) {
  if (!existsSync(new URL('dist', import.meta.url))) {
    console.error(
      'Nothing is built without the development dependencies: npm start and node src/cli.ts work, npx copilot-gateway does not.',
    )
  }
  process.exit(0)
}

process.chdir(fileURLToPath(new URL('.', import.meta.url)))
rmSync('dist', { recursive: true, force: true })
execFileSync('tsc', ['--project', 'tsconfig.build.json'], { stdio: 'inherit' })
// npx runs it; npm makes it executable where it links it, once for several builds.
chmodSync('dist/src/cli.js', 0o755)
// Only what a browser asks for: a secret that was left beside it must not ship.
for (const path of [
  ...globSync('{demo/public,src/admin/dashboard}/**/*.{html,js,css,ico}'),
  'demo/public/workspace/manifest.json',
  'packages/copilot-workspace/copilot-workspace.js',
]) {
  cpSync(path, `dist/${path}`)
}
