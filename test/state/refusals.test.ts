import t from 'tap'
import { createRefusals } from '../../src/state/refusals.ts'

const now = Date.UTC(2026, 0, 1)

t.test('an address is past the rate until its window is over', (t) => {
  const refusals = createRefusals({ count: 3, window: 1000 })
  const counted = [0, 1, 2, 3, 999].map((ms) => refusals.count('192.0.2.1', now + ms))
  t.same(counted, [0, 0, 0, 997, 1], 'past it, what is left of the window')
  t.notOk(refusals.count('192.0.2.2', now + 999), 'another address has a count of its own')
  t.notOk(refusals.count('192.0.2.1', now + 1000), 'a new window begins')
  t.end()
})

t.test('an IPv6 network of 2⁶⁴ addresses is one', (t) => {
  for (const [name, one, other, same] of [
    ['one network', '2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
    ['written out', '2001:db8:1:2::1', '2001:0db8:0001:0002:0:0:0:1', true],
    ['two networks', '2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['zeros in front', '::1', '::2', true],
    ['zeros at the end', '2001:db8::', '2001:db8:0:0:1::', true],
    ['zeros within', '2001::1:2:3:4:5', '2001::2:0:0:0:9', false],
    ['a zone', 'fe80::1%eth0', 'fe80::2%eth1', true],
    ['an IPv4 in it', '::ffff:192.0.2.1', '::ffff:192.0.2.2', true],
    ['no address', '', ' ', false],
  ] as const) {
    const refusals = createRefusals({ count: 1, window: 1000 })
    refusals.count(one, now)
    t.equal(refusals.count(other, now) > 0, same, name)
  }
  t.end()
})

t.test('an attacker of many addresses fills no memory', (t) => {
  const refusals = createRefusals({ count: 1, window: 60_000 })
  const address = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`
  for (let i = 0; i < 50_000; i += 1) refusals.count(address(i), now)
  t.ok(refusals.count(address(0), now), 'so many are remembered')
  for (let i = 50_000; i < 100_000; i += 1) refusals.count(address(i), now)
  t.notOk(refusals.count(address(1), now), 'the oldest are forgotten')
  t.end()
})
