import t from 'tap'
import { createUsedTokens } from '../../src/state/used-tokens.ts'
import { stopClock } from '../websocket/peer.ts'

const hour = 3_600_000

t.test('a token is used up once, whoever asks at the same time', async (t) => {
  const { use } = createUsedTokens(() => null)
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => use('a', null)))
  t.same(verdicts.sort(), ['first', ...Array(19).fill('used')])
  t.equal(await use('b', null), 'first', 'another')
})

t.test('what has ended by itself is forgotten, and nothing else', async (t) => {
  const forward = stopClock(t)
  const { use } = createUsedTokens(() => null)
  const now = Date.now()
  t.equal(await use('short', now + 1000), 'first')
  t.equal(await use('long', now + 5000), 'first')
  t.equal(await use('endless', null), 'first')
  forward(999)
  t.equal(await use('short', now + 1000), 'used', 'to the last')
  // It is looked for now and then only.
  forward(hour - 60_000)
  t.equal(
    await use('short', now + 1000),
    'used',
    'and as long as another replica’s clock may differ',
  )
  forward(60_001)
  t.equal(await use('short', now + 1000), 'first', 'no longer')
  for (const one of ['long', 'endless']) t.equal(await use(one, null), 'used', one)
})
