import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls'
import t, { type Test } from 'tap'
import { listen, startGateway } from '../stage.ts'
import {
  examined,
  type Fault,
  found,
  host,
  makeCertificate,
  skipped,
  startFront,
  startTls,
  startWorkspace,
} from './clinic.ts'

const dir = t.testdir({ good: {}, foreign: {}, own: {} })
const good = makeCertificate(join(dir, 'good'))
const foreign = makeCertificate(join(dir, 'foreign'))
const names = ['-addext', `subjectAltName=DNS:${host}`]
const rsa = selfSigned('rsa', ['rsa:2048', ...names])
const nameless = selfSigned('nameless', ['rsa:2048'])
setDefaultCACertificates([...getCACertificates(), good.ca, rsa.cert, nameless.cert])

const upstream = await startWorkspace(t)
/** What every test here finds: TLS ends in something plain, on this machine. */
const plain = { 'public-address': 'warn', http2: 'warn' } as const
const day = 86_400_000

/** A gateway behind TLS, and behind a fault. */
async function startBehindTls(
  t: Test,
  options: TlsOptions,
  { fault = {}, lead }: { fault?: Fault; lead?: Parameters<typeof startTls>[2] } = {},
) {
  const tls = await startTls(t, options, lead)
  const gateway = await startGateway(t, upstream.origin, { PUBLIC_URL: tls.base })
  tls.behind.port = Number(new URL(await startFront(t, gateway.port, fault)).port)
  return { ...tls, gateway }
}

