// The demo's workspace by itself, for a gateway elsewhere: reachable under the name HOST, at its page's
// and its backend's port.
import { readFileSync } from 'node:fs'
import { startWorkspace } from './workspace.ts'

const { HOST = '127.0.0.1', PAGE_PORT = '9001', API_PORT = '9002' } = process.env
const secretOf = (name: string): string =>
  readFileSync(process.env[`${name}_FILE`] ?? '', 'utf8').trim()

const workspace = await startWorkspace({
  host: HOST,
  pagePort: Number(PAGE_PORT),
  apiPort: Number(API_PORT),
  secret: Buffer.from(secretOf('JWT_SECRET')),
  apiToken: secretOf('COPILOT_API_TOKEN'),
})
console.log(`The workspace is at ${workspace.page} and ${workspace.api}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void workspace.close())
