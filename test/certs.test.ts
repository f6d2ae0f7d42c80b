import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, request, type ServerOptions } from 'node:https'
import { connect, isIP } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import {
  checkServerIdentity,
  connect as connectTls,
  type PeerCertificate,
  type SecureContextOptions,
} from 'node:tls'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))
const script = join(root, 'certs/make-dev-certs.sh')
const hosts = ['gateway.test', '*.gateway.test', '192.0.2.7', 'FD00::7']

t.test('a server is reached under each of its names by who trusts only the CA', async (t) => {
  const dir = t.testdir()
  t.match(await run(['--out', dir, ...hosts]), { code: 0 })
  const port = await serve(t, dir)
  const ca = read(dir, 'ca.pem')
  const names = ['localhost', '127.0.0.1', '::1', 'gateway.test', 'a.gateway.test']
  for (const name of [...names, '192.0.2.7', 'fd00::7'])
    t.equal(await get(port, name, { ca }), `hello ${name}`, name)
  for (const name of ['other.test', 'b.a.gateway.test', '127.0.0.2', '::2'])
    t.equal(await get(port, name, { ca }), 'ERR_TLS_CERT_ALTNAME_INVALID', name)
  t.equal(
    await get(port, 'localhost', {}),
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'a client without the CA refuses',
  )
})

t.test('a client certificate is known to a server by the CA', async (t) => {
  const dir = t.testdir()
  t.match(await run(['--out', dir, '--client', 'agent desk 7']), { code: 0 })
  const ca = read(dir, 'ca.pem')
  const port = await serve(t, dir, { ca, requestCert: true, rejectUnauthorized: true })
  const pair = (name: string) => ({
    ca,
    cert: read(dir, `${name}.pem`),
    key: read(dir, `${name}-key.pem`),
  })
  t.equal(await get(port, 'localhost', pair('client')), 'hello localhost')
  t.match(await get(port, 'localhost', pair('server')), /^E/, 'a server certificate is none')
  t.match(await get(port, 'localhost', { ca }), /^E/, 'none at all')
  t.equal(certificate(dir, 'client').subject, 'CN=agent desk 7')
})

