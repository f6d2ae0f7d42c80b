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
  type Tls,
} from './clinic.ts'

const good = makeCertificate(t.testdir({}))
const foreign = makeCertificate(join(t.testdirName, '..', 'foreign-issuer'))

/** Self-signed, for what the script does not make. */
function selfSigned(key: readonly string[], ...options: readonly string[]) {
  const files = { key: join(t.testdirName, 'own-key.pem'), cert: join(t.testdirName, 'own.pem') }
  const out = ['-keyout', files.key, '-out', files.cert]
  const subject = ['-subj', `/CN=${host}`, '-days', '90']
  const args = ['req', '-x509', '-nodes', '-newkey', ...key, ...out, ...subject, ...options]
  execFileSync('openssl', args, { stdio: 'ignore' })
  return { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8') }
}
