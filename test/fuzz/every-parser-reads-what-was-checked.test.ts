import t from 'tap'
import { forwarded } from './properties.ts'

t.test(forwarded.promise, async (t) => {
  const play = await forwarded.start(t)
  const { failure, summary } = await play()
  t.equal(failure, null, summary)
})
