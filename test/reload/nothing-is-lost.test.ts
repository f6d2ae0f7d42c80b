// Under busy clients and open sockets, a hundred reloads lose nothing and leave nothing behind.
import { Agent as HttpAgent } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import t from 'tap'
import { Agent } from 'undici'
import { ask, link } from '../stage.ts'
import { frame, heard, masked, startSockets } from '../websocket/peer.ts'

const reloads = 100
t.setTimeout(240_000)

t.test('64 clients and 200 sockets see nothing of a hundred reloads', async (t) => {
  const stage = await startSockets(t)
  const { gateway } = stage
  const paths = ['/ws', '/socket.io/']
  const pairs = []
  for (let i = 0; i < 200; i += 1) pairs.push(await stage.pair(link({}, paths[i % 2])))
  const agent = new HttpAgent({ keepAlive: true })
  t.teardown(() => agent.destroy())

  const statuses = new Map<string, number>()
  let reloading = true
  let answered = 0
  const client = async (index: number): Promise<void> => {
    while (reloading) {
      const answer = await ask(gateway.origin, link({}, '/assets/a.js'), {
        ...(index % 2 === 0 ? { agent } : {}),
        ...(index % 4 === 1 ? { method: 'POST', body: 'x'.repeat(50_000) } : {}),
      }).then(
        ({ status, complete }) => `${status}${complete ? '' : ' cut short'}`,
        (error: Error) => error.message,
      )
      statuses.set(answer, (statuses.get(answer) ?? 0) + 1)
      answered += 1
    }
  }
  const clients = Array.from({ length: 64 }, (_, index) => client(index))
  for (let i = 0; i < reloads; i += 1) {
    await gateway.reload({ FRAME_ANCESTORS: `https://cc${i}.example` })
    // Each in the midst of others' requests.
    for (const enough = answered + 32; answered < enough; ) await setTimeout(1)
    const pair = pairs[i % pairs.length]
    pair?.client.socket.write(masked(`42["after ${i}"]`))
  }
  reloading = false
  await Promise.all(clients)
  t.same([...statuses.keys()], ['200'], JSON.stringify([...statuses]))
  t.ok((statuses.get('200') ?? 0) > 32 * reloads, 'there was load')

  for (const [index, pair] of pairs.entries()) {
    if (index >= reloads) pair.client.socket.write(masked('42["at last"]'))
    const said = index < reloads ? `42["after ${index}"]` : '42["at last"]'
    const words = await heard(pair, 1)
    if (words[0] !== `text ${said}`) t.fail(`socket ${index} said ${words}`)
    pair.upstream.socket.write(frame(said))
    await pair.client.until((bytes) => (bytes.includes(frame(said)) ? true : null))
  }
  t.equal(pairs.length, 200, 'every socket is alive in both directions')
  t.match(
    (await ask(gateway.origin, link())).headers['content-security-policy'],
    `https://cc${reloads - 1}.example`,
  )
  for (const { client } of pairs) client.socket.destroy()
})

t.test('nothing of an old gateway is kept alive by its sockets', async (t) => {
  const before = queryObjects(Agent, { format: 'count' })
  const stage = await startSockets(t)
  const { gateway } = stage
  const pairs = []
  for (let i = 0; i < 10; i += 1) {
    pairs.push(await stage.pair(link({}, '/ws')), await stage.pair(link({}, '/socket.io/')))
    await ask(gateway.origin, link())
    await gateway.reload()
  }
  const kept = (): number => queryObjects(Agent, { format: 'count' }) - before
  for (let i = 0; i < 250 && kept() > 1; i += 1) await setTimeout(20)
  t.equal(kept(), 1, 'one pool of connections: that of the gateway which serves')
  for (const { client } of pairs) client.socket.destroy()
})
