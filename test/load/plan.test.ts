import t from 'tap'
import { readPlan } from '../../src/load/plan.ts'
import { sentence } from '../../src/settings/reader.ts'

const asked = {
  agents: '20',
  rate: '2/s',
  duration: '30s',
  ramp: '5s',
  chats: '2',
  messages: '5s',
  attackers: '5%',
}
const plan = {
  agents: 20,
  rate: 2,
  duration: 30_000,
  ramp: 5000,
  chats: 2,
  pause: 5000,
  attackers: 0.05,
}

t.test('a plan is read from flags', async (t) => {
  const rows: readonly (readonly [Partial<typeof asked>, Partial<typeof plan>])[] = [
    [{}, {}],
    [{ rate: '90/m' }, { rate: 1.5 }],
    [{ rate: '0.25/s' }, { rate: 0.25 }],
    [
      { agents: '20000', rate: '2000/s' },
      { agents: 20_000, rate: 2000 },
    ],
    [{ attackers: '0%' }, { attackers: 0 }],
    [{ attackers: '12.5%' }, { attackers: 0.125 }],
    [{ ramp: '0' }, { ramp: 0 }],
    [{ ramp: '15s' }, { ramp: 15_000 }],
  ]
  for (const [flags, changes] of rows) {
    t.strictSame(readPlan({ ...asked, ...flags }), { ...plan, ...changes }, JSON.stringify(flags))
  }
})

t.test('what is wrong with a flag is said, of all flags', async (t) => {
  const rows: readonly (readonly [Partial<typeof asked>, ...string[]])[] = [
    [{ agents: '0' }, '--agents must be a whole number above 0'],
    [{ chats: '1.5' }, '--chats must be a whole number above 0'],
    [{ agents: '20001' }, '--agents must be 20,000 or less'],
    [{ chats: '101' }, '--chats must be 100 or less'],
    [{ rate: '2000.1/s' }, '--rate must be 2,000/s or less'],
    [{ rate: '5' }, '--rate must be a number a second or minute, such as 2/s'],
    [{ rate: '0/s' }, '--rate must be a number a second or minute, such as 2/s'],
    [{ rate: '5/h' }, '--rate must be a number a second or minute, such as 2/s'],
    [{ duration: '30' }, '--duration must be a number and ms, s, m, h or d, such as 90s or 1.5h'],
    [{ duration: '999ms' }, '--duration must be 1s or more'],
    [{ duration: '30d' }, '--duration must be 24d or less'],
    [{ messages: '0' }, '--messages must be 10ms or more'],
    [{ ramp: '15001ms' }, '--duration must be twice --ramp or more'],
    [{ attackers: '100%' }, '--attackers must be a share below 100%, such as 5%'],
    [{ attackers: '0.1' }, '--attackers must be a share below 100%, such as 5%'],
    [
      { agents: '0', duration: '30', ramp: '20s', messages: '0' },
      '--agents must be a whole number above 0',
      '--duration must be a number and ms, s, m, h or d, such as 90s or 1.5h',
      '--messages must be 10ms or more',
    ],
  ]
  for (const [flags, ...sentences] of rows) {
    const plan = readPlan({ ...asked, ...flags })
    t.strictSame(
      'problems' in plan && plan.problems.map(sentence),
      sentences,
      JSON.stringify(flags),
    )
  }
})
