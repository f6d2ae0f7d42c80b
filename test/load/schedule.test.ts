import t from 'tap'
import { attacksOf, chatsOf, type Plan, shiftsOf } from '../../src/load/schedule.ts'

const plan: Plan = {
  agents: 4,
  rate: 1,
  duration: 10_000,
  ramp: 2000,
  chats: 2,
  pause: 1000,
  attackers: 0.1,
}

t.test('as many as were asked for are at work between the ramps', async (t) => {
  const rows: readonly (readonly [string, Partial<Plan>, number])[] = [
    ['some are replaced', {}, 9],
    ['more are replaced than there are', { rate: 5 }, 33],
    ['hardly any is', { rate: 0.1 }, 4],
    ['no ramp', { ramp: 0 }, 13],
    ['ramps alone', { ramp: 5000 }, 4],
    ['a single one', { agents: 1 }, 6],
  ]
  for (const [name, changes, count] of rows) {
    const changed = { ...plan, ...changes }
    const { agents, ramp, duration } = changed
    const shifts = shiftsOf(changed)
    const atWork = (time: number): number =>
      shifts.filter(({ arrives, leaves }) => arrives <= time && time < leaves).length
    t.equal(shifts.length, count, name)
    t.equal(atWork(duration / 2 - 0.5), agents, name)
    t.equal(atWork(duration - ramp - 0.5), agents, `${name}: until they leave`)
    t.equal(atWork(duration), 0, `${name}: nobody at the end`)
    t.strictSame(
      shifts.map(({ leaves }) => leaves),
      shifts.map(({ leaves }) => leaves).sort((one, other) => one - other),
      `${name}: who came first leaves first`,
    )
    t.ok(shifts.every(({ arrives, leaves }) => arrives <= leaves))
  }
})

t.test('at either end they come and go one by one', async (t) => {
  const shifts = shiftsOf({ ...plan, rate: 0.001 })
  t.strictSame(
    shifts.slice(0, 4).map(({ arrives }) => arrives),
    [0, 500, 1000, 1500],
  )
  t.strictSame(
    shifts.slice(-4).map(({ leaves }) => leaves),
    [8000, 8500, 9000, 9500],
  )
})

t.test('the chats of an agent take turns, and all begin before it leaves', async (t) => {
  const rows: readonly (readonly [string, Partial<Plan>, readonly number[]])[] = [
    ['two', {}, [100, 600]],
    ['four', { chats: 4 }, [100, 350, 600, 850]],
    ['two of a slow talker', { pause: 60_000 }, [100, 1100]],
  ]
  for (const [name, changes, expected] of rows) {
    t.strictSame(chatsOf({ arrives: 100, leaves: 2100 }, { ...plan, ...changes }), expected, name)
  }
})

t.test('attacks are a share of the links, evenly spread, each kind once at least', async (t) => {
  const rows: readonly (readonly [string, Partial<Plan>, number])[] = [
    ['none', { attackers: 0 }, 0],
    ['too few for all kinds', {}, 3],
    ['half of all links', { attackers: 0.5 }, 18],
    ['nearly all of them', { attackers: 0.99 }, 1782],
  ]
  for (const [name, changes, count] of rows) {
    const due = attacksOf({ ...plan, ...changes }, 3)
    t.equal(due.length, count, name)
    const gap = plan.duration / count
    t.ok(
      due.every((time, i) => Math.abs(time - gap / 2 - i * gap) < 0.001),
      name,
    )
  }
})
