// dist/ holds what ships: the compiled sources beside the static files of demo and dashboard.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

// An install for production has no compiler; what it starts are the sources, or a dist/ that came along.
if (!existsSync(new URL('node_modules/typescript', import.meta.url))) process.exit(0)

process.chdir(fileURLToPath(new URL('.', import.meta.url)))
rmSync('dist', { recursive: true, force: true })
execFileSync('tsc', ['--project', 'tsconfig.build.json'], { stdio: 'inherit' })
for (const path of [
  'demo/public',
  'packages/copilot-workspace/copilot-workspace.js',
  'src/admin/dashboard',
]) {
  cpSync(path, `dist/${path}`, { recursive: true })
}
