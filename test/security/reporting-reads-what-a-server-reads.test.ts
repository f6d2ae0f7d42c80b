import t from 'tap'
import { ask, contactCenters } from '../stage.ts'
import { bodyOf, inWords, masked, startSockets } from '../websocket/peer.ts'

const centers = contactCenters(
  { name: 'r', urlTokens: ['of-r'], enforcement: 'report' },
  { name: 'e', urlTokens: ['of-e'], secrets: [Buffer.from('e'.repeat(32))] },
)
const path = '/socket.io/?URLToken=of-r'
const channel = `${path}&EIO=4&transport=websocket`
const polling = `${path}&EIO=4&transport=polling`
const identity = { 'Content-Encoding': 'identity' }
const events = {
  revoked: '42["join",{"sessionId":"ended"}]',
  'of who enforces': '42["join",{"URLToken":"of-e"}]',
}
const { gateway, upstream, ask: upgrade, pair } = await startSockets(t, {}, { configure: centers })
gateway.revoke({ contactCenter: null, userId: null, sessionId: 'ended' })

t.test('a socket whose channel can’t be told does not open', async (t) => {
  for (const sid of ['sid=', 'sid=&sid=a', 'sid=a&sid=b', 'sid=%00', `sid=${'a'.repeat(65)}`]) {
    const refused = await upgrade(`${channel}&${sid}`)
    t.match(`${await refused.ended}`, /^HTTP\/1\.1 403 /, sid)
  }
})

for (const [name, event] of Object.entries(events)) {
  t.test(`${name}: an event that a server reads otherwise`, async (t) => {
    const spellings = {
      'white space, which is an ack id': event.replace('42', '42 '),
      'an id twice': event.replace(
        '{',
        '{"sessionId":"","URLToken":"","sessionId":"","URLToken":"",',
      ),
      'an id in a list': event.replace(/:(".*")\}/, ':[$1]}'),
    }
    for (const [how, text] of Object.entries(spellings)) {
      const one = await pair(channel)
      one.client.socket.write(masked(text))
      t.same(inWords(bodyOf(await one.client.ended)), ['close 1008 session-mismatch'], how)
      const said = inWords(one.upstream.bytes()).filter((word) => word.startsWith('text'))
      t.same(said, [], `${how}: goes nowhere`)
    }
  })

  t.test(`${name}: a poll that a server reads otherwise`, async (t) => {
    const rows: readonly (readonly [string, string, Record<string, string>?])[] = [
      ['an encoding that is none', polling, identity],
      ['an empty sid', `${polling}&sid=`],
      ['two sids', `${polling}&sid=a&sid=b`],
      ['engine.io 3', `${path}&EIO=3&transport=polling`],
      ['no revision', `${path}&transport=polling`],
      ['JSONP', `${polling}&j=0`],
    ]
    for (const [how, target, headers = {}] of rows) {
      upstream.seen.length = 0
      const { status } = await ask(gateway.origin, target, { method: 'POST', body: event, headers })
      t.equal(status, 403, how)
      t.equal(upstream.seen.length, 0, `${how}: goes nowhere`)
    }
  })
}
