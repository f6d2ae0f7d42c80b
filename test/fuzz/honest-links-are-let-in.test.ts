import t from 'tap'
import { honest } from './properties.ts'

t.test(honest.promise, async (t) => {
  const play = await honest.start(t)
  const { failure, summary } = await play()
  t.equal(failure, null, summary)
})
