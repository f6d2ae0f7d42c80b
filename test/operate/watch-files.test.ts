// A file that changes, comes or goes is told of once; one that rests is not told of.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { watchFiles } from '../../src/operate/watch-files.ts'

/** Watches, and hears of changes one by one. */
function watch(t: Test, files: readonly string[]) {
  let heard = 0
  let next = Promise.withResolvers<void>()
  const stop = watchFiles(files, () => {
    heard += 1
    next.resolve()
  })
  t.teardown(stop)
  return {
    count: () => heard,
    async change(change: () => void): Promise<void> {
      next = Promise.withResolvers()
      change()
      await next.promise
    },
  }
}

// Nothing else keeps the process alive while it is waited.
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

t.test('each change is told of, and nothing else', async (t) => {
  const folder = t.testdir({ there: 'one', missing: {} })
  const there = join(folder, 'there')
  const absent = join(folder, 'absent')
  const { change, count } = watch(t, [there, absent, join(folder, 'never')])
  await change(() => writeFileSync(there, 'other'))
  t.equal(count(), 1, 'those that are not there are no change')
  await change(() => writeFileSync(absent, 'now'))
  await change(() => rmSync(absent))
  await change(() => rmSync(there))
  t.equal(count(), 4)
})

t.test('a link above a file that is swapped is a change of the file', async (t) => {
  const folder = t.testdir({ first: { secret: 'a' }, second: { secret: 'a' } })
  symlinkSync('first', join(folder, 'now'))
  mkdirSync(join(folder, 'mounted'))
  symlinkSync('../now/secret', join(folder, 'mounted', 'secret'))
  const { change } = watch(t, [join(folder, 'mounted', 'secret')])
  await change(() => {
    symlinkSync('second', join(folder, 'next'))
    renameSync(join(folder, 'next'), join(folder, 'now'))
  })
  t.pass('it is told of')
})

t.test('what changes as it is begun to be watched is not missed', async (t) => {
  const folder = t.testdir({ file: 'a' })
  const { change } = watch(t, [join(folder, 'file')])
  await change(() => writeFileSync(join(folder, 'file'), 'b'))
  t.pass('it is told of')
})
