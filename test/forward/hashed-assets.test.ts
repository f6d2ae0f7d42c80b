import t from 'tap'
import { HashedAssets } from '../../src/forward/hashed-assets.ts'

const headers = { 'cache-control': 'public, max-age=60, immutable' }
const now = Date.UTC(2026, 0)

t.test('one answer at a time is gathered for a key, and few in all', async (t) => {
  const assets = new HashedAssets()
  const first = assets.gather('a')
  t.ok(first)
  t.equal(assets.gather('a'), null)
  first?.drop()
  t.ok(assets.gather('a'))
  first?.drop()
  t.equal(assets.gather('a'), null, 'what is over lets go of no other’s')
  const more = Array.from({ length: 100 }, (_, i) => assets.gather(`key ${i}`))
  t.equal(more.filter((one) => one !== null).length, 31)
})

t.test('64 MB are kept, and of those what was used last', async (t) => {
  const assets = new HashedAssets()
  const megabyte = Buffer.alloc(2 ** 20 - 2048)
  for (let i = 0; i < 80; i += 1) {
    assets.add(`key ${i}`, headers, [megabyte], now)
    t.ok(assets.get('key 0', now), 'what is used stays')
  }
  const kept = Array.from({ length: 80 }, (_, i) => i).filter(
    (i) => assets.get(`key ${i}`, now) !== null,
  )
  t.equal(kept.length, 64)
  t.equal(kept.at(-1), 79)
  assets.add('large', headers, [megabyte, megabyte], now)
  t.equal(assets.get('large', now), null)
})

t.test('small ones have their names and headers counted, too', async (t) => {
  const assets = new HashedAssets()
  const long = { ...headers, 'x-long': '.'.repeat(60_000) }
  for (let i = 0; i < 2000; i += 1) assets.add(`key ${i}`, long, [Buffer.from('a')], now)
  const kept = Array.from({ length: 2000 }, (_, i) => assets.get(`key ${i}`, now))
  t.ok(kept.filter((asset) => asset !== null).length < 1200)
})

t.test('what was added again takes the place of the first', async (t) => {
  const assets = new HashedAssets()
  for (const text of ['one', 'two']) assets.add('key', headers, [Buffer.from(text)], now)
  t.match(assets.get('key', now + 59_999), { body: Buffer.from('two'), headers: { age: '59' } })
  t.equal(assets.get('key', now + 60_000), null, 'and none when it is no longer fresh')
})
