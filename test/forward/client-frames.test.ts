// What is held of a client's message takes no more memory than its bytes do, however they come.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Lease } from '../../src/access/lease.ts'
import { Channel } from '../../src/forward/channels.ts'
import { ReadFrames } from '../../src/forward/client-frames.ts'
import { ChannelReader } from '../../src/forward/socket-io.ts'
import { masked } from '../websocket/peer.ts'

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/** Bytes of the heap in use: what buffers hold beside it is given back at some later time. */
function memory(): number {
  if (typeof collect !== 'function') throw new Error('no garbage collection')
  collect()
  return process.memoryUsage().heapUsed
}

t.test('a message that comes byte by byte', (t) => {
  const size = 200_000
  const message = masked(`42["${'x'.repeat(size - 6)}"]`)
  const passed: Buffer[] = []
  const reader = new ChannelReader(new Channel(), new Lease([]), null, null)
  const frames = new ReadFrames(reader, size, {
    onPass: (bytes) => passed.push(bytes),
    onClose: () => {},
  })
  const before = memory()
  for (const byte of message.subarray(0, -1)) frames.take(Buffer.alloc(1, byte))
  const held = memory() - before
  t.ok(held < 10 * size, `${held} bytes are taken by ${size}`)
  t.same(passed, [])
  frames.take(message.subarray(-1))
  t.ok(Buffer.concat(passed).equals(message), 'and goes on as it came')
  t.end()
})
