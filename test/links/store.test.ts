// What is kept in memory is bounded in time and number, for each contact center by itself.
import t from 'tap'
import { createMemoryStore, type Entry } from '../../src/links/store.ts'

const most = 20_000
const entry: Entry = { text: 'sealed', contactCenter: 'Hamburg', uses: 1, lasts: 60_000 }

t.test('until its time is over, and as often as it may', async (t) => {
  let now = 1_800_000_000_000
  const store = createMemoryStore(() => now)
  for (const [uses, after, expected] of [
    [1, 0, ['sealed', null]],
    [2, 59_999, ['sealed', 'sealed', null]],
    [null, 59_999, ['sealed', 'sealed', 'sealed', 'sealed']],
    [1, 60_000, [null, null]],
    [null, 60_000, [null]],
  ] as const) {
    t.equal(await store.keep('a', { ...entry, uses }), 'kept')
    now += after
    for (const one of expected) t.equal(await store.take('a'), one, `${uses} after ${after} ms`)
  }
  t.equal(await store.take('b'), null)
})

t.test('no contact center takes the room of another', async (t) => {
  let now = 1_800_000_000_000
  const store = createMemoryStore(() => now)
  for (let i = 0; i < most; i += 1) await store.keep(`${i}`, { ...entry, lasts: 1000 + i })
  t.equal(await store.keep('one more', entry), 'full')
  t.equal(await store.take('one more'), null)
  t.equal(await store.keep('another’s', { ...entry, contactCenter: 'Lisbon' }), 'kept')
  t.equal(await store.keep('5', { ...entry, lasts: 90_000 }), 'kept', 'what is there is replaced')
  t.equal(await store.take('7'), 'sealed')
  t.equal(await store.keep('one more', entry), 'kept', 'what is used up makes room')
  t.equal(await store.keep('and one', entry), 'full')
  now += 1000
  t.equal(await store.keep('and one', entry), 'kept', 'and so does what is over')
  t.equal(await store.take('5'), 'sealed')
})
