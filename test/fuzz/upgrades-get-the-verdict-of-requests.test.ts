import t from 'tap'
import { upgraded } from './properties.ts'

t.test(upgraded.promise, async (t) => {
  const play = await upgraded.start(t)
  const { failure, summary } = await play()
  t.equal(failure, null, summary)
})
