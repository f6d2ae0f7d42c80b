import t from 'tap'
import { createTally } from '../../src/load/tally.ts'

t.test('whatever was measured', async (t) => {
  for (const latency of [0.001, 2.049, 4100.3, 33_333.3, 3_600_000]) {
    const tally = createTally()
    tally.answered('message', latency)
    tally.late(latency)
    const { total, lag, percentiles } = tally.found(0)
    for (const found of [total.latency, lag])
      t.match(found, { p50: latency, p999: latency, max: latency })
    t.ok(
      percentiles.every((one) => one.latency <= latency),
      `${latency}`,
    )
  }
})
