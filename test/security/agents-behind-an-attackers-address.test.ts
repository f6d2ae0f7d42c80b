import t from 'tap'
import { inAnHour, jwt, link, openSession, startGateway, startUpstream } from '../stage.ts'
import { openDoors } from './doors.ts'

const limit = 3
const { doors, host, upstream, gateway } = await openDoors(t, { RATE_LIMIT: `${limit}/1h` })
const plain = await startGateway(t, (await startUpstream(t)).origin)
const own = { Origin: `https://${host}`, 'Sec-Fetch-Site': 'same-origin' }
const cookie = await openSession(plain)
const [http1] = doors
const attacks = [
  { target: '/' },
  { target: link({ auth: 'a.b.c' }) },
  { target: link({ userId: 'VICTIM' }) },
  { target: '/a/../b' },
]

t.test('the attacker is past the limit at every door', async (t) => {
  for (let i = 0; i < limit; i += 1) t.not((await http1?.knock(attacks[0]))?.status, 429)
  for (const { name, knock } of doors) {
    for (const attack of attacks) {
      t.equal((await knock(attack)).status, 429, `${name}: ${attack.target.slice(0, 12)}`)
    }
  }
  t.strictSame(upstream.seen, [])
})

t.test('agents at the very address are let in all the same', async (t) => {
  for (let agent = 0; agent < 5; agent += 1) {
    const named = { userId: `agent-${agent}`, sessionId: `chat-${agent}` }
    const target = link({ ...named, auth: jwt({ ...named, exp: inAnHour() }) })
    for (const { name, knock, open } of doors) {
      t.equal((await knock({ target })).status, open, `${name}: a new session`)
      const headers = { ...own, Cookie: cookie }
      t.equal((await knock({ target: '/api', headers })).status, open, `${name}: one that is in`)
      t.equal((await knock(attacks[agent % attacks.length])).status, 429, `${name}: the attacker`)
    }
  }
  const lines = await gateway.audited(1)
  const limited = lines.filter((line) => line['reason'] === 'rate-limited')
  t.ok(limited.every((line) => line['decision'] === 'deny' && line['userId'] !== 'agent-0'))
})

t.test('nor does what passes bring anybody nearer to the limit', async (t) => {
  const calm = await openDoors(t, { RATE_LIMIT: '1/1h' })
  for (const { name, knock, open } of calm.doors) {
    for (let i = 0; i < 10; i += 1) t.equal((await knock()).status, open, name)
  }
  t.equal((await calm.doors[0]?.knock({ target: '/' }))?.status, 401, 'the first that is counted')
  t.equal((await calm.doors[0]?.knock({ target: '/' }))?.status, 429)
})
