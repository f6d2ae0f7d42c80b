// A kept body is counted as its bytes: it must not hold Node's pool, 64 KiB a slab, along with it.
import t from 'tap'
import { HashedAssets } from '../../src/forward/hashed-assets.ts'

const headers = { 'cache-control': 'public, max-age=60, immutable', 'content-length': '1000' }

t.test('a kept body is all that its memory is held for', async (t) => {
  const assets = new HashedAssets()
  const now = Date.now()
  for (const [name, pieces] of [
    ['in one piece', [Buffer.alloc(1000)]],
    ['in several', [Buffer.alloc(400), Buffer.alloc(600)]],
  ] as const) {
    assets.add(name, headers, pieces, now)
    const body = assets.get(name, now)?.body
    t.equal(body?.length, 1000)
    t.ok(
      (body?.buffer.byteLength ?? 0) <= 2048,
      `${name}: ${body?.buffer.byteLength} bytes are held`,
    )
  }
})
