// What the gateway has as a whole, from its memory or since it had to be read, ends with its session
// like what still comes from the workspace: however slowly a client reads it.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type ClientHttp2Stream, connect } from 'node:http2'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ids, jwt, link, startGateway, startUpstream } from '../stage.ts'

const folder = t.testdir({})
const script = fileURLToPath(new URL('../../certs/make-dev-certs.sh', import.meta.url))
execFileSync('bash', [script, '--out', folder], { stdio: 'ignore' })
const tls = {
  TLS_CERT_FILE: join(folder, 'server.pem'),
  TLS_KEY_FILE: join(folder, 'server-key.pem'),
}
const ca = readFileSync(join(folder, 'ca.pem'), 'utf8')
const forAll = { 'Cache-Control': 'public, max-age=31536000, immutable' }
const body = Buffer.alloc(1_000_000, 'x')
const kinds: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '/assets/index-B3k2hJ9a.png': { 'Content-Type': 'image/png', ...forAll },
  '/page': { 'Content-Type': 'text/html' },
  // For comparison.
  '/download': { 'Content-Type': 'application/octet-stream' },
}

const upstream = await startUpstream(t, (request, response) => {
  const head = kinds[request.url ?? '']
  if (head === undefined) response.end('ok')
  else response.writeHead(200, { ...head, 'Content-Length': body.length }).end(body)
})
const gateway = await startGateway(t, upstream.origin, tls)

for (const [i, path] of Object.keys(kinds).entries()) {
  t.test(path, async (t) => {
    // Its window, which nobody enlarges unless it is read, is all that may be on its way.
    const session = connect(gateway.origin, { ca, servername: 'localhost' })
    session.on('error', () => {})
    t.teardown(() => session.destroy())
    const sessionId = `session-of${path.replaceAll('/', '-')}`
    const auth = jwt({ userId: ids.userId, sessionId, exp: Date.now() / 1000 + 600 })
    const navigation = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    const document = session.request({ ':path': link({ sessionId, auth }), ...navigation })
    const [{ 'set-cookie': cookies }] = await once(document, 'response')
    document.resume()
    const cookie = String(cookies).split(';')[0]
    const get = async (): Promise<ClientHttp2Stream> => {
      const stream = session.request({ ':path': path, cookie, 'sec-fetch-site': 'same-origin' })
      stream.on('error', () => {})
      const [{ ':status': status }] = await once(stream, 'response')
      t.equal(status, 200)
      return stream
    }
    const first = await get()
    first.resume()
    await once(first, 'close')

    const stream = await get()
    await wait(300)
    gateway.revoke({ contactCenter: null, userId: null, sessionId })
    // Each kind has three lines: of its document, of what was read, and of what was cut.
    await Promise.race([gateway.audited(3 * (i + 1)), wait(10_000, null, { ref: false })])
    let bytes = 0
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    while (!stream.closed && bytes < body.length) await wait(50)
    t.ok(bytes < body.length, `${bytes} of ${body.length} bytes`)
    const lines = await gateway.audited(1)
    t.equal(
      lines.filter((line) => line['path'] === path).at(-1)?.['ended'],
      'session-revoked',
      'and the log says so',
    )
  })
}
