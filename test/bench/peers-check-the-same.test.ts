// What the benchmark compares: whoever checks at all lets in and refuses the same requests.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Peer, peerIds, peers, startPeer, startUpstream } from '../../bench/peers.ts'
import { openDrain } from '../../bench/process.ts'
import { isInstalled, type Package } from '../../bench/programs.ts'
import { documents, forged, newChats } from '../../bench/requests.ts'
import { tryOut } from '../../bench/trial.ts'
import { wrk } from '../../bench/wrk.ts'

const folder = t.testdir()
const place = { folder, log: openDrain(folder), pinned: false }
const workspace = await startUpstream('program', place)
const surroundings = { ...place, upstream: `127.0.0.1:${workspace.port}` }
t.teardown(async () => {
  await workspace.stop()
  await place.log.close()
})

for (const id of peerIds) {
  const peer: Peer = peers[id]
  t.test(peer.name, { skip: missing(peer.needs) }, async (t) => {
    const server = await startPeer(peer, surroundings)
    t.teardown(server.stop)
    const tries = await tryOut(peer, server.port)
    t.equal(tries.length, peer.checks ? 12 : 2)
    for (const { name, expected, got } of tries) t.equal(got, expected, name)
  })
}

t.test(
  'load is answered, and what is refused is counted',
  { skip: missing(['wrk']) },
  async (t) => {
    const server = await startPeer(peers.naive, surroundings)
    t.teardown(server.stop)
    const chats = newChats(20)
    const load = async (name: string, requests: readonly string[]) => {
      const file = join(folder, name)
      writeFileSync(file, requests.map((one) => `${one}\0`).join(''))
      return await wrk({ file, connections: 4, seconds: 1, port: server.port })
    }
    const good = await load('good', documents(chats))
    t.match(good, { refused: 0, failed: 0 })
    t.ok(good.requests > 0 && good.p50 > 0 && good.p50 <= good.p99)
    const bad = await load('bad', documents(forged(chats)))
    t.match(bad, { refused: bad.requests, failed: 0 })
    t.ok(bad.requests > 0)
  },
)

/** What has to be installed first, or false; in CI it has to be there. */
function missing(needs: readonly Package[]): string | false {
  const absent = needs.filter((name) => !isInstalled(name))
  if (absent.length === 0 || process.env['CI']) return false
  return `apt-get install ${absent.join(' ')}`
}
