import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { environment } from '../environment.ts'
import { ask, link, secret, startUpstream } from '../stage.ts'

const mb = 2 ** 20
const size = 1024 * mb
const chunk = Buffer.alloc(mb, 'x')

function pour(stream: Writable, done: () => void = () => {}): void {
  let sent = 0
  const more = (): void => {
    while (sent < size && !stream.destroyed) {
      sent += mb
      if (!stream.write(chunk)) return void stream.once('drain', more)
    }
    done()
  }
  more()
}

function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve))
}

const skip = existsSync('/proc/self/status') ? false : 'needs /proc'
t.test('a gigabyte each way takes no more memory than a little', { skip }, async (t) => {
  const upstream = await startUpstream(t, (request, response) => {
    if (request.method === 'GET') {
      response.setHeader('Content-Length', size)
      pour(response, () => response.end())
    } else {
      request.resume()
      request.on('end', () => response.end('done'))
    }
  })
  const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
  const gateway = spawn(process.execPath, [cli, 'start'], {
    cwd: t.testdir(),
    env: {
      ...environment,
      COPILOT_URL: upstream.origin,
      JWT_SECRET: secret,
      PORT: '0',
      ADMIN_PORT: 'off',
      BODY_LIMIT: '1024mb',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => gateway.kill('SIGKILL'))
  let address = ''
  for await (const line of createInterface({ input: gateway.stdout })) {
    address = /"event":"listening".*?"(http:[^"]+)"/.exec(line)?.[1] ?? ''
    if (address !== '') break
  }
  gateway.stdout.resume()
  const port = Number(new URL(address).port)
  const peak = (): number => {
    const status = readFileSync(`/proc/${gateway.pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
  }
  t.equal((await ask(address, link(), { method: 'DELETE' })).status, 200)
  const before = peak()

  const down = connect(port, '127.0.0.1')
  down.write(`GET ${link()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  let received = 0
  down.on('data', (data: Buffer) => {
    received += data.length
  })
  const up = connect(port, '127.0.0.1')
  const lines = `Host: x\r\nContent-Length: ${size}\r\nConnection: close`
  up.write(`POST ${link()} HTTP/1.1\r\n${lines}\r\n\r\n`)
  pour(up)
  let text = ''
  up.on('data', (data: Buffer) => {
    text += data
  })
  await Promise.all([closed(down), closed(up)])

  t.ok(received > size, 'all of it came down')
  t.match(text, /^HTTP\/1\.1 200 .*done$/s, 'all of it went up')
  const more = Math.round(peak() - before)
  t.ok(more < 256, `${more} MB more at most`)
})
