// Who vanishes without a FIN - a pulled cable, a machine that fell over - is found and let go.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { link, startGateway, startUpstream } from '../stage.ts'
import { acceptFor, accepting, handshake, headOf, key, masked, wire } from './peer.ts'

const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))

t.test(
  'who vanishes is found by the probes of TCP',
  { skip: missing(), timeout: 60_000 },
  async (t) => {
    const dir = t.testdir()
    execFileSync(script, ['--out', dir], { stdio: 'ignore' })
    const tls = { TLS_CERT_FILE: `${dir}/server.pem`, TLS_KEY_FILE: `${dir}/server-key.pem` }
    const cable = plugIn(t)
    const rows = [
      ['client', {}],
      ['client', tls],
      ['upstream', {}],
    ] as const
    const open = await Promise.all(
      rows.map(async ([who, settings]) => {
        const heard = Promise.withResolvers<void>()
        const upstream =
          who === 'upstream'
            ? await farUpstream(t, cable)
            : await nearUpstream(t, () => heard.resolve())
        const gateway = await startGateway(
          t,
          upstream,
          { HOST: cable.near, ...settings },
          { probeDelay: 1000 },
        )
        if (who === 'upstream') await nearClient(t, gateway.origin)
        else farClient(t, cable, gateway.origin)
        // What has not been acknowledged would be sent again and again: TCP does not probe then.
        if (who === 'client') await heard.promise
        return { who, gateway }
      }),
    )
    cable.pull()
    for (const { who, gateway } of open) {
      const [, closed] = await gateway.audited(2)
      t.match(closed, { socket: 'close', ended: who }, `${gateway.origin}: its ${who} is gone`)
    }
  },
)

/** A cable to another machine, which is a network namespace; its addresses are for tests (RFC 2544). */
interface Cable {
  readonly name: string
  readonly near: string
  readonly far: string
  readonly pull: () => void
}

function plugIn(t: Test): Cable {
  const name = `cg${process.pid}`
  const net = `198.18.${(process.pid >> 6) & 255}`
  const [near, far] = [1, 2].map((host) => `${net}.${((process.pid & 63) << 2) + host}`)
  ip(`netns add ${name}`)
  t.teardown(() => ip(`netns del ${name}`))
  ip(`link add ${name} type veth peer name far netns ${name}`)
  ip(`addr add ${near}/30 dev ${name}`)
  ip(`-n ${name} addr add ${far}/30 dev far`)
  ip(`link set ${name} up`)
  ip(`-n ${name} link set far up`)
  return { name, near: `${near}`, far: `${far}`, pull: () => ip(`-n ${name} link set far down`) }
}

function ip(command: string): void {
  execFileSync('ip', command.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Why there is no cable to be had here, or false. What only has to be installed is no reason in CI. */
function missing(): string | false {
  const name = `cg${process.pid}-try`
  try {
    ip(`netns add ${name}`)
    ip(`netns del ${name}`)
    return false
  } catch (error) {
    const installed = !(error instanceof Error && 'code' in error && error.code === 'ENOENT')
    if (!installed && process.env['CI']) return false
    return installed ? `no network namespaces: ${error}` : 'apt-get install iproute2'
  }
}

/** Runs a script of Node's at the far end. */
function run(t: Test, { name }: Cable, source: string, ...args: string[]) {
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', source, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Opens a socket, and says something once it is open. */
function farClient(t: Test, cable: Cable, origin: string): void {
  const { protocol, hostname, port } = new URL(origin)
  const source = `
    const [protocol, port, host, head, frame] = process.argv.slice(1)
    const options = { port, host, rejectUnauthorized: false }
    const socket = require(protocol === 'https:' ? 'tls' : 'net').connect(options)
    socket.write(head)
    socket.once('data', () => socket.write(Buffer.from(frame, 'hex')))`
  const head = handshake(Number(port), link({}, '/ws'))
  run(t, cable, source, protocol, port, hostname, head, masked('hello').toString('hex'))
}

/** Accepts a socket, and says nothing. */
async function farUpstream(t: Test, cable: Cable): Promise<string> {
  const source = `
    const [host, head] = process.argv.slice(1)
    const server = require('net').createServer((socket) => {
      socket.on('data', () => socket.write(head))
    })
    server.listen(0, host, () => console.log(server.address().port))`
  const head = [
    'HTTP/1.1 101 Switching Protocols',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${acceptFor(key)}`,
    '\r\n',
  ]
  const { stdout } = run(t, cable, source, cable.far, head.join('\r\n'))
  const [port] = await once(createInterface({ input: stdout }), 'line')
  return `http://${cable.far}:${port}`
}

async function nearClient(t: Test, origin: string): Promise<void> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  socket.write(handshake(Number(port), link({}, '/ws')))
  const head = await wire(socket).until(headOf)
  t.equal(head.status, 101)
}

async function nearUpstream(t: Test, onHeard: () => void): Promise<string> {
  const { origin } = await startUpstream(t, undefined, (request, socket) => {
    socket.write(accepting(request))
    socket.on('data', onHeard)
  })
  return origin
}
