import { readFileSync } from 'node:fs'
import t from 'tap'
import { usage } from '../../src/commands/usage.ts'
import { groups } from '../../src/doctor/checks.ts'

const page = readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8')
const checks = groups.flatMap(([, all]) => all)

t.test('the table of checks is the code’s', async (t) => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  t.same(
    rows,
    checks.map(({ id, promise, remedy }) => `| \`${id}\` | ${promise} | ${remedy} |`),
  )
})

t.test(
  'each check has a name of its own, and says what holds and what to do in sentences',
  async (t) => {
    t.equal(new Set(checks.map(({ id }) => id)).size, checks.length)
    for (const { id, promise, remedy } of checks) {
      t.match(id, /^[a-z][a-z0-9-]+$/)
      for (const sentence of [promise, remedy]) t.match(sentence, /^[A-Za-z_.].*\.$/, id)
    }
  },
)

t.test('its options are in the usage and on the page', async (t) => {
  for (const option of [
    '--link-file',
    '--user',
    '--session',
    '--url-token',
    '--json',
    'DOCTOR_LINK',
  ]) {
    t.match(usage, option)
    t.match(page, option)
  }
})