t.test('each certificate may do its own job only', async (t) => {
  const dir = t.testdir()
  await run(['--out', dir, '--client', 'agent', ...hosts])
  const [ca, server, client] = [
    certificate(dir, 'ca'),
    certificate(dir, 'server'),
    certificate(dir, 'client'),
  ]
  t.ok(ca.ca)
  t.notOk(server.ca || client.ca)
  // Node tells the extended key usages only.
  t.strictSame(server.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  t.strictSame(client.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  t.equal(
    server.subjectAltName,
    'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:gateway.test, ' +
      'DNS:*.gateway.test, IP Address:192.0.2.7, IP Address:FD00:0:0:0:0:0:0:7',
  )
  for (const leaf of [server, client]) {
    t.ok(leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
    t.ok(days(leaf) <= 397, 'browsers refuse more')
    t.ok(leaf.validToDate <= ca.validToDate)
    t.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1')
  }
  t.not(server.serialNumber, client.serialNumber)

  const dump = (name: string): string =>
    execFileSync('openssl', ['x509', '-in', join(dir, `${name}.pem`), '-noout', '-text'], {
      encoding: 'utf8',
    }).replace(/ *\n +/g, ' ')
  const keyId = /Subject Key Identifier: ([0-9A-F:]{59})/.exec(dump('ca'))?.[1]
  t.match(dump('ca'), 'Basic Constraints: critical CA:TRUE, pathlen:0 ')
  t.match(dump('ca'), 'Key Usage: critical Certificate Sign, CRL Sign ')
  t.ok(keyId, 'the CA has a key identifier')
  for (const name of ['server', 'client']) {
    t.match(dump(name), 'Key Usage: critical Digital Signature ')
    t.match(dump(name), /Subject Key Identifier: [0-9A-F:]{59} /)
    t.match(dump(name), `Authority Key Identifier: ${keyId}`)
  }
})

t.test('a second run keeps the CA and renews the rest', async (t) => {
  const dir = join(t.testdir(), 'made by the script')
  t.match(await run(['--out', dir]), { code: 0, stdout: `made ${dir}/ca.pem` })
  const first = contents(dir)
  t.strictSame(Object.keys(first), ['ca-key.pem', 'ca.pem', 'server-key.pem', 'server.pem'])
  t.match(await run(['--out', dir, 'gateway.test', 'gateway.test', 'LOCALHOST']), {
    code: 0,
    stdout: `kept ${dir}/ca.pem`,
  })
  const second = contents(dir)
  t.strictSame(Object.keys(second), Object.keys(first))
  for (const name of ['ca.pem', 'ca-key.pem']) t.equal(second[name], first[name], name)
  for (const name of ['server.pem', 'server-key.pem']) t.not(second[name], first[name], name)
  t.ok(certificate(dir, 'server').checkIssued(certificate(dir, 'ca')))
  t.equal(
    certificate(dir, 'server').subjectAltName,
    'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, DNS:gateway.test',
    'a name given twice is in once',
  )
})

t.test('only the owner can read a key, whatever the umask', async (t) => {
  const dir = t.testdir()
  execFileSync('bash', ['-c', 'umask 0; exec "$0" --out "$1" --client agent', script, dir])
  for (const name of readdirSync(dir))
    t.equal(statSync(join(dir, name)).mode & 0o777, name.endsWith('-key.pem') ? 0o600 : 0o644, name)
})

t.test('bad input is refused before anything is written', async (t) => {
  const parent = t.testdir()
  const bad = [
    ['a folder that has no parent', 1, '--out', join(parent, 'none/such')],
    ['an unknown option', 2, '--nope'],
    ['an option without its value', 2, '--client'],
    ['a subject of more than a name', 2, '--client', 'a\nCN = b'],
    ['a subject too long', 2, '--client', 'a'.repeat(65)],
    ...[
      '',
      ' ',
      'gateway test',
      'gateway.test\nother.test',
      'gateway.test,DNS:other.test',
      'https://gateway.test',
      'gateway.test:8443',
      'gateway..test',
      'gateway.test.',
      'gate_way.test',
      'gateway-.test',
      'gätew.test',
      `${'a'.repeat(64)}.test`,
      `${'a.'.repeat(127)}a`,
      '*',
      '*.localhost',
      'a.*.test',
      'a*.gateway.test',
      '256.0.0.1',
      '127.0.0.01',
      '10.1',
      '[::1]',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '12345::',
    ].map((host) => [`the host ${JSON.stringify(host)}`, 2, host] as const),
  ] as const
  for (const [what, code, ...args] of bad) {
    const result = await run(['--out', join(parent, 'out'), ...args])
    t.equal(result.code, code, what)
    t.match(result.stderr, /^make-dev-certs\.sh: ./, what)
  }
  t.strictSame(readdirSync(parent), [])
})

t.test('a failure changes nothing and says why', async (t) => {
  const parent = t.testdir()
  const dir = join(parent, 'dir')
  const other = join(parent, 'other')
  t.match(await run(['--out', dir]), { code: 0 })
  t.match(await run(['--out', other]), { code: 0 })

  const path = process.env['PATH']
  // The real openssl behind one that fails at one command.
  const failing = (command: string): string => {
    const bin = join(parent, command)
    const lines = [
      '#!/bin/sh',
      `[ "$1" != ${command} ] || { echo no ${command} >&2; exit 1; }`,
      `PATH='${path}' exec openssl "$@"`,
    ]
    mkdirSync(bin)
    writeFileSync(join(bin, 'openssl'), lines.join('\n'), { mode: 0o755 })
    return `${bin}:${path}`
  }
  for (const command of ['genpkey', 'req', 'x509', 'verify', 'rand']) {
    const before = contents(dir)
    const broken = failing(command)
    t.match(await run(['--out', dir], broken), { code: 1, stdout: '', stderr: /./ }, command)
    t.strictSame(contents(dir), before, command)
    t.match(await run(['--out', join(parent, 'new')], broken), { code: 1 }, command)
    t.notOk(existsSync(join(parent, 'new')), command)
  }

  const bare = join(parent, 'bare')
  mkdirSync(bare)
  symlinkSync(execFileSync('which', ['tr'], { encoding: 'utf8' }).trim(), join(bare, 'tr'))
  t.match(await run(['--out', join(parent, 'new')], bare), {
    code: 1,
    stderr: /openssl is missing/,
  })
  t.notOk(existsSync(join(parent, 'new')))

  const broken = [
    ['a CA without its key', /only one of/, { 'ca.pem': read(dir, 'ca.pem') }],
    ['a key without its CA', /only one of/, { 'ca-key.pem': read(dir, 'ca-key.pem') }],
    [
      "another CA's key",
      /do not match/,
      { 'ca.pem': read(dir, 'ca.pem'), 'ca-key.pem': read(other, 'ca-key.pem') },
    ],
    [
      'a CA that ends before its certificate would',
      /ends before/,
      { 'ca.pem': read(dir, 'server.pem'), 'ca-key.pem': read(dir, 'server-key.pem') },
    ],
    ['a CA that is no certificate', /openssl x509 failed/, { 'ca.pem': 'x', 'ca-key.pem': 'x' }],
    ['a folder in the place of a file', /is a folder/, { 'server.pem': {} }],
  ] as const
  for (const [what, stderr, files] of broken)
    t.test(what, async (t) => {
      const dir = t.testdir(files)
      t.match(await run(['--out', dir]), { code: 1, stdout: '', stderr })
      t.strictSame(readdirSync(dir).sort(), Object.keys(files).sort())
    })
})

t.test('git', { skip: existsSync(join(root, '.git')) ? false : 'not a clone' }, async (t) => {
  // A clone that belongs to another user is a clone all the same.
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'safe.directory=*', ...args], { cwd: root, encoding: 'utf8' })

  const key = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]{0,200}?[\w+/]{40}/
  const dir = t.testdir()
  await run(['--out', dir])
  t.match(read(dir, 'server-key.pem'), key, 'a key is recognised')
  const tracked = git('ls-files', '-z').split('\0').filter(Boolean)
  t.ok(tracked.includes('package.json'))
  t.strictSame(
    tracked.filter((path) => existsSync(join(root, path)) && key.test(read(root, path))),
    [],
    'no tracked file holds a private key',
  )
  for (const name of readdirSync(dir))
    t.match(git('check-ignore', `certs/${name}`), name, 'what the script writes is ignored')
})

