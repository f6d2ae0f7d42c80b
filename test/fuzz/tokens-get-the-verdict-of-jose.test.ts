import t from 'tap'
import { createGate } from '../stage.ts'
import { differences, judge, tokens } from './tokens.ts'

t.test(tokens.promise, async (t) => {
  const play = await tokens.start(t)
  const { failure, summary } = await play()
  t.equal(failure, null, summary)
})

t.test('every difference in the table is one', async (t) => {
  const { keyring } = await createGate()
  for (const { what, example } of differences) t.equal(await judge(example, keyring), what)
})
