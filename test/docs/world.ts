// The machine that the documents speak of, in namespaces of its own: their names lead to loopback,
// their ports are free, /run/secrets is there. Runs one page's commands in it, in their order.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer } from 'node:tls'

/** Names of the documents, and where they lead to on this machine. */
const addresses = {
  'gateway.example': '127.0.0.1',
  'links.example': '127.0.0.1',
  'copilot.internal.example': '127.0.0.2',
  'copilot-api.internal.example': '127.0.0.3',
} as const

/** Where TLS ends in front of plain HTTP. */
const fronts: Readonly<Record<string, number>> = {
  'gateway.example': 8080,
  'links.example': 8081,
  'copilot.internal.example': 4300,
  'copilot-api.internal.example': 4301,
}

const [folder = '', certificates = '', serves] = process.argv.slice(2)
const secrets: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(`${folder}/secrets.json`, 'utf8'),
)

function must(command: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

const hosts = Object.entries({ localhost: '127.0.0.1', ...addresses })
writeFileSync(`${folder}/hosts`, hosts.map(([name, address]) => `${address} ${name}\n`).join(''))
must('ip', 'link', 'set', 'lo', 'up')
must('mount', '--bind', `${folder}/hosts`, '/etc/hosts')
must('mount', '-t', 'tmpfs', 'tmpfs', '/run')
must('mkdir', '/run/secrets')
/** Who may do what with a file of /run/secrets. */
const rights = (name: string): string => {
  const { uid, gid, mode } = statSync(`/run/secrets/${name}`)
  return `${name}: ${uid}:${gid} ${(mode & 0o777).toString(8)}`
}
for (const [name, text] of Object.entries(secrets)) {
  writeFileSync(`/run/secrets/${name}`, `${text}\n`, { mode: 0o400 })
  // The gateway's, where there is more than one user.
  if (readFileSync('/proc/self/uid_map', 'utf8').trim().endsWith('4294967295')) {
    chownSync(`/run/secrets/${name}`, 1000, 1000)
  }
}
const before = Object.keys(secrets).map(rights)
// As most shells have it.
process.umask(0o022)

// What nobody asks does not have to be there.
if (serves === 'serves') {
  const { startWorkspace } = await import('../../demo/workspace.ts')
  const { 'copilot-api-token': apiToken = '', 'copilot-jwt': jwt = '' } = secrets
  await startWorkspace({
    apiToken,
    apiUrl: 'https://copilot-api.internal.example',
    pace: 60_000,
    pagePort: 4300,
    apiPort: 4301,
    secret: Buffer.from(jwt.replace('hex:', ''), 'hex'),
  })
  const pem = (name: string): Buffer => readFileSync(`${certificates}/${name}.pem`)
  const tls = { cert: pem('server'), key: pem('server-key') }
  for (const address of new Set(Object.values(addresses))) {
    const front = createServer(tls, (client) => {
      const port = fronts[client.servername || '']
      if (port === undefined) {
        client.destroy()
        return
      }
      const server = connect(port, '127.0.0.1')
      for (const [one, other] of [
        [client, server],
        [server, client],
      ] as const) {
        one.on('error', () => other.destroy()).pipe(other)
      }
    })
    front.on('tlsClientError', () => {})
    front.listen(443, address)
    await once(front, 'listening')
  }
}

const shell = spawn('bash', [`${folder}/commands`], {
  cwd: `${folder}/clone`,
  stdio: ['ignore', 'inherit', 'inherit'],
})
const [code] = await once(shell, 'exit')
const after = readdirSync('/run/secrets').map(rights)
const exposed = [
  ...before.filter((file) => !after.includes(file)),
  ...after.filter((file) => !/\.pem: | [0-7]00$/.test(file)),
]
if (exposed.length > 0) {
  process.stderr.write(`secrets have other rights: ${before.join(', ')}; now ${after.join(', ')}\n`)
  process.exit(1)
}
// Whatever else runs in the namespaces goes with their first process.
process.exit(code ?? 1)
