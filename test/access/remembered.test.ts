import t from 'tap'
import { Remembered } from '../../src/access/remembered.ts'

t.test('the latest are remembered, and no more than twice as many', async (t) => {
  const remembered = new Remembered<{ n: number }>(10)
  const known = (): number[] =>
    Array.from({ length: 1000 }, (_, n) => n).filter(
      (n) => remembered.get(`text ${n}`) !== undefined,
    )
  for (let n = 0; n < 1000; n += 1) {
    remembered.set(`text ${n}`, { n })
    t.same(remembered.get('text 0'), { n: 0 }, 'what is used stays')
  }
  for (const n of [0, ...Array.from({ length: 9 }, (_, n) => 991 + n)]) {
    t.same(remembered.get(`text ${n}`), { n })
  }
  t.ok(known().length <= 20)
})