function run(
  args: readonly string[],
  path = process.env['PATH'],
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile('/bin/bash', [script, ...args], { env: { PATH: path } }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    )
  })
}

async function serve(t: Tap, dir: string, options: ServerOptions = {}): Promise<number> {
  const server = createServer(
    { cert: read(dir, 'server.pem'), key: read(dir, 'server-key.pem'), ...options },
    (req, res) => res.end(`hello ${req.headers['x-name']}`),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

// Every connection goes to the server above; what `name` decides is whom the client expects there.
// An answer is its text, a failure its code.
function get(port: number, name: string, tls: SecureContextOptions): Promise<string> {
  return new Promise((resolve) => {
    request({
      host: name,
      headers: { 'x-name': name },
      createConnection: () =>
        connectTls({
          ...tls,
          socket: connect(port, '127.0.0.1'),
          host: name,
          servername: isIP(name) ? '' : name,
          checkServerIdentity: isIP(name) === 6 ? checkIPv6 : checkServerIdentity,
        }),
    })
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .on('response', (res) => resolve(text(res)))
      .end()
  })
}

// Node 22.23 knows no IPv6 address in a certificate (github.com/nodejs/node/issues/64032).
function checkIPv6(address: string, peer: PeerCertificate): Error | undefined {
  if (new X509Certificate(peer.raw).checkIP(address)) return undefined
  return Object.assign(new Error(address), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
}

type Tap = Pick<typeof t, 'teardown'>

function certificate(dir: string, name: string): X509Certificate {
  return new X509Certificate(read(dir, `${name}.pem`))
}

function days(certificate: X509Certificate): number {
  return (certificate.validToDate.getTime() - certificate.validFromDate.getTime()) / 86_400_000
}

function contents(dir: string): Record<string, string> {
  return Object.fromEntries(readdirSync(dir).map((name) => [name, read(dir, name)]))
}

function read(dir: string, name: string): string {
  return readFileSync(join(dir, name), 'utf8')
}
