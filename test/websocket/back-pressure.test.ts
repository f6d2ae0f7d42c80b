// Memory stays flat when either side stops reading, and no byte is lost when it goes on.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { type Served, start } from '../process/child.ts'
import { link, listen } from '../stage.ts'
import { accepting, binary, dial, frame, handshake, headOf, masked } from './peer.ts'

const total = 200 * 2 ** 20
const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20)

t.test('200 MB towards a side that has stopped reading', async (t) => {
  const http = createServer((_, response) => response.end('ok'))
  const port = await listen(http)
  t.teardown(() => http.close())
  const gateway = await start(t, `http://127.0.0.1:${port}`)

  // A heap grows at first, whatever it is used for.
  for (let i = 0; i < 200; i++) await ask(gateway)

  for (const [path, from] of [
    ['/ws', 'upstream'],
    ['/socket.io/', 'client'],
  ] as const) {
    const ends = await open(t, http, gateway, path)
    const [sender, reader] =
      from === 'upstream' ? [ends.upstream, ends.client] : [ends.client, ends.upstream]
    reader.pause()
    const event = `42["noise","${noise.toString('base64')}"]`
    const block = from === 'upstream' ? frame(noise, { opcode: binary }) : masked(event)
    const count = Math.ceil(total / block.length)
    const before = memory(gateway)

    const sent = createHash('sha256')
    let written = 0
    const pouring = (async () => {
      for (let i = 0; i < count; i++) {
        sent.update(block)
        await new Promise((resolve) => sender.write(block, resolve))
        written += 1
      }
    })()
    // When it has not moved for a hundred requests beside it, it is stuck, as it should be.
    let most = 0
    for (let still = 0, last = -1; still < 100 && written < count; still++) {
      if (written !== last) still = 0
      last = written
      await ask(gateway)
      most = Math.max(most, memory(gateway) - before)
    }
    t.ok(written < count / 2, `${path}: the ${from} is held up after ${written} of ${count}`)
    t.ok(most < 50 * 2 ** 20, `${path}: the gateway took ${megabytes(most)} MB more`)

    const received = createHash('sha256')
    let bytes = 0
    const arrived = new Promise<void>((resolve) => {
      reader.on('data', (chunk: Buffer) => {
        received.update(chunk)
        bytes += chunk.length
        if (bytes >= count * block.length) resolve()
      })
    })
    reader.resume()
    await Promise.all([pouring, arrived])
    t.equal(bytes, count * block.length, `${path}: all of it arrives`)
    t.equal(received.digest('hex'), sent.digest('hex'), 'unchanged')
    const after = memory(gateway) - before
    t.ok(after < 128 * 2 ** 20, `${path}: ${megabytes(after)} MB more when all is done`)
    ends.client.destroy()
    ends.upstream.destroy()
  }
  gateway.kill('SIGTERM')
  t.match(await gateway.ended, { code: 0, stderr: '' })
})

const noise = Buffer.alloc(64 * 1024, 'not all the same: 0123456789 abcdefghijklmnopqrstuvwxyz ')

async function open(
  t: Test,
  http: ReturnType<typeof createServer>,
  gateway: Served,
  path: string,
): Promise<{ readonly client: Socket; readonly upstream: Duplex }> {
  const upgraded = once(http, 'upgrade')
  const { socket: client, until } = await dial(t, gateway.port)
  client.write(handshake(gateway.port, link({}, path)))
  const [request, upstream] = await upgraded
  t.teardown(() => upstream.destroy())
  upstream.on('error', () => {})
  upstream.write(accepting(request))
  await until(headOf)
  client.removeAllListeners('data')
  return { client, upstream }
}

async function ask({ origin }: Served): Promise<void> {
  const response = await fetch(`${origin}${link()}`)
  if ((await response.text()) !== 'ok') throw new Error(`${response.status}`)
}

/** Resident memory, in bytes. */
function memory({ pid }: Served): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}