t.test('certificates and protocols', async (t) => {
  const rows: readonly (readonly [string, TlsOptions, Readonly<Record<string, string>>])[] = [
    ['no fault', good, {}],
    ['a certificate of an unknown issuer', foreign, { certificate: 'fail' }],
    ['a certificate without names', nameless, { certificate: 'fail', 'forward-secrecy': 'warn' }],
    ['a static RSA key', rsa, { 'forward-secrecy': 'warn' }],
    [
      'ephemeral keys alone',
      { ...rsa, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256' },
      {},
    ],
    [
      'TLS 1.0',
      { ...good, minVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' },
      { 'old-tls': 'fail' },
    ],
  ]
  for (const [name, options, finds] of rows) {
    const { base, gateway } = await startBehindTls(t, options)
    const results = await examined(base)
    t.same(found(results), { ...plain, ...finds }, name)
    const trusted = finds['certificate'] === undefined
    const sent = gateway.lines.some(({ decision }) => decision === 'allow')
    t.equal(sent, trusted, 'a link goes over a trusted connection only')
  }
})

t.test('a certificate for another name', async (t) => {
  const { base } = await startBehindTls(t, good)
  const results = await examined(base.replace(host, 'other.test'))
  t.equal(results.get('certificate')?.seen, 'ERR_TLS_CERT_ALTNAME_INVALID')
  t.match(skipped(results)['link-opens'], /^the link is not sent over a connection/)
  const address = await examined(base.replace(host, '127.0.0.1'))
  t.equal(address.get('certificate')?.verdict, 'pass', 'an address is a name too')
})

t.test('a certificate whose end is no date', async (t) => {
  const der = Buffer.from(foreign.cert.replace(/-----.*?-----/g, ''), 'base64')
  // Of the leaf, which is first: two UTCTimes (X.680 §47), and the second's month.
  const time = Buffer.from([0x17, 13])
  der.write('99', der.indexOf(time, der.indexOf(time) + 1) + 4)
  const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
  const { base } = await startBehindTls(t, { cert, key: foreign.key })
  const results = await examined(base)
  t.equal(results.get('certificate')?.verdict, 'fail')
  t.match(results.get('certificate-end'), { verdict: 'fail', seen: 'no date' })
})

t.test('the certificate’s end', async (t) => {
  const { base } = await startBehindTls(t, good)
  const rows = [
    [0, 'pass'],
    [365 - 22, 'pass'],
    [365 - 20, 'warn'],
    [366, 'fail'],
  ] as const
  for (const [days, verdict] of rows) {
    const results = await examined(base, { now: Date.now() + days * day, link: null })
    t.equal(results.get('certificate-end')?.verdict, verdict, `in ${days} days`)
  }
})

t.test('a certificate that is replaced on the way is not sent a link', async (t) => {
  let connections = 0
  const { base, server, gateway } = await startBehindTls(t, good, {
    lead() {
      connections += 1
      if (connections === 1) server.setSecureContext(foreign)
      return false
    },
  })
  const results = await examined(base)
  t.equal(results.get('certificate')?.verdict, 'pass')
  t.match(results.get('link-opens')?.seen, /^no answer: [A-Z_]*CERT|^no answer: UNABLE_TO_VERIFY/)
  t.notOk(gateway.lines.some(({ decision }) => decision === 'allow'))
})

t.test('HSTS', async (t) => {
  const name = 'strict-transport-security'
  for (const [value, verdict] of [
    [null, 'fail'],
    ['includeSubDomains', 'fail'],
    ['max-age=0', 'warn'],
    ['max-age=15551999', 'warn'],
    ['max-age=15552000; includeSubDomains', undefined],
  ] as const) {
    const { base } = await startBehindTls(t, good, {
      fault: {
        answer: (answered) => {
          const headers = answered.headers.filter(([one]) => one !== name)
          return value === null
            ? { ...answered, headers }
            : { ...answered, headers: [...headers, [name, value]] }
        },
      },
    })
    t.same(found(await examined(base)), verdict ? { ...plain, hsts: verdict } : plain, `${value}`)
  }
})

t.test('plain HTTP on the port of HTTPS', async (t) => {
  const rows = [
    ['it is served', 200, {}, 'fail'],
    ['it is refused like TLS', 401, {}, 'fail'],
    ['it leads to plain HTTP', 301, { location: 'http://a.example/' }, 'fail'],
    ['it leads to HTTPS', 301, { location: `https://${host}/` }, undefined],
    ['it is a bad request', 400, {}, undefined],
  ] as const
  for (const [name, status, headers, verdict] of rows) {
    const tls = await startBehindTls(t, good)
    const http = createHttpServer((_, response) => response.writeHead(status, headers).end())
    const httpPort = await listen(http)
    t.teardown(() => http.close())
    const port = await startSwitch(t, (first) =>
      first[0] === 0x16 ? Number(new URL(tls.base).port) : httpPort,
    )
    const results = await examined(`https://${host}:${port}`, { link: null })
    t.equal(results.get('plain-http')?.verdict, verdict ?? 'pass', name)
  }
})

t.test('an answer to old TLS that is none', async (t) => {
  const tls = await startBehindTls(t, good)
  const silent = createTcpServer((socket) => socket.end('no TLS here, and no alert either'))
  const silentPort = await listen(silent)
  t.teardown(() => silent.close())
  // RFC 8446 §4.1.2: the version of the ClientHello; 1.3 says 1.2 there.
  const port = await startSwitch(t, (first) =>
    first.readUInt16BE(9) < 0x0303 ? silentPort : Number(new URL(tls.base).port),
  )
  const results = await examined(`https://${host}:${port}`, { link: null })
  t.equal(results.get('old-tls')?.verdict, 'skipped')
  t.match(results.get('old-tls')?.seen, /^no plain refusal: ERR_SSL_/)
})

t.test('HTTP/2 that has rules of its own', async (t) => {
  const rows: readonly (readonly [string, (stream: ServerHttp2Stream) => void, RegExp])[] = [
    [
      'it lets in',
      (stream) => stream.respond({ ':status': 200 }, { endStream: true }),
      /^200 over/,
    ],
    ['it resets', (stream) => stream.close(2), /^no answer: ERR_HTTP2_STREAM_ERROR$/],
    ['it leaves', (stream) => stream.session?.destroy(), /^no answer: /],
    ['it is silent', () => {}, /^no answer within 1000 ms$/],
  ]
  for (const [name, answer, seen] of rows) {
    const http2 = createHttp2Server()
    http2.on('stream', (stream) => {
      stream.on('error', () => {})
      answer(stream)
    })
    const { base } = await startBehindTls(
      t,
      { ...good, ALPNProtocols: ['h2', 'http/1.1'] },
      {
        lead(socket) {
          if (socket.alpnProtocol !== 'h2') return false
          http2.emit('connection', socket)
          return true
        },
      },
    )
    const results = await examined(base, { link: null, deadline: 1000 })
    t.equal(results.get('http2')?.verdict, 'fail', name)
    t.match(results.get('http2')?.seen, seen)
  }
})

t.test('no TLS at all', async (t) => {
  const held = new Set<Socket>()
  const silent = createTcpServer((socket) => held.add(socket))
  const plainly = createHttpServer()
  t.teardown(() => {
    for (const socket of held) socket.destroy()
    silent.close()
    plainly.close()
  })
  const rows = [
    [await listen(silent), /^no answer within 100 ms$/],
    [await listen(plainly), /^no answer: /],
  ] as const
  for (const [port, seen] of rows) {
    const results = await examined(`https://${host}:${port}`, { deadline: 100 })
    t.same(found(results), { reachable: 'fail', 'public-address': 'warn' })
    t.match(results.get('reachable')?.seen, seen)
  }
})

/** Leads each connection to a port by its first bytes. */
async function startSwitch(t: Test, choose: (first: Buffer) => number): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (first: Buffer) => {
      const onward = connect(choose(first), '127.0.0.1')
      onward.on('error', () => {})
      onward.write(first)
      socket.pipe(onward).pipe(socket)
    })
  })
  t.teardown(() => server.close())
  return listen(server)
}

/** What the script does not make. */
function selfSigned(name: string, options: readonly string[]) {
  const [key, cert] = [join(dir, 'own', `${name}-key.pem`), join(dir, 'own', `${name}.pem`)]
  const files = ['-keyout', key, '-out', cert]
  const subject = ['-subj', `/CN=${host}`, '-days', '90']
  const args = ['req', '-x509', '-nodes', ...files, ...subject, '-newkey', ...options]
  execFileSync('openssl', args, { stdio: 'ignore' })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}
